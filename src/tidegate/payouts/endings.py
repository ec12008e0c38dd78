"""How an attempt ends, and what that means for its payout: entries, state, case, report.

Used by *confirm*, which has learnt it. Each ending is one unit with the attempt's own change; the
verb's lease ends with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tidegate.cases.store import OpenCase
from tidegate.clock import Clock
from tidegate.db.rows import DONE, Change, Done, Held, Next
from tidegate.ledger.book import Record
from tidegate.payouts.balances import Float
from tidegate.payouts.circuit import Circuits
from tidegate.payouts.conclude import go_on, states_of
from tidegate.payouts.facts import FactsReader
from tidegate.payouts.postings import FloatAccounts, paid, paid_late, rehold, returned
from tidegate.payouts.rules import Rules
from tidegate.payouts.states import AttemptEvent, AttemptState, Event, State
from tidegate.payouts.store import Journal, Row
from tidegate.payouts.tables import attempts
from tidegate.ports.bank import Fault, Outcome
from tidegate.wire.dialect import Dialect

__all__ = ["Endings", "our_fault", "record_paid"]

# States in which a late success finds nothing of the order's present round on its way.
_AT_REST = frozenset(
    {
        State.PENDING,
        State.ACCEPTED,
        State.DECLINED,
        State.EXPIRED,
        State.CANCELLED,
        State.FAILED,
    }
)


class Endings:
    """Writes endings into a journal; one instance a PSP."""

    def __init__(
        self, clock: Clock, rules: Rules, facts: FactsReader, circuits: Circuits, float_: Float
    ) -> None:
        self._clock = clock
        self._rules = rules
        self._facts = facts
        self._circuits = circuits
        self._float = float_

    def paid(
        self,
        journal: Journal,
        attempt: Row,
        outcome: Outcome,
        lease: Held,
        look_again: Next | Done,
        looked: Mapping[str, Any],
    ) -> None:
        """The PSP paid: post the entries, in the transaction of the state."""
        record_paid(
            journal,
            attempt,
            fee=outcome.fee.minor if outcome.fee else 0,
            psp_id=outcome.psp_id or attempt["psp_id"],
            now_ms=self._clock.now_ms(),
            look_again=look_again,
            looked=looked,
            lease=lease,
        )

    async def paid_late(
        self,
        journal: Journal,
        attempt: Row,
        outcome: Outcome,
        lease: Held,
        looked: Mapping[str, Any],
    ) -> None:
        """A transfer that had ended unpaid was paid after all: a fact, with a case.

        Where nothing of the present round is on its way, the success is reported; the report
        asks first whose the order is. Otherwise the order is held: a second payment may be out.
        """
        payout = journal.payout
        journal.attempt(attempt, AttemptEvent.PAID, lease=lease, next=DONE, **looked)
        if attempt["fee"] is not None:
            return  # recorded before; the observation is the news
        fee = outcome.fee.minor if outcome.fee else 0
        at = FloatAccounts(attempt["psp"], attempt["currency"])
        unexplained = await self._float.unexplained(attempt["psp"], attempt["currency"])
        entry = paid_late(
            at,
            payout["id"],
            attempt["id"],
            amount=attempt["amount"],
            fee=fee,
            missed=min(unexplained.missing, attempt["amount"] + fee),
        )
        # The fee doubles as the mark that this was booked: it is expected to be empty still.
        journal.add(
            Change(attempts, attempt["id"], values={"fee": fee}, expect={"fee": None}),
            Record(entry),
            unexplained.changed,
        )
        state = State(payout["state"])
        at_rest = state in _AT_REST
        if at_rest:
            for release in rehold(payout, None, 0):
                journal.add(Record(release))
        journal.add(
            OpenCase(
                "paid_after_failure",
                payout["id"],
                "A transfer that the PSP called failed for certain was paid after all. "
                + (
                    "The success is reported; check at the aggregator whether somebody else paid "
                    "too."
                    if at_rest or state in {State.PAID, State.FULFILLED}
                    else "The order was under way again: it is held. Stop a second payment if it "
                    "can be stopped, then report the success by hand."
                ),
                "high",
                {"reference": attempt["reference"], "psp": attempt["psp"]},
            )
        )
        resting = {"held": 0, "holds": payout["holds"] + 1, "psp": attempt["psp"]}
        journal.move(
            Event.PAID_LATE,
            next=Next("report") if at_rest else None,
            detail={"reference": attempt["reference"]},
            paid_ever=True,
            psp_id=outcome.psp_id or attempt["psp_id"],
            # A fresh offer has to be accepted first: only the owner's success is taken.
            accept_first=bool(payout["accept_first"]) or state is State.PENDING,
            **(resting if at_rest else {}),
        )

    async def reversed(
        self,
        journal: Journal,
        attempt: Row,
        event: AttemptEvent,
        lease: Held,
        looked: Mapping[str, Any],
    ) -> None:
        """The money came back after it was paid: a debt to the recipient, not a failed order."""
        payout = journal.payout
        # Its money may come back after the news: it counts as in flight for a while again.
        final = {**looked, "final_at": self._clock.now_ms()}
        journal.attempt(attempt, event, lease=lease, next=DONE, **final)
        unexplained = await self._float.unexplained(attempt["psp"], attempt["currency"])
        entry = returned(
            FloatAccounts(attempt["psp"], attempt["currency"]),
            payout["id"],
            attempt["id"],
            amount=attempt["amount"],
            explained=min(unexplained.surplus, attempt["amount"]),
        )
        journal.add(
            Record(entry),
            unexplained.changed,
            OpenCase(
                "payout_reversed",
                payout["id"],
                "A paid transfer was reversed by the PSP. The recipient is owed the amount; look "
                "for a case attempt_contradicted first, and pay again only as a new payout that a "
                "person approves.",
                "high",
                {"reference": attempt["reference"], "psp": attempt["psp"]},
            ),
        )
        journal.move(Event.REVERSED, detail={"reference": attempt["reference"]})

    async def failed(
        self,
        journal: Journal,
        attempt: Row,
        rows: Sequence[Row],
        outcome: Outcome,
        event: AttemptEvent,
        lease: Held,
        looked: Mapping[str, Any],
    ) -> None:
        """Failed for certain: another PSP, or the end of the round."""
        final = {**looked, "final_at": self._clock.now_ms()}
        journal.attempt(attempt, event, lease=lease, next=DONE, **final)
        if outcome.fault is Fault.OURS:
            self._circuits.rest(attempt["psp"])
            said = {"code": outcome.reason_code, "text": outcome.reason_text}
            journal.add(our_fault(attempt, "The PSP failed a transfer for our reason.", said))
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

    def held(
        self,
        journal: Journal,
        attempt: Row,
        event: AttemptEvent,
        lease: Held,
        look_again: Next | Done,
        looked: Mapping[str, Any],
        why: str,
    ) -> None:
        """A person has to decide; the PSP is asked on."""
        journal.attempt(attempt, event, lease=lease, next=look_again, **looked)
        payout = journal.payout
        if State(payout["state"]) is State.PROCESSING:
            tell = payout["dialect"] == Dialect.LIVE and not payout["told_pending_at"]
            journal.move(
                Event.HELD,
                next=Next("report") if tell else DONE,
                reason_code="HELD",
                reason_text=why,
            )
        journal.add(
            OpenCase(
                "payout_held",
                payout["id"],
                f"{why} Find the transfer at the PSP before anything is decided.",
                "high",
                {"reference": attempt["reference"], "psp": attempt["psp"]},
            )
        )


def record_paid(
    journal: Journal,
    attempt: Row,
    *,
    fee: int,
    psp_id: str | None,
    now_ms: int,
    look_again: Next | Done,
    looked: Mapping[str, Any],
    lease: Held | None = None,
) -> None:
    """Write that ``attempt`` paid its payout: both states, the entry, and the report to make."""
    payout = journal.payout
    journal.attempt(
        attempt,
        AttemptEvent.PAID,
        lease=lease,
        next=look_again,
        **{**looked, "fee": fee, "final_at": now_ms},
    )
    at = FloatAccounts(attempt["psp"], attempt["currency"])
    amount, held = attempt["amount"], attempt["held"]
    journal.add(Record(paid(at, payout["id"], attempt["id"], amount=amount, fee=fee, held=held)))
    if held >= amount and amount + fee > held:
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
        psp_id=psp_id,
        paid_at=now_ms,
    )


def our_fault(attempt: Row, why: str, data: Mapping[str, Any]) -> OpenCase:
    """The case of a PSP that refuses us, not the recipient."""
    return OpenCase(
        "psp_refuses_us",
        f"{attempt['psp']}:{attempt['currency']}",
        f"{why} Check float, limits and credentials.",
        "high",
        dict(data),
    )
