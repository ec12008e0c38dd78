"""Amounts: exact reading, exact writing, rounding only by name."""

from __future__ import annotations

from decimal import Context, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import InvalidAmount
from tidegate.money import (
    MINOR_MAX,
    Currency,
    Money,
    major,
    parse_amount,
    parse_balance,
    parse_currency,
    product_half_even,
    round_half_even,
    to_text,
)

NGN = parse_currency("NGN")
JPY = parse_currency("JPY")
KWD = parse_currency("KWD")
CURRENCIES = st.sampled_from([NGN, JPY, KWD, parse_currency("CLF"), parse_currency("XOF-BEN")])


@pytest.mark.parametrize(
    ("token", "minor"),
    [
        ("75375", 7_537_500),
        ("50000.0", 5_000_000),
        ("50000.00", 5_000_000),
        ("50000.000000", 5_000_000),
        ("0.01", 1),
        ("5e4", 5_000_000),
        ("5E+4", 5_000_000),
        ("12345e-2", 12_345),
        ("100000e-5", 100),
        (Decimal("736.50"), 73_650),
        (Decimal("1E+3"), 100_000),
        (75375, 7_537_500),
        ("90071992547409.91", MINOR_MAX),
        ("1." + "0" * 62, 100),
    ],
)
def test_an_amount_is_read_exactly(token: str | Decimal | int, minor: int) -> None:
    """Strings, number tokens, decimals and integers are major units; zeros at the end are free."""
    assert parse_amount(token, NGN) == Money(minor, NGN)


@pytest.mark.parametrize(
    "token",
    [
        *("0.001", "1.005", "1e-3", "0.0100000001", Decimal("0.001")),
        *("0", "0.00", "-0", "-1", "-0.01", 0, -5, Decimal("-1"), Decimal(0)),
        *("NaN", "Infinity", "-Infinity", "sNaN", Decimal("NaN"), Decimal("Infinity")),
        *("1e400", "1e41", "1e-400", "1e99999", Decimal("1e400"), Decimal("1e-400")),
        *("", " 1", "1 ", "1\n", "+1", ".5", "5.", "1,000", "1_000", "0x10", "1e", "--1", "1.2.3"),
        *("\u0661\u0662", "\uff11", "9" * 65, "0." + "0" * 70),
        *("90071992547409.92", 10**18, 10**400, Decimal(10**18)),
        *(1.5, True, None, b"1", [], {}),
    ],
)
def test_what_is_no_positive_exact_amount_is_refused(token: str) -> None:
    """Nothing is rounded, guessed or clipped; a float is never money."""
    with pytest.raises(InvalidAmount):
        parse_amount(token, NGN)


@pytest.mark.parametrize(
    ("fits", "too_much"),
    [
        ("0" * 63 + "1", "0" * 64 + "1"),
        ("1" + "0" * 40 + "e-40", "1" + "0" * 41 + "e-41"),
        ("0." + "0" * 39 + "1e40", "0." + "0" * 40 + "1e41"),
    ],
)
def test_a_spelling_is_bounded_whatever_it_means(fits: str, too_much: str) -> None:
    """64 characters and 40 tens either way; one more is refused though it means the same."""
    assert parse_amount(fits, NGN) == Money(100, NGN)
    with pytest.raises(InvalidAmount):
        parse_amount(too_much, NGN)


def test_the_longest_fraction_with_the_smallest_exponent_is_read() -> None:
    """No spelling within the bounds asks for a power that is not there."""
    assert parse_balance("0." + "0" * 58 + "e-40", JPY) == Money(0, JPY)
    with pytest.raises(InvalidAmount, match="decimal places"):
        parse_balance("0." + "0" * 57 + "1e-40", JPY)


def test_the_places_are_those_of_the_currency() -> None:
    """What fits three places does not fit two, and a yen has none."""
    assert parse_amount("0.001", KWD).minor == 1
    assert parse_amount("75375.0", JPY).minor == 75_375
    with pytest.raises(InvalidAmount):
        parse_amount("75375.5", JPY)


def test_the_cap_leaves_head_room_in_64_bits() -> None:
    """A thousand largest amounts add up within a signed 64-bit column."""
    assert MINOR_MAX * 1000 < 2**63


