"""Can this be a recipient? Pure; asked before anything is paid (aggregator.md 4.1)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["account_number", "fault_of_account", "narration", "same_holder"]

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


def same_holder(ordered: str, found: str) -> bool:
    """Do two spellings name the same account holder?

    Words are compared without accents, case, order and titles of one letter; every word of the
    shorter name but one must stand in the longer, and at least one word must. ``OK`` and an
    empty name are the aggregator's "not verified" and match anything (aggregator.md 3.3).
    """
    one, other = _words(ordered), _words(found)
    if not one or one == {"ok"} or not other:
        return True
    shorter, longer = sorted((one, other), key=len)
    missing = len(shorter - longer)
    return missing == 0 or (len(shorter) > 2 and missing == 1)


def _words(name: str) -> set[str]:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return {word for word in re.findall(r"[a-z]+", plain) if len(word) > 1}


def narration(memo: str, reference: str) -> str:
    """What the recipient reads: the sender's memo reduced to plain characters, else our reference.

    The memo is the sender's text; PSPs print letters, digits, blanks and little else.
    """
    plain = unicodedata.normalize("NFKD", memo).encode("ascii", "ignore").decode()
    plain = " ".join(re.sub(r"[^A-Za-z0-9 .,/-]", " ", plain).split())
    return plain[:_NARRATION_MAX].strip() or f"Payout {reference}"
