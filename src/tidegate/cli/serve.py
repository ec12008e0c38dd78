"""``serve``, ``worker``, ``migrate``: the processes of a deployment."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import dataclass
from types import FrameType
from typing import Any

import structlog
import typer
import uvicorn
from fastapi import FastAPI

from tidegate import __version__, migrations
from tidegate.api.app import make_app
from tidegate.api.deps import Deps, make_deps
from tidegate.api.http_protocol import BoundedHttp
from tidegate.bootstrap import build
from tidegate.cli.loop import run
from tidegate.cli.schema import refuse_misfit, refuse_unusable
from tidegate.cli.stopping import Stopping
from tidegate.clock import SystemClock
from tidegate.db.engine import open_database
from tidegate.db.lock import ServingLock
from tidegate.errors import ConfigurationError
from tidegate.monitoring.listener import Listener
from tidegate.observability import sentry, tracing
from tidegate.observability.logging import configure
from tidegate.settings import Settings, load
from tidegate.workers.main import Worker

__all__ = [
    "NO_WORKER",
    "SHARED_PORT",
    "configure_logs",
    "migrate",
    "register",
    "serve_app",
    "watch",
]

log = structlog.get_logger()

NO_WORKER = "TIDEGATE_NO_WORKER"
"""Set for serving processes that only answer requests."""

SHARED_PORT = "TIDEGATE_SHARED_PORT"
"""Set for serving processes that answer at one port together."""


def register(app: typer.Typer) -> None:
    app.command()(serve)
    app.command()(worker)
    app.command()(migrate)


def configure_logs(settings: Settings) -> None:
    """Send the logs where the settings say."""
    observability = settings.observability
    configure(observability.log_level, json=observability.log_format == "json")


@dataclass(slots=True)
class _Running:
    """What a process has started, and stops in the reverse order."""

    worker: Worker
    listener: Listener

    async def stop(self) -> None:
        await self.worker.stop()
        # Seen to the end: what a stop does is in the last scrape.
        await self.listener.stop()


def watch(settings: Settings) -> None:
    """Switch on what tells others how this process does: traces, and errors to Sentry.

    Raises ``ConfigurationError`` when the extra that it needs is not installed.
    """
    observability, faults = settings.observability, []
    if observability.traces == "otlp":
        try:
            tracing.start(settings.node.secrets[0], __version__)
        except ImportError:
            faults.append("TRACES is otlp, which needs an extra: install `tidegate[otel]`.")
    if observability.sentry_dsn is not None:
        dsn = observability.sentry_dsn.get_secret_value()
        try:
            sentry.start(dsn, settings.node.environment, __version__)
        except ImportError:
            faults.append("SENTRY_DSN needs an extra: install `tidegate[sentry]`.")
        except ValueError:
            faults.append("SENTRY_DSN is no DSN: copy it from the settings of the Sentry project.")
    if faults:
        raise ConfigurationError(faults)


def unwatch() -> None:
    """Send what is waiting."""
    tracing.stop()
    sentry.stop()


async def _start(
    settings: Settings, *, works: bool, shares_port: bool = False
) -> tuple[Deps, _Running]:
    """Build and start everything but the server."""
    app = await build(settings, mark=migrations.our_mark())
    try:
        # From here on its connections are marked: no migration takes away what it needs.
        await refuse_misfit(app.database, settings.database.url)
    except ConfigurationError:
        await app.database.close()
        raise
    worker_ = Worker(app, works=works)
    await app.open(worker_.periodic.ids)
    await worker_.start()
    listener = Listener(app)
    await listener.start()
    deps = make_deps(app, shares_port=shares_port)
    return deps, _Running(worker_, listener)


def serve_app(settings: Settings, *, works: bool, shares_port: bool = False) -> FastAPI:
    """The ASGI application with its worker, for any server."""
    running: list[tuple[_Running, Stopping]] = []

    async def start() -> Deps:
        deps, started = await _start(settings, works=works, shares_port=shares_port)
        stopping = Stopping(deps, started.worker, settings.server.shutdown_delay)
        stopping.listen()
        running.append((started, stopping))
        return deps

    async def stop(deps: Deps) -> None:
        for started, stopping in running:
            stopping.close()
            stopping.begin()
            await started.stop()
        await deps.app.close()
        unwatch()

    return make_app(start, stop, settings.server.cors_origins)


class _Server(uvicorn.Server):
    """Does not raise the stop signal once more at its end: a stop that was asked for and went
    well is exit code 0."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True


