"""The runner: claims due rows and runs their verbs, each kind in a lane of its own.

A lane has a number of slots; it claims no more than are free, so one kind of work (or one PSP:
its name is part of the kind) cannot starve another. Rows come to a lane three ways: handed over
by the committer right after the commit that made them due, by a notification from another
process ("look"), and by polling once a second, which is the safety net.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

import structlog
from sqlalchemy import Table

from tidegate.clock import Clock, Randomness
from tidegate.db.committer import Committer, Due, Unit
from tidegate.db.rows import Change, Next
from tidegate.errors import Stale
from tidegate.observability.subjects import turn
from tidegate.work.backoff import exponential_ms
from tidegate.work.claim import Claim, Claimed, cut_short

__all__ = ["Kind", "Runner"]

log = structlog.get_logger()

Verb = Callable[[Claimed], Awaitable[None]]

# A row whose verb failed this often in a row is shown to a person.
_STUCK_AFTER = 8
# How long a claim that is under way, or giving back, may keep a stop waiting.
_STOP_STEP_S = 5.0


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of work: which rows, which verb, how many at once, how long a lease lasts.

    ``longest_call_s`` is the longest time limit among the verb's calls; the lease outlives it by
    30 s (DESIGN 3). ``looks``: it moves no money and tells nobody anything, so it goes on while
    the node is in quarantine.
    """

    table: Table
    name: str
    verb: Verb
    slots: int
    longest_call_s: float = 30.0
    looks: bool = False

    @property
    def lease_s(self) -> float:
        return self.longest_call_s + 30.0


@dataclass(slots=True)
class _Lane:
    kind: Kind
    handed: dict[str, None] = field(default_factory=dict)  # an ordered set of ids
    look: bool = True  # claim by due time, not only what was handed over
    running: set[asyncio.Task[None]] = field(default_factory=set)
    awake: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def free(self) -> int:
        return self.kind.slots - len(self.running)


