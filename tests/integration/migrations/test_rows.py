"""No row is lost on the way from the first schema to this one and back."""

from __future__ import annotations

import datetime
import json
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, MetaData, Table

from tidegate import migrations
from tidegate.db.engine import Database
from tidegate.migrations.revisions import chain

FIRST = chain().revisions[0]
ROWS = 3
# A key in use forbids the way down (``test_locks``).
_OURS = {"alembic_version", "schema_record", "data_keys"}
# A value that a constraint asks for.
_FIXED: dict[str, Any] = {
    "amount": 50,
    "amount_to_capture": 50,
    "amount_captured": 50,
    "count": 3,
    "grows_by": "D",
    "node_id": "n" * 32,
}


def _tables(connection: Connection) -> list[Table]:
    """As the database has them, parents first."""
    found = MetaData()
    found.reflect(connection)
    return [table for table in found.sorted_tables if table.name not in _OURS]


def _words(table: Table) -> dict[str, str]:
    """A word that a CHECK allows, by column."""
    found = {}
    for check in table.constraints:
        if not isinstance(check, sa.CheckConstraint):
            continue
        said = str(check.sqltext)
        column = next((one.name for one in table.columns if one.name in said.split("'")[0]), None)
        if column is not None and "'" in said:
            found[column] = said.split("'")[1]
    return found


def _value(table: Table, column: sa.Column[Any], number: int, words: dict[str, str]) -> Any:
    if column.foreign_keys:
        (key,) = column.foreign_keys
        return _value(key.column.table, key.column, number, {})
    if column.name in words:
        return words[column.name]
    if column.name in _FIXED and not column.primary_key:
        return _FIXED[column.name]
    kind = column.type
    if isinstance(kind, sa.JSON):
        return {"of": table.name, "number": number}
    if isinstance(kind, sa.Boolean):
        return False
    if isinstance(kind, sa.Integer | sa.Numeric):
        return number
    if isinstance(kind, sa.DateTime):
        return datetime.datetime.fromtimestamp(number, datetime.UTC)
    if isinstance(kind, sa.LargeBinary):
        return b"\x00" + str(number).encode()
    assert isinstance(kind, sa.String), f"{table.name}.{column.name} is {kind!r}"
    word = f"{table.name}.{column.name}.{number}"
    return word[-(kind.length or len(word)) :]


def _fill(tables: list[Table], connection: Connection) -> None:
    """Rows in every table that has none, with something in every column."""
    for table in tables:
        if connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one():
            continue
        words = _words(table)
        for number in range(1, ROWS + 1):
            values = {column.name: _value(table, column, number, words) for column in table.columns}
            connection.execute(sa.insert(table).values(values))


def _read(tables: list[Table], connection: Connection) -> dict[str, Any]:
    """Every row of these tables, in the columns that they had when they were looked at."""
    return {
        table.name: (
            table.columns.keys(),
            sorted([_comparable(one) for one in row] for row in connection.execute(table.select())),
        )
        for table in tables
    }


def _comparable(value: Any) -> Any:
    return json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else value


async def test_from_the_first_schema_to_this_one_and_back(database: Database) -> None:
    """Every table of every schema is filled when it comes, in every column. Nothing of it is
    missing or changed one migration later, nor after all of them are undone and done again."""
    node_id = await migrations.upgrade(database, to=FIRST)
    kept: dict[str, dict[str, Any]] = {}
    before: list[Table] = []
    for revision in chain().revisions:
        assert await migrations.upgrade(database, to=revision) == node_id
        if kept:
            assert await database.read(partial(_read, before)) == list(kept.values())[-1]
        before = await database.read(_tables)
        await database.write(partial(_fill, before))
        kept[revision] = await database.read(partial(_read, before))
        assert all(rows for _, rows in kept[revision].values()), "it would prove nothing"
    for revision in reversed(chain().revisions[:-1]):
        await migrations.downgrade(database, revision)
        before = await database.read(_tables)
        assert await database.read(partial(_read, before)) == kept[revision]
    assert await migrations.upgrade(database) == node_id
    assert await database.read(partial(_read, before)) == kept[FIRST]
