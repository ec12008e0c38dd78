"""Currencies: the code as it travels, and how many decimal places it has.

The aggregator appends a country to a shared currency (``XOF-BEN``). Such a code is kept whole,
because reports must name it as it came; the exponent belongs to its first three letters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from tidegate.errors import BadInput, UnsupportedCurrency

__all__ = ["EXPONENTS", "Currency", "parse_currency"]

# ISO 4217, active codes by number of minor-unit places. Metals, bond units, XDR, XTS and XXX
# have no minor unit there and so cannot be amounts here.
_BY_EXPONENT: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD "
        "CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP "
        "GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK "
        "LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO "
        "NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS "
        "SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST "
        "XCD XCG YER ZAR ZMW ZWG"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}

EXPONENTS: Final[dict[str, int]] = {
    code: exponent for exponent, codes in _BY_EXPONENT.items() for code in codes.split()
}
"""Minor-unit places by ISO 4217 code."""

# 3 to 7 characters, the bounds the aggregator enforces on a balance (contract, section 1).
_SHAPE = re.compile(r"[A-Z]{3}(?:-[A-Z]{1,3})?")


@dataclass(frozen=True, slots=True)
class Currency:
    """A currency as it is spelled on the wire, with its number of decimal places."""

    code: str
    exponent: int

    @property
    def iso(self) -> str:
        """The ISO 4217 code: the first three letters."""
        return self.code[:3]

    def __str__(self) -> str:
        return self.code


def parse_currency(text: str) -> Currency:
    """Read a currency code in upper case, such as ``NGN`` or ``XOF-BEN``.

    Raises :class:`BadInput` for what is no currency code and :class:`UnsupportedCurrency` for a
    well-formed code that ISO 4217 does not list with minor units.
    """
    # Checked first: the cache below would raise TypeError on an unhashable value.
    if not isinstance(text, str):
        raise BadInput("The currency is not a string.")
    return _parse(text)


# Bounded, because the letters after the hyphen are the sender's choice.
@lru_cache(maxsize=512)
def _parse(text: str) -> Currency:
    if _SHAPE.fullmatch(text) is None:
        raise BadInput("The currency is not an upper-case ISO 4217 code.")
    exponent = EXPONENTS.get(text[:3])
    if exponent is None:
        raise UnsupportedCurrency(f"{text} is not a currency with minor units.")
    return Currency(text, exponent)
