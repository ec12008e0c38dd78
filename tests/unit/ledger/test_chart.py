"""The chart: which accounts there are, which side grows them, which have a floor."""

from __future__ import annotations

import pytest

from tidegate.errors import LedgerFault
from tidegate.ledger.chart import CHART, Side, account_kind, currency_of


def test_a_path_finds_its_row() -> None:
    """Placeholders stand for one part of the path; the last part is the currency."""
    assert account_kind("psp:lenco:available:NGN").floor
    assert account_kind("psp:lenco:suspense:NGN").floor is False
    assert account_kind("float:opening:KES").grows_by is Side.CREDIT
    assert currency_of("psp:lenco:available:cNGN") == "cNGN"


@pytest.mark.parametrize(
    "path",
    ["", "psp", "psp::available:NGN", "psp:lenco:available", "psp:a:b:available:NGN", "x:y:Z"],
)
def test_a_path_that_is_not_in_the_chart_is_no_account(path: str) -> None:
    """Nothing is booked on an account that nobody declared."""
    with pytest.raises(LedgerFault):
        account_kind(path)


def test_a_path_fits_one_row_only() -> None:
    """No two rows could both claim an account."""
    for kind in CHART:
        path = kind.pattern.replace("{}", "x")
        assert account_kind(path) is kind


def test_sides_are_each_others_other() -> None:
    """Debit and credit."""
    assert (Side.DEBIT.other, Side.CREDIT.other) == (Side.CREDIT, Side.DEBIT)
