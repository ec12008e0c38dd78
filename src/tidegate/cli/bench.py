"""``bench payouts``: what the node does a second, and what each order costs it."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path
from typing import Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from tidegate.cli.bench_postgresql import own_server
from tidegate.cli.bench_report import Series, print_report
from tidegate.cli.bench_run import Configuration, Load, Measured, Stand, fsync_ms
from tidegate.cli.output import NO, JsonOption, console
from tidegate.db.url import parse

__all__ = ["register"]

_WARM_UP: Final = 200
_COMPARED_RUNS: Final = 3
_POSTGRESQL: Final = "postgresql"

_bench = typer.Typer(help="Measure this machine.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(_bench, name="bench")


@_bench.callback()
def _commands() -> None:
    """Keeps ``payouts`` a command of its own while it is the only one."""


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
    repeat: int = typer.Option(
        0, min=0, help=f"Runs of each. Left out: 1, or {_COMPARED_RUNS} when two are compared."
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
    if compare_source is not None and compare_database:
        raise typer.BadParameter(
            "compare one thing at a time.", param_hint="--compare-source, --compare-database"
        )
    load = Load(orders, in_flight, rate)
    with _configurations(database, compare_database, compare_source) as configurations:
        runs = repeat or (1 if len(configurations) == 1 else _COMPARED_RUNS)
        series = asyncio.run(_measure(configurations, load, runs, dialect))
    print_report(load, dialect, series, json=json)
    if not all(run.sound for one in series for run in one.runs):
        raise typer.Exit(NO)


@contextmanager
def _configurations(
    database: str, compare_database: str, compare_source: Path | None
) -> Iterator[list[Configuration]]:
    """What is to be measured, each on an empty database of its own."""
    with ExitStack() as stack:
        alone = not compare_database and compare_source is None
        found = [_configuration(stack, "measured" if alone else "first", database)]
        if compare_database:
            found.append(_configuration(stack, "second", compare_database))
        elif compare_source is not None:
            source = compare_source.resolve()
            found.append(_configuration(stack, "second", database, source))
        yield found


def _configuration(
    stack: ExitStack, name: str, database: str, source: Path | None = None
) -> Configuration:
    if database == _POSTGRESQL:
        server = stack.enter_context(own_server())
        return Configuration(name, server.url, server.pid, server.data, source)
    folder = tempfile.TemporaryDirectory(prefix="tidegate-bench-")
    directory = Path(stack.enter_context(folder))
    url = database or f"sqlite:///{directory / 'bench.db'}"
    path = parse(url).path
    disk = Path(path).resolve().parent if path else None
    # The node runs in a folder of its own: a file is named from its root.
    spelled = f"sqlite:///{Path(path).resolve()}" if path else url
    return Configuration(name, spelled, None, disk, source)


async def _measure(
    configurations: Sequence[Configuration], load: Load, runs: int, dialect: str
) -> list[Series]:
    """Warm every stand up, then run them in turns: first, second, second, first, ..."""
    measured: dict[str, list[Measured]] = {one.name: [] for one in configurations}
    async with AsyncExitStack() as stack:
        stands = []
        for configuration in configurations:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tidegate-bench-"))
            stand = Stand(configuration, Path(folder), dialect=dialect)
            stands.append(await stack.enter_async_context(stand))
        progress = stack.enter_context(_progress())
        for stand in stands:
            await stand.run(Load(min(_WARM_UP, load.orders), load.in_flight))
        for number in range(runs):
            for stand in stands if number % 2 == 0 else reversed(stands):
                name = stand.configuration.name
                bar = progress.add_task(f"{name} {number + 1}/{runs}", total=load.orders)

                def done(count: int, bar: int = bar) -> None:
                    progress.update(bar, completed=count)  # type: ignore[arg-type]  # a NewType

                measured[name].append(await stand.run(load, done))
                done(load.orders)
    return [
        Series(
            configuration,
            measured[configuration.name],
            None if configuration.disk is None else fsync_ms(configuration.disk),
        )
        for configuration in configurations
    ]


def _progress() -> Progress:
    """A bar on standard error, on a terminal only: standard output is for the figures."""
    out = console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, console=out, transient=True, disable=not out.is_terminal)
