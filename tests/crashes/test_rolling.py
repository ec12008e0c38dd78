"""A new version is rolled out under load: each process is told to stop and replaced, one is
killed, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.processor.world import seeded
from tests.crashes.world import CrashWorld
from tests.support.databases import Prepare
from tests.support.node import migrate
from tidegate.payouts.states import State

__all__ = ["SEVERAL", "STOPS", "roll_out"]

SEVERAL = ("serve --no-worker", "serve --no-worker", "worker", "worker")
STOPS = {"SHUTDOWN_DELAY": "1", "SHUTDOWN_GRACE": "3"}
ORDERS, PAUSE_S = 60, 0.1
SETTLES_S = 600.0
# A worker killed over the sweep of the processor's events leaves it leased for ten minutes.
SETTLES_KILLED_S = 1_500.0
OFFERED_S = 3_600.0
WAITING_MAX = 15


@pytest.mark.long
@pytest.mark.parametrize("databases", ["postgresql"], indirect=True)
async def test_a_small_rollout(
    make_template: Callable[[str, Prepare], Callable[[], str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One process that answers and one that works are replaced under load: nothing is lost, and no
    lease of theirs has to run out for that."""
    with capsys.disabled():
        print()
        chance = seeded()
    url = make_template("node", migrate)()
    world = CrashWorld(url, tmp_path, chance, SEVERAL, balancer_asks=True, env=STOPS)
    await roll_out(world, ORDERS, PAUSE_S, [0, 2], capsys)


async def roll_out(
    world: CrashWorld,
    orders: int,
    pause_s: float,
    members: list[int],
    capsys: pytest.CaptureFixture[str],
    killed: int | None = None,
) -> None:
    """Replace these members of the fleet one after the other while so many orders come, and kill
    the one numbered ``killed`` after half of them; then nothing may be wrong."""
    try:
        await world.open()
        world.begin(pause_s, WAITING_MAX)
        offered = world.world.aggregator.orders
        for turn, number in enumerate(members):
            await _offered(world, orders * (turn + 1) // (len(members) + 1))
            if killed is not None and turn == len(members) // 2:
                await world.fleet.kill(world.fleet.members[killed])
            await world.fleet.restart(world.fleet.members[number])
        await _offered(world, orders)
        world.heal()
        await world.rest(SETTLES_S if killed is None else SETTLES_KILLED_S)
        wrong = await world.wrong()
        assert not wrong, "\n".join([*wrong, await world.story()])
        books = await world.world.books()
        ends = Counter(row["state"] for row in books.payouts.values())
        sales = Counter(sold.status for sold in world.clerk.begun)
        with capsys.disabled():
            print(f"{len(offered)} orders, payouts {dict(ends)}, sales {dict(sales)}")
            print(
                f"stops {world.fleet.stops}, kills {dict(world.fleet.kills)}, cases "
                f"{dict(books.case_kinds)}",
                flush=True,
            )
        assert len(offered) >= orders
        assert ends[State.FULFILLED] > 0
        assert len(world.fleet.stops) == len(members)
        assert {code for _, code in world.fleet.stops} <= {0, None}, "an orderly stop is 0"
        assert not world.fleet.fell, "a process ended by itself"
    finally:
        await world.close()


async def _offered(world: CrashWorld, orders: int) -> None:
    async with asyncio.timeout(OFFERED_S):
        while len(world.world.aggregator.orders) < orders:  # noqa: ASYNC110 -- a book wakes nobody
            await asyncio.sleep(0.05)
