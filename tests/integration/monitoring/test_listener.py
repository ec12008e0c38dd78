"""Each process shows its own metrics, on a port of its own."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import aiohttp
import pytest

from tests.integration.monitoring.scrape import scrape
from tests.support.world import OpenWorld
from tidegate.monitoring.listener import Listener


@contextmanager
def row_of_ports(count: int) -> Iterator[tuple[int, list[socket.socket]]]:
    """``count`` ports in a row that are ours: held until they are closed."""
    for first in range(20_000, 60_000, 97):
        with ExitStack() as stack:
            held = []
            try:
                for port in range(first, first + count):
                    held.append(stack.enter_context(socket.socket()))
                    held[-1].bind(("127.0.0.1", port))
                    held[-1].listen()
            except OSError:
                continue
            yield first, held
            return
    raise AssertionError("no free ports in a row")


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
async def test_processes_share_a_range_of_ports(open_world: OpenWorld) -> None:
    """A taken port is left to its owner; the next process takes the next one, and a process that
    finds none works on and takes the port that becomes free."""
    with row_of_ports(3) as (first, held):
        world = await open_world(env={"METRICS_PORTS": f"{first}-{first + 1}"})
        node = await world.idle()
        held[1].close()
        one, other = Listener(node.app), Listener(node.app)
        await one.start()
        await other.start()
        assert (one.port, other.port) == (first + 1, None)
        shown = await scrape(f"http://127.0.0.1:{one.port}")
        assert shown.sum("tidegate_database_gauges_read") == 1
        assert shown.has("tidegate_commits_total")
        held[0].close()

        async def opened() -> bool:
            return other.port == first

        await world.until(opened, 20, "the freed port was taken")
        await one.stop()
        await other.stop()


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
async def test_a_listener_is_closed_to_strangers_and_says_that_it_lives(
    open_world: OpenWorld,
) -> None:
    """What came through a proxy is refused with what to do; health tells nothing to refuse."""
    with row_of_ports(1) as (port, held):
        world = await open_world(env={"METRICS_PORTS": str(port)})
        node = await world.idle()
        held[0].close()
        listener = Listener(node.app)
        await listener.start()
        base = f"http://127.0.0.1:{listener.port}"
        async with aiohttp.ClientSession() as session:
            forwarded = {"X-Forwarded-For": "203.0.113.7"}
            async with session.get(f"{base}/metrics", headers=forwarded) as refused:
                assert refused.status == 403
                assert "METRICS_TOKEN" in await refused.text()
            async with session.get(f"{base}/health") as alive:
                assert (alive.status, await alive.text()) == (200, "ok\n")
            async with session.get(f"{base}/orders") as other:
                assert other.status == 404
        await listener.stop()


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
async def test_the_public_port_refuses_what_came_through_a_proxy(open_world: OpenWorld) -> None:
    """The same request with a proxy's header is a stranger's, though it comes from this machine;
    and a port that several processes share shows no counters of one of them."""
    world = await open_world()
    node = await world.idle()
    assert (await scrape(node.url)).has("tidegate_commits_total")
    async with aiohttp.ClientSession() as session:
        forwarded = {"X-Forwarded-For": "127.0.0.1"}
        async with session.get(f"{node.url}/metrics", headers=forwarded) as refused:
            assert refused.status == 403
            assert "METRICS_PORTS" in (await refused.json())["message"]
    node.deps.shares_port = True
    shared = await scrape(node.url)
    assert not shared.has("tidegate_commits_total")
    assert shared.has("tidegate_orders")


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
async def test_without_the_database_the_counters_are_told(open_world: OpenWorld) -> None:
    """A scrape is answered while the database is away, and says that its gauges are missing."""
    world = await open_world()
    node = await world.idle()
    await node.app.database.close()
    shown = await scrape(node.url)
    assert shown.sum("tidegate_database_gauges_read") == 0
    assert not shown.has("tidegate_orders")
    assert shown.has("tidegate_http_requests_total") or shown.has("tidegate_commits_total")
