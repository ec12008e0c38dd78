"""What the other process of every benchmark is made of: loops of load, times, lines of JSON.

Driven by lines on standard input, answering with lines on standard output; it ends when its input
ends::

    {"start": {...}}  -> {...}, what there is to know of whoever was started
    {"run": {...}}    -> {"progress": n} ..., {"result": {...}}
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from tidegate.clock import Clock

__all__ = ["Company", "Tell", "closed_loop", "cpu_s", "open_loop", "percentiles", "serve_lines"]

Tell = Callable[[dict[str, Any]], Awaitable[None]]


class Company(Protocol):
    """Whoever is played in the other process, with the load."""

    async def start(self) -> dict[str, str]:
        """Listen; the addresses."""
        ...

    async def run(self, run: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
        """Send one load; what came of it."""
        ...

    async def stop(self) -> None:
        """Stop listening."""
        ...


async def closed_loop(one: Callable[[], Awaitable[None]], count: int, in_flight: int) -> None:
    """The next begins when one has ended: ``in_flight`` at any time."""
    left = iter(range(count))

    async def go_on() -> None:
        for _ in left:
            await one()

    await asyncio.gather(*(go_on() for _ in range(in_flight)))


async def open_loop(
    clock: Clock, one: Callable[[], Awaitable[None]], count: int, rate: float
) -> None:
    """One every ``1 / rate`` seconds, whatever becomes of the ones before."""
    began = clock.monotonic()
    tasks = []
    for number in range(count):
        wait_s = began + number / rate - clock.monotonic()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        tasks.append(asyncio.ensure_future(one()))
    await asyncio.gather(*tasks)


def percentiles(seconds: list[float]) -> dict[str, float]:
    """p50, p99 and the greatest, in milliseconds (nearest rank)."""
    seconds.sort()

    def rank(share: float) -> float:
        return seconds[min(len(seconds) - 1, int(share * len(seconds)))] * 1000

    return {"p50": rank(0.50), "p99": rank(0.99), "max": seconds[-1] * 1000, "count": len(seconds)}


def cpu_s() -> float:
    """CPU seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def serve_lines(make: Callable[[Mapping[str, Any]], Company]) -> None:
    """Serve standard input until it ends; ``make`` gets what stands in ``start``."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(_serve(make))
    else:
        uvloop.run(_serve(make))


async def _serve(make: Callable[[Mapping[str, Any]], Company]) -> None:
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)

    async def tell(message: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()

    company: Company | None = None
    try:
        while line := await lines.readline():
            order = json.loads(line)
            if "start" in order:
                company = make(order["start"])
                await tell(await company.start())
            elif company is not None:
                await tell({"result": await company.run(order["run"], tell)})
    finally:
        if company is not None:
            await company.stop()
