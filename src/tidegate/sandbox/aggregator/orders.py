"""The aggregator's record of one order: its figures, states, offers and what the node reported."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from typing import Any, Literal

from tidegate.clock import rfc3339

__all__ = [
    "CLOSED",
    "PAID",
    "Dialect",
    "Fulfilment",
    "Moment",
    "Offer",
    "Order",
    "Status",
]

Dialect = Literal["live", "spec"]


class Status(StrEnum):
    """Section 5. ``fulfilled`` does not mean paid; ``validated`` does."""

    PENDING = "pending"
    FULFILLING = "fulfilling"
    FULFILLED = "fulfilled"
    VALIDATED = "validated"
    SETTLING = "settling"
    SETTLED = "settled"
    CANCELLED = "cancelled"
    REFUNDING = "refunding"
    REFUNDED = "refunded"


PAID = frozenset({Status.VALIDATED, Status.SETTLING, Status.SETTLED})
CLOSED = frozenset({Status.SETTLED, Status.REFUNDED})


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of an order's history. ``at_ms`` is Unix milliseconds."""

    at_ms: int
    event: str
    status: Status


@dataclass(slots=True)
class Offer:
    """One offer as it was sent. Instants are seconds of the clock's monotonic reading."""

    number: int
    sent: float
    expires: float
    answered: float | None = None
    http_status: int | None = None
    outcome: str = "open"


@dataclass(slots=True)
class Fulfilment:
    """What was reported under one txId, which is a key over all orders (4.3)."""

    tx_id: str
    order_id: str
    psp: str
    status: Literal["pending", "success", "failed"]
    created: float
    error: str = ""
    retries: int = 0
    offer_number: int = 0


@dataclass(slots=True)
class Order:
    """One payout order. ``amount`` is major units; ``accept_amount`` is what accept answers."""

    id: str
    currency: str
    amount: Decimal
    accept_amount: Decimal
    institution: str
    account: str
    account_name: str
    memo: str
    dialect: Dialect
    private: bool
    otc: bool
    exclude_psps: tuple[str, ...]
    token: str
    network: str
    rate: Decimal
    token_amount: Decimal
    reference: str | None
    with_timestamp: bool
    with_expiry: bool
    created_ms: int
    created: float
    status: Status = Status.PENDING
    updated_ms: int = 0
    updated: float = 0.0
    ours: bool = False
    """The provider edge: whether the order belongs to the node (``orders/{id}`` is 404 if not)."""
    key_expires: float | None = None
    """When the offer key goes; ``None`` without one."""
    reserved: Decimal = Decimal(0)
    cancel_count: int = 0
    cancel_reasons: list[str] = field(default_factory=list)
    exclusions: int = 0
    offers: list[Offer] = field(default_factory=list)
    fulfilments: list[Fulfilment] = field(default_factory=list)
    history: list[Moment] = field(default_factory=list)
    marks: dict[str, float] = field(default_factory=dict)
    """First time of each event, seconds of the clock's monotonic reading."""
    accepted_offer: int = 0
    """Number of the offer that was last accepted; 0 if none."""
    cancelled_offer: int = 0
    declined_offer: int = 0
    success_unseen: bool = False
    """A success was reported and the node has not looked at the order since."""
    polls: int = 0
    settlement: int = 0
    """Rises with every start of settlement, so that an overtaken timer does nothing."""
    waiters: list[asyncio.Future[None]] = field(default_factory=list)

    @property
    def offer_number(self) -> int:
        """Number of the latest offer, from 1; 0 before the first."""
        return len(self.offers)

    @property
    def wire_amount(self) -> str:
        """The fiat amount as LIVE spells it: whole units, half to even (section 1)."""
        return str(self.amount.quantize(Decimal(1), ROUND_HALF_EVEN))

    def open_fulfilment(self) -> Fulfilment | None:
        """The fulfilment that blocks another txId: pending or success."""
        return next((f for f in self.fulfilments if f.status != "failed"), None)

    def failed_fulfilment(self) -> Fulfilment | None:
        """The failed row, if nothing stands beside it."""
        if self.open_fulfilment() is not None:
            return None
        return self.fulfilments[-1] if self.fulfilments else None

    def listing(self) -> dict[str, Any]:
        """The object of ``orders`` and ``orders/{id}`` (4.6)."""
        return {
            "id": self.id,
            "token": self.token,
            "gatewayId": "0x" + self.id.replace("-", "") * 2,
            "amount": str(self.token_amount),
            "amountInUsd": str(self.token_amount),
            "rate": str(self.rate),
            "blockNumber": 0,
            "txHash": "",
            "institution": self.institution,
            "accountIdentifier": self.account,
            "accountName": self.account_name,
            "providerId": "",
            "memo": self.memo,
            "network": self.network,
            "status": str(self.status),
            "updatedAt": rfc3339(self.updated_ms),
            "createdAt": rfc3339(self.created_ms),
            "transactionLogs": None,
            "cancellationReasons": list(self.cancel_reasons),
            "orderType": "otc" if self.otc else "regular",
            "otcExpiry": "0001-01-01T00:00:00Z",
        }

    def story(self) -> dict[str, Any]:
        """Everything known about the order, for ``/_sandbox/orders``."""
        return {
            "id": self.id,
            "currency": self.currency,
            "amount": str(self.amount),
            "dialect": self.dialect,
            "private": self.private,
            "status": str(self.status),
            "ours": self.ours,
            "cancelCount": self.cancel_count,
            "cancelReasons": list(self.cancel_reasons),
            "polls": self.polls,
            "offers": [
                {
                    "number": offer.number,
                    "sent": offer.sent,
                    "answered": offer.answered,
                    "httpStatus": offer.http_status,
                    "outcome": offer.outcome,
                }
                for offer in self.offers
            ],
            "fulfilments": [
                {"txId": f.tx_id, "psp": f.psp, "validationStatus": f.status, "error": f.error}
                for f in self.fulfilments
            ],
            "history": [
                {"at": rfc3339(m.at_ms), "event": m.event, "status": str(m.status)}
                for m in self.history
            ],
            "marks": dict(self.marks),
        }
