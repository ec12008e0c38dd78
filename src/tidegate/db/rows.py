"""Operations on rows: insert one, change one, claim some that are due.

A change names what it expects of the row. It is judged on the locked row, so two verbs that
read the same state cannot both act on it. How a change moves a row in the queue is its ``next``:

- :class:`Next` and :data:`DONE` say when the row is due again, and what for;
- a change that *holds* the row's lease also ends the lease; if somebody else said when the row
  is due while it was leased (``woken``), that wish stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from sqlalchemy import Connection, MetaData, Select, Table, select

from tidegate.db.bulk import insert_rows, update_rows
from tidegate.db.cipher import encrypted_columns
from tidegate.db.committer import Batch, Due, Operation
from tidegate.db.data_keys import note_key
from tidegate.db.engine import Database, any_of, any_values
from tidegate.errors import AlreadyExists, Stale

__all__ = ["DONE", "FIRST_FENCE", "Change", "Done", "Held", "Insert", "Next", "RowBatch"]


@dataclass(frozen=True, slots=True)
class Next:
    """The row is due in ``in_ms`` for ``kind``."""

    kind: str
    in_ms: int = 0


class Done:
    """Nothing more is to be done with the row."""


DONE: Final = Done()


@dataclass(frozen=True, slots=True)
class Held:
    """The lease under which a verb works: its fence and the ``due_at`` that was claimed."""

    fence: int
    due_at: int


@dataclass(frozen=True, slots=True)
class Insert:
    """Insert one row; with ``next``, due; with ``leased``, under a lease until it is due.

    The lease is the inserter's: its fence is :data:`FIRST_FENCE`. So a wish that comes before
    the inserter's own next change is kept as with any lease. ``once``: an id that is there
    already is looked for first and refuses only this unit (``AlreadyExists``); without it the
    unique index says so, which costs the group its commit. For what many may try at once.
    """

    batch: ClassVar[type[Batch]]
    table: Table
    values: Mapping[str, Any]
    next: Next | None = None
    leased: bool = False
    once: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """Change one row by its ``id``.

    A value may be a function of the locked row (its guards). ``expect`` are column values the
    row must have (``state`` above all). ``held`` is given by the verb that works under the row's
    lease: the lease must still be its own, and ends. A verb that goes on under its lease expects
    the ``fence`` instead. ``again`` keeps ``tries`` counting (the turn did not succeed);
    otherwise a held change sets it to 0. ``take_ms`` takes the row's lease for so long, for the
    kind of ``next``; the answer is then its :class:`Held`. Raises ``Stale``, also when somebody
    else has the lease that is to be taken.
    """

    batch: ClassVar[type[Batch]]
    table: Table
    id: str
    values: Mapping[str, Any] = field(default_factory=dict)
    expect: Mapping[str, Any] = field(default_factory=dict)
    held: Held | None = None
    next: Next | Done | None = None
    again: bool = False
    take_ms: int | None = None


FIRST_FENCE: Final = 1
"""The fence of a row that was inserted under a lease."""

_QUEUE = ("kind", "due_at", "leased_until", "fence", "woken")


class RowBatch:
    """All inserts and changes of a group."""

    rank: ClassVar[int] = 20

    def __init__(self, database: Database, connection: Connection, now_ms: int) -> None:
        self._dialect = database.dialect
        self._cipher = database.cipher
        self._connection = connection
        self._now_ms = now_ms
        self._rows: dict[tuple[str, str], dict[str, Any]] = {}
        self._there: set[tuple[str, str]] = set()
        self._undo: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self._inserts: list[tuple[Table, dict[str, Any]]] = []
        self._updates: list[tuple[Table, str, dict[str, Any]]] = []
        self._due: list[Due] = []

    def lock(self, operations: Sequence[Operation]) -> None:
        wanted: dict[str, tuple[Table, set[str], set[str]]] = {}
        for operation in operations:
            if isinstance(operation, Change):
                table = operation.table
                _, ids, columns = wanted.setdefault(table.name, (table, set(), set()))
                ids.add(operation.id)
                columns.update(operation.expect)
        for name in sorted(wanted):
            table, ids, columns = wanted[name]
            rows = self._connection.execute(
                _lock_statement(self._dialect, table, columns),
                {"ids": any_values(self._dialect, sorted(ids))},
            )
            for row in rows.mappings():
                self._rows[(name, row["id"])] = dict(row)
        self._look_for_insert(operations)

    def _look_for_insert(self, operations: Sequence[Operation]) -> None:
        wanted: dict[Table, set[str]] = {}
        for operation in operations:
            if isinstance(operation, Insert) and operation.once:
                wanted.setdefault(operation.table, set()).add(operation.values["id"])
        for table, ids in wanted.items():
            rows = self._connection.execute(
                _there_statement(self._dialect, table),
                {"ids": any_values(self._dialect, sorted(ids))},
            )
            self._there.update((table.name, row.id) for row in rows)

    def mark(self) -> tuple[int, int, int, int]:
        return len(self._undo), len(self._inserts), len(self._updates), len(self._due)

    def rewind(self, mark: tuple[int, int, int, int]) -> None:
        undone, inserts, updates, due = mark
        while len(self._undo) > undone:
            row, before = self._undo.pop()
            row.update(before)
        self._there.difference_update(
            (table.name, values["id"]) for table, values in self._inserts[inserts:]
        )
        del self._inserts[inserts:]
        del self._updates[updates:]
        del self._due[due:]

    def admit(self, operation: Insert | Change) -> Held | None:
        if isinstance(operation, Change):
            return self._change(operation)
        self._insert(operation)
        return None

    def flush(self) -> Sequence[Due]:
        if self._cipher.current_id is not None:
            self._encrypt()
        for table, rows in _by_shape(self._inserts):
            insert_rows(self._connection, table, rows)
        # Several changes of one row become one, the later column value winning.
        merged: dict[tuple[str, str], tuple[Table, dict[str, Any]]] = {}
        for table, row_id, values in self._updates:
            merged.setdefault((table.name, row_id), (table, {}))[1].update(values)
        shaped: dict[
            tuple[str, tuple[str, ...]], tuple[Table, list[tuple[str, dict[str, Any]]]]
        ] = {}
        for (name, row_id), (table, values) in merged.items():
            if values:
                shape = (name, tuple(sorted(values)))
                shaped.setdefault(shape, (table, []))[1].append((row_id, values))
        for (_, columns), (table, changed) in sorted(shaped.items(), key=lambda item: item[0]):
            update_rows(self._connection, table, columns, changed)
        return self._due

    def _encrypt(self) -> None:
        """Everything else works with what was meant; only what is stored is encrypted."""
        note_key(self._connection, self._cipher, self._now_ms)
        self._inserts = [
            (table, self._cipher.encrypted(table, values, values["id"]))
            if encrypted_columns(table)
            else (table, values)
            for table, values in self._inserts
        ]
        self._updates = [
            (table, row_id, self._cipher.encrypted(table, values, row_id))
            if encrypted_columns(table)
            else (table, row_id, values)
            for table, row_id, values in self._updates
        ]

    def _insert(self, operation: Insert) -> None:
        values = dict(operation.values)
        if operation.once:
            key = (operation.table.name, values["id"])
            if key in self._there:
                raise AlreadyExists(f"There is a row {values['id']} in {operation.table.name}.")
            self._there.add(key)
        if operation.next is not None:
            values["kind"] = operation.next.kind
            values["due_at"] = self._now_ms + operation.next.in_ms
            if operation.leased:
                values["leased_until"], values["fence"] = values["due_at"], FIRST_FENCE
            elif operation.next.in_ms <= 0:
                self._due.append(Due(operation.table.name, operation.next.kind, values["id"]))
        self._inserts.append((operation.table, values))

    def _change(self, operation: Change) -> Held | None:
        row = self._rows.get((operation.table.name, operation.id))
        if row is None:
            raise Stale(f"There is no row {operation.id} in {operation.table.name}.")
        for column, expected in operation.expect.items():
            if row[column] != expected:
                raise Stale(
                    f"{operation.table.name} {operation.id}: {column} is {row[column]!r}, "
                    f"not {expected!r}."
                )
        if operation.held is not None and (
            row["fence"] != operation.held.fence or row["leased_until"] is None
        ):
            raise Stale(f"{operation.table.name} {operation.id}: the lease was lost or is ended.")
        if operation.take_ms is not None and (row["leased_until"] or 0) > self._now_ms:
            raise Stale(f"{operation.table.name} {operation.id}: somebody is at it.")
        own = {
            column: value(row) if callable(value) else value
            for column, value in operation.values.items()
        }
        values = {**own, **self._queue_values(operation, row)}
        before = {column: row[column] for column in values if column in row}
        row.update({column: values[column] for column in before})
        self._undo.append((row, before))
        self._updates.append((operation.table, operation.id, values))
        due_at = row.get("due_at")
        if due_at is not None and due_at <= self._now_ms and row["leased_until"] is None:
            self._due.append(Due(operation.table.name, str(row["kind"]), operation.id))
        return None if operation.take_ms is None else Held(row["fence"], row["due_at"])

    def _queue_values(self, operation: Change, row: Mapping[str, Any]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        if operation.take_ms is not None:
            assert isinstance(operation.next, Next)  # what the lease is for
            until = self._now_ms + operation.take_ms
            values.update(kind=operation.next.kind, due_at=until, leased_until=until)
            values.update(fence=row["fence"] + 1, tries=1, woken=False)
            return values
        wish_stands = False
        if operation.held is not None:
            wish_stands = row["woken"]
            values["leased_until"] = None
            values["woken"] = False
            if not operation.again:
                values["tries"] = 0
        if operation.next is None or wish_stands:
            return values
        if isinstance(operation.next, Next):
            values["kind"] = operation.next.kind
            values["due_at"] = self._now_ms + operation.next.in_ms
        else:
            values["kind"] = values["due_at"] = None
        if operation.held is None and row["leased_until"] is not None:
            # The lease may have run out: its holder can still come back and end it.
            values["woken"] = True
        return values


Insert.batch = RowBatch
Change.batch = RowBatch

# Statements are kept, so that they are built once, compiled once and prepared once a connection.
# A table in a key, not its name: another MetaData may use the name for other columns.
_statements: dict[tuple[Any, ...], Any] = {}
_places: dict[MetaData, dict[Table, int]] = {}


def _lock_statement(dialect: str, table: Table, expected: Iterable[str]) -> Select[Any]:
    # A table's guards: the queue columns it has, its state, and what it declares.
    names = {"id", "state", *_QUEUE, *table.info.get("guards", ()), *expected}
    columns = tuple(column for column in table.c if column.name in names)
    key = ("lock", dialect, table, columns)
    if key not in _statements:
        _statements[key] = (
            select(*columns)
            .where(any_of(dialect, table.c.id, "ids"))
            .order_by(table.c.id)
            .with_for_update()
        )
    statement: Select[Any] = _statements[key]
    return statement


def _there_statement(dialect: str, table: Table) -> Select[Any]:
    key = ("there", dialect, table)
    if key not in _statements:
        _statements[key] = select(table.c.id).where(any_of(dialect, table.c.id, "ids"))
    statement: Select[Any] = _statements[key]
    return statement


def _by_shape(
    inserts: Iterable[tuple[Table, dict[str, Any]]],
) -> list[tuple[Table, list[dict[str, Any]]]]:
    """Rows of the same table and columns together, parents before children."""
    shaped: dict[tuple[Table, frozenset[str]], tuple[Table, list[dict[str, Any]]]] = {}
    for table, values in inserts:
        shaped.setdefault((table, frozenset(values)), (table, []))[1].append(values)
    return sorted(shaped.values(), key=lambda rows: _place(rows[0]))


def _place(table: Table) -> int:
    """Where ``table`` stands when parents come before children."""
    places = _places.get(table.metadata, {})
    if table not in places:
        places = {each: place for place, each in enumerate(table.metadata.sorted_tables)}
        _places[table.metadata] = places
    return places[table]
