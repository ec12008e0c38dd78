"""Can this be a recipient? Pure; asked before anything is paid (aggregator.md 4.1)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["account_number", "fault_of_account", "narration"]

# NUBAN: ten digits, wallets and microfinance banks included.
_NUBAN: Final = re.compile(r"[0-9]{10}")
_ANY_ACCOUNT: Final = re.compile(r"[0-9A-Za-z+]{4,34}")
_NARRATION_MAX: Final = 60


def account_number(recipient: Mapping[str, Any]) -> str:
    """The account identifier without the blanks and hyphens people write into it."""
    return re.sub(r"[\s-]", "", str(recipient.get("account_identifier") or ""))


def fault_of_account(currency: str, recipient: Mapping[str, Any]) -> str | None:
    """Why this cannot be an account of the currency; ``None`` if it can."""
    number = account_number(recipient)
    if not number:
        return "The order names no account."
    if currency.startswith("NGN"):
        return None if _NUBAN.fullmatch(number) else "A naira account has ten digits."
    return None if _ANY_ACCOUNT.fullmatch(number) else "The account has characters no account has."


def narration(memo: str, reference: str) -> str:
    """What the recipient reads: the sender's memo reduced to plain characters, else our reference.

    The memo is the sender's text; PSPs print letters, digits, blanks and little else.
    """
    plain = unicodedata.normalize("NFKD", memo).encode("ascii", "ignore").decode()
    plain = " ".join(re.sub(r"[^A-Za-z0-9 .,/-]", " ", plain).split())
    return plain[:_NARRATION_MAX].strip() or f"Payout {reference}"
