"""The verb of retention: find what has aged out, oldest first, and remove it in small commits.

Each commit is short and stands for itself, so it can be killed at any moment; what is left is
found by the next run.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, bindparam, func, or_, select

from tidegate.clock import Clock
from tidegate.db.committer import Committer, Unit
from tidegate.db.engine import Database
from tidegate.retention.kinds import KINDS, Kind
from tidegate.retention.remove import Remove
from tidegate.retention.rules import RetentionRules

__all__ = ["Aged", "Sweep", "read_aged"]

_BATCH = 200


@dataclass(frozen=True, slots=True)
class Aged:
    """What would go of one kind: how many rows, and the oldest of them (Unix ms)."""

    kind: str
    days: int
    rows: int
    oldest_ms: int | None


def read_aged(connection: Connection, rules: RetentionRules, now_ms: int) -> list[Aged]:
    """What a run would remove now, by kind; nothing is changed."""
    found = []
    for kind in KINDS:
        rows, oldest = 0, None
        before = rules.before_ms(kind.name, now_ms)
        if before is not None:
            counted = select(func.count(), func.min(kind.age)).where(kind.age < before, kind.may_go)
            rows, oldest = connection.execute(counted).one()
        found.append(Aged(kind.name, rules.days_of(kind.name), rows, oldest))
    return found


class Sweep:
    """One instance a process."""

    def __init__(
        self, database: Database, committer: Committer, clock: Clock, rules: RetentionRules
    ) -> None:
        self._database = database
        self._committer = committer
        self._clock = clock
        self._rules = rules

    async def __call__(self) -> dict[str, int]:
        """Remove everything that has aged out; rows removed, by kind."""
        return {kind.name: await self._remove(kind) for kind in KINDS}

    async def _remove(self, kind: Kind) -> int:
        before = self._rules.before_ms(kind.name, self._clock.now_ms())
        if before is None:
            return 0
        count = 0
        async for ids in self._pages(kind, before):
            (answer,) = await self._committer.commit(Unit([Remove(kind, ids, before)]))
            count += answer.rows
        return count

    async def _pages(self, kind: Kind, before_ms: int) -> AsyncIterator[tuple[str, ...]]:
        """Ids that may go, once each: what may not is passed over once a run, not once a page."""
        statement, place = _page(kind), (-1, "")
        while True:
            asked: dict[str, Any] = {"_before": before_ms, "_at": place[0], "_after": place[1]}

            def read(connection: Connection, asked: dict[str, Any] = asked) -> list[Any]:
                return list(connection.execute(statement, asked))

            rows = await self._database.read(read)
            if not rows:
                return
            place = (rows[-1].at, rows[-1].id)
            yield tuple(row_id for _, row_id in rows)


def _page(kind: Kind) -> Any:
    table = kind.table
    return (
        select(kind.age.label("at"), table.c.id)
        .where(
            kind.age < bindparam("_before"),
            or_(
                kind.age > bindparam("_at"),
                and_(kind.age == bindparam("_at"), table.c.id > bindparam("_after")),
            ),
            kind.may_go,
        )
        .order_by(kind.age, table.c.id)
        .limit(_BATCH)
    )
