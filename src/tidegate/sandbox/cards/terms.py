"""What a played processor charges, how long it takes, and what it is strict about."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from tidegate.sandbox.cards.currencies import MINIMUMS

__all__ = ["API_VERSION", "Terms"]

API_VERSION: Final = "2026-10-28.endive"
_DAY_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Terms:
    """Amounts in minor units of the settlement currency, times in seconds of the clock.

    ``exchange_rates`` are per currency of a charge: how much of ``settlement_currency`` (none:
    each currency settles as it is) one major unit buys. ``webhook_events`` are the types the
    webhook endpoint asked for, ``None`` for all.
    """

    refund_s: float = 5.0
    dispute_s: float = 0.0
    fee_percent: Decimal = Decimal("2.9")
    fee_fixed: int = 30
    dispute_fee: int = 1500
    dispute_fee_returned: bool = False
    settlement_currency: str | None = None
    exchange_rates: Mapping[str, Decimal] = field(default_factory=dict)
    minimums: Mapping[str, int] = field(default_factory=lambda: MINIMUMS)
    authorisation_s: float = 7 * _DAY_S
    key_s: float = _DAY_S
    # A stored answer says that it is one. Otherwise it comes back bare.
    says_replayed: bool = True
    api_version: str = API_VERSION
    # ``automatic`` before 2025-03-31 (changelog basil).
    expiry_reason: str = "expired"
    # As at Stripe, a card that is declined cannot be attached to a customer either.
    decline_on_attach: bool = True
    events_kept: int = 100_000
    webhook_events: Collection[str] | None = None
