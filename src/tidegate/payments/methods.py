"""Stored payment methods: the processor's tokens, never a card number (B6)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, select

from tidegate.clock import Clock, Randomness
from tidegate.db.committer import Committer, Unit
from tidegate.db.engine import Database
from tidegate.db.exchanges import Exchange, exchange_row
from tidegate.db.rows import Change, Insert
from tidegate.errors import (
    AlreadyExists,
    CardDeclined,
    Conflict,
    LimitReached,
    NotFound,
    ProcessorFailed,
    ProcessorUnreachable,
    Stale,
    TidegateError,
)
from tidegate.payments.customers import Customers
from tidegate.payments.outcome import key_refused
from tidegate.payments.store import Row
from tidegate.payments.tables import payment_methods
from tidegate.ports.cards import Cards, Declined, Found, Method, NotSent, Refused, Unknown

__all__ = ["Methods", "method_of_user", "methods_of_user", "reference_of"]

_METHODS_MAX = 50
_TRIES = 4

_ATTACHED = payment_methods.c.state == "attached"
_mine = (
    select(payment_methods)
    .where(payment_methods.c.user_id == bindparam("user_id"), _ATTACHED)
    .order_by(payment_methods.c.id.desc())
)
_one_of_mine = _mine.where(payment_methods.c.id == bindparam("id"))
_by_reference = select(payment_methods).where(
    payment_methods.c.processor == bindparam("processor"),
    payment_methods.c.reference == bindparam("reference"),
)
_reference = select(payment_methods.c.reference).where(payment_methods.c.id == bindparam("id"))


def methods_of_user(connection: Connection, user_id: str) -> list[Row]:
    """What the user has stored, newest first."""
    return [dict(row) for row in connection.execute(_mine, {"user_id": user_id}).mappings()]


def method_of_user(connection: Connection, user_id: str, method_id: str) -> Row | None:
    """One of the user's own methods that is attached still."""
    parameters = {"user_id": user_id, "id": method_id}
    row = connection.execute(_one_of_mine, parameters).mappings().one_or_none()
    return None if row is None else dict(row)


def reference_of(connection: Connection, method_id: str | None) -> str | None:
    """The processor's token of a method, detached or not."""
    if method_id is None:
        return None
    return connection.execute(_reference, {"id": method_id}).scalar_one_or_none()


