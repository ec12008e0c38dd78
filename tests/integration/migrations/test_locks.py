"""What every migration has to be: expand and contract, and no lock that stops a serving node."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import op
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from tidegate import migrations
from tidegate.clock import SystemClock
from tidegate.db.engine import open_database
from tidegate.db.url import parse
from tidegate.errors import ConfigurationError

_TABLE = r"(?:TABLE|ON)\s+(?:ONLY\s+|IF EXISTS\s+)?\"?(\w+)\"?"
# Nobody serves on a schema before the first release's, so nobody waits while these build an index.
BEFORE_THE_FIRST_RELEASE = {"0001", "0002", "0003", "0004"}
_BUILDS_AN_INDEX = "create it CONCURRENTLY, alone"
# PostgreSQL keeps a text of any length alike: without its limit only the catalogue changes
# (``test_a_longer_text_is_no_other_table``).
WIDENED = {"attempts.account_number", "found_transfers.account_number"}
# What may not be done in one step to a table that the running version reads and writes: a pattern,
# and what to do instead.
RULES: tuple[tuple[str, str], ...] = (
    (r"ALTER COLUMN \S+ SET NOT NULL", "add a CHECK ... NOT VALID, validate it, then set it"),
    (r"ALTER COLUMN \S+ (?:SET DATA )?TYPE", "add a column, fill it, switch, drop the old later"),
    (
        r"CREATE (?:UNIQUE )?INDEX (?!CONCURRENTLY)",
        _BUILDS_AN_INDEX,
    ),
    (r"ADD CONSTRAINT (?!.*(?:NOT VALID|USING INDEX))", "add it NOT VALID and validate it later"),
    (r"ADD COLUMN (?=.*NOT NULL)(?!.*DEFAULT)", "give it a default, or let it be NULL"),
    (r"DROP (?:TABLE|COLUMN)", "the version before still uses it: drop it one release later"),
    (r"RENAME", "the version before knows the old name: add, fill, switch, drop later"),
    (
        r"DROP (?:CONSTRAINT|INDEX) (?!CONCURRENTLY)",
        "an index CONCURRENTLY, a constraint later",
    ),
    (r"^(?:TRUNCATE|LOCK|CLUSTER|VACUUM)", "never in a migration"),
)


def statements_of(change: Any) -> list[str]:
    """The SQL for PostgreSQL, from Alembic's offline mode."""
    buffer = io.StringIO()
    context = MigrationContext.configure(
        dialect_name="postgresql", opts={"as_sql": True, "output_buffer": buffer}
    )
    with Operations.context(context):
        change()
    # A function's body is no statement of its own.
    whole = re.sub(r"\$\$.*?\$\$", "$$", buffer.getvalue(), flags=re.DOTALL)
    return [" ".join(one.split()) for one in whole.split(";") if one.strip()]


def faults_of(statements: list[str]) -> list[str]:
    """Every breach of a rule, by statement; what the migration itself has made is free."""
    made: set[str] = set()
    found = []
    for statement in statements:
        table = re.search(_TABLE, statement)
        if statement.startswith("CREATE TABLE") and table:
            made.add(table[1])
        if table and table[1] in made:
            continue
        widened = re.match(r"ALTER TABLE (\w+) ALTER COLUMN (\w+) TYPE TEXT$", statement)
        if widened and ".".join(widened.groups()) in WIDENED:
            continue
        for pattern, instead in RULES:
            if re.search(pattern, statement):
                found.append(f"{statement[:90]}: {instead}")
    return found


def _revisions() -> Iterator[ModuleType]:
    scripts = ScriptDirectory.from_config(migrations._config())
    for script in scripts.walk_revisions():
        yield script.module


