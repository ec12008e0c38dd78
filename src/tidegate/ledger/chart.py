"""The chart of accounts: which side grows an account, and whether it may fall below zero. Pure.

An account is a path; its last part is always the currency's wire code. ``{}`` in a pattern
stands for one part of the path.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from tidegate.errors import LedgerFault

__all__ = ["CHART", "AccountKind", "Side", "account_kind", "currency_of"]


class Side(StrEnum):
    """The two sides of an entry."""

    DEBIT = "D"
    CREDIT = "C"

    @property
    def other(self) -> Side:
        return Side.CREDIT if self is Side.DEBIT else Side.DEBIT


@dataclass(frozen=True, slots=True)
class AccountKind:
    """A row of the chart. ``floor``: its balance never falls below zero."""

    pattern: str
    grows_by: Side
    floor: bool
    meaning: str


CHART: tuple[AccountKind, ...] = (
    AccountKind("psp:{}:available:{}", Side.DEBIT, True, "float at a PSP that may be promised"),
    AccountKind("psp:{}:reserved:{}", Side.DEBIT, True, "float promised to orders, fees included"),
    AccountKind("psp:{}:suspense:{}", Side.DEBIT, False, "money at a PSP nobody has explained yet"),
    AccountKind("psp:{}:missing:{}", Side.DEBIT, False, "money the PSP should have and has not"),
    AccountKind("psp:{}:fees:{}", Side.DEBIT, False, "what a PSP charged for transfers"),
    AccountKind("aggregator:owed:{}", Side.DEBIT, False, "paid to recipients for the aggregator"),
    AccountKind("float:opening:{}", Side.CREDIT, False, "float found at the first reading"),
    AccountKind("float:funding:{}", Side.CREDIT, False, "float added since"),
    AccountKind("psp:{}:surplus:{}", Side.CREDIT, False, "whose the unexplained money is: open"),
    AccountKind("suspense:outflow:{}", Side.DEBIT, False, "left without a reservation: open"),
    AccountKind("processor:{}:balance:{}", Side.DEBIT, False, "ours at a card processor"),
    AccountKind("processor:{}:fees:{}", Side.DEBIT, False, "what a card processor charged"),
    AccountKind("processor:{}:conversion:{}", Side.CREDIT, False, "changed into another currency"),
    AccountKind(
        "payments:user:{}:{}", Side.CREDIT, False, "a user's payments, less what went back"
    ),
    AccountKind("payments:refunding:{}", Side.CREDIT, True, "promised to refunds under way"),
    AccountKind("payments:disputed:{}", Side.DEBIT, False, "taken by disputes that are open"),
    AccountKind("payouts:returned:{}", Side.CREDIT, False, "owed to recipients after a reversal"),
)


@lru_cache(maxsize=4096)
def account_kind(path: str) -> AccountKind:
    """The chart's row for ``path``. Raises ``LedgerFault`` for a path that is not in the chart."""
    parts = path.split(":")
    for kind in CHART:
        pattern = kind.pattern.split(":")
        if len(pattern) == len(parts) and all(
            part if expected == "{}" else part == expected
            for expected, part in zip(pattern, parts, strict=True)
        ):
            return kind
    raise LedgerFault(f"The chart has no account {path!r}.")


@lru_cache(maxsize=4096)
def currency_of(path: str) -> str:
    """The wire code of the currency that ``path`` is kept in."""
    account_kind(path)
    return path.rsplit(":", 1)[1]