class Runner:
    """Runs the verbs of one process."""

    def __init__(
        self,
        committer: Committer,
        clock: Clock,
        randomness: Randomness,
        kinds: Iterable[Kind],
        *,
        poll_s: float = 1.0,
        on_stuck: Callable[[Claimed, str, BaseException], Awaitable[None]] | None = None,
        on_turn: Callable[[str, str, float], object] = lambda kind, result, seconds: None,
    ) -> None:
        self._committer = committer
        self._clock = clock
        self._randomness = randomness
        self._poll_s = poll_s
        self._on_stuck = on_stuck
        self._on_turn = on_turn
        self._lanes = {(kind.table.name, kind.name): _Lane(kind) for kind in kinds}
        self._tasks: list[asyncio.Task[None]] = []
        self._poller: asyncio.Task[None] | None = None
        self._stopping = False

    def start(self) -> None:
        for lane in self._lanes.values():
            self._tasks.append(
                asyncio.create_task(self._run_lane(lane), name=f"lane {lane.kind.name}")
            )
        self._poller = asyncio.create_task(self._poll(), name="poll")

    def retire(self) -> None:
        """Take no more work; what runs goes on."""
        self._stopping = True
        for lane in self._lanes.values():
            lane.awake.set()

    async def stop(self, grace_s: float) -> None:
        """Take no more work; give running verbs ``grace_s``, then cancel them.

        A cancelled verb's lease is cut short, and another process goes on from what the row says.
        """
        self.retire()
        if self._poller is not None:
            self._poller.cancel()
            await asyncio.gather(self._poller, return_exceptions=True)
        # A claim that is being committed is let finish, so that its rows can be given back.
        _, slow = (
            await asyncio.wait(self._tasks, timeout=_STOP_STEP_S) if self._tasks else (set(), set())
        )
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        running = [task for lane in self._lanes.values() for task in lane.running]
        if running:
            _, late = await asyncio.wait(running, timeout=grace_s)
            if late:
                log.warning("worker.cut_short", verbs=len(late))
            await self._end(late)

    async def _end(self, late: set[asyncio.Task[None]]) -> None:
        """Cancel these verbs; a database that does not answer delays the end no further."""
        for _ in range(2):
            for task in late:
                task.cancel()
            if late:
                _, late = await asyncio.wait(late, timeout=_STOP_STEP_S)
        await asyncio.gather(*late, return_exceptions=True)

    def hand_over(self, due: Sequence[Due]) -> bool:
        """Take rows that became due; ``False`` if some are of no lane here, or all slots are
        taken, so that other processes should be told."""
        if self._stopping:
            return False
        all_here = True
        for row in due:
            lane = self._lanes.get((row.table, row.kind))
            if lane is None:
                all_here = False
                continue
            lane.handed[row.id] = None
            lane.awake.set()
            if lane.free <= 0:
                all_here = False
        return all_here

    def look(self) -> None:
        """Look at the database for due rows of every kind, now."""
        for lane in self._lanes.values():
            lane.look = True
            lane.awake.set()

    @property
    def in_flight(self) -> dict[str, int]:
        """How many verbs run, by kind."""
        return {lane.kind.name: len(lane.running) for lane in self._lanes.values()}

    async def _poll(self) -> None:
        while not self._stopping:
            self.look()
            await self._clock.sleep(self._poll_s)

    async def _run_lane(self, lane: _Lane) -> None:
        while not self._stopping:
            await lane.awake.wait()
            lane.awake.clear()
            while not self._stopping and lane.free > 0 and (lane.handed or lane.look):
                try:
                    await self._claim(lane)
                except Exception as error:  # the database is away: the poll tries again
                    log.warning("claim.failed", kind=lane.kind.name, error=repr(error))
                    break

    async def _claim(self, lane: _Lane) -> None:
        kind, limit = lane.kind, lane.free
        ids: tuple[str, ...] | None = None
        if lane.look:
            lane.look = False
            lane.handed.clear()  # the look finds them as well
        else:
            ids = tuple(list(lane.handed)[:limit])
            for row_id in ids:
                del lane.handed[row_id]
        ends_at = self._clock.monotonic() + kind.lease_s
        claim = Claim(kind.table, kind.name, limit, round(kind.lease_s * 1000), ids, kind.looks)
        (rows,) = await self._committer.commit(Unit([claim]))
        if ids is None and len(rows) == limit:
            lane.look = True  # there may be more than there were slots for
        for row in rows:
            claimed = Claimed(kind.table, row, ends_at, self._clock)
            if self._stopping:  # set while the claim was being committed
                await self._release(kind, claimed, in_ms=0, tries=claimed.tries - 1)
                continue
            task = asyncio.create_task(self._run(lane, claimed), name=f"{kind.name} {claimed.id}")
            lane.running.add(task)

    async def _run(self, lane: _Lane, claimed: Claimed) -> None:
        with turn(lane.kind.name, lane.kind.table.info.get("names", {}), claimed.row):
            await self._work(lane, claimed)

    async def _work(self, lane: _Lane, claimed: Claimed) -> None:
        result, began = "cancelled", self._clock.monotonic()
        try:
            await lane.kind.verb(claimed)
            result = "done"
        except asyncio.CancelledError:  # by stop
            await self._cut_short(lane.kind, claimed)
            raise
        except Stale as stale:
            result = "stale"
            # Somebody else moved the row on; what we learned is in its observations.
            log.info("work.stale", kind=lane.kind.name, id=claimed.id, why=stale.detail)
            await self._release(lane.kind, claimed, self._wait_ms(claimed))
        except Exception as error:
            result = "failed"
            log.exception("work.failed", kind=lane.kind.name, id=claimed.id, tries=claimed.tries)
            await self._release(lane.kind, claimed, self._wait_ms(claimed))
            if claimed.tries >= _STUCK_AFTER:
                await self._tell_stuck(lane.kind, claimed, error)
        finally:
            self._on_turn(lane.kind.name, result, self._clock.monotonic() - began)
            task = asyncio.current_task()
            if task is not None:
                lane.running.discard(task)
            if not self._stopping:
                lane.awake.set()

    def _wait_ms(self, claimed: Claimed) -> int:
        return exponential_ms(claimed.tries, self._randomness)

    async def _tell_stuck(self, kind: Kind, claimed: Claimed, error: BaseException) -> None:
        if self._on_stuck is None:
            return
        try:
            await self._on_stuck(claimed, kind.name, error)
        except Exception as problem:  # the row stays due, so this is said again after its next try
            log.warning("work.stuck_untold", kind=kind.name, id=claimed.id, error=repr(problem))

    async def _cut_short(self, kind: Kind, claimed: Claimed) -> None:
        try:
            await self._committer.commit(Unit([cut_short(claimed)]))
        except Exception as error:  # then others wait for the end of the lease
            log.info("work.cut_failed", kind=kind.name, id=claimed.id, error=repr(error))

    async def _release(
        self, kind: Kind, claimed: Claimed, in_ms: int, tries: int | None = None
    ) -> None:
        """End the lease and try again later; if that fails too, the lease ends by itself."""
        change = Change(
            kind.table,
            claimed.id,
            values={} if tries is None else {"tries": tries},
            held=claimed.held,
            next=Next(kind.name, in_ms),
            again=True,
        )
        try:
            await self._committer.commit(Unit([change]))
        except Exception as error:
            log.info("work.release_failed", kind=kind.name, id=claimed.id, error=repr(error))
