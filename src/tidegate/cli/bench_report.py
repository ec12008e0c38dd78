"""What a benchmark prints: figures for people, or one JSON object. Pure but for the printing."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

from tidegate.cli.bench_run import SPANS, Measured
from tidegate.cli.bench_stand import Configuration, Load, Run
from tidegate.cli.output import pairs, print_json, say, show_table

__all__ = ["Series", "number_shown", "print_both", "print_medians", "print_report", "ratios"]

M = TypeVar("M", bound=Run)

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
_LATENCIES = ("p50 ", "p99 ", "pmax ")
_SPEC_HAS_NOT = "aggregator fulfill pending"


@dataclass(frozen=True, slots=True)
class Series(Generic[M]):
    """The runs of one configuration; ``fsync_ms`` is ``None`` where its disk is not ours to ask."""

    configuration: Configuration
    runs: Sequence[M]
    fsync_ms: Mapping[str, float] | None

    def median(self, figure: str) -> float | None:
        """The median of a figure over the runs."""
        values = [value for run in self.runs if (value := run.figures()[figure]) is not None]
        return statistics.median(values) if values else None

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.configuration.name,
            "database": self.configuration.shown,
            "fsync_ms": self.fsync_ms,
            "median": {name: self.median(name) for name in self.runs[0].figures()},
            "runs": [run.as_json() for run in self.runs],
        }


def print_report(
    load: Load, dialect: str, series: Sequence[Series[Measured]], *, json: bool
) -> None:
    """Everything that was measured; with two series also their ratios."""
    if json:
        print_json(
            {
                "cpus": os.cpu_count(),
                "load": asdict(load),
                "dialect": dialect,
                "configurations": [one.as_json() for one in series],
                "ratios": ratios(*series) if len(series) == 2 else None,
            }
        )
        return
    loop = f"open loop, {load.rate:g} a second" if load.rate else f"{load.in_flight} in flight"
    say(f"{load.orders} orders a run, {loop}, {dialect} dialect, {os.cpu_count()} CPUs\n")
    if len(series) == 2:
        print_both(*series)
    for one in series:
        say(f"{one.configuration.name}: {one.configuration.shown}")
        _print_one(one, dialect)
    say(_EXPLANATION)


def _print_one(series: Series[Measured], dialect: str) -> None:
    print_medians(series)
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


def print_medians(series: Series[M]) -> None:
    """The figures but for the latencies, which have a table of their own, and the disk."""
    if len(series.runs) > 1:
        say(f"Medians of {len(series.runs)} runs.")
    pairs(
        (figure, number_shown(value))
        for figure in series.runs[0].figures()
        if not figure.startswith(("p50", "p99", "pmax"))
        and (value := series.median(figure)) is not None
    )
    if series.fsync_ms is None:
        say("The cost of an fsync is not known: the server's disk is elsewhere.")
    else:
        fsync = series.fsync_ms
        say(f"An fsync costs {fsync['p50']:.2f} ms here (worst of 60: {fsync['max']:.2f}).")


def _growth(rss_kib_at: Mapping[int, int]) -> str:
    marks = [f"{kib / 1024:.1f} MiB at order {mark:,}" for mark, kib in sorted(rss_kib_at.items())]
    if not marks:
        return "Memory is noted at orders 5,000 and 20,000: there were fewer."
    growth = max(rss_kib_at.values()) - min(rss_kib_at.values())
    more = f", {growth / 1024:+.1f} MiB between them" if len(marks) > 1 else ""
    return f"RSS {', '.join(marks)}{more}."


def _latency_rows(runs: Sequence[Measured]) -> Iterable[tuple[str, str, str, str]]:
    for span, shown in SPANS.items():
        times = [run.latencies_ms[span] for run in runs if span in run.latencies_ms]
        if times:
            p50, p99 = (statistics.median(each[rank] for each in times) for rank in ("p50", "p99"))
            yield (
                shown,
                number_shown(p50),
                number_shown(p99),
                number_shown(max(each["max"] for each in times)),
            )


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


def ratios(first: Series[M], second: Series[M]) -> dict[str, dict[str, float | None]]:
    """Second over first: the median over the pairs of runs, and the pairs that are furthest out.

    A pair is two runs that were next to each other in time, so that what the machine did meanwhile
    strikes both.
    """
    found: dict[str, dict[str, float | None]] = {}
    for figure in first.runs[0].figures():
        ratios = [
            theirs / ours
            for one, two in zip(first.runs, second.runs, strict=True)
            if (ours := one.figures()[figure]) and (theirs := two.figures()[figure]) is not None
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


def print_both(first: Series[M], second: Series[M]) -> None:
    """Both, and their ratios."""
    names = (first.configuration.name, second.configuration.name)
    show_table(
        ("median", *names, "ratio", "least", "greatest"),
        (
            (figure, *(number_shown(value) for value in row.values()))
            for figure, row in ratios(first, second).items()
        ),
        right=(*names, "ratio", "least", "greatest"),
    )


def number_shown(value: float | None) -> str:
    """Three digits, or whole thousands; nothing for what is not known."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
