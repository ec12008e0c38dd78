"""What is due when: one heap and one loop instead of a sleeping task per order."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import logging
from collections.abc import Callable

from tidegate.clock import Clock

__all__ = ["Timetable"]

# A sleeper may wake this much after its moment: a large monotonic reading has coarse steps.
_ROUNDING_S = 1e-6

_log = logging.getLogger(__name__)


class Timetable:
    """Runs plain callables at their moment, earliest first, on the given clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._earlier = asyncio.Event()
        self._loop_task: asyncio.Task[None] | None = None

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Have ``action`` run once ``seconds`` from now."""
        due = self._clock.monotonic() + seconds
        if not self._heap or due < self._heap[0][0]:
            self._earlier.set()
        heapq.heappush(self._heap, (due, next(self._order), action))

    def every(self, seconds: float, action: Callable[[], None]) -> None:
        """Have ``action`` run every ``seconds``, the first time ``seconds`` from now."""

        def again() -> None:
            self.after(seconds, again)
            action()

        self.after(seconds, again)

    @property
    def due_now(self) -> bool:
        """Whether something is due that has not run yet."""
        return bool(self._heap) and self._heap[0][0] + _ROUNDING_S <= self._clock.monotonic()

    def start(self) -> None:
        """Begin; what was entered before is kept."""
        self._loop_task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End the loop and forget what was still due."""
        self._heap.clear()
        if self._loop_task is not None:
            self._loop_task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._loop_task
            self._loop_task = None

    async def _run(self) -> None:
        while True:
            self._earlier.clear()
            now = self._clock.monotonic()
            while self._heap and self._heap[0][0] <= now:
                _, _, action = heapq.heappop(self._heap)
                try:
                    action()
                except Exception:
                    # One broken order must not stop the clock of all others.
                    _log.exception("sandbox aggregator: a scheduled action failed")
            if not self._heap:
                await self._earlier.wait()
                continue
            await self._sleep(self._heap[0][0])

    async def _sleep(self, due: float) -> None:
        """Sleep until the head is due, or until something earlier is entered."""
        sleeper = asyncio.ensure_future(self._sleep_until(due))
        earlier = asyncio.ensure_future(self._earlier.wait())
        try:
            await asyncio.wait({sleeper, earlier}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeper.cancel()
            earlier.cancel()

    async def _sleep_until(self, due: float) -> None:
        # Measured here, not by the caller: time may have passed before this task began.
        left_s = due - self._clock.monotonic()
        if left_s > 0:
            await self._clock.sleep(left_s)
