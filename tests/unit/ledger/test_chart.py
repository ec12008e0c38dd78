"""The chart: which accounts there are, which side grows them, which have a floor."""

from __future__ import annotations

import pytest

from tidegate.errors import LedgerFault
from tidegate.ledger.chart import CHART, Side, account_kind, currency_of

DEBIT, CREDIT = Side.DEBIT, Side.CREDIT


@pytest.mark.parametrize(
    ("path", "grows_by", "floor"),
    [
        ("psp:lenco:available:NGN", DEBIT, True),
        ("psp:lenco:reserved:NGN", DEBIT, True),
        ("psp:lenco:suspense:NGN", DEBIT, False),
        ("psp:lenco:missing:NGN", DEBIT, False),
        ("psp:lenco:fees:NGN", DEBIT, False),
        ("psp:lenco:surplus:NGN", CREDIT, False),
        ("aggregator:owed:NGN", DEBIT, False),
        ("float:opening:NGN", CREDIT, False),
        ("float:funding:NGN", CREDIT, False),
        ("suspense:outflow:NGN", DEBIT, False),
        ("payouts:returned:NGN", CREDIT, False),
        ("processor:stripe:balance:USD", DEBIT, False),
        ("processor:stripe:fees:USD", DEBIT, False),
        ("processor:stripe:conversion:USD", CREDIT, False),
        ("payments:user:usr_1:USD", CREDIT, False),
        ("payments:refunding:USD", CREDIT, True),
        ("payments:disputed:USD", DEBIT, False),
    ],
)
def test_an_account_grows_by_its_side_and_has_a_floor_or_none(
    path: str, grows_by: Side, floor: bool
) -> None:
    """A side turned round or a floor left out would be a wrong balance in every book."""
    kind = account_kind(path)
    assert (kind.grows_by, kind.floor) == (grows_by, floor)


def test_no_account_is_left_out_above() -> None:
    """A new row of the chart says its side and its floor here as well."""
    assert len(CHART) == 17
    assert len({kind.pattern for kind in CHART}) == 17
    assert all(kind.meaning for kind in CHART)


def test_a_path_finds_its_row() -> None:
    """Placeholders stand for one part of the path; the last part is the currency."""
    assert account_kind("psp:lenco:available:NGN").floor
    assert account_kind("psp:lenco:suspense:NGN").floor is False
    assert account_kind("float:opening:KES").grows_by is Side.CREDIT
    assert currency_of("psp:lenco:available:cNGN") == "cNGN"


@pytest.mark.parametrize(
    "path",
    [
        *("", "psp", "psp::available:NGN", "psp:lenco:available", "psp:a:b:available:NGN"),
        *("x:y:Z", "psp:lenco:available:", "psp:lenco:{}:NGN", "PSP:lenco:available:NGN"),
    ],
)
def test_a_path_that_is_not_in_the_chart_is_no_account(path: str) -> None:
    """Nothing is booked on an account that nobody declared."""
    with pytest.raises(LedgerFault):
        account_kind(path)
    with pytest.raises(LedgerFault):
        currency_of(path)


def test_a_path_fits_one_row_only() -> None:
    """No two rows could both claim an account."""
    for kind in CHART:
        path = kind.pattern.replace("{}", "x")
        assert account_kind(path) is kind


def test_sides_are_each_others_other() -> None:
    """Debit and credit."""
    assert (Side.DEBIT.other, Side.CREDIT.other) == (Side.CREDIT, Side.DEBIT)