def _server_options(settings: Settings) -> dict[str, Any]:
    return {
        "host": settings.server.host,
        "port": settings.server.port,
        "http": BoundedHttp,
        "ws": "none",
        "log_config": None,
        "access_log": False,
        "timeout_graceful_shutdown": int(settings.server.shutdown_grace),
        # Longer than what callers keep an idle connection, so that they close it, not we.
        "timeout_keep_alive": 75,
        "server_header": False,
        "proxy_headers": bool(settings.server.trusted_proxies),
        "forwarded_allow_ips": [str(network) for network in settings.server.trusted_proxies],
        "lifespan": "on",
    }


def serve(
    no_worker: bool = typer.Option(False, "--no-worker", help="Answer requests only."),
    auto_migrate: bool = typer.Option(
        False, "--migrate", help="Bring the database up to date first."
    ),
    workers: int = typer.Option(1, min=1, help="Serving processes (PostgreSQL)."),
    reload: bool = typer.Option(False, "--reload", help="Start anew when the code changes."),
) -> None:
    """Answer requests and do the work, in one process."""
    settings = load()
    configure_logs(settings)
    if (no_worker or workers > 1) and settings.database.url.dialect == "sqlite":
        raise ConfigurationError(
            [
                "On SQLite exactly one process serves: leave out --no-worker and --workers, or "
                "use PostgreSQL."
            ]
        )
    watch(settings)  # a setting that cannot be used is refused before anything is changed
    with ServingLock(settings.database.url):
        if auto_migrate:
            run(_migrate(settings, "head"))
        # Said here, where a person reads it; the server would log it as a failure of its own.
        run(refuse_unusable(settings))
        if workers > 1 or reload:
            unwatch()  # each of the processes has its own
            os.environ[NO_WORKER] = "1" if no_worker else ""
            os.environ[SHARED_PORT] = "1" if workers > 1 else ""
            uvicorn.run(
                "tidegate.cli.asgi:create",
                factory=True,
                workers=workers,
                reload=reload,
                **_server_options(settings),
            )
            return
        app = serve_app(settings, works=not no_worker)
        server = _Server(uvicorn.Config(app, **_server_options(settings)))
        run(server.serve())
    if not server.started:
        raise typer.Exit(1)


def worker() -> None:
    """Do the work without answering requests (PostgreSQL)."""
    settings = load()
    configure_logs(settings)
    if settings.database.url.dialect == "sqlite":
        raise ConfigurationError(
            ["On SQLite exactly one process serves: use `tidegate serve`, or PostgreSQL."]
        )
    watch(settings)
    run(refuse_unusable(settings))
    run(_work(settings))


async def _work(settings: Settings) -> None:
    # Before the first row is claimed: a stop during the start gives back what was taken.
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, stop.set)
    deps, running = await _start(settings, works=True)
    await stop.wait()
    log.info("process.stopping", delay_s=0)
    await running.stop()
    await deps.app.close()
    unwatch()


def migrate(
    to: str = typer.Option("head", help="The revision to go up to."),
    down_to: str = typer.Option("", help="Go down to this revision instead (`base`: empty)."),
) -> None:
    """Bring the database to the schema of this program; make the node's identity if it has none."""
    settings = load()
    configure_logs(settings)
    with ServingLock(settings.database.url):  # SQLite: nobody serves meanwhile
        typer.echo(run(_migrate(settings, to, down_to)))


async def _migrate(settings: Settings, to: str, down_to: str = "") -> str:
    """What there is then, for a person."""
    url = settings.database.url
    database = open_database(url, SystemClock())
    try:
        if down_to:
            await migrations.downgrade(database, down_to)
            node_id = ""
        else:
            node_id = await migrations.upgrade(database, node_id=settings.node.node_id, to=to)
        schema = await database.read(migrations.note)
        return f"Migrated {url.display}: {schema}" + (f" Node {node_id}." if node_id else "")
    finally:
        await database.close()
