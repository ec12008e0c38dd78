"""The worker: lanes, triggers, the ear, and the heartbeat of one process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog

from tidegate.bootstrap import Application
from tidegate.cases.store import OpenCase
from tidegate.db.committer import Due, Unit
from tidegate.observability import tracing
from tidegate.observability.logging import clear
from tidegate.payments.deliver_keys import renew_secrets
from tidegate.payouts.push import push_id
from tidegate.work.bell import Bell, Ear
from tidegate.work.claim import Claimed
from tidegate.work.runner import Runner
from tidegate.workers.handlers import kinds_of, push_balance
from tidegate.workers.periodic import Periodic, ScheduledTriggers, Triggers

__all__ = ["Worker"]

log = structlog.get_logger()

_BEAT_S = 5.0


class Worker:
    """Runs the work of one process; ``works=False`` only rings for those who do."""

    def __init__(
        self,
        app: Application,
        *,
        works: bool = True,
        triggers: Callable[[], Triggers] = ScheduledTriggers,
    ) -> None:
        self._app = app
        self._works = works
        self.periodic = Periodic(app, triggers())
        self._bell = Bell(app.database, app.clock)
        kinds = kinds_of(app, self.periodic)
        app.kinds = tuple(kind.name for kind in kinds)
        self._runner = Runner(
            app.committer,
            app.clock,
            app.randomness,
            kinds if works else (),
            poll_s=app.settings.intervals.work_poll,
            on_stuck=self._stuck,
            on_turn=lambda kind, result, took_s: app.metrics.turns.labels(kind, result).observe(
                took_s
            ),
        )
        self._ear = Ear(app.settings.database.url, app.clock, self._runner.look)
        self._pushes: dict[str, asyncio.Task[None]] = {}
        self._retired_at: float | None = None
        self._beating: asyncio.Task[None] | None = None
        app.committer.on_due = self._hand_over
        if works:
            app.witness.on_float = self._push_soon

    async def start(self) -> None:
        if not self._works:
            return
        # Before anything runs: a secret that no key of ours opens stops the start.
        await renew_secrets(self._app.database, self._app.committer, self._app.vault)
        self._runner.start()
        self._ear.start()
        self.periodic.start()
        for chore in self.periodic.table:
            await self.periodic.make_due(chore.id, chore.kind)
        for currency in self._app.rules.currencies:
            await self.periodic.make_due(push_id(currency), "push")
        if self._app.settings.work.heartbeat_file is not None:
            self._beating = asyncio.create_task(self._beat(), name="heartbeat file")
        log.info("worker.started")

    def retire(self) -> None:
        """Take no more work; the grace begins. Others are told to look for what is left."""
        if self._retired_at is None:
            self._retired_at = self._app.clock.monotonic()
            self._runner.retire()
            self._bell.ring()

    async def stop(self) -> None:
        """Take no more, finish what runs within the grace, give the rest back."""
        self.retire()
        if self._works:
            self.periodic.stop()
            await self._ear.stop()
            await self._runner.stop(self._grace_left())
            if self._beating is not None:
                self._beating.cancel()
                await asyncio.gather(self._beating, return_exceptions=True)
        for task in self._pushes.values():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self._bell.close()
        if self._works and self._app.settings.payouts.zero_balance_on_shutdown:
            await self._tell_zero()
        log.info("worker.stopped")

    def _grace_left(self) -> float:
        assert self._retired_at is not None  # by stop
        gone = self._app.clock.monotonic() - self._retired_at
        return max(0.0, self._app.settings.server.shutdown_grace - gone)

    async def _beat(self) -> None:
        """Show to a probe of this machine that the event loop turns."""
        file = self._app.settings.work.heartbeat_file
        assert file is not None  # by start
        try:
            while True:
                file.touch()
                await self._app.clock.sleep(_BEAT_S)
        finally:
            file.unlink(missing_ok=True)

    async def _tell_zero(self) -> None:
        """Nothing will be accepted any more: an old balance is believed for ever (4.5)."""
        if await self._ear.others():
            return
        push = push_balance(self._app)
        for currency in sorted(self._app.rules.currencies):
            await push.tell(currency, 0, await push.current(currency))

    @property
    def in_flight(self) -> dict[str, int]:
        """How many verbs run, by kind."""
        return self._runner.in_flight

    def _hand_over(self, due: Sequence[Due]) -> None:
        if not self._runner.hand_over(due):
            self._bell.ring()

    def _push_soon(self, currency: str) -> None:
        """The float of ``currency`` changed: tell the aggregator, at most once a gap."""
        running = self._pushes.get(currency)
        if running is None or running.done():
            self._pushes[currency] = asyncio.create_task(self._push(currency), name="push soon")

    async def _push(self, currency: str) -> None:
        # Started by whoever's commit moved the float; it is about none of their rows.
        clear()
        tracing.leave()
        await self._app.clock.sleep(self._app.settings.intervals.balance_push_gap)
        await self.periodic.make_due(push_id(currency), "push")

    async def _stuck(self, claimed: Claimed, kind: str, error: BaseException) -> None:
        """A verb failed again and again: a person should look."""
        case = OpenCase(
            "work_stuck",
            claimed.id,
            f"The work {kind} on this row fails again and again. Look at the log for its id.",
            "high",
            {"error": type(error).__name__, "tries": claimed.tries, "kind": kind},
        )
        await self._app.committer.commit(Unit([case]))
