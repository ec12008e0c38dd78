"""The band [L - F, L] of a reading (A9)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.payouts.balances import Band


@pytest.mark.parametrize(
    ("total", "in_flight", "reading", "off_by"),
    [
        (100, 0, 100, 0),
        (100, 0, 101, 1),
        (100, 0, 99, -1),
        (100, 30, 70, 0),
        (100, 30, 69, -1),
        (100, 30, 101, 1),
        (100, 100, 0, 0),
        (0, 0, -5, -5),  # an overdraft is as short as it is deep
        (-10, 0, -10, 0),
    ],
)
def test_how_far_a_reading_is_off(total: int, in_flight: int, reading: int, off_by: int) -> None:
    """The edges belong to the band."""
    assert Band(total, in_flight).off_by(reading) == off_by


AMOUNTS = st.integers(min_value=1, max_value=10**12)


@given(st.lists(st.tuples(AMOUNTS, st.booleans())), st.integers(0, 10**12))
def test_no_mix_of_transfers_under_way_is_off(transfers: list[tuple[int, bool]], idle: int) -> None:
    """Whichever of the transfers in flight were debited, the reading is inside."""
    in_flight = sum(amount for amount, _ in transfers)
    total = idle + in_flight
    debited = sum(amount for amount, taken in transfers if taken)
    assert Band(total, in_flight).off_by(total - debited) == 0


@given(AMOUNTS, AMOUNTS, AMOUNTS)
def test_a_strange_credit_or_debit_shows_at_rest(total: int, credit: int, debit: int) -> None:
    """With nothing in flight every kobo shows."""
    assert Band(total, 0).off_by(total + credit) == credit
    assert Band(total, 0).off_by(total - debit) == -debit
