"""A database with the ledger's and the cases' tables and a table of work, and committers on it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from sqlalchemy import Column, Connection, MetaData, String, Table, UniqueConstraint, text

from tests.support.databases import Prepare
from tidegate.cases import tables as case_tables
from tidegate.clock import SystemClock
from tidegate.db.base import Id, Json, metadata, work_columns, work_index
from tidegate.db.committer import Committer, Operation, Unit
from tidegate.db.engine import Database, open_database
from tidegate.db.quarantine import quarantines
from tidegate.db.url import parse
from tidegate.ledger import immutable
from tidegate.ledger import tables as ledger_tables

__all__ = ["Store", "create_tables", "jobs", "kept_jobs", "store", "store_url"]

_own = MetaData(naming_convention=metadata.naming_convention)
jobs = Table(
    "jobs",
    _own,
    Column("id", Id, primary_key=True),
    Column("state", String(16), nullable=False, default="new"),
    Column("note", String(32), nullable=True),
    Column("data", Json, nullable=True),
    *work_columns(),
    UniqueConstraint("note"),
)
work_index(jobs)

_TABLES = [
    ledger_tables.accounts,
    *ledger_tables.immutable_tables,
    case_tables.cases,
    case_tables.operator_actions,
    quarantines,
]


def create_tables(connection: Connection) -> None:
    """What the migrations make of these tables."""
    metadata.create_all(connection, tables=_TABLES)
    _own.create_all(connection)
    for module in (immutable, case_tables):
        for statement in module.create_ddl(connection.dialect.name):
            connection.execute(text(statement))


def _prepare(url: str) -> None:
    async def prepare() -> None:
        database = open_database(parse(url), SystemClock())
        await database.write(create_tables)
        await database.close()

    asyncio.run(prepare())


@dataclasses.dataclass
class Store:
    """Databases and committers on one URL; all end with the test."""

    url: str
    committer: Committer
    database: Database
    _committers: list[Committer] = dataclasses.field(default_factory=list)
    _databases: list[Database] = dataclasses.field(default_factory=list)

    @property
    def dialect(self) -> str:
        return self.database.dialect

    async def commit(self, *operations: Operation) -> list[Any]:
        """Commit one unit."""
        return await self.committer.commit(Unit(list(operations)))

    async def another(self) -> Committer:
        """A committer as a second process has it: on a database object of its own, where the
        database allows two processes."""
        database = self.database
        if self.dialect == "postgresql":
            database = open_database(parse(self.url), SystemClock(), pool_size=2)
            self._databases.append(database)
        committer = Committer(database)
        committer.start()
        self._committers.append(committer)
        return committer

    async def execute(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Run SQL past all of our code, in a transaction of its own."""

        def run(connection: Connection) -> list[tuple[Any, ...]]:
            result = connection.execute(text(statement), parameters)
            return [tuple(row) for row in result] if result.returns_rows else []

        return await self.database.write(run)

    async def close(self) -> None:
        for committer in (self.committer, *self._committers):
            await committer.stop()
        for database in (self.database, *self._databases):
            await database.close()


@pytest.fixture
def store_url(make_template: Callable[[str, Prepare], Callable[[], str]]) -> Callable[[], str]:
    """Gives the URL of a fresh database with all tables."""
    return make_template("store", _prepare)


@pytest.fixture
async def store(store_url: Callable[[], str]) -> AsyncIterator[Store]:
    """A fresh database with all tables and a committer that runs."""
    url = store_url()
    database = open_database(parse(url), SystemClock(), pool_size=6)
    made = Store(url, Committer(database), database)
    made.committer.start()
    yield made
    await made.close()


async def kept_jobs(database: Database) -> dict[str, dict[str, Any]]:
    """All rows of ``jobs`` by id."""

    def read(connection: Connection) -> dict[str, dict[str, Any]]:
        return {row["id"]: dict(row) for row in connection.execute(jobs.select()).mappings()}

    return await database.read(read)
