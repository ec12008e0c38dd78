"""``demo``: orders from an aggregator to a bank, a shop's payments by card, then the proof."""

from __future__ import annotations

import asyncio
import secrets
import signal
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer

from tidegate.cli.demo_check import Check
from tidegate.cli.demo_look import Books, Look
from tidegate.cli.demo_orders import Standing, standings
from tidegate.cli.demo_proof import Evidence, prove
from tidegate.cli.demo_proof_payments import TillEvidence, prove_payments
from tidegate.cli.demo_screen import Balances, make_screen, show_all, show_proof
from tidegate.cli.demo_world import World
from tidegate.cli.output import NO, say
from tidegate.clock import SystemClock
from tidegate.sandbox.bank.books import naira
from tidegate.sandbox.scenario import TROUBLES, Scenario, make_scenario
from tidegate.sandbox.shop import SALES

__all__ = ["register"]

_PORT = 8000
_STEP_S = 0.25
_QUIET_S = 1.0
_LIMIT_S = 150.0
_ORDERS_A_SECOND = 6.0
_WINDOW_LEAST_S = 4.0
_SEEDS = 100_000


def register(app: typer.Typer) -> None:
    app.command()(demo)


def demo(
    once: bool = typer.Option(
        False, "--once", help="End after the proof: exit code 0 if it holds, 1 if not."
    ),
    orders: int = typer.Option(60, min=1, max=5_000, help="How many orders to send."),
    seed: int = typer.Option(
        -1,
        envvar="TIDEGATE_DEMO_SEED",
        help="Repeat the mix of this seed; drawn when left out.",
    ),
    database: str = typer.Option(
        "",
        help="A folder to keep the database and the node's log in, or the URL of an empty "
        "database. Left out: a temporary folder.",
    ),
    port: int = typer.Option(
        0, min=0, max=65_535, help=f"The node's port. Left out: {_PORT}, or any free one."
    ),
) -> None:
    """Watch money move: an aggregator, a bank, a card processor and a shop, all played locally, and
    the real node between them."""
    seed = secrets.randbelow(_SEEDS) if seed < 0 else seed
    with _place(database) as (directory, url):
        proven = asyncio.run(
            _demonstrate(directory, url, orders=orders, seed=seed, port=port, once=once)
        )
    if not proven:
        raise typer.Exit(NO)


@contextmanager
def _place(database: str) -> Iterator[tuple[Path, str]]:
    """A folder for files and the URL of the database."""
    if database and "://" not in database:
        directory = Path(database).resolve()
        directory.mkdir(parents=True, exist_ok=True)
        yield directory, f"sqlite:///{directory / 'demo.db'}"
        return
    with tempfile.TemporaryDirectory(prefix="tidegate-demo-") as name:
        yield Path(name), database or f"sqlite:///{Path(name) / 'demo.db'}"


async def _demonstrate(
    directory: Path, url: str, *, orders: int, seed: int, port: int, once: bool
) -> bool:
    clock = SystemClock()
    window_s = max(_WINDOW_LEAST_S, orders / _ORDERS_A_SECOND)
    scenario = make_scenario(
        clock, seed=seed, orders=orders, window_s=window_s, salt=secrets.token_hex(8)
    )
    world = World(clock, scenario, directory, url, port=port or _free(_PORT), sales=SALES)
    _end_on(signal.SIGTERM)
    proven = False
    try:
        await world.start()
        _introduce(scenario, world)
        await _watch(world)
        checks, shown = await _proof(world)
        show_all(shown, world.clerk.sold)
        show_proof(checks)
        proven = all(check.ok for check in checks)
        say("")
        say(
            f"Everything holds (seed {seed})."
            if proven
            else f"Something does not hold. Repeat it with --seed {seed}; the node's log ends:\n"
            f"{world.node.last_lines()}"
        )
        if not once:
            await _stay(world)
    except asyncio.CancelledError:
        # Ctrl-C or a stop signal: the wish is granted, not reported as an accident.
        say("\nStopped.")
    finally:
        await world.stop()
    return proven


