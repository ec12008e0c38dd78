"""Amounts between ISO 4217 minor units and Stripe's. Pure. Source: ``contracts/processor.md`` 3.

Stripe's units have two places, with these exceptions (https://docs.stripe.com/currencies):

======================================  =======  ==============================================
currency                                places   what is refused
======================================  =======  ==============================================
BIF CLP DJF GNF JPY KMF KRW MGA PYG     none     MGA has two places in ISO: they must be 00
RWF VND VUV XAF XOF XPF
BHD JOD KWD OMR TND                     three    the last digit of what is asked must be 0
ISK UGX                                 two      none in ISO: sent and read as 00
======================================  =======  ==============================================

HUF and TWD are whole in payouts only; a charge in them has its two places.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tidegate.errors import BadInput, InvalidAmount, UnsupportedCurrency
from tidegate.money.amount import MINOR_MAX, Money
from tidegate.money.currency import parse_currency

__all__ = ["MINIMUMS", "PLACES", "check", "from_stripe", "to_stripe"]

_POWERS: Final = (1, 10, 100, 1000)
_BY_PLACES: Final = {
    0: "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BWP BYN BZD CAD CDF "
        "CHF CNY COP CRC CVE CZK DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GTQ GYD HKD HNL "
        "HTG HUF IDR ILS INR ISK JMD KES KGS KHR KYD KZT LAK LBP LKR LRD LSL MAD MDL MKD MMK MNT "
        "MOP MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD "
        "RUB SAR SBD SCR SEK SGD SHP SLE SOS SRD SZL THB TJS TOP TRY TTD TWD TZS UAH UGX USD UYU "
        "UZS WST XCD XCG YER ZAR ZMW"
    ),
    3: "BHD JOD KWD OMR TND",
}

PLACES: Final[Mapping[str, int]] = {
    code: places for places, codes in _BY_PLACES.items() for code in codes.split()
}
"""Stripe's places by ISO code, for every currency that it charges in (the page's list of
presentment currencies)."""

MINIMUMS: Final[Mapping[str, int]] = {
    "AED": 200, "AUD": 50, "BRL": 50, "CAD": 50, "CHF": 50, "CZK": 1500, "DKK": 250, "EUR": 50,
    "GBP": 30, "HKD": 400, "HUF": 17500, "INR": 50, "JPY": 50, "MXN": 1000, "MYR": 200,
    "NOK": 300, "NZD": 50, "PLN": 200, "RON": 200, "SEK": 300, "SGD": 50, "THB": 1000, "USD": 50,
}  # fmt: skip
"""The least charge in ISO minor units, where Stripe documents one
(https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts). In other currencies the
least depends on the rate of the day, and Stripe says so by ``amount_too_small``."""


def to_stripe(amount: Money) -> int:
    """Spell an amount that is to be charged, captured or refunded, in Stripe's units.

    Raises ``UnsupportedCurrency`` for what Stripe does not charge in, ``InvalidAmount`` unless
    the amount is positive and divides exactly.
    """
    code = amount.currency.code
    places = _places(code)
    if not 0 < amount.minor <= MINOR_MAX:
        raise InvalidAmount("The amount is not positive, or too large.")
    if places == 3 and amount.minor % 10:
        raise InvalidAmount(f"An amount of {code} must end in 0.")
    return _scaled(amount.minor, places - amount.currency.exponent, code)


def from_stripe(units: int, currency: str) -> Money:
    """Read Stripe's units, of either sign; ``currency`` in lower case, as Stripe spells it.

    Raises ``BadInput`` or ``UnsupportedCurrency`` for a currency that is none of Stripe's,
    ``InvalidAmount`` for what has no whole number of ISO minor units.
    """
    kind = parse_currency(currency.upper())
    places = _places(kind.code)
    if abs(units) > MINOR_MAX:
        raise InvalidAmount("The amount is too large.")
    return Money(_scaled(units, kind.exponent - places, kind.code), kind)


def check(amount: Money) -> str | None:
    """Say why Stripe cannot take this amount, or ``None``."""
    try:
        to_stripe(amount)
    except (BadInput, UnsupportedCurrency) as error:
        return str(error)
    least = MINIMUMS.get(amount.currency.code)
    if least is not None and amount.minor < least:
        return f"The least that the card processor takes is {Money(least, amount.currency)}."
    return None


def _places(code: str) -> int:
    places = PLACES.get(code)
    if places is None:
        raise UnsupportedCurrency(f"The card processor does not take {code}.")
    return places


def _scaled(number: int, shift: int, code: str) -> int:
    if shift >= 0:
        return number * _POWERS[shift]
    whole, rest = divmod(number, _POWERS[-shift])
    if rest:
        # Rounding would charge something else than was asked for.
        raise InvalidAmount(f"The card processor counts whole {code} only.")
    return whole
