"""The judgement sees what is wrong: each thing that may not be true, made true, is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.support.invariants import (
    PaymentEvidence,
    PayoutEvidence,
    leaks,
    wrong_with_payments,
    wrong_with_payouts,
)
from tests.support.our_books import Books
from tidegate.cli.demo_look import Books as Ledger
from tidegate.cli.demo_proof_payments import TillEvidence
from tidegate.cli.demo_till import Till
from tidegate.clock import SystemClock
from tidegate.sandbox.aggregator.judgement import Violation, Wrong
from tidegate.sandbox.aggregator.orders import Order, Status
from tidegate.sandbox.bank.books import Books as BankBooks
from tidegate.sandbox.bank.books import Kind as BankKind
from tidegate.sandbox.cards import Books as CardBooks
from tidegate.sandbox.cards import Kind, Line
from tidegate.sandbox.shop import Receiver

USER = "payments:user:usr_1:USD"
AT_STRIPE = "processor:stripe:balance:USD"
REFERENCE = "tg-1-01"


def test_what_is_right_is_not_complained_about() -> None:
    """One order paid and settled, one payment captured and refunded in part."""
    assert wrong_with_payouts(_payouts()) == []
    assert wrong_with_payments(_payments()) == []


def _pay_again(evidence: PayoutEvidence) -> PayoutEvidence:
    evidence.bank.write(0, BankKind.DEBIT, 100, REFERENCE)
    evidence.bank.write(0, BankKind.PAID, 100, REFERENCE)
    return evidence


def _pay_another(evidence: PayoutEvidence) -> PayoutEvidence:
    evidence.books.attempts["o1"].append({"id": "att_2", "reference": "tg-1-02", "state": "paid"})
    evidence.bank.write(0, BankKind.PAID, 100, "tg-1-02")
    return evidence


def _order(status: Status) -> Order:
    return cast(Order, SimpleNamespace(id="o1", status=status, marks={}))


def _books(**changes: Any) -> Callable[[PayoutEvidence], PayoutEvidence]:
    return lambda evidence: replace(evidence, books=replace(evidence.books, **changes))


_JUDGED = Violation(Wrong.CANCEL_REPEATED, "o1", "", 0)
_CASE = {"kind": "work_stuck", "subject": "po_9", "reason": "", "data": {}}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_pay_again, "tg-1-01 was paid 2 times"),
        (_pay_another, "o1 was paid 2 times"),
        (lambda e: replace(e, references={REFERENCE, "tg-9"}), "tg-9, which is no attempt"),
        (lambda e: replace(e, orders=[_order(Status.REFUNDED)]), "o1: paid 1 times, refunded"),
        (lambda e: replace(e, bank=_bank(paid=False)), "said to be paid and never was"),
        (_books(findings=("gap",)), "ledger audit: gap"),
        (_books(leased=["payouts po_1"]), "still leased"),
        (_books(balances={**dict.fromkeys(("available", "suspense"), 0), "reserved": 5}), "5 is"),
        (_books(cases=[_CASE]), "1 cases of work_stuck"),
        (lambda e: replace(e, off_by=1), "our books have 900, the bank 900"),
        (lambda e: replace(e, judgements=[_JUDGED]), "cancel_repeated"),
    ],
)
def test_payouts(change: Callable[[PayoutEvidence], PayoutEvidence], sentence: str) -> None:
    """What may not be true of payouts."""
    wrong = wrong_with_payouts(change(_payouts()))
    assert any(sentence in one for one in wrong), wrong


def _row(name: str, **changes: Any) -> Callable[[PaymentEvidence], PaymentEvidence]:
    """Change the only row of ``payments`` or ``refunds``."""

    def change(evidence: PaymentEvidence) -> PaymentEvidence:
        (row,) = getattr(evidence.till.till, name)
        row.update(changes)
        return evidence

    return change


def _booked(kind: Kind, amount: int) -> Callable[[PaymentEvidence], PaymentEvidence]:
    def change(evidence: PaymentEvidence) -> PaymentEvidence:
        evidence.till.cards.write(Line(0, kind, "pay_1", "x", amount, "usd"))
        return evidence

    return change


def _have(path: str, amount: int) -> Callable[[PaymentEvidence], PaymentEvidence]:
    return lambda evidence: replace(evidence, balances={**evidence.balances, path: amount})


_ABOUT = {"kind": "payment_mismatch", "subject": "pay_1", "reason": "it differs"}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_booked(Kind.CHARGED, 100), "charged 2x"),
        (_booked(Kind.REFUNDED, 90), "120 given back there"),
        (_row("payments", amount_captured=90), "100 charged 1x, 90"),
        (_row("payments", state="confirming"), "payment pay_1 is confirming"),
        (_row("payments", due_at=1), "pay_1 is succeeded and due"),
        (_row("payments", leased_until=1), "pay_1 is leased"),
        (_row("payments", movement=None), "its fee is not booked"),
        (_row("refunds", state="asking"), "refund re_1 is asking"),
        (_have(AT_STRIPE, 71), "71 here, 67 at the processor"),
        (_have("payments:refunding:USD", 3), "3 is set aside"),
        (lambda e: replace(e, cases=[_ABOUT]), "payment_mismatch about pay_1"),
    ],
)
def test_payments(change: Callable[[PaymentEvidence], PaymentEvidence], sentence: str) -> None:
    """What may not be true of payments."""
    wrong = wrong_with_payments(change(_payments()))
    assert any(sentence in one for one in wrong), wrong


def test_a_named_case_explains_what_has_not_ended() -> None:
    """A row that waits for a person is no violation, once a case names it."""
    change = _row("refunds", state="pending")
    case = {"kind": "refund_unknown", "subject": "re_1", "reason": ""}
    evidence = replace(change(_payments()), cases=[case], cases_allowed={"refund_unknown"})
    assert wrong_with_payments(evidence) == []


def test_a_secret_in_a_log_is_found_and_not_repeated() -> None:
    """The judgement is printed, so it shows a secret's beginning only."""
    assert leaks("a line with hunter2hunter2", ["hunter2hunter2", "else"]) == [
        "hunter... stands in the log"
    ]


