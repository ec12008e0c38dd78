"""``simulate``: try to refute the promises, in simulated time, and repeat what did."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import typer

from tidegate.simulation.many import Players
from tidegate.simulation.run import Outcome

__all__ = ["register"]

_SEEDS = 10**9
_SHOWN_LINES = 60
_EVERY_S = 5.0


def register(app: typer.Typer) -> None:
    app.command()(simulate)


def simulate(
    seed: list[int] = typer.Option([], "--seed", help="Play this seed; may be given again."),
    seeds: int = typer.Option(100, "--seeds", min=1, help="Play so many seeds."),
    first: int | None = typer.Option(
        None, "--first", min=0, help="Begin with this one. Without it chance decides."
    ),
    jobs: int = typer.Option(2, "--jobs", min=1, help="Processes that play."),
    only: str = typer.Option("", "--only", help="Play these parts of the seed's plan: o0,f3."),
    shrink: bool = typer.Option(
        False, "--shrink", help="Find the least part of a failing seed's plan that still fails."
    ),
    keep: Path | None = typer.Option(
        None, "--keep", help="Write the whole trace and log of failing seeds to this folder."
    ),
) -> None:
    """Play the node and its counterparties in simulated time, with every fault there is.

    Each seed draws orders, card payments, lost answers, partitions, restarts of the companies and
    kills of the node. When the faults are over and all is at rest, the companies' own books say
    whether every promise was kept. The same seed gives the same run, event for event.
    """
    begun = time.monotonic()
    with Players(min(jobs, len(seed) or seeds)) as players:
        if only:
            outcomes = iter([_part(players, seed, only)])
        else:
            base = secrets.randbelow(_SEEDS) if first is None else first
            chosen = seed or range(base, base + seeds)
            typer.echo(f"Seeds {chosen[0]} to {chosen[-1]}, {jobs} at a time.")
            outcomes = _watched(players.play_all(chosen), len(chosen))
        figures: Counter[str] = Counter()
        failed: list[int] = []
        for outcome in outcomes:
            figures.update(outcome.figures)
            figures["runs"] += 1
            if not outcome.held:
                failed.append(outcome.plan.seed)
                _show(outcome, keep)
                if shrink and not only:
                    _show_least(players, outcome.plan.seed)
            elif len(seed) == 1 or only:
                typer.echo(f"Seed {outcome.plan.seed} holds. Digest {outcome.digest}.")
    _sum_up(figures, failed, time.monotonic() - begun)
    if failed:
        raise typer.Exit(1)


def _part(players: Players, seed: list[int], only: str) -> Outcome:
    if len(seed) != 1:
        raise typer.BadParameter("Name the one seed whose parts are meant: --seed 7 --only o0,f3")
    names = [name.strip() for name in only.split(",") if name.strip()]
    try:
        return players.play(seed[0], names)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _watched(outcomes: Iterator[Outcome], count: int) -> Iterator[Outcome]:
    shown, broken = time.monotonic(), 0
    for done, outcome in enumerate(outcomes, 1):
        broken += not outcome.held
        if time.monotonic() - shown >= _EVERY_S:
            shown = time.monotonic()
            typer.echo(f"{done} of {count}, {broken} broken", err=True)
        yield outcome


def _show(outcome: Outcome, keep: Path | None) -> None:
    seed = outcome.plan.seed
    typer.echo(f"\nSeed {seed} breaks {len(outcome.broken)}:")
    for one in outcome.broken:
        typer.echo(f"  {one}")
    typer.echo(f"The last of {len(outcome.trace)} lines of its trace:")
    for line in outcome.trace[-_SHOWN_LINES:]:
        typer.echo(f"  {line}")
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        (keep / f"{seed}.trace").write_text("\n".join(outcome.trace))
        (keep / f"{seed}.log").write_text(outcome.log)
        typer.echo(f"Trace and log: {keep / str(seed)}.trace, .log")
    typer.echo(f"Again: tidegate simulate --seed {seed}")


def _show_least(players: Players, seed: int) -> None:
    least = players.shrink(seed)
    typer.echo(f"The least that still breaks: tidegate simulate --seed {seed} --only ", nl=False)
    typer.echo(",".join(least))


def _sum_up(figures: Counter[str], failed: list[int], took_s: float) -> None:
    runs = figures["runs"]
    typer.echo(
        f"{runs} runs, {len(failed)} broken, in {took_s:.0f} s: "
        f"{figures['simulated_s'] / 3600:.1f} simulated hours, {figures['orders']} orders, "
        f"{figures['sales']} card payments, {figures['commits']} commits, "
        f"{figures['lives'] - runs} kills of the node, {figures['struck']} exchanges struck."
    )
    if failed:
        typer.echo(f"Broken: {' '.join(map(str, failed))}")
