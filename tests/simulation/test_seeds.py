"""Whole runs: the same seed twice, those that once failed, and what the command says of them."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from tidegate.cli.app import app
from tidegate.simulation.many import Players

KEPT = Path(__file__).with_name("kept-seeds.txt")


def _kept() -> list[int]:
    lines = (line.partition("#")[0].strip() for line in KEPT.read_text().splitlines())
    return [int(line) for line in lines if line]


def test_the_seeds_that_once_failed_hold() -> None:
    """Each line of ``kept-seeds.txt`` says what it found."""
    with Players(1) as players:
        broken = {one.plan.seed: one.broken for one in players.play_all(_kept()) if not one.held}
    assert broken == {}


def test_the_same_seed_gives_the_same_run_in_every_process() -> None:
    """Event for event, whatever was played before it, and where."""
    with Players(2) as players:
        forwards = {one.plan.seed: one.digest for one in players.play_all(range(40, 44))}
        backwards = {one.plan.seed: one.digest for one in players.play_all(range(43, 39, -1))}
    assert forwards == backwards
    assert len(set(forwards.values())) == 4


def test_a_part_of_a_plan_is_another_run() -> None:
    """And the same part is the same run."""
    ran = CliRunner().invoke(app, ["simulate", "--seed", "2", "--only", "s0"])
    again = CliRunner().invoke(app, ["simulate", "--seed", "2", "--only", "s0"])
    assert ran.exit_code == 0, ran.output
    assert "Seed 2 holds." in ran.output
    assert "0 orders, 1 card payments" in ran.output
    digest = ran.output.partition("Digest ")[2].split(".")[0]
    assert digest in again.output


def test_a_part_that_is_not_there_is_refused() -> None:
    """With the names that were not found."""
    ran = CliRunner().invoke(app, ["simulate", "--seed", "2", "--only", "o99"])
    assert ran.exit_code == 2
    assert "no part o99" in ran.output
