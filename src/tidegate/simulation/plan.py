"""What happens in a run, as data: every part has a name, and a run can be made of some of them.

Names are ``o0`` (orders), ``s0`` (sales), ``f0`` (what befalls everybody). Times are seconds after
the node is ready; numbers count exchanges or commits since then.
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
    REFUND_TWICE = "two refunds of 60 %, at the same moment"
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
    """All of a run. ``opening`` is what the node has at the bank, in naira."""

    seed: int
    opening: Decimal
    orders: tuple[OrderPlan, ...]
    sales: tuple[SalePlan, ...]
    upsets: tuple[Upset, ...]

    @property
    def names(self) -> list[str]:
        """Of all parts: ``o0``, its fault ``o0.bank:drop_before``, ``s0``, its step ``s0.1``, its
        fault ``s0.confirm:drop_after``, ``f0``."""
        return [
            *(name for order in self.orders for name in _names_of_order(order)),
            *(name for sale in self.sales for name in _names_of_sale(sale)),
            *(upset.name for upset in self.upsets),
        ]

    def only(self, names: Collection[str]) -> Plan:
        """The same without the parts that are not named. Raises ``ValueError`` for a name that is
        not there."""
        unknown = sorted(set(names) - set(self.names))
        if unknown:
            raise ValueError(f"Seed {self.seed} has no part {', '.join(unknown)}.")
        return replace(
            self,
            orders=tuple(_order_of(one, names) for one in self.orders if one.name in names),
            sales=tuple(_sale_of(one, names) for one in self.sales if one.name in names),
            upsets=tuple(one for one in self.upsets if one.name in names),
        )


def _names_of_order(order: OrderPlan) -> list[str]:
    return [
        order.name,
        *(f"{order.name}.bank:{fault}" for fault in order.bank),
        *(f"{order.name}.aggregator:{fault}" for fault in order.aggregator),
    ]


def _order_of(order: OrderPlan, names: Collection[str]) -> OrderPlan:
    return replace(
        order,
        bank=tuple(fault for fault in order.bank if f"{order.name}.bank:{fault}" in names),
        aggregator=tuple(
            fault for fault in order.aggregator if f"{order.name}.aggregator:{fault}" in names
        ),
    )


def _names_of_sale(sale: SalePlan) -> list[str]:
    return [
        sale.name,
        *(f"{sale.name}.{place}" for place in range(len(sale.steps))),
        *(f"{sale.name}.{key}:{fault}" for key, fault in sale.faults),
    ]


def _sale_of(sale: SalePlan, names: Collection[str]) -> SalePlan:
    return replace(
        sale,
        steps=tuple(
            step for place, step in enumerate(sale.steps) if f"{sale.name}.{place}" in names
        ),
        faults=tuple(
            (key, fault) for key, fault in sale.faults if f"{sale.name}.{key}:{fault}" in names
        ),
    )
