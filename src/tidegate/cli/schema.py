"""Before a process or a command begins: the database is there, this code runs on its schema, and it
has the keys of its data."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
from sqlalchemy.exc import (
    DatabaseError,
    DBAPIError,
    InterfaceError,
    InternalError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tidegate import migrations
from tidegate.clock import SystemClock
from tidegate.db.cipher import Cipher
from tidegate.db.data_keys import check_keys
from tidegate.db.engine import Database, InlineExecutor, open_database
from tidegate.db.url import DatabaseUrl
from tidegate.errors import ConfigurationError
from tidegate.settings import Settings
from tidegate.settings.rules import cipher_of

__all__ = [
    "UNUSABLE",
    "away",
    "inline",
    "missing_file",
    "refuse_misfit",
    "refuse_unusable",
    "usable",
]

UNUSABLE = (DBAPIError, PoolTimeout, OSError, asyncpg.PostgresError)
"""What a database raises that cannot be reached or used; see :func:`away`."""


def inline(_name: str) -> InlineExecutor:
    """Where a command's database work runs: in the loop, which has nothing else to do."""
    return InlineExecutor()


@asynccontextmanager
async def usable(
    url: DatabaseUrl, cipher: Cipher, *, pool_size: int = 1
) -> AsyncIterator[Database]:
    """The database, open, while it is used.

    Raises ``ConfigurationError`` with what to do if it is not there, cannot be reached, then or
    while it is used, or if this code does not run on its schema.
    """
    if fault := missing_file(url):
        raise ConfigurationError([fault])
    database = open_database(
        url, SystemClock(), executor=inline, pool_size=pool_size, cipher=cipher
    )
    try:
        await refuse_misfit(database, url)
        yield database
    except UNUSABLE as error:
        if (fault := away(url, error)) is None:
            raise
        raise ConfigurationError([fault]) from error
    finally:
        await database.close()


async def refuse_unusable(settings: Settings) -> None:
    """Raises ``ConfigurationError`` if a process could not begin: the database, the schema, or a
    key of its data."""
    cipher = cipher_of(settings)
    async with usable(settings.database.url, cipher) as database:
        await database.read(lambda c: check_keys(c, cipher))


async def refuse_misfit(database: Database, url: DatabaseUrl) -> None:
    """Raises ``ConfigurationError`` if this code does not run on the schema."""
    if why := await database.read(migrations.misfit):
        raise ConfigurationError([f"{url.display} {why}"])


def missing_file(url: DatabaseUrl) -> str | None:
    """What is the matter if there is no file; opening would make an empty one."""
    if url.dialect == "sqlite" and not Path(url.path).exists():
        return (
            f"There is no database at {url.path}: run `tidegate migrate`, or correct DATABASE_URL."
        )
    return None


def away(url: DatabaseUrl, error: Exception) -> str | None:
    """The sentence for a database that cannot be reached or used; ``None`` when the error is
    about a statement, which is a mistake of this program."""
    if isinstance(error, DBAPIError):
        by_class = isinstance(error, OperationalError | InterfaceError | InternalError)
        # What is no SQLite file at all is a bare DatabaseError.
        if not (by_class or error.connection_invalidated or type(error) is DatabaseError):
            return None
        why = str(error.orig)
    else:
        why = str(error) or type(error).__name__
    return (
        f"The database {url.display} cannot be used ({why}): see that it runs, and that "
        "DATABASE_URL and its rights are right."
    )
