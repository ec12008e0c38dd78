"""A process is told to stop: nobody is turned away, nothing waits for it, and it ends with 0."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import Connection, select

from tests.integration.api.ops_world import prepare
from tests.integration.security.test_streams import EMAIL, give_away
from tests.support.databases import Prepare
from tests.support.node import free_port
from tests.support.our_books import WORK
from tests.support.world import OpenWorld, World
from tidegate.clock import SystemClock
from tidegate.db.engine import open_database
from tidegate.db.url import parse
from tidegate.payouts.states import AttemptState, State
from tidegate.sandbox.faults import BankFault
from tidegate.work.tables import periodic

# Long enough to be seen, and shorter than any patience.
DELAY_S, GRACE_S = 3.0, 1.0
# The longest that a stopped process may leave a row leased; alone they end after a minute or more.
LEASED_S = 6.0
PASSWORD = "correct horse battery staple"
ONLY_POSTGRESQL = pytest.mark.parametrize("databases", ["postgresql"], indirect=True)


@ONLY_POSTGRESQL
async def test_a_stop_in_the_midst_of_a_transfer(open_world: OpenWorld) -> None:
    """The balancer hears it first, an order that comes meanwhile is taken, the transfer that does
    not end is let go, and the next process pays both orders once without waiting for leases."""
    env = {"SHUTDOWN_DELAY": f"{DELAY_S:g}", "SHUTDOWN_GRACE": f"{GRACE_S:g}"}
    world = await open_world(env={**env, "LOG_LEVEL": "INFO"})
    first = world.child("serve", port=free_port())
    first.start()
    await first.ready()
    world.listen_at(first.url)
    await world.able()
    caught = await world.offer(bank_faults=[BankFault.TOO_SLOW])
    await world.until(lambda: _sending(world, caught), 15, "the transfer call")

    async with aiohttp.ClientSession(first.url) as session:
        assert (await _ask(session, "/ready"))[0] == 200
        os.kill(first.pid, signal.SIGTERM)
        status, connection = 200, ""
        while status == 200:  # the signal is on its way
            status, connection = await _ask(session, "/ready")
        assert (status, connection) == (503, "close")
        assert (await _ask(session, "/health")) == (200, "close")
    late = await world.offer()
    assert await world.payout(late), "still taken: the balancer may not have heard yet"

    assert await asyncio.to_thread(first.stop) == 0
    stopped_ms = SystemClock().now_ms()
    leases = await world.read(_leases)
    assert leases, "the transfer was not in the midst of its turn"
    assert max(leases) - stopped_ms <= LEASED_S * 1000, "others wait for the one that stopped"
    assert first.said("worker.cut_short")
    with pytest.raises(aiohttp.ClientError):
        async with aiohttp.ClientSession(first.url) as session:
            await _ask(session, "/health")

    second = world.child("serve", port=free_port())
    second.start()
    await second.ready()
    world.listen_at(second.url)
    await world.settle()
    books = await world.assert_right()
    assert books.payouts[caught]["state"] == State.FULFILLED
    assert len(await world.attempts(caught)) == 1


@pytest.mark.long
@ONLY_POSTGRESQL
async def test_a_worker_stopped_while_it_starts(open_world: OpenWorld) -> None:
    """Whenever the signal comes, from the first claim on nothing stays leased for long."""
    world = await open_world(env={"SHUTDOWN_GRACE": f"{GRACE_S:g}", "LOG_LEVEL": "INFO"})
    for _ in range(3):
        worker = world.child("worker", port=free_port())
        worker.start()
        async with asyncio.timeout(60):
            while not (worker.said("worker.started") or await world.read(_leases)):
                assert worker.running, worker.tail()
        assert await asyncio.to_thread(worker.stop) == 0, worker.tail()
        stopped_ms = SystemClock().now_ms()
        assert all(one - stopped_ms <= LEASED_S * 1000 for one in await world.read(_leases))


@pytest.mark.long
@ONLY_POSTGRESQL
async def test_streams_of_several_processes_end_with_the_signal(
    make_template: Callable[[str, Prepare], Callable[[], str]],
    open_world: OpenWorld,
    tmp_path: Path,
) -> None:
    """``serve --workers 2``: an open stream is finished, not torn off when the grace is over."""
    world = await open_world()
    url = make_template("api_ops", prepare)()
    grace_s = 50.0
    more = {"DATABASE_URL": url, "SHUTDOWN_GRACE": f"{grace_s:g}", "LOG_LEVEL": "INFO"}
    node = world.child("serve", "--no-worker", "--workers", "2", port=free_port(), **more)
    node.start()
    await node.ready()
    database = open_database(parse(url), SystemClock(), pool_size=1)
    try:
        async with aiohttp.ClientSession(node.url) as session:
            account = {"email": EMAIL, "password": PASSWORD}
            async with session.post("/api/auth/register", json=account) as answer:
                assert answer.status == 201, await answer.text()
            async with session.post("/api/auth/login", json=account) as answer:
                token = (await answer.json())["access_token"]
            last = await database.write(give_away)
            headers = {"Authorization": f"Bearer {token}"}
            path = f"/api/payments/{last['payment_id']}/stream"
            async with session.get(path, headers=headers) as stream:
                told = b""
                while last["id"].encode() not in told:
                    told += await stream.content.readany()
                began = time.monotonic()
                os.kill(node.pid, signal.SIGTERM)
                await stream.read()  # raises when it is torn off
                assert time.monotonic() - began < grace_s
        assert await asyncio.to_thread(node.stop) == 0
    finally:
        await database.close()
    assert not node.said("timeout graceful shutdown exceeded"), node.tail()


async def _ask(session: aiohttp.ClientSession, path: str) -> tuple[int, str]:
    async with session.get(path) as answer:
        await answer.read()
        return answer.status, answer.headers.get("Connection", "")


async def _sending(world: World, order_id: str) -> bool:
    """The intention is committed, and the bank has the call."""
    rows = await world.attempts(order_id)
    return bool(world.bank.transfers) and [row["state"] for row in rows] == [AttemptState.SENDING]


def _leases(connection: Connection) -> list[int]:
    """When each lease that was given ends."""
    return [
        until
        for table in (*WORK, periodic)
        for until in connection.execute(
            select(table.c.leased_until).where(table.c.leased_until.is_not(None))
        ).scalars()
    ]
