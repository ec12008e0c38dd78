"""Many rows in one statement.

PostgreSQL takes a column as one array and unfolds it, so a group of rows is one execution of one
prepared statement, whatever its size. On SQLite the driver repeats the statement in-process,
which costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    Column,
    Connection,
    Function,
    Insert,
    Table,
    Update,
    bindparam,
    func,
    insert,
    select,
    update,
)

__all__ = ["insert_rows", "update_rows"]

_KEY = "_id"

# Built once, compiled once, prepared once a connection. The table itself is part of the key:
# another MetaData may use its name for other columns.
_inserts: dict[tuple[Table, tuple[str, ...]], Insert] = {}
_updates: dict[tuple[Table, tuple[str, ...]], Update] = {}


def insert_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert ``rows``, which all name the same columns."""
    if connection.dialect.name != "postgresql" or len(rows) == 1:
        connection.execute(insert(table), rows)
        return
    columns = tuple(sorted(rows[0]))
    shape = (table, columns)
    if shape not in _inserts:
        unfolded = select(*(_unfold(table.c[name], name) for name in columns))
        _inserts[shape] = insert(table).from_select(columns, unfolded)
    connection.execute(_inserts[shape], _folded(columns, rows))


def update_rows(
    connection: Connection,
    table: Table,
    columns: tuple[str, ...],
    rows: Sequence[tuple[Any, Mapping[str, Any]]],
) -> None:
    """Set ``columns`` of rows given as ``(id, values)``; no id comes twice."""
    many = connection.dialect.name == "postgresql" and len(rows) > 1
    flat = [{**values, _KEY: row_id} for row_id, values in rows]
    shape = (table, (*columns, "many") if many else columns)
    if shape not in _updates:
        if many:
            new = select(
                _unfold(table.c.id, _KEY).label(_KEY),
                *(_unfold(table.c[name], name).label(name) for name in columns),
            ).subquery("new")
            _updates[shape] = (
                update(table)
                .where(table.c.id == new.c[_KEY])
                .values({name: new.c[name] for name in columns})
            )
        else:
            _updates[shape] = (
                update(table)
                .where(table.c.id == bindparam(_KEY))
                .values({name: bindparam(name) for name in columns})
            )
    connection.execute(_updates[shape], _folded((_KEY, *columns), flat) if many else flat)


def _unfold(column: Column[Any], parameter: str) -> Function[Any]:
    array = bindparam(parameter, type_=ARRAY(column.type, dimensions=1))
    return func.unnest(array, type_=column.type)


def _folded(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in columns}
