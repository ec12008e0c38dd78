"""Migrations go up and down on both databases, and make exactly what the models say."""

from __future__ import annotations

from functools import partial

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from tidegate import migrations
from tidegate.db.engine import Database
from tidegate.db.identity import read_node_id
from tidegate.errors import ConfigurationError


def _tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names()) - {"alembic_version", "schema_record"}


def _is_modelled(name: str | None, kind: str, _parents: object) -> bool:
    return kind != "table" or name != "schema_record"


def _run(statement: str, connection: Connection) -> None:
    connection.execute(text(statement))


async def test_up_down_and_up_again(database: Database) -> None:
    """A downgrade leaves nothing behind, and the way up works a second time."""
    await migrations.upgrade(database)
    assert await database.read(migrations.current) == migrations.head()
    assert await database.read(_tables) == {
        table.name for table in migrations.metadata.sorted_tables
    }
    await migrations.downgrade(database, "base")
    assert await database.read(_tables) == set()
    assert await database.read(migrations.current) is None
    await migrations.upgrade(database)
    assert await database.read(migrations.current) == migrations.head()


async def test_down_is_not_up(database: Database) -> None:
    """A way down to what is above is refused, and leaves the schema as it is."""
    await migrations.upgrade(database, to="0002")
    with pytest.raises(ConfigurationError, match="below 0003"):
        await migrations.downgrade(database, "0003")
    assert await database.read(migrations.current) == "0002"


async def test_the_models_are_what_the_migrations_made(database: Database) -> None:
    """Alembic finds no difference between the tables and the models."""
    await migrations.upgrade(database)

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "include_name": _is_modelled}
        )
        return list(compare_metadata(context, migrations.metadata))

    assert await database.read(differences) == []


async def test_the_identity_is_made_once(database: Database) -> None:
    """A second migration keeps the node's identity; every payout reference hangs on it."""
    first = await migrations.upgrade(database)
    assert await migrations.upgrade(database) == first
    assert await database.read(read_node_id) == first


async def test_a_restored_node_gets_its_identity_back(database: Database) -> None:
    """``NODE_ID`` sets the identity at the first migration of a new database."""
    assert await migrations.upgrade(database, node_id="node-of-before") == "node-of-before"


async def test_what_is_immutable_stays(database: Database) -> None:
    """Entries refuse UPDATE and DELETE in a migrated database, not only in a test's own tables."""
    await migrations.upgrade(database)
    await database.write(
        lambda c: c.execute(
            text(
                "INSERT INTO entries (id, reference, kind, subject, recorded_at) "
                "VALUES (1, 'r', 'k', 's', 1)"
            )
        )
    )
    for statement in ("UPDATE entries SET kind = 'x'", "DELETE FROM entries"):
        with pytest.raises(DBAPIError):
            await database.write(partial(_run, statement))


async def test_a_second_standing_attempt_is_impossible(database: Database) -> None:
    """The partial unique index refuses a second attempt beside one that may still be paid."""
    await migrations.upgrade(database)
    payout = (
        "INSERT INTO payouts (id, order_id, dialect, state, round, currency, amount_text, "
        "institution, exclude_psps, offered_at, expires_at, held, holds, attempts, reference, "
        "tx_id, accept_first, paid_ever, created_at) VALUES ('po_1', 'o', 'live', 'processing', "
        "1, 'NGN', '1', 'X', '[]', 1, 1, 0, 0, 0, 'r', 't', false, false, 1)"
    )
    attempt = (
        "INSERT INTO attempts (id, payout_id, round, number, psp, reference, state, currency, "
        "amount, held, sends, lookups, not_found, maybe_sent, created_at) VALUES ('{n}', 'po_1', "
        "1, {n}, 'p', 'r-{n}', '{state}', 'NGN', 1, 1, 1, 0, 0, false, 1)"
    )
    await database.write(lambda c: c.execute(text(payout)))
    first = attempt.format(n=1, state="unknown")
    await database.write(lambda c: c.execute(text(first)))
    for state in (
        "prepared",
        "sending",
        "unknown",
        "pending",
        "cooling",
        "held",
        "paid",
        "reversed",
    ):
        second = attempt.format(n=2, state=state)
        with pytest.raises(DBAPIError):
            await database.write(partial(_run, second))
    for number, state in enumerate(("rejected", "failed", "withdrawn"), start=3):
        closed = attempt.format(n=number, state=state)
        await database.write(partial(_run, closed))
