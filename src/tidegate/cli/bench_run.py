"""One configuration under measurement: a database, the node on it, and companies of its own."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import statistics
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tidegate.cli.processes import Node, NodeFailed, Usage, child_environment, usage_of
from tidegate.db.url import parse
from tidegate.errors import ConfigurationError

__all__ = ["Configuration", "Load", "Measured", "Stand", "fsync_ms"]

_BALANCE = "50000000000.00"
_RSS_AT = (5_000, 20_000)
_ANSWER_LIMIT = 1 << 22
_SETTLE_S = 0.3

# The bench asks what the node can do, not what the defaults spare a PSP.
_SETTINGS = {
    "LOOKUP_RATE": "1000000",
    "ACCEPT_CONCURRENCY": "256",
    "DISBURSE_CONCURRENCY": "256",
    "CONFIRM_CONCURRENCY": "256",
    "REPORT_CONCURRENCY": "256",
    "PSP_CONCURRENCY": "256",
    "LOG_LEVEL": "WARNING",
}


@dataclass(frozen=True, slots=True)
class Configuration:
    """What is measured.

    ``database_pid`` and ``disk`` are the database's server and directory, if they are ours to look
    at; ``source`` is the folder that holds another ``tidegate`` package.
    """

    name: str
    database_url: str
    database_pid: int | None = None
    disk: Path | None = None
    source: Path | None = None

    @property
    def shown(self) -> str:
        """The database, without its password, and the other package."""
        display = parse(self.database_url).display
        return display if self.source is None else f"{display}, node from {self.source}"


@dataclass(frozen=True, slots=True)
class Load:
    """``rate`` orders a second (open loop), or ``in_flight`` at a time (closed loop) if 0."""

    orders: int
    in_flight: int
    rate: float = 0.0


@dataclass(frozen=True, slots=True)
class Measured:
    """One run. Times in the unit of the name; ``None`` where the system does not tell."""

    orders: int
    seconds: float
    node_cpu_s: float | None
    companies_cpu_s: float
    database_cpu_s: float | None
    rss_kib: int | None
    rss_max_kib: int | None
    rss_kib_at: Mapping[int, int]
    commits: float
    units: float
    commit_s: float
    calls: Mapping[str, int]
    latencies_ms: Mapping[str, Mapping[str, float]]
    violations: list[dict[str, Any]] = field(default_factory=list)
    unfinished: list[dict[str, Any]] = field(default_factory=list)
    paid_more_than_once: list[str] = field(default_factory=list)

    @property
    def orders_per_s(self) -> float:
        return self.orders / self.seconds if self.seconds > 0 else 0.0

    @property
    def sound(self) -> bool:
        """Whether everything came to its right end; if not, the figures mean nothing."""
        return not (self.violations or self.unfinished or self.paid_more_than_once)

    def as_json(self) -> dict[str, Any]:
        """Everything measured, and what follows from it per order."""
        return asdict(self) | {"orders_per_s": self.orders_per_s, "sound": self.sound}


class Stand:
    """Starts everything of one configuration, runs loads on it, stops everything."""

    def __init__(self, configuration: Configuration, directory: Path, *, dialect: str) -> None:
        self.configuration = configuration
        self._directory = directory
        self._dialect = dialect
        self._companies: asyncio.subprocess.Process | None = None
        self._node: Node | None = None
        self._fulfilled = 0
        self._rss_at: dict[int, int] = {}

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stop()

    @property
    def node(self) -> Node:
        if self._node is None:
            raise NodeFailed()
        return self._node

    async def _start(self) -> None:
        start = {
            "seed": 1,
            "client_id": str(uuid.uuid4()),
            "secret": secrets.token_urlsafe(32),
            "token": secrets.token_urlsafe(32),
            "account_id": str(uuid.uuid4()),
            "balance": _BALANCE,
            "dialect": self._dialect,
        }
        with (self._directory / "companies.log").open("ab") as log:
            self._companies = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "tidegate.cli.bench_companies"),
                cwd=self._directory,
                env=child_environment(),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                limit=_ANSWER_LIMIT,
            )
        await self._tell({"start": start})
        there = await self._hear()
        settings = {
            **_SETTINGS,
            "DATABASE_URL": self.configuration.database_url,
            "AGGREGATOR_BASE_URL": there["aggregator"],
            "AGGREGATOR_CLIENT_ID": start["client_id"],
            "AGGREGATOR_SECRET_KEY": start["secret"],
            "AGGREGATOR_DIALECT": self._dialect,
            "LENCO_BASE_URL": there["bank"],
            "LENCO_API_KEY": start["token"],
            "LENCO_ACCOUNT_ID": start["account_id"],
        }
        self._node = Node(self._directory, settings, source=self.configuration.source)
        await self._node.start()
        info = await self._node.get("/info")
        if info["data"]["totalBalances"]["NGN"]["totalBalance"] != _BALANCE:
            raise ConfigurationError(
                ["The database to measure on holds another float already: name an empty one."]
            )

    async def run(self, load: Load, progress: Callable[[int], None] | None = None) -> Measured:
        """Send ``load`` through the node and measure from the first offer to the last fulfil."""
        await asyncio.sleep(_SETTLE_S)
        before, cpu, database = await self._reading()
        await self._tell({"run": {"node": self.node.url, **asdict(load)}})
        while True:
            heard = await self._hear()
            if "result" in heard:
                break
            self._sample(self._fulfilled + heard["progress"])
            if progress is not None:
                progress(heard["progress"])
        result = heard["result"]
        after, cpu_after, database_after = await self._reading()
        self._fulfilled += result["orders"]
        self._sample(self._fulfilled)

        def grown(name: str) -> float:
            return after.get(name, 0.0) - before.get(name, 0.0)

        return Measured(
            **result,
            node_cpu_s=_difference(cpu.cpu_s, cpu_after.cpu_s),
            database_cpu_s=_difference(database, database_after),
            rss_kib=cpu_after.rss_kib,
            rss_max_kib=cpu_after.rss_max_kib,
            rss_kib_at=dict(self._rss_at),
            commits=grown('tidegate_commits_total{result="committed"}'),
            units=grown("tidegate_commit_group_size_units_sum"),
            commit_s=grown("tidegate_commit_duration_seconds_sum"),
        )

    def _sample(self, fulfilled: int) -> None:
        for mark in _RSS_AT:
            if fulfilled >= mark and mark not in self._rss_at:
                rss = usage_of(self.node.pid).rss_kib
                if rss is not None:
                    self._rss_at[mark] = rss

    async def _reading(self) -> tuple[dict[str, float], Usage, float | None]:
        metrics = await self.node.metrics()
        pid = self.configuration.database_pid
        database = None if pid is None else _cpu_of_family(pid)
        return metrics, usage_of(self.node.pid), database

    async def _tell(self, message: Mapping[str, Any]) -> None:
        assert self._companies is not None  # by the order of calls
        assert self._companies.stdin is not None  # by its pipe
        self._companies.stdin.write(json.dumps(message).encode() + b"\n")
        await self._companies.stdin.drain()

    async def _hear(self) -> dict[str, Any]:
        assert self._companies is not None  # by the order of calls
        assert self._companies.stdout is not None  # by its pipe
        line = await self._companies.stdout.readline()
        if not line:
            log = (self._directory / "companies.log").read_text(errors="replace")
            raise NodeFailed(f"The other companies ended:\n{log[-2000:]}")
        heard: dict[str, Any] = json.loads(line)
        return heard

    async def _stop(self) -> None:
        if self._node is not None:
            await self._node.stop()
        companies = self._companies
        if companies is not None and companies.stdin is not None:
            companies.stdin.close()
            try:
                async with asyncio.timeout(10):
                    await companies.wait()
            except TimeoutError:
                with suppress(ProcessLookupError):
                    companies.kill()
                await companies.wait()


def _difference(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def _cpu_of_family(pid: int) -> float:
    """CPU seconds of a process and its children now: a database server and its connections."""
    family = [pid]
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                family.append(int(stat.parent.name))
    return sum(usage_of(one).cpu_s or 0.0 for one in family)


def fsync_ms(directory: Path, times: int = 60) -> dict[str, float]:
    """What it costs here to make 4 KiB durable: p50 and the worst of ``times``, milliseconds."""
    path = directory / f"fsync-{secrets.token_hex(4)}"
    block = secrets.token_bytes(4096)
    took = []
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        for _ in range(times):
            os.write(file, block)
            began = time.perf_counter()
            os.fsync(file)
            took.append((time.perf_counter() - began) * 1000)
    finally:
        os.close(file)
        path.unlink()
    return {"p50": statistics.median(took), "max": max(took)}
