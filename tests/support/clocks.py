"""A clock for tests that runs faster than the machine's."""

from __future__ import annotations

import asyncio
import time

__all__ = ["SwiftClock"]


class SwiftClock:
    """Every second of the machine is ``factor`` seconds here, from its making on.

    Unlike a simulated clock it moves by itself, so real sockets and threads can live beside it.
    """

    def __init__(self, factor: float) -> None:
        self._factor = factor
        self._wall_ms = time.time_ns() // 1_000_000
        self._began = time.monotonic()

    def now_ms(self) -> int:
        return self._wall_ms + round((self.monotonic() - self._began) * 1000)

    def monotonic(self) -> float:
        return self._began + (time.monotonic() - self._began) * self._factor

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._factor)
