"""What follows when an attempt is over: another PSP, or the end of the round (DESIGN 5.4).

Shared by the verbs that learn it: *disburse* (refused at once, never left) and *confirm* (failed
for certain).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tidegate.db.rows import Held, Next
from tidegate.ledger.book import Record
from tidegate.payouts.policy import Facts, Plan, choose
from tidegate.payouts.postings import rehold
from tidegate.payouts.rules import Rules
from tidegate.payouts.states import AttemptState, Event
from tidegate.payouts.store import Journal, Row
from tidegate.ports.bank import Fault

__all__ = ["end_unpaid", "go_on", "paid_before", "states_of"]

_NO_TRANSFER = frozenset({AttemptState.REJECTED, AttemptState.WITHDRAWN})


def go_on(
    journal: Journal,
    *,
    rounds_attempts: Iterable[tuple[str, AttemptState]],
    fault: Fault | None,
    code: str,
    why: str,
    facts: Facts,
    rules: Rules,
    lease: Held | None = None,
) -> None:
    """Write into ``journal`` what comes after the round's last attempt ended unpaid.

    ``rounds_attempts`` are (PSP, state) of this round's attempts, the ended one in its new
    state. A recipient's fault ends the payout; otherwise another PSP pays if policy lets it, and
    the hold moves with it. None left: the round will never be paid; that is committed here,
    with the release, before anybody is told.
    """
    payout = journal.payout
    attempts = list(rounds_attempts)
    if payout["paid_ever"]:
        paid_before(journal, code=code, lease=lease)
        return
    if fault is not Fault.RECIPIENT:
        plan = choose(
            currency=payout["currency"],
            amount=payout["amount"],
            institution=payout["institution"],
            excluded={*payout["exclude_psps"], *(psp for psp, _ in attempts)},
            facts=facts,
            rules=rules,
        )
        if isinstance(plan, Plan):
            for entry in rehold(payout, plan.psp, plan.hold):
                journal.add(Record(entry))
            journal.move(
                Event.DISPATCHED,
                lease=lease,
                next=Next(f"disburse:{plan.psp}"),
                detail={"psp": plan.psp, "after": code},
                psp=plan.psp,
                held=plan.hold,
                holds=payout["holds"] + 1,
            )
            return
    end_unpaid(journal, attempts, fault=fault, code=code, why=why, lease=lease)


def paid_before(journal: Journal, *, code: str, lease: Held | None = None) -> None:
    """An earlier round was paid late while this one was under way: the order is paid, and nothing
    else may be said of it."""
    payout = journal.payout
    for entry in rehold(payout, None, 0):
        journal.add(Record(entry))
    journal.move(
        Event.PAID,
        lease=lease,
        next=Next("report"),
        detail={"code": code},
        held=0,
        holds=payout["holds"] + 1,
    )


def end_unpaid(
    journal: Journal,
    attempts: Sequence[tuple[str, AttemptState]],
    *,
    fault: Fault | None,
    code: str,
    why: str,
    lease: Held | None = None,
) -> None:
    """Commit that the round will never be paid, with the release; the report says it."""
    payout = journal.payout
    for entry in rehold(payout, None, 0):
        journal.add(Record(entry))
    # A cancel has no guard at the aggregator: it is for transfers that never came to be, and
    # only while nothing else was reported (aggregator.md 4.4).
    unsent = payout["told_pending_at"] is None and all(
        state in _NO_TRANSFER for _, state in attempts
    )
    journal.move(
        Event.WITHDRAWN if unsent else Event.GAVE_UP,
        lease=lease,
        next=Next("report"),
        detail={"code": code},
        held=0,
        holds=payout["holds"] + 1,
        fault=None if fault is None else fault.value,
        reason_code=code,
        reason_text=why,
    )


def states_of(round_number: int, attempts: Iterable[Row]) -> list[tuple[str, AttemptState]]:
    """(PSP, state) of the attempts of one round."""
    return [
        (row["psp"], AttemptState(row["state"])) for row in attempts if row["round"] == round_number
    ]