@pytest.mark.parametrize("module", list(_revisions()), ids=lambda module: module.revision)
def test_no_migration_stops_a_node_that_serves(module: ModuleType) -> None:
    """Its SQL holds no lock for longer than a moment, takes away nothing that the version before
    uses, and the file says what becomes of data and how to go back."""
    faults = faults_of(statements_of(module.upgrade))
    if module.revision in BEFORE_THE_FIRST_RELEASE:
        faults = [fault for fault in faults if not fault.endswith(_BUILDS_AN_INDEX)]
    assert faults == []
    assert "What it does to data:" in (module.__doc__ or "")
    assert statements_of(module.downgrade)
    assert module.__file__
    source = Path(module.__file__).read_text(encoding="utf-8")
    assert "tidegate." not in source, "it executes living code, which changes under it"


@pytest.mark.parametrize(
    "planted",
    [
        lambda: op.alter_column("payouts", "psp", nullable=False),
        lambda: op.alter_column("payouts", "psp", type_=sa.Text()),
        lambda: op.create_index("ix_new", "payouts", ["psp"]),
        lambda: op.create_check_constraint("ck_new", "payouts", "held >= 0"),
        lambda: op.create_foreign_key("fk_new", "payouts", "blocks", ["held"], ["id"]),
        lambda: op.add_column("payouts", sa.Column("new", sa.Text(), nullable=False)),
        lambda: op.drop_column("payouts", "psp"),
        lambda: op.drop_table("payouts"),
        lambda: op.rename_table("payouts", "orders"),
        lambda: op.alter_column("payouts", "psp", new_column_name="bank"),
        lambda: op.drop_constraint("uq_payouts_order_id", "payouts"),
        lambda: op.execute("LOCK TABLE payouts"),
    ],
)
def test_each_rule_finds_what_it_forbids(planted: Any) -> None:
    """A rule that finds nothing would let everything pass."""
    assert faults_of(statements_of(planted))


def test_what_expands_is_allowed() -> None:
    """A nullable column, one with a default, an index built aside, a constraint not yet valid."""

    def expands() -> None:
        op.add_column("payouts", sa.Column("new", sa.Text(), nullable=True))
        op.add_column("payouts", sa.Column("n", sa.Integer(), nullable=False, server_default="0"))
        op.create_index("ix_new", "payouts", ["psp"], postgresql_concurrently=True)
        op.execute("ALTER TABLE payouts ADD CONSTRAINT ck_new CHECK (held >= 0) NOT VALID")
        op.execute("ALTER TABLE payouts VALIDATE CONSTRAINT ck_new")

    assert faults_of(statements_of(expands)) == []


async def test_a_downgrade_keeps_what_the_version_before_knows(database_url: str) -> None:
    """From the first released schema up and down again, its rows are the same."""
    database = open_database(parse(database_url), SystemClock())
    try:
        node_id = await migrations.upgrade(database, to="0002")
        entry = (
            "INSERT INTO entries (id, reference, kind, subject, recorded_at) "
            "VALUES (1, 'r', 'k', 's', 1)"
        )
        await database.write(lambda c: c.execute(text(entry)))

        def kept(connection: Connection) -> list[Any]:
            return [tuple(row) for row in connection.execute(text("SELECT * FROM entries"))]

        before = await database.read(kept)
        assert await migrations.upgrade(database) == node_id
        assert await database.read(kept) == before
        await migrations.downgrade(database, "0002")
        assert await database.read(kept) == before
        assert await migrations.upgrade(database) == node_id
    finally:
        await database.close()


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
    monkeypatch.setattr(migrations, "_LOCK_WAIT_MS", 200)
    monkeypatch.setattr(migrations, "_PAUSE_S", 0.2)
    database = open_database(parse(database_url), SystemClock())
    other = open_database(parse(database_url), SystemClock())
    tries = 0

    def counted(lock: Any, connection: Connection) -> None:
        nonlocal tries
        tries += 1
        lock(connection)

    try:
        await migrations.upgrade(database)
        monkeypatch.setattr(migrations, "_lock", partial(counted, migrations._lock))
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
        assert not await migrations.is_current(database)
    finally:
        await database.close()
        await other.close()
