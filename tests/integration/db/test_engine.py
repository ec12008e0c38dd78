"""Both engines keep the same promises: atomic writes, one snapshot a read, nothing half-hearted."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, select, text
from sqlalchemy.engine.interfaces import CacheStats
from sqlalchemy.exc import DBAPIError

from tests.support.store import Store, jobs, kept_jobs
from tidegate.clock import SystemClock
from tidegate.db.engine import InlineExecutor, any_of, any_values, open_database
from tidegate.db.rows import Change, Insert, Next
from tidegate.db.url import parse
from tidegate.ledger.book import Record
from tidegate.ledger.entry import transfer
from tidegate.work.claim import Claim


def _insert(connection: Connection, job_id: str) -> None:
    connection.execute(jobs.insert(), {"id": job_id})


async def test_a_write_that_raises_leaves_nothing(store: Store) -> None:
    """The transaction is rolled back whole, and the next one works."""

    def half(connection: Connection) -> None:
        _insert(connection, "a")
        raise LookupError("no")

    with pytest.raises(LookupError):
        await store.database.write(half)
    await store.database.write(lambda c: _insert(c, "b"))
    assert set(await kept_jobs(store.database)) == {"b"}


async def test_a_read_cannot_write(store: Store) -> None:
    """The database itself refuses, on both engines."""
    with pytest.raises(DBAPIError, match=r"read-only|readonly"):
        await store.database.read(lambda c: _insert(c, "a"))
    assert await kept_jobs(store.database) == {}


_READER_WAITS = """
    SELECT count(*) FROM pg_locks
    WHERE locktype = 'advisory' AND NOT granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


async def test_a_read_sees_one_snapshot(store: Store) -> None:
    """What is committed between two questions of a read is in neither answer."""
    loop = asyncio.get_running_loop()
    counts: list[int] = []

    def count(connection: Connection) -> int:
        return len(connection.execute(select(jobs.c.id)).all())

    if store.dialect == "sqlite":  # its reads run in a thread, so the loop is free

        def read(connection: Connection) -> None:
            counts.append(count(connection))
            write = store.database.write(lambda c: _insert(c, "a"))
            asyncio.run_coroutine_threadsafe(write, loop).result(5)
            counts.append(count(connection))

        await store.database.read(read)
    else:
        locked = asyncio.Event()

        def write(connection: Connection) -> None:
            connection.execute(text("SELECT pg_advisory_xact_lock(7)"))
            locked.set()
            # The reader has asked once, and waits for this transaction before it asks again.
            while not connection.execute(text(_READER_WAITS)).scalar_one():
                connection.execute(text("SELECT pg_sleep(0.01)"))
            _insert(connection, "a")

        def read(connection: Connection) -> None:
            counts.append(count(connection))
            connection.execute(text("SELECT pg_advisory_xact_lock_shared(7)"))
            counts.append(count(connection))

        writing = asyncio.create_task(store.database.write(write))
        await locked.wait()
        await store.database.read(read)
        await writing
    assert counts == [0, 0]
    assert len(await kept_jobs(store.database)) == 1


