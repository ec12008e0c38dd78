"""What the processor's refund means: the refund's state, the payment's sums, entries, the story."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from tidegate.cases.store import OpenCase
from tidegate.clock import Clock, Randomness
from tidegate.db.committer import Committer, Operation, Unit
from tidegate.db.engine import Database
from tidegate.db.exchanges import Exchange, exchange_row
from tidegate.db.rows import DONE, Change, Done, Insert, Next
from tidegate.errors import Stale, WriteRefused
from tidegate.ledger.book import Record
from tidegate.ledger.entry import Entry
from tidegate.payments import postings
from tidegate.payments.agenda import FEE_MS, fee_wait_ms
from tidegate.payments.answers import refund_answer
from tidegate.payments.rules import PaymentRules
from tidegate.payments.states import RefundEvent, RefundState, refund_after
from tidegate.payments.store import Journal, Row, payment_by_id, store_answer
from tidegate.payments.tables import refunds
from tidegate.payments.view import refund_view
from tidegate.ports.cards import Movement, Refund, RefundStatus
from tidegate.work.backoff import scheduled_ms
from tidegate.work.claim import Claimed

__all__ = ["KIND", "RefundOutcome"]

KIND = "refund"
"""The kind of work of a refund."""

# Other refunds of the payment may be committed between reading its row and writing.
_TRIES = 20
_PAUSE_S = 0.05

_EVENTS = {
    RefundStatus.PENDING: RefundEvent.TAKEN,
    RefundStatus.SUCCEEDED: RefundEvent.SUCCEEDED,
    RefundStatus.FAILED: RefundEvent.FAILED,
}


class RefundOutcome:
    """Commits it, on the payment as it is then, and ends the verb's lease."""

    def __init__(
        self,
        database: Database,
        committer: Committer,
        clock: Clock,
        randomness: Randomness,
        rules: PaymentRules,
    ) -> None:
        self._database = database
        self._committer = committer
        self._clock = clock
        self._randomness = randomness
        self._rules = rules

    async def refused(
        self,
        claimed: Claimed,
        row: Row,
        why: str,
        said: Sequence[Exchange],
        cases: Sequence[OpenCase],
    ) -> Row:
        """The processor refused for certain: what was set aside goes back."""
        values = self._moved(row, RefundEvent.FAILED, why)
        return await self._commit(claimed, row, values, [*cases], said, refused=True)

    async def learnt(
        self, claimed: Claimed, row: Row, refund: Refund, said: Sequence[Exchange]
    ) -> Row:
        """The processor's refund as it stands."""
        values = self._moved(row, _EVENTS[refund.status], refund.failure)
        values["processor_reference"] = refund.reference
        operations: list[Operation] = []
        for name, movement, amount in (
            ("movement", refund.movement, -row["amount"]),
            ("returned", refund.returned, row["amount"]),
        ):
            if movement is not None and row[name] is None:
                values[name] = movement.reference
                operations += _booked(row, movement, amount)
        late = row["state"] == RefundState.FAILED and values["state"] == RefundState.SUCCEEDED
        if late:
            operations.append(
                OpenCase(
                    "refund_late_success",
                    row["id"],
                    "The refund had failed here and its client was told so, and the money left "
                    "after all. It is booked: compare the payment's refunds with the processor.",
                    "high",
                )
            )
        return await self._commit(claimed, row, values, operations, said)

    def _moved(self, row: Row, event: RefundEvent, failure: str | None) -> dict[str, Any]:
        before = RefundState(row["state"])
        state = refund_after(before, event)
        values: dict[str, Any] = {"state": state.value}
        if state is not before:
            values |= {"updated_at": self._clock.now_ms(), "lookups": 0}
            if state is RefundState.FAILED:
                values["failure"] = failure or "The processor gave no reason."
        return values

    async def _commit(
        self,
        claimed: Claimed,
        row: Row,
        values: dict[str, Any],
        operations: list[Operation],
        said: Sequence[Exchange],
        *,
        refused: bool = False,
    ) -> Row:
        after = {**row, **values}
        answer = refund_answer(after, refused=refused)
        if row["asked_by"] is not None and answer is not None:
            operations.append(store_answer(row["asked_by"], answer))
            values["asked_by"] = None
        next_ = self._next(after, operations)
        if not isinstance(next_, Done):
            values["lookups"] = after["lookups"] + 1
        change = Change(
            refunds,
            row["id"],
            values=values,
            expect={"state": row["state"]},
            held=claimed.held,
            next=next_,
        )
        kept = [exchange_row(row["id"], each, self._randomness) for each in said]
        before, state = RefundState(row["state"]), RefundState(values["state"])
        if state is before:
            await self._committer.commit(Unit([change, *operations, *kept]))
            return after

        def about(payment: Row) -> Unit:
            journal = Journal(payment, self._clock, self._randomness)
            journal.add(change, *operations, *kept)
            for entry in _settle(journal, before, state, row):
                journal.add(Record(entry))
            if state in {RefundState.SUCCEEDED, RefundState.FAILED}:
                journal.announce(f"refund.{state}", refund_view(after))
            return journal.unit()

        try:
            await self._on_payment(row["payment_id"], about)
        except Stale:
            await self._let_go(claimed, kept)
            raise
        return after

    async def _let_go(self, claimed: Claimed, kept: Sequence[Insert]) -> None:
        """Too many were at the payment, or the lease is lost: what was heard is kept as evidence,
        and whoever comes next asks again, now."""
        give_back = Change(refunds, claimed.id, held=claimed.held, next=Next(KIND), again=True)
        for unit in (Unit([give_back, *kept]), Unit([*kept])):
            with suppress(Stale):
                await self._committer.commit(unit)
                return

    async def _on_payment(self, payment_id: str, about: Callable[[Row], Unit]) -> None:
        """Commit a unit about the payment; when its row moved on meanwhile, read and try again."""
        for tries_left in reversed(range(_TRIES)):
            payment = await self._database.fetch(lambda c: payment_by_id(c, payment_id))
            assert payment is not None  # a foreign key
            try:
                await self._committer.commit(about(payment))
            except Stale:
                if not tries_left:
                    raise
                # Not in step with the others who try.
                await self._clock.sleep(_PAUSE_S * self._randomness.uniform(0.5, 1.5))
            else:
                return

    def _next(self, row: Row, operations: list[Operation]) -> Next | Done:
        """When the processor is asked again: until the refund has ended and its money is booked."""
        state = RefundState(row["state"])
        age_ms = self._clock.now_ms() - row["updated_at"]
        if state is RefundState.SUCCEEDED and row["movement"] is None:
            if age_ms >= FEE_MS:
                operations.append(
                    OpenCase(
                        "refund_movement_unknown",
                        row["id"],
                        "The processor has not told for a week how it booked this refund.",
                        "low",
                    )
                )
                return DONE
            return Next(KIND, fee_wait_ms(age_ms, self._randomness))
        if state in {RefundState.SUCCEEDED, RefundState.FAILED}:
            return DONE
        schedule = self._rules.lookup_schedule_s
        return Next(KIND, scheduled_ms(row["lookups"], age_ms, schedule, self._randomness))


