"""One address before several processes, as a load balancer gives.

A balancer that asks sends nothing to a process that is not ready, as those of platforms do.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import suppress

import aiohttp

__all__ = ["Balancer"]

_CHUNK = 65_536
# How long a caller is kept waiting when nobody answers, as balancers do.
_QUEUE_S = 3.0
_STEP_S = 0.1
# A busy process is not a sick one.
_ASK_S = 20.0


class Balancer:
    """Hands each connection to one of ``ports`` that answers, or closes it after a while."""

    def __init__(self, ports: Sequence[int], chance: random.Random, *, asks: bool = False) -> None:
        self._ports = tuple(ports)
        self._asks = asks
        self._out: set[int] = set(ports) if asks else set()
        self._asking: list[asyncio.Task[None]] = []
        self._chance = chance
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def start(self, port: int) -> str:
        """Listen; the address."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", port)
        if self._asks:
            self._asking = [asyncio.create_task(self._ask(each)) for each in self._ports]
        return f"http://127.0.0.1:{port}"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        tasks = [*self._serving, *self._asking]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def all_ready(self) -> None:
        """Wait until every process was found ready."""
        while self._out:  # noqa: ASYNC110 -- it is asked, and tells nobody
            await asyncio.sleep(0.02)

    def hang_up(self) -> None:
        """End every connection: callers that keep theirs meet all that are ready."""
        for task in self._serving:
            task.cancel()

    async def _ask(self, port: int) -> None:
        timeout = aiohttp.ClientTimeout(total=_ASK_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                ready = False
                with suppress(aiohttp.ClientError, TimeoutError):
                    async with session.get(f"http://127.0.0.1:{port}/ready") as answer:
                        ready = answer.status == 200
                (self._out.discard if ready else self._out.add)(port)
                await asyncio.sleep(_STEP_S)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            there = await self._connect()
            if there is not None:
                await asyncio.gather(_pump(reader, there[1]), _pump(there[0], writer))
        except asyncio.CancelledError:
            pass  # by stop: a server's own task would report it as an error
        finally:
            writer.close()
            self._serving.discard(task)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        until = time.monotonic() + _QUEUE_S
        while time.monotonic() < until:
            for port in self._chance.sample(self._ports, len(self._ports)):
                if port in self._out:
                    continue
                try:
                    return await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    continue  # dead, or not up yet: the next one
            await asyncio.sleep(_STEP_S)
        return None


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Copy until one side ends; then the other end is told."""
    try:
        while chunk := await source.read(_CHUNK):
            sink.write(chunk)
            await sink.drain()
    except OSError:
        pass  # killed in the midst of it
    finally:
        sink.close()
