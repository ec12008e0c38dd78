"""What is measured, each on an empty database of its own, in turns."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from tidegate.cli.bench_postgresql import own_server
from tidegate.cli.bench_report import Series
from tidegate.cli.bench_stand import Configuration, Load, Run, Stand, fsync_ms
from tidegate.cli.output import console
from tidegate.db.url import parse

__all__ = ["COMPARED_RUNS", "configurations", "measure"]

COMPARED_RUNS: Final = 3
"""Runs of each where two are compared and nothing else is said."""

_WARM_UP: Final = 200
_POSTGRESQL: Final = "postgresql"

M = TypeVar("M", bound=Run)


@contextmanager
def configurations(
    database: str,
    compare_database: str,
    compare_source: Path | None = None,
    *,
    compare_encrypted: bool = False,
) -> Iterator[list[Configuration]]:
    """One or two to measure. ``postgresql`` is a server of its own, nothing a new SQLite file."""
    with ExitStack() as stack:
        alone = not compare_database and compare_source is None and not compare_encrypted
        found = [_configuration(stack, "measured" if alone else "first", database)]
        if compare_database:
            found.append(_configuration(stack, "second", compare_database))
        elif compare_source is not None:
            source = compare_source.resolve()
            found.append(_configuration(stack, "second", database, source))
        elif compare_encrypted:
            second = _configuration(stack, "second", database)
            found.append(replace(second, data_key=secrets.token_urlsafe(32)))
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


async def measure(
    found: Sequence[Configuration],
    load: Load,
    runs: int,
    stand_for: Callable[[Configuration, Path], Stand[M]],
) -> list[Series[M]]:
    """Warm every stand up, then run them in turns: first, second, second, first, ..."""
    measured: dict[str, list[M]] = {one.name: [] for one in found}
    async with AsyncExitStack() as stack:
        stands = []
        for configuration in found:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tidegate-bench-"))
            stand = stand_for(configuration, Path(folder))
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
        for configuration in found
    ]


def _progress() -> Progress:
    """A bar on standard error, on a terminal only: standard output is for the figures."""
    out = console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, console=out, transient=True, disable=not out.is_terminal)
