"""Entries: two or more legs that balance per currency, or no entry at all. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from tidegate.errors import Unbalanced
from tidegate.ledger.chart import Side, currency_of

__all__ = ["Entry", "Leg", "transfer"]

_MOST_MINOR = 2**62


@dataclass(frozen=True, slots=True)
class Leg:
    """``amount`` minor units, always positive, on one side of one account."""

    account: str
    side: Side
    amount: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One movement of money.

    ``reference`` makes it idempotent: the book takes it once. ``kind`` names the posting,
    ``subject`` the row that caused it. Ids and amounts only, no personal data.
    Raises ``Unbalanced``.
    """

    reference: str
    kind: str
    subject: str
    legs: tuple[Leg, ...]

    def __post_init__(self) -> None:
        if len(self.legs) < 2:
            raise Unbalanced(f"{self.reference}: an entry has two legs or more.")
        sums: defaultdict[str, int] = defaultdict(int)
        for leg in self.legs:
            if not 0 < leg.amount <= _MOST_MINOR:
                raise Unbalanced(f"{self.reference}: {leg.amount} is no amount of a leg.")
            signed = leg.amount if leg.side is Side.DEBIT else -leg.amount
            sums[currency_of(leg.account)] += signed
        if any(sums.values()):
            raise Unbalanced(f"{self.reference}: {dict(sums)} is not zero per currency.")


def transfer(reference: str, kind: str, subject: str, *moves: tuple[str, str, int]) -> Entry:
    """An entry of moves ``(debited account, credited account, amount)``; zero moves are left out.

    Legs on the same side of the same account are added up.
    """
    sums: dict[tuple[str, Side], int] = {}
    for debited, credited, amount in moves:
        if amount == 0:
            continue
        for key in ((debited, Side.DEBIT), (credited, Side.CREDIT)):
            sums[key] = sums.get(key, 0) + amount
    legs = tuple(Leg(account, side, amount) for (account, side), amount in sums.items())
    return Entry(reference, kind, subject, legs)
