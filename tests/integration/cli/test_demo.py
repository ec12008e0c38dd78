"""``tidegate demo``: the whole world for a few orders, and a proof that notices a lie."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from urllib.error import URLError

import pytest
from rich.console import Console
from typer.testing import CliRunner

from tidegate.cli.app import app
from tidegate.cli.demo_check import Check
from tidegate.cli.demo_orders import Standing, standings
from tidegate.cli.demo_proof import Evidence, prove
from tidegate.cli.demo_screen import LiveScreen
from tidegate.cli.demo_world import World
from tidegate.cli.processes import child_environment, free_port
from tidegate.clock import SystemClock
from tidegate.errors import ConfigurationError
from tidegate.sandbox.aggregator import Status, Wrong
from tidegate.sandbox.bank.books import Kind
from tidegate.sandbox.scenario import NO_TROUBLE, End, Scenario, make_scenario

_CHECKS = 13
_WAIT_S = 180.0


def _ordinary(orders: int) -> Scenario:
    """A mix without any trouble, all at once."""
    return make_scenario(SystemClock(), seed=1, orders=orders, window_s=0.2, troubles=())


async def _played(world: World) -> list[Standing]:
    """Play, and wait until every order has ended."""
    await world.play()
    clock = SystemClock()
    until = clock.monotonic() + _WAIT_S
    while True:
        found = standings(world.scenario, await world.look(), world.aggregator.orders, world.bank)
        if all(one.end is not None for one in found) or clock.monotonic() > until:
            return found
        await clock.sleep(0.1)


async def _evidence(world: World, found: Sequence[Standing]) -> Evidence:
    return Evidence(
        standings=found,
        books=await world.books(),
        bank=world.bank.books,
        violations=world.aggregator.judge(),
        believed=world.aggregator.balance("NGN"),
    )


def _broken(evidence: Evidence) -> set[str]:
    return {check.name for check in prove(evidence) if not check.ok}


async def test_the_proof_holds_for_an_honest_run_and_notices_every_lie(tmp_path: Path) -> None:
    """Whatever one company's books say differently breaks the check that compares them."""
    world = World(
        SystemClock(), _ordinary(4), tmp_path, f"sqlite:///{tmp_path / 'demo.db'}", port=0
    )
    try:
        await world.start()
        found = await _played(world)
        evidence = await _settled(world, found)
        assert [one.end for one in found] == [End.PAID] * 4

        believed = world.aggregator.balance("NGN")
        told, believed.reported_available = believed.reported_available, "1.00"
        assert _broken(evidence) == {"The aggregator was told what is available"}
        believed.reported_available = told

        order = found[0].order
        assert order is not None
        order.status = Status.REFUNDED
        agreement = "The aggregator's record agrees with ours, order by order"
        assert agreement in _broken(await _evidence(world, await _seen(world)))
        order.status = Status.SETTLED

        world.aggregator.book.judge.record(Wrong.PAID_TWICE, order.id, "made up")
        judged = "The aggregator holds nothing against the node"
        assert _broken(await _evidence(world, found)) == {judged}
        world.aggregator.book.judge.violations.clear()

        transfer = found[1].transfers[0]
        world.bank.books.write(0, Kind.PAID, transfer.amount, transfer.reference)
        broken = _broken(await _evidence(world, await _seen(world)))
        assert broken == {
            "At the bank each order was paid at most once",
            "Float before minus paid minus fees is float after",
        }
        _show_live(found)
    finally:
        await world.stop()


async def _seen(world: World) -> list[Standing]:
    return standings(world.scenario, await world.look(), world.aggregator.orders, world.bank)


async def _settled(world: World, found: Sequence[Standing]) -> Evidence:
    """The evidence once the last push and reading have arrived; every check holds then."""
    clock = SystemClock()
    until = clock.monotonic() + _WAIT_S
    while True:
        evidence = await _evidence(world, found)
        if not _broken(evidence):
            return evidence
        assert clock.monotonic() < until, [_said(check) for check in prove(evidence)]
        await clock.sleep(0.2)


