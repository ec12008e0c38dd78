"""``bench``: what the node does a second on this machine, and what each order costs it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import typer

from tidegate.cli import bench_payments
from tidegate.cli.bench_report import print_report
from tidegate.cli.bench_run import PayoutsStand
from tidegate.cli.bench_stand import Configuration, Load
from tidegate.cli.bench_turns import COMPARED_RUNS, configurations, measure
from tidegate.cli.output import NO, JsonOption

__all__ = ["register"]

_bench = typer.Typer(help="Measure this machine.", no_args_is_help=True)
bench_payments.register(_bench)


def register(app: typer.Typer) -> None:
    app.add_typer(_bench, name="bench")


@_bench.command()
def payouts(
    orders: int = typer.Option(2_000, min=1, help="Orders a run."),
    in_flight: int = typer.Option(
        64, min=1, max=2_000, help="Closed loop: how many orders are under way at any time."
    ),
    rate: float = typer.Option(
        0.0, min=0.0, help="Open loop instead: orders a second, whatever becomes of them."
    ),
    database: str = typer.Option(
        "",
        help="A URL, or `postgresql` for a server of its own from the development packages. Left "
        "out: a new SQLite file in the temporary folder.",
    ),
    compare_database: str = typer.Option(
        "", help="Measure this one too, in turns with the first, and print ratios."
    ),
    compare_source: Path | None = typer.Option(
        None,
        exists=True,
        file_okay=False,
        help="Measure the node of another checkout too (its folder `src`), in turns.",
    ),
    compare_encrypted: bool = typer.Option(
        False,
        "--compare-encrypted",
        help="Measure a node that keeps recipients' data encrypted too, in turns.",
    ),
    repeat: int = typer.Option(
        0, min=0, help=f"Runs of each. Left out: 1, or {COMPARED_RUNS} when two are compared."
    ),
    dialect: str = typer.Option("live", help="The form of the orders: live or spec."),
    json: bool = JsonOption,
) -> None:
    """Orders a second from offer to fulfilled, and what each costs: CPU, commits, calls, time.

    The bank and the aggregator are in a process of their own, without delay and without faults;
    the node is a real `tidegate serve`. Exit code 1 if an order was not fulfilled, was paid twice,
    or the aggregator holds anything against the node: then the figures mean nothing.
    """
    if dialect not in {"live", "spec"}:
        raise typer.BadParameter("write live or spec.", param_hint="--dialect")
    if (compare_source is not None) + bool(compare_database) + compare_encrypted > 1:
        raise typer.BadParameter(
            "compare one thing at a time.",
            param_hint="--compare-source, --compare-database, --compare-encrypted",
        )
    load = Load(orders, in_flight, rate)

    def stand_for(configuration: Configuration, directory: Path) -> PayoutsStand:
        return PayoutsStand(configuration, directory, dialect=dialect)

    with configurations(
        database, compare_database, compare_source, compare_encrypted=compare_encrypted
    ) as found:
        runs = repeat or (1 if len(found) == 1 else COMPARED_RUNS)
        series = asyncio.run(measure(found, load, runs, stand_for))
    print_report(load, dialect, series, json=json)
    if not all(run.sound for one in series for run in one.runs):
        raise typer.Exit(NO)
