"""What a benchmark prints: figures for people, or one JSON object. Pure but for the printing."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tidegate.cli.bench_run import Configuration, Load, Measured
from tidegate.cli.output import pairs, print_json, say, show_table

__all__ = ["Series", "print_report"]

_SPANS = {
    "offer_to_answer": "offer sent to offer answered",
    "answer_to_accept": "offer answered to accept received",
    "webhook_to_fulfil": "webhook sent to fulfil(success) received",
    "offer_to_fulfil": "offer sent to fulfil(success) received",
}
_EXPLANATION = (
    "All times are taken by the other companies' process, on its clock: answered is when the "
    "aggregator has read the answer, received when it has verified the call, sent when the bank "
    "begins to send. So the way there, and the wait for a CPU, are part of them."
)
# What one live order takes when nothing goes wrong; pushes of the balance come on top.
_EXPECTED: Mapping[str, float] = {
    "aggregator offer 200": 1,
    "aggregator accept 201": 1,
    "aggregator fulfill pending": 1,
    "aggregator fulfill success": 1,
    "bank POST /transfer": 1,
    "bank GET /transfer/by-reference": 1,
    "bank webhook delivered": 1,
}
_SPEC_HAS_NOT = "aggregator fulfill pending"


@dataclass(frozen=True, slots=True)
class Series:
    """The runs of one configuration; ``fsync_ms`` is ``None`` where its disk is not ours to ask."""

    configuration: Configuration
    runs: Sequence[Measured]
    fsync_ms: Mapping[str, float] | None

    def median(self, figure: str) -> float | None:
        """The median of a figure of :func:`figures` over the runs."""
        values = [value for run in self.runs if (value := figures(run)[figure]) is not None]
        return statistics.median(values) if values else None

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.configuration.name,
            "database": self.configuration.shown,
            "fsync_ms": self.fsync_ms,
            "median": {name: self.median(name) for name in figures(self.runs[0])},
            "runs": [run.as_json() for run in self.runs],
        }


def figures(run: Measured) -> dict[str, float | None]:
    """The figures that are compared, by name; times in milliseconds."""
    orders = max(1, run.orders)

    def an_order(seconds: float | None) -> float | None:
        return None if seconds is None else seconds * 1000 / orders

    found: dict[str, float | None] = {
        "orders a second": run.orders_per_s,
        "node's CPU ms an order": an_order(run.node_cpu_s),
        "database's CPU ms an order": an_order(run.database_cpu_s),
        "other companies' CPU ms an order": an_order(run.companies_cpu_s),
        "commits an order": run.commits / orders,
        "units of work a commit": run.units / max(1.0, run.commits),
        "ms a commit": run.commit_s * 1000 / max(1.0, run.commits),
        "look-ups an order": run.calls.get("bank GET /transfer/by-reference", 0) / orders,
        "RSS MiB": _mib(run.rss_kib),
        "greatest RSS MiB": _mib(run.rss_max_kib),
    }
    for span, shown in _SPANS.items():
        times = run.latencies_ms.get(span, {})
        for rank in ("p50", "p99"):
            found[f"{rank} ms, {shown}"] = times.get(rank)
    return found


def _mib(kib: int | None) -> float | None:
    return None if kib is None else kib / 1024


def print_report(load: Load, dialect: str, series: Sequence[Series], *, json: bool) -> None:
    """Everything that was measured; with two series also their ratios."""
    if json:
        print_json(
            {
                "cpus": os.cpu_count(),
                "load": asdict(load),
                "dialect": dialect,
                "configurations": [one.as_json() for one in series],
                "ratios": _ratios(*series) if len(series) == 2 else None,
            }
        )
        return
    loop = f"open loop, {load.rate:g} a second" if load.rate else f"{load.in_flight} in flight"
    say(f"{load.orders} orders a run, {loop}, {dialect} dialect, {os.cpu_count()} CPUs\n")
    if len(series) == 2:
        _print_both(*series)
    for one in series:
        say(f"{one.configuration.name}: {one.configuration.shown}")
        _print_one(one, dialect)
    say(_EXPLANATION)


def _print_one(series: Series, dialect: str) -> None:
    if len(series.runs) > 1:
        say(f"Medians of {len(series.runs)} runs.")
    pairs(
        (figure, _number(value))
        for figure in figures(series.runs[0])
        if not figure.startswith("p") and (value := series.median(figure)) is not None
    )
    if series.fsync_ms is None:
        say("The cost of an fsync is not known: the server's disk is elsewhere.")
    else:
        fsync = series.fsync_ms
        say(f"An fsync costs {fsync['p50']:.2f} ms here (worst of 60: {fsync['max']:.2f}).")
    last = series.runs[-1]
    say(_growth(last.rss_kib_at))
    show_table(
        ("milliseconds", "p50", "p99", "greatest"),
        _latency_rows(series.runs),
        right=("p50", "p99", "greatest"),
    )
    show_table(
        ("calls an order", "made", "expected"),
        _call_rows(series.runs, dialect),
        right=("made", "expected"),
    )
    for run in series.runs:
        _print_troubles(run)


def _growth(rss_kib_at: Mapping[int, int]) -> str:
    marks = [f"{kib / 1024:.1f} MiB at order {mark:,}" for mark, kib in sorted(rss_kib_at.items())]
    if not marks:
        return "Memory is noted at orders 5,000 and 20,000: there were fewer."
    growth = max(rss_kib_at.values()) - min(rss_kib_at.values())
    more = f", {growth / 1024:+.1f} MiB between them" if len(marks) > 1 else ""
    return f"RSS {', '.join(marks)}{more}."


def _latency_rows(runs: Sequence[Measured]) -> Iterable[tuple[str, str, str, str]]:
    for span, shown in _SPANS.items():
        times = [run.latencies_ms[span] for run in runs if span in run.latencies_ms]
        if times:
            p50, p99 = (statistics.median(each[rank] for each in times) for rank in ("p50", "p99"))
            yield shown, _number(p50), _number(p99), _number(max(each["max"] for each in times))


def _call_rows(runs: Sequence[Measured], dialect: str) -> Iterable[tuple[str, str, str]]:
    orders = max(1, sum(run.orders for run in runs))
    names = sorted({name for run in runs for name in run.calls} | _EXPECTED.keys())
    for name in names:
        made = sum(run.calls.get(name, 0) for run in runs) / orders
        expected = 0.0 if dialect == "spec" and name == _SPEC_HAS_NOT else _EXPECTED.get(name)
        if made or expected:
            yield name, f"{made:.3f}", "" if expected is None else f"{expected:g}"


def _print_troubles(run: Measured) -> None:
    for violation in run.violations[:5]:
        say(f"VIOLATION {violation['wrong']}: {violation['key']} {violation['detail']}")
    for story in run.unfinished[:5]:
        say(f"NOT FULFILLED {story['id']}: {story['status']}")
    for reference in run.paid_more_than_once[:5]:
        say(f"PAID MORE THAN ONCE {reference}")


def _ratios(first: Series, second: Series) -> dict[str, dict[str, float | None]]:
    """Second over first: the median over the pairs of runs, and the pairs that are furthest out.

    A pair is two runs that were next to each other in time, so that what the machine did meanwhile
    strikes both.
    """
    found: dict[str, dict[str, float | None]] = {}
    for figure in figures(first.runs[0]):
        ratios = [
            theirs / ours
            for one, two in zip(first.runs, second.runs, strict=True)
            if (ours := figures(one)[figure]) and (theirs := figures(two)[figure]) is not None
        ]
        if ratios:
            found[figure] = {
                "first": first.median(figure),
                "second": second.median(figure),
                "ratio": statistics.median(ratios),
                "least": min(ratios),
                "greatest": max(ratios),
            }
    return found


def _print_both(first: Series, second: Series) -> None:
    names = (first.configuration.name, second.configuration.name)
    show_table(
        ("median", *names, "ratio", "least", "greatest"),
        (
            (figure, *(_number(value) for value in row.values()))
            for figure, row in _ratios(first, second).items()
        ),
        right=(*names, "ratio", "least", "greatest"),
    )


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