def _said(check: Check) -> str:
    return f"{check.ok} {check.name}: {check.figures} {list(check.lines)}"


def _show_live(found: Sequence[Standing]) -> None:
    """A terminal sees each order's number, its state here and there, and the balances."""
    for width in (100, 160):
        terminal = io.StringIO()
        out = Console(file=terminal, force_terminal=True, width=width, height=40)
        with LiveScreen(out) as screen:
            screen.show(3.0, found, [("at the bank", "4999.00")])
        shown = terminal.getvalue()
        assert found[0].planned.order_id[:8] in shown
        assert "fulfilled" in shown
        assert "settled" in shown
        assert "4999.00" in shown


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
async def test_a_database_with_orders_in_it_is_refused(url: str, tmp_path: Path) -> None:
    """The demonstration's figures would not add up with somebody else's orders among them."""
    world = World(SystemClock(), _ordinary(1), tmp_path, url, port=0)
    try:
        with pytest.raises(ConfigurationError) as refusal:
            await world.start()
        assert "holds orders already" in refusal.value.faults[0]
    finally:
        await world.stop()


async def test_opening_balance_covers_every_order(tmp_path: Path) -> None:
    """However many orders there are, the float does not run dry."""
    mix = make_scenario(SystemClock(), seed=3, orders=900, window_s=1.0)
    world = World(SystemClock(), mix, tmp_path, "sqlite:///unused.db", port=0)
    assert world.opening >= 2 * sum((order.amount for order in mix), Decimal(0)) - 1


@pytest.mark.long  # CI runs `make demo` itself
def test_once_ends_with_exit_code_0_when_everything_holds(tmp_path: Path) -> None:
    """A run with faults: every check is printed with its figures, and the seed to repeat it."""
    arguments = ["demo", "--once", "--orders", "9", "--seed", "5", "--port", str(free_port())]
    done = CliRunner().invoke(app, [*arguments, "--database", str(tmp_path / "kept")])
    assert done.exit_code == 0, done.output
    assert len(re.findall(r"^\d+\. holds ", done.output, re.M)) == _CHECKS, done.output
    assert "BROKEN" not in done.output
    assert "Everything holds (seed 5)" in done.output
    assert "9 of 9" in done.output
    assert (tmp_path / "kept" / "demo.db").exists()
    assert (tmp_path / "kept" / "node.log").exists()


def test_it_stays_up_until_stopped_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """The addresses answer after the proof; a stop signal ends all three companies, exit code 0."""
    port = free_port()
    log = tmp_path / "demo.log"
    with log.open("wb") as out:
        demo = subprocess.Popen(
            [
                *(sys.executable, "-m", "tidegate", "demo", "--orders", "2", "--seed", "2"),
                *("--port", str(port)),
            ],
            stdout=out,
            stderr=out,
            cwd=tmp_path,
            env=child_environment(),
        )
    try:
        _until(lambda: "stays up until" in log.read_text(), log)
        for path in ("/health", "/info", "/docs"):
            assert _status(f"http://127.0.0.1:{port}{path}") == 200
        os.kill(demo.pid, signal.SIGTERM)
        assert demo.wait(_WAIT_S) == 0, log.read_text()
    finally:
        if demo.poll() is None:
            demo.kill()
            demo.wait()
    assert "Stopped." in log.read_text()
    with pytest.raises(URLError):
        _status(f"http://127.0.0.1:{port}/health")


def _status(url: str) -> int:
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 -- http, written above
        return int(answer.status)


def _until(true: Callable[[], bool], log: Path) -> None:
    until = time.monotonic() + _WAIT_S
    while not true():
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.1)


def test_ordinary_orders_need_no_excuse() -> None:
    """Without troubles every order of the mix must end paid."""
    assert {order.trouble for order in _ordinary(5)} == {NO_TROUBLE}
