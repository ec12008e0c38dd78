"""What must be true of money once nothing moves any more, as sentences about what is not.

Pure: rows of ours and books of the companies in, violations out, none when all is well. It does
not matter who moved the money or on what clock: processes that were killed, or a simulation. The
judges are the companies' own books, never ours: the bank counts how often a recipient got money,
the processor how often a card was charged, the aggregator holds mistakes against the node.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from tests.support.our_books import EXPLAINS, Books, Row
from tidegate.cli.demo_proof_payments import TillEvidence, prove_payments
from tidegate.payments.states import ENDED, RefundState, State
from tidegate.payouts.states import State as PayoutState
from tidegate.sandbox.aggregator.judgement import Violation, Wrong
from tidegate.sandbox.aggregator.orders import PAID as AGGREGATOR_PAID
from tidegate.sandbox.aggregator.orders import Order
from tidegate.sandbox.bank.books import Books as BankBooks
from tidegate.sandbox.cards import Books as CardBooks
from tidegate.sandbox.cards import Kind

__all__ = [
    "PaymentEvidence",
    "PayoutEvidence",
    "leaks",
    "open_payments",
    "wrong_with_payments",
    "wrong_with_payouts",
]

# A cardholder's dispute is a case by itself; one of the processor's own mistakes is another.
_ORDINARY = frozenset({"payment_disputed"})

# What a line of the processor's books adds to what it holds for us.
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


@dataclass(frozen=True, slots=True)
class PayoutEvidence:
    """Payouts when nothing moves: our rows, the bank's books and the references of all its
    transfers, the aggregator's orders and what it holds against the node.

    ``cases_allowed`` are kinds that this run may have opened besides those that explain an order's
    end. ``off_by`` is what our total may exceed the bank's balance by, kobo.
    """

    books: Books
    bank: BankBooks
    references: Collection[str]
    orders: Collection[Order]
    judgements: Sequence[Violation]
    cases_allowed: Collection[str] = ()
    off_by: int = 0


@dataclass(frozen=True, slots=True)
class PaymentEvidence:
    """Payments when nothing moves: our rows, the processor's books, what the clients wanted and
    were told (``till``), the balances of all accounts by path, and our open cases."""

    till: TillEvidence
    balances: dict[str, int]
    cases: Sequence[Row]
    cases_allowed: Collection[str] = ()


def wrong_with_payouts(evidence: PayoutEvidence) -> list[str]:
    """Every violation, the worst first."""
    checks: Sequence[Callable[[PayoutEvidence], Iterable[str]]] = (
        _paid_once,
        _agreed,
        _proven,
        _holds,
        _float,
        _explained,
        _held_against,
    )
    return [sentence for check in checks for sentence in check(evidence)]


def _paid_once(evidence: PayoutEvidence) -> Iterator[str]:
    """At the bank: no reference twice, no order twice, nothing that we did not write down."""
    books, bank = evidence.books, evidence.bank
    for reference in bank.paid_more_than_once():
        yield f"{reference} was paid {bank.times_paid(reference)} times"
    known = {one["reference"] for rows in books.attempts.values() for one in rows}
    for reference in set(evidence.references) - known:
        yield f"the bank knows {reference}, which is no attempt of ours"
    for order_id in books.attempts:
        paid = _times_paid(evidence, order_id)
        if paid > 1 and "paid_after_failure" not in books.kinds_of(order_id):
            yield f"{order_id} was paid {paid} times"


def _agreed(evidence: PayoutEvidence) -> Iterator[str]:
    """Paid at the bank exactly if settled at the aggregator; else a case says why."""
    books = evidence.books
    for order in evidence.orders:
        payout = books.payouts.get(order.id)
        paid = _times_paid(evidence, order.id)
        # One that was settled once may have been opened again since, while nobody was there.
        settled = order.status in AGGREGATOR_PAID or "settled" in order.marks
        explained = payout is not None and bool(books.kinds_of(order.id) & EXPLAINS)
        if bool(paid) != settled and not explained:
            ours = payout and payout["state"]
            yield f"{order.id}: paid {paid} times, {order.status} at the aggregator, {ours} here"
        says_paid = payout is not None and payout["state"] in {
            PayoutState.PAID,
            PayoutState.FULFILLED,
        }
        if says_paid and not paid:
            yield f"{order.id} is said to be paid and never was"


def _times_paid(evidence: PayoutEvidence, order_id: str) -> int:
    rows = evidence.books.attempts.get(order_id, [])
    return sum(evidence.bank.times_paid(one["reference"]) for one in rows)


def _proven(evidence: PayoutEvidence) -> Iterator[str]:
    yield from (f"ledger audit: {finding}" for finding in evidence.books.findings)
    yield from (f"still leased: {one}" for one in evidence.books.leased)


def _holds(evidence: PayoutEvidence) -> Iterator[str]:
    """What is reserved is held for a named payout that waits for a person, and nothing else."""
    books = evidence.books
    held = {row["order_id"]: row["held"] for row in books.payouts.values() if row["held"]}
    if books.balances["reserved"] != sum(held.values()):
        yield f"{books.balances['reserved']} is reserved, and held: {held}"
    for order_id in held:
        state = books.payouts[order_id]["state"]
        if state != PayoutState.HELD:
            yield f"{order_id} is {state} and holds {held[order_id]}"
        if not books.kinds_of(order_id):
            yield f"{order_id} is held without a case"


def _float(evidence: PayoutEvidence) -> Iterator[str]:
    """Our books have what the bank has; between them stands what is under way to a case."""
    books, balance = evidence.books, evidence.bank.balance()
    left = books.total - balance
    if not evidence.off_by <= left <= evidence.off_by + books.in_flight:
        yield f"our books have {books.total}, the bank {balance}, in flight {books.in_flight}"


def _explained(evidence: PayoutEvidence) -> Iterator[str]:
    for kind in set(evidence.books.case_kinds) - EXPLAINS - set(evidence.cases_allowed):
        yield f"{evidence.books.case_kinds[kind]} cases of {kind}"


def _held_against(evidence: PayoutEvidence) -> Iterator[str]:
    """What the aggregator says; but an order in the spec dialect has two names of its payment, ours
    when it is asked about and the PSP's when it is reported (aggregator.md 4.3)."""
    for one in evidence.judgements:
        payout = evidence.books.payouts.get(one.key)
        names = {payout["tx_id"], payout["psp_id"]} if payout else set()
        told = set(one.detail.split()) - {"success", "beside"}
        if one.wrong is not Wrong.PAID_TWICE or told != names:
            yield str(one)


