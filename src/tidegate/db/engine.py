"""One database, two engines, one way to use them.

Everything that touches the database is a plain function of a :class:`sqlalchemy.Connection`;
:meth:`Database.read` and :meth:`Database.write` run it. On PostgreSQL it runs in SQLAlchemy's
greenlet over asyncpg. On SQLite it runs whole in a thread: one hop for a transaction, not one a
statement, and the executor is a parameter, so that a simulation runs it inline (decision 0002).

SQLite: WAL, ``synchronous=FULL``, foreign keys on; one writing connection (``BEGIN IMMEDIATE``)
in a thread of its own, reads on ``query_only`` connections.
PostgreSQL: writes are READ COMMITTED, reads see one snapshot (REPEATABLE READ, READ ONLY, as SQLite
does by itself); its clock rules leases and due rows (:meth:`Database.now_ms`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Protocol, TypeVar

import asyncpg
from sqlalchemy import (
    ARRAY,
    URL,
    Column,
    ColumnElement,
    Connection,
    Dialect,
    Engine,
    Text,
    bindparam,
    create_engine,
    event,
    func,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import StaticPool
from sqlalchemy.util import LRUCache

from tidegate.clock import Clock
from tidegate.db.cipher import Cipher
from tidegate.db.url import DatabaseUrl

__all__ = [
    "Database",
    "Executor",
    "InlineExecutor",
    "ThreadExecutor",
    "any_of",
    "any_values",
    "is_stale_plan",
    "open_database",
]

T = TypeVar("T")

_READERS = 2
# How often a reading is begun anew that met a statement prepared for another schema.
_STALE_TRIES = 3
# Writes find all their rows by keys. A plan that was made while a table was nearly empty, and kept
# with its prepared statement, would read the grown table from end to end until the next ANALYZE
# (measured: 70 ms a group); so the transaction's first statement rules that out, up to its commit.
_NOW_POSTGRESQL = text(
    "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint "
    "FROM set_config('enable_seqscan', 'off', true)"
)


class Executor(Protocol):
    """Where blocking database work runs."""

    async def run(self, work: Callable[[], T]) -> T: ...

    def close(self) -> None: ...


class ThreadExecutor:
    """One thread: what is handed to it runs in order."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def close(self) -> None:
        self._pool.shutdown(wait=True)


class InlineExecutor:
    """Runs the work at once, in the event loop: for a simulation that must repeat."""

    async def run(self, work: Callable[[], T]) -> T:
        return work()

    def close(self) -> None:
        return None


