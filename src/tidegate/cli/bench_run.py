"""``bench payouts`` on one configuration: orders from offer to fulfilled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tidegate.cli.bench_stand import Configuration, Cost, Stand
from tidegate.cli.processes import usage_of

__all__ = ["SPANS", "Measured", "PayoutsStand"]

SPANS = {
    "offer_to_answer": "offer sent to offer answered",
    "answer_to_accept": "offer answered to accept received",
    "webhook_to_fulfil": "webhook sent to fulfil(success) received",
    "offer_to_fulfil": "offer sent to fulfil(success) received",
}
_RSS_AT = (5_000, 20_000)


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

    def figures(self) -> dict[str, float | None]:
        """The figures that are compared, by name; times in milliseconds."""
        orders = max(1, self.orders)

        def an_order(seconds: float | None) -> float | None:
            return None if seconds is None else seconds * 1000 / orders

        found: dict[str, float | None] = {
            "orders a second": self.orders_per_s,
            "node's CPU ms an order": an_order(self.node_cpu_s),
            "database's CPU ms an order": an_order(self.database_cpu_s),
            "other companies' CPU ms an order": an_order(self.companies_cpu_s),
            "commits an order": self.commits / orders,
            "units of work a commit": self.units / max(1.0, self.commits),
            "ms a commit": self.commit_s * 1000 / max(1.0, self.commits),
            "look-ups an order": self.calls.get("bank GET /transfer/by-reference", 0) / orders,
            "RSS MiB": _mib(self.rss_kib),
            "greatest RSS MiB": _mib(self.rss_max_kib),
        }
        for span, shown in SPANS.items():
            times = self.latencies_ms.get(span, {})
            for rank in ("p50", "p99"):
                found[f"{rank} ms, {shown}"] = times.get(rank)
        return found

    def as_json(self) -> dict[str, Any]:
        """Everything measured, and what follows from it per order."""
        return asdict(self) | {"orders_per_s": self.orders_per_s, "sound": self.sound}


def _mib(kib: int | None) -> float | None:
    return None if kib is None else kib / 1024


class PayoutsStand(Stand[Measured]):
    """Measures from the first offer to the last fulfil."""

    companies = "tidegate.cli.bench_companies"

    def __init__(self, configuration: Configuration, directory: Path, *, dialect: str) -> None:
        super().__init__(configuration, directory, dialect=dialect)
        self._fulfilled = 0
        self._rss_at: dict[int, int] = {}

    def _progressed(self, done: int) -> None:
        self._sample(self._fulfilled + done)

    async def _measured(self, result: Mapping[str, Any], cost: Cost) -> Measured:
        self._fulfilled += result["orders"]
        self._sample(self._fulfilled)
        costs = asdict(cost)
        del costs["rss_before_kib"]
        return Measured(**result, **costs, rss_kib_at=dict(self._rss_at))

    def _sample(self, fulfilled: int) -> None:
        for mark in _RSS_AT:
            if fulfilled >= mark and mark not in self._rss_at:
                rss = usage_of(self.node.pid).rss_kib
                if rss is not None:
                    self._rss_at[mark] = rss
