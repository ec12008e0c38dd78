"""A refund at the processor that we have no row of: a fact that becomes ours.

Somebody made it at the processor's own page, or our row of it is lost or is another refund's.
Its row begins as if we had asked for it, pending, and its own work goes on from there.
"""

from __future__ import annotations

from typing import Any

from tidegate.cases.store import OpenCase
from tidegate.clock import Clock, Randomness
from tidegate.db.committer import Unit
from tidegate.db.engine import Database
from tidegate.db.exchanges import exchange_row
from tidegate.db.rows import Insert, Next
from tidegate.ledger.book import Record
from tidegate.payments import postings
from tidegate.payments.refund_outcome import KIND
from tidegate.payments.states import RefundState
from tidegate.payments.store import Journal, Row, payment_by_reference
from tidegate.payments.tables import refunds
from tidegate.payments.view import refund_view
from tidegate.ports.cards import CardEvent, Cards, Found, Missing, Refund

__all__ = ["AdoptRefund", "Later", "NotOurs"]


class NotOurs:
    """It is not about a payment of ours."""


class Later:
    """Not now: the processor does not answer, or the refund does not fit so far."""


class AdoptRefund:
    """Makes the unit; the caller commits it together with the end of the event."""

    def __init__(
        self, database: Database, clock: Clock, randomness: Randomness, cards: Cards
    ) -> None:
        self._database = database
        self._clock = clock
        self._randomness = randomness
        self._cards = cards

    async def __call__(self, event: CardEvent) -> Unit | NotOurs | Later:
        """Adopt the refund that ``event`` is about; we have no row with its id at the processor."""
        if event.intent is None or event.reference is None:
            return NotOurs()
        intent, processor = event.intent, self._cards.name
        payment = await self._database.fetch(lambda c: payment_by_reference(c, processor, intent))
        if payment is None:
            return NotOurs()
        ended = await self._cards.find_refund(intent, "", event.reference)
        if isinstance(ended, Missing):
            return NotOurs()
        if not isinstance(ended, Found):
            return Later()
        refund: Refund = ended.value
        taken = payment["amount_refunded"] + payment["amount_refunding"]
        fits = refund.amount.minor <= payment["amount_captured"] - taken
        if refund.amount.currency.code != payment["currency"] or not fits:
            return Later()
        row = self._row(payment, refund)
        journal = Journal(payment, self._clock, self._randomness)
        journal.set(amount_refunding=payment["amount_refunding"] + refund.amount.minor)
        reserved = postings.refund_reserved(
            row["user_id"], row["id"], row["currency"], row["amount"]
        )
        journal.add(
            Insert(refunds, row, next=Next(KIND)),
            Record(reserved),
            exchange_row(row["id"], ended.exchange, self._randomness),
        )
        if event.refund_id is not None:
            journal.add(
                OpenCase(
                    "refund_twice",
                    row["id"],
                    f"The processor has a refund that carries the id of ours, {event.refund_id}, "
                    "and is not the one we know under it. It is booked as one more: compare the "
                    "payment's refunds with the processor's.",
                    "high",
                )
            )
        journal.announce("refund.created", refund_view(row))
        return journal.unit()

    def _row(self, payment: Row, refund: Refund) -> dict[str, Any]:
        now_ms = self._clock.now_ms()
        return {
            "id": self._randomness.new_id("re"),
            "payment_id": payment["id"],
            "user_id": payment["user_id"],
            "state": RefundState.PENDING.value,
            "currency": payment["currency"],
            "amount": refund.amount.minor,
            "reason": None,
            "processor": payment["processor"],
            # Unique: a second event about the same refund is refused.
            "processor_reference": refund.reference,
            "failure": None,
            "movement": None,
            "returned": None,
            "step": 1,
            "sent_at": None,
            "sends": 0,
            "spent": False,
            "lookups": 0,
            "not_found": 0,
            "asked_by": None,
            "created_at": now_ms,
            "updated_at": now_ms,
        }
