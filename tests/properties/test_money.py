"""Money goes through text, JSON and every company's units and comes back as it was, or not at all.

Each fact is tried on every currency there is, of zero, two, three and four places.
"""

from __future__ import annotations

import json
from decimal import Decimal, localcontext
from fractions import Fraction

from hypothesis import example, given
from hypothesis import strategies as st

from tests.properties import counterpart
from tidegate.adapters.stripe.amounts import PLACES, from_stripe, to_stripe
from tidegate.errors import InvalidAmount, UnreadableBody
from tidegate.money import MINOR_MAX, Currency, Money, major, parse_amount, parse_balance, to_text
from tidegate.money.currency import EXPONENTS, parse_currency
from tidegate.wire.canonical import NumberToken, go_json, parse_object

CURRENCIES = st.sampled_from([parse_currency(code) for code in sorted(EXPONENTS)])
TAKEN_BY_STRIPE = st.sampled_from([parse_currency(code) for code in sorted(PLACES)])
MINORS = st.integers(1, MINOR_MAX) | st.integers(1, 10_000)

# Decimals as other programs spell them: more places than the currency has, exponents, zeros.
_DIGITS = st.text("0123456789", min_size=1, max_size=12)
TOKENS = st.builds(
    lambda sign, whole, fraction, power: f"{sign}{whole}{fraction}{power}",
    st.sampled_from(["", "", "", "-"]),
    _DIGITS,
    st.just("") | _DIGITS.map(lambda digits: f".{digits}") | st.sampled_from([".0", ".50", ".000"]),
    st.just("") | st.builds("{}{}".format, st.sampled_from("eE"), st.integers(-8, 8)),
)


@given(MINORS, CURRENCIES)
def test_money_survives_text_and_json(minor: int, currency: Currency) -> None:
    """As a string, as a number in either JSON of ours, under any precision somebody has set."""
    money = Money(minor, currency)
    text = to_text(money)
    with localcontext(prec=2):
        assert parse_amount(text, currency) == money
        as_text = parse_object(go_json({"amount": text}))["amount"]
        assert as_text == text
        body = f'{{"amount":{text}}}'.encode()
        token = parse_object(body)["amount"]
        assert isinstance(token, NumberToken)
        assert parse_amount(token.text, currency) == money
        decimal = json.loads(body, parse_float=Decimal)["amount"]
        assert parse_amount(decimal, currency) == money
    assert Fraction(text) == Fraction(minor, 10**currency.exponent)
    assert len(text.partition(".")[2]) == currency.exponent


@given(MINORS, CURRENCIES)
def test_a_number_that_we_send_is_the_money_or_is_not_sent(minor: int, currency: Currency) -> None:
    """A float64 holds fifteen digits; what it would change is refused before it is signed."""
    amount = major(Money(minor, currency))
    try:
        body = go_json({"amount": amount})
    except InvalidAmount:
        assert minor >= 10**15
        return
    assert Decimal(repr(counterpart.unmarshal(body)["amount"])) == amount
    token = parse_object(body)["amount"]
    assert isinstance(token, NumberToken)
    assert parse_amount(token.text, currency).minor == minor


@given(TOKENS, CURRENCIES)
@example("0.005", parse_currency("NGN"))
@example("1e-3", parse_currency("KWD"))
@example("1.50", parse_currency("JPY"))
def test_a_decimal_is_read_exactly_or_refused(token: str, currency: Currency) -> None:
    """It is read if and only if it is a whole number of minor units, positive, within the cap."""
    minor = Fraction(token) * 10**currency.exponent
    right = minor.denominator == 1 and 0 < minor <= MINOR_MAX
    try:
        money = parse_amount(token, currency)
    except InvalidAmount:
        assert not right
    else:
        assert right
        assert money == Money(int(minor), currency)
        assert parse_balance(token, currency) == money


@given(TOKENS, CURRENCIES)
def test_what_json_says_is_what_is_read(token: str, currency: Currency) -> None:
    """The token of a message reaches the reader with every digit it was sent with."""
    try:
        kept = parse_object(f'{{"amount":{token}}}'.encode())["amount"]
    except UnreadableBody:
        # Leading zeros are no JSON; everything else here is.
        assert token.lstrip("-").startswith("0")
        assert token.lstrip("-")[1:2].isdigit()
        return
    assert kept == NumberToken(token)


@given(MINORS, TAKEN_BY_STRIPE)
def test_stripes_units_are_the_same_money_or_refused(minor: int, currency: Currency) -> None:
    """Scaled exactly; refused if and only if the processor's units cannot hold it."""
    units = Fraction(minor) * Fraction(10) ** (PLACES[currency.code] - currency.exponent)
    # In currencies of three places the last digit must be zero.
    fits = units.denominator == 1 and (PLACES[currency.code] != 3 or units % 10 == 0)
    try:
        sent = to_stripe(Money(minor, currency))
    except InvalidAmount:
        assert not fits
        return
    assert fits
    assert sent == units
    if sent <= MINOR_MAX:
        assert from_stripe(sent, currency.code.lower()) == Money(minor, currency)


@given(st.integers(-MINOR_MAX, MINOR_MAX), TAKEN_BY_STRIPE)
def test_stripes_figures_are_read_exactly_or_refused(units: int, currency: Currency) -> None:
    """Of either sign: what is no whole number of our minor units is refused, not rounded."""
    minor = Fraction(units) * Fraction(10) ** (currency.exponent - PLACES[currency.code])
    try:
        money = from_stripe(units, currency.code.lower())
    except InvalidAmount:
        assert minor.denominator != 1
        return
    assert minor.denominator == 1
    assert money == Money(int(minor), currency)


@given(st.integers(-MINOR_MAX, MINOR_MAX), CURRENCIES)
def test_a_reading_may_be_negative_and_stays_what_it_is(minor: int, currency: Currency) -> None:
    """An overdrawn account is written and read with its sign, and is no amount."""
    money = Money(minor, currency)
    assert parse_balance(to_text(money), currency, may_be_negative=True) == money
    assert major(money) == Decimal(minor).scaleb(-currency.exponent)
