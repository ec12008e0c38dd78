"""What happens by itself a fixed time after something else, in the order it was begun."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from tidegate.clock import Clock

__all__ = ["Later"]


class Later:
    """A queue whose entries all wait ``delay_s()``: one timer serves any number of them.

    Without a delay an entry happens as soon as the loop is free.
    """

    def __init__(self, clock: Clock, delay_s: Callable[[], float]) -> None:
        self._clock = clock
        self._delay_s = delay_s
        self._queue: deque[tuple[int, Callable[[], None]]] = deque()
        self._task: asyncio.Task[None] | None = None

    def put(self, act: Callable[[], None]) -> None:
        """Let ``act`` happen after the delay."""
        delay_s = self._delay_s()
        if delay_s <= 0:
            asyncio.get_running_loop().call_soon(act)
            return
        self._queue.append((self._clock.now_ms() + round(delay_s * 1000), act))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def flush(self) -> None:
        """Let everything that waits happen now."""
        while self._queue:
            self._queue.popleft()[1]()

    async def stop(self) -> None:
        """Forget what waits."""
        self._queue.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        while self._queue:
            due_ms, act = self._queue[0]
            wait_ms = due_ms - self._clock.now_ms()
            if wait_ms > 0:
                # Whatever is first afterwards: a flush may have emptied the queue meanwhile.
                await self._clock.sleep(wait_ms / 1000)
                continue
            self._queue.popleft()
            act()
        self._task = None