class Methods:
    """The verbs. Attaching and detaching may be repeated: the same token is the same method."""

    def __init__(
        self,
        database: Database,
        committer: Committer,
        clock: Clock,
        randomness: Randomness,
        cards: Cards,
        customers: Customers,
    ) -> None:
        self._database = database
        self._committer = committer
        self._clock = clock
        self._randomness = randomness
        self._cards = cards
        self._customers = customers

    async def attach(self, user_id: str, token: str) -> Row:
        """Attach a processor token to the user's customer; the first one becomes the default.

        Raises ``CardDeclined``, ``ProcessorFailed``, ``ProcessorUnreachable``, ``LimitReached``,
        and ``Conflict`` for a token that is somebody else's.
        """
        if len(await self.stored(user_id)) >= _METHODS_MAX:
            raise LimitReached(f"One account may store {_METHODS_MAX} payment methods.")
        customer = await self._customer(user_id)
        # A key of its own each time: a stored answer would show a method that is detached by now.
        key = f"tidegate:{user_id}:attach:{self._randomness.new_id('att')}"
        ended = await self._cards.attach(token, customer, key)
        method: Method = await self._kept(user_id, ended)
        for _ in range(_TRIES):
            known = await self._known(method.reference)
            if known is not None and known["user_id"] != user_id:
                raise Conflict("This payment method belongs to another account.")
            if known is not None and known["state"] == "attached":
                return known
            try:
                return await self._store(user_id, method, known)
            except (AlreadyExists, Stale):
                continue  # the same token, or another first method, at the same time
        raise Conflict("Another request stores this payment method: repeat the request.")

    async def set_up(self, user_id: str) -> str:
        """A client secret with which the client's page stores a card at the processor itself."""
        customer = await self._customer(user_id)
        key = f"tidegate:{user_id}:setup:{self._randomness.new_id('set')}"
        return str(await self._kept(user_id, await self._cards.set_up(customer, key)))

    async def stored(self, user_id: str) -> list[Row]:
        """The user's methods, newest first."""
        return await self._database.fetch(lambda c: methods_of_user(c, user_id))

    async def make_default(self, user_id: str, method_id: str) -> Row:
        """Make one the default. Raises ``NotFound``."""
        for _ in range(_TRIES):
            mine = await self.stored(user_id)
            row = next((each for each in mine if each["id"] == method_id), None)
            if row is None:
                raise NotFound("There is no such payment method.")
            try:
                await self._only_default(mine, method_id)
            except (AlreadyExists, Stale):
                continue  # another one was made the default at the same time
            return {**row, "is_default": True}
        raise Conflict("Another request changes the default: repeat the request.")

    async def detach(self, user_id: str, method_id: str) -> None:
        """Take it off the customer; old payments keep showing it. Raises ``NotFound``."""
        row = await self._database.fetch(lambda c: method_of_user(c, user_id, method_id))
        if row is None:
            raise NotFound("There is no such payment method.")
        await self._kept(user_id, await self._cards.detach(row["reference"]))
        gone = {"state": "detached", "is_default": False, "detached_at": self._clock.now_ms()}
        await self._committer.commit(Unit([Change(payment_methods, method_id, values=gone)]))

    # -- helpers -----------------------------------------------------------------------------------

    async def _customer(self, user_id: str) -> str:
        said: list[Exchange] = []
        customer = await self._customers.ensure(user_id, said)
        await self._keep(user_id, said, customer)
        if isinstance(customer, str):
            return customer
        raise _error(customer)

    async def _kept(
        self, user_id: str, ended: Found | Declined | Refused | NotSent | Unknown
    ) -> Any:
        """Keep what was said; the answer's object, or the error that the ending is."""
        await self._keep(user_id, [ended.exchange], ended)
        if isinstance(ended, Found):
            return ended.value
        raise _error(ended)

    async def _keep(self, user_id: str, said: list[Exchange], ended: object) -> None:
        if said:
            rows = [exchange_row(user_id, exchange, self._randomness) for exchange in said]
            await self._committer.commit(Unit([*rows, *key_refused(self._cards.name, ended)]))

    async def _known(self, reference: str) -> Row | None:
        parameters = {"processor": self._cards.name, "reference": reference}
        row = await self._database.fetch(
            lambda c: c.execute(_by_reference, parameters).mappings().one_or_none()
        )
        return None if row is None else dict(row)

    async def _store(self, user_id: str, method: Method, known: Row | None) -> Row:
        first = not any(row["is_default"] for row in await self.stored(user_id))
        if known is not None:
            back = {"state": "attached", "detached_at": None, "is_default": first}
            change = Change(payment_methods, known["id"], values=back, expect={"is_default": False})
            await self._committer.commit(Unit([change]))
            return {**known, **back}
        card = method.card
        row = {
            "id": self._randomness.new_id("pm"),
            "user_id": user_id,
            "processor": self._cards.name,
            "reference": method.reference,
            "state": "attached",
            "type": method.type,
            "brand": card.brand if card else None,
            "last4": card.last4 if card else None,
            "exp_month": card.exp_month if card else None,
            "exp_year": card.exp_year if card else None,
            "is_default": first,
            "created_at": self._clock.now_ms(),
            "detached_at": None,
        }
        await self._committer.commit(Unit([Insert(payment_methods, row)]))
        return row

    async def _only_default(self, mine: list[Row], method_id: str) -> None:
        others = [
            Change(
                payment_methods,
                row["id"],
                values={"is_default": False},
                expect={"is_default": True},
            )
            for row in mine
            if row["is_default"] and row["id"] != method_id
        ]
        # The index allows one default: in one statement a shape, the old one is cleared first.
        if others:
            await self._committer.commit(Unit([*others]))
        chosen = Change(
            payment_methods, method_id, values={"is_default": True}, expect={"state": "attached"}
        )
        await self._committer.commit(Unit([chosen]))


def _error(ended: Declined | Refused | NotSent | Unknown) -> TidegateError:
    """Nothing of money happens here, so every ending is simply told."""
    match ended:
        case Declined(failure=failure):
            detail = failure.message or CardDeclined.sentence
            return CardDeclined(detail, members={"decline_code": failure.decline_code})
        case Refused(message=message):
            return ProcessorFailed(message)
        case NotSent() | Unknown():
            return ProcessorUnreachable()
