"""The aggregator's orders and what its verbs do to them (aggregator.md 3.6, 4, 5)."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.acceptance.counterparty.server import Call, Reply

__all__ = ["RATE", "Fulfilment", "Order", "OrderBook", "error", "success"]

RATE = Decimal(1500)
_FINAL = ("validated", "settling", "settled", "refunded")


def success(message: str, data: Any = None, status: int = 200) -> Reply:
    """The envelope of a good answer."""
    return Reply(status, {"status": "success", "message": message, "data": data})


def error(status: int, message: str, data: Any = None) -> Reply:
    """The envelope of a refusal."""
    return Reply(status, {"status": "error", "message": message, "data": data})


@dataclass(slots=True)
class Fulfilment:
    """One row of what the node reported."""

    tx_id: str
    psp: str
    status: str
    error: str


@dataclass(slots=True)
class Order:
    """An order; ``amount`` is whole naira as text, ``account`` is unique to its test."""

    amount: str
    account: str
    dialect: str = "live"
    currency: str = "NGN"
    institution: str = "ABNGNGLA"
    account_name: str = "ADA OBI"
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    memo: str = "thanks <&> ok"
    # What accept and GET tell instead of ``amount``: the rate was refreshed.
    refreshed_amount: str | None = None
    status: str = "pending"
    ours: bool = False
    offered_until: float = 0.0
    in_flight: int = 0
    round: int = 0
    fulfilments: list[Fulfilment] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    # (round, verb, body, HTTP status) of every call of the node about this order.
    told: list[tuple[int, str, Any, int | None]] = field(default_factory=list)

    @property
    def is_offered(self) -> bool:
        return time.monotonic() < self.offered_until

    @property
    def token_amount(self) -> Decimal:
        """What times ``RATE`` rounds to the amount, half to even."""
        return (Decimal(self.refreshed_amount or self.amount) / RATE).quantize(Decimal("1e-6"))

    def verbs(self) -> list[str]:
        """What the node called, in order, without its questions."""
        return [verb for _, verb, _, _ in self.told if verb != "get"]

    def bodies(self, verb: str, round_: int | None = None) -> list[Any]:
        """The bodies of one verb, of one round if given."""
        return [
            body for number, name, body, _ in self.told if name == verb and round_ in (None, number)
        ]

    def reports(self) -> list[str]:
        """The validation statuses of the fulfils, in order."""
        return [body.get("validationStatus", "spec") for body in self.bodies("fulfill")]

    def recipient(self) -> dict[str, Any]:
        return {
            "institution": self.institution,
            "accountIdentifier": self.account,
            "accountName": self.account_name,
            "memo": self.memo,
        }


class OrderBook:
    """The verbs on orders; ``fork`` behaves as the older code does (0, 4.1)."""

    def __init__(self, fork: bool = False) -> None:
        self.fork = fork
        self.orders: dict[str, Order] = {}

    def offer(self, order: Order, ttl_s: float = 30.0) -> None:
        """Begin a round: the key's time runs before the node hears of it (3.1)."""
        self.orders[order.id] = order
        order.round += 1
        order.offered_until = time.monotonic() + ttl_s

    def take_back(self, order: Order) -> None:
        """Put the order back to pending, for whoever comes (3.6)."""
        order.status, order.ours, order.offered_until = "pending", False, 0.0
        order.fulfilments.clear()

    @property
    def _accepted(self) -> str:
        return "processing" if self.fork else "fulfilling"

    def accept(self, order: Order) -> Reply:
        known = order.is_offered or (
            order.ours and not self.fork and order.status in ("pending", self._accepted)
        )
        if not known:
            return error(404, "Order request not found or is expired")
        if order.status not in ("pending", self._accepted):
            return error(400, f"Order cannot be accepted: order is already {order.status}")
        order.status, order.ours, order.offered_until = self._accepted, True, 0.0
        if order.dialect == "spec":
            return success("Order accepted")
        data = {
            "id": order.id,
            "direction": "payout",
            "amount": order.refreshed_amount or order.amount,
            **order.recipient(),
        }
        if self.fork:
            del data["direction"]
            data["metadata"] = {}
        return success("Order request accepted successfully", data, 201)

    def decline(self, order: Order) -> Reply:
        if not order.is_offered:
            return error(404, "Order request not found or is expired")
        order.offered_until = 0.0
        return success("Order request declined successfully")

    def cancel(self, order: Order, body: dict[str, Any]) -> Reply:
        if not body.get("reason"):
            return _invalid("Reason")
        if not order.ours:
            return error(404, "Could not find payment order")
        order.status = "cancelled"
        order.reasons.append(body["reason"])
        return success("Order cancelled successfully")

    def fulfil_spec(self, order: Order, body: dict[str, Any]) -> Reply:
        if not isinstance(body.get("transactionHash"), str):
            return _invalid("TransactionHash")
        order.hashes.append(body["transactionHash"])
        order.status = "validated"
        return success("Order fulfilled")

    def fulfil(self, order: Order, body: dict[str, Any]) -> Reply:
        """The live form, with its traps (4.3)."""
        names = {"psp": "PSP", "txId": "TxID"}
        values = [body.get(key) for key in (*names, "validationStatus", "validationError")]
        if any(value is not None and not isinstance(value, str) for value in values):
            return Reply(500, b"")
        for key, name in names.items():
            if not body.get(key):
                return _invalid(name)
        tx_id, told = body["txId"], body.get("validationStatus")
        told = told if told in ("success", "failed") else "pending"
        if not order.ours:
            return error(403, "Order does not belong to provider")
        if order.status in _FINAL:
            return success(f"Order already {order.status}")
        row = next((each for each in order.fulfilments if each.tx_id == tx_id), None)
        blocking = next((each for each in order.fulfilments if each.status != "failed"), None)
        if row is None and blocking is not None:
            return error(
                400,
                f"Order already has a fulfillment (Status: {blocking.status}, "
                f"TxID: {blocking.tx_id})",
            )
        if row is None:
            row = Fulfilment(tx_id, body["psp"], "pending", "")
            order.fulfilments.append(row)
        row.status, row.error = told, body.get("validationError", "")
        order.status = "validated" if told == "success" else "fulfilled"
        return success("Order fulfilled successfully")

    def get(self, order: Order) -> Reply:
        if not order.ours:
            return error(404, "Payment order not found")
        return success("The order has been successfully retrieved", self.listed(order))

    def listed(self, order: Order) -> dict[str, Any]:
        """The order as the queries tell it (4.6)."""
        return {
            "id": order.id,
            "token": "USDT",
            "gatewayId": "0x" + order.id.replace("-", ""),
            "amount": str(order.token_amount),
            "amountInUsd": str(order.token_amount),
            "rate": str(RATE),
            "blockNumber": 7,
            "txHash": "0xabc",
            **order.recipient(),
            "providerId": "",
            "network": "base",
            "status": order.status,
            "updatedAt": "2026-11-21T10:00:00Z",
            "createdAt": "2026-11-21T10:00:00Z",
            "transactionLogs": None,
            "cancellationReasons": order.reasons,
            "orderType": "regular",
            "otcExpiry": "0001-01-01T00:00:00Z",
        }


def _invalid(name: str) -> Reply:
    return error(
        400,
        "Failed to validate payload",
        [{"field": name, "message": "This field is required"}],
    )


def told_of(call: Call) -> Any:
    """A body without what authentication consumed."""
    body = call.json
    return {key: body[key] for key in body if key != "timestamp"} if body else {}
