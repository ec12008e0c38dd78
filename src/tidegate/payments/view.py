"""How payments, refunds and payment methods look from outside (payments.md). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidegate.clock import rfc3339
from tidegate.payments.states import ON_THE_WAY, RefundState, State, public_status

__all__ = ["card_view", "payment_view", "refund_view"]

Row = Mapping[str, Any]


def payment_view(row: Row) -> dict[str, Any]:
    """The payment as the API shows it and events carry it; amounts in minor units.

    ``outcome`` is ``unknown`` while nothing is known of the last step.
    """
    state = State(row["state"])
    failure = None
    if row["failure_code"] is not None:
        failure = {
            "code": row["failure_code"],
            "message": row["failure_message"],
            "decline_code": row["decline_code"],
        }
    return {
        "id": row["id"],
        "object": "payment",
        "status": public_status(state),
        "amount": row["amount"],
        "amount_captured": row["amount_captured"],
        "amount_refunded": row["amount_refunded"],
        "currency": row["currency"],
        "capture_method": "manual" if row["manual_capture"] else "automatic",
        "payment_method_id": row["payment_method_id"],
        "description": row["description"],
        "metadata": row["metadata"],
        "processor": row["processor"],
        "processor_reference": row["processor_reference"],
        "next_action": row["next_action"],
        "failure": failure,
        "created_at": rfc3339(row["created_at"]),
        "updated_at": rfc3339(row["updated_at"]),
        "outcome": "unknown" if state in ON_THE_WAY else None,
    }


def refund_view(row: Row) -> dict[str, Any]:
    """The refund as the API shows it and events carry it; amounts in minor units."""
    state = RefundState(row["state"])
    asking = state is RefundState.ASKING
    return {
        "id": row["id"],
        "object": "refund",
        "payment_id": row["payment_id"],
        "status": "pending" if asking else state.value,
        "amount": row["amount"],
        "currency": row["currency"],
        "reason": row["reason"],
        "processor_reference": row["processor_reference"],
        "failure": row["failure"],
        "created_at": rfc3339(row["created_at"]),
        "updated_at": rfc3339(row["updated_at"]),
        "outcome": "unknown" if asking else None,
    }


def card_view(row: Row) -> dict[str, Any]:
    """A stored payment method: what may be shown of it."""
    card = None
    if row["last4"] is not None:
        card = {name: row[name] for name in ("brand", "last4", "exp_month", "exp_year")}
    return {
        "id": row["id"],
        "object": "payment_method",
        "type": row["type"],
        "card": card,
        "is_default": row["is_default"],
        "created_at": rfc3339(row["created_at"]),
    }
