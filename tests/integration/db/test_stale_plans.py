"""A migration changes a column under statements that are prepared: nobody notices."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, select, text

from tests.support.store import Store, jobs
from tidegate.clock import SystemClock
from tidegate.db.engine import open_database
from tidegate.db.rows import Change, Insert
from tidegate.db.url import parse


@pytest.mark.parametrize("databases", ["postgresql"], indirect=True)
async def test_statements_of_the_schema_before_are_prepared_anew(store: Store) -> None:
    """Readings and commits that worked before a column got another type work after it, on every
    connection of the pool."""

    def read(connection: Connection) -> str | None:
        note: str | None = connection.execute(
            select(jobs.c.note).where(jobs.c.id == "a")
        ).scalar_one()
        return note

    await store.commit(Insert(jobs, {"id": "a", "note": "0"}))
    other = open_database(parse(store.url), SystemClock(), pool_size=1)
    for number, kind in enumerate(("VARCHAR(90)", "TEXT", "VARCHAR(80)"), start=1):
        for use in (store.database.read, store.database.fetch):
            assert await use(read) == str(number - 1)
        change = text(f"ALTER TABLE jobs ALTER COLUMN note TYPE {kind}")
        await other.write(lambda c, change=change: c.execute(change))  # type: ignore[misc]
        await store.commit(
            Change(jobs, "a", {"note": str(number)}, expect={"note": str(number - 1)})
        )
        for use in (store.database.read, store.database.fetch):
            assert await use(read) == str(number)
    await other.close()
