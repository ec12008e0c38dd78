"""Nothing is lost and nothing moves twice, whatever breaks (DESIGN, promises 1 and 6).

The real program under load, with faults at every company, is killed again and again; meanwhile
the database server crashes once and its disk is full once. When the faults have ended and nothing
moves any more, the companies' own books judge.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import pytest

from tests.acceptance.processor.world import seeded
from tests.conftest import _RUN
from tests.crashes.disk import SmallDisk
from tests.crashes.server import OwnServer
from tests.crashes.world import CrashWorld
from tests.support.databases import Prepare, SqliteDatabases
from tests.support.node import migrate
from tidegate.payouts.states import State

KILLS_LONG, KILLS_SHORT = 200, 3
# From one kill to the next.
LIVES_S, LIVES_ALONE_S, LIVES_SHORT_S = (0.3, 5.0), (0.05, 1.0), (0.2, 1.5)
# From one order to the next, on average.
PAUSE_S = 0.5
SETTLES_S = 600.0
# How long the disk is full at least, and how long we wait for somebody to notice.
FULL_S, NOTICED_S = 4.0, 300.0
DISK_MIB = 512
NO_DISK = "no disk of its own, because mounting one takes root: this run goes without a full disk"
# Progress is told after so many kills.
SHOWN = 20

SEVERAL = ("serve --no-worker", "serve --no-worker", "worker", "worker", "worker")
ONE = ("serve",)

Breakages = Mapping[int, Callable[[], Awaitable[None]]]
"""What breaks, by the number of the kill before which it begins."""


@pytest.mark.long
async def test_several_processes_and_their_database_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """PostgreSQL: two processes that answer and three that work, 200 kills, a crash of the server
    and a full disk."""
    chance = _chance(capsys)
    server = await asyncio.to_thread(OwnServer)

    async def crash() -> None:
        await asyncio.to_thread(server.crash)

    async def full() -> None:
        assert server.disk is not None  # by the table below
        await _while_full(server.disk, lambda: "No space left on device" in server.said)
        await asyncio.to_thread(server.free_disk)

    breakages = {KILLS_LONG // 3: crash}
    if server.disk is None:
        _say(capsys, NO_DISK)
    else:
        breakages[2 * KILLS_LONG // 3] = full
    try:
        await asyncio.to_thread(migrate, server.url)
        run = _Run(CrashWorld(server.url, tmp_path, chance, SEVERAL), chance, capsys)
        await run(KILLS_LONG, LIVES_S, breakages)
    finally:
        await asyncio.to_thread(server.close)


@pytest.mark.long
async def test_one_process_and_its_disk(
    request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """SQLite: one process, 200 kills and a full disk."""
    chance = _chance(capsys)
    place = tmp_path / "disk"
    place.mkdir()
    disk = SmallDisk(place, DISK_MIB) if SmallDisk.is_possible() else None
    url = SqliteDatabases(place, request.config.stash[_RUN]).empty()
    world = CrashWorld(url, tmp_path, chance, ONE)

    async def full() -> None:
        assert disk is not None  # by the table below
        log = world.fleet.logs[0]
        await _while_full(disk, lambda: "disk is full" in log.read_text(errors="replace"))
        disk.free()

    breakages = {KILLS_LONG // 2: full}
    if disk is None:
        _say(capsys, NO_DISK)
        breakages = {}
    try:
        await asyncio.to_thread(migrate, url)
        run = _Run(world, chance, capsys)
        await run(KILLS_LONG, LIVES_ALONE_S, breakages)
    finally:
        if disk is not None:
            disk.close()


@pytest.mark.parametrize("databases", ["postgresql"], indirect=True)
async def test_several_processes(
    make_template: Callable[[str, Prepare], Callable[[], str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """PostgreSQL: two processes that answer and three that work are killed one by one, and then
    all at once; every order and every sale comes to its right end."""
    chance = _chance(capsys)
    run = _Run(
        CrashWorld(make_template("node", migrate)(), tmp_path, chance, SEVERAL), chance, capsys
    )
    await run(KILLS_SHORT, LIVES_SHORT_S, {})


class _Run:
    """One run, with its figures."""

    def __init__(
        self, world: CrashWorld, chance: random.Random, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self._world = world
        self._chance = chance
        self._capsys = capsys
        self._began = time.monotonic()

    async def __call__(
        self, kills: int, lives_s: tuple[float, float], breakages: Breakages
    ) -> None:
        """Kill a random process ``kills`` times under load; what breaks besides begins before the
        kill of its number, and the kills go on meanwhile. Then nothing may be wrong."""
        world = self._world
        try:
            await world.open()
            world.begin(PAUSE_S)
            await self._kill(kills, lives_s, breakages)
            await world.settle(SETTLES_S)
            self._tell()
            wrong = await world.wrong()
            assert not wrong, "\n".join([*wrong, await world.story()])
            await self._tell_ends()
        finally:
            await world.close()

    async def _kill(self, times: int, lives_s: tuple[float, float], breakages: Breakages) -> None:
        breaking: list[asyncio.Task[None]] = []
        for number in range(times):
            await asyncio.sleep(self._chance.uniform(*lives_s))
            if number in breakages:
                breaking.append(asyncio.create_task(self._world.outage(breakages[number])))
            await self._world.fleet.kill_one(self._chance)
            if number % SHOWN == SHOWN - 1:
                self._tell()
        await asyncio.gather(*breaking)

    def _tell(self) -> None:
        fleet, world = self._world.fleet, self._world
        self._say(
            f"{time.monotonic() - self._began:6.0f} s: {fleet.kills.total()} kills, "
            f"{dict(fleet.kills)}, {dict(fleet.fell) or 'none'} ended by themselves, "
            f"{len(world.world.aggregator.orders)} orders, {len(world.clerk.begun)} sales"
        )

    async def _tell_ends(self) -> None:
        books = await self._world.world.books()
        ends = Counter(row["state"] for row in books.payouts.values())
        sales = Counter(sold.status for sold in self._world.clerk.begun)
        self._say(f"payouts {dict(ends)}, sales {dict(sales)}, cases {dict(books.case_kinds)}")
        for one in self._world.excused:
            self._say(f"  about an order that is a case: {one}")
        assert min(ends[State.FULFILLED], sales["succeeded"]) > 0, "nothing was done meanwhile"

    def _say(self, line: str) -> None:
        _say(self._capsys, line)


def _say(capsys: pytest.CaptureFixture[str], line: str) -> None:
    with capsys.disabled():
        print(line, flush=True)


async def _while_full(disk: SmallDisk, noticed: Callable[[], bool]) -> None:
    """Keep the disk full for a while, and until somebody has met it."""
    began = time.monotonic()
    while time.monotonic() - began < FULL_S or not noticed():
        assert time.monotonic() - began < NOTICED_S, "nobody noticed that the disk was full"
        await asyncio.to_thread(disk.fill)
        await asyncio.sleep(0.2)


def _chance(capsys: pytest.CaptureFixture[str]) -> random.Random:
    with capsys.disabled():
        print()
        return seeded()
