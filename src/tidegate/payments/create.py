"""Creating a payment: refuse first, commit the payment with its key, then pursue it.

The first request with a key and every retry end in :meth:`Create._go_on`: it continues from the
payment's row under the row's lease, so fifty identical requests at once make one charge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tidegate.cases.switch import SwitchKind, switch_id
from tidegate.cases.switches import list_switches
from tidegate.clock import Clock, Randomness
from tidegate.db.committer import Committer, Unit
from tidegate.db.engine import Database
from tidegate.db.rows import FIRST_FENCE, Held, Insert, Next
from tidegate.errors import (
    AlreadyExists,
    AmountNotAllowed,
    CurrencyNotEnabled,
    PaymentsOff,
    Stale,
    StillRunning,
    ValidationFailed,
)
from tidegate.money.amount import Money
from tidegate.money.currency import parse_currency
from tidegate.observability.subjects import about
from tidegate.payments.agenda import KIND
from tidegate.payments.announce import Announce
from tidegate.payments.answers import Answer, settled_answer
from tidegate.payments.keys import Asked, standing
from tidegate.payments.lease import Leases
from tidegate.payments.methods import method_of_user
from tidegate.payments.pursue import Pursue
from tidegate.payments.rules import PaymentRules
from tidegate.payments.states import ON_THE_WAY, State
from tidegate.payments.store import Row, payment_by_id, store_answer
from tidegate.payments.tables import payments
from tidegate.payments.view import payment_view
from tidegate.ports.cards import Cards
from tidegate.work.claim import Claimed

__all__ = ["Create", "NewPayment"]


@dataclass(frozen=True, slots=True)
class NewPayment:
    """What a client asks for. ``amount`` in minor units, ``currency`` in upper case."""

    amount: int
    currency: str
    payment_method_id: str | None = None
    manual_capture: bool = False
    description: str | None = None
    metadata: Mapping[str, str] | None = None
    return_url: str | None = None


class Create:
    """The verb."""

    def __init__(
        self,
        database: Database,
        committer: Committer,
        clock: Clock,
        randomness: Randomness,
        rules: PaymentRules,
        cards: Cards,
        pursue: Pursue,
        leases: Leases,
    ) -> None:
        self._database = database
        self._committer = committer
        self._clock = clock
        self._randomness = randomness
        self._rules = rules
        self._cards = cards
        self._pursue = pursue
        self._leases = leases

    async def __call__(self, asked: Asked, wish: NewPayment) -> Answer:
        """Charge once for this key; the answer, stored or now.

        Raises ``IdempotencyKeyReused``, ``StillRunning``, and what :meth:`_refuse` refuses.
        """
        known = await standing(self._database, asked)
        if known is not None:
            return await self._retry(asked, known)
        await self._refuse(asked.user_id, wish)
        row = self._row(asked, wish)
        about(payment_id=row["id"], born=True)
        ends_at = self._leases.ends_at()
        lease_ms = self._leases.lease_ms
        try:
            await self._committer.commit(
                Unit(
                    [
                        asked.taken_for(row["id"], row["created_at"]),
                        Insert(payments, row, next=Next(KIND, lease_ms), leased=True),
                        self._created(row),
                    ]
                )
            )
        except AlreadyExists:
            known = await standing(self._database, asked)
            assert known is not None  # keys are never deleted while they are this young
            return await self._retry(asked, known)
        held = Held(FIRST_FENCE, row["created_at"] + lease_ms)
        return await self._go_on(asked, self._leases.claimed(payments, row, held, ends_at))

    async def _refuse(self, user_id: str, wish: NewPayment) -> None:
        """Everything that can be refused before anything is stored."""
        stops = {
            switch_id(SwitchKind.PROCESSOR, self._cards.name),
            switch_id(SwitchKind.PAYMENTS, wish.currency),
        }
        off = await self._database.fetch(list_switches)
        if any(row["id"] in stops for row in off):
            raise PaymentsOff()
        most = self._rules.amount_max.get(wish.currency)
        if most is None:
            raise CurrencyNotEnabled(f"Payments in {wish.currency} are not accepted here.")
        if not 1 <= wish.amount <= most:
            raise AmountNotAllowed(f"The amount must be 1 to {most} minor units.")
        why = self._cards.check_amount(Money(wish.amount, parse_currency(wish.currency)))
        if why is not None:
            raise AmountNotAllowed(why)
        method_id = wish.payment_method_id
        if method_id is None:
            return
        found = await self._database.fetch(lambda c: method_of_user(c, user_id, method_id))
        if found is None:
            raise ValidationFailed(
                [
                    {
                        "field": "payment_method_id",
                        "code": "not_found",
                        "message": "There is no such payment method.",
                    }
                ]
            )

    async def _retry(self, asked: Asked, known: Row | Answer) -> Answer:
        """The stored answer, or the payment as it stands now, gone on with if nobody does."""
        if isinstance(known, Answer):
            return known
        about(payment_id=known["subject"])
        payment = await self._database.fetch(lambda c: payment_by_id(c, known["subject"]))
        assert payment is not None  # committed together with the key
        if State(payment["state"]) not in ON_THE_WAY:
            return await self._settled(asked, payment)
        if await self._leases.is_leased(payment):
            raise StillRunning()
        if State(payment["state"]) in {State.CREATED, State.CONFIRMING}:
            try:
                claimed = await self._leases.take(payments, KIND, payment, events=payment["events"])
            except Stale:
                raise StillRunning() from None
            return replace(await self._go_on(asked, claimed), replayed=True)
        return Answer(202, None, payment_view(payment), replayed=True)

    async def _go_on(self, asked: Asked, claimed: Claimed) -> Answer:
        try:
            async with self._leases.under(claimed):
                row = await self._pursue.go_on(claimed)
        except Stale:  # the lease ran out, and somebody else went on: they know the answer
            row = claimed.row
        stored = await standing(self._database, asked)
        if isinstance(stored, Answer):
            return Answer(stored.status, stored.code, stored.body)
        return Answer(202, None, payment_view(row))

    async def _settled(self, asked: Asked, payment: Row) -> Answer:
        """Something else settled the payment (a cancel took its place): answer what it is now,
        unless its outcome was stored since the key was read."""
        answer = settled_answer(payment)
        try:
            await self._committer.commit(Unit([store_answer(asked.id, answer, only_first=True)]))
        except Stale:
            stored = await standing(self._database, asked)
            assert isinstance(stored, Answer)  # what else may have changed it
            return stored
        return Answer(answer.status, answer.code, answer.body, replayed=True)

    def _row(self, asked: Asked, wish: NewPayment) -> dict[str, Any]:
        now_ms = self._clock.now_ms()
        return {
            "id": self._randomness.new_id("pay"),
            "user_id": asked.user_id,
            "state": State.CREATED.value,
            "currency": wish.currency,
            "amount": wish.amount,
            "amount_to_capture": wish.amount,
            "amount_captured": 0,
            "amount_refunded": 0,
            "amount_refunding": 0,
            "manual_capture": wish.manual_capture,
            "payment_method_id": wish.payment_method_id,
            "description": wish.description,
            "metadata": dict(wish.metadata or {}),
            "return_url": wish.return_url,
            "processor": self._cards.name,
            "processor_reference": None,
            "next_action": None,
            "failure_code": None,
            "failure_message": None,
            "decline_code": None,
            "movement": None,
            "step": 1,
            "sent_at": None,
            "sends": 0,
            "spent": False,
            "lookups": 0,
            "asked_by": asked.id,
            "events": 1,
            "created_at": now_ms,
            "updated_at": now_ms,
        }

    def _created(self, row: Row) -> Announce:
        return Announce(
            {
                "id": self._randomness.new_id("evt"),
                "payment_id": row["id"],
                "user_id": row["user_id"],
                "seq": 1,
                "type": "payment.created",
                "at": row["created_at"],
                "data": payment_view(row),
            }
        )