def test_a_balance_may_be_zero_and_negative_only_when_asked() -> None:
    """Zero is a balance but no amount; an overdrawn reading is allowed by name."""
    assert parse_balance("0.00", NGN) == Money(0, NGN)
    assert parse_balance("-0.05", NGN, may_be_negative=True).minor == -5
    with pytest.raises(InvalidAmount):
        parse_balance("-0.05", NGN)


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (5_000_000, NGN, "50000.00"),
        (5, NGN, "0.05"),
        (-5, NGN, "-0.05"),
        (-123_456, NGN, "-1234.56"),
        (0, NGN, "0.00"),
        (1200, JPY, "1200"),
        (-7, JPY, "-7"),
        (1, KWD, "0.001"),
    ],
)
def test_text_has_the_places_of_the_currency(minor: int, currency: Currency, text: str) -> None:
    """Fixed places, no exponent, no separators."""
    assert to_text(Money(minor, currency)) == text
    assert str(Money(minor, currency)) == f"{text} {currency.code}"


@given(st.integers(1, MINOR_MAX), CURRENCIES)
def test_money_survives_text_and_decimal(minor: int, currency: Currency) -> None:
    """Reading what was written gives the same money, whatever the ambient decimal context."""
    money = Money(minor, currency)
    with localcontext(Context(prec=3)):
        assert parse_amount(to_text(money), currency) == money
        assert parse_amount(major(money), currency) == money
        assert parse_balance(f"-{to_text(money)}", currency, may_be_negative=True).minor == -minor
    assert major(money) == Decimal(minor).scaleb(-currency.exponent)


@given(st.one_of(st.text("0123456789.eE+-", max_size=40), st.text(max_size=12), st.decimals()))
def test_reading_an_amount_agrees_with_decimal_or_refuses(token: str | Decimal) -> None:
    """Nothing but InvalidAmount is raised, and what is read equals what Decimal reads."""
    try:
        money = parse_amount(token, KWD)
    except InvalidAmount:
        return
    assert major(money) == Decimal(token)


def test_minor_units_are_never_a_float() -> None:
    """A float or bool cannot become money by accident."""
    with pytest.raises(TypeError):
        Money(1.0, NGN)  # type: ignore[arg-type]  # the mistake that is tested
    with pytest.raises(TypeError):
        Money(True, NGN)


@pytest.mark.parametrize(
    ("value", "places", "rounded"),
    [
        ("736.5", 0, "736"),
        ("737.5", 0, "738"),
        ("736.155", 2, "736.16"),
        ("736.145", 2, "736.14"),
        ("-0.5", 0, "-0"),
        ("12345678901234567890123456789012345678.5", 0, "12345678901234567890123456789012345678"),
    ],
)
def test_halves_round_to_the_even_neighbour(value: str, places: int, rounded: str) -> None:
    """As the aggregator's banker's rounding, with any number of digits."""
    assert str(round_half_even(Decimal(value), places)) == rounded


def test_a_product_is_rounded_once() -> None:
    """28 digits of an ordinary multiplication would turn this into a half, and then up to 2."""
    amount, rate = Decimal("1.4999999999999999999999999999999"), Decimal(1)
    with localcontext(Context(prec=28)):
        assert product_half_even(amount, rate, 0) == 1
        assert round_half_even(amount * rate, 0) == 2
    assert product_half_even(Decimal("0.491"), Decimal("1500"), 0) == 736


def test_rounding_holds_400_digits() -> None:
    """More is refused, never cut."""
    assert round_half_even(Decimal("9" * 400), 0) == Decimal("9" * 400)
    with pytest.raises(InvalidAmount):
        round_half_even(Decimal("9" * 401), 0)


@pytest.mark.parametrize("value", ["NaN", "sNaN", "Infinity", "1e999"])
def test_what_cannot_be_rounded_is_refused(value: str) -> None:
    """Not-a-number does not travel on as an amount."""
    with pytest.raises(InvalidAmount):
        round_half_even(Decimal(value), 0)
    with pytest.raises(InvalidAmount):
        product_half_even(Decimal(value), Decimal(10), 0)
