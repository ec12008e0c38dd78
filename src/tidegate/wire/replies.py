"""What the node answers to the aggregator: the envelope and the two answers with rules."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from tidegate.wire.canonical import Writable, go_json

__all__ = ["TxStatus", "envelope", "order_received", "tx_status_answer"]


class TxStatus(StrEnum):
    """The words ``/tx_status`` may be answered with; any other would change nothing."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILED = "failed"


def envelope(status: Literal["success", "error"], message: str, data: Writable) -> bytes:
    """``{"data":..,"message":..,"status":..}``; ``data`` is ``null`` for none (contract, 1)."""
    return go_json({"status": status, "message": message, "data": data})


def order_received(order_id: str, status: str) -> bytes:
    """The answer to an offer of either dialect: the order and its public state."""
    return envelope("success", "Order received", {"orderId": order_id, "status": status})


def tx_status_answer(
    status: TxStatus, psp: str | None = None, tx_id: str | None = None, error: str | None = None
) -> bytes:
    """The answer to ``/tx_status``: four strings, always (contract, 3.2).

    A missing, null or non-string ``psp`` or ``txId`` stops the aggregator's whole process.
    *Success* and *failed* create a fulfilment from ``psp`` and ``txId``; without both they are
    answered as *pending*, which never changes anything.
    """
    status = TxStatus(status) if psp and tx_id else TxStatus.PENDING
    data: dict[str, Writable] = {
        "status": status.value,
        "psp": psp or "",
        "txId": tx_id or "",
        "error": error or "",
    }
    return envelope("success", f"Transaction {status.value}", data)
