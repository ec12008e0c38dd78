"""When a payment is looked at again, and when a person is told that it takes too long."""

from __future__ import annotations

from tidegate.cases.store import OpenCase
from tidegate.clock import Clock, Randomness
from tidegate.db.rows import DONE, Done, Next
from tidegate.payments.rules import PaymentRules
from tidegate.payments.states import ENDED, State
from tidegate.payments.store import Journal, Row
from tidegate.work.backoff import aged_ms, exponential_ms, scheduled_ms

__all__ = ["FEE_MS", "KIND", "Agenda", "fee_wait_ms"]

KIND = "pay"
"""The kind of work of a payment."""

_DAY_MS = 86_400_000
# A captured payment is looked at for its fee until then; after that a person is told.
FEE_MS = 7 * _DAY_MS
_FEE_FIRST_MS = 30_000
_FEE_MOST_MS = 6 * 3_600_000


def fee_wait_ms(age_ms: int, randomness: Randomness) -> int:
    """The wait before the processor is asked again how it booked what ended ``age_ms`` ago."""
    return aged_ms(age_ms, randomness, first_ms=_FEE_FIRST_MS, most_ms=_FEE_MOST_MS)


class Agenda:
    """Notes the look and the case in the journal; the caller commits."""

    def __init__(self, clock: Clock, randomness: Randomness, rules: PaymentRules) -> None:
        self._clock = clock
        self._randomness = randomness
        self._rules = rules

    def open(
        self, journal: Journal, tries: int, *, not_sent: bool, was_due_in_ms: int | None
    ) -> Next:
        """Nothing is known of the last step: on the contract's schedule, and after a day a case.

        What has certainly not been sent needs no look, only another try, sooner. What a client's
        request looked at out of turn (``was_due_in_ms``) keeps its place in the schedule, or
        whoever asks often would put off the looks that do not depend on asking.
        """
        row, age_ms = journal.row, self._age_ms(journal.row)
        if age_ms >= _DAY_MS:
            journal.add(
                OpenCase(
                    "payment_unknown",
                    row["id"],
                    "The processor has not told for a day what became of this payment. Look it "
                    "up there by its id, then resolve it.",
                    "high",
                )
            )
        wait_ms = was_due_in_ms
        if wait_ms is None:
            schedule = self._rules.lookup_schedule_s
            wait_ms = scheduled_ms(row["lookups"], age_ms, schedule, self._randomness)
            journal.set(lookups=row["lookups"] + 1)
        if not_sent:
            wait_ms = min(wait_ms, exponential_ms(tries, self._randomness, first_ms=1_000))
        return Next(KIND, wait_ms)

    def at_rest(self, journal: Journal) -> Next | Done:
        """It waits for its client or the processor, or has ended: the net under the webhooks."""
        row, state = journal.row, journal.state
        age_ms = self._age_ms(row)
        journal.set(lookups=row["lookups"] + 1)
        if state is State.SUCCEEDED and row["movement"] is None:
            if age_ms >= FEE_MS:
                journal.add(
                    OpenCase(
                        "payment_fee_unknown",
                        row["id"],
                        "The processor has not told its fee for this payment for a week.",
                        "low",
                    )
                )
                return DONE
            return Next(KIND, fee_wait_ms(age_ms, self._randomness))
        if state in ENDED:
            return DONE
        schedule = self._rules.lookup_schedule_s
        return Next(KIND, scheduled_ms(row["lookups"], age_ms, schedule, self._randomness))

    def is_abandoned(self, row: Row) -> bool:
        """Its client was to act, and has not for a long time."""
        waiting = State(row["state"]) in {State.REQUIRES_PAYMENT_METHOD, State.REQUIRES_ACTION}
        return waiting and self._age_ms(row) >= self._rules.abandoned_after_ms

    def is_too_late(self, row: Row) -> bool:
        """The charge could not be begun for a day: nobody expects it any more. Only what has
        certainly not been sent can be given up like this."""
        unsent = State(row["state"]) is State.CREATED or (
            State(row["state"]) is State.CONFIRMING and row["sent_at"] is None
        )
        return unsent and self._clock.now_ms() - row["created_at"] >= _DAY_MS

    def _age_ms(self, row: Row) -> int:
        """How long the payment has been in its state."""
        age_ms: int = self._clock.now_ms() - row["updated_at"]
        return age_ms
