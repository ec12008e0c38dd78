"""Due rows that everybody wants: claimed by the runner, and by tasks that oversleep."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, func, select

from tests.concurrency.desk import Desk
from tests.concurrency.scene import Actor, Scene
from tests.support.store import jobs
from tidegate.clock import Randomness
from tidegate.db.rows import DONE, Change
from tidegate.errors import Stale
from tidegate.ledger.book import Record
from tidegate.ledger.entry import transfer
from tidegate.work.claim import Claim, Claimed
from tidegate.work.runner import Kind, Runner

__all__ = ["KIND", "open_claims", "open_oversleepers"]

KIND = "look"
_POLL_S = 0.02
_CLAIMED_AT_ONCE = 7

_left = select(func.count()).select_from(jobs).where(jobs.c.due_at.is_not(None))


async def _are_left(desk: Desk) -> bool:
    def read(connection: Connection) -> bool:
        return bool(connection.execute(_left).scalar_one())

    return await desk.database.fetch(read)


async def open_claims(url: str, given: Mapping[str, Any]) -> Scene:
    return _Running(Desk(url), given["slots"])


class _Running:
    """The runner of one process, with as many slots as it has actors; the first one watches."""

    def __init__(self, desk: Desk, slots: int) -> None:
        self._desk = desk
        self._slots = slots
        self._first = True
        self._running = 0
        self._most = 0
        self._done: list[str] = []

    async def act(self, actor: Actor) -> Any:
        """Ids in the order in which their verbs ran here, and how many ran at one time."""
        if not self._first:
            return None
        self._first = False

        async def verb(claimed: Claimed) -> None:
            self._running += 1
            self._most = max(self._most, self._running)
            await actor.pause()
            await self._desk.commit(
                Change(jobs, claimed.id, {"state": "done"}, held=claimed.held, next=DONE)
            )
            self._done.append(claimed.id)
            self._running -= 1

        clock = self._desk.clock
        runner = Runner(
            self._desk.committer,
            clock,
            Randomness(clock),
            [Kind(jobs, KIND, verb, self._slots)],
            poll_s=_POLL_S,
        )
        runner.start()
        while await _are_left(self._desk):  # noqa: ASYNC110 -- a row of a database wakes nobody
            await asyncio.sleep(_POLL_S)
        await runner.stop(grace_s=5)
        return {"done": self._done, "most": self._most}

    async def close(self) -> None:
        await self._desk.close()


async def open_oversleepers(url: str, given: Mapping[str, Any]) -> Scene:
    return _Oversleeping(Desk(url), given["lease_ms"])


class _Oversleeping:
    """Tasks that claim a few rows at a time, and sometimes come back after their lease."""

    def __init__(self, desk: Desk, lease_ms: int) -> None:
        self._desk = desk
        self._lease_ms = lease_ms

    async def act(self, actor: Actor) -> Any:
        """How many turns were begun, ended, and refused because the row was somebody else's."""
        counts: Counter[str] = Counter()
        while True:
            limit = actor.random.randint(1, _CLAIMED_AT_ONCE)
            (rows,) = await self._desk.commit(Claim(jobs, KIND, limit, self._lease_ms))
            for row in rows:
                await self._turn(actor, row, counts)
            if not rows:
                if not await _are_left(self._desk):
                    return dict(counts)
                await asyncio.sleep(_POLL_S)

    async def _turn(self, actor: Actor, row: Mapping[str, Any], counts: Counter[str]) -> None:
        counts["begun"] += 1
        if actor.random.random() < 0.1:
            await asyncio.sleep(self._lease_ms * 1.2 / 1000)
        else:
            await actor.pause()
        held = Claimed(jobs, row, 0.0, self._desk.clock).held
        # The reference names the turn: were a row ended twice, the book would show it.
        paid = transfer(
            f"{row['id']}:{held.fence}",
            "float.opened",
            row["id"],
            ("psp:lenco:available:NGN", "float:opening:NGN", 1),
        )
        try:
            await self._desk.commit(
                Change(jobs, row["id"], {"state": "done"}, held=held, next=DONE), Record(paid)
            )
            counts["ended"] += 1
        except Stale:
            counts["stale"] += 1

    async def close(self) -> None:
        await self._desk.close()
