"""The real program: a worker is scraped, and processes that share a port each for itself."""

from __future__ import annotations

import aiohttp
import pytest

from tests.integration.monitoring.scrape import Scrape, scrape
from tests.integration.monitoring.test_listener import row_of_ports
from tests.support.node import free_port
from tests.support.world import OpenWorld
from tidegate.payouts.states import State


async def _scraped(ports: range) -> list[Scrape]:
    """Everybody who listens there."""
    found = []
    for port in ports:
        try:
            found.append(await scrape(f"http://127.0.0.1:{port}"))
        except aiohttp.ClientConnectorError:
            continue  # no process took it
    return found


@pytest.mark.long
@pytest.mark.parametrize("databases", ["postgresql"], indirect=True)
async def test_every_process_is_scraped_for_itself(open_world: OpenWorld) -> None:
    """Two processes that answer at one port, and a worker: together they counted every request and
    every order once, and their shared port shows no counter."""
    with row_of_ports(6) as (first, held):
        for taken in held:
            taken.close()
    ports = range(first, first + 6)
    world = await open_world(
        env={"METRICS_PORTS": f"{first}-{first + 5}"}, terms={"reoffer": "stock"}
    )
    api = world.child("serve", "--no-worker", "--workers", "2", port=free_port())
    worker = world.child("worker", port=free_port())
    for child in (api, worker):
        child.start()
    await api.ready()
    world.listen_at(api.url)
    await world.able()

    async def all_there() -> bool:
        return len(await _scraped(ports)) == 3

    await world.until(all_there, 30, "three processes at their ports")
    orders = [await world.offer() for _ in range(6)]
    for order in orders:
        await world.reaches(order, State.FULFILLED, 60)
    await world.settle()

    found = await _scraped(ports)

    def summed(name: str, **labels: str) -> float:
        return sum(each.sum(name, **labels) for each in found)

    assert summed("tidegate_http_requests_total", route="/new_order", status="200") == 6
    assert summed("tidegate_orders_finished_total", outcome="fulfilled") == 6
    assert summed("tidegate_turn_duration_seconds_count", kind="accept", result="done") >= 6
    for each in found:
        assert each.sum("tidegate_orders", state="fulfilled") == 6
        assert each.sum("tidegate_ledger_audit_findings") == 0
    shared = await scrape(api.url)
    assert not shared.has("tidegate_http_requests_total")
    assert shared.sum("tidegate_orders", state="fulfilled") == 6
    api.stop()
    worker.stop()
