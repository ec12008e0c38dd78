"""What must be true when the faults are over and everything has come to rest. Pure.

The judges are the companies' own books. Each check gives sentences; none is good.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tidegate.payments.postings import user_account
from tidegate.payments.states import DisputeState
from tidegate.payouts.states import CLOSED_ATTEMPT, State
from tidegate.sandbox.aggregator import Violation
from tidegate.sandbox.aggregator.judgement import Wrong
from tidegate.sandbox.aggregator.orders import PAID as AGGREGATOR_PAID
from tidegate.sandbox.aggregator.orders import Order
from tidegate.sandbox.bank.books import Books as BankBooks
from tidegate.sandbox.cards import Books as CardBooks
from tidegate.sandbox.cards import Kind
from tidegate.sandbox.shop import Receiver
from tidegate.simulation.buyers import Sale
from tidegate.simulation.evidence import Evidence
from tidegate.simulation.plan import Step
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
        "paid_order_offered_again",
    }
)


_TELLS_NOTHING_TAKEN = {("payments", 402), ("payments", 424), ("cancel", 200)}


@dataclass(frozen=True, slots=True)
class Companies:
    """The others' own word: orders, references of transfers, what was judged. ``doubled`` are the
    requests that the network delivered twice."""

    orders: Sequence[Order]
    violations: Sequence[Violation]
    bank: BankBooks
    transfers: Sequence[str]
    cards: CardBooks
    receiver: Receiver
    sales: Sequence[Sale]
    doubled: Sequence[str]


def judge(evidence: Evidence, companies: Companies) -> list[str]:
    """Every broken promise, a sentence each."""
    return [
        *_paid_once(evidence, companies),
        *_given_up(evidence, companies),
        *_shown(evidence),
        *_agreed(evidence, companies),
        *_held(evidence),
        *_float(evidence, companies),
        *_ledger(evidence),
        *_charged_once(evidence, companies),
        *_refunded(evidence, companies),
        *_processor(evidence, companies),
        *_added_up(evidence),
        *_answered_once(companies),
        *_as_told(evidence, companies),
        *_told(evidence, companies),
        *_judged(companies),
    ]


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
    """What is paid all the same had failed for a reason that may turn, and was waited for."""
    for row in (row for rows in evidence.attempts.values() for row in rows):
        if row["state"] in CLOSED_ATTEMPT and companies.bank.times_paid(row["reference"]):
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
        if bool(paid) != settled and not kinds & _EXPLAINS:
            yield (
                f"order {order.id} was paid {paid} times, is {order.status} at the aggregator and "
                f"{ours} here, and no case says why"
            )
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


def _ledger(evidence: Evidence) -> Iterator[str]:
    for finding in evidence.audit.findings:
        yield f"ledger audit: {finding.code} {finding.subject}: {finding.detail}"
    for code, drift in evidence.audit.drift.items():
        if drift:
            yield f"ledger audit: drift of {drift} in {code}"


def _charged_once(evidence: Evidence, companies: Companies) -> Iterator[str]:
    yield from (f"processor: {what}" for what in companies.cards.violations)
    ours = {row["id"] for row in evidence.payments}
    for row in evidence.payments:
        lines = companies.cards.charges_of(row["id"])
        taken = sum(line.amount for line in lines)
        if len(lines) > 1:
            yield f"payment {row['id']} was charged {len(lines)} times"
        if taken != row["amount_captured"]:
            yield f"payment {row['id']}: {taken} charged, {row['amount_captured']} captured here"
    for line in companies.cards.lines:
        if line.kind is Kind.CHARGED and line.payment not in ours:
            yield f"payment {line.payment} was charged and is not known here"


def _refunded(evidence: Evidence, companies: Companies) -> Iterator[str]:
    back: Counter[str] = Counter()
    for line in companies.cards.lines:
        if line.kind in (Kind.REFUNDED, Kind.REFUND_RETURNED):
            back[line.payment] += line.amount if line.kind is Kind.REFUNDED else -line.amount
    for row in evidence.payments:
        given = back[row["id"]]
        if given > row["amount_captured"]:
            yield f"payment {row['id']}: {given} given back of {row['amount_captured']}"
        if given != row["amount_refunded"]:
            yield f"payment {row['id']}: {given} given back, {row['amount_refunded']} here"
        if row["amount_refunding"] and not evidence.kinds(row["id"]):
            yield f"payment {row['id']}: {row['amount_refunding']} still set aside for refunds"


_SIGNS = {
    Kind.CHARGED: 1,
    Kind.REFUNDED: -1,
    Kind.REFUND_RETURNED: 1,
    Kind.DISPUTED: -1,
    Kind.DISPUTE_WON: 1,
    Kind.FEE: -1,
    Kind.DISPUTE_FEE: -1,
    Kind.DISPUTE_FEE_RETURNED: 1,
}


def _processor(evidence: Evidence, companies: Companies) -> Iterator[str]:
    """Our balance at the processor is what its own lines add up to."""
    sums: Counter[str] = Counter()
    for line in companies.cards.lines:
        sums[f"processor:stripe:balance:{line.currency.upper()}"] += _SIGNS[line.kind] * line.amount
    held = {p: b for p, b in evidence.balances.items() if p.startswith("processor:stripe:balance:")}
    for path in sorted(held.keys() | sums.keys()):
        if held.get(path, 0) != sums[path]:
            yield f"{path}: the processor has {sums[path]}, the ledger {held.get(path, 0)}"


def _added_up(evidence: Evidence) -> Iterator[str]:
    """Each user's payments add up to the ledger account."""
    lost: Counter[str] = Counter()
    for row in evidence.disputes:
        if row["state"] == DisputeState.LOST:
            lost[row["payment_id"]] += row["amount"]
    sums: Counter[str] = Counter()
    for row in evidence.payments:
        left = row["amount_captured"] - row["amount_refunded"] - row["amount_refunding"]
        sums[user_account(row["user_id"], row["currency"])] += left - lost[row["id"]]
    held = {p: b for p, b in evidence.balances.items() if p.startswith("payments:user:")}
    for path in sorted(held.keys() | sums.keys()):
        if held.get(path, 0) != sums[path]:
            yield f"{path}: payments add up to {sums[path]}, the ledger has {held.get(path, 0)}"


