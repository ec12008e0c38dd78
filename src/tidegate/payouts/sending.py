"""The one call that moves money, and the meaning of its outcome.

Shared by *disburse* (a new attempt, under the payout's lease) and *send* (the same bytes again,
under the attempt's lease). The attempt is committed as *sending* before :meth:`Sender.send`.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from tidegate.cases.store import OpenCase
from tidegate.clock import Clock, Randomness
from tidegate.db.committer import Committer, Unit
from tidegate.db.engine import Database
from tidegate.db.rows import DONE, FIRST_FENCE, Change, Held, Next
from tidegate.errors import FloorBroken, Stale
from tidegate.payouts.circuit import Circuits
from tidegate.payouts.conclude import go_on
from tidegate.payouts.facts import FactsReader
from tidegate.payouts.policy import Facts
from tidegate.payouts.rules import Rules
from tidegate.payouts.states import AttemptEvent, AttemptState, Event
from tidegate.payouts.store import Journal, Row, attempts_of, evidence, payout_by_id
from tidegate.payouts.tables import attempts
from tidegate.ports.bank import Bank, Fault, Outcome, OutcomeKind
from tidegate.wire.dialect import Dialect
from tidegate.work.backoff import exponential_ms, scheduled_ms
from tidegate.work.claim import Claimed, cut_inner

__all__ = ["DUPLICATE", "Sender", "Turn", "recorded"]

# A sending attempt is looked up when its call must long be over.
_SENDING_GRACE_MS = 5_000
_RACES = 3

# An attempt's ``reason_code`` while all that is known is that its reference is taken.
DUPLICATE = "duplicate_reference"


@dataclass(frozen=True, slots=True)
class Turn:
    """What one send is about.

    ``claimed`` is the payout's row, or the attempt's own when ``own``. ``earlier`` are (PSP,
    state) of the round's attempts before this one.
    """

    payout: Row
    attempt: Row
    claimed: Claimed
    own: bool
    earlier: tuple[tuple[str, AttemptState], ...]

    @property
    def attempt_lease(self) -> Held:
        """The attempt's own lease: claimed for a resend, else inserted with it."""
        return self.claimed.held if self.own else Held(FIRST_FENCE, 0)

    @property
    def payout_lease(self) -> Held | None:
        return None if self.own else self.claimed.held

    @property
    def maybe_sent_before(self) -> bool:
        """An earlier send of the same bytes may have arrived."""
        return bool(self.attempt["maybe_sent"])


