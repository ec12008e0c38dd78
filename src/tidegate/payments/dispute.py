"""Disputes: what the processor takes and gives back on its own, as facts (processor.md 6).

A dispute's row comes from an event; the verb fetches the dispute and books every movement of its
money once, whatever the order of the news.
"""

from __future__ import annotations

from typing import Any

from tidegate.cases.store import OpenCase
from tidegate.clock import Clock, Randomness
from tidegate.db.committer import Committer, Operation, Unit
from tidegate.db.engine import Database
from tidegate.db.exchanges import exchange_row
from tidegate.db.rows import DONE, Change, Done, Insert, Next
from tidegate.ledger.book import Record
from tidegate.payments import postings
from tidegate.payments.rules import PaymentRules
from tidegate.payments.states import DisputeEvent, DisputeState, dispute_after
from tidegate.payments.store import Row, payment_by_reference
from tidegate.payments.tables import disputes
from tidegate.ports.cards import Cards, Dispute, DisputeStatus, Found, Movement
from tidegate.work.backoff import scheduled_ms
from tidegate.work.claim import Claimed

__all__ = ["KIND", "PursueDispute", "dispute_row", "new_dispute"]

KIND = "dispute"

_EVENTS = {
    DisputeStatus.INQUIRY: DisputeEvent.ASKED,
    DisputeStatus.OPEN: DisputeEvent.OPENED,
    DisputeStatus.WON: DisputeEvent.WON,
    DisputeStatus.LOST: DisputeEvent.LOST,
    DisputeStatus.CLOSED: DisputeEvent.CLOSED,
}
_ENDED = frozenset({DisputeState.WON, DisputeState.LOST, DisputeState.CLOSED})
_MONEY_MOVED = frozenset({DisputeState.OPEN, DisputeState.WON, DisputeState.LOST})
# An open dispute takes weeks; its events are the ordinary way, this is the net.
_LOOK_MS = 6 * 3_600_000
# So long, and so often one after the other (hourly, once the schedule is through), nothing
# readable is heard before a person is told.
_UNREAD_MS = 86_400_000
_UNREAD_TIMES = 24


def dispute_row(processor: str, reference: str) -> str:
    """The id of a dispute's row: the same for the same dispute."""
    return f"dp_{processor}_{reference}"[:64]


def new_dispute(processor: str, reference: str, now_ms: int) -> Insert:
    """The row of a dispute that was not heard of before, due at once."""
    values = {
        "id": dispute_row(processor, reference),
        "processor": processor,
        "processor_reference": reference,
        "state": DisputeState.NEW.value,
        "posted": [],
        "created_at": now_ms,
        "updated_at": now_ms,
    }
    return Insert(disputes, values, next=Next(KIND), once=True)


