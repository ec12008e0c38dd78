"""Time that jumps, and parties that die without a word."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from tidegate.simulation.loop import SimulatedLoop, Stuck
from tidegate.simulation.network import Network
from tidegate.simulation.party import Party
from tidegate.simulation.trace import Trace


@pytest.fixture
def loop() -> Iterator[SimulatedLoop]:
    made = SimulatedLoop()
    made.network = Network(made, 1, Trace(made.time))
    yield made
    made.close()


def test_a_day_passes_in_no_time(loop: SimulatedLoop) -> None:
    """Nobody waits for the machine."""
    began = time.monotonic()
    loop.run_until_complete(asyncio.sleep(86_400))
    assert loop.time() == 86_400
    assert time.monotonic() - began < 10


def test_sleepers_wake_in_the_order_of_their_time(loop: SimulatedLoop) -> None:
    """Whoever sleeps less wakes first, at its own instant."""
    woken: list[tuple[str, float]] = []

    async def sleep(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        woken.append((name, loop.time()))

    async def all_() -> None:
        await asyncio.gather(sleep("late", 5.0), sleep("early", 0.5), sleep("middle", 2.0))

    loop.run_until_complete(all_())
    assert woken == [("early", 0.5), ("middle", 2.0), ("late", 5.0)]


def test_work_for_threads_is_done_at_once(loop: SimulatedLoop) -> None:
    """A thread would come back whenever the machine likes."""

    async def ask() -> int:
        return await asyncio.to_thread(lambda: 42)

    assert loop.run_until_complete(ask()) == 42
    assert loop.time() == 0


def test_waiting_for_nobody_is_said(loop: SimulatedLoop) -> None:
    """Instead of hanging for ever."""

    async def wait() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Stuck, match="nobody has anything to do"):
        loop.run_until_complete(wait())


def test_a_killed_party_runs_nothing_any_more(loop: SimulatedLoop) -> None:
    """No handler, no finally, no timer: as ``kill -9`` does it."""
    done: list[str] = []
    victim, other = Party("victim"), Party("other")

    async def work(name: str) -> None:
        try:
            await asyncio.sleep(2)
            done.append(f"{name} woke")
        finally:
            done.append(f"{name} tidied up")

    async def play() -> None:
        victim.spawn(work("victim"))
        other.spawn(work("other"))
        victim.call_at(1.5, done.append, "victim's timer")
        await asyncio.sleep(1)
        loop.kill(victim)
        await asyncio.sleep(5)

    loop.run_until_complete(play())
    assert done == ["other woke", "other tidied up"]


def test_a_party_killed_in_its_own_turn_does_not_get_another(loop: SimulatedLoop) -> None:
    """It finishes the statement that killed it, and never comes back from its next wait."""
    done: list[str] = []
    victim = Party("victim")

    async def work() -> None:
        loop.kill(victim)
        done.append("same turn")
        await asyncio.sleep(0)
        done.append("next turn")

    async def play() -> None:
        victim.spawn(work())
        await asyncio.sleep(1)

    loop.run_until_complete(play())
    assert done == ["same turn"]
