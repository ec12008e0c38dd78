"""The processor's own books: what was charged, given back, disputed and kept as fees.

They are the judge in every test: how often a payment was *charged* is counted here and nowhere
else. Amounts are in Stripe's minor unit, kept per currency: charges, refunds and disputes in the
currency of the charge, fees in the currency of settlement.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

__all__ = ["Books", "Kind", "Line"]


class Kind(StrEnum):
    """Why money moved."""

    CHARGED = "charged"
    REFUNDED = "refunded"
    REFUND_RETURNED = "refund_returned"
    DISPUTED = "disputed"
    DISPUTE_WON = "dispute_won"
    FEE = "fees"
    DISPUTE_FEE = "dispute_fees"
    DISPUTE_FEE_RETURNED = "dispute_fees_returned"


@dataclass(frozen=True, slots=True)
class Line:
    """One movement; ``payment`` is our payment, ``source`` the object that moved the money."""

    at_ms: int
    kind: Kind
    payment: str
    source: str
    amount: int
    currency: str


class Books:
    """Lines in the order they happened, and what follows from them."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self._totals: Counter[tuple[Kind, str]] = Counter()
        self._charges: defaultdict[str, list[Line]] = defaultdict(list)
        self._authorised: defaultdict[str, list[str]] = defaultdict(list)
        self._refunds: defaultdict[str, list[str]] = defaultdict(list)
        self._twice: list[str] = []

    def write(self, line: Line) -> None:
        """Record a movement; nothing is refused here."""
        self.lines.append(line)
        self._totals[line.kind, line.currency] += line.amount
        if line.kind is Kind.CHARGED:
            self._charges[line.payment].append(line)

    def authorised(self, payment: str, charge: str) -> None:
        """The card said yes to a charge of this payment, whether or not it is captured."""
        self._once(self._authorised, "charge", payment, charge)

    def refund_named(self, name: str, refund: str) -> None:
        """The caller's own name of a refund (``tidegate_refund`` in its metadata)."""
        self._once(self._refunds, "refund", name, refund)

    def let_go(self, payment: str, charge: str) -> None:
        """An authorisation ended without money: another one is no second charge."""
        self._authorised[payment].remove(charge)

    def refund_failed(self, name: str, refund: str) -> None:
        """The money came back: another refund of this name is no second one."""
        self._refunds[name].remove(refund)

    def charges_of(self, payment: str) -> list[Line]:
        """The lines by which this payment took money; one at most in a world that works."""
        return list(self._charges.get(payment, ()))

    def total(self, kind: Kind, currency: str) -> int:
        """The sum of a kind of line in a currency."""
        return self._totals[kind, currency]

    def totals(self) -> dict[str, dict[str, int]]:
        """``{currency: {kind: amount}}``, folded from the lines."""
        totals: dict[str, dict[str, int]] = {}
        for line in self.lines:
            of_currency = totals.setdefault(line.currency, {})
            of_currency[line.kind.value] = of_currency.get(line.kind.value, 0) + line.amount
        return totals

    @property
    def violations(self) -> list[str]:
        """Money that moved twice for one name; empty in a world that works."""
        return list(self._twice)

    def as_json(self) -> dict[str, Any]:
        return {"totals": self.totals(), "violations": self.violations}

    def _once(
        self, seen: defaultdict[str, list[str]], what: str, name: str, object_id: str
    ) -> None:
        seen[name].append(object_id)
        if len(seen[name]) > 1:
            self._twice.append(f"{what} {len(seen[name])} of {name}: {', '.join(seen[name])}")
