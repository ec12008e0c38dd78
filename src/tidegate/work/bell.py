"""The bell between PostgreSQL processes: one word, "look" (DESIGN 3).

Ringing is coalesced to one ``NOTIFY`` per few milliseconds, outside any business transaction.
Listening has one direct asyncpg connection of its own, reconnects, and looks once after each
reconnect. On SQLite one process serves, and nobody needs a bell.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import asyncpg
import structlog
from sqlalchemy import text

from tidegate.clock import Clock
from tidegate.db.engine import Database
from tidegate.db.url import DatabaseUrl

__all__ = ["Bell", "Ear"]

log = structlog.get_logger()

_CHANNEL = "tidegate_work"
# Any fixed number; it only must not be used for another advisory lock.
_LOCK = 7_391_402_219
_COALESCE_S = 0.003
_RECONNECT_S = 1.0
_HEARTBEAT_S = 15.0

_notify = text(f"NOTIFY {_CHANNEL}")


class Bell:
    """Rings for other processes."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def ring(self) -> None:
        """Tell the others to look, soon; what is rung meanwhile is the same ring."""
        if self._database.dialect == "postgresql" and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._ring(), name="bell")

    async def _ring(self) -> None:
        await self._clock.sleep(_COALESCE_S)
        try:
            await self._database.write(lambda connection: connection.execute(_notify))
        except Exception as error:  # polling finds the rows all the same
            log.warning("bell.failed", error=repr(error))

    async def close(self) -> None:
        if self._task is not None:
            with suppress(asyncio.CancelledError):
                await self._task


class Ear:
    """Hears the bell of other processes."""

    def __init__(self, url: DatabaseUrl, clock: Clock, look: Callable[[], None]) -> None:
        self._url = url
        self._clock = clock
        self._look = look
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        # Behind a pooler that hands out connections by transaction nothing would be heard.
        if self._url.dialect == "postgresql" and not self._url.pooled:
            self._task = asyncio.create_task(self._listen(), name="ear")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def others(self) -> bool:
        """Does another process listen (PostgreSQL)? Asked after :meth:`stop`.

        Each ear holds a shared advisory lock for as long as its connection lives.
        """
        if self._url.dialect != "postgresql":
            return False
        connection: Any = await asyncpg.connect(**self._url.asyncpg_args)
        try:
            return not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK)
        finally:
            await connection.close()

    async def _listen(self) -> None:
        while True:
            try:
                await self._listen_once()
            except asyncio.CancelledError:
                raise
            except Exception as error:
                log.warning("ear.lost", error=repr(error))
            await self._clock.sleep(_RECONNECT_S)

    async def _listen_once(self) -> None:
        connection: Any = await asyncpg.connect(**self._url.asyncpg_args)
        try:
            await connection.execute("SELECT pg_advisory_lock_shared($1)", _LOCK)
            await connection.add_listener(_CHANNEL, lambda *_: self._look())
            self._look()  # what was rung while nobody listened
            while True:
                await self._clock.sleep(_HEARTBEAT_S)
                await connection.execute("SELECT 1")
        finally:
            connection.terminate()
