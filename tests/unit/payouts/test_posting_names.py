"""What the entries of a payout are known by: references, kinds, subjects and accounts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tidegate.ledger.chart import account_kind
from tidegate.ledger.entry import Entry
from tidegate.payouts import postings
from tidegate.payouts.postings import FloatAccounts

AT = FloatAccounts("lenco", "NGN")
PAYOUT = {"id": "po", "psp": "lenco", "currency": "NGN", "held": 5, "holds": 1}

NAMED: list[tuple[Callable[[], Entry], str, str, str]] = [
    (lambda: postings.reserved(AT, "po", 3, 1), "po:reserve:3", "payout.reserved", "po"),
    (lambda: postings.released(AT, "po", 3, 1), "po:release:3", "payout.released", "po"),
    (
        lambda: postings.rehold(PAYOUT, "lenco", 6)[0],
        "po:adjust:2",
        "payout.adjusted",
        "po",
    ),
    (
        lambda: postings.rehold(PAYOUT, "other", 5)[0],
        "po:release:2",
        "payout.released",
        "po",
    ),
    (
        lambda: postings.rehold(PAYOUT, "other", 5)[1],
        "po:reserve:2",
        "payout.reserved",
        "po",
    ),
    (
        lambda: postings.paid(AT, "po", "att", amount=5, fee=0, held=5),
        "att:paid",
        "payout.paid",
        "po",
    ),
    (
        lambda: postings.paid_late(AT, "po", "att", amount=5, fee=0, missed=0),
        "att:paid-late",
        "payout.paid_late",
        "po",
    ),
    (
        lambda: postings.returned(AT, "po", "att", amount=5, explained=0),
        "att:returned",
        "payout.returned",
        "po",
    ),
    (lambda: postings.opened(AT, "rdg", 5), "rdg:opened", "float.opened", "rdg"),
    (
        lambda: postings.funded(AT, "lenco", "cr", amount=5, explained=0),
        "funding:lenco:cr",
        "float.funded",
        "lenco",
    ),
    (lambda: postings.surplus(AT, "rdg", 5), "rdg:surplus", "float.surplus", "rdg"),
    (lambda: postings.surplus_gone(AT, "rdg", 5), "rdg:surplus-gone", "float.surplus_gone", "rdg"),
    (lambda: postings.found_again(AT, "rdg", 5), "rdg:found", "float.found_again", "rdg"),
    (lambda: postings.shortfall(AT, "rdg", 5), "rdg:shortfall", "float.shortfall", "rdg"),
]


@pytest.mark.parametrize(("build", "reference", "kind", "subject"), NAMED)
def test_an_entry_is_known_by_its_reference(
    build: Callable[[], Entry], reference: str, kind: str, subject: str
) -> None:
    """The book takes each reference once, so a repeat after an upgrade must have the same."""
    entry = build()
    assert (entry.reference, entry.kind, entry.subject) == (reference, kind, subject)


def test_the_accounts_of_a_psp_are_those_of_the_chart() -> None:
    """By their part in the books; every one of them is in the chart."""
    at = FloatAccounts("lenco", "NGN")
    assert {name: getattr(at, name) for name in FloatAccounts.__slots__} == {
        "available": "psp:lenco:available:NGN",
        "reserved": "psp:lenco:reserved:NGN",
        "suspense": "psp:lenco:suspense:NGN",
        "missing": "psp:lenco:missing:NGN",
        "fees": "psp:lenco:fees:NGN",
        "owed": "aggregator:owed:NGN",
        "opening": "float:opening:NGN",
        "funding": "float:funding:NGN",
        "surplus": "psp:lenco:surplus:NGN",
        "outflow": "suspense:outflow:NGN",
        "returned": "payouts:returned:NGN",
    }
    assert all(account_kind(getattr(at, name)) for name in FloatAccounts.__slots__)
