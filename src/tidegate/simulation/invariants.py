"""What must be true when the faults are over and everything has come to rest. Pure.

The judges are the companies' own books. Each check gives sentences; none is good.
"""

from __future__ import annotations

from collections.abc import Iterator

from tidegate.payouts.states import CLOSED_ATTEMPT, AttemptState, State
from tidegate.sandbox.aggregator.judgement import Violation, Wrong
from tidegate.sandbox.aggregator.orders import PAID as AGGREGATOR_PAID
from tidegate.sandbox.aggregator.orders import Order
from tidegate.sandbox.bank.books import Kind as BankKind
from tidegate.simulation.companies import Companies
from tidegate.simulation.evidence import Evidence
from tidegate.simulation.invariants_cards import judge_cards
from tidegate.simulation.world import COOL_OFF_S

__all__ = ["Companies", "judge"]

# Cases that explain why a paid order is not settled, or why a settled one is no longer paid.
_EXPLAINS = frozenset(
    {
        "payout_held",
        "order_not_ours",
        "order_refunded",
        "foreign_transaction",
        "paid_after_failure",
        "payout_reversed",
    }
)

# A call that takes longer may be one that was repeated.
_ONE_CALL_MS = 1_000

_NOT_ITS_FAULT = frozenset(
    {
        Wrong.OFFER_REFUSED,
        Wrong.PAID_TWICE,
        Wrong.PENDING_AFTER_SUCCESS,
        Wrong.FULFIL_OTHER_TX,
        Wrong.FULFIL_AFTER_FAILED,
        Wrong.FULFIL_AFTER_CANCEL,
        Wrong.CANCEL_AFTER_FULFIL,
        Wrong.DECLINE_AFTER_ACCEPT,
        Wrong.ACCEPT_AFTER_DECLINE,
        Wrong.ACCEPT_AFTER_EXPIRY,
        Wrong.SUCCESS_REPEATED,
        Wrong.SUCCESS_WHILE_SETTLING,
        Wrong.CANCEL_REPEATED,
        Wrong.CANCEL_WITHOUT_ACCEPT,
        Wrong.BALANCE_OVERLAP,
    }
)


def judge(evidence: Evidence, companies: Companies) -> list[str]:
    """Every broken promise, a sentence each."""
    return [
        *_accepted_in_time(evidence, companies),
        *_paid_once(evidence, companies),
        *_given_up(evidence, companies),
        *_shown(evidence),
        *_agreed(evidence, companies),
        *_held(evidence),
        *_float(evidence, companies),
        *_owed(evidence),
        *_ledger(evidence),
        *judge_cards(evidence, companies),
        *_judged(evidence, companies),
    ]


def _accepted_in_time(evidence: Evidence, companies: Companies) -> Iterator[str]:
    """When an offer's time is over it is not accepted, unless the aggregator was asked whose the
    order is just before, or the node's clock may have been set forward during the call."""
    for payout in evidence.payouts:
        before = ""
        for one in evidence.said.get(payout["id"], ()):
            if one["verb"] in {"submit", "lookup", "fulfil"}:
                break  # paid orders are accepted once more when they are offered again
            # What was set back is set right in the end: forward.
            over_ms = payout["expires_at"] + companies.ahead_ms + companies.behind_ms
            late = one["verb"] == "accept" and one["at"] > over_ms
            if late and before != "order":
                yield f"order {payout['order_id']} was accepted after its time"
            if one["verb"] != "accept" or before != "order":  # one call may have several tries
                before = one["verb"]


def _paid_once(evidence: Evidence, companies: Companies) -> Iterator[str]:
    bank = companies.bank
    for reference in bank.paid_more_than_once():
        yield f"the bank paid {reference} more than once"
    known = {row["reference"] for rows in evidence.attempts.values() for row in rows}
    for reference in companies.transfers:
        if reference not in known:
            yield f"the bank has a transfer {reference} that we did not write down"
    for payout in evidence.payouts:
        rows = evidence.attempts.get(payout["id"], [])
        paid = sum(bank.times_paid(row["reference"]) for row in rows)
        if paid > 1 and "paid_after_failure" not in evidence.kinds_of_payout(payout):
            yield f"order {payout['order_id']} was paid {paid} times"


def _given_up(evidence: Evidence, companies: Companies) -> Iterator[str]:
    """What is paid all the same had failed for a reason that may turn, and was waited for; or the
    bank refused it, and took the copy that the network made of it."""
    for row in (row for rows in evidence.attempts.values() for row in rows):
        paid = companies.bank.times_paid(row["reference"])
        copied = row["cooling_since"] is None and row["reference"] in companies.transferred_twice
        if row["state"] in CLOSED_ATTEMPT and paid and not copied:
            since, final = row["cooling_since"], row["final_at"]
            if since is None or final is None or final - since < COOL_OFF_S * 1000:
                yield f"{row['reference']} was paid, and given up here without its cool-off"


