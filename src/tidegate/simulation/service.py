"""The node: the real application, built anew for each of its lives, over one database file."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

import uvicorn
from fastapi import FastAPI
from uvicorn.server import ServerState

from tidegate import __version__
from tidegate.api.app import make_app
from tidegate.api.deps import Deps, make_deps
from tidegate.api.http_protocol import BoundedHttp
from tidegate.bootstrap import Application, build
from tidegate.clock import Randomness
from tidegate.observability.metrics import Metrics
from tidegate.settings import Settings, load
from tidegate.simulation.drawing import NODE
from tidegate.simulation.loop import SimulatedLoop
from tidegate.simulation.party import Party
from tidegate.simulation.plan import Moment
from tidegate.simulation.trace import Trace
from tidegate.workers.main import Worker
from tidegate.workers.periodic import MakeDue

__all__ = ["NODE_PORT", "START_MS", "Service", "SimulatedTime", "forget"]

T = TypeVar("T")

NODE_PORT = 21_000
START_MS = 1_728_201_600_000
"""6 October 2024, 08:00 UTC: when each run begins."""

_WRITER = "tidegate-writer"
_COMMIT_S = (0.0005, 0.012)


class SimulatedTime:
    """A clock that shows the loop's time; :attr:`ahead_s` is how wrong its wall clock is."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop
        self.ahead_s = 0.0

    def now_ms(self) -> int:
        return START_MS + round((self._loop.time() + self.ahead_s) * 1000)

    def monotonic(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Triggers:
    """Makes periodic rows due on simulated time, as the scheduler does on the machine's."""

    def __init__(self, clock: SimulatedTime) -> None:
        self._clock = clock
        self._wanted: list[tuple[float, MakeDue]] = []
        self._tasks: list[asyncio.Task[None]] = []

    def every(self, seconds: float, make_due: MakeDue) -> None:
        self._wanted.append((seconds, make_due))

    def start(self) -> None:
        for seconds, make_due in self._wanted:
            self._tasks.append(asyncio.create_task(self._run(seconds, make_due)))

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _run(self, seconds: float, make_due: MakeDue) -> None:
        while True:
            await self._clock.sleep(seconds)
            await make_due()


class _Executor:
    """Runs database work at once, as long as its party lives; the writer tells of its commits."""

    def __init__(self, name: str, service: Service, party: Party) -> None:
        self._is_writer = name == _WRITER
        self._service = service
        self._party = party

    async def run(self, work: Callable[[], T]) -> T:
        await self._alive()
        if not self._is_writer:
            return work()
        self._service.moment(Moment.BEFORE_COMMIT, self._party)
        await self._alive()
        # What others read meanwhile is old when this is written.
        await asyncio.sleep(self._service.commit_s())
        await self._alive()
        done = work()
        self._service.committed()
        self._service.moment(Moment.AFTER_COMMIT, self._party)
        await self._alive()
        return done

    async def _alive(self) -> None:
        if not self._party.alive and not self._service.over:
            await asyncio.get_running_loop().create_future()

    def close(self) -> None:
        return None


class Service:
    """One node, one life after the other.

    ``on_moment`` is told before and after each commit and may kill; ``on_commit`` may look at the
    database.
    """

    def __init__(
        self, loop: SimulatedLoop, env: Mapping[str, str], seed: int, trace: Trace
    ) -> None:
        self.settings: Settings = load(env, env_file=None)
        self.clock = SimulatedTime(loop)
        self.party: Party | None = None
        self.app: Application | None = None
        self.lives = 0
        self.over = False
        self.on_moment: Callable[[Moment], None] = lambda moment: None
        self.on_commit: Callable[[], None] = lambda: None
        self._loop = loop
        self._seed = seed
        self._chance = random.Random(f"commits {seed}")  # noqa: S311 -- a run that must repeat
        self._trace = trace
        self._dead: list[Application] = []
        self._graves: list[Party] = []

    @property
    def alive(self) -> bool:
        return self.party is not None and self.party.alive

    async def start(self) -> None:
        """Begin a new life and return when it listens; it may die before that."""
        self.lives += 1
        party = self.party = Party(NODE)
        self._trace.add("starts", f"the node, life {self.lives}")
        listening = self._loop.create_future()
        party.spawn(self._live(party, listening))
        await listening

    def kill(self, why: str) -> None:
        """As ``kill -9`` does it."""
        party, app = self.party, self.app
        if party is None or not party.alive:
            return
        self._trace.add("dies", f"the node, life {self.lives}: {why}")
        self._loop.kill(party)
        self._graves.append(party)
        if app is not None:
            self._dead.append(app)
            self.app = None

    async def close(self) -> None:
        """Let go of the files of all lives."""
        self.over = True
        for app in [*self._dead, *([self.app] if self.app else [])]:
            await app.database.close()

    def commit_s(self) -> float:
        """How long the next commit takes to reach the disk."""
        return self._chance.uniform(*_COMMIT_S)

    def moment(self, moment: Moment, party: Party) -> None:
        if party.alive:
            self.on_moment(moment)

    def committed(self) -> None:
        self.on_commit()

    async def _live(self, party: Party, listening: asyncio.Future[None]) -> None:
        randomness = Randomness(self.clock, self._seed * 1_000 + self.lives)
        app = self.app = await build(
            self.settings,
            clock=self.clock,
            randomness=randomness,
            executor=lambda name: _Executor(name, self, party),
            metrics=_metrics(),
        )
        worker = Worker(app, triggers=lambda: _Triggers(self.clock))
        await app.open(worker.periodic.ids)
        await worker.start()
        _listen(make_deps(app))
        await _bind()
        if not listening.done():
            listening.set_result(None)


@cache
def _metrics() -> Metrics:
    """One for all lives and runs: nobody reads them here, and they take long to declare."""
    return Metrics(__version__)


async def _never(*_: Any) -> Any:
    raise AssertionError("the node's life is begun and ended by hand")


@cache
def _application() -> tuple[FastAPI, uvicorn.Config]:
    """One for all lives and runs: its routes cost more than a life does."""
    app = make_app(_never, _never)
    config = uvicorn.Config(
        app,
        http=BoundedHttp,
        ws="none",
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_keep_alive=75,
        server_header=False,
        date_header=False,
        proxy_headers=False,
    )
    config.load()
    return app, config


def forget() -> None:
    """Let go of the last life, which the application still knows."""
    _application.cache_clear()


def _listen(deps: Deps) -> None:
    app, _ = _application()
    app.state.deps = deps


async def _bind() -> None:
    _, config = _application()
    state = ServerState()

    def protocol() -> asyncio.Protocol:
        return BoundedHttp(config=config, server_state=state, app_state={})

    await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", NODE_PORT)
