"""``bench payments``: the full path of POST /api/payments, and what each payment costs."""

from __future__ import annotations

import asyncio
import os
import statistics
from collections.abc import Sequence
from typing import Any

import typer

from tidegate.cli.bench_payments_run import MeasuredPayments, PaymentsStand
from tidegate.cli.bench_report import Series, number_shown, print_both, print_medians, ratios
from tidegate.cli.bench_stand import Load
from tidegate.cli.bench_turns import COMPARED_RUNS, configurations, measure
from tidegate.cli.output import NO, JsonOption, print_json, say, show_table

__all__ = ["print_payments", "register"]

_EXPLANATION = (
    "Times are the clients', from sending a request to having read its answer, on the clock of "
    "their process, which is the processor's too. Costs are of the whole payment: its webhooks "
    "and its fee, which come after the answer, are part of them."
)


def register(bench: typer.Typer) -> None:
    bench.command("payments")(bench_payments)


def bench_payments(
    payments: int = typer.Option(1_000, min=1, help="Payments a run."),
    in_flight: int = typer.Option(
        32, min=1, max=2_000, help="Closed loop: how many requests are under way at any time."
    ),
    rate: float = typer.Option(
        0.0, min=0.0, help="Open loop instead: payments a second, whatever becomes of them."
    ),
    database: str = typer.Option(
        "",
        help="A URL, or `postgresql` for a server of its own from the development packages. Left "
        "out: a new SQLite file in the temporary folder.",
    ),
    compare_database: str = typer.Option(
        "", help="Measure this one too, in turns with the first, and print ratios."
    ),
    repeat: int = typer.Option(
        0, min=0, help=f"Runs of each. Left out: 1, or {COMPARED_RUNS} when two are compared."
    ),
    json: bool = JsonOption,
) -> None:
    """Requests a second, p50, p99, and what each payment costs: CPU, commits, calls, webhooks.

    The card processor is in a process of its own with the clients, without delay and without
    faults; the node is a real `tidegate serve`. Many users pay, each with a stored card. Exit code
    1 if an answer was not 201, a payment did not succeed with one charge, or the ledger is wrong:
    then the figures mean nothing.
    """
    load = Load(payments, in_flight, rate)
    with configurations(database, compare_database) as found:
        runs = repeat or (1 if len(found) == 1 else COMPARED_RUNS)
        series = asyncio.run(measure(found, load, runs, PaymentsStand))
    print_payments(load, series, json=json)
    if not all(run.sound for one in series for run in one.runs):
        raise typer.Exit(NO)


def print_payments(load: Load, series: Sequence[Series[MeasuredPayments]], *, json: bool) -> None:
    """Everything that was measured; with two series also their ratios."""
    if json:
        print_json(
            {
                "cpus": os.cpu_count(),
                "load": {
                    "payments": load.orders,
                    "in_flight": load.in_flight,
                    "rate": load.rate,
                },
                "configurations": [one.as_json() for one in series],
                "ratios": ratios(*series) if len(series) == 2 else None,
            }
        )
        return
    loop = f"open loop, {load.rate:g} a second" if load.rate else f"{load.in_flight} in flight"
    say(f"{load.orders} payments a run, {loop}, {os.cpu_count()} CPUs\n")
    if len(series) == 2:
        print_both(*series)
    for one in series:
        say(f"{one.configuration.name}: {one.configuration.shown}")
        _print_one(one)
    say(_EXPLANATION)


def _print_one(series: Series[MeasuredPayments]) -> None:
    print_medians(series)
    runs = series.runs
    show_table(
        ("milliseconds", "p50", "p99", "greatest"),
        [
            (
                "POST /api/payments sent to answered",
                number_shown(statistics.median(run.latency_ms["p50"] for run in runs)),
                number_shown(statistics.median(run.latency_ms["p99"] for run in runs)),
                number_shown(max(run.latency_ms["max"] for run in runs)),
            )
        ],
        right=("p50", "p99", "greatest"),
    )
    show_table(("what the processor saw", "a payment"), _seen(runs), right=("a payment",))
    for run in runs:
        for words in run.wrong[:5]:
            say(f"WRONG {words}")


def _seen(runs: Sequence[MeasuredPayments]) -> list[tuple[str, str]]:
    payments = max(1, sum(run.payments for run in runs))

    def rows(kind: str, counts: Sequence[Any]) -> list[tuple[str, str]]:
        names = sorted({name for count in counts for name in count})
        return [
            (f"{kind} {name}", f"{sum(count.get(name, 0) for count in counts) / payments:.3f}")
            for name in names
        ]

    return [
        *rows("call", [run.calls for run in runs]),
        *rows("webhook", [run.webhooks for run in runs]),
    ]
