"""What happens in a run, as data: every part has a name, and a run can be made of some of them.

Names are ``o0`` (orders), ``s0`` (sales), ``f0`` (faults). Times are seconds after the node is
ready; numbers count exchanges or commits since then.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from tidegate.sandbox.faults import AggregatorFault, BankFault, CardFault

__all__ = [
    "Apart",
    "Crash",
    "Down",
    "Moment",
    "OrderPlan",
    "Plan",
    "SalePlan",
    "Skew",
    "Step",
    "Upset",
    "Wire",
    "WireFault",
]


class Wire(StrEnum):
    """What becomes of one exchange on its way."""

    LOSE_REQUEST = "request lost, connection reset"
    LOSE_REQUEST_SILENTLY = "request lost, silence"
    LOSE_ANSWER = "answer lost, connection reset"
    LOSE_ANSWER_SILENTLY = "answer lost, silence"
    LATE_REQUEST = "request arrives when nobody waits for its answer any more"
    LATE_ANSWER = "answer arrives when nobody waits for it any more"
    TWICE = "request arrives twice"


class Moment(StrEnum):
    """Where the node is when it is killed."""

    BEFORE_COMMIT = "before a commit"
    AFTER_COMMIT = "after a commit"
    BEFORE_CALL = "before a call"
    AFTER_CALL = "after a call, before its answer"
    ANY = "at any moment"


class Step(StrEnum):
    """What happens to a sale after the payment was made."""

    APPROVE = "the cardholder approves"
    REFUSE = "the cardholder refuses"
    CAPTURE = "captured"
    CAPTURE_PART = "captured in part"
    CANCEL = "canceled"
    REFUND_PART = "refund of 60 %"
    REFUND_REST = "refund of the rest"
    DISPUTE_WON = "dispute won"
    DISPUTE_LOST = "dispute lost"
    REFUNDED_THERE = "refund at the processor's page"


@dataclass(frozen=True, slots=True)
class OrderPlan:
    """One payout order. ``amount`` is naira."""

    name: str
    at_s: float
    order_id: str
    amount: Decimal
    account: str
    institution: str
    dialect: str
    private: bool
    bank: tuple[BankFault, ...] = ()
    aggregator: tuple[AggregatorFault, ...] = ()
    times: int = 1


@dataclass(frozen=True, slots=True)
class SalePlan:
    """One card payment. ``amount`` is minor units; ``eager`` buyers send each wish twice at once.
    ``faults`` strike the processor's steps of this payment."""

    name: str
    at_s: float
    card: str
    amount: int
    currency: str
    manual: bool
    eager: bool
    steps: tuple[Step, ...] = ()
    faults: tuple[tuple[str, CardFault], ...] = ()


@dataclass(frozen=True, slots=True)
class WireFault:
    """The ``number``-th exchange between two parties."""

    name: str
    client: str
    server: str
    number: int
    what: Wire


@dataclass(frozen=True, slots=True)
class Crash:
    """``kill -9``: at the ``number``-th commit or call, or (``ANY``) ``number`` ms after the start;
    the node is started again after ``down_s``."""

    name: str
    moment: Moment
    number: int
    down_s: float


@dataclass(frozen=True, slots=True)
class Apart:
    """Two parties cannot reach each other for a while."""

    name: str
    one: str
    other: str
    at_s: float
    for_s: float


@dataclass(frozen=True, slots=True)
class Down:
    """A company restarts: connections are reset, and nobody listens for a while."""

    name: str
    who: str
    at_s: float
    for_s: float


@dataclass(frozen=True, slots=True)
class Skew:
    """The node's wall clock steps."""

    name: str
    at_s: float
    by_s: float


Upset = WireFault | Crash | Apart | Down | Skew


@dataclass(frozen=True, slots=True)
class Plan:
    """All of a run. ``hardened`` runs keep the account short, so that float runs out."""

    seed: int
    opening: Decimal
    orders: tuple[OrderPlan, ...]
    sales: tuple[SalePlan, ...]
    upsets: tuple[Upset, ...]

    @property
    def names(self) -> list[str]:
        """Of all parts."""
        return [part.name for part in (*self.orders, *self.sales, *self.upsets)]

    def only(self, names: Collection[str]) -> Plan:
        """The same without the parts that are not named; faults of an order named ``o0.2`` are
        parts of their own. Raises ``ValueError`` for a name that is not there."""
        unknown = sorted(set(names) - set(self.names))
        if unknown:
            raise ValueError(f"seed {self.seed} has no {', '.join(unknown)}")
        return replace(
            self,
            orders=tuple(part for part in self.orders if part.name in names),
            sales=tuple(part for part in self.sales if part.name in names),
            upsets=tuple(part for part in self.upsets if part.name in names),
        )
