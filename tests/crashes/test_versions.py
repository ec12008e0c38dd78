"""Two versions side by side while the schema changes under them, under load, without an error."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.acceptance.processor.world import seeded
from tests.acceptance.test_kill import ENV, TERMS
from tests.crashes.balancer import Balancer
from tests.crashes.load import keep_offering
from tests.support.databases import Prepare
from tests.support.next_version import CONTRACTS, EXPANDS, NEXT, next_version
from tests.support.node import ChildNode, free_port, migrate
from tests.support.world import World
from tidegate import migrations
from tidegate.payouts.states import State
from tidegate.sandbox.aggregator.orders import Status

OLD = migrations.head()
EXPANDED, CONTRACTED = max(EXPANDS), max(CONTRACTS)
_ENV = {**ENV, "LOG_LEVEL": "INFO", "DATABASE_POOL_SIZE": "5", "SHUTDOWN_DELAY": "1"}
_TERMS = {**TERMS, "refund_timeout_s": 200.0, "offer_ttl_s": 30.0, "slow_answer_s": 300.0}
_PAUSE_S, _WAITING_MAX = 0.35, 15
# What comes in each act.
_ORDERS = 25
_TURNS = 10
_UP_S, _OFFERED_S, _SETTLES_S = 150.0, 600.0, 100.0
_UP_SAYS = {"serve": "Application startup complete", "worker": "worker.started"}


class Stage:
    """A world, the versions of the program, and the processes of each."""

    def __init__(self, url: str, directory: Path, chance: random.Random) -> None:
        self.world = World(url, directory, env=_ENV, terms=_TERMS)
        self._chance = chance
        self._paths = {
            "old": "",
            "next": next_version(directory / "next"),
            "later": next_version(directory / "later", contracts=True),
        }
        self._load: asyncio.Task[None] | None = None
        self.members: list[ChildNode] = []

    def process(self, version: str, command: str, port: int = 0) -> ChildNode:
        """A process of this version, not started yet."""
        path = self._paths[version]
        more = {"PYTHONPATH": path} if path else {}
        child = self.world.child(*command.split(), port=port or free_port(), **more)
        self.members.append(child)
        return child

    async def up(self, *processes: ChildNode) -> None:
        """Start them, and wait until they answer, or work."""
        for one in processes:
            one.start()
        async with asyncio.timeout(_UP_S):
            for one in processes:
                kind = one.log.name.partition("-")[0]
                while not one.said(_UP_SAYS[kind]):
                    assert one.running, one.tail()
                    await asyncio.sleep(0.05)

    async def end(self, *processes: ChildNode) -> None:
        """Ask them to stop, one after the other; each does so in an orderly way."""
        for one in processes:
            assert await asyncio.to_thread(one.stop) == 0, one.tail()

    async def run(self, version: str, command: str) -> subprocess.CompletedProcess[str]:
        """A command of this version, to its end."""
        child = self.process(version, "serve")
        return await asyncio.to_thread(child.command, *command.split())

    async def migrates(self, version: str, command: str = "migrate") -> None:
        ran = await self.run(version, command)
        assert ran.returncode == 0, ran.stderr

    def begin(self) -> None:
        self._load = asyncio.create_task(
            keep_offering(self.world, self._chance, _PAUSE_S, _WAITING_MAX)
        )

    async def more(self, orders: int = _ORDERS) -> None:
        """Wait for so many more orders."""
        wanted = self.offered + orders
        async with asyncio.timeout(_OFFERED_S):
            while self.offered < wanted:  # noqa: ASYNC110 -- a book wakes nobody
                await asyncio.sleep(0.05)

    @property
    def offered(self) -> int:
        return len(self.world.aggregator.orders)

    def end_load(self) -> None:
        assert self._load is not None
        self._load.cancel()

    async def pause(self) -> None:
        """No more come, and all that came were taken: nobody offers again what nobody answers."""
        self.end_load()
        async with asyncio.timeout(_OFFERED_S):
            while any(  # noqa: ASYNC110 -- a book wakes nobody
                one.status is Status.PENDING for one in self.world.aggregator.orders.values()
            ):
                await asyncio.sleep(0.02)

    async def channels(self) -> dict[str | None, int]:
        """Which version took how many orders."""
        query = text("SELECT channel, count(*) FROM payouts GROUP BY channel")
        return dict(await self.world.read(lambda c: [tuple(row) for row in c.execute(query)]))

    async def right(self, version: str) -> dict[str, int]:
        """No more comes; everything has its right end, and nobody has complained."""
        self.end_load()
        await self.world.settle(_SETTLES_S)
        await self.world.reading_again(100)
        books = await self.world.assert_right()
        audit = await self.run(version, "ledger audit")
        assert audit.returncode == 0, audit.stdout + audit.stderr
        faults = [one for child in self.members for one in faults_in(child.log)]
        assert not faults, "\n".join(faults)
        ends = [State(row["state"]) for row in books.payouts.values()]
        assert len(ends) == self.offered
        return {end.value: ends.count(end) for end in ends}

    async def close(self) -> None:
        if self._load is not None:
            self._load.cancel()
        await self.world.close()


def faults_in(log: Path) -> list[str]:
    """Lines that tell of an error, and what is no line of a log at all."""
    if not log.exists():
        return []
    found = []
    for line in log.read_text(encoding="utf-8").splitlines():
        try:
            level = json.loads(line)["level"]
        except (ValueError, KeyError, TypeError):
            level = "none"
        if level not in {"debug", "info", "warning"}:
            found.append(f"{log.name}: {line[:2_000]}")
    return found


MakeTemplate = Callable[[str, Prepare], Callable[[], str]]


@pytest.mark.long
@pytest.mark.parametrize("databases", ["postgresql"], indirect=True)
async def test_old_and_new_side_by_side(
    make_template: MakeTemplate, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Expand under the old version, one of which is killed and starts again on the new schema; old
    and new together; the old leave; contract under the new. Then the old one is refused. Orders
    come all the while, and each has its right end."""
    with capsys.disabled():
        print()
        chance = seeded()
    stage = Stage(make_template("node", migrate)(), tmp_path, chance)
    world = stage.world
    ports = [free_port(), free_port()]
    balancer = Balancer(ports, chance, asks=True)
    try:
        await world.open()
        world.listen_at(await balancer.start(free_port()))
        old = [
            stage.process("old", "serve --no-worker", ports[0]),
            stage.process("old", "worker"),
        ]
        await stage.up(*old)
        await world.able()
        stage.begin()
        await stage.more()

        # Orders come meanwhile.
        await asyncio.gather(stage.migrates("next"), stage.more(1))
        assert await world.read(migrations.current) == EXPANDED
        await stage.more()
        await asyncio.to_thread(old[0].kill)
        await stage.up(old[0])
        await stage.more()
        assert set(await stage.channels()) == {None}, "the old version writes as it did"

        new = [
            stage.process("next", "serve --no-worker", ports[1]),
            stage.process("next", "worker"),
        ]
        await stage.up(*new)
        async with asyncio.timeout(_UP_S):
            await balancer.all_ready()
        refused = await stage.run("later", "migrate")
        assert refused.returncode == 2, refused.stderr
        assert f"code {OLD}" in refused.stderr
        assert await world.read(migrations.current) == EXPANDED
        both = await stage.channels()
        for _ in range(_TURNS):  # a caller that keeps its connection meets one of the two
            balancer.hang_up()
            await stage.more(2 * _ORDERS // _TURNS)
        after = await stage.channels()
        assert all(after.get(one, 0) > both.get(one, 0) for one in (None, "next")), after

        for one in old:
            await stage.end(one)
            await stage.more(_ORDERS // 2)
        # Orders come meanwhile.
        await asyncio.gather(stage.migrates("later"), stage.more(1))
        assert await world.read(migrations.current) == CONTRACTED
        await stage.more()

        for command in ("serve --no-worker", "migrate"):
            refused = await stage.run("old", command)
            assert refused.returncode == 2
            assert f"schema {CONTRACTED} (migrated by Tidegate {NEXT})" in refused.stderr
            assert "Traceback" not in refused.stderr

        ends = await stage.right("next")
        with capsys.disabled():
            print(f"{stage.offered} orders, {ends}, taken by {await stage.channels()}", flush=True)
        assert ends["fulfilled"] > stage.offered // 2
    finally:
        await stage.close()
        await balancer.stop()


@pytest.mark.long
@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
async def test_there_and_back_on_one_file(
    make_template: MakeTemplate, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stop, migrate, go on with the new version; back to the old one on the schema as it is, and
    once more on its own, after the way down. Orders are under way at each change."""
    with capsys.disabled():
        print()
        chance = seeded()
    stage = Stage(make_template("node", migrate)(), tmp_path, chance)
    world = stage.world
    port = free_port()
    try:
        await world.open()
        world.listen_at(f"http://127.0.0.1:{port}")
        acts: Sequence[tuple[str, str]] = (
            ("old", "later migrate --to " + EXPANDED),
            ("next", ""),
            ("old", f"next migrate --down-to {OLD}"),
            ("old", ""),
        )
        for version, change in acts:
            node = stage.process(version, "serve", port)
            await stage.up(node)
            await world.able()
            stage.begin()
            await stage.more()
            if version == "next":
                assert (await stage.channels()).get("next"), "the new version has taken some"
            if (version, change) == acts[-1]:
                break
            await stage.pause()
            await stage.end(node)
            kept = await world.books()
            if change:
                await stage.migrates(*change.split(maxsplit=1))
            assert (await world.books()).payouts == kept.payouts
        assert await world.read(migrations.current) == OLD
        ends = await stage.right("old")
        with capsys.disabled():
            print(f"{stage.offered} orders, {ends}", flush=True)
        assert ends["fulfilled"] > stage.offered // 2
    finally:
        await stage.close()
