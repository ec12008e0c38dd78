"""Amounts: integer minor units and a currency, read from and written as decimals, exactly.

Reading never rounds: what does not fit the currency's places is refused. Rounding happens in
the two functions that carry it in their name, and nowhere else. No function here depends on the
ambient ``decimal`` context.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal, DecimalException
from typing import Final

from tidegate.errors import InvalidAmount
from tidegate.money.currency import Currency

__all__ = [
    "MINOR_MAX",
    "Money",
    "major",
    "parse_amount",
    "parse_balance",
    "product_half_even",
    "round_half_even",
    "to_text",
]

MINOR_MAX: Final = 2**53 - 1
"""The largest amount that is read, in minor units (about 90 trillion naira).

Every integer up to it survives a counterpart that keeps numbers as float64, and a thousand such
amounts still add up within a signed 64-bit column.
"""

# Far beyond any amount of money, far below what would cost time to multiply out.
_TOKEN_LENGTH_MAX: Final = 64
_EXPONENT_MAX: Final = 40
_TOKEN = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]{1,4}))?")
_POWERS: Final[tuple[int, ...]] = tuple(10**n for n in range(_TOKEN_LENGTH_MAX + _EXPONENT_MAX + 8))
_ROUNDING: Final = Context(prec=400, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True)
class Money:
    """``minor`` units (kobo, cents) of ``currency``; may be zero or negative (a balance).

    The sum of many amounts is Money too, so :data:`MINOR_MAX` binds the readers below only.
    """

    minor: int
    currency: Currency

    def __post_init__(self) -> None:
        if type(self.minor) is not int:
            raise TypeError("minor units are an int")

    def __str__(self) -> str:
        return f"{to_text(self)} {self.currency.code}"


def parse_amount(token: str | Decimal | int, currency: Currency) -> Money:
    """Read a positive amount in **major** units, exactly.

    ``token`` is a decimal as text (a JSON number token or string; an exponent is understood),
    a ``Decimal`` or an ``int``. Trailing zeros beyond the currency's places are harmless, other
    digits there are refused. Raises :class:`InvalidAmount` for anything that is not a decimal
    (NaN, Infinity, blanks, thousands separators, ``.5``, a float), is zero or negative, has too
    many places, or exceeds :data:`MINOR_MAX`.
    """
    minor = _minor_units(token, currency.exponent)
    if minor <= 0:
        raise InvalidAmount("The amount is not positive.")
    return Money(minor, currency)


def parse_balance(
    token: str | Decimal | int, currency: Currency, *, may_be_negative: bool = False
) -> Money:
    """Read a balance or a fee in major units as :func:`parse_amount` does, zero allowed.

    ``may_be_negative`` is for readings of an account that can be overdrawn.
    """
    minor = _minor_units(token, currency.exponent)
    if minor < 0 and not may_be_negative:
        raise InvalidAmount("The amount is negative.")
    return Money(minor, currency)


def _minor_units(token: str | Decimal | int, places: int) -> int:
    kind = type(token)
    if kind is str or kind is Decimal:
        minor = _scaled(str(token), places)
    elif kind is int:
        minor = int(token) * _POWERS[places]
    else:
        # bool is an int to Python and a float is never money.
        raise InvalidAmount("The amount is not a decimal.")
    if not -MINOR_MAX <= minor <= MINOR_MAX:
        raise InvalidAmount("The amount is too large.")
    return minor


def _scaled(text: str, places: int) -> int:
    if len(text) > _TOKEN_LENGTH_MAX:
        raise InvalidAmount("The amount has too many digits.")
    match = _TOKEN.fullmatch(text)
    if match is None:
        raise InvalidAmount("The amount is not a decimal.")
    sign, whole, fraction, exponent = match.groups()
    shift = places
    if fraction is not None:
        whole += fraction
        shift -= len(fraction)
    if exponent is not None:
        tens = int(exponent)
        if not -_EXPONENT_MAX <= tens <= _EXPONENT_MAX:
            raise InvalidAmount("The amount's exponent is out of range.")
        shift += tens
    number = int(whole)
    if shift >= 0:
        number *= _POWERS[shift]
    else:
        number, rest = divmod(number, _POWERS[-shift])
        if rest:
            raise InvalidAmount(f"The amount has more than {places} decimal places.")
    return -number if sign else number


def to_text(money: Money) -> str:
    """Spell in major units with exactly the currency's places: ``50000.00``, ``-0.05``, ``1200``.

    Fits the aggregator's pattern for balances: no exponent, no separators (contract, 4.5).
    """
    places = money.currency.exponent
    if places == 0:
        return str(money.minor)
    whole, fraction = divmod(abs(money.minor), _POWERS[places])
    sign = "-" if money.minor < 0 else ""
    return f"{sign}{whole}.{fraction:0{places}d}"


def major(money: Money) -> Decimal:
    """The amount in major units, with the currency's places."""
    return Decimal(to_text(money))


def round_half_even(value: Decimal, places: int) -> Decimal:
    """Round to ``places`` decimals, halves to the even neighbour (736.5 -> 736, 737.5 -> 738).

    Raises :class:`InvalidAmount` for NaN, Infinity and numbers beyond 400 digits.
    """
    try:
        rounded = value.quantize(Decimal((0, (1,), -places)), context=_ROUNDING)
    except DecimalException as error:
        raise InvalidAmount("The number cannot be rounded.") from error
    if not rounded.is_finite():
        raise InvalidAmount("The number is not finite.")
    return rounded


def product_half_even(amount: Decimal, rate: Decimal, places: int) -> Decimal:
    """``amount x rate`` rounded once, as the aggregator computes fiat (contract, section 1).

    The plain operator would round to 28 digits first; a token amount has 18 places already.
    """
    try:
        product = _ROUNDING.multiply(amount, rate)
    except DecimalException as error:
        raise InvalidAmount("The numbers cannot be multiplied.") from error
    return round_half_even(product, places)
