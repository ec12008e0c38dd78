"""The bank's own books: what was opened, credited, debited, paid and returned, in kobo.

They are the judge in every test: how often a reference was *paid* is counted here and nowhere
else. Each line moves an amount from one place to another; the places are the customer's account,
money under way, recipients, the bank's fees and the world outside.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

__all__ = ["Books", "Kind", "Line", "Place", "kobo", "naira"]


class Place(StrEnum):
    """Where money can be."""

    CUSTOMER = "customer"
    UNDER_WAY = "under_way"
    RECIPIENTS = "recipients"
    FEES = "fees"
    OUTSIDE = "outside"


class Kind(StrEnum):
    """Why money moved."""

    OPENING = "opening"
    CREDIT = "credit"
    WITHDRAWAL = "withdrawal"
    DEBIT = "debit"
    FEE = "fee"
    PAID = "paid"
    REFUND = "refund"
    FEE_REFUND = "fee_refund"
    REVERSAL = "reversal"


_ROUTES: dict[Kind, tuple[Place, Place]] = {
    Kind.OPENING: (Place.OUTSIDE, Place.CUSTOMER),
    Kind.CREDIT: (Place.OUTSIDE, Place.CUSTOMER),
    Kind.WITHDRAWAL: (Place.CUSTOMER, Place.OUTSIDE),
    Kind.DEBIT: (Place.CUSTOMER, Place.UNDER_WAY),
    Kind.FEE: (Place.CUSTOMER, Place.FEES),
    Kind.PAID: (Place.UNDER_WAY, Place.RECIPIENTS),
    Kind.REFUND: (Place.UNDER_WAY, Place.CUSTOMER),
    Kind.FEE_REFUND: (Place.FEES, Place.CUSTOMER),
    Kind.REVERSAL: (Place.RECIPIENTS, Place.CUSTOMER),
}


@dataclass(frozen=True, slots=True)
class Line:
    """One movement: ``amount`` kobo for ``reason``; ``reference`` is the transfer's, or empty."""

    at_ms: int
    kind: Kind
    reference: str
    amount: int

    @property
    def source(self) -> Place:
        return _ROUTES[self.kind][0]

    @property
    def target(self) -> Place:
        return _ROUTES[self.kind][1]


class Books:
    """Lines in the order they happened, and what follows from them."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self._balances: Counter[Place] = Counter()
        self._times_paid: Counter[str] = Counter()

    def write(self, at_ms: int, kind: Kind, amount: int, reference: str = "") -> None:
        """Record a movement of ``amount`` kobo; nothing is refused here."""
        source, target = _ROUTES[kind]
        self.lines.append(Line(at_ms, kind, reference, amount))
        self._balances[source] -= amount
        self._balances[target] += amount
        if kind is Kind.PAID:
            self._times_paid[reference] += 1

    def balance(self, place: Place = Place.CUSTOMER) -> int:
        """Kobo at a place; what came from outside is negative there."""
        return self._balances[place]

    def times_paid(self, reference: str) -> int:
        """How often this reference was paid out, reversals notwithstanding."""
        return self._times_paid[reference]

    def paid_more_than_once(self) -> list[str]:
        """References that were paid twice or more; empty in a world that works."""
        return [reference for reference, times in self._times_paid.items() if times > 1]

    def of(self, reference: str) -> Iterator[Line]:
        """The lines of one transfer, oldest first."""
        return (line for line in self.lines if line.reference == reference)

    def totals(self) -> dict[Kind, int]:
        """Kobo per kind of line, folded from the lines."""
        totals = dict.fromkeys(Kind, 0)
        for line in self.lines:
            totals[line.kind] += line.amount
        return totals

    def folded_balance(self) -> int:
        """The customer's balance computed from the lines alone: has to equal :meth:`balance`."""
        return sum(
            line.amount * ((line.target is Place.CUSTOMER) - (line.source is Place.CUSTOMER))
            for line in self.lines
        )


def kobo(amount: Decimal) -> int:
    """Naira to kobo; raises ``ValueError`` for anything finer than a kobo."""
    scaled = amount * 100
    if not scaled.is_finite() or scaled != scaled.to_integral_value():
        raise ValueError(f"not a whole number of kobo: {amount}")
    return int(scaled)


def naira(amount: int) -> str:
    """Kobo as the decimal string that travels, two places: ``200000`` -> ``"2000.00"``."""
    sign = "-" if amount < 0 else ""
    whole, rest = divmod(abs(amount), 100)
    return f"{sign}{whole}.{rest:02d}"
