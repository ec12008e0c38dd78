"""Confirm: where webhook, poll and reconciliation all end. It asks the PSP by our reference.

Every answer is kept as an observation and led through the attempt's table; the payout follows.
Nothing here sends money.
"""

from __future__ import annotations

from typing import Any

from tidegate.cases.store import OpenCase
from tidegate.clock import Clock, Randomness
from tidegate.db.committer import Committer
from tidegate.db.engine import Database
from tidegate.db.rows import DONE, Change, Done, Next
from tidegate.errors import Stale
from tidegate.ledger.book import Record
from tidegate.payouts.balances import Float
from tidegate.payouts.circuit import Circuits
from tidegate.payouts.conclude import go_on, states_of
from tidegate.payouts.facts import FactsReader
from tidegate.payouts.postings import FloatAccounts, paid, paid_late, returned
from tidegate.payouts.rules import Rules
from tidegate.payouts.sending import recorded
from tidegate.payouts.states import (
    CLOSED_ATTEMPT,
    AttemptEvent,
    AttemptState,
    Event,
    State,
    attempt_after,
)
from tidegate.payouts.store import Journal, Row, attempts_of, evidence, payout_by_id
from tidegate.payouts.tables import attempts
from tidegate.ports.bank import Bank, Fault, NotFound, Outcome, OutcomeKind, Unavailable
from tidegate.wire.dialect import Dialect
from tidegate.work.backoff import scheduled_ms
from tidegate.work.claim import Claimed
from tidegate.work.pace import Pace

__all__ = ["Confirm", "event_of"]

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
# A paid transfer is looked at again after an hour and after a day (psp.md 3.7).
_LATER_LOOKS_MS = (_HOUR_MS, _DAY_MS)
_COOLING_STEP_MS = 60_000
_COOLING_LOOKS_MAX = 60
_WAS_PAID = frozenset({AttemptState.PAID, AttemptState.REVERSED})
# What is over stays over; a look-up that says otherwise is for a person.
_OVER = CLOSED_ATTEMPT | _WAS_PAID


def event_of(outcome: Outcome, attempt: Row) -> tuple[AttemptEvent, str | None]:
    """What a found transfer means for the attempt, and a sentence if a person must look. Pure.

    Figures that are not ours stop the line (psp.md 3.4); so do words that are never explained
    (``declined``) and reasons nobody knows.
    """
    wrong = _mismatch(outcome, attempt)
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


