"""An operation of the committer: remove rows that have aged out, with their parts.

The ids were found by a reading. Whether each may still go is asked again here, in the transaction
that removes it: a payment may have been refunded, or a case opened, since.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy import Connection, bindparam, delete, select

from tidegate.db.committer import Batch, Due
from tidegate.db.engine import Database, any_of, any_values
from tidegate.retention.kinds import Kind

__all__ = ["Remove", "Removed"]


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove those of ``ids`` that are older than ``before_ms`` and may go. Never refused.

    Answers :class:`Removed`, complete after the commit.
    """

    batch: ClassVar[type[Batch]]
    kind: Kind
    ids: tuple[str, ...]
    before_ms: int


@dataclass(slots=True)
class Removed:
    """How many rows went, their parts not counted."""

    rows: int = 0


class RemoveBatch:
    """All removals of a group."""

    # After everything that a change of the same group may say about these rows.
    rank: ClassVar[int] = 95

    def __init__(self, database: Database, connection: Connection, now_ms: int) -> None:
        self._dialect = database.dialect
        self._connection = connection
        self._removals: list[tuple[Remove, Removed]] = []

    def lock(self, operations: Sequence[Remove]) -> None:
        """Nothing: rows are locked as they are found, and those that somebody holds are skipped."""

    def mark(self) -> int:
        return len(self._removals)

    def rewind(self, mark: int) -> None:
        del self._removals[mark:]

    def admit(self, operation: Remove) -> Removed:
        answer = Removed()
        self._removals.append((operation, answer))
        return answer

    def flush(self) -> Sequence[Due]:
        for removal, answer in self._removals:
            kind = removal.kind
            found, parts, rows = _statements(self._dialect, kind)
            asked = {"_ids": any_values(self._dialect, removal.ids), "_before": removal.before_ms}
            going = [row.id for row in self._connection.execute(found, asked)]
            if going:
                gone = {"_ids": any_values(self._dialect, going)}
                for part in parts:
                    self._connection.execute(part, gone)
                self._connection.execute(rows, gone)
            answer.rows = len(going)
        return ()


Remove.batch = RemoveBatch

_built: dict[tuple[str, str], tuple[Any, tuple[Any, ...], Any]] = {}


def _statements(dialect: str, kind: Kind) -> tuple[Any, tuple[Any, ...], Any]:
    key = (dialect, kind.name)
    if key not in _built:
        table = kind.table
        found = (
            select(table.c.id)
            .where(
                any_of(dialect, table.c.id, "_ids"),
                kind.age < bindparam("_before"),
                kind.may_go,
            )
            .order_by(table.c.id)
            .with_for_update(of=table, skip_locked=True)
        )
        parts = tuple(
            delete(column.table).where(any_of(dialect, column, "_ids")) for column in kind.parts
        )
        _built[key] = found, parts, delete(table).where(any_of(dialect, table.c.id, "_ids"))
    return _built[key]
