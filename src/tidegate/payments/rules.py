"""The figures of the settings that payments go by, in minor units and milliseconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["PaymentRules"]


@dataclass(frozen=True, slots=True)
class PaymentRules:
    """``amount_max`` is in minor units by currency; a currency that is not in it is not taken."""

    amount_max: Mapping[str, int]
    lookup_schedule_s: Sequence[int]
    send_again_after_ms: int
    abandoned_after_ms: int
