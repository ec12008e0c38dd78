"""Time and chance: the only module that asks the machine for either.

Everything else receives a :class:`Clock` and a :class:`Randomness`, so that a run on a
:class:`SimulatedClock` with a seeded :class:`Randomness` repeats event for event.

Instants are Unix **milliseconds** (``int``) in rows and in decisions; ``datetime`` appears at
the edges only.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
import time
from datetime import UTC, datetime
from typing import Protocol

__all__ = [
    "Clock",
    "Randomness",
    "SimulatedClock",
    "SystemClock",
    "from_ms",
    "rfc3339",
]

# Crockford's alphabet, lower case: no i, l, o, u, so that an id survives being read aloud.
_ID_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def from_ms(instant_ms: int) -> datetime:
    """Turn Unix milliseconds into an aware UTC ``datetime``."""
    return datetime.fromtimestamp(instant_ms / 1000, UTC)


def rfc3339(instant_ms: int) -> str:
    """Spell Unix milliseconds as RFC 3339 in UTC, to the millisecond, ending in ``Z``."""
    return from_ms(instant_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Clock(Protocol):
    """What may be asked of time."""

    def now_ms(self) -> int:
        """Wall clock, Unix milliseconds."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never steps; only differences mean anything."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds`` of this clock have passed."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class SimulatedClock:
    """A clock that moves only when told to; sleepers wake in the order of their time."""

    def __init__(self, start_ms: int = 1_728_201_600_000) -> None:
        self._now = start_ms / 1000
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now_ms(self) -> int:
        return round(self._now * 1000)

    def monotonic(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), waiter))
        await waiter

    @property
    def next_wake(self) -> float | None:
        """The monotonic second at which the next sleeper is due, or ``None``."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    def advance(self, seconds: float) -> None:
        """Move time on and wake everyone whose moment has come, earliest first."""
        until = self._now + seconds
        while (wake := self.next_wake) is not None and wake <= until:
            _, _, waiter = heapq.heappop(self._sleepers)
            self._now = max(self._now, wake)
            waiter.set_result(None)
        self._now = until


class Randomness:
    """The one source of chance: jitter, ids, nothing cryptographic.

    Seeded it repeats; unseeded the operating system seeds it.
    """

    def __init__(self, clock: Clock, seed: int | None = None) -> None:
        self._clock = clock
        self._random = random.Random(seed)

    def uniform(self, low: float, high: float) -> float:
        """A float between ``low`` and ``high``."""
        return self._random.uniform(low, high)

    def new_id(self, prefix: str) -> str:
        """A new id ``<prefix>_<26 characters>`` that sorts by its time of birth, as a ULID."""
        number = (self._clock.now_ms() << 80) | self._random.getrandbits(80)
        digits = []
        for _ in range(26):
            number, digit = divmod(number, 32)
            digits.append(_ID_ALPHABET[digit])
        return f"{prefix}_{''.join(reversed(digits))}"
