"""The port to the aggregator: node -> aggregator calls. Source: ``contracts/aggregator.md`` 4.

How often a verb is tried is one table in the adapter (A5); an answer here is what is known after
those tries, with every exchange that was made on the way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol

from tidegate.db.exchanges import Exchange
from tidegate.wire.dialect import Dialect

__all__ = [
    "AcceptAnswer",
    "Accepted",
    "Aggregator",
    "Dialect",
    "Listed",
    "OrderView",
    "Query",
    "Said",
    "SayAnswer",
    "Validation",
]


class Validation(StrEnum):
    """``validationStatus`` of a live fulfil: exact, lower case."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILED = "failed"


class Said(StrEnum):
    """What is known after telling the aggregator something."""

    DONE = "done"  # it took it, or has it already
    GONE = "gone"  # 404: not ours (any more), or the offer is over
    CONFLICT = "conflict"  # accept: 400 "already X"; fulfil: another txId stands there
    NOT_OURS = "not_ours"  # 403: the order was reassigned
    REFUNDED = "refunded"  # fulfil: the sender got the money back
    NOT_SENT = "not_sent"  # proven that it did not arrive: may be said again
    MISCONFIGURED = "misconfigured"  # 401 and the like: our key, clock or body
    UNKNOWN = "unknown"  # it may have arrived: ask before saying it again

    @property
    def is_conclusive(self) -> bool:
        """Is it certain what the aggregator made of it?"""
        return self not in {Said.NOT_SENT, Said.UNKNOWN, Said.MISCONFIGURED}


@dataclass(frozen=True, slots=True)
class Accepted:
    """The live answer to accept (4.1): the order as it is to be paid.

    ``amount`` is in major units, exact; ``raw`` is the whole ``data`` object, kept.
    """

    amount: Decimal
    institution: str
    account_identifier: str
    account_name: str
    memo: str | None
    metadata: Mapping[str, Any]
    raw: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AcceptAnswer:
    """``details`` is ``None`` in the spec dialect (the recipient came with the offer)."""

    said: Said
    message: str
    exchanges: tuple[Exchange, ...]
    details: Accepted | None = None


@dataclass(frozen=True, slots=True)
class SayAnswer:
    """The answer to fulfil, cancel, decline or balances. ``foreign_tx_id`` comes with CONFLICT."""

    said: Said
    message: str
    exchanges: tuple[Exchange, ...]
    foreign_tx_id: str | None = None
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class OrderView:
    """An order as the aggregator shows it to us (4.6). ``token_amount`` x ``rate`` is the fiat."""

    order_id: str
    status: str
    token_amount: Decimal | None
    rate: Decimal | None
    institution: str
    account_identifier: str
    account_name: str
    memo: str | None


class Listed(StrEnum):
    """What a question to the aggregator proved."""

    FOUND = "found"
    NOT_OURS = "not_ours"  # 404 "Payment order not found": not assigned to this node
    UNAVAILABLE = "unavailable"  # proves nothing


@dataclass(frozen=True, slots=True)
class Query:
    """The answer to a question; ``orders`` has one element for a single order."""

    listed: Listed
    exchanges: tuple[Exchange, ...]
    orders: tuple[OrderView, ...] = ()


class Aggregator(Protocol):
    """The aggregator, in both dialects."""

    async def accept(self, order_id: str, dialect: Dialect, timeout_s: float) -> AcceptAnswer:
        """Accept within ``timeout_s`` altogether, tries included."""
        ...

    async def decline(self, order_id: str, reason: str) -> SayAnswer: ...

    async def fulfil_live(
        self, order_id: str, *, psp: str, tx_id: str, validation: Validation, error: str
    ) -> SayAnswer: ...

    async def fulfil_spec(self, order_id: str, *, transaction_hash: str) -> SayAnswer: ...

    async def cancel(self, order_id: str, reason: str) -> SayAnswer: ...

    async def push_balance(
        self, currency: str, *, available: Decimal, total: Decimal, reserved: Decimal
    ) -> SayAnswer:
        """One currency, in the form of ``AGGREGATOR_DIALECT``; never repeated inside."""
        ...

    async def order(self, order_id: str) -> Query: ...

    async def orders(
        self, currency: str, status: str | None = None, since_ms: int | None = None
    ) -> Query:
        """All pages; with ``since_ms`` all orders that were made since, and perhaps older ones."""
        ...

    async def node_info(self) -> SayAnswer: ...

    async def rates(self, token: str, currency: str) -> Mapping[str, Any] | None: ...

    async def stats(self, currency: str) -> Mapping[str, Any] | None: ...

    async def close(self) -> None: ...