def _shown(evidence: Evidence) -> Iterator[str]:
    """Figures that are not ours stop the line: a person looks."""
    attempts = {row["id"]: row for rows in evidence.attempts.values() for row in rows}
    payouts = {row["id"]: row for row in evidence.payouts}
    for one in evidence.observations:
        attempt, shown = attempts[one["attempt_id"]], one["detail"].get("amount")
        other = shown is not None and shown != attempt["amount"]
        if other and not evidence.kinds_of_payout(payouts[attempt["payout_id"]]):
            yield f"{attempt['reference']} was shown over {shown} and nobody is told"


def _agreed(evidence: Evidence, companies: Companies) -> Iterator[str]:
    """Paid at the bank exactly if settled at the aggregator; else a case says why."""
    payouts = {row["order_id"]: row for row in evidence.payouts}
    for order in companies.orders:
        payout = payouts.get(order.id)
        rows = [] if payout is None else evidence.attempts.get(payout["id"], [])
        paid = sum(companies.bank.times_paid(row["reference"]) for row in rows)
        settled = order.status in AGGREGATOR_PAID or "settled" in order.marks
        kinds = set() if payout is None else evidence.kinds_of_payout(payout)
        ours = "unknown" if payout is None else payout["state"]
        if settled and order.ours and not paid:
            yield f"order {order.id} is {order.status} at the aggregator and was never paid"
        elif bool(paid) != settled and not kinds & _EXPLAINS:
            yield (
                f"order {order.id} was paid {paid} times, is {order.status} at the aggregator and "
                f"{ours} here, and no case says why"
            )
        if paid and order.failed_fulfilment() and "paid_after_failure" not in kinds:
            yield f"order {order.id} was paid, and the aggregator was told that it failed"
        if ours in {State.PAID, State.FULFILLED} and not paid:
            yield f"order {order.id} is {ours} here and was never paid"


def _held(evidence: Evidence) -> Iterator[str]:
    """What is reserved is held for a named payout that waits for a person, and nothing else."""
    held = {row["order_id"]: row["held"] for row in evidence.payouts if row["held"]}
    reserved = evidence.balances.get("psp:lenco:reserved:NGN", 0)
    if reserved != sum(held.values()):
        yield f"{reserved} kobo are reserved, and payouts hold {sum(held.values())}"
    for row in evidence.payouts:
        if row["held"] and not (row["state"] == State.HELD and evidence.kinds_of_payout(row)):
            yield f"order {row['order_id']} is {row['state']} and still holds {row['held']} kobo"


def _float(evidence: Evidence, companies: Companies) -> Iterator[str]:
    """Our total is the bank's balance, but for what a person has to settle."""
    ours = sum(
        evidence.balances.get(f"psp:lenco:{part}:NGN", 0)
        for part in ("available", "reserved", "suspense")
    )
    theirs = companies.bank.balance()
    undecided = sum(row["held"] for row in evidence.payouts)
    if evidence.kinds("lenco:NGN", "psp:lenco:NGN"):
        return  # the difference itself is a case
    if not 0 <= ours - theirs <= undecided:
        yield f"our books have {ours} kobo at the bank, the bank {theirs}, undecided {undecided}"


def _owed(evidence: Evidence) -> Iterator[str]:
    """What came back after it was paid is owed, as long as no person has settled it."""
    rows = [row for rows in evidence.attempts.values() for row in rows]
    back = sum(row["amount"] for row in rows if row["state"] == AttemptState.REVERSED)
    owed = evidence.balances.get("payouts:returned:NGN", 0)
    if owed != back:
        yield f"{back} kobo came back after they were paid, {owed} stand as owed"


def _ledger(evidence: Evidence) -> Iterator[str]:
    for finding in evidence.audit.findings:
        yield f"ledger audit: {finding.code} {finding.subject}: {finding.detail}"
    for code, drift in evidence.audit.drift.items():
        if drift:
            yield f"ledger audit: drift of {drift} in {code}"


def _judged(evidence: Evidence, companies: Companies) -> Iterator[str]:
    """What the aggregator holds against the node, but for what the network or it itself did."""
    orders = {order.id: order for order in companies.orders}
    for one in companies.violations:
        if one.wrong not in _NOT_ITS_FAULT or not _excused(
            one, orders.get(one.key), evidence, companies
        ):
            yield f"aggregator: {one}"


