"""What the image runs, run: the locked install, the user, the health check, the stop; and the
rollout of 1,000 orders on it."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.acceptance.processor.world import seeded
from tests.crashes.server import OwnServer
from tests.crashes.test_rolling import SEVERAL, STOPS, roll_out
from tests.crashes.world import CrashWorld
from tests.deployment.installed import Image, InstalledNode
from tests.support.node import free_port
from tests.support.world import OpenWorld
from tidegate.sandbox.faults import BankFault

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("image")]
ORDERS, PAUSE_S = 1_000, 0.3
GRACE_S = 5.0


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """Built once, from a clean folder that other users may enter, which those of pytest are not."""
    directory = Path(tempfile.mkdtemp(prefix="tidegate-image-"))
    directory.chmod(0o755)
    try:
        made = Image(directory)
        made.build()
        yield made
    finally:
        shutil.rmtree(directory)


def _node(image: Image, env: Mapping[str, str], log: Path, *arguments: str) -> InstalledNode:
    return InstalledNode(image, env, log, arguments)


def test_no_tool_of_the_build_is_left(image: Image) -> None:
    """Neither pip nor the build backend, and every package that is left can be loaded."""
    python = str(image.venv / "bin" / "python")
    for gone in ("pip", "hatchling", "pluggy"):
        assert image.run([python, "-c", f"import {gone}"], {}).returncode == 1
    done = image.run([str(image.venv / "bin" / "tidegate"), "--version"], {})
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("databases", ["postgresql"], indirect=True)
async def test_it_runs_without_rights_and_stops_in_time(
    image: Image, open_world: OpenWorld, tmp_path: Path
) -> None:
    """As nobody, in a folder that it cannot write to; well while it runs and not afterwards;
    stopped under load it ends within the grace with exit code 0."""
    world = await open_world()
    env = world.environment(SERVER_PORT=str(free_port()), SHUTDOWN_GRACE=f"{GRACE_S:g}")
    node = _node(image, {**env, "LOG_LEVEL": "INFO"}, tmp_path / "serve.log", "serve")
    assert not await asyncio.to_thread(node.is_well)
    node.start()
    try:
        await node.ready()
        if os.geteuid() == 0:
            assert set(node.status("Uid").split()) == {"65534"}
            assert int(node.status("CapEff"), 16) == 0
        assert await asyncio.to_thread(node.is_well)
        assert await asyncio.to_thread(node.is_well, "worker")
        world.listen_at(node.url)
        await world.able()
        assert await asyncio.to_thread(node.is_well, "ready")
        faults = [BankFault.TOO_SLOW, BankFault.SLOW]
        for number in range(20):
            await world.offer(bank_faults=faults[number % 2 : number % 2 + 1])
        began = time.monotonic()
        code = await asyncio.to_thread(node.stop)
        took_s = time.monotonic() - began
    finally:
        node.kill()
    assert code == 0, node.tail()
    assert took_s < GRACE_S + 20, "a platform would have killed it"
    assert not await asyncio.to_thread(node.is_well)
    assert not await asyncio.to_thread(node.is_well, "worker")
    assert not any(image.data.iterdir()), "something was written where nothing may be"

    node.start()
    try:
        await node.ready()
        await world.settle(90)
        await world.assert_right()
    finally:
        node.kill()


async def test_a_rollout_of_the_image_under_load_loses_nothing(
    image: Image, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two processes that answer and two that work, as nobody, from the clean install; migrated by
    the image; 1,000 orders with faults; every process replaced, one killed in the midst: the
    bank's books, the aggregator's and ours agree, nothing is lost and nothing paid twice."""
    with capsys.disabled():
        print()
        chance = seeded()
    server = await asyncio.to_thread(OwnServer)

    def child(env: Mapping[str, str], log: Path, arguments: Sequence[str]) -> InstalledNode:
        return InstalledNode(image, env, log, arguments)

    try:
        world = CrashWorld(
            server.url, tmp_path, chance, SEVERAL, make_child=child, balancer_asks=True, env=STOPS
        )
        migrate = [*image.command("ENTRYPOINT"), "migrate"]
        done = await asyncio.to_thread(
            image.run, migrate, {"DATABASE_URL": server.url, "DEBUG": "true"}
        )
        assert done.returncode == 0, done.stderr
        await roll_out(world, ORDERS, PAUSE_S, [0, 1, 2, 3], capsys, killed=2)
    finally:
        await asyncio.to_thread(server.close)
