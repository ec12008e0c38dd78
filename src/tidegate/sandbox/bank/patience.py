"""Waiting that a fault has caused, and that ends at once when the faults are healed."""

from __future__ import annotations

import asyncio

from tidegate.clock import Clock

__all__ = ["Patience"]


class Patience:
    """Pauses on the given clock, all of which :meth:`end` cuts short."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ended = asyncio.Event()

    async def pause(self, seconds: float) -> bool:
        """Wait; ``True`` when the time has passed, ``False`` when the faults were healed first."""
        passed = asyncio.ensure_future(self._clock.sleep(seconds))
        ended = asyncio.ensure_future(self._ended.wait())
        try:
            done, _ = await asyncio.wait({passed, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            passed.cancel()
            ended.cancel()
        return passed in done

    def end(self) -> None:
        """Let everyone who is waiting now go on."""
        self._ended.set()
        self._ended = asyncio.Event()