def _free(port: int) -> int:
    """``port`` if nobody listens there, else 0: any."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return 0
    return port


def _end_on(sign: signal.Signals) -> None:
    task = asyncio.current_task()
    assert task is not None  # called from one
    asyncio.get_running_loop().add_signal_handler(sign, task.cancel)


def _introduce(scenario: Scenario, world: World) -> None:
    sales = len(world.clerk.sold)
    say(f"Seed {scenario.seed}: {len(scenario.orders)} orders, {sales} payments by card.")
    if scenario.missing:
        say(f"For every fault it takes {len(TROUBLES)} orders: some kinds are left out.")
    _addresses(world)


def _addresses(world: World) -> None:
    node = world.node.url
    say(f"  node        {node}/info  {node}/metrics  {node}/docs")
    say(f"  aggregator  {world.aggregator.origin}/_sandbox/orders")
    say(f"  bank        {world.bank.base_url.removesuffix('/access/v1')}/_sandbox/state")
    say(f"  processor   {world.cards.base_url}/_sandbox/state")
    say(f"  shop        {world.shop.origin}/  pay with a stored card, and watch the stream")
    say(f"  node's log  {world.node.log_file}")


async def _watch(world: World) -> None:
    """Play, and show what happens until every order has ended, or too long has passed."""
    clock = SystemClock()
    began = clock.monotonic()
    playing = asyncio.create_task(world.play())
    quiet_since = None
    try:
        with make_screen() as screen:
            while True:
                look, found = await _see(world)
                now = clock.monotonic()
                told = sum(len(arrived) for arrived in world.shop.receiver.arrived.values())
                sold = world.clerk.sold
                screen.show(now - began, found, _balances(world, look), sold, told)
                ended = playing.done() and all(one.end is not None for one in found)
                still = ended and not (
                    world.bank.courier.waiting
                    or world.cards.courier.waiting
                    or world.aggregator.busy
                    or (await world.till()).moving
                )
                quiet_since = (quiet_since or now) if still else None
                if quiet_since is not None and now - quiet_since >= _QUIET_S:
                    return
                if now - began > _LIMIT_S or not world.node.running:
                    return
                await asyncio.sleep(_STEP_S)
    finally:
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)


async def _see(world: World) -> tuple[Look, list[Standing]]:
    look = await world.look()
    return look, standings(world.scenario, look, world.aggregator.orders, world.bank)


def _balances(world: World, look: Look) -> Balances:
    held = sum(row["held"] for row in look.payouts.values())
    believed = world.aggregator.balance("NGN")
    return (
        ("at the bank", naira(world.bank.books.balance())),
        ("reserved here for orders under way", naira(held)),
        ("available, as told to the aggregator", believed.reported_available or "-"),
    )


_BALANCE_S = 10.0


async def _proof(world: World) -> tuple[Sequence[Check], list[Standing]]:
    """Prove it; what follows the last order (a reading, a push) gets some seconds to arrive."""
    clock = SystemClock()
    until = clock.monotonic() + _BALANCE_S
    while True:
        _, found = await _see(world)
        await world.clerk.look()
        books = await world.books()
        checks = prove(
            Evidence(
                standings=found,
                books=books,
                bank=world.bank.books,
                violations=world.aggregator.judge(),
                believed=world.aggregator.balance("NGN"),
            )
        ) + prove_payments(await _till_evidence(world, books))
        if all(check.ok for check in checks) or clock.monotonic() > until:
            return checks, found
        await asyncio.sleep(_STEP_S)


async def _till_evidence(world: World, books: Books) -> TillEvidence:
    return TillEvidence(
        sold=world.clerk.sold,
        till=await world.till(),
        books=books,
        cards=world.cards.books,
        receiver=world.shop.receiver,
        endpoints={buyer.id: name for name, buyer in world.clerk.buyers.items()},
    )


async def _stay(world: World) -> None:
    say("It all stays up until you press Ctrl-C:")
    _addresses(world)
    await asyncio.Event().wait()
