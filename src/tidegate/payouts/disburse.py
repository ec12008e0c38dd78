"""Disburse: commit the attempt with its reference, call the PSP once, commit the outcome.

*Sending* is a committed state. Whoever finds it later looks up by the reference and never sends;
only what provably never left (*prepared*), or was not found for the whole window of psp.md 3.4,
is sent again: the same bytes, the same reference, the same PSP.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidegate.cases.store import OpenCase
from tidegate.clock import Clock, Randomness
from tidegate.db.committer import Committer
from tidegate.db.engine import Database
from tidegate.db.rows import DONE, Change, Insert, Next
from tidegate.errors import NotInTable, PolicyRefusal, Stale
from tidegate.ledger.book import Record
from tidegate.money.amount import Money
from tidegate.money.currency import parse_currency
from tidegate.payouts.circuit import Circuits
from tidegate.payouts.conclude import go_on, states_of
from tidegate.payouts.facts import FactsReader
from tidegate.payouts.policy import Facts, Plan, choose
from tidegate.payouts.postings import rehold
from tidegate.payouts.recipients import account_number, narration
from tidegate.payouts.references import attempt_reference
from tidegate.payouts.rules import Rules
from tidegate.payouts.states import AttemptEvent, AttemptState, Event, State
from tidegate.payouts.store import (
    Journal,
    Row,
    attempts_of,
    evidence,
    payout_by_id,
    standing_attempt,
)
from tidegate.payouts.tables import attempts
from tidegate.ports.bank import Bank, Fault, Outcome, OutcomeKind, PayoutRequest
from tidegate.wire.dialect import Dialect
from tidegate.work.backoff import exponential_ms, scheduled_ms
from tidegate.work.claim import Claimed

__all__ = ["Disburse", "Send", "recorded"]

# A sending attempt is looked up when its call must long be over.
_SENDING_GRACE_MS = 5_000


class _Sender:
    """What both verbs share: the one call and the meaning of its outcome."""

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
    def _limit_s(self) -> float:
        return self._bank.capabilities().submit_timeout_s

    def _look_up_at_last(self) -> Next:
        """When somebody looks after an attempt whose sender died."""
        wait_ms = round(self._limit_s * 1000) + _SENDING_GRACE_MS
        return Next(f"confirm:{self._bank.name}", wait_ms)

    async def _send(self, payout: Row, attempt: Row, lease_of: Claimed, *, own: bool) -> None:
        """Make the one call and commit what came of it.

        ``own``: the lease is the attempt's (a resend), not the payout's.
        """
        if not lease_of.covers(self._limit_s):
            outcome = None  # too late under this lease: provably not sent
        else:
            outcome = await self._bank.submit(attempt["reference"], attempt["body"])
            self._judge(outcome)
        for retry in range(3):
            journal = self._outcome(payout, attempt, outcome, lease_of, await self._facts.now(), own)
            try:
                await self._committer.commit(journal.unit)
                return
            except Stale:
                # A look-up or a webhook was quicker. The evidence is kept, and the table says
                # what it means now.
                if retry == 2:
                    raise
                rows = await self._database.read(lambda c: attempts_of(c, payout["id"]))
                fresh = await self._database.read(lambda c: payout_by_id(c, payout["id"]))
                assert fresh is not None  # payouts are never deleted
                payout = fresh
                attempt = next(row for row in rows if row["id"] == attempt["id"])
                if AttemptState(attempt["state"]) is not AttemptState.SENDING:
                    await self._keep_as_evidence(payout, attempt, outcome, lease_of, own)
                    return

    async def _keep_as_evidence(
        self, payout: Row, attempt: Row, outcome: Outcome | None, lease_of: Claimed, own: bool
    ) -> None:
        journal = Journal(payout, self._clock, self._randomness)
        if outcome is not None:
            journal.exchanged([outcome.exchange])
            journal.observe(attempt, "submit", outcome.kind, evidence(outcome))
        # The lease ends; when the rows are due stands as the quicker one left it.
        table = attempts if own else lease_of.table
        journal.add(Change(table, lease_of.id, held=lease_of.held))
        await self._committer.commit(journal.unit)

    def _judge(self, outcome: Outcome) -> None:
        """What the outcome says of the PSP."""
        match outcome.kind:
            case OutcomeKind.NOT_SENT | OutcomeKind.UNKNOWN:
                self._circuits.failed(self._bank.name)
            case OutcomeKind.REJECTED if outcome.fault in {Fault.OURS, Fault.PSP}:
                self._circuits.rest(self._bank.name)
            case _:
                self._circuits.worked(self._bank.name)

    def _outcome(
        self,
        payout: Row,
        attempt: Row,
        outcome: Outcome | None,
        lease_of: Claimed,
        facts: Facts,
        own: bool,
    ) -> Journal:
        """The unit that commits ``outcome``; ``None`` means: the call was not begun."""
        journal = Journal(payout, self._clock, self._randomness)
        name, now_ms = self._bank.name, self._clock.now_ms()
        lease = {"lease": lease_of.held} if own else {}
        values: dict[str, Any] = {}
        if outcome is not None:
            journal.exchanged([outcome.exchange])
            journal.observe(attempt, "submit", outcome.kind, evidence(outcome))
            values = recorded(outcome)
        look_soon = Next(
            f"confirm:{name}",
            scheduled_ms(0, 0, self._rules.lookup_schedule_s, self._randomness),
        )
        kind = OutcomeKind.NOT_SENT if outcome is None else outcome.kind
        earlier_unknown = attempt["sends"] > 1 and attempt["not_found"] > 0
        if outcome is not None and (
            outcome.hold or (kind is OutcomeKind.REJECTED and earlier_unknown)
        ):
            why = outcome.hold or "The PSP refuses a transfer that an earlier call may have made."
            journal.attempt(attempt, AttemptEvent.HELD, next=look_soon, **lease, **values)
            self._hold(journal, payout, lease_of, own, why)
            return journal
        match kind:
            case OutcomeKind.NOT_SENT:
                # An earlier send of the same bytes may have arrived: then it is unknown, not unsent.
                if earlier_unknown:
                    journal.attempt(attempt, AttemptEvent.UNCLEAR, next=look_soon, **lease)
                else:
                    wait = exponential_ms(attempt["sends"], self._randomness)
                    journal.attempt(
                        attempt, AttemptEvent.NOT_SENT, next=Next(f"send:{name}", wait), **lease
                    )
                self._rest_of_payout(journal, payout, lease_of, own, report=False)
            case OutcomeKind.PENDING:
                journal.attempt(attempt, AttemptEvent.TAKEN, next=look_soon, **lease, **values)
                self._rest_of_payout(journal, payout, lease_of, own, report=True)
            case OutcomeKind.SUCCEEDED | OutcomeKind.FAILED:
                # The last word is a look-up's (psp.md 3.4): ask at once.
                journal.attempt(
                    attempt,
                    AttemptEvent.TAKEN,
                    next=Next(f"confirm:{name}"),
                    **lease,
                    **values,
                )
                self._rest_of_payout(journal, payout, lease_of, own, report=True)
            case OutcomeKind.UNKNOWN | OutcomeKind.DUPLICATE:
                at_once = kind is OutcomeKind.DUPLICATE
                journal.attempt(
                    attempt,
                    AttemptEvent.UNCLEAR,
                    next=Next(f"confirm:{name}") if at_once else look_soon,
                    **lease,
                )
                self._rest_of_payout(journal, payout, lease_of, own, report=False)
            case OutcomeKind.REJECTED:
                assert outcome is not None  # a call that was not begun is NOT_SENT
                journal.attempt(
                    attempt, AttemptEvent.REFUSED, next=DONE, final_at=now_ms, **lease, **values
                )
                if outcome.fault in {Fault.OURS, Fault.PSP}:
                    journal.add(_our_fault(name, payout, outcome))
                go_on(
                    journal,
                    rounds_attempts=[
                        *payout.get("_earlier", ()),
                        (name, AttemptState.REJECTED),
                    ],
                    fault=outcome.fault,
                    code=outcome.reason_code or "PSP_ERROR",
                    why=outcome.reason_text or "The PSP refused the transfer.",
                    facts=facts,
                    rules=self._rules,
                    lease=None if own else lease_of.held,
                )
        return journal

    def _rest_of_payout(
        self, journal: Journal, payout: Row, lease_of: Claimed, own: bool, *, report: bool
    ) -> None:
        """The payout's own row after a call: told *pending* once a PSP has it (live)."""
        tell = (
            report and payout["dialect"] == Dialect.LIVE and payout["told_pending_at"] is None
        )
        if own:
            if tell:
                journal.due(Next("report"))
            return
        journal.keep(lease_of.held, Next("report") if tell else DONE)

    def _hold(
        self, journal: Journal, payout: Row, lease_of: Claimed, own: bool, why: str
    ) -> None:
        journal.move(
            Event.HELD,
            lease=None if own else lease_of.held,
            next=DONE,
            reason_code="HELD",
            reason_text=why,
        )
        journal.add(
            OpenCase(
                "payout_held",
                payout["id"],
                f"{why} Find the transfer at the PSP before anything is decided.",
                "high",
                {"order_id": payout["order_id"]},
            )
        )


