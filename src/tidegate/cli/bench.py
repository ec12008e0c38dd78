"""``bench payouts``: what the node does a second, and what each order costs it."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path

import typer

from tidegate.cli.bench_run import Configuration, Load, Stand, fsync_ms

__all__ = ["register"]

bench = typer.Typer(help="Measure this machine.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(bench, name="bench")


@bench.callback()
def _bench() -> None:
    """Measure this machine."""


@bench.command()
def payouts(
    orders: int = typer.Option(2000, help="Orders."),
    in_flight: int = typer.Option(64, help="Orders at a time."),
    rate: float = typer.Option(0.0, help="Orders a second (open loop)."),
    database: str = typer.Option("", help="URL."),
    dialect: str = typer.Option("live"),
) -> None:
    """Orders a second from offer to fulfilled."""
    asyncio.run(_payouts(orders, in_flight, rate, database, dialect))


async def _payouts(orders: int, in_flight: int, rate: float, database: str, dialect: str) -> None:
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as name:
        directory = Path(name)
        url = database or f"sqlite:///{directory}/bench.db"
        async with Stand(Configuration("a", url), directory, dialect=dialect) as stand:
            await stand.run(Load(min(200, orders), in_flight))
            measured = await stand.run(Load(orders, in_flight, rate))
        out = measured.as_json()
        n = max(1, measured.orders)
        out["node_cpu_ms_per_order"] = (measured.node_cpu_s or 0) * 1000 / n
        out["companies_cpu_ms_per_order"] = measured.companies_cpu_s * 1000 / n
        out["commits_per_order"] = measured.commits / n
        out["group"] = measured.units / max(1, measured.commits)
        out["calls_per_order"] = {k: round(v / n, 3) for k, v in measured.calls.items()}
        out["fsync"] = fsync_ms(directory)
        print(json.dumps(out, indent=1))
        print((directory / "node.log").read_text()[-1500:])
