"""A committer on a database of its own, as each process has one."""

from __future__ import annotations

from typing import Any

from tidegate.clock import SystemClock
from tidegate.db.committer import Committer, Operation, Unit
from tidegate.db.engine import Database, open_database
from tidegate.db.url import parse

__all__ = ["Desk"]


class Desk:
    """Opened by a scene; with :meth:`close` what is waiting is written."""

    def __init__(self, url: str) -> None:
        self.clock = SystemClock()
        self.database: Database = open_database(parse(url), self.clock, pool_size=4)
        self.committer = Committer(self.database)
        self.committer.start()

    async def commit(self, *operations: Operation) -> list[Any]:
        """Commit one unit."""
        return await self.committer.commit(Unit(list(operations)))

    async def close(self) -> None:
        await self.committer.stop()
        await self.database.close()
