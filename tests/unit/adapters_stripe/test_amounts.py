"""Stripe's units: exact both ways, or refused (processor.md 3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.adapters.stripe.amounts import MINIMUMS, PLACES, check, from_stripe, to_stripe
from tidegate.errors import BadInput, InvalidAmount, UnsupportedCurrency
from tidegate.money.amount import MINOR_MAX, Money
from tidegate.money.currency import EXPONENTS, parse_currency


def money(minor: int, code: str) -> Money:
    return Money(minor, parse_currency(code))


@pytest.mark.parametrize(
    ("code", "minor", "units"),
    [
        ("USD", 1050, 1050),
        ("JPY", 500, 500),
        ("XOF", 700, 700),
        ("KWD", 5120, 5120),
        ("ISK", 5, 500),
        ("UGX", 3700, 370000),
        ("MGA", 1500, 15),
        ("HUF", 17599, 17599),
        ("TWD", 1001, 1001),
    ],
)
def test_an_amount_is_the_same_money_in_both_units(code: str, minor: int, units: int) -> None:
    assert to_stripe(money(minor, code)) == units
    assert from_stripe(units, code.lower()) == money(minor, code)


@pytest.mark.parametrize(
    ("code", "minor"), [("KWD", 5124), ("BHD", 1), ("MGA", 150), ("USD", 0), ("USD", -5)]
)
def test_what_does_not_divide_is_refused_and_never_rounded(code: str, minor: int) -> None:
    with pytest.raises(InvalidAmount):
        to_stripe(money(minor, code))


@pytest.mark.parametrize(("code", "units"), [("isk", 501), ("ugx", 1), ("usd", MINOR_MAX + 1)])
def test_units_without_a_whole_minor_unit_are_refused(code: str, units: int) -> None:
    with pytest.raises(InvalidAmount):
        from_stripe(units, code)


@pytest.mark.parametrize("code", ["IQD", "CLF", "XOF-BEN", "UYI"])
def test_a_currency_that_stripe_does_not_charge_in_is_refused(code: str) -> None:
    with pytest.raises(UnsupportedCurrency):
        to_stripe(money(1000, code))
    assert check(money(1000, code)) is not None


@pytest.mark.parametrize("code", ["", "us", "uss d", "zzz", "bgn"])
def test_a_word_that_is_no_currency_of_stripes_is_refused(code: str) -> None:
    with pytest.raises((BadInput, UnsupportedCurrency)):
        from_stripe(100, code)


def test_every_currency_in_the_table_has_minor_units_in_iso() -> None:
    assert set(PLACES) <= set(EXPONENTS)
    odd = {code for code, places in PLACES.items() if places != EXPONENTS[code]}
    assert odd == {"ISK", "UGX", "MGA"}
    assert set(MINIMUMS) <= set(PLACES)


@given(st.sampled_from(sorted(PLACES)), st.integers(1, MINOR_MAX))
def test_what_is_taken_comes_back_as_it_was(code: str, minor: int) -> None:
    amount = money(minor, code)
    try:
        units = to_stripe(amount)
    except InvalidAmount:
        # Only these two kinds have amounts that do not divide.
        assert PLACES[code] == 3 or code == "MGA"
        return
    if units <= MINOR_MAX:
        assert from_stripe(units, code.lower()) == amount


def test_an_amount_below_the_documented_minimum_is_refused_in_a_sentence() -> None:
    assert check(money(50, "USD")) is None
    assert check(money(49, "USD")) == "The least that the card processor takes is 0.50 USD."
    assert check(money(17499, "HUF")) is not None
    assert check(money(50, "JPY")) is None
    assert check(money(1, "NGN")) is None
    assert check(money(150, "MGA")) == "The card processor counts whole MGA only."