def _payouts() -> PayoutEvidence:
    payout = {"id": "po_1", "order_id": "o1", "state": "fulfilled", "held": 0}
    names = {"tx_id": "tg-1", "psp_id": "psp-1"}
    books = Books(
        payouts={"o1": {**payout, **names}},
        attempts={"o1": [{"id": "att_1", "reference": REFERENCE, "state": "paid", "held": 0}]},
        cases=[],
        balances={"available": 900, "reserved": 0, "suspense": 0},
        inbox=[],
        findings=(),
        leased=[],
    )
    return PayoutEvidence(books, _bank(paid=True), {REFERENCE}, [_order(Status.SETTLED)], [])


def _bank(*, paid: bool) -> BankBooks:
    bank = BankBooks()
    bank.write(0, BankKind.OPENING, 1_000)
    if paid:
        bank.write(0, BankKind.DEBIT, 100, REFERENCE)
        bank.write(0, BankKind.PAID, 100, REFERENCE)
    return bank


def _payments() -> PaymentEvidence:
    rest = {"due_at": None, "leased_until": None, "movement": "txn_1", "currency": "USD"}
    sums = {"amount_captured": 100, "amount_refunded": 30, "amount_refunding": 0}
    payment = {"id": "pay_1", "user_id": "usr_1", "state": "succeeded", **rest, **sums}
    refund = {"id": "re_1", "payment_id": "pay_1", "state": "succeeded", "amount": 30, **rest}
    cards = CardBooks()
    for kind, amount in ((Kind.CHARGED, 100), (Kind.REFUNDED, 30), (Kind.FEE, 3)):
        cards.write(Line(0, kind, "pay_1", kind.value, amount, "usd"))
    lines = [SimpleNamespace(path=USER, balance=70)]
    ledger = cast(Ledger, SimpleNamespace(trial=SimpleNamespace(lines=lines)))
    till = Till([payment], [refund], [], {}, 0)
    evidence = TillEvidence([], till, ledger, cards, Receiver(SystemClock()), {})
    return PaymentEvidence(evidence, {USER: 70, AT_STRIPE: 67}, [])
