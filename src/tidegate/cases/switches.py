"""Switch: an operator's kill switch (A11). A row says off.

Payouts: workers read the switches with their other facts, so one takes effect within a tenth of a
second, on new orders and on transfers that were not sent yet; what was sent is still looked up and
reported. Payments: no new ones; those that are there go on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from sqlalchemy import Column, Connection, Table, bindparam, delete, insert, select

from tidegate.cases.store import NoteAction
from tidegate.cases.switch import switch_id
from tidegate.db.base import Id, LongText, Millis, Word, metadata
from tidegate.db.committer import Batch, Due, Unit
from tidegate.db.engine import Database
from tidegate.errors import AlreadyExists, Stale

__all__ = ["SwitchOff", "SwitchOn", "list_switches", "switch_off", "switch_on", "switches"]

switches = Table(
    "switches",
    metadata,
    Column("id", Id, primary_key=True),
    Column("reason", LongText, nullable=False),
    Column("switched_by", Word, nullable=False),
    Column("switched_at", Millis, nullable=False),
)


def list_switches(connection: Connection) -> list[Mapping[str, Any]]:
    """What is off: ``id`` (``psp:lenco``), ``reason``, ``switched_by``, ``switched_at`` (ms)."""
    wanted = select(switches).order_by(switches.c.switched_at, switches.c.id)
    return [dict(row) for row in connection.execute(wanted).mappings()]


def switch_off(kind: str, name: str, *, by: str, origin: str, reason: str) -> Unit:
    """Switch it off, and write down who did. ``AlreadyExists`` when it is off already."""
    row_id = switch_id(kind, name)
    return Unit([SwitchOff(row_id, reason, by), _noted(row_id, by, origin, reason, off=True)])


def switch_on(kind: str, name: str, *, by: str, origin: str, reason: str) -> Unit:
    """Switch it on again, and write down who did. ``Stale`` when it is on already."""
    row_id = switch_id(kind, name)
    return Unit([SwitchOn(row_id), _noted(row_id, by, origin, reason, off=False)])


def _noted(row_id: str, by: str, origin: str, reason: str, *, off: bool) -> NoteAction:
    action = "switch.off" if off else "switch.on"
    return NoteAction(
        by, origin, action, f"switch:{row_id}", reason, {"off": not off}, {"off": off}
    )


@dataclass(frozen=True, slots=True)
class SwitchOff:
    """Insert the row of a switch."""

    batch: ClassVar[type[Batch]]
    id: str
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class SwitchOn:
    """Delete the row of a switch."""

    batch: ClassVar[type[Batch]]
    id: str


class SwitchBatch:
    """The switches of a group, on a copy of the few rows there are."""

    rank: ClassVar[int] = 15

    def __init__(self, database: Database, connection: Connection, now_ms: int) -> None:
        self._connection = connection
        self._now_ms = now_ms
        self._off: set[str] = set()
        self._writes: list[SwitchOff | SwitchOn] = []
        self._undo: list[Callable[[], None]] = []

    def lock(self, operations: Sequence[SwitchOff | SwitchOn]) -> None:
        self._off = set(self._connection.execute(_ids).scalars())

    def mark(self) -> tuple[int, int]:
        return len(self._undo), len(self._writes)

    def rewind(self, mark: tuple[int, int]) -> None:
        while len(self._undo) > mark[0]:
            self._undo.pop()()
        del self._writes[mark[1] :]

    def admit(self, operation: SwitchOff | SwitchOn) -> None:
        row_id = operation.id
        if isinstance(operation, SwitchOff):
            if row_id in self._off:
                raise AlreadyExists(f"{row_id} is switched off already.")
            self._off.add(row_id)
            self._undo.append(lambda: self._off.discard(row_id))
        else:
            if row_id not in self._off:
                raise Stale(f"{row_id} is not switched off.")
            self._off.discard(row_id)
            self._undo.append(lambda: self._off.add(row_id))
        self._writes.append(operation)

    def flush(self) -> Sequence[Due]:
        for write in self._writes:
            if isinstance(write, SwitchOff):
                row = {
                    "id": write.id,
                    "reason": write.reason,
                    "switched_by": write.by,
                    "switched_at": self._now_ms,
                }
                self._connection.execute(_insert, row)
            else:
                self._connection.execute(_delete, {"_id": write.id})
        return ()


SwitchOff.batch = SwitchBatch
SwitchOn.batch = SwitchBatch

_ids: Final = select(switches.c.id).with_for_update()
_insert: Final = insert(switches)
_delete: Final = delete(switches).where(switches.c.id == bindparam("_id"))