def _mismatch(outcome: Outcome, attempt: Row) -> str | None:
    if outcome.reference != attempt["reference"]:
        return "The PSP shows another reference than ours."
    if outcome.amount is not None and (
        outcome.amount.minor != attempt["amount"]
        or outcome.amount.currency.code != attempt["currency"]
    ):
        return f"The PSP shows {outcome.amount}, not the amount that was sent."
    if outcome.account_number not in {None, "", attempt["account_number"]}:
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
        facts: FactsReader,
        circuits: Circuits,
        float_: Float,
        pace: Pace,
        bank: Bank,
    ) -> None:
        self._database = database
        self._committer = committer
        self._clock = clock
        self._randomness = randomness
        self._rules = rules
        self._facts = facts
        self._circuits = circuits
        self._float = float_
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
        if (
            isinstance(answer, Outcome)
            and AttemptState(attempt["state"]) is AttemptState.COOLING
            and self._cooled(attempt)
        ):
            back = await self._float.debit_is_back(self._bank, attempt)
        for retry in range(4):
            payout, rows = await self._database.fetch(lambda c: _read(c, claimed.row["payout_id"]))
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
        return since is not None and self._clock.now_ms() - since >= self._rules.cool_off_ms

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
        looked = {"lookups": attempt["lookups"] + 1}
        if isinstance(answer, NotFound):
            journal.observe(attempt, "lookup", "not_found", {})
            self._not_found(journal, attempt, claimed, looked)
            return
        if isinstance(answer, Unavailable):
            if answer.misconfigured:
                sentence = "The PSP refuses our questions; no payout's end can be known meanwhile."
                journal.add(_our_fault(attempt, sentence, {}))
            self._unclear(journal, attempt, claimed, looked)
            return
        journal.observe(attempt, "lookup", answer.kind, evidence(answer))
        event, why = event_of(answer, attempt)
        if event is AttemptEvent.FAILED_AMBIGUOUSLY and self._cooled(attempt):
            if back:
                event = AttemptEvent.FAILED
            elif attempt["lookups"] > _COOLING_LOOKS_MAX + len(self._rules.lookup_schedule_s):
                event, why = AttemptEvent.HELD, "Failed, but the debit did not come back."
        before = AttemptState(attempt["state"])
        after = attempt_after(before, event)
        looked |= recorded(answer)
        match after:
            case AttemptState.PAID if before is not AttemptState.PAID:
                self._paid(journal, attempt, answer, claimed, looked)
            case AttemptState.REVERSED if before is AttemptState.PAID:
                await self._reversed(journal, attempt, event, claimed, looked)
            case AttemptState.FAILED if before not in CLOSED_ATTEMPT:
                await self._failed(journal, attempt, rows, answer, event, claimed, looked)
            case AttemptState.HELD if before is not AttemptState.HELD:
                self._held(journal, attempt, event, claimed, looked, why or "It needs a person.")
            case AttemptState.FAILED | AttemptState.REJECTED if event is AttemptEvent.PAID:
                await self._paid_late(journal, attempt, rows, answer, claimed, looked)
            case _:
                if before in _OVER and after is before and event is AttemptEvent.HELD:
                    self._contradicted(journal, attempt, why or "It says something else now.")
                elif before is AttemptState.REVERSED and event is AttemptEvent.PAID:
                    self._contradicted(journal, attempt, "It says paid again.")
                self._waits(journal, attempt, event, after, claimed, looked)

    def _next_look(self, attempt: Row, after: AttemptState) -> Next | Done:
        """When the PSP is asked again."""
        kind = f"confirm:{self._bank.name}"
        age_ms = self._clock.now_ms() - (attempt["sent_at"] or attempt["created_at"])
        if after in CLOSED_ATTEMPT or after is AttemptState.REVERSED:
            return DONE
        if after is AttemptState.PAID:
            left = [step for step in _LATER_LOOKS_MS if step > age_ms]
            return Next(kind, left[0] - age_ms + 1_000) if left else DONE
        if after is AttemptState.COOLING:
            since = attempt["cooling_since"] or self._clock.now_ms()
            until = since + self._rules.cool_off_ms - self._clock.now_ms()
            return Next(kind, max(until, min(_COOLING_STEP_MS, self._rules.cool_off_ms)))
        wait = scheduled_ms(
            attempt["lookups"] + 1, age_ms, self._rules.lookup_schedule_s, self._randomness
        )
        return Next(kind, wait)

    def _old_unknown(self, journal: Journal, attempt: Row) -> None:
        """A day without an end: asked hourly from now on, and a person is told."""
        age_ms = self._clock.now_ms() - (attempt["sent_at"] or attempt["created_at"])
        if age_ms > _DAY_MS:
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
        self, journal: Journal, attempt: Row, claimed: Claimed, looked: dict[str, Any]
    ) -> None:
        after = attempt_after(AttemptState(attempt["state"]), AttemptEvent.UNCLEAR)
        journal.attempt(
            attempt,
            AttemptEvent.UNCLEAR,
            lease=claimed.held,
            next=self._next_look(attempt, after),
            **looked,
        )
        if after not in {AttemptState.PAID, *CLOSED_ATTEMPT}:
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
        since_ms = self._clock.now_ms() - attempt["sent_at"]
        window_over = since_ms >= self._rules.not_found_window_ms
        again = count >= self._rules.not_found_count and window_over
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
        if after is AttemptState.COOLING and attempt["cooling_since"] is None:
            looked["cooling_since"] = self._clock.now_ms()
        journal.attempt(
            attempt, event, lease=claimed.held, next=self._next_look(attempt, after), **looked
        )
        if after in {AttemptState.PENDING, AttemptState.COOLING}:
            self._old_unknown(journal, attempt)
            payout = journal.payout
            if (
                payout["dialect"] == Dialect.LIVE
                and payout["told_pending_at"] is None
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

    def _paid(
        self,
        journal: Journal,
        attempt: Row,
        outcome: Outcome,
        claimed: Claimed,
        looked: dict[str, Any],
    ) -> None:
        """Post the entries, in the transaction of the state."""
        payout = journal.payout
        fee = outcome.fee.minor if outcome.fee else 0
        now_ms = self._clock.now_ms()
        journal.attempt(
            attempt,
            AttemptEvent.PAID,
            lease=claimed.held,
            next=self._next_look(attempt, AttemptState.PAID),
            **{**looked, "fee": fee, "final_at": now_ms},
        )
        at = FloatAccounts(attempt["psp"], attempt["currency"])
        entry = paid(
            at,
            payout["id"],
            attempt["id"],
            amount=attempt["amount"],
            fee=fee,
            held=attempt["held"],
        )
        journal.add(Record(entry))
        if attempt["amount"] + fee > attempt["held"]:
            journal.add(
                OpenCase(
                    "fee_above_expectation",
                    f"{attempt['psp']}:{attempt['currency']}",
                    "The PSP charged more than the highest expected fee. Raise LENCO_MAX_FEE (or "
                    "ask the PSP); the excess was booked against suspense.",
                    "medium",
                    {"attempt": attempt["id"], "fee": fee},
                )
            )
        journal.move(
            Event.PAID,
            next=Next("report"),
            detail={"psp": attempt["psp"], "reference": attempt["reference"]},
            held=0,
            paid_ever=True,
            psp_id=outcome.psp_id or attempt["psp_id"],
            paid_at=now_ms,
        )

    async def _paid_late(
        self,
        journal: Journal,
        attempt: Row,
        rows: list[Row],
        outcome: Outcome,
        claimed: Claimed,
        looked: dict[str, Any],
    ) -> None:
        """A transfer that had ended unpaid was paid after all: a fact, with a case."""
        payout = journal.payout
        journal.attempt(attempt, AttemptEvent.PAID, lease=claimed.held, next=DONE, **looked)
        known = any(row["id"] == attempt["id"] and row["fee"] is not None for row in rows)
        if known:
            return  # recorded before; the observation is the news
        fee = outcome.fee.minor if outcome.fee else 0
        unexplained = await self._float.unexplained(attempt["psp"], attempt["currency"])
        journal.add(
            Change(attempts, attempt["id"], values={"fee": fee}),
            Record(
                paid_late(
                    FloatAccounts(attempt["psp"], attempt["currency"]),
                    payout["id"],
                    attempt["id"],
                    amount=attempt["amount"],
                    fee=fee,
                    missed=min(unexplained.missing, attempt["amount"] + fee),
                )
            ),
            unexplained.changed,
            OpenCase(
                "paid_after_failure",
                payout["id"],
                "A transfer that the PSP called failed for certain was paid after all. The success "
                "is reported; check at the aggregator whether somebody else paid too.",
                "high",
                {"reference": attempt["reference"], "psp": attempt["psp"]},
            ),
        )
        state = State(payout["state"])
        report = state not in {
            State.FULFILLED,
            State.PAID,
            State.HELD,
            State.PROCESSING,
            State.ACCEPTED,
            State.ACCEPTING,
        }
        journal.move(
            Event.PAID_LATE,
            next=Next("report") if report else None,
            detail={"reference": attempt["reference"]},
            paid_ever=True,
            psp_id=outcome.psp_id or attempt["psp_id"],
            # A fresh offer has to be accepted first: only the owner's success is taken.
            accept_first=bool(payout["accept_first"]) or state is State.PENDING,
        )

    async def _reversed(
        self,
        journal: Journal,
        attempt: Row,
        event: AttemptEvent,
        claimed: Claimed,
        looked: dict[str, Any],
    ) -> None:
        """The money came back after it was paid: a debt to the recipient, not a failed order."""
        payout = journal.payout
        journal.attempt(attempt, event, lease=claimed.held, next=DONE, **looked)
        unexplained = await self._float.unexplained(attempt["psp"], attempt["currency"])
        journal.add(
            Record(
                returned(
                    FloatAccounts(attempt["psp"], attempt["currency"]),
                    payout["id"],
                    attempt["id"],
                    amount=attempt["amount"],
                    explained=min(unexplained.surplus, attempt["amount"]),
                )
            ),
            unexplained.changed,
            OpenCase(
                "payout_reversed",
                payout["id"],
                "A paid transfer was reversed by the PSP. The recipient is owed the amount; pay "
                "again only as a new payout that a person approves.",
                "high",
                {"reference": attempt["reference"], "psp": attempt["psp"]},
            ),
        )
        journal.move(Event.REVERSED, detail={"reference": attempt["reference"]})

    async def _failed(
        self,
        journal: Journal,
        attempt: Row,
        rows: list[Row],
        outcome: Outcome,
        event: AttemptEvent,
        claimed: Claimed,
        looked: dict[str, Any],
    ) -> None:
        journal.attempt(
            attempt,
            event,
            lease=claimed.held,
            next=DONE,
            **{**looked, "final_at": self._clock.now_ms()},
        )
        if outcome.fault is Fault.OURS:
            self._circuits.rest(self._bank.name)
            said = {"code": outcome.reason_code, "text": outcome.reason_text}
            journal.add(_our_fault(attempt, "The PSP failed a transfer for our reason.", said))
        others = states_of(attempt["round"], [row for row in rows if row["id"] != attempt["id"]])
        go_on(
            journal,
            rounds_attempts=[*others, (attempt["psp"], AttemptState.FAILED)],
            fault=outcome.fault,
            code=outcome.reason_code or "PSP_ERROR",
            why=outcome.reason_text or "The PSP could not make the transfer.",
            facts=await self._facts.now(),
            rules=self._rules,
        )

    def _held(
        self,
        journal: Journal,
        attempt: Row,
        event: AttemptEvent,
        claimed: Claimed,
        looked: dict[str, Any],
        why: str,
    ) -> None:
        journal.attempt(
            attempt,
            event,
            lease=claimed.held,
            next=self._next_look(attempt, AttemptState.HELD),
            **looked,
        )
        if State(journal.payout["state"]) is State.PROCESSING:
            tell = (
                journal.payout["dialect"] == Dialect.LIVE
                and journal.payout["told_pending_at"] is None
            )
            journal.move(
                Event.HELD,
                next=Next("report") if tell else DONE,
                reason_code="HELD",
                reason_text=why,
            )
        journal.add(
            OpenCase(
                "payout_held",
                journal.payout["id"],
                f"{why} Find the transfer at the PSP before anything is decided.",
                "high",
                {"reference": attempt["reference"], "psp": attempt["psp"]},
            )
        )


def _our_fault(attempt: Row, why: str, data: dict[str, Any]) -> OpenCase:
    return OpenCase(
        "psp_refuses_us",
        f"{attempt['psp']}:{attempt['currency']}",
        f"{why} Check float, limits and credentials.",
        "high",
        data,
    )


def _read(connection: Any, payout_id: str) -> tuple[Row, list[Row]]:
    payout = payout_by_id(connection, payout_id)
    assert payout is not None  # by foreign key
    return payout, attempts_of(connection, payout_id)