class Disburse(_Sender):
    """The verb of payouts that are accepted, or go on with another PSP."""

    async def __call__(self, claimed: Claimed) -> None:
        payout = claimed.row
        rows: list[Row] = []
        state = State(payout["state"])
        if state is State.PROCESSING:
            rows = await self._database.read(lambda c: attempts_of(c, payout["id"]))
        if state not in {State.ACCEPTED, State.PROCESSING} or standing_attempt(rows) is not None:
            # Its attempt has a life of its own: looked up, reported, never sent from here.
            journal = Journal(payout, self._clock, self._randomness)
            journal.keep(claimed.held, DONE)
            await self._committer.commit(journal.unit)
            return
        earlier = states_of(payout["round"], rows)
        facts = await self._facts.now()
        plan = choose(
            currency=payout["currency"],
            amount=payout["amount"],
            institution=payout["institution"],
            excluded={*payout["exclude_psps"], *(psp for psp, _ in earlier)},
            facts=facts,
            rules=self._rules,
            already_held=(payout["psp"], payout["held"]),
        )
        journal = Journal(payout, self._clock, self._randomness)
        if isinstance(plan, PolicyRefusal) or plan.psp != self._bank.name:
            # Since accept the PSP was switched off, rests, or lost the institution.
            code, why = (
                (plan.code, plan.detail)
                if isinstance(plan, PolicyRefusal)
                else ("PSP_ERROR", "Another PSP is to pay.")
            )
            if state is State.ACCEPTED and isinstance(plan, Plan):
                journal.add(*_moved(journal.payout, plan))
                journal.keep(
                    claimed.held,
                    Next(f"disburse:{plan.psp}"),
                    psp=plan.psp,
                    held=plan.hold,
                    holds=payout["holds"] + 1,
                )
            else:
                go_on(
                    journal,
                    rounds_attempts=earlier,
                    fault=None,
                    code=code,
                    why=why,
                    facts=facts,
                    rules=self._rules,
                    lease=claimed.held,
                )
            await self._committer.commit(journal.unit)
            return
        try:
            attempt = self._prepare(payout, plan)
        except NotInTable as refusal:
            self._hold(journal, payout, claimed, False, refusal.detail)
            await self._committer.commit(journal.unit)
            return
        journal.add(Insert(attempts, attempt, next=self._look_up_at_last()))
        journal.move(
            Event.DISPATCHED,
            fence=payout["fence"],
            detail={"psp": plan.psp, "reference": attempt["reference"]},
            attempts=attempt["number"],
        )
        await self._committer.commit(journal.unit)
        sent = {**journal.payout, "_earlier": tuple(earlier)}
        await self._send(sent, attempt, claimed, own=False)

    def _prepare(self, payout: Row, plan: Plan) -> dict[str, Any]:
        """The attempt as it is committed before the call."""
        number = payout["attempts"] + 1
        reference = attempt_reference(payout["reference"], number)
        recipient: Mapping[str, Any] = payout["recipient"] or {}
        request = PayoutRequest(
            reference=reference,
            amount=Money(payout["amount"], parse_currency(payout["currency"])),
            psp_bank_code=plan.bank_code,
            account_number=account_number(recipient),
            account_name=str(recipient.get("account_name") or ""),
            narration=narration(str(recipient.get("memo") or ""), payout["reference"]),
        )
        now_ms = self._clock.now_ms()
        return {
            "id": self._randomness.new_id("att"),
            "payout_id": payout["id"],
            "round": payout["round"],
            "number": number,
            "psp": plan.psp,
            "reference": reference,
            "state": AttemptState.SENDING.value,
            "currency": payout["currency"],
            "amount": payout["amount"],
            "held": payout["held"],
            "body": self._bank.prepare(request),
            "account_number": request.account_number,
            "bank_code": request.psp_bank_code,
            "sent_at": now_ms,
            "sends": 1,
            "lookups": 0,
            "not_found": 0,
            "created_at": now_ms,
        }


