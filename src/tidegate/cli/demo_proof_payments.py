"""The proof about payments: named checks with their figures. Pure.

Each compares the node with somebody else: the card processor's own books, the shop that wanted
the payments, the receiver that was told of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.cli.demo_check import Check, listed
from tidegate.cli.demo_look import Books
from tidegate.cli.demo_till import Till
from tidegate.cli.output import amount
from tidegate.sandbox.cards import Books as CardBooks
from tidegate.sandbox.cards import Kind
from tidegate.sandbox.shop import Receiver, Sold

__all__ = ["TillEvidence", "prove_payments"]


@dataclass(frozen=True, slots=True)
class TillEvidence:
    """What the checks are made of, taken at one moment when nothing moves any more.

    ``endpoints`` are the receiver's names by the id of the user whose events they get.
    """

    sold: Sequence[Sold]
    till: Till
    books: Books
    cards: CardBooks
    receiver: Receiver
    endpoints: Mapping[str, str]


def prove_payments(evidence: TillEvidence) -> list[Check]:
    """Every check, the most important first."""
    return [
        _charged_once(evidence),
        _refunded(evidence),
        _ended(evidence),
        _added_up(evidence),
        _told(evidence),
    ]


def _charged_once(evidence: TillEvidence) -> Check:
    """Counted by the processor alone."""
    wrong, times = [], Counter[int]()
    sums: Counter[str] = Counter()
    for row in evidence.till.payments:
        lines = evidence.cards.charges_of(row["id"])
        taken = sum(line.amount for line in lines)
        times[len(lines)] += 1
        sums[row["currency"]] += taken
        if len(lines) > 1 or taken != row["amount_captured"]:
            wrong.append(f"{row['id']}: {taken} charged {len(lines)}x, {row['amount_captured']}")
    wrong += evidence.cards.violations
    ours = {row["id"] for row in evidence.till.payments}
    wrong += [
        f"{line.payment}: charged, and not known here"
        for line in evidence.cards.lines
        if line.kind is Kind.CHARGED and line.payment not in ours
    ]
    return Check(
        "At the processor each payment was charged at most once, and as much as we captured",
        not wrong,
        f"{times[1]} once, {times[0]} not at all: {_sums(sums)}",
        listed(wrong),
    )


def _refunded(evidence: TillEvidence) -> Check:
    back: Counter[str] = Counter()
    for line in evidence.cards.lines:
        if line.kind in (Kind.REFUNDED, Kind.REFUND_RETURNED):
            sign = 1 if line.kind is Kind.REFUNDED else -1
            back[line.payment] += sign * line.amount
    wrong, sums = [], Counter[str]()
    for row in evidence.till.payments:
        given = back[row["id"]]
        sums[row["currency"]] += given
        if given > row["amount_captured"] or given != row["amount_refunded"]:
            wrong.append(
                f"{row['id']}: {given} given back there, {row['amount_refunded']} here, "
                f"{row['amount_captured']} captured"
            )
    states = Counter(row["state"] for row in evidence.till.refunds)
    counted = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    return Check(
        "Refunds never exceed what was captured, and agree with the processor",
        not wrong,
        f"{counted or 'none'}: {_sums(sums)}",
        listed(wrong),
    )


def _ended(evidence: TillEvidence) -> Check:
    """What the shop wanted is what came of it."""
    wrong = []
    for sold in evidence.sold:
        status, sale = evidence.till.status(sold.id), sold.sale
        row = next((row for row in evidence.till.payments if row["id"] == sold.id), None)
        refunded = 0 if row is None else row["amount_refunded"]
        if sold.trouble or status != sale.end or refunded != sale.refunded:
            wrong.append(
                f"{sold.id or 'no payment'} ({', '.join(sale.steps) or 'plain'}): {status or '-'}"
                f" instead of {sale.end}, {refunded} refunded of {sale.refunded} {sold.trouble}"
            )
    unknown, again = (
        sum(getattr(one, name) for one in evidence.sold) for name in ("unknown", "again")
    )
    ends = Counter(sold.status for sold in evidence.sold)
    return Check(
        "Each sale came to the end that it must have",
        not wrong,
        f"{', '.join(f'{count} {end}' for end, count in sorted(ends.items()))}; {unknown} answers "
        f"unknown at first, {again} requests repeated with their key",
        listed(wrong),
    )


def _added_up(evidence: TillEvidence) -> Check:
    paid = evidence.till.paid()
    held = {
        line.path: line.balance
        for line in evidence.books.trial.lines
        if line.path.startswith("payments:user:") and line.balance
    }
    wrong = [
        f"{account}: payments {paid.get(account, 0)}, ledger {held.get(account, 0)}"
        for account in sorted(paid.keys() | held.keys())
        if paid.get(account, 0) != held.get(account, 0)
    ]
    sums: Counter[str] = Counter()
    for account, minor in held.items():
        sums[account.rpartition(":")[2]] += minor
    return Check(
        "Each user's payments add up to the ledger account",
        not wrong,
        f"{len(held)} accounts of {len({path.split(':')[2] for path in held})} users: "
        f"{_sums(sums)}",
        listed(wrong),
    )


def _told(evidence: TillEvidence) -> Check:
    """Every event of the node's timeline, verified, in the order of its payment."""
    wrong = list(evidence.receiver.wrong)
    count = 0
    for payment_id, events in evidence.till.events.items():
        name = evidence.endpoints.get(events[0]["user_id"])
        arrived = [] if name is None else evidence.receiver.arrived[name]
        got = [(one.id, one.type) for one in arrived if one.payment == payment_id]
        wanted = [(event["id"], event["type"]) for event in events]
        count += len(wanted)
        if name is not None and got != wanted:
            wrong.append(f"{payment_id}: {len(wanted)} events happened, told {_types(got)}")
    receiver = evidence.receiver
    return Check(
        "The shop was told every event, signed and in order",
        not wrong,
        f"{count} events of {len(evidence.till.events)} payments, {receiver.turned_away} "
        f"turned away at first, {receiver.repeated} told again",
        listed(wrong),
    )


def _types(told: Sequence[tuple[str, Any]]) -> str:
    return ", ".join(str(type_) for _, type_ in told) or "nothing"


def _sums(sums: Mapping[str, int]) -> str:
    return ", ".join(
        f"{amount(minor, code)} {code}" for code, minor in sorted(sums.items()) if minor
    )
