"""Confirm: where webhook, poll and reconciliation all end. It asks the PSP by our reference.

Every answer is kept as an observation and led through the attempt's table; the payout follows.
Nothing here sends money.
"""

from __future__ import annotations

from typing import Any

from tidegate.cases.store import OpenCase
from tidegate.cases.unreadable import unreadable
from tidegate.clock import Clock, Randomness
from tidegate.db.committer import Committer
from tidegate.db.engine import Database
from tidegate.db.rows import DONE, Done, Next
from tidegate.errors import DataUnreadable, Stale
from tidegate.observability.subjects import about
from tidegate.payouts.balances import Float
from tidegate.payouts.circuit import Circuits
from tidegate.payouts.endings import Endings, our_fault
from tidegate.payouts.rules import Rules
from tidegate.payouts.sending import DUPLICATE, recorded
from tidegate.payouts.states import (
    CLOSED_ATTEMPT,
    AttemptEvent,
    AttemptState,
    State,
    attempt_after,
)
from tidegate.payouts.store import Journal, Row, attempts_of, evidence, payout_by_id
from tidegate.payouts.tables import attempts
from tidegate.ports.bank import Bank, Fault, NotFound, Outcome, OutcomeKind, Unavailable
from tidegate.wire.dialect import Dialect
from tidegate.work.backoff import exponential_ms, scheduled_ms
from tidegate.work.claim import Claimed
from tidegate.work.pace import Pace

__all__ = ["Confirm", "event_of", "mismatch"]

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
# A paid transfer is looked at again an hour and a day after it was paid (psp.md 3.7).
_LATER_LOOKS_MS = (_HOUR_MS, _DAY_MS)
_COOLING_STEP_MS = 60_000
_COOLING_LOOKS_MAX = 60
# A prompt about what is over is answered within minutes if the PSP can be asked; else hourly.
_TRIES_WHEN_OVER = 8
# The same bytes go out this often at most before a person looks.
_SENDS_MAX = 3
_WAS_PAID = frozenset({AttemptState.PAID, AttemptState.REVERSED})
# What is over stays over; a look-up that says otherwise is for a person.
_OVER = CLOSED_ATTEMPT | _WAS_PAID


def event_of(outcome: Outcome, attempt: Row) -> tuple[AttemptEvent, str | None]:
    """What a found transfer means for the attempt, and a sentence if a person must look. Pure.

    Figures that are not ours stop the line (psp.md 3.4); so do words that are never explained
    (``declined``) and reasons nobody knows.
    """
    wrong = mismatch(outcome, attempt)
    if wrong is not None:
        return AttemptEvent.HELD, wrong
    if outcome.hold is not None:
        return AttemptEvent.HELD, outcome.hold
    match outcome.kind:
        case OutcomeKind.SUCCEEDED:
            return AttemptEvent.PAID, None
        case OutcomeKind.PENDING:
            return AttemptEvent.TAKEN, None
        case OutcomeKind.FAILED | OutcomeKind.REJECTED:
            if AttemptState(attempt["state"]) in _WAS_PAID:
                # Whatever the reason: what was paid and failed since came back (psp.md 3.7).
                return AttemptEvent.REVERSED, None
            if outcome.fault in {None, Fault.UNKNOWN} and not outcome.ambiguous:
                return (
                    AttemptEvent.HELD,
                    f"The PSP says failed for a reason nobody knows: {outcome.reason_text!r}.",
                )
            if outcome.ambiguous:
                return AttemptEvent.FAILED_AMBIGUOUSLY, None
            return AttemptEvent.FAILED, None
        case OutcomeKind.UNKNOWN | OutcomeKind.NOT_SENT | OutcomeKind.DUPLICATE:
            return AttemptEvent.UNCLEAR, None


def mismatch(outcome: Outcome, attempt: Row) -> str | None:
    """Which figure of the PSP is not what was sent, in a sentence. Pure."""
    if outcome.reference != attempt["reference"]:
        return "The PSP shows another reference than ours."
    if outcome.amount is not None and (
        outcome.amount.minor != attempt["amount"]
        or outcome.amount.currency.code != attempt["currency"]
    ):
        return f"The PSP shows {outcome.amount}, not the amount that was sent."
    # An attempt whose recipient was erased has no account to compare with any more.
    sent_to = attempt["account_number"]
    if sent_to is not None and outcome.account_number not in {None, "", sent_to}:
        return "The PSP shows another account than the one that was sent."
    if outcome.bank_code not in {None, "", attempt["bank_code"]}:
        return "The PSP shows another bank than the one that was sent."
    return None


