"""A rate limit for questions: a recovering PSP is not stormed (DESIGN 3)."""

from __future__ import annotations

from tidegate.clock import Clock

__all__ = ["Pace"]


class Pace:
    """At most ``per_second`` turns a second, with a burst of one second's worth."""

    def __init__(self, clock: Clock, per_second: float) -> None:
        self._clock = clock
        self._per_second = per_second
        self._tokens = per_second
        self._filled_at = clock.monotonic()

    async def turn(self) -> None:
        """Return when it is this caller's turn."""
        now = self._clock.monotonic()
        filled = self._tokens + (now - self._filled_at) * self._per_second
        self._tokens = min(self._per_second, filled) - 1
        self._filled_at = now
        if self._tokens < 0:
            await self._clock.sleep(-self._tokens / self._per_second)
