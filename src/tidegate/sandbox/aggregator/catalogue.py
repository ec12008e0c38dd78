"""Currencies, institutions and rates that the aggregator knows; public facts (section 1)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

__all__ = ["CURRENCIES", "INSTITUTIONS", "TOKENS", "Currency", "currency_listing", "rate_listing"]


@dataclass(frozen=True, slots=True)
class Currency:
    """``rate`` is fiat per token unit, ``account`` a plausible recipient of that country."""

    code: str
    name: str
    short_name: str
    symbol: str
    rate: Decimal
    institution: str
    account: str


CURRENCIES: dict[str, Currency] = {
    currency.code: currency
    for currency in (
        Currency("NGN", "Nigerian Naira", "Naira", "₦", Decimal(1500), "ABNGNGLA", "0123456789"),
        Currency(
            "KES", "Kenyan Shilling", "Shilling", "KSh", Decimal(129), "SAFAKEPC", "254712345678"
        ),
        Currency(
            "UGX", "Ugandan Shilling", "Shilling", "USh", Decimal(3600), "MOMOUGPC", "256772345678"
        ),
        Currency(
            "TZS",
            "Tanzanian Shilling",
            "Shilling",
            "TSh",
            Decimal(2500),
            "VODATZPC",
            "255712345678",
        ),
        Currency("GHS", "Ghanaian Cedi", "Cedi", "GH₵", Decimal(11), "MOMOGHPC", "233241234567"),
        Currency(
            "MWK", "Malawian Kwacha", "Kwacha", "MK", Decimal(1730), "TNMPMWPC", "265881234567"
        ),
    )
}

_BANK, _WALLET = "bank", "mobile_money"

# Trailing blanks as in the source: a node has to live with them.
INSTITUTIONS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "NGN": (
        ("Access Bank", "ABNGNGLA", _BANK),
        ("Diamond Bank", "DBLNNGLA", _BANK),
        ("Fidelity Bank", "FIDTNGLA", _BANK),
        ("FCMB", "FCMBNGLA", _BANK),
        ("First Bank Of Nigeria", "FBNINGLA", _BANK),
        ("Guaranty Trust Bank", "GTBINGLA", _BANK),
        ("Polaris Bank", "PRDTNGLA", _BANK),
        ("Union Bank", "UBNINGLA", _BANK),
        ("United Bank for Africa", "UNAFNGLA", _BANK),
        ("Citibank", "CITINGLA", _BANK),
        ("Ecobank Bank", "ECOCNGLA", _BANK),
        ("Heritage", "HBCLNGLA", _BANK),
        ("Keystone Bank", "PLNINGLA", _BANK),
        ("Stanbic IBTC Bank", "SBICNGLA", _BANK),
        ("Standard Chartered Bank", "SCBLNGLA", _BANK),
        ("Sterling Bank", "NAMENGLA", _BANK),
        ("Unity Bank", "ICITNGLA", _BANK),
        ("Suntrust Bank", "SUTGNGLA", _BANK),
        ("Providus Bank ", "PROVNGLA", _BANK),
        ("FBNQuest Merchant Bank", "KDHLNGLA", _BANK),
        ("Greenwich Merchant Bank", "GMBLNGLA", _BANK),
        ("FSDH Merchant Bank", "FSDHNGLA", _BANK),
        ("Rand Merchant Bank", "FIRNNGLA", _BANK),
        ("Jaiz Bank", "JAIZNGLA", _BANK),
        ("Zenith Bank", "ZEIBNGLA", _BANK),
        ("Wema Bank", "WEMANGLA", _BANK),
        ("Kuda Microfinance Bank", "KUDANGPC", _BANK),
        ("OPay", "OPAYNGPC", _BANK),
        ("Moniepoint Microfinance Bank", "MONINGPC", _BANK),
        ("PalmPay", "PALMNGPC", _BANK),
        ("Safehaven Microfinance Bank", "SAHVNGPC", _BANK),
        ("Paystack-Titan MFB", "PAYTNGPC", _BANK),
        ("MTN Momo", "MOMONGPC", _WALLET),
    ),
    "KES": (
        ("Kenya Commercial Bank", "KCBLKENX", _BANK),
        ("SAFARICOM", "SAFAKEPC", _WALLET),
        ("AIRTEL", "AIRTKEPC", _WALLET),
    ),
    "UGX": (("MTN Mobile Money", "MOMOUGPC", _WALLET),),
    "TZS": (("Vodacom", "VODATZPC", _WALLET),),
    "GHS": (
        ("Access Bank Ghana", "ABNGGHAC", _BANK),
        ("MTN Mobile Money", "MOMOGHPC", _WALLET),
    ),
    "MWK": (("TNM Mpamba", "TNMPMWPC", _WALLET),),
}

TOKENS = frozenset({"USDT", "USDC", "DAI", "cNGN"})


def currency_listing() -> list[dict[str, Any]]:
    """``data`` of ``GET /v1/currencies``."""
    return [
        {
            "code": currency.code,
            "name": currency.name,
            "shortName": currency.short_name,
            "decimals": 2,
            "symbol": currency.symbol,
            "marketBuyRate": str(currency.rate),
            "marketSellRate": str(currency.rate),
        }
        for currency in CURRENCIES.values()
    ]


def rate_listing(token: str, code: str) -> dict[str, Any] | None:
    """``data`` of ``rates/{TOKEN}/{FIAT}``; ``None`` for an unsupported pair (4.6)."""
    currency = CURRENCIES.get(code)
    if currency is None or token not in TOKENS:
        return None
    spread = currency.rate / 100
    side = {
        "marketRate": str(currency.rate),
        "minimumRate": str(currency.rate - spread),
        "maximumRate": str(currency.rate + spread),
    }
    return {"buy": side, "sell": dict(side)}
