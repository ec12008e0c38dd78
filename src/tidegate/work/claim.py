"""Claiming due rows: a lease with a fencing number, committed before anything is done.

PostgreSQL: ``FOR UPDATE SKIP LOCKED``; SQLite: the one writer. ``due_at`` is left as it was, so
that a row whose holder dies is due again as soon as the lease is over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy import Connection, Table, bindparam, case, literal, or_, select, union, update

from tidegate.clock import Clock
from tidegate.db.committer import Batch, Due
from tidegate.db.engine import Database, any_of, any_values
from tidegate.db.quarantine import in_quarantine
from tidegate.db.rows import Change, Held

__all__ = ["Claim", "Claimed", "cut_inner", "cut_short", "end_leases"]

# What was torn off may still be on its way to another company, as after a time-out.
_TORN_OFF_MS = 5_000


@dataclass(frozen=True, slots=True)
class Claim:
    """Claim up to ``limit`` rows of ``table`` due for ``kind``; only of ``ids`` where given.

    While a quarantine lasts, nothing is claimed unless the verb only ``looks``. Answers the rows,
    as mappings, all columns.
    """

    batch: ClassVar[type[Batch]]
    table: Table
    kind: str
    limit: int
    lease_ms: int
    ids: tuple[str, ...] | None = None
    looks: bool = False


@dataclass(frozen=True, slots=True)
class Claimed:
    """A row under lease. ``ends_at`` is on the local monotonic clock, in seconds. ``was_due_at`` is
    when the row's work would have gone on, had a request not taken it out of turn."""

    table: Table
    row: Mapping[str, Any]
    ends_at: float
    clock: Clock
    was_due_at: int | None = None

    @property
    def id(self) -> str:
        return str(self.row["id"])

    @property
    def tries(self) -> int:
        """Leases since the last success, this one counted."""
        return int(self.row["tries"])

    @property
    def held(self) -> Held:
        return Held(fence=int(self.row["fence"]), due_at=int(self.row["due_at"]))

    @property
    def was_due_in_ms(self) -> int | None:
        """How long it is until ``was_due_at``, by the clock that gave the lease."""
        if self.was_due_at is None:
            return None
        return max(0, self.was_due_at - self._now_ms)

    @property
    def _now_ms(self) -> int:
        # The clock that gave the lease may not be this process's.
        left_ms = round(1000 * (self.ends_at - self.clock.monotonic()))
        return int(self.row["leased_until"]) - left_ms

    def covers(self, limit_s: float) -> bool:
        """May a call with this time limit still begin under the lease?"""
        return self.ends_at - self.clock.monotonic() >= limit_s


def cut_short(claimed: Claimed) -> Change:
    """Let the lease end in some seconds: its holder stops before its turn is over.

    All else stays as a killed holder leaves it, so whoever goes on finds what it would find after
    a kill, only sooner. What the turn committed last stands: a lease that it ended stays ended.
    """
    return cut_inner(claimed, claimed.table, claimed.id, claimed.held.fence)


def cut_inner(claimed: Claimed, table: Table, row_id: str, fence: int) -> Change:
    """The same for the lease of another row that was inserted in the turn of ``claimed``."""
    # By the clock that gave the lease, which may not be this process's.
    left_ms = round(1000 * (claimed.ends_at - claimed.clock.monotonic()))
    soon = int(claimed.row["leased_until"]) - left_ms + _TORN_OFF_MS

    def lease(row: Mapping[str, Any]) -> int | None:
        until = row["leased_until"]
        return None if until is None else min(int(until), soon)

    def due(row: Mapping[str, Any]) -> int | None:
        at: int | None = row["due_at"]
        # What was inserted or taken under a lease is due when the lease ends.
        return min(at, soon) if at is not None and at == row["leased_until"] else at

    return Change(table, row_id, {"leased_until": lease, "due_at": due}, expect={"fence": fence})


