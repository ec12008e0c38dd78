"""The proof at the end of the demonstration about payouts: named checks with figures. Pure.

Each check asks a company that is not the node, or compares the node with one: the bank's own
books, the aggregator's own order book, the node's ledger against both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tidegate.cli.demo_check import Check, listed
from tidegate.cli.demo_look import Books
from tidegate.cli.demo_orders import Standing
from tidegate.cli.output import amount
from tidegate.payouts.states import ENDED_UNPAID, AttemptState, State
from tidegate.sandbox.aggregator import Violation
from tidegate.sandbox.aggregator.book import Float
from tidegate.sandbox.bank.books import Books as BankBooks
from tidegate.sandbox.bank.books import Kind, Place, naira
from tidegate.sandbox.faults import AggregatorFault, Fault
from tidegate.sandbox.scenario import End

__all__ = ["Evidence", "prove"]

_PERSON_KINDS = frozenset({State.HELD, State.PAID})


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the checks are made of, taken at one moment when nothing moves any more."""

    standings: Sequence[Standing]
    books: Books
    bank: BankBooks
    violations: Sequence[Violation]
    believed: Float


def prove(evidence: Evidence) -> list[Check]:
    """Every check, the most important first."""
    return [
        _paid_once(evidence.standings),
        _ended(evidence.standings),
        _as_it_should(evidence.standings),
        _agrees(evidence.standings),
        _ledger(evidence.books),
        _float(evidence),
        _told(evidence),
        _judged(evidence.violations),
    ]


def _paid_once(standings: Sequence[Standing]) -> Check:
    """Counted by the bank alone, per recipient account: each order has one of its own."""
    times = Counter(standing.times_paid for standing in standings)
    more = [one for one in standings if one.times_paid > 1]
    return Check(
        "At the bank each order was paid at most once",
        not more,
        f"{times[1]} once, {times[0]} not at all, {len(more)} more than once",
        listed(f"{_name(one)}: paid {one.times_paid} times" for one in more),
    )


def _ended(standings: Sequence[Standing]) -> Check:
    open_ = [one for one in standings if one.end is None]
    ends = Counter(one.end for one in standings)
    persons = [one for one in standings if one.end in {End.PERSON, End.INCIDENT}]
    waiting = listed(
        f"{_name(one)}: {one.state or 'not taken'} here, "
        f"{one.order.status if one.order else 'not offered'} at the aggregator"
        for one in open_
    )
    named = (
        f"{_name(one)}: {case['kind']}: {one.held_because or case['reason']}"
        for one in persons
        for case in one.cases
    )
    return Check(
        "Every order ended, or is a named case for a person",
        not open_ and all(one.cases for one in persons),
        f"{ends[End.PAID] + ends[End.INCIDENT]} paid and settled, {ends[End.UNPAID]} given back "
        f"unpaid, {ends[End.PERSON]} held with a case, {ends[End.INCIDENT]} with a case after the "
        f"end, {len(open_)} open",
        [*waiting, *named],
    )


def _as_it_should(standings: Sequence[Standing]) -> Check:
    """What the trouble of each order allows: a paid one is not given back without need."""
    wrong = [one for one in standings if one.end is not one.planned.trouble.end]
    kinds = _kinds(one.planned.trouble.faults for one in standings)
    unmet = kinds - _kinds(one.met for one in standings)
    return Check(
        "Each order came to the end that its trouble allows",
        not wrong,
        f"{len(standings) - len(wrong)} of {len(standings)}; {len(kinds) - len(unmet)} of "
        f"{len(kinds)} kinds of fault met"
        + (f", not met: {', '.join(sorted(fault for _, fault in unmet))}" if unmet else ""),
        listed(
            f"{_name(one)}: {one.end or 'open'} instead of {one.planned.trouble.end} "
            f"({', '.join(one.planned.trouble.faults) or 'no fault'}) {one.reason}"
            for one in wrong
        ),
    )


def _kinds(faults: Iterable[Iterable[Fault]]) -> set[tuple[str, str]]:
    return {(type(fault).__name__, fault.value) for some in faults for fault in some}


def _agrees(standings: Sequence[Standing]) -> Check:
    """Ours, the aggregator's and the bank's record of each order say the same; what a person has
    to settle is a case already and is counted apart."""
    apart = [one for one in standings if one.end is End.PERSON and one.cases]
    different = [
        f"{_name(one)}: {why}"
        for one in standings
        if one not in apart and (why := _difference(one)) is not None
    ]
    same = len(standings) - len(apart) - len(different)
    return Check(
        "The aggregator's record agrees with ours, order by order",
        not different,
        f"{same} the same, {len(different)} different, {len(apart)} a case already",
        listed(different),
    )


def _difference(one: Standing) -> str | None:
    if one.order is None:
        return "was never offered"
    if one.payout is None:
        return "the aggregator says paid, and we have never seen it" if one.times_paid else None
    rows = [row for row in one.order.fulfilments if row.status == "success"]
    if one.state is State.FULFILLED:
        wanted = {one.payout["tx_id" if one.order.dialect == "live" else "psp_id"]}
        if "success_polled" in one.order.marks:
            wanted.add(one.payout["tx_id"])  # what /tx_status tells, in either dialect
        asked = one.order.accept_amount
        if AggregatorFault.ACCEPT_AMOUNT_DIFFERS in one.planned.trouble.aggregator:
            asked += 1
        paid = [transfer.amount for transfer in one.transfers if transfer.completed_ms is not None]
        if not one.paid_by_aggregator:
            return f"fulfilled here, {one.order.status} there"
        if len(rows) != 1 or rows[0].tx_id not in wanted:
            there = ", ".join(row.tx_id for row in rows)
            return f"transaction {' or '.join(sorted(wanted))} here, {there or 'none'} there"
        if paid != [int(asked * 100)] or one.payout["amount"] != int(asked * 100):
            return f"{asked} asked, {one.payout['amount']} here, {paid} at the bank (kobo)"
        return None
    if one.state in ENDED_UNPAID:
        if one.paid_by_aggregator or rows:
            return f"{one.state} here, {one.order.status} there"
        if one.times_paid:
            return f"{one.state} here, and paid at the bank"
        return None
    return f"{one.state} here, {one.order.status} there"


