"""How long each kind is kept. Pure.

The floors are what money needs. The processor offers an event again for days and lists it for
thirty, so a kept one must be older than that before it is forgotten, or the sweep of the list
would keep it anew. An idempotency key answers for 24 hours at least (payments.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["DAY_MS", "FLOORS", "RetentionRules"]

DAY_MS: Final = 86_400_000

# Days, by the names of ``kinds.KINDS``. Rate limits count by the minute and have no setting.
FLOORS: Final[Mapping[str, int]] = {
    "offers": 2,
    "inbox": 35,
    "exchanges": 7,
    "observations": 30,
    "deliveries": 7,
    "sessions": 1,
    "idempotency_keys": 2,
}
_RATE_LIMITS_DAYS = 1


@dataclass(frozen=True, slots=True)
class RetentionRules:
    """Days by kind; 0 keeps for ever."""

    days: Mapping[str, int]

    def days_of(self, kind: str) -> int:
        return self.days.get(kind, _RATE_LIMITS_DAYS)

    def before_ms(self, kind: str, now_ms: int) -> int | None:
        """What is older goes; ``None``: nothing does."""
        days = self.days_of(kind)
        return now_ms - days * DAY_MS if days else None
