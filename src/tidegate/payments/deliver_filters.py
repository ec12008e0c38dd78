"""Which events a receiver wants (payments.md, "Telling the client"). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["DISABLED", "EVENT_TYPES", "FILTERS", "wants"]

DISABLED: Final = "webhook_endpoint.disabled"
"""Told to all of a user's other endpoints when one of them is switched off by us."""

EVENT_TYPES: Final = (
    "payment.created",
    "payment.requires_action",
    "payment.processing",
    "payment.requires_capture",
    "payment.succeeded",
    "payment.failed",
    "payment.canceled",
    "refund.created",
    "refund.succeeded",
    "refund.failed",
    DISABLED,
)
"""What a filter may name. Other types (``payment.requires_payment_method``) go by their family."""

FILTERS: Final = frozenset({*EVENT_TYPES, "payment.*", "refund.*", "webhook_endpoint.*", "*"})
"""Everything that may stand in an endpoint's ``events``."""


def wants(filters: Sequence[str], type_: str) -> bool:
    """Does a receiver with these ``filters`` want events of ``type_``?

    That another endpoint is switched off concerns whoever reads any of them (payments.md).
    """
    if type_ == DISABLED:
        return True
    family = f"{type_.partition('.')[0]}.*"
    return any(each in ("*", family, type_) for each in filters)
