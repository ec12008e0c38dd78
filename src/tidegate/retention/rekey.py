"""An operation of the committer: bring what is encrypted in some rows under the current key.

The rows are locked, opened and written anew in one transaction, so it can run while orders run. A
value that does not open is left as it is and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from sqlalchemy import Connection, Table, select

from tidegate.db.bulk import update_rows
from tidegate.db.cipher import encrypted_columns
from tidegate.db.committer import Batch, Due
from tidegate.db.data_keys import forget_keys, note_key
from tidegate.db.engine import Database, any_of, any_values
from tidegate.db.exchanges import exchanges
from tidegate.db.inbox import inbox
from tidegate.errors import DataKeyMissing, DataUnreadable
from tidegate.payouts.tables import attempts, found_transfers, observations, offers, payouts

__all__ = ["ENCRYPTED_TABLES", "ForgetKeys", "Rekey", "Rekeyed"]

ENCRYPTED_TABLES: Final = (
    payouts,
    attempts,
    offers,
    observations,
    found_transfers,
    exchanges,
    inbox,
)
"""Every table that has encrypted columns; a test compares it with the models."""


@dataclass(frozen=True, slots=True)
class Rekey:
    """Bring the rows ``ids`` under the current key; without one, into the clear. Never refused.

    Answers :class:`Rekeyed`, complete after the commit.
    """

    batch: ClassVar[type[Batch]]
    table: Table
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ForgetKeys:
    """Take keys out of the list of those that are in use: nothing is encrypted under them."""

    batch: ClassVar[type[Batch]]
    ids: tuple[str, ...]


@dataclass(slots=True)
class Rekeyed:
    """How many values were brought under the current key, and how many do not open."""

    values: int = 0
    unreadable: int = 0


class RekeyBatch:
    """All of a group."""

    # After the rows themselves (20) and an erasure of them (30).
    rank: ClassVar[int] = 35

    def __init__(self, database: Database, connection: Connection, now_ms: int) -> None:
        self._dialect = database.dialect
        self._cipher = database.cipher
        self._connection = connection
        self._now_ms = now_ms
        self._wanted: list[tuple[Rekey | ForgetKeys, Rekeyed]] = []

    def lock(self, operations: Sequence[Rekey | ForgetKeys]) -> None:
        """Nothing: rows are locked as they are opened."""

    def mark(self) -> int:
        return len(self._wanted)

    def rewind(self, mark: int) -> None:
        del self._wanted[mark:]

    def admit(self, operation: Rekey | ForgetKeys) -> Rekeyed:
        answer = Rekeyed()
        self._wanted.append((operation, answer))
        return answer

    def flush(self) -> Sequence[Due]:
        for operation, answer in self._wanted:
            if isinstance(operation, ForgetKeys):
                forget_keys(self._connection, operation.ids)
            else:
                note_key(self._connection, self._cipher, self._now_ms)
                self._rekey(operation, answer)
        return ()

    def _rekey(self, operation: Rekey, answer: Rekeyed) -> None:
        table = operation.table
        locked = (
            select(table.c.id, *encrypted_columns(table))
            .where(any_of(self._dialect, table.c.id, "_ids"))
            .order_by(table.c.id)
            .with_for_update()
        )
        asked = {"_ids": any_values(self._dialect, operation.ids)}
        shaped: dict[tuple[str, ...], list[tuple[str, dict[str, Any]]]] = {}
        # A try that was rolled back may have counted already.
        answer.values = answer.unreadable = 0
        for row in self._connection.execute(locked, asked).mappings().all():
            opened: dict[str, Any] = {}
            for column in encrypted_columns(table):
                if self._cipher.is_settled(row[column.name]):
                    continue
                try:
                    opened[column.name] = self._cipher.plain(row, column)
                except (DataKeyMissing, DataUnreadable):
                    answer.unreadable += 1
            if opened:
                answer.values += len(opened)
                stored = self._cipher.encrypted(table, opened, row["id"])
                shaped.setdefault(tuple(sorted(stored)), []).append((row["id"], stored))
        for columns, rows in shaped.items():
            update_rows(self._connection, table, columns, rows)


Rekey.batch = RekeyBatch
ForgetKeys.batch = RekeyBatch
