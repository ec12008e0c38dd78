"""The node under test: in the test's own process, or as the real program in a child process."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import aiohttp
import uvicorn

from tests.support import nursery
from tidegate import migrations
from tidegate.api.app import make_app
from tidegate.api.deps import Deps, make_deps
from tidegate.bootstrap import Application, build
from tidegate.clock import Clock, SystemClock
from tidegate.db.engine import open_database
from tidegate.db.url import parse
from tidegate.settings import Settings, load
from tidegate.workers.main import Worker

__all__ = ["ChildNode", "LocalNode", "environment", "free_port", "migrate"]

# Short enough that a lost answer is looked into while the test waits.
_SHORT = {
    "DEBUG": "true",
    "TIDEGATE_ENV": "sandbox",
    "LOG_LEVEL": "WARNING",
    "OFFER_TTL": "20",
    "ACCEPT_MARGIN": "1",
    "LOOKUP_SCHEDULE": "1,1,1,2",
    "LOOKUP_STEADY": "3",
    "NOT_FOUND_WINDOW": "3",
    "COOL_OFF": "3",
    "HOLD_LIMIT": "60",
    "ORDER_POLL_INTERVAL": "1",
    "BALANCE_SYNC_INTERVAL": "0.5",
    "BALANCE_PUSH_GAP": "1",
    "SEAL_INTERVAL": "1",
    "WORK_POLL_INTERVAL": "0.5",
    "SHUTDOWN_GRACE": "3",
}
# For a machine that is busy with other things.
_READY_S = 120.0
_COMMAND_S = 300.0
_STOPPED_S = 60.0


def environment(
    url: str,
    *,
    aggregator: str,
    client_id: str,
    secret: str,
    bank: str,
    token: str,
    account_id: str,
    **more: str,
) -> dict[str, str]:
    """The settings of a node between these two companies; ``more`` overrides."""
    return {
        **_SHORT,
        "DATABASE_URL": url,
        "AGGREGATOR_BASE_URL": aggregator,
        "AGGREGATOR_CLIENT_ID": client_id,
        "AGGREGATOR_SECRET_KEY": secret,
        "AGGREGATOR_DIALECT": "live",
        "LENCO_BASE_URL": bank,
        "LENCO_API_KEY": token,
        "LENCO_ACCOUNT_ID": account_id,
        **more,
    }


def free_port() -> int:
    """A port that nobody listens on and that the aggregator does not take for an error code."""
    while True:
        with socket.socket() as asked:
            asked.bind(("127.0.0.1", 0))
            port: int = asked.getsockname()[1]
        if "400" not in str(port):
            return port


def migrate(url: str) -> None:
    """Make a database's tables; for a template."""

    async def run() -> None:
        database = open_database(parse(url), SystemClock())
        await migrations.upgrade(database)
        await database.close()

    asyncio.run(run())


class LocalNode:
    """API and worker in this process, on ``clock``, with every part within reach."""

    app: Application
    worker: Worker
    deps: Deps

    def __init__(self, env: Mapping[str, str], clock: Clock, *, works: bool = True) -> None:
        self.settings: Settings = load(env, env_file=None)
        self._clock = clock
        self._works = works
        self._server: uvicorn.Server | None = None
        self._ticks: asyncio.Task[None] | None = None
        self.url = ""

    async def start(self) -> str:
        """Listen on a free port; returns the address."""
        config = uvicorn.Config(
            make_app(self._open, self._close),
            host="127.0.0.1",
            port=0,
            log_config=None,
            access_log=False,
            lifespan="on",
            ws="none",
            timeout_graceful_shutdown=2,
        )
        config.load()
        self._server = uvicorn.Server(config)
        self._server.lifespan = config.lifespan_class(config)
        await self._server.startup()
        assert self._server.started, "the node did not start"
        self._ticks = asyncio.create_task(self._server.main_loop())
        self.url = f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"
        return self.url

    async def stop(self) -> None:
        if self._server is None or self._ticks is None:
            return
        self._server.should_exit = True
        await self._ticks
        await self._server.shutdown()
        self._server = None

    async def _open(self) -> Deps:
        self.app = await build(self.settings, clock=self._clock)
        # The node is alone on its database, so that its clock may rule there too.
        self.app.database.now_ms = lambda connection: self._clock.now_ms()  # type: ignore[method-assign]  # a seam of this test only
        self.worker = Worker(self.app, works=self._works)
        await self.app.open(self.worker.periodic.ids)
        await self.worker.start()
        self.deps = make_deps(self.app)
        return self.deps

    async def _close(self, deps: Deps) -> None:
        await self.worker.stop()
        await self.app.close()


class ChildNode:
    """The real program. ``arguments`` is the command line behind ``tidegate``."""

    def __init__(self, env: Mapping[str, str], log: Path, arguments: Sequence[str]) -> None:
        self._env = {
            **{name: value for name, value in os.environ.items() if name in {"PATH", "HOME"}},
            **env,
        }
        self._log = log
        self._arguments = tuple(arguments)
        self._process: nursery.Process | None = None
        self._began_at = 0  # in the log

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._env['SERVER_PORT']}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> Path:
        """Where what it says is kept, over all its starts."""
        return self._log

    @property
    def running(self) -> bool:
        """It was started, and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process; what it says is appended to the log."""
        with self._log.open("ab") as log:
            self._began_at = log.tell()
        # Away from a developer's own .env.
        self._process = nursery.start(
            self._arguments, env=self._env, cwd=self._log.parent, log=self._log
        )

    async def ready(self) -> None:
        """Return once it answers."""
        async with aiohttp.ClientSession() as session, asyncio.timeout(_READY_S):
            while True:
                assert self._process is not None
                assert self._process.poll() is None, self.tail()
                try:
                    async with session.get(f"{self.url}/health") as response:
                        if response.status == 200:
                            return
                except aiohttp.ClientError:
                    pass  # not yet
                await asyncio.sleep(0.02)

    def said(self, words: str) -> bool:
        """Whether these words are in the log since its start."""
        with self._log.open("rb") as log:
            log.seek(self._began_at)
            return words.encode() in log.read()

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Another command of the program, with the same settings, to its end."""
        return nursery.run(arguments, env=self._env, cwd=self._log.parent, timeout=_COMMAND_S)

    def kill(self) -> None:
        """As power does it: no handler runs, nothing is written any more."""
        self._end(signal.SIGKILL)

    def stop(self) -> int | None:
        """Ask it to stop, and wait; its exit code, if it ran and anybody can tell."""
        return self._end(signal.SIGTERM)

    def tail(self, length: int = 6_000) -> str:
        """The end of what it said."""
        return self._log.read_text(errors="replace")[-length:] if self._log.exists() else ""

    def _end(self, sign: signal.Signals) -> int | None:
        if self._process is None:
            return None
        self._process.send_signal(sign)
        try:
            return self._process.wait(_STOPPED_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_STOPPED_S)
            raise AssertionError(f"the node did not stop: {self.tail()}") from None
        finally:
            self._process = None
