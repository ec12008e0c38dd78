"""One configuration under measurement: a database, the node on it, and what a load costs it."""

from __future__ import annotations

import asyncio
import os
import secrets
import statistics
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

from tidegate.cli.bench_others import Others
from tidegate.cli.processes import Node, NodeFailed, Usage, usage_of
from tidegate.db.url import parse
from tidegate.errors import ConfigurationError

__all__ = ["Configuration", "Cost", "Load", "Run", "Stand", "fsync_ms"]

_BALANCE = "50000000000.00"
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
    at; ``source`` is the folder that holds another ``tidegate`` package. With a ``data_key`` the
    node keeps recipients' data encrypted.
    """

    name: str
    database_url: str
    database_pid: int | None = None
    disk: Path | None = None
    source: Path | None = None
    data_key: str = field(default="", repr=False)

    @property
    def shown(self) -> str:
        """The database, without its password, and the other package."""
        display = parse(self.database_url).display
        if self.data_key:
            display = f"{display}, with DATA_KEY"
        return display if self.source is None else f"{display}, node from {self.source}"


@dataclass(frozen=True, slots=True)
class Load:
    """``rate`` orders a second (open loop), or ``in_flight`` at a time (closed loop) if 0."""

    orders: int
    in_flight: int
    rate: float = 0.0


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run took from the node and its database; ``None`` where the system does not tell."""

    node_cpu_s: float | None
    database_cpu_s: float | None
    rss_before_kib: int | None
    rss_kib: int | None
    rss_max_kib: int | None
    commits: float
    units: float
    commit_s: float


class Run(Protocol):
    """One run of a load, measured."""

    @property
    def sound(self) -> bool:
        """Whether everything came to its right end; if not, the figures mean nothing."""
        ...

    def figures(self) -> dict[str, float | None]:
        """The figures that are compared, by name; times in milliseconds."""
        ...

    def as_json(self) -> dict[str, Any]: ...


M = TypeVar("M", bound=Run)


class Stand(ABC, Generic[M]):
    """Starts everything of one configuration, runs loads on it, stops everything."""

    companies: ClassVar[str]
    """The module that plays the other companies and sends the load."""

    def __init__(
        self, configuration: Configuration, directory: Path, *, dialect: str = "live"
    ) -> None:
        self.configuration = configuration
        self._directory = directory
        self._dialect = dialect
        self._others = Others(self.companies, directory)
        self._node: Node | None = None

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
            **self._more_start(),
        }
        there = await self._others.start(start)
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
            **self._more_settings(start, there),
        }
        if self.configuration.data_key:
            settings["DATA_KEY"] = self.configuration.data_key
        self._node = Node(self._directory, settings, source=self.configuration.source)
        await self._node.start()
        info = await self._node.get("/info")
        if info["data"]["totalBalances"]["NGN"]["totalBalance"] != _BALANCE:
            raise ConfigurationError(
                ["The database to measure on holds another float already: name an empty one."]
            )

    async def run(self, load: Load, progress: Callable[[int], None] | None = None) -> M:
        """Send ``load`` through the node and measure until all of it has ended."""
        await asyncio.sleep(_SETTLE_S)
        before, cpu, database = await self._reading()
        await self._others.tell({"run": {"node": self.node.url, **asdict(load)}})
        while True:
            heard = await self._others.hear()
            if "result" in heard:
                break
            self._progressed(heard["progress"])
            if progress is not None:
                progress(heard["progress"])
        await self._ended()
        after, cpu_after, database_after = await self._reading()

        def grown(name: str) -> float:
            return after.get(name, 0.0) - before.get(name, 0.0)

        cost = Cost(
            node_cpu_s=_difference(cpu.cpu_s, cpu_after.cpu_s),
            database_cpu_s=_difference(database, database_after),
            rss_before_kib=cpu.rss_kib,
            rss_kib=cpu_after.rss_kib,
            rss_max_kib=cpu_after.rss_max_kib,
            commits=grown('tidegate_commits_total{result="committed"}'),
            units=grown("tidegate_commit_group_size_units_sum"),
            commit_s=grown("tidegate_commit_duration_seconds_sum"),
        )
        return await self._measured(heard["result"], cost)

    # -- what a benchmark says of itself ----------------------------------------------------------

    def _more_start(self) -> Mapping[str, Any]:
        """What else the other companies are started with."""
        return {}

    def _more_settings(
        self, start: Mapping[str, Any], there: Mapping[str, str]
    ) -> Mapping[str, str]:
        """What else the node is told; ``there`` are the companies' addresses."""
        return {}

    def _progressed(self, done: int) -> None:
        """``done`` of this run have ended."""
        return None

    async def _ended(self) -> None:
        """The load is over; wait for what of the node's work is to be counted with it."""
        return None

    @abstractmethod
    async def _measured(self, result: Mapping[str, Any], cost: Cost) -> M:
        """Put together what the other companies counted and what it cost."""

    # -- reading ----------------------------------------------------------------------------------

    async def _reading(self) -> tuple[dict[str, float], Usage, float | None]:
        metrics = await self.node.metrics()
        pid = self.configuration.database_pid
        database = None if pid is None else _cpu_of_family(pid)
        return metrics, usage_of(self.node.pid), database

    async def _stop(self) -> None:
        if self._node is not None:
            await self._node.stop()
        await self._others.stop()


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