class Send(_Sender):
    """The verb of attempts that are to be sent (again): prepared, or unknown and never found."""

    async def __call__(self, claimed: Claimed) -> None:
        attempt = claimed.row
        state = AttemptState(attempt["state"])
        read = await self._database.read(lambda c: payout_by_id(c, attempt["payout_id"]))
        assert read is not None  # by foreign key
        payout = read
        rows = await self._database.read(lambda c: attempts_of(c, payout["id"]))
        earlier = [
            one
            for one in states_of(attempt["round"], rows)
            if one[0] != attempt["psp"]
        ]
        journal = Journal(payout, self._clock, self._randomness)
        if state not in {AttemptState.PREPARED, AttemptState.UNKNOWN}:
            journal.add(
                Change(attempts, attempt["id"], held=claimed.held, next=self._look_up_at_last())
            )
            await self._committer.commit(journal.unit)
            return
        unsent_ms = self._clock.now_ms() - attempt["created_at"]
        if state is AttemptState.PREPARED and unsent_ms > self._rules.unsent_limit_ms:
            journal.attempt(
                attempt,
                AttemptEvent.WITHDRAWN,
                lease=claimed.held,
                next=DONE,
                final_at=self._clock.now_ms(),
            )
            go_on(
                journal,
                rounds_attempts=[*earlier, (attempt["psp"], AttemptState.WITHDRAWN)],
                fault=Fault.PSP,
                code="PSP_TIMEOUT",
                why="The PSP could not be reached.",
                facts=await self._facts.now(),
                rules=self._rules,
            )
            await self._committer.commit(journal.unit)
            return
        sending = {
            **attempt,
            "state": AttemptState.SENDING.value,
            "sends": attempt["sends"] + 1,
            "sent_at": self._clock.now_ms(),
        }
        journal.add(
            Change(
                attempts,
                attempt["id"],
                values={name: sending[name] for name in ("state", "sends", "sent_at")},
                expect={"state": state.value, "fence": attempt["fence"]},
            )
        )
        journal.note("sent_again", {"reference": attempt["reference"]})
        await self._committer.commit(journal.unit)
        await self._send({**payout, "_earlier": tuple(earlier)}, sending, claimed, own=True)


def recorded(outcome: Outcome) -> dict[str, Any]:
    """The columns of an attempt that an outcome fills, where it says something."""
    stated: dict[str, Any] = {
        "psp_id": outcome.psp_id,
        "session_id": outcome.session_id,
        "raw_status": outcome.raw_status,
        "reason_code": outcome.reason_code,
        "reason_text": outcome.reason_text,
        "fault": outcome.fault.value if outcome.fault else None,
    }
    return {name: value for name, value in stated.items() if value is not None}


def _moved(payout: Row, plan: Plan) -> list[Record]:
    return [Record(entry) for entry in rehold(payout, plan.psp, plan.hold)]


def _our_fault(psp: str, payout: Row, outcome: Outcome) -> OpenCase:
    return OpenCase(
        "psp_refuses_us",
        f"{psp}:{payout['currency']}",
        "The PSP refuses transfers for a reason on our side; it rests until it is tried again. "
        "Check float, limits and credentials.",
        "high",
        {"code": outcome.reason_code, "text": outcome.reason_text},
    )