def end_leases(connection: Connection, tables: Iterable[Table], now_ms: int) -> None:
    """End every lease: their holders are dead, and their rows are due.

    Only for a database that one process serves, by that process, before it works: on SQLite a
    restart need not wait for the leases of its killed predecessor.
    """
    for table in tables:
        # What was inserted under a lease is due only when the lease ends: here, that is now.
        due_at = case((table.c.due_at > now_ms, now_ms), else_=table.c.due_at)
        connection.execute(
            update(table)
            .where(table.c.leased_until.is_not(None))
            .values(leased_until=None, due_at=due_at)
        )


class ClaimBatch:
    """All claims of a group; they see what the group's other operations wrote."""

    rank: ClassVar[int] = 90

    def __init__(self, database: Database, connection: Connection, now_ms: int) -> None:
        self._dialect = database.dialect
        self._connection = connection
        self._now_ms = now_ms
        self._claims: list[tuple[Claim, list[Mapping[str, Any]]]] = []

    def lock(self, operations: Sequence[Claim]) -> None:
        return None  # the claim itself skips what is locked

    def mark(self) -> int:
        return len(self._claims)

    def rewind(self, mark: int) -> None:
        del self._claims[mark:]

    def admit(self, operation: Claim) -> list[Mapping[str, Any]]:
        answer: list[Mapping[str, Any]] = []
        self._claims.append((operation, answer))
        return answer

    def flush(self) -> Sequence[Due]:
        looks = {claim.table: None for claim, _ in self._claims if claim.ids is None}
        due = None if len(self._claims) == 1 else self._due_kinds(tuple(looks))
        for claim, answer in self._claims:
            if due is not None and claim.ids is None and (claim.table.name, claim.kind) not in due:
                continue
            parameters: dict[str, Any] = {
                "_kind": claim.kind,
                "_now": self._now_ms,
                "_until": self._now_ms + claim.lease_ms,
                "_limit": claim.limit,
            }
            if claim.ids is not None:
                parameters["_ids"] = any_values(self._dialect, claim.ids)
            statement = _statement(self._dialect, claim.table, claim.ids is not None, claim.looks)
            rows = self._connection.execute(statement, parameters).mappings()
            # RETURNING promises no order.
            answer.extend(sorted((dict(row) for row in rows), key=lambda row: row["due_at"]))
        return ()

    def _due_kinds(self, tables: tuple[Table, ...]) -> set[tuple[str, str]]:
        """What a look would find, asked once for all kinds: mostly nothing is due."""
        if not tables:
            return set()
        found = self._connection.execute(_due_statement(tables), {"_now": self._now_ms})
        return {(name, kind) for name, kind in found}


Claim.batch = ClaimBatch

_statements: dict[tuple[str, Table, bool, bool], Any] = {}
_due_statements: dict[tuple[Table, ...], Any] = {}


def _statement(dialect: str, table: Table, by_id: bool, looks: bool) -> Any:
    key = (dialect, table, by_id, looks)
    if key not in _statements:
        due = (
            select(table.c.id)
            .where(
                table.c.kind == bindparam("_kind"),
                table.c.due_at.is_not(None),
                table.c.due_at <= bindparam("_now"),
                or_(table.c.leased_until.is_(None), table.c.leased_until <= bindparam("_now")),
            )
            .order_by(table.c.due_at)
            .limit(bindparam("_limit"))
            .with_for_update(skip_locked=True)
        )
        if not looks:
            due = due.where(~in_quarantine())
        if by_id:
            due = due.where(any_of(dialect, table.c.id, "_ids"))
        # A CTE that locks is evaluated once; a plain subquery might be again, past its limit.
        picked = due.cte("picked")
        _statements[key] = (
            update(table)
            .where(table.c.id.in_(select(picked.c.id)))
            .values(
                leased_until=bindparam("_until"),
                fence=table.c.fence + 1,
                tries=table.c.tries + 1,
                woken=False,
            )
            .returning(*table.c)
        )
    return _statements[key]


def _due_statement(tables: tuple[Table, ...]) -> Any:
    if tables not in _due_statements:
        _due_statements[tables] = union(
            *(
                select(literal(table.name), table.c.kind).where(
                    table.c.due_at.is_not(None), table.c.due_at <= bindparam("_now")
                )
                for table in tables
            )
        )
    return _due_statements[tables]