class Confirm:
    """The verb of attempts, one instance a PSP."""

    def __init__(
        self,
        database: Database,
        committer: Committer,
        clock: Clock,
        randomness: Randomness,
        rules: Rules,
        circuits: Circuits,
        float_: Float,
        endings: Endings,
        pace: Pace,
        bank: Bank,
    ) -> None:
        self._database = database
        self._committer = committer
        self._clock = clock
        self._randomness = randomness
        self._rules = rules
        self._circuits = circuits
        self._float = float_
        self._endings = endings
        self._pace = pace
        self._bank = bank

    async def __call__(self, claimed: Claimed) -> None:
        attempt = claimed.row
        await self._pace.turn()
        answer = await self._bank.lookup(attempt["reference"])
        if isinstance(answer, Unavailable):
            self._circuits.failed(self._bank.name)
        else:
            self._circuits.worked(self._bank.name)
        back = False
        if isinstance(answer, Outcome) and self._cooled(attempt):
            back = await self._float.debit_is_back(self._bank, attempt)
        for retry in range(4):
            payout, rows = await self._database.fetch(lambda c: _read(c, claimed.row["payout_id"]))
            about(order_id=payout["order_id"])
            if retry:
                attempt = next(row for row in rows if row["id"] == attempt["id"])
            journal = Journal(payout, self._clock, self._randomness)
            await self._decide(journal, attempt, rows, answer, claimed, back)
            try:
                await self._committer.commit(journal.unit)
                return
            except Stale:
                if retry == 3:
                    raise

    def _cooled(self, attempt: Row) -> bool:
        since = attempt["cooling_since"]
        cooling = AttemptState(attempt["state"]) is AttemptState.COOLING and since is not None
        return cooling and self._clock.now_ms() - since >= self._rules.cool_off_ms

    async def _decide(
        self,
        journal: Journal,
        attempt: Row,
        rows: list[Row],
        answer: Outcome | NotFound | Unavailable,
        claimed: Claimed,
        back: bool,
    ) -> None:
        """Write into ``journal`` what ``answer`` means for the attempt and its payout."""
        journal.exchanged([answer.exchange])
        looked: dict[str, Any] = {"lookups": attempt["lookups"] + 1}
        if attempt["state"] == AttemptState.SENDING:
            # Its sender died, and the call with it, at some time before the lease could be taken:
            # the window of not-founds begins here, as it does where a call was seen to end.
            looked["sent_at"] = self._clock.now_ms()
        if isinstance(answer, NotFound):
            journal.observe(attempt, "lookup", "not_found", {})
            self._not_found(journal, attempt, claimed, looked)
            return
        if isinstance(answer, Unavailable):
            if answer.misconfigured:
                sentence = "The PSP refuses our questions; no payout's end can be known meanwhile."
                journal.add(our_fault(attempt, sentence, {}))
            self._unclear(journal, attempt, claimed, looked, answer)
            return
        journal.observe(attempt, "lookup", answer.kind, evidence(answer))
        event, why = self._event_of(journal, answer, attempt)
        if event is AttemptEvent.FAILED_AMBIGUOUSLY and self._cooled(attempt):
            # It failed, failed still after the cool-off, and the debit is back (psp.md 3.6).
            if back:
                event = AttemptEvent.FAILED
            elif attempt["lookups"] > _COOLING_LOOKS_MAX + len(self._rules.lookup_schedule_s):
                event, why = AttemptEvent.HELD, "Failed, but the debit did not come back."
        before = AttemptState(attempt["state"])
        after = attempt_after(before, event)
        looked |= recorded(answer)
        lease, look_again = claimed.held, self._next_look(attempt, after)
        match after:
            case AttemptState.PAID if before is not AttemptState.PAID:
                self._endings.paid(journal, attempt, answer, lease, look_again, looked)
            case AttemptState.REVERSED if before is AttemptState.PAID:
                await self._endings.reversed(journal, attempt, event, lease, looked)
            case AttemptState.FAILED if before not in CLOSED_ATTEMPT:
                await self._endings.failed(journal, attempt, rows, answer, event, lease, looked)
            case AttemptState.HELD if before is not AttemptState.HELD:
                why = why or "It needs a person."
                self._endings.held(journal, attempt, event, lease, look_again, looked, why)
            case _ if after in CLOSED_ATTEMPT and event is AttemptEvent.PAID:
                await self._endings.paid_late(journal, attempt, answer, lease, looked)
            case _:
                if before in _OVER and after is before and event is AttemptEvent.HELD:
                    self._contradicted(journal, attempt, why or "It says something else now.")
                elif before is AttemptState.REVERSED and event is AttemptEvent.PAID:
                    self._contradicted(journal, attempt, "It says paid again.")
                self._waits(journal, attempt, event, after, claimed, looked)

    def _event_of(
        self, journal: Journal, answer: Outcome, attempt: Row
    ) -> tuple[AttemptEvent, str | None]:
        """The same with the account opened. One that does not open can be compared with nothing:
        a transfer that is still open is held, and of one that is over a person is told."""
        try:
            sent_to = self._database.cipher.plain(attempt, attempts.c.account_number)
        except DataUnreadable as broken:
            event, why = event_of(answer, {**attempt, "account_number": None})
            if AttemptState(attempt["state"]) not in _OVER:
                return AttemptEvent.HELD, broken.detail
            journal.add(unreadable(attempt["id"], broken))
            return event, why
        return event_of(answer, {**attempt, "account_number": sent_to})

    def _next_look(self, attempt: Row, after: AttemptState) -> Next | Done:
        """When the PSP is asked again."""
        kind = f"confirm:{self._bank.name}"
        now_ms = self._clock.now_ms()
        age_ms = now_ms - (attempt["sent_at"] or attempt["created_at"])
        if after in CLOSED_ATTEMPT or after is AttemptState.REVERSED:
            return DONE
        if after is AttemptState.PREPARED:
            return Next(f"send:{self._bank.name}", _COOLING_STEP_MS)
        if after is AttemptState.PAID:
            was_paid = attempt["state"] == AttemptState.PAID
            paid_at = (attempt["final_at"] or attempt["created_at"]) if was_paid else now_ms
            paid_ms = now_ms - paid_at
            left = [step for step in _LATER_LOOKS_MS if step > paid_ms]
            return Next(kind, left[0] - paid_ms + 1_000) if left else DONE
        if after is AttemptState.COOLING:
            cooling = attempt["state"] == AttemptState.COOLING
            since = (cooling and attempt["cooling_since"]) or now_ms
            until = since + self._rules.cool_off_ms - now_ms
            return Next(kind, max(until, min(_COOLING_STEP_MS, self._rules.cool_off_ms)))
        wait = scheduled_ms(
            attempt["lookups"] + 1, age_ms, self._rules.lookup_schedule_s, self._randomness
        )
        return Next(kind, wait)

    def _old_unknown(self, journal: Journal, attempt: Row) -> None:
        """A day without an end: asked hourly from now on, and a person is told."""
        if self._clock.now_ms() - attempt["created_at"] > _DAY_MS:
            journal.add(
                OpenCase(
                    "attempt_open_for_a_day",
                    attempt["id"],
                    "The PSP has not said for a day how this transfer ended. Ask it by the "
                    "reference; nothing else is sent meanwhile.",
                    "high",
                    {"reference": attempt["reference"], "psp": attempt["psp"]},
                )
            )

    def _unclear(
        self,
        journal: Journal,
        attempt: Row,
        claimed: Claimed,
        looked: dict[str, Any],
        failed: Unavailable | None = None,
    ) -> None:
        """Nothing was learnt. ``failed``: the PSP did not answer, which no prompt repeats."""
        after = attempt_after(AttemptState(attempt["state"]), AttemptEvent.UNCLEAR)
        look_again = self._next_look(attempt, after)
        soon = claimed.tries < _TRIES_WHEN_OVER
        again = (after is AttemptState.PAID and soon) or (after in _OVER and failed is not None)
        if again:
            # What prompted the question (a reversal, perhaps) is not answered yet.
            wait = exponential_ms(claimed.tries, self._randomness) if soon else _HOUR_MS
            look_again = Next(f"confirm:{self._bank.name}", wait)
        if isinstance(look_again, Next) and failed is not None and failed.retry_after_s:
            # Never before the time that the PSP asked for (psp.md 3.3), but for a webhook.
            asked_ms = min(round(failed.retry_after_s * 1000), _HOUR_MS)
            look_again = Next(look_again.kind, max(look_again.in_ms, asked_ms))
        journal.attempt(
            attempt,
            AttemptEvent.UNCLEAR,
            lease=claimed.held,
            next=look_again,
            again=again,
            **looked,
        )
        if after not in _OVER:
            self._old_unknown(journal, attempt)

    def _not_found(
        self, journal: Journal, attempt: Row, claimed: Claimed, looked: dict[str, Any]
    ) -> None:
        """Weak evidence: only many of them over the whole window let the same bytes go again."""
        state = AttemptState(attempt["state"])
        if state not in {AttemptState.SENDING, AttemptState.UNKNOWN}:
            self._unclear(journal, attempt, claimed, looked)
            return
        count = attempt["not_found"] + 1
        began_at = looked.get("sent_at") or attempt["sent_at"]
        since_ms = self._clock.now_ms() - began_at
        window_over = since_ms >= self._rules.not_found_window_ms
        again = count >= self._rules.not_found_count and window_over
        adopted = attempt["body"] is None  # found at the PSP once; there are no bytes to send again
        spent = attempt["sends"] >= _SENDS_MAX or attempt["reason_code"] == DUPLICATE
        if again and (spent or adopted):
            # Either the PSP swallows what it is sent, or it dislikes the reference itself.
            why = f"It was sent {attempt['sends']} times, and the PSP does not know it."
            look_again = self._next_look(attempt, AttemptState.HELD)
            looked["not_found"] = count
            self._endings.held(
                journal, attempt, AttemptEvent.HELD, claimed.held, look_again, looked, why
            )
            return
        step = self._next_look(attempt, AttemptState.UNKNOWN)
        if isinstance(step, Next) and not window_over:
            # One look right when the window closes, so that the wait is not longer than needed.
            closes = self._rules.not_found_window_ms - since_ms + 500
            step = Next(step.kind, min(step.in_ms, closes))
        journal.attempt(
            attempt,
            AttemptEvent.UNCLEAR,
            lease=claimed.held,
            next=Next(f"send:{self._bank.name}") if again else step,
            not_found=count,
            **looked,
        )
        self._old_unknown(journal, attempt)

    def _waits(
        self,
        journal: Journal,
        attempt: Row,
        event: AttemptEvent,
        after: AttemptState,
        claimed: Claimed,
        looked: dict[str, Any],
    ) -> None:
        """Nothing ends here: ask again in time, tell *pending* if nobody has yet."""
        if after is AttemptState.COOLING and attempt["state"] != AttemptState.COOLING:
            looked["cooling_since"] = self._clock.now_ms()
        journal.attempt(
            attempt, event, lease=claimed.held, next=self._next_look(attempt, after), **looked
        )
        if after not in _OVER:
            self._old_unknown(journal, attempt)
        if after in {AttemptState.PENDING, AttemptState.COOLING}:
            payout = journal.payout
            if (
                payout["dialect"] == Dialect.LIVE
                and not payout["told_pending_at"]
                and State(payout["state"]) is State.PROCESSING
                and payout["round"] == attempt["round"]
            ):
                journal.due(Next("report"))

    def _contradicted(self, journal: Journal, attempt: Row, why: str) -> None:
        journal.add(
            OpenCase(
                "attempt_contradicted",
                attempt["id"],
                f"The PSP contradicts what it said of this transfer before. {why}",
                "high",
                {
                    "reference": attempt["reference"],
                    "psp": attempt["psp"],
                    "state": attempt["state"],
                },
            )
        )


def _read(connection: Any, payout_id: str) -> tuple[Row, list[Row]]:
    payout = payout_by_id(connection, payout_id)
    assert payout is not None  # by foreign key
    return payout, attempts_of(connection, payout_id)