def _ledger(books: Books) -> Check:
    report = books.audit
    drift = sum(report.drift.values())
    totals = ", ".join(
        f"{code} {amount(debits, code)} = {amount(credits, code)}"
        for code, (debits, credits) in sorted(books.trial.totals.items())
    )
    return Check(
        "The ledger audit passes",
        report.ok and books.trial.balanced and not drift,
        f"{report.entries} entries, {report.legs} legs, {report.accounts} accounts, "
        f"{report.blocks} sealed blocks, drift {drift}; debits and credits {totals}",
        listed(f"{one.code} {one.subject}: {one.detail}" for one in report.findings),
    )


def _float(evidence: Evidence) -> Check:
    """Before plus funding minus paid minus fees plus reversed is after, at the bank and in our
    books; between the two stands only what is held for a person."""
    bank, books = evidence.bank, evidence.books
    totals = bank.totals()
    held_paid, held_under_way, held_fees = _held(evidence)
    ours = {
        "before": books.balance("float:opening:NGN"),
        "funding": books.balance("float:funding:NGN"),
        "paid": books.balance("aggregator:owed:NGN"),
        "fees": books.balance("psp:lenco:fees:NGN"),
        "reversed": books.balance("payouts:returned:NGN"),
    }
    unexplained = (
        books.balance("psp:lenco:surplus:NGN")
        - books.balance("psp:lenco:missing:NGN")
        - books.balance("suspense:outflow:NGN")
    )
    after = sum(
        books.balance(f"psp:lenco:{part}:NGN") for part in ("available", "reserved", "suspense")
    )
    theirs = {
        "before": totals[Kind.OPENING],
        "funding": totals[Kind.CREDIT],
        "paid": totals[Kind.PAID],
        "fees": totals[Kind.FEE] - totals[Kind.FEE_REFUND],
        "reversed": totals[Kind.REVERSAL],
    }
    held = {"before": 0, "funding": 0, "paid": held_paid, "fees": held_fees, "reversed": 0}
    computed = _sum(ours)
    explained = after - held_paid - held_under_way - held_fees
    ok = (
        computed + unexplained == after
        and unexplained == 0
        and all(theirs[line] == ours[line] + held[line] for line in ours)
        and _sum(theirs) - bank.balance(Place.UNDER_WAY) == bank.balance()
        and bank.folded_balance() == bank.balance() == explained
    )
    signs = {"before": " ", "funding": "+", "paid": "-", "fees": "-", "reversed": "+"}
    names = {"paid": "paid out", "reversed": "reversed by the bank"}
    lines = [f"{'':24}{'our books':>18}{'the bank':>18}{'held for a person':>20}"]
    lines += [
        f"{signs[line]} {names.get(line, line):22}{naira(ours[line]):>18}{naira(theirs[line]):>18}"
        f"{naira(held[line]) if held[line] else '':>20}"
        for line in ours
    ]
    if held_under_way:
        under_way = naira(held_under_way)
        lines.append(f"- {'under way':22}{'':>18}{under_way:>18}{under_way:>20}")
    if unexplained:
        lines.append(f"  {'unexplained':22}{naira(unexplained):>18}")
    lines.append(f"= {'after':22}{naira(after):>18}{naira(bank.balance()):>18}")
    return Check(
        "Float before minus paid minus fees is float after",
        ok,
        f"{naira(ours['before'])} + {naira(ours['funding'])} funding - {naira(ours['paid'])} paid "
        f"- {naira(ours['fees'])} fees + {naira(ours['reversed'])} reversed = {naira(after)}",
        lines,
    )


def _sum(parts: dict[str, int]) -> int:
    return parts["before"] + parts["funding"] - parts["paid"] - parts["fees"] + parts["reversed"]


def _held(evidence: Evidence) -> tuple[int, int, int]:
    """What the bank has taken for attempts that our books still hold as reserved, kobo: paid, under
    way, fees."""
    undecided = {
        attempt["reference"]
        for standing in evidence.standings
        for attempt in standing.attempts
        if AttemptState(attempt["state"]) is AttemptState.HELD
    }
    sums: Counter[Kind] = Counter()
    for line in evidence.bank.lines:
        if line.reference in undecided:
            sums[line.kind] += line.amount
    paid = sums[Kind.PAID]
    under_way = sums[Kind.DEBIT] - sums[Kind.REFUND] - paid
    return paid, under_way, sums[Kind.FEE] - sums[Kind.FEE_REFUND]


def _told(evidence: Evidence) -> Check:
    available = evidence.books.balance("psp:lenco:available:NGN")
    told = evidence.believed.reported_available
    return Check(
        "The aggregator was told what is available",
        told == naira(available),
        f"told {told or 'nothing'}, available {naira(available)}, {evidence.believed.pushes} times",
    )


def _judged(violations: Sequence[Violation]) -> Check:
    kinds = Counter(violation.wrong for violation in violations)
    return Check(
        "The aggregator holds nothing against the node",
        not violations,
        ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or "no violation",
        listed(str(violation) for violation in violations),
    )


def _name(standing: Standing) -> str:
    return f"{standing.planned.order_id[:8]} {standing.planned.dialect}"