def _booked(row: Row, movement: Movement, amount: int) -> list[Operation]:
    if postings.is_silent(row["currency"], movement):
        return []
    entry = postings.moved(row["processor"], row["id"], row["currency"], amount, movement)
    return [Record(entry)]


def _settle(journal: Journal, before: RefundState, state: RefundState, row: Row) -> list[Entry]:
    """Move the payment's sums; the entries of the refund's step."""
    amount, currency, processor = row["amount"], row["currency"], row["processor"]
    user_id, payment = row["user_id"], journal.row
    match before, state:
        case ((RefundState.ASKING | RefundState.PENDING), RefundState.SUCCEEDED):
            journal.set(
                amount_refunding=payment["amount_refunding"] - amount,
                amount_refunded=payment["amount_refunded"] + amount,
            )
            return [postings.refund_succeeded(processor, row["id"], currency, amount)]
        case ((RefundState.ASKING | RefundState.PENDING), RefundState.FAILED):
            journal.set(amount_refunding=payment["amount_refunding"] - amount)
            return [postings.refund_released(user_id, row["id"], currency, amount)]
        case RefundState.SUCCEEDED, RefundState.FAILED:
            journal.set(amount_refunded=payment["amount_refunded"] - amount)
            return [postings.refund_returned(processor, user_id, row["id"], currency, amount)]
        case RefundState.FAILED, RefundState.SUCCEEDED:
            taken = payment["amount_refunded"] + payment["amount_refunding"]
            if taken + amount > payment["amount_captured"]:
                # The processor gives back no more than it took: another one of ours is on its way
                # to be refused there, and is released then.
                raise WriteRefused("The payment's other refunds leave no room for this one yet.")
            journal.set(amount_refunded=payment["amount_refunded"] + amount)
            return [postings.refund_late(processor, user_id, row["id"], currency, amount)]
    return []
