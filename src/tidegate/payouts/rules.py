"""The figures that payouts are run by, from the settings. Instants and waits in the unit named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Rules"]


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator decided. Amounts are minor units by wire currency code."""

    environment: str
    node_id: str
    currencies: frozenset[str]
    psps: tuple[str, ...]  # in order of preference
    fee_max: Mapping[str, int]  # highest expected fee of a transfer, by currency
    amount_max: Mapping[str, int]
    amount_min: Mapping[str, int]
    critical_balance: Mapping[str, int]
    offer_ttl_ms: int = 20_000
    accept_margin_ms: int = 1_500
    lookup_schedule_s: tuple[int, ...] = (5, 15, 30, 60, 120, 300, 600, 900)
    not_found_count: int = 3
    not_found_window_ms: int = 900_000
    cool_off_ms: int = 1_800_000
    unsent_limit_ms: int = 1_200_000
    name_check: bool = False
    show_balances: bool = True
    spec_require_timestamp: bool = False
