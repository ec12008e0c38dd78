"""Giving back: many partial refunds, never more than was captured (B7).

The amount is set aside on the payment's row, under its lock and its constraint, before the
processor is asked.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from tidegate.clock import Clock, Randomness
from tidegate.db.committer import Committer, Unit
from tidegate.db.engine import Database
from tidegate.db.rows import FIRST_FENCE, Held, Insert, Next
from tidegate.errors import (
    AlreadyExists,
    AmountExceedsRefundable,
    NotFound,
    Stale,
    StillRunning,
    WrongState,
)
from tidegate.ledger.book import Record
from tidegate.observability.subjects import about
from tidegate.payments import postings
from tidegate.payments.answers import Answer
from tidegate.payments.keys import Asked, refuse, standing
from tidegate.payments.lease import Leases
from tidegate.payments.pursue_refund import PursueRefund
from tidegate.payments.refund_outcome import KIND
from tidegate.payments.sends import first_send
from tidegate.payments.states import RefundState, State, public_status
from tidegate.payments.store import Journal, Row, payment_of_user, refund_by_id
from tidegate.payments.tables import refunds
from tidegate.payments.view import refund_view

__all__ = ["AskRefund"]

# Other refunds of the same payment may come between reading its row and committing.
_TRIES = 60
_PAUSE_S = 0.05


class AskRefund:
    """``POST /api/payments/{id}/refunds``."""

    def __init__(
        self,
        database: Database,
        committer: Committer,
        clock: Clock,
        randomness: Randomness,
        pursue: PursueRefund,
        leases: Leases,
    ) -> None:
        self._database = database
        self._committer = committer
        self._clock = clock
        self._randomness = randomness
        self._pursue = pursue
        self._leases = leases

    async def __call__(
        self, asked: Asked, payment_id: str, amount: int | None, reason: str | None
    ) -> Answer:
        """Give back ``amount`` minor units (``None``: all that is left).

        Raises ``NotFound``, ``WrongState``, ``AmountExceedsRefundable``, ``StillRunning``,
        ``IdempotencyKeyReused``.
        """
        for _ in range(_TRIES):
            known = await standing(self._database, asked)
            if known is not None:
                return await self._retry(asked, known)
            payment = await self._database.fetch(
                lambda c: payment_of_user(c, asked.user_id, payment_id)
            )
            if payment is None:
                raise NotFound("There is no such payment.")
            about(payment_id=payment["id"])
            try:
                wanted = _refundable(payment, amount)
            except (WrongState, AmountExceedsRefundable) as refusal:
                now_ms = self._clock.now_ms()
                await refuse(self._committer, asked, payment_id, now_ms, refusal)
            row = self._row(asked, wanted, payment, reason)
            about(payment_id=payment["id"], refund_id=row["id"])
            ends_at = self._leases.ends_at()
            try:
                await self._committer.commit(self._unit(asked, payment, row))
            except (Stale, AlreadyExists):
                await self._clock.sleep(_PAUSE_S)
                continue
            held = Held(FIRST_FENCE, row["created_at"] + self._leases.lease_ms)
            claimed = self._leases.claimed(refunds, row, held, ends_at)
            with suppress(Stale):  # the lease ran out, and somebody else went on
                async with self._leases.under(claimed):
                    row = dict(await self._pursue.send(claimed, claimed.row))
            stored = await standing(self._database, asked)
            if isinstance(stored, Answer):
                return Answer(stored.status, stored.code, stored.body)
            return Answer(202, None, refund_view(row))
        raise StillRunning()

    async def _retry(self, asked: Asked, known: Row | Answer) -> Answer:
        if isinstance(known, Answer):
            return known
        row = await self._database.fetch(lambda c: refund_by_id(c, known["subject"]))
        assert row is not None  # committed together with the key
        about(payment_id=row["payment_id"], refund_id=row["id"])
        if await self._leases.is_leased(row):
            raise StillRunning()
        try:  # nobody is at it: this request goes on where the last one stopped
            claimed = await self._leases.take(refunds, KIND, row)
        except Stale:
            raise StillRunning() from None
        with suppress(Stale):  # the lease ran out, and somebody else went on
            async with self._leases.under(claimed):
                await self._pursue(claimed)
        stored = await standing(self._database, asked)
        if isinstance(stored, Answer):
            return stored
        return Answer(202, None, refund_view(row), replayed=True)

    def _unit(self, asked: Asked, payment: Row, row: Row) -> Unit:
        journal = Journal(payment, self._clock, self._randomness)
        amount = row["amount"]
        journal.set(amount_refunding=payment["amount_refunding"] + amount)
        journal.add(
            asked.taken_for(row["id"], row["created_at"]),
            Insert(refunds, row, next=Next(KIND, self._leases.lease_ms), leased=True),
            Record(postings.refund_reserved(row["user_id"], row["id"], row["currency"], amount)),
        )
        journal.announce("refund.created", refund_view(row))
        return journal.unit()

    def _row(self, asked: Asked, amount: int, payment: Row, reason: str | None) -> dict[str, Any]:
        now_ms = self._clock.now_ms()
        return {
            "id": self._randomness.new_id("re"),
            "payment_id": payment["id"],
            "user_id": payment["user_id"],
            "state": RefundState.ASKING.value,
            "currency": payment["currency"],
            "amount": amount,
            "reason": reason,
            "processor": payment["processor"],
            "processor_reference": None,
            "failure": None,
            "movement": None,
            "returned": None,
            "step": 1,
            **first_send(now_ms),
            "lookups": 0,
            "not_found": 0,
            "asked_by": asked.id,
            "created_at": now_ms,
            "updated_at": now_ms,
        }


def _refundable(payment: Row, amount: int | None) -> int:
    """How much is to be given back. Refuses what cannot be."""
    state = State(payment["state"])
    if state is not State.SUCCEEDED:
        raise WrongState(
            f"Only a payment that has succeeded can be refunded; this one is "
            f"{public_status(state)}."
        )
    taken = payment["amount_refunded"] + payment["amount_refunding"]
    left: int = payment["amount_captured"] - taken
    wanted = left if amount is None else amount
    if not 1 <= wanted <= left:
        raise AmountExceedsRefundable(f"{left} minor units can still be refunded.")
    return wanted