class PursueDispute:
    """The verb of kind ``dispute``; one instance a processor."""

    def __init__(
        self,
        database: Database,
        committer: Committer,
        clock: Clock,
        randomness: Randomness,
        rules: PaymentRules,
        cards: Cards,
    ) -> None:
        self._database = database
        self._committer = committer
        self._clock = clock
        self._randomness = randomness
        self._rules = rules
        self._cards = cards

    async def __call__(self, claimed: Claimed) -> None:
        row = claimed.row
        ended = await self._cards.fetch_dispute(row["processor_reference"])
        kept: list[Operation] = [exchange_row(claimed.id, ended.exchange, self._randomness)]
        if not isinstance(ended, Found):
            await self._later(claimed, [*kept, *self._unread(claimed)])
            return
        dispute: Dispute = ended.value
        payment = await self._payment(dispute)
        if payment is None:
            kept.append(
                OpenCase(
                    "dispute_unknown",
                    claimed.id,
                    "The processor tells of a dispute about a payment that is not ours, or not "
                    "known yet. Look it up there.",
                    "high",
                )
            )
            await self._later(claimed, kept)
            return
        await self._committer.commit(Unit([*self._learn(claimed, dispute, payment), *kept]))

    def _learn(self, claimed: Claimed, dispute: Dispute, payment: Row) -> list[Operation]:
        """The row as the processor tells it, and an entry for each movement that is new."""
        row, currency = claimed.row, payment["currency"]
        operations: list[Operation] = []
        posted = list(row["posted"])
        for movement in dispute.movements:
            if movement.reference in posted:
                continue
            posted.append(movement.reference)
            operations += self._book(claimed.id, dispute, movement, currency)
        before = DisputeState(row["state"])
        state = dispute_after(before, _EVENTS[dispute.status])
        user_id, taken = payment["user_id"], dispute.amount.minor
        if state is not before and DisputeState.LOST in {before, state}:
            post = (
                postings.dispute_lost if state is DisputeState.LOST else postings.dispute_regained
            )
            operations.append(Record(post(claimed.id, user_id, currency, taken)))
        if state in _MONEY_MOVED and before not in _MONEY_MOVED:
            operations.append(
                OpenCase(
                    "payment_disputed",
                    payment["id"],
                    "The cardholder disputes this payment and the processor has taken the money. "
                    "Answer the dispute there before its time is over.",
                    "high",
                    {"dispute": dispute.reference, "amount": taken},
                )
            )
        kept = sum(movement.amount.minor for movement in dispute.movements)
        if state is DisputeState.CLOSED is not before and kept:
            operations.append(
                OpenCase(
                    "dispute_closed_short",
                    claimed.id,
                    "The dispute is closed without a loss, and what the processor took for it and "
                    "gave back is not the same. It is booked as disputed money: ask the processor.",
                    "high",
                )
            )
        now_ms = self._clock.now_ms()
        values: dict[str, Any] = {
            "payment_id": payment["id"],
            "state": state.value,
            "currency": dispute.amount.currency.code,
            "amount": dispute.amount.minor,
            "reason": dispute.reason,
            "posted": posted,
            "lookups": row["lookups"] + 1,
        }
        if state is not before:
            values["updated_at"] = now_ms
        known = bool(dispute.movements) or state is DisputeState.CLOSED
        fought = dispute.status is DisputeStatus.OPEN  # of one that was lost: it may be won yet
        over = state in _ENDED and known and not fought
        next_: Next | Done = DONE if over else Next(KIND, _LOOK_MS)
        change = Change(
            disputes,
            claimed.id,
            values=values,
            expect={"state": before.value},
            held=claimed.held,
            next=next_,
        )
        return [change, *operations]

    def _book(
        self, dispute_id: str, dispute: Dispute, movement: Movement, currency: str
    ) -> list[Operation]:
        """What one movement took or gave back, in the payment's currency, and its fee."""
        processor = self._cards.name
        amount = movement.amount.minor
        if amount and movement.amount.currency.code != currency:
            amount = dispute.amount.minor if amount > 0 else -dispute.amount.minor
        moved: list[Operation] = []
        if amount:
            entry = postings.dispute_moved(processor, dispute_id, currency, amount, movement)
            moved.append(Record(entry))
        if not postings.is_silent(currency, movement):
            moved.append(Record(postings.moved(processor, dispute_id, currency, amount, movement)))
        return moved

    async def _payment(self, dispute: Dispute) -> Row | None:
        intent, processor = dispute.intent, self._cards.name
        if intent is None:
            return None
        return await self._database.fetch(lambda c: payment_by_reference(c, processor, intent))

    def _unread(self, claimed: Claimed) -> list[Operation]:
        """A person is told of a dispute about which nothing can be learnt: what it took, and gave
        back, is not in the books meanwhile."""
        old = self._clock.now_ms() - claimed.row["updated_at"] >= _UNREAD_MS
        if not old or claimed.tries < _UNREAD_TIMES:
            return []
        return [
            OpenCase(
                "dispute_unread",
                claimed.id,
                "The processor has told nothing readable about this dispute for a day: it does not "
                "answer, or with a status that is not known here. Its money is not booked. Look it "
                "up there.",
                "high",
            )
        ]

    async def _later(self, claimed: Claimed, kept: list[Operation]) -> None:
        row = claimed.row
        age_ms = self._clock.now_ms() - row["updated_at"]
        wait_ms = scheduled_ms(
            row["lookups"], age_ms, self._rules.lookup_schedule_s, self._randomness
        )
        change = Change(
            disputes,
            claimed.id,
            values={"lookups": row["lookups"] + 1},
            held=claimed.held,
            next=Next(KIND, wait_ms),
            again=True,
        )
        await self._committer.commit(Unit([change, *kept]))