class Database(Protocol):
    """A database that can be read and written."""

    dialect: str
    cipher: Cipher  # of the columns that are kept encrypted; ``cipher_of`` finds it too
    writers: int  # how many of our transactions may be under way at once

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in a read-only transaction; all its statements see one snapshot."""
        ...

    async def fetch(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` to read a few rows by their index; each statement for itself.

        For the verbs' own questions, which must cost little: on SQLite it runs in the event
        loop (a change of threads costs more than the read), on PostgreSQL without a transaction.
        """
        ...

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in one transaction and commit it; roll back when it raises.

        For the committer, migrations and tests: everything else hands its writes to the
        committer.
        """
        ...

    async def write_around(
        self,
        before: Callable[[Connection], object],
        beside: Callable[[Connection], object],
        after: Callable[[Connection], T],
    ) -> T:
        """Run ``before`` and ``after`` in one transaction, and ``beside`` between them on another
        connection, each statement for itself. For migrations.

        On SQLite, where one connection writes, all of it is one transaction.
        """
        ...

    def now_ms(self, connection: Connection) -> int:
        """The instant that leases and due rows are compared with."""
        ...

    async def close(self) -> None: ...


def any_of(dialect: str, column: Column[Any], parameter: str) -> ColumnElement[bool]:
    """``column`` is one of a list given at execution, in one statement text for every length.

    A statement that spells a place for each element would be compiled and prepared anew for
    every length of list. The list is spelled by :func:`any_values`.
    """
    if dialect == "postgresql":
        return column == func.any(bindparam(parameter, type_=ARRAY(column.type)))
    listed = func.json_each(bindparam(parameter, type_=Text())).table_valued("value")
    return column.in_(select(listed.c.value))


def any_values(dialect: str, values: Iterable[str | int]) -> list[str | int] | str:
    """The value of a parameter of :func:`any_of`."""
    return list(values) if dialect == "postgresql" else json.dumps(list(values))


class SqliteDatabase:
    """A SQLite file."""

    dialect = "sqlite"
    writers = 1

    def __init__(
        self, path: str, clock: Clock, executor: Callable[[str], Executor], cipher: Cipher
    ) -> None:
        self.cipher = cipher
        self._clock = clock
        self._writer = executor("tidegate-writer")
        self._write_engine = _sqlite_engine(path, "BEGIN IMMEDIATE", cipher, query_only=False)
        self._readers: asyncio.Queue[tuple[Executor, Engine]] = asyncio.Queue()
        self._closing: list[tuple[Executor, Engine]] = [(self._writer, self._write_engine)]
        for number in range(_READERS):
            reader = (
                executor(f"tidegate-reader-{number}"),
                _sqlite_engine(path, "BEGIN", cipher, query_only=True),
            )
            self._readers.put_nowait(reader)
            self._closing.append(reader)
        self._fetch_engine = _sqlite_engine(path, None, cipher, query_only=True)

    async def read(self, work: Callable[[Connection], T]) -> T:
        executor, engine = await self._readers.get()
        try:
            return await executor.run(lambda: _in_transaction(engine, work))
        finally:
            self._readers.put_nowait((executor, engine))

    async def fetch(self, work: Callable[[Connection], T]) -> T:
        with self._fetch_engine.connect() as connection:
            return work(connection)

    async def write(self, work: Callable[[Connection], T]) -> T:
        return await self._writer.run(lambda: _in_transaction(self._write_engine, work))

    async def write_around(
        self,
        before: Callable[[Connection], object],
        beside: Callable[[Connection], object],
        after: Callable[[Connection], T],
    ) -> T:
        def all_(connection: Connection) -> T:
            before(connection)
            beside(connection)
            return after(connection)

        return await self.write(all_)

    def now_ms(self, connection: Connection) -> int:
        return self._clock.now_ms()

    async def close(self) -> None:
        self._fetch_engine.dispose()
        for executor, engine in self._closing:
            await executor.run(engine.dispose)
            executor.close()


class PostgresqlDatabase:
    """A PostgreSQL server, over asyncpg."""

    dialect = "postgresql"
    # A second group is written while the first waits for the server's disk.
    writers = 2

    def __init__(self, url: DatabaseUrl, pool_size: int, cipher: Cipher) -> None:
        self.cipher = cipher
        self._engine: AsyncEngine = create_async_engine(
            url.sqlalchemy_url,
            connect_args=dict(url.connect_args),
            pool_size=pool_size,
            max_overflow=0,
            pool_pre_ping=False,
            isolation_level="READ COMMITTED",
            execution_options={"cipher": cipher},
        )
        self._fetching = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        # The same pool; both options are words in the BEGIN that is sent anyway.
        self._reading = self._engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await _anew(self._reading, work)

    async def fetch(self, work: Callable[[Connection], T]) -> T:
        return await _anew(self._fetching, work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        async with self._engine.begin() as connection:
            return await connection.run_sync(work)

    async def write_around(
        self,
        before: Callable[[Connection], object],
        beside: Callable[[Connection], object],
        after: Callable[[Connection], T],
    ) -> T:
        async with self._engine.begin() as connection:
            await connection.run_sync(before)
            async with self._fetching.connect() as other:
                await other.run_sync(beside)
            return await connection.run_sync(after)

    def now_ms(self, connection: Connection) -> int:
        return int(connection.execute(_NOW_POSTGRESQL).scalar_one())

    async def close(self) -> None:
        await self._engine.dispose()


def open_database(
    url: DatabaseUrl,
    clock: Clock,
    *,
    executor: Callable[[str], Executor] = ThreadExecutor,
    pool_size: int = 8,
    cipher: Cipher | None = None,
) -> Database:
    """Open the database that ``url`` names. Nothing is connected before the first use.

    Without a ``cipher`` everything is written plain, and nothing that is encrypted can be read.
    """
    cipher = cipher or Cipher()
    if url.dialect == "sqlite":
        return SqliteDatabase(url.path, clock, executor, cipher)
    return PostgresqlDatabase(url, pool_size, cipher)


def is_stale_plan(error: DBAPIError) -> bool:
    """A migration has changed the type of a column that a prepared statement answers with.

    The transaction is void, nothing of it was written, and whoever tries again prepares anew.
    """
    cause = getattr(error.orig, "__cause__", None)
    return isinstance(cause, asyncpg.InvalidCachedStatementError)


async def _anew(engine: AsyncEngine, work: Callable[[Connection], T]) -> T:
    """Read on a connection of ``engine``, once more if its prepared statements are stale."""
    for tries_left in reversed(range(_STALE_TRIES)):
        try:
            async with engine.connect() as connection:
                return await connection.run_sync(work)
        except DBAPIError as error:
            if not tries_left or not is_stale_plan(error):
                raise
    raise AssertionError("unreachable: the last try returns or raises")


def _in_transaction(engine: Engine, work: Callable[[Connection], T]) -> T:
    with engine.begin() as connection:
        return work(connection)


_compiled: LRUCache[Any, Any] = LRUCache(1_000)


@cache
def _sqlite_dialect() -> Dialect:
    """One dialect and one cache for all engines of the process: each statement is compiled once.

    An engine's first connection completes its own dialect, and who knows which engine that is.
    """
    engine = create_engine("sqlite+pysqlite://", poolclass=StaticPool)
    with engine.connect():
        pass
    engine.dispose()
    return engine.dialect


def _sqlite_engine(path: str, begin: str | None, cipher: Cipher, *, query_only: bool) -> Engine:
    engine = create_engine(
        # Not as text: a % or ? in the name would lead to another file.
        URL.create("sqlite+pysqlite", database=path),
        poolclass=StaticPool,
        # Each engine belongs to one executor, hence one thread at a time; only closing may come
        # from another.
        connect_args={"check_same_thread": False, "timeout": 30.0},
    )

    engine.dialect = _sqlite_dialect()
    engine.update_execution_options(compiled_cache=_compiled, cipher=cipher)

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        # The driver must not begin transactions by itself: we say when, and which kind.
        connection.isolation_level = None
        cursor = connection.cursor()
        if query_only:
            cursor.execute("PRAGMA query_only=ON")
            # Readers look for few rows: half of the usual pages a connection are plenty.
            cursor.execute("PRAGMA cache_size=-1000")
        else:
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA synchronous=FULL")
            cursor.execute("PRAGMA foreign_keys=ON")
            # Without it INSERT OR REPLACE would delete rows past the triggers that forbid it.
            cursor.execute("PRAGMA recursive_triggers=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if begin is not None:
            connection.exec_driver_sql(begin)

    return engine
