"""Leases that a request takes on a row, so that no worker goes on with it meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

from sqlalchemy import Table

from tidegate.clock import Clock
from tidegate.db.committer import Committer, Unit
from tidegate.db.engine import Database
from tidegate.db.rows import Change, Held, Next
from tidegate.payments.store import Row
from tidegate.work.claim import Claimed, cut_short

__all__ = ["Leases"]

# A request makes two calls at most one after the other, each repeated if it was certainly not sent.
_CALLS = 3
_STEP_S = 0.02


class Leases:
    """Takes them; ``timeout_s`` is the time limit of one call to the processor."""

    def __init__(
        self, database: Database, committer: Committer, clock: Clock, timeout_s: float
    ) -> None:
        self._database = database
        self._committer = committer
        self._clock = clock
        self._at_work = 0
        # It outlives the calls by 30 s (DESIGN 3).
        self._lease_s = _CALLS * timeout_s + 30.0

    @property
    def lease_ms(self) -> int:
        return round(self._lease_s * 1000)

    def ends_at(self) -> float:
        """The local monotonic second at which a lease taken now ends."""
        return self._clock.monotonic() + self._lease_s

    async def is_leased(self, row: Row) -> bool:
        """Is somebody at it? By the clock that rules leases."""
        if row["leased_until"] is None:
            return False
        now_ms = await self._database.fetch(self._database.now_ms)
        return bool(row["leased_until"] > now_ms)

    async def take(self, table: Table, kind: str, row: Row, **expect: Any) -> Claimed:
        """Take the lease of a row that is as it was read, out of its turn. Raises ``Stale``."""
        ends_at = self.ends_at()
        change = Change(
            table,
            row["id"],
            expect={"state": row["state"], "fence": row["fence"], **expect},
            next=Next(kind),
            take_ms=self.lease_ms,
        )
        (held,) = await self._committer.commit(Unit([change]))
        return replace(self.claimed(table, row, held, ends_at), was_due_at=row["due_at"])

    def claimed(self, table: Table, row: Row, held: Held, ends_at: float) -> Claimed:
        """The row under the lease that a change of it took."""
        leased = {**row, "fence": held.fence, "due_at": held.due_at, "tries": 1}
        return Claimed(table, {**leased, "leased_until": held.due_at}, ends_at, self._clock)

    @asynccontextmanager
    async def under(self, claimed: Claimed) -> AsyncIterator[None]:
        """Where a request works under its lease: torn off by the end of the process, it cuts the
        lease short, so that a worker goes on soon."""
        self._at_work += 1
        try:
            yield
        except asyncio.CancelledError:
            with suppress(Exception):  # else the lease ends by itself
                await self._committer.commit(Unit([cut_short(claimed)]))
            raise
        finally:
            self._at_work -= 1

    async def let_go(self, within_s: float) -> None:
        """Return when no request works under a lease any more, or after ``within_s``."""
        until = self._clock.monotonic() + within_s
        while self._at_work and self._clock.monotonic() < until:
            await self._clock.sleep(_STEP_S)