def test_a_file_that_was_only_read_can_be_inspected(tmp_path: Path) -> None:
    """In a process of its own: the dialect that all engines share is complete, although the engine
    that was made first has never connected."""
    code = (
        "import asyncio, sys\n"
        "from sqlalchemy import inspect\n"
        "from tidegate.clock import SystemClock\n"
        "from tidegate.db.engine import open_database\n"
        "from tidegate.db.url import parse\n"
        "database = open_database(parse('sqlite:///' + sys.argv[1]), SystemClock())\n"
        "read = database.read(lambda c: inspect(c).get_columns('a'))\n"
        "print(len(asyncio.run(read)))\n"
    )
    file = tmp_path / "one.sqlite3"
    made = sqlite3.connect(file)
    made.execute("CREATE TABLE a (b INTEGER)")
    made.close()
    ran = subprocess.run(
        [sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=False
    )
    assert (ran.stdout.strip(), ran.returncode) == ("1", 0), ran.stderr


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
async def test_sqlite_takes_the_write_lock_at_once(store: Store) -> None:
    """BEGIN IMMEDIATE: nobody else can begin to write from the first moment of a transaction."""
    path = parse(store.url).path

    def work(connection: Connection) -> str:
        other = sqlite3.connect(path, timeout=0, isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            return str(error)
        finally:
            other.close()
        return "not locked"

    assert await store.database.write(work) == "database is locked"


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
async def test_sqlite_is_set_up_for_durability(store: Store) -> None:
    """WAL with an fsync a commit, foreign keys, and triggers that REPLACE cannot pass by."""

    def work(connection: Connection) -> list[Any]:
        names = ("journal_mode", "synchronous", "foreign_keys", "recursive_triggers")
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]

    assert await store.database.write(work) == ["wal", 2, 1, 1]


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
async def test_sqlite_can_run_inline(store: Store) -> None:
    """The executor is a parameter: a simulation runs everything in the event loop's thread."""
    database = open_database(
        parse(store.url), SystemClock(), executor=lambda name: InlineExecutor()
    )
    await database.write(lambda c: _insert(c, "a"))
    assert set(await kept_jobs(database)) == {"a"}
    await database.close()


async def test_a_list_of_any_length_is_one_statement(store: Store) -> None:
    """``any_of`` finds the listed rows, text or numbers, with the same SQL for every length."""
    texts: set[str] = set()

    def listen(
        connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
    ) -> None:
        texts.add(statement)

    wanted = select(jobs.c.id).where(any_of(store.dialect, jobs.c.id, "ids")).order_by(jobs.c.id)
    by_fence = select(jobs.c.id).where(any_of(store.dialect, jobs.c.fence, "fences"))
    await store.commit(*(Insert(jobs, {"id": each, "fence": n}) for n, each in enumerate("abc'")))

    def read(connection: Connection) -> list[list[str]]:
        event.listen(Engine, "before_cursor_execute", listen)
        try:
            return [
                list(connection.execute(wanted, {"ids": any_values(store.dialect, ids)}).scalars())
                for ids in (["a"], ["b", "c", "nobody"], [], ["'", "a"])
            ]
        finally:
            event.remove(Engine, "before_cursor_execute", listen)

    assert await store.database.read(read) == [["a"], ["b", "c"], [], ["'", "a"]]
    assert len({text for text in texts if "jobs" in text}) == 1

    def read_numbers(connection: Connection) -> set[str]:
        found = connection.execute(by_fence, {"fences": any_values(store.dialect, [0, 2])})
        return set(found.scalars())

    assert await store.database.read(read_numbers) == {"a", "c"}


async def test_groups_of_any_size_compile_nothing_new(store: Store) -> None:
    """After the first groups every statement comes from the cache, whatever the group's size."""
    missed: list[str] = []
    texts: set[str] = set()

    def listen(
        connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
    ) -> None:
        if context.compiled is not None:
            texts.add(statement)
            if context.cache_hit is not CacheStats.CACHE_HIT:
                missed.append(statement)

    async def group(name: str, size: int) -> None:
        units = [
            store.commit(
                Insert(jobs, {"id": f"{name}{n}", "data": {"n": n}}, next=Next("look", 60_000)),
                Record(
                    transfer(
                        f"{name}{n}",
                        "float.opened",
                        "x",
                        (f"psp:{name}:available:NGN", "float:opening:NGN", 5),
                    )
                ),
            )
            for n in range(size)
        ]
        await asyncio.gather(*units)
        changes = [
            store.commit(Change(jobs, f"{name}{n}", {"state": "old"}, expect={"state": "new"}))
            for n in range(size)
        ]
        await asyncio.gather(*changes)
        await store.commit(Claim(jobs, "look", size, 1_000))

    for warm_up, size in (("w", 1), ("x", 2)):  # one row and many may be spelled differently
        await group(warm_up, size)
    event.listen(Engine, "before_cursor_execute", listen)
    try:
        await group("a", 1)
        await group("b", 7)
        known = set(texts)
        await group("c", 40)
        await group("d", 41)
    finally:
        event.remove(Engine, "before_cursor_execute", listen)
    assert missed == []
    assert texts == known


async def test_json_none_is_null(store: Store) -> None:
    """An empty JSON column is NULL, not the JSON text "null"; values come back as they were."""
    data = {"kobo": 2**53 + 1, "text": "ọ"}
    await store.commit(
        Insert(jobs, {"id": "a", "data": None}), Insert(jobs, {"id": "b", "data": data})
    )
    assert await store.execute("SELECT id FROM jobs WHERE data IS NULL") == [("a",)]
    kept = (await kept_jobs(store.database))["b"]["data"]
    assert json.dumps(kept, sort_keys=True) == json.dumps(data, sort_keys=True)
