"""What can be switched off, and how a switch is named. Pure."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["SwitchKind", "switch_id"]


class SwitchKind(StrEnum):
    """What a switch is about."""

    PSP = "psp"  # payouts through it
    CURRENCY = "currency"  # payouts in it
    PROCESSOR = "processor"  # new payments through it
    PAYMENTS = "payments"  # new payments in this currency


def switch_id(kind: str, name: str) -> str:
    """The id of a kill switch, such as ``psp:lenco``."""
    return f"{kind}:{name}"
