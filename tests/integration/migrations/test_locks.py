"""What every migration has to be: expand and contract, and no lock that stops a serving node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import op
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from tests.integration.migrations.linter import BUILDS_AN_INDEX, faults_of, statements_of
from tidegate import migrations
from tidegate.clock import SystemClock
from tidegate.db.engine import open_database
from tidegate.db.url import parse
from tidegate.errors import ConfigurationError
from tidegate.migrations import runner
from tidegate.migrations.revisions import Kind, Migration, chain, config

# Nobody serves on a schema before the first release's, so nobody waits while these build an index.
BEFORE_THE_FIRST_RELEASE = {"0001", "0002", "0003", "0004"}


def _module(migration: Migration) -> ModuleType:
    scripts = ScriptDirectory.from_config(config())
    module: ModuleType = scripts.get_revision(migration.revision).module
    return module


@pytest.mark.parametrize("migration", chain().migrations, ids=lambda one: one.revision)
def test_no_migration_stops_a_node_that_serves(migration: Migration) -> None:
    """Its SQL holds no lock for longer than a moment; what says that it expands takes away nothing
    that the version before uses; the file says what becomes of data and how to go back."""
    module = _module(migration)
    faults = faults_of(statements_of(module.upgrade), migration.kind, migration.concurrently)
    if migration.revision in BEFORE_THE_FIRST_RELEASE:
        faults = [fault for fault in faults if not fault.endswith(BUILDS_AN_INDEX)]
    assert faults == []
    assert "What it does to data:" in (module.__doc__ or "")
    assert statements_of(module.downgrade)
    assert module.__file__
    source = Path(module.__file__).read_text(encoding="utf-8")
    assert "tidegate." not in source, "it executes living code, which changes under it"


def _proven_at_once() -> None:
    op.execute("ALTER TABLE payouts ADD CONSTRAINT ck_new CHECK (held >= 0) NOT VALID")
    op.execute("ALTER TABLE payouts VALIDATE CONSTRAINT ck_new")


def _never_empty_again() -> None:
    op.execute("ALTER TABLE payouts VALIDATE CONSTRAINT ck_psp")
    op.alter_column("payouts", "psp", nullable=False)


LOCKS: list[Callable[[], Any]] = [
    lambda: op.alter_column("payouts", "psp", nullable=False),
    lambda: op.alter_column("payouts", "psp", type_=sa.Text()),
    lambda: op.create_index("ix_new", "payouts", ["psp"]),
    lambda: op.create_index("ix_new", "payouts", ["psp"], postgresql_concurrently=True),
    lambda: op.drop_index("ix_new", "payouts"),
    lambda: op.create_check_constraint("ck_new", "payouts", "held >= 0"),
    lambda: op.create_foreign_key("fk_new", "payouts", "blocks", ["held"], ["id"]),
    lambda: op.add_column("payouts", sa.Column("new", sa.Text(), nullable=False)),
    lambda: op.add_column(
        "payouts", sa.Column("new", sa.Text(), server_default=sa.text("gen_random_uuid()"))
    ),
    lambda: op.rename_table("payouts", "orders"),
    lambda: op.alter_column("payouts", "psp", new_column_name="bank"),
    lambda: op.execute("LOCK TABLE payouts"),
    _proven_at_once,
]
TIGHTENS: list[Callable[[], Any]] = [
    lambda: op.drop_column("payouts", "psp"),
    lambda: op.drop_table("payouts"),
    lambda: op.drop_constraint("uq_payouts_order_id", "payouts"),
    lambda: op.alter_column("payouts", "fence", server_default=None),
    lambda: op.execute("ALTER TABLE payouts ADD CONSTRAINT ck_new CHECK (held >= 0) NOT VALID"),
    lambda: op.execute("CREATE TRIGGER t BEFORE INSERT ON payouts EXECUTE FUNCTION f()"),
    _never_empty_again,
]


@pytest.mark.parametrize("planted", LOCKS)
def test_each_lock_is_found_whatever_the_migration_says_it_is(planted: Any) -> None:
    """A rule that finds nothing would let everything pass."""
    assert faults_of(statements_of(planted))
    assert faults_of(statements_of(planted), Kind.CONTRACT)


@pytest.mark.parametrize("planted", TIGHTENS)
def test_what_takes_away_is_no_expand(planted: Any) -> None:
    """What older code uses, or may still write, is taken away by a contract only."""
    assert faults_of(statements_of(planted))
    assert faults_of(statements_of(planted), Kind.CONTRACT) == []


def test_what_expands_is_allowed() -> None:
    """A column that may be NULL, one with a default, a new table with all it wants, and a wider
    constraint in the place of another."""

    def expands() -> None:
        op.add_column("payouts", sa.Column("new", sa.Text(), nullable=True))
        op.add_column("payouts", sa.Column("n", sa.Integer(), nullable=False, server_default="0"))
        op.create_table("news", sa.Column("id", sa.Text(), primary_key=True))
        op.create_index("ix_news", "news", ["id"], unique=True)
        op.execute("ALTER TABLE payouts DROP CONSTRAINT ck_old")
        op.execute("ALTER TABLE payouts ADD CONSTRAINT ck_old CHECK (held >= -1) NOT VALID")

    assert faults_of(statements_of(expands)) == []


def test_an_index_built_aside_is_named_and_alone() -> None:
    """The runner has to know what may have been left behind, and that nothing else is done."""

    def aside() -> None:
        op.create_index(
            "ix_new", "payouts", ["psp"], postgresql_concurrently=True, if_not_exists=True
        )

    def more() -> None:
        aside()
        op.add_column("payouts", sa.Column("new", sa.Text(), nullable=True))

    assert faults_of(statements_of(aside), concurrently=("ix_new",)) == []
    assert faults_of(statements_of(aside))
    assert faults_of(statements_of(aside), concurrently=("ix_other",))
    assert faults_of(statements_of(more), concurrently=("ix_new",))


async def test_a_longer_text_is_no_other_table(database_url: str) -> None:
    """PostgreSQL: an account's column that loses its limit keeps its file, so that no row is read
    or written under the lock, and its rows stay; SQLite has no limit and no change."""
    database = open_database(parse(database_url), SystemClock())
    found = "INSERT INTO found_transfers VALUES ('f', 'p', 'r', 'o', 1, 'w', false, NULL, NULL, "
    row = f"{found} NULL, '0123456789', NULL, 1, NULL)"

    def files(connection: Connection) -> list[Any]:
        if connection.dialect.name == "sqlite":
            return []
        names = "relname IN ('attempts', 'found_transfers') ORDER BY relname"
        return list(
            connection.execute(text(f"SELECT relfilenode FROM pg_class WHERE {names}")).scalars()  # noqa: S608 -- names of tables
        )

    try:
        await migrations.upgrade(database, to="0004")
        await database.write(lambda c: c.execute(text(row)))
        before = await database.read(files)
        await migrations.upgrade(database, to="0005")
        assert await database.read(files) == before
        longer = text("UPDATE found_transfers SET account_number = account_number || :more")
        await database.write(lambda c: c.execute(longer, {"more": "9" * 80}))
        kept = text("SELECT account_number FROM found_transfers")
        assert len(await database.read(lambda c: c.execute(kept).scalar_one())) == 90
    finally:
        await database.close()


async def test_going_down_is_refused_while_anything_is_encrypted(database_url: str) -> None:
    """The version below would take it for plain: the sentence says how to bring it into the clear;
    nothing is changed."""
    database = open_database(parse(database_url), SystemClock())
    used = text("INSERT INTO data_keys (id, first_used_at) VALUES ('0f1367a2', 1)")
    try:
        await migrations.upgrade(database, to="0005")
        await database.write(lambda c: c.execute(used))
        with pytest.raises(ConfigurationError, match="tidegate data rekey"):
            await migrations.downgrade(database, "0004")
        assert await database.read(migrations.current) == "0005"
        await database.write(lambda c: c.execute(text("DELETE FROM data_keys")))
        await migrations.downgrade(database, "0004")
    finally:
        await database.close()


async def test_a_migration_does_not_queue_the_node_behind_it(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL: while another transaction holds a table that is to be changed, the migration
    lets go again and again, so that writers pass; it ends when the table is free."""
    if database_url.startswith("sqlite"):
        return
    monkeypatch.setattr(runner, "_LOCK_WAIT_MS", 200)
    monkeypatch.setattr(runner, "_PAUSE_S", 0.2)
    database = open_database(parse(database_url), SystemClock())
    other = open_database(parse(database_url), SystemClock())
    tries = 0

    def counted(lock: Any, connection: Connection) -> None:
        nonlocal tries
        tries += 1
        lock(connection)

    try:
        await migrations.upgrade(database)
        monkeypatch.setattr(runner, "_lock", partial(counted, runner._lock))
        engine = other._engine  # type: ignore[attr-defined]  # to hold a transaction open
        async with engine.connect() as held:
            await held.execute(text("SELECT count(*) FROM found_transfers"))
            going = asyncio.create_task(migrations.downgrade(database, "0002"))
            async with asyncio.timeout(60):
                while tries < 3:  # noqa: ASYNC110 -- the migration tells nobody of its tries
                    await asyncio.sleep(0.02)
            assert not going.done()
            await held.rollback()
        await asyncio.wait_for(going, 60)
        assert await database.read(migrations.current) == "0002"
    finally:
        await database.close()
        await other.close()
