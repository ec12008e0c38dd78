"""A user's customer at the processor: created on first use, once."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from sqlalchemy import bindparam, select

from tidegate.clock import Clock, Randomness
from tidegate.db.committer import Committer, Unit
from tidegate.db.engine import Database
from tidegate.db.exchanges import Exchange
from tidegate.db.rows import Change, Insert
from tidegate.errors import AlreadyExists, Stale
from tidegate.payments.sends import KEY_MS
from tidegate.payments.tables import card_customers
from tidegate.ports.cards import Cards, Found, NotSent, Refused, Unknown

__all__ = ["Customers"]

_of_user = select(card_customers).where(
    card_customers.c.user_id == bindparam("user_id"),
    card_customers.c.processor == bindparam("processor"),
)


class Customers:
    """Customers at one processor. Nothing personal is sent: the processor gets our user id."""

    def __init__(
        self,
        database: Database,
        committer: Committer,
        clock: Clock,
        randomness: Randomness,
        cards: Cards,
    ) -> None:
        self._database = database
        self._committer = committer
        self._clock = clock
        self._randomness = randomness
        self._cards = cards

    async def ensure(self, user_id: str, said: list[Exchange]) -> str | Refused | NotSent | Unknown:
        """The customer's id at the processor, or how asking for it ended.

        The row that says "about to be created" is committed first; two requests at once use the
        same key and so get the same customer. ``said`` collects what was said.
        """
        row = await self._row(user_id)
        if row.reference is not None:
            return str(row.reference)
        # A key may be forgotten once it is a day old. A second customer then moves no money.
        number = row.number + (self._clock.now_ms() - row.created_at) // KEY_MS
        key = f"tidegate:{user_id}:customer:{number}"
        ended = await self._cards.create_customer(user_id, key)
        said.append(ended.exchange)
        if isinstance(ended, Unknown) and (ended.exchange.status or 0) >= 500:
            await self._next_number(row)
        if not isinstance(ended, Found):
            return ended
        try:
            await self._committer.commit(
                Unit(
                    [
                        Change(
                            card_customers,
                            row.id,
                            values={"reference": ended.value},
                            expect={"reference": None},
                        )
                    ]
                )
            )
        except Stale:
            row = await self._row(user_id)  # another request was quicker
            return str(row.reference)
        return str(ended.value)

    async def _next_number(self, row: Any) -> None:
        """The key may only bring back this failure: the next request asks with another one. A
        second customer moves no money."""
        change = Change(
            card_customers,
            row.id,
            values={"number": row.number + 1},
            expect={"number": row.number, "reference": None},
        )
        with suppress(Stale):  # another request was quicker
            await self._committer.commit(Unit([change]))

    async def _row(self, user_id: str) -> Any:
        parameters = {"user_id": user_id, "processor": self._cards.name}
        row = await self._database.fetch(lambda c: c.execute(_of_user, parameters).one_or_none())
        if row is not None:
            return row
        values = {
            "id": f"cus_{self._cards.name}_{user_id}",
            **parameters,
            "created_at": self._clock.now_ms(),
        }
        with suppress(AlreadyExists):  # another request was quicker: its row is read
            await self._committer.commit(Unit([Insert(card_customers, values, once=True)]))
        return await self._database.fetch(lambda c: c.execute(_of_user, parameters).one())
