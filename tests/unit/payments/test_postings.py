"""The entries of a payment's life: what each moves, under which reference, and their sums."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.ledger.chart import Side, account_kind
from tidegate.ledger.entry import Entry
from tidegate.money import Currency, Money, parse_currency
from tidegate.payments import postings
from tidegate.ports.cards import Movement

USER = "payments:user:usr_1:USD"
REFUNDING = "payments:refunding:USD"
DISPUTED = "payments:disputed:USD"
BALANCE = "processor:stripe:balance:USD"
FEES = "processor:stripe:fees:USD"


def _movement(amount: int, fee: int, code: str = "USD") -> Movement:
    currency: Currency = parse_currency(code)
    return Movement("txn_1", Money(amount, currency), Money(fee, currency))


@pytest.mark.parametrize(
    ("build", "reference", "kind", "subject", "debited", "credited"),
    [
        (
            lambda: postings.captured("stripe", "usr_1", "pay_1", "USD", 70, 100),
            "pay_1:captured:100",
            "payment.captured",
            "pay_1",
            BALANCE,
            USER,
        ),
        (
            lambda: postings.refund_reserved("usr_1", "re_1", "USD", 70),
            "re_1:reserved",
            "refund.reserved",
            "re_1",
            USER,
            REFUNDING,
        ),
        (
            lambda: postings.refund_succeeded("stripe", "re_1", "USD", 70),
            "re_1:succeeded",
            "refund.succeeded",
            "re_1",
            REFUNDING,
            BALANCE,
        ),
        (
            lambda: postings.refund_released("usr_1", "re_1", "USD", 70),
            "re_1:released",
            "refund.released",
            "re_1",
            REFUNDING,
            USER,
        ),
        (
            lambda: postings.refund_returned("stripe", "usr_1", "re_1", "USD", 70),
            "re_1:returned",
            "refund.returned",
            "re_1",
            BALANCE,
            USER,
        ),
        (
            lambda: postings.refund_late("stripe", "usr_1", "re_1", "USD", 70),
            "re_1:late",
            "refund.late",
            "re_1",
            USER,
            BALANCE,
        ),
        (
            lambda: postings.dispute_moved("stripe", "dp_1", "USD", -70, _movement(-70, 0)),
            "dp_1:txn_1",
            "dispute.moved",
            "dp_1",
            DISPUTED,
            BALANCE,
        ),
        (
            lambda: postings.dispute_moved("stripe", "dp_1", "USD", 70, _movement(70, 0)),
            "dp_1:txn_1",
            "dispute.moved",
            "dp_1",
            BALANCE,
            DISPUTED,
        ),
        (
            lambda: postings.dispute_lost("dp_1", "usr_1", "USD", 70),
            "dp_1:lost",
            "dispute.lost",
            "dp_1",
            USER,
            DISPUTED,
        ),
        (
            lambda: postings.dispute_regained("dp_1", "usr_1", "USD", 70),
            "dp_1:regained",
            "dispute.regained",
            "dp_1",
            DISPUTED,
            USER,
        ),
        (
            lambda: postings.moved("stripe", "pay_1", "USD", 100, _movement(100, 70)),
            "stripe:txn_1",
            "processor.moved",
            "pay_1",
            FEES,
            BALANCE,
        ),
        (
            lambda: postings.moved("stripe", "pay_1", "USD", -100, _movement(-100, -70)),
            "stripe:txn_1",
            "processor.moved",
            "pay_1",
            BALANCE,
            FEES,
        ),
    ],
)
def test_an_entry_moves_its_amount_once(
    build: Callable[[], Entry],
    reference: str,
    kind: str,
    subject: str,
    debited: str,
    credited: str,
) -> None:
    """From one account to another; the reference is what keeps a repeat out of the book."""
    entry = build()
    assert (entry.reference, entry.kind, entry.subject) == (reference, kind, subject)
    assert [(leg.account, leg.side, leg.amount) for leg in entry.legs] == [
        (debited, Side.DEBIT, 70),
        (credited, Side.CREDIT, 70),
    ]


def _after(*entries: Entry) -> dict[str, int]:
    """Balances that are not zero, each on the side that grows its account."""
    balances: Counter[str] = Counter()
    for leg in (leg for entry in entries for leg in entry.legs):
        grows = account_kind(leg.account).grows_by
        balances[leg.account] += leg.amount if leg.side is grows else -leg.amount
    return {account: balance for account, balance in balances.items() if balance}


def test_a_payment_in_another_currency_than_the_balance_is_changed() -> None:
    """100 dollars come to the balance as 92 euros less a fee; the conversion holds both sides."""
    entries = [
        postings.captured("stripe", "usr_1", "pay_1", "USD", 10_000, 10_000),
        postings.moved("stripe", "pay_1", "USD", 10_000, _movement(9_200, 300, "EUR")),
    ]
    assert _after(*entries) == {
        USER: 10_000,
        "processor:stripe:conversion:USD": -10_000,
        "processor:stripe:conversion:EUR": 9_200,
        "processor:stripe:balance:EUR": 8_900,
        "processor:stripe:fees:EUR": 300,
    }


@given(amount=st.integers(1, 10**12), theirs=st.integers(1, 10**12), fee=st.integers(0, 10**6))
def test_a_refund_undoes_a_changed_payment(amount: int, theirs: int, fee: int) -> None:
    """The same movements with their signs turned leave nothing anywhere, the fee included."""
    there, back = _movement(theirs, fee, "EUR"), _movement(-theirs, -fee, "EUR")
    assert not _after(
        postings.captured("stripe", "usr_1", "pay_1", "USD", amount, amount),
        postings.moved("stripe", "pay_1", "USD", amount, there),
        postings.refund_reserved("usr_1", "re_1", "USD", amount),
        postings.refund_succeeded("stripe", "re_1", "USD", amount),
        postings.moved("stripe", "re_1", "USD", -amount, back),
    )


@pytest.mark.parametrize(
    ("movement", "silent"),
    [
        (_movement(100, 0), True),
        (_movement(100, 1), False),
        (_movement(100, -1), False),
        (_movement(92, 0, "EUR"), False),
        (_movement(92, 3, "EUR"), False),
    ],
)
def test_a_movement_without_fee_in_the_payments_currency_says_nothing_new(
    movement: Movement, silent: bool
) -> None:
    """There is no entry of no legs, so the caller asks first."""
    assert postings.is_silent("USD", movement) is silent


def test_each_state_of_a_capture_is_an_entry_of_its_own() -> None:
    """Two captures of one payment differ by what is captured in all."""
    first = postings.captured("stripe", "usr_1", "pay_1", "USD", 40, 40)
    second = postings.captured("stripe", "usr_1", "pay_1", "USD", 40, 80)
    assert first.reference != second.reference
    assert _after(first, second) == {USER: 80, BALANCE: 80}
