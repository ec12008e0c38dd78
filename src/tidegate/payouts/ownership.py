"""Is an accepted order still ours? Asked before a first payment that comes late.

Between accept and payment the node may have been down, or every PSP resting; meanwhile the
aggregator may have taken the order back and given it to somebody else (aggregator.md 3.2 FORK,
7.14). Right after accept nobody asks: the answer was the proof.
"""

from __future__ import annotations

from enum import Enum

from tidegate.clock import Clock
from tidegate.db.exchanges import Exchange
from tidegate.payouts.store import Row
from tidegate.ports.aggregator import Aggregator, Listed
from tidegate.wire.dialect import Dialect

__all__ = ["OURS", "Owner", "Ownership"]

# What the aggregator calls an order that its provider has accepted (LIVE, FORK).
OURS = frozenset({"fulfilling", "processing"})

# What an order of ours may be called once something was reported about it.
_OURS_STILL = OURS | {"fulfilled", "accepted"}

_LATE_MS = 60_000
# A spec aggregator may offer no way to ask: after so many silent answers accept stays the proof.
_SPEC_BLIND_AFTER = 4


class Owner(Enum):
    """What is known."""

    OURS = "ours"
    NOT_OURS = "not_ours"
    NOT_KNOWN = "not_known"


class Ownership:
    """Asks the aggregator, when it is time to."""

    def __init__(self, clock: Clock, aggregator: Aggregator) -> None:
        self._clock = clock
        self._aggregator = aggregator

    def is_late(self, payout: Row) -> bool:
        """Has so much time passed since accept that the order may have moved on?"""
        accepted_at = payout["accepted_at"]
        return accepted_at is None or bool(self._clock.now_ms() - accepted_at > _LATE_MS)

    async def ask(self, payout: Row, tries: int) -> tuple[Owner, tuple[Exchange, ...]]:
        """Whose the order is now."""
        query = await self._aggregator.order(payout["order_id"])
        if query.listed is Listed.UNAVAILABLE:
            blind = payout["dialect"] == Dialect.SPEC and tries > _SPEC_BLIND_AFTER
            return (Owner.OURS if blind else Owner.NOT_KNOWN), query.exchanges
        if query.listed is Listed.NOT_OURS or query.orders[0].status not in _OURS_STILL:
            return Owner.NOT_OURS, query.exchanges
        return Owner.OURS, query.exchanges