def _excused(one: Violation, order: Order | None, evidence: Evidence, companies: Companies) -> bool:
    path = "/balances" if one.wrong is Wrong.BALANCE_OVERLAP else one.key
    doubled = any(path in request for request in companies.doubled)
    match one.wrong:
        case Wrong.OFFER_REFUSED:  # this dialect may refuse an offer in the answer
            return order is not None and order.dialect == "spec"
        case Wrong.PAID_TWICE:  # its one transaction by two names: what it told when asked is ours
            return order is not None and order.dialect == "spec" and "success_polled" in order.marks
        case Wrong.PENDING_AFTER_SUCCESS:  # it was told when asked, sooner than the contract asks
            return doubled or (order is not None and _told_truly(order, evidence, companies))
        case Wrong.FULFIL_AFTER_FAILED:  # *pending* was on its way when it was told, asked for it
            return doubled or (order is not None and _failed_when_asked(order, one))
        case Wrong.CANCEL_AFTER_FULFIL:  # this dialect knows no other word for a failure
            return order is not None and order.dialect == "spec"
        case Wrong.DECLINE_AFTER_ACCEPT:
            # The second copy came when the first was over: a new offer to the node.
            return one.key in companies.offered_twice
        case Wrong.ACCEPT_AFTER_DECLINE:  # or the decline of the offer before came late
            met = order is not None and _met_by_decline(order, one, evidence, companies)
            return met or one.key in companies.offered_twice or _late("decline", one, companies)
        case Wrong.ACCEPT_AFTER_EXPIRY:  # by a clock that was set back the offer lived
            return 1000 * float(one.detail.split()[0]) <= companies.behind_ms
        case Wrong.FULFIL_AFTER_CANCEL:  # it had failed for certain, and a person is told
            return _paid_late(one, evidence)
        case Wrong.CANCEL_WITHOUT_ACCEPT:  # it was accepted when the cancel was sent
            return _late("cancel", one, companies)
        case Wrong.CANCEL_REPEATED:  # the same, of an order that was cancelled before
            return doubled or _late("cancel", one, companies)
        case Wrong.SUCCESS_WHILE_SETTLING:  # of one success the second copy came so late, or how
            # the order stood before it; the simulation settles in seconds
            stale = any(f"/{one.key}?" in request for request in companies.answered_late)
            return stale or _copied(one, companies)
        case Wrong.FULFIL_OTHER_TX:  # a copy of the last round's report
            return _copied(one, companies)
        case _:  # it was the network that repeated it
            return doubled


def _late(verb: str, one: Violation, companies: Companies) -> bool:
    """Did such a call about the order arrive when nobody waited for its answer any more?"""
    return any(f"/{one.key}/{verb}" in request for request in companies.late)


def _copied(one: Violation, companies: Companies) -> bool:
    """Did the network deliver a report about the order twice?"""
    return any(f"/{one.key}/fulfill" in request for request in companies.doubled)


def _paid_late(one: Violation, evidence: Evidence) -> bool:
    return any(
        "paid_after_failure" in evidence.kinds_of_payout(payout)
        for payout in evidence.payouts
        if payout["order_id"] == one.key
    )


def _met_by_decline(order: Order, one: Violation, evidence: Evidence, companies: Companies) -> bool:
    """Was the offer sent while the decline of the one before was on its way? Not while the node
    repeated it: that takes longer."""
    offer = order.offers[int(one.detail.split()[-1]) - 1]
    offered_ms = order.created_ms + 1000 * (offer.sent - order.created)
    earliest, latest = offered_ms - companies.behind_ms, offered_ms + companies.ahead_ms
    return any(
        said["verb"] == "decline"
        and said["took_ms"] < _ONE_CALL_MS
        and said["at"] <= latest
        and said["at"] + said["took_ms"] >= earliest
        for payout in evidence.payouts
        if payout["order_id"] == order.id
        for said in evidence.said.get(payout["id"], ())
    )


def _failed_when_asked(order: Order, one: Violation) -> bool:
    """Was it *pending* that came, and the failure heard in answer to a question before?"""
    asked = any(
        moment.event == "failed_polled" and moment.at_ms <= one.at_ms for moment in order.history
    )
    return asked and one.detail.startswith("pending ")


def _told_truly(order: Order, evidence: Evidence, companies: Companies) -> bool:
    """Was the bank's word *paid* when the aggregator was first told so in answer to a question?"""
    told = [moment.at_ms for moment in order.history if moment.event == "success_polled"]
    references = {
        row["reference"]
        for payout in evidence.payouts
        if payout["order_id"] == order.id
        for row in evidence.attempts.get(payout["id"], [])
    }
    paid = [
        line.at_ms
        for line in companies.bank.lines
        if line.kind is BankKind.PAID and line.reference in references
    ]
    return bool(told and paid) and min(paid) <= min(told)
