"""What must be true in the end of payments, refunds, disputes and what buyers are told. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tidegate.payments.postings import user_account
from tidegate.payments.states import DisputeState
from tidegate.payments.states import State as PaymentState
from tidegate.sandbox.cards import Kind, Status
from tidegate.simulation.companies import Companies
from tidegate.simulation.evidence import Evidence
from tidegate.simulation.plan import Step

__all__ = ["judge_cards"]

_TELLS_NOTHING_TAKEN = {("payments", 402), ("payments", 424), ("cancel", 200)}


def judge_cards(evidence: Evidence, companies: Companies) -> Iterator[str]:
    """Every broken promise, a sentence each."""
    yield from _charged_once(evidence, companies)
    yield from _closed(evidence, companies)
    yield from _refunded(evidence, companies)
    yield from _processor(evidence, companies)
    yield from _added_up(evidence)
    yield from _answered_once(companies)
    yield from _as_told(evidence, companies)
    yield from _told(evidence, companies)


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


def _closed(evidence: Evidence, companies: Companies) -> Iterator[str]:
    """Nobody can bring to success what has ended without it."""
    status = {intent.id: intent.status for intent in companies.intents}
    for row in evidence.payments:
        there = status.get(row["processor_reference"])
        over = PaymentState(row["state"]) in {PaymentState.FAILED, PaymentState.CANCELED}
        if over and there not in {None, Status.CANCELED, Status.SUCCEEDED}:
            yield f"payment {row['id']} is {row['state']}, and its object is {there}"


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
        captures = [body for wish, body in sale.wished if wish == "capture" and "amount" in body]
        wanted = captures[-1]["amount"] if captures else sale.plan.amount
        asked = sale.plan.steps.count(Step.REFUNDED_THERE)
        for wish, status in sale.heard:
            asked += wish == "refunds" and status in {201, 202}
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