def wrong_with_payments(evidence: PaymentEvidence) -> list[str]:
    """Every violation, the worst first: charged once and as much as we captured, refunds within
    it, each end what the client wanted, users' accounts, what was told; then the rest."""
    checks = prove_payments(evidence.till)
    wrong = [
        f"{check.name}: {line}"
        for check in checks
        if not check.ok
        for line in check.lines or [check.figures]
    ]
    wrong += _at_the_processor(evidence.till.cards, evidence.balances)
    wrong += open_payments(evidence.till, evidence.cases)
    allowed = _ORDINARY | set(evidence.cases_allowed)
    payments = {row["id"] for row in (*evidence.till.till.payments, *evidence.till.till.refunds)}
    for case in evidence.cases:
        if case["subject"] in payments and case["kind"] not in allowed:
            wrong.append(f"{case['kind']} about {case['subject']}: {case['reason']}")
    return wrong


def _at_the_processor(cards: CardBooks, balances: dict[str, int]) -> Iterator[str]:
    """What the ledger has at the processor is what its own books add up to."""
    theirs = {
        f"processor:stripe:balance:{currency.upper()}": sum(
            _SIGNS[Kind(kind)] * amount for kind, amount in totals.items()
        )
        for currency, totals in cards.totals().items()
    }
    ours = {path: each for path, each in balances.items() if path.startswith("processor:stripe:b")}
    for path in sorted(theirs.keys() | ours.keys()):
        if theirs.get(path, 0) != ours.get(path, 0):
            yield f"{path}: {ours.get(path, 0)} here, {theirs.get(path, 0)} at the processor"
    for path, balance in balances.items():
        if path.startswith("payments:refunding:") and balance:
            yield f"{path}: {balance} is set aside for refunds, and none is under way"


def open_payments(evidence: TillEvidence, cases: Sequence[Row]) -> Iterator[str]:
    """Payments, refunds and disputes that have not ended, and are no named case."""
    subjects = {case["subject"] for case in cases}
    till = evidence.till
    ends = {
        "payment": (till.payments, ENDED),
        "refund": (till.refunds, frozenset({RefundState.SUCCEEDED, RefundState.FAILED})),
        "dispute": (till.disputes, frozenset({"won", "lost", "closed"})),
    }
    for name, (rows, ended) in ends.items():
        for row in rows:
            if row["state"] not in ended and row["id"] not in subjects:
                yield f"{name} {row['id']} is {row['state']}"
            elif row["due_at"] is not None:
                yield f"{name} {row['id']} is {row['state']} and due"
            elif row["leased_until"] is not None:
                yield f"{name} {row['id']} is leased"
    for row in till.payments:
        if row["state"] == State.SUCCEEDED and row["movement"] is None:
            yield f"payment {row['id']}: its fee is not booked"


def leaks(log: str, secrets: Iterable[str]) -> list[str]:
    """The beginnings of those ``secrets`` that stand in a log."""
    return [f"{secret[:6]}... stands in the log" for secret in secrets if secret in log]