def _answered_once(companies: Companies) -> Iterator[str]:
    for sale in companies.sales:
        for key, answers in sale.answers.items():
            # 202 is "not known yet": another answer may follow it.
            final = {(status, name) for status, name in answers if status != 202}
            if len(final) > 1 or len({name for _, name in answers}) > 1:
                yield f"{key} was answered {answers}"


def _as_told(evidence: Evidence, companies: Companies) -> Iterator[str]:
    """What buyers were told is what the processor did, and nothing that nobody asked for."""
    made = Counter(row["description"] for row in evidence.payments)
    returned = Counter(line.payment for line in companies.cards.lines if line.kind is Kind.REFUNDED)
    for sale in companies.sales:
        yield from sale.wrong
        if made[sale.plan.name] > 1:
            yield f"one wish of {sale.plan.name} made {made[sale.plan.name]} payments"
        taken = sum(line.amount for line in companies.cards.charges_of(sale.id))
        wanted = sale.plan.amount
        asked = sale.plan.steps.count(Step.REFUNDED_THERE)
        for wish, body, status in sale.heard:
            asked += wish == "refunds"
            if wish == "capture" and "amount" in body:
                wanted = body["amount"]
            if taken and (wish, status) in _TELLS_NOTHING_TAKEN:
                yield f"{sale.id}: {wish} was answered {status}, and {taken} was taken"
        if taken not in {0, wanted}:
            yield f"{sale.id}: {taken} was taken, {wanted} was wanted"
        if returned[sale.id] > asked and not sale.gave_up:
            yield f"{sale.id} was refunded {returned[sale.id]} times, asked for {asked} times"


def _told(evidence: Evidence, companies: Companies) -> Iterator[str]:
    """Each event of the timeline, signed and in order."""
    yield from (f"receiver: {what}" for what in companies.receiver.wrong)
    arrived = companies.receiver.arrived.get("buyer")
    if arrived is None:
        return
    for payment in evidence.payments:
        events = [row for row in evidence.events if row["payment_id"] == payment["id"]]
        wanted = [row["id"] for row in sorted(events, key=lambda row: int(row["seq"]))]
        got = [one.id for one in arrived if one.payment == payment["id"]]
        if got != wanted:
            yield f"payment {payment['id']}: {len(wanted)} events, {len(got)} of them told in order"


def _judged(companies: Companies) -> Iterator[str]:
    """What the aggregator holds against the node."""
    dialects = {order.id: order.dialect for order in companies.orders}
    for one in companies.violations:
        if one.wrong is Wrong.OFFER_REFUSED and dialects.get(one.key) == "spec":
            continue  # this dialect may refuse an offer in the answer
        if one.wrong is Wrong.SUCCESS_REPEATED and any(one.key in it for it in companies.doubled):
            continue  # it was the network that repeated it
        yield f"aggregator: {one}"
