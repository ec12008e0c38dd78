"""Sweep: a row that stands in an open state and that nothing would wake is woken (A8).

No verb leaves a row like that; the sweep is the net under all of them, and says so in the log
when it catches something.
"""

from __future__ import annotations

import structlog
from sqlalchemy import Connection, Table, select

from tidegate.db.committer import Committer, Unit
from tidegate.db.engine import Database
from tidegate.db.rows import Change, Next
from tidegate.errors import WriteRefused
from tidegate.payouts.states import AttemptState, State
from tidegate.payouts.tables import attempts, payouts

__all__ = ["SweepAttempts", "SweepPayouts"]

log = structlog.get_logger()

_AT_ONCE = 100
_OPEN_ATTEMPTS = (
    AttemptState.SENDING,
    AttemptState.UNKNOWN,
    AttemptState.PENDING,
    AttemptState.COOLING,
)

_attempts = (
    select(attempts.c.id, attempts.c.psp)
    .where(attempts.c.state.in_(_OPEN_ATTEMPTS), attempts.c.due_at.is_(None))
    .limit(_AT_ONCE)
)
_offered = (
    select(payouts.c.id)
    .where(
        payouts.c.state.in_((State.PENDING, State.ACCEPTING)),
        payouts.c.due_at.is_(None),
    )
    .limit(_AT_ONCE)
)
_accepted = (
    select(payouts.c.id, payouts.c.psp)
    .where(payouts.c.state == State.ACCEPTED, payouts.c.due_at.is_(None))
    .limit(_AT_ONCE)
)
_untold = (
    select(payouts.c.id)
    .where(
        payouts.c.state.in_((State.PAID, State.CANCELLED, State.FAILED)),
        payouts.c.told_at.is_(None),
        payouts.c.due_at.is_(None),
    )
    .limit(_AT_ONCE)
)


class _Sweeper:
    def __init__(self, database: Database, committer: Committer) -> None:
        self._database = database
        self._committer = committer

    async def _wake(self, table: Table, row_id: str, kind: str) -> int:
        change = Change(table, row_id, expect={"due_at": None}, next=Next(kind))
        try:
            await self._committer.commit(Unit([change]))
        except WriteRefused:
            return 0  # somebody woke it
        log.warning("sweep.woke", table=table.name, id=row_id, kind=kind)
        return 1


class SweepAttempts(_Sweeper):
    """Transfers whose end is open and that nobody would look up."""

    async def __call__(self) -> int:
        found = await self._database.read(lambda c: c.execute(_attempts).all())
        return sum([await self._wake(attempts, row.id, f"confirm:{row.psp}") for row in found])


class SweepPayouts(_Sweeper):
    """Orders that nobody would accept, pay or report."""

    async def __call__(self) -> int:
        found = await self._database.read(_stuck)
        return sum([await self._wake(payouts, row_id, kind) for row_id, kind in found])


def _stuck(connection: Connection) -> list[tuple[str, str]]:
    return [
        *((row.id, "accept") for row in connection.execute(_offered)),
        *((row.id, f"disburse:{row.psp}") for row in connection.execute(_accepted)),
        *((row.id, "report") for row in connection.execute(_untold)),
    ]
