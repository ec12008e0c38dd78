"""An index is built beside a node that writes, and again after it died half way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from tests.support.next_version import COLUMN, migration
from tidegate import migrations
from tidegate.clock import SystemClock
from tidegate.db.engine import Database, PostgresqlDatabase, open_database
from tidegate.db.url import parse

HEAD = migrations.head()
INDEX = "ix_exchanges_next"
BecomeNext = Callable[[dict[str, str]], None]
FILES = {
    "0090": migration("0090", HEAD, **COLUMN),
    "0091": migration(
        "0091",
        "0090",
        up=(
            f'op.create_index("{INDEX}", "inbox", ["id"], '
            "postgresql_concurrently=True, if_not_exists=True)"
        ),
        down=f'op.drop_index("{INDEX}", "inbox", postgresql_concurrently=True)',
        more=f'concurrently = ("{INDEX}",)',
    ),
    "0092": migration(
        "0092",
        "0091",
        up='op.add_column("payouts", sa.Column("lane", sa.Text(), nullable=True))',
        down='op.drop_column("payouts", "lane")',
    ),
}
_postgresql = pytest.mark.parametrize("databases", ["postgresql"], indirect=True)


def _index(connection: Connection) -> bool | None:
    """Is it valid? ``None``: it is not there."""
    if connection.dialect.name == "sqlite":
        query = text("SELECT true FROM sqlite_master WHERE name = :name")
    else:
        query = text(
            "SELECT indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid "
            "WHERE relname = :name"
        )
    found = connection.execute(query, {"name": INDEX}).scalar_one_or_none()
    return None if found is None else bool(found)


def _write(connection: Connection) -> None:
    insert = (
        "INSERT INTO rate_limits (id, window_started_at, count) VALUES "
        "(gen_random_uuid()::text, 1, 1)"
    )
    connection.execute(text(insert))
    connection.execute(text("UPDATE inbox SET id = id WHERE false"))


@asynccontextmanager
async def _holding(url: str) -> AsyncIterator[Database]:
    """A transaction that has written to the table and does not end: the index waits for it."""
    other = open_database(parse(url), SystemClock())
    assert isinstance(other, PostgresqlDatabase)
    try:
        async with other._engine.connect() as held:  # to keep a transaction open
            await held.execute(text("UPDATE inbox SET id = id WHERE false"))
            yield other
            await held.rollback()
    finally:
        await other.close()


async def _until_built(database: Database) -> int:
    """The server process that builds the index, once it is at it and the index half there."""
    query = text("SELECT pid FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%'")
    async with asyncio.timeout(60):
        while True:
            pid: int | None = await database.read(lambda c: c.execute(query).scalar())
            if pid is not None and await database.read(_index) is False:
                return pid
            await asyncio.sleep(0.02)


async def test_what_is_aside_is_one_step_of_many(
    database: Database, become_next: BecomeNext
) -> None:
    """In between of others, up and down; and plainly where nobody serves, in one transaction."""
    await migrations.upgrade(database)
    become_next(FILES)
    await migrations.upgrade(database)
    assert await database.read(migrations.current) == "0092"
    assert await database.read(_index) is True
    await migrations.downgrade(database, HEAD)
    assert await database.read(_index) is None
    await database.write(migrations.upgrade_within)
    assert await database.read(_index) is True
    await migrations.downgrade(database, "base")
    await migrations.upgrade(database)
    assert await database.read(_index) is True


@_postgresql
async def test_others_write_while_an_index_is_built(
    database: Database, database_url: str, become_next: BecomeNext
) -> None:
    """The index waits for an open transaction; writers to the same table wait for nobody, and a
    second migration waits for the first."""
    await migrations.upgrade(database)
    become_next(FILES)
    second = open_database(parse(database_url), SystemClock())
    async with _holding(database_url) as other:
        going = asyncio.create_task(migrations.upgrade(database))
        await _until_built(other)
        also = asyncio.create_task(migrations.upgrade(second))
        for _ in range(50):
            await asyncio.wait_for(other.write(_write), 30)
        assert not going.done()
        assert not also.done()
        assert await other.read(migrations.current) == "0090"
    await asyncio.wait_for(asyncio.gather(going, also), 60)
    await second.close()
    assert await database.read(migrations.current) == "0092"
    assert await database.read(_index) is True


@_postgresql
async def test_an_index_that_died_half_way_is_built_again(
    database: Database, database_url: str, become_next: BecomeNext
) -> None:
    """What was left behind is invalid, and IF NOT EXISTS alone would take it for done."""
    await migrations.upgrade(database)
    become_next(FILES)
    async with _holding(database_url) as other:
        going = asyncio.create_task(migrations.upgrade(database))
        pid = await _until_built(other)
        await other.write(
            lambda c: c.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        )
        with pytest.raises(DBAPIError):
            await going
    assert await database.read(_index) is False
    assert await database.read(migrations.current) == "0090"
    await migrations.upgrade(database)
    assert await database.read(_index) is True
    assert await database.read(migrations.current) == "0092"