class Sender:
    """Sends attempts to one PSP."""

    def __init__(
        self,
        database: Database,
        committer: Committer,
        clock: Clock,
        randomness: Randomness,
        rules: Rules,
        facts: FactsReader,
        circuits: Circuits,
        bank: Bank,
    ) -> None:
        self._database = database
        self._committer = committer
        self._clock = clock
        self._randomness = randomness
        self._rules = rules
        self._facts = facts
        self._circuits = circuits
        self._bank = bank

    @property
    def look_up_at_last(self) -> Next:
        """When somebody looks after an attempt whose sender died."""
        wait_ms = round(self._bank.capabilities().submit_timeout_s * 1000) + _SENDING_GRACE_MS
        return Next(f"confirm:{self._bank.name}", wait_ms)

    def admitted(self) -> bool:
        """May a transfer go to this PSP now? After it refused us, one goes first."""
        return self._circuits.admits(self._bank.name, self.look_up_at_last.in_ms / 1000)

    async def send(self, turn: Turn) -> None:
        """Make the one call and commit what came of it."""
        outcome: Outcome | None = None
        if turn.claimed.covers(self._bank.capabilities().submit_timeout_s):
            attempt = turn.attempt
            try:
                outcome = await self._bank.submit(attempt["reference"], bytes(attempt["body"]))
            except asyncio.CancelledError:  # the process stops: as unknown as a lost answer
                await self._torn_off(turn)
                raise
            self._judge(outcome)
        # Otherwise it is too late under this lease: provably not sent.
        self._circuits.tried(self._bank.name)
        for left in reversed(range(_RACES)):
            journal = self._outcome(turn, outcome, await self._facts.now())
            try:
                await self._committer.commit(journal.unit)
                return
            except FloorBroken:
                self._facts.forget()  # the other PSP's float was taken meanwhile: decide again
            except Stale:
                turn = await self._again(turn)
                sending = AttemptState(turn.attempt["state"]) is AttemptState.SENDING
                if not sending or not left:
                    # A look-up was quicker, or the lease is somebody else's by now. The evidence
                    # is kept; the table has said the rest, or the next look-up does.
                    await self._keep_as_evidence(turn, outcome)
                    return
        # The float moved under every decision: what the PSP said is kept; a look-up goes on.
        await self._keep_as_evidence(turn, outcome)

    async def _torn_off(self, turn: Turn) -> None:
        """Let somebody look after the attempt soon, not when its sender's lease would be over."""
        if not turn.own:  # else its lease is the turn's
            soon = cut_inner(turn.claimed, attempts, turn.attempt["id"], FIRST_FENCE)
            with suppress(Exception):  # else the lease ends by itself
                await self._committer.commit(Unit([soon]))

    async def _again(self, turn: Turn) -> Turn:
        payout_id = turn.payout["id"]
        rows = await self._database.fetch(lambda c: attempts_of(c, payout_id))
        payout = await self._database.fetch(lambda c: payout_by_id(c, payout_id))
        assert payout is not None  # payouts are never deleted
        attempt = next(row for row in rows if row["id"] == turn.attempt["id"])
        return replace(turn, payout=payout, attempt=attempt)

    async def _keep_as_evidence(self, turn: Turn, outcome: Outcome | None) -> None:
        journal = Journal(turn.payout, self._clock, self._randomness)
        if outcome is not None:
            journal.exchanged([outcome.exchange])
            journal.observe(turn.attempt, "submit", outcome.kind, evidence(outcome))
        await self._committer.commit(journal.unit)
        # The lease ends, if it is still ours; when the row is due stands as the other left it.
        ends = Change(turn.claimed.table, turn.claimed.id, held=turn.claimed.held)
        await self._committer.commit(Unit([ends]))

    def _judge(self, outcome: Outcome) -> None:
        """What the outcome says of the PSP."""
        match outcome.kind:
            case OutcomeKind.NOT_SENT | OutcomeKind.UNKNOWN:
                self._circuits.failed(self._bank.name)
            case OutcomeKind.REJECTED if outcome.fault in {Fault.OURS, Fault.PSP}:
                self._circuits.rest(self._bank.name)
            case OutcomeKind.PENDING | OutcomeKind.SUCCEEDED:
                self._circuits.took(self._bank.name)
            case _:
                self._circuits.worked(self._bank.name)

    def _outcome(self, turn: Turn, outcome: Outcome | None, facts: Facts) -> Journal:
        """The unit that commits ``outcome``; ``None`` means: the call was not begun."""
        journal = Journal(turn.payout, self._clock, self._randomness)
        attempt, lease = turn.attempt, turn.attempt_lease
        confirm = f"confirm:{self._bank.name}"
        soon = Next(confirm, scheduled_ms(0, 0, self._rules.lookup_schedule_s, self._randomness))
        values: dict[str, Any] = {}
        # The window of not-founds begins where the call ended (psp.md 3.4).
        ended: dict[str, Any] = {"sent_at": self._clock.now_ms()}
        if outcome is not None:
            journal.exchanged([outcome.exchange])
            journal.observe(attempt, "submit", outcome.kind, evidence(outcome))
            values = recorded(outcome)
        match OutcomeKind.NOT_SENT if outcome is None else outcome.kind:
            case _ if outcome is not None and outcome.hold:
                journal.attempt(attempt, AttemptEvent.HELD, lease=lease, next=soon, **values)
                self.hold(journal, turn, outcome.hold)
            case OutcomeKind.NOT_SENT if turn.maybe_sent_before:
                journal.attempt(attempt, AttemptEvent.UNCLEAR, lease=lease, next=soon, **ended)
                self._payout_waits(journal, turn, tell=False)
            case OutcomeKind.NOT_SENT:
                wait = exponential_ms(attempt["sends"], self._randomness)
                again = Next(f"send:{self._bank.name}", wait)
                journal.attempt(attempt, AttemptEvent.NOT_SENT, lease=lease, next=again)
                self._payout_waits(journal, turn, tell=False)
            case OutcomeKind.PENDING:
                journal.attempt(attempt, AttemptEvent.TAKEN, lease=lease, next=soon, **values)
                self._payout_waits(journal, turn, tell=True)
            case OutcomeKind.SUCCEEDED | OutcomeKind.FAILED:
                # The last word is a look-up's (psp.md 3.4): ask at once.
                now = Next(confirm)
                journal.attempt(attempt, AttemptEvent.TAKEN, lease=lease, next=now, **values)
                self._payout_waits(journal, turn, tell=True)
            case OutcomeKind.DUPLICATE:
                journal.attempt(
                    attempt,
                    AttemptEvent.UNCLEAR,
                    lease=lease,
                    next=Next(confirm),
                    reason_code=DUPLICATE,
                    **ended,
                )
                self._payout_waits(journal, turn, tell=False)
            case OutcomeKind.UNKNOWN:
                journal.attempt(attempt, AttemptEvent.UNCLEAR, lease=lease, next=soon, **ended)
                self._payout_waits(journal, turn, tell=False)
            case OutcomeKind.REJECTED if turn.maybe_sent_before:
                journal.attempt(attempt, AttemptEvent.HELD, lease=lease, next=soon, **values)
                self.hold(
                    journal, turn, "The PSP refuses a transfer that an earlier call may have made."
                )
            case OutcomeKind.REJECTED:
                assert outcome is not None  # a call that was not begun is NOT_SENT
                self._rejected(journal, turn, outcome, facts, values)
        return journal

    def _rejected(
        self, journal: Journal, turn: Turn, outcome: Outcome, facts: Facts, values: dict[str, Any]
    ) -> None:
        """Refused before creation: no money moved."""
        journal.attempt(
            turn.attempt,
            AttemptEvent.REFUSED,
            lease=turn.attempt_lease,
            next=DONE,
            **{**values, "final_at": self._clock.now_ms()},
        )
        if outcome.fault in {Fault.OURS, Fault.PSP}:
            journal.add(
                OpenCase(
                    "psp_refuses_us",
                    f"{self._bank.name}:{turn.payout['currency']}",
                    "The PSP refuses transfers for a reason on our side; it rests until it is "
                    "tried again. Check float, limits and credentials.",
                    "high",
                    {"code": outcome.reason_code, "text": outcome.reason_text},
                )
            )
        go_on(
            journal,
            rounds_attempts=[*turn.earlier, (self._bank.name, AttemptState.REJECTED)],
            fault=outcome.fault,
            code=outcome.reason_code or "PSP_ERROR",
            why=outcome.reason_text or "The PSP refused the transfer.",
            facts=facts,
            rules=self._rules,
            lease=turn.payout_lease,
        )

    def _payout_waits(self, journal: Journal, turn: Turn, *, tell: bool) -> None:
        """The payout's own row after a call: told *pending* once a PSP has it (live)."""
        payout = turn.payout
        tell = tell and payout["dialect"] == Dialect.LIVE and not payout["told_pending_at"]
        if turn.payout_lease is not None:
            journal.keep(turn.payout_lease, Next("report") if tell else DONE)
        elif tell:
            journal.due(Next("report"))

    def hold(self, journal: Journal, turn: Turn, why: str) -> None:
        """A person has to decide."""
        journal.move(
            Event.HELD, lease=turn.payout_lease, next=DONE, reason_code="HELD", reason_text=why
        )
        journal.add(
            OpenCase(
                "payout_held",
                turn.payout["id"],
                f"{why} Find the transfer at the PSP before anything is decided.",
                "high",
                {"order_id": turn.payout["order_id"]},
            )
        )


def recorded(outcome: Outcome) -> dict[str, Any]:
    """The columns of an attempt that an outcome fills, where it says something."""
    stated: dict[str, Any] = {
        "psp_id": _cut(outcome.psp_id, 128),
        "session_id": _cut(outcome.session_id, 128),
        "raw_status": _cut(outcome.raw_status, 64),
        "reason_code": _cut(outcome.reason_code, 64),
        "reason_text": outcome.reason_text,
        "fault": outcome.fault.value if outcome.fault else None,
    }
    return {name: value for name, value in stated.items() if value is not None}


def _cut(text: str | None, most: int) -> str | None:
    """A PSP's word may be longer than any it documents; its beginning is kept."""
    return None if text is None else text[:most]
