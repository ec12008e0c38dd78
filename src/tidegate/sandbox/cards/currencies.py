"""Amounts as Stripe counts them: its minor units, its least amounts, its odd currencies.

Source: processor.md 3 and Stripe's page on currencies.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from tidegate.sandbox.cards.form import Params, text, whole
from tidegate.sandbox.cards.refusals import Refusal, invalid

__all__ = ["LARGEST", "MINIMUMS", "amount_and_currency", "converted", "share"]

LARGEST: Final = 99_999_999
_ZERO_DECIMAL: Final = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf"
_THREE_DECIMAL: Final = "bhd jod kwd omr tnd"
# Sent with two decimals that have to be 00.
_WHOLE_ONLY: Final = frozenset(("isk", "ugx"))
_TWO_DECIMAL: Final = (
    "usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd bwp byn "
    "bzd cad cdf chf cny cop crc cve czk dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gtq "
    "gyd hkd hnl htg huf idr ils inr isk jmd kes kgs khr kyd kzt lak lbp lkr lrd lsl mad mdl "
    "mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd pab pen pgk php pkr pln "
    "qar ron rsd rub sar sbd scr sek sgd shp sle sos srd std szl thb tjs top try ttd twd tzs "
    "uah ugx uyu uzs wst xcd yer zar zmw"
)
_DECIMALS: Final[Mapping[str, int]] = {
    currency: decimals
    for decimals, currencies in ((0, _ZERO_DECIMAL), (2, _TWO_DECIMAL), (3, _THREE_DECIMAL))
    for currency in currencies.split()
}
MINIMUMS: Final[Mapping[str, int]] = {
    "usd": 50, "aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1500,
    "dkk": 250, "eur": 50, "gbp": 30, "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50,
    "mxn": 1000, "myr": 200, "nok": 300, "nzd": 50, "pln": 200, "ron": 200, "sek": 300,
    "sgd": 50, "thb": 1000,
}  # fmt: skip


def amount_and_currency(params: Params, minimums: Mapping[str, int]) -> tuple[int, str]:
    """``amount`` and ``currency`` of a charge; what Stripe would not take is refused."""
    amount = whole(params, "amount", least=1, required=True)
    currency = (text(params, "currency", required=True) or "").lower()
    assert amount is not None
    decimals = _decimals(currency)
    if decimals == 3 and amount % 10:
        raise invalid("amount must end in 0 in a currency of three decimals", "amount")
    if currency in _WHOLE_ONLY and amount % 100:
        raise invalid("amount must end in 00 in this currency", "amount")
    least = minimums.get(currency, 1)
    if amount < least:
        raise Refusal(
            f"The amount must be at least {least} {currency}",
            code="amount_too_small",
            param="amount",
        )
    if amount > LARGEST:
        raise Refusal(
            f"The amount must be at most {LARGEST}", code="amount_too_large", param="amount"
        )
    return amount, currency


def converted(amount: int, currency: str, to: str, rate: Decimal) -> int:
    """``amount`` in another currency; ``rate`` is how much of it one major unit buys."""
    shift = Decimal(10) ** (_decimals(to) - _decimals(currency))
    return _rounded(amount * rate * shift)


def share(amount: int, percent: Decimal) -> int:
    """A percentage of an amount, rounded half up."""
    return _rounded(amount * percent / 100)


def _decimals(currency: str) -> int:
    decimals = _DECIMALS.get(currency)
    if decimals is None:
        raise invalid(f"Invalid currency: {currency}", "currency")
    return decimals


def _rounded(amount: Decimal) -> int:
    return int(amount.to_integral_value(ROUND_HALF_UP))
