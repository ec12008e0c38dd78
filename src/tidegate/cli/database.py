"""The database as commands use it: readings beside whoever serves, and short writes.

Readings need no lock: on SQLite they run on ``query_only`` connections in WAL mode, which neither
wait for the serving process nor make it wait.

Writes of an operator (closing a case, a kill switch) go through a committer of their own, beside
a serving process too. "One process serves" (DESIGN 3) keeps two processes from claiming the same
rows, and nothing is claimed here. Two connections that write are what SQLite's WAL is made for:
``BEGIN IMMEDIATE`` takes the write lock before anything is read, so no decision rests on a row
that changes meanwhile; whoever comes second waits (up to the connection's time limit, 30 s) for a
transaction of a few milliseconds; and the serving process keeps nothing of these tables in memory
for longer than a tenth of a second.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from sqlalchemy import Connection

from tidegate.cli.loop import run
from tidegate.cli.schema import usable
from tidegate.db.committer import Committer, Unit
from tidegate.db.data_keys import check_keys
from tidegate.db.engine import Database
from tidegate.observability.logging import configure
from tidegate.settings import Settings, load
from tidegate.settings.rules import cipher_of

__all__ = ["command_settings", "read", "with_database", "write"]

T = TypeVar("T")


def command_settings() -> Settings:
    """The settings, with logs for a person on standard error, warnings and worse."""
    configure("WARNING", json=False)
    return load()


def read(settings: Settings, work: Callable[[Connection], T], *, needs_keys: bool = True) -> T:
    """Run ``work`` in one read-only transaction. Raises ``ConfigurationError`` when the database
    is away or has a schema that this program does not run on, or the settings lack a key of its
    data."""

    async def use(database: Database) -> T:
        return await database.read(work)

    return with_database(settings, use, needs_keys=needs_keys)


def write(settings: Settings, unit: Unit) -> list[Any]:
    """Commit one unit; what each operation answers. Raises ``WriteRefused``."""

    async def use(database: Database) -> list[Any]:
        committer = Committer(database)
        committer.start()
        try:
            return await committer.commit(unit)
        finally:
            await committer.stop()

    return with_database(settings, use)


def with_database(
    settings: Settings, use: Callable[[Database], Awaitable[T]], *, needs_keys: bool = True
) -> T:
    """Open the database, see that this program runs on it and can read it, use it, close it."""

    async def go() -> T:
        cipher = cipher_of(settings)
        async with usable(settings.database.url, cipher, pool_size=2) as database:
            if needs_keys:
                await database.read(lambda c: check_keys(c, cipher))
            return await use(database)

    found: T = run(go())
    return found
