"""The dashboards show the demonstration's figures: a real Prometheus answers every panel."""

from __future__ import annotations

import asyncio
import math
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.queries import Panel, panels
from tidegate.cli import demo
from tidegate.cli.demo_orders import Standing, standings
from tidegate.cli.demo_world import World
from tidegate.cli.processes import free_port
from tidegate.clock import SystemClock
from tidegate.payouts.states import ENDED_UNPAID, State
from tidegate.sandbox.scenario import TROUBLES, make_scenario
from tidegate.sandbox.shop import SALES

_WAIT_S = 240.0
_CONFIGURATION = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: tidegate
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


class Prometheus:
    """What its HTTP interface answers."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._session = session

    async def now(self, expr: str) -> list[float]:
        """The values of an expression at this moment."""
        found = await self._ask("query", query=expr)
        return [float(series["value"][1]) for series in found]

    async def since(self, expr: str, began_s: float) -> list[float]:
        """All values of an expression since ``began_s``."""
        end = SystemClock().now_ms() / 1000
        found = await self._ask("query_range", query=expr, start=began_s, end=end, step=2)
        return [float(value) for series in found for _, value in series["values"]]

    async def _ask(self, what: str, **parameters: Any) -> Sequence[Any]:
        url = f"{self._url}/api/v1/{what}"
        async with self._session.get(url, params=parameters) as response:
            answer = await response.json()
        assert answer["status"] == "success", answer
        result: Sequence[Any] = answer["data"]["result"]
        return result


@asynccontextmanager
async def _prometheus(directory: Path, target: int) -> AsyncIterator[Prometheus]:
    configuration = directory / "prometheus.yaml"
    configuration.write_text(_CONFIGURATION.format(port=target))
    port = free_port()
    with (directory / "prometheus.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            "prometheus",
            f"--config.file={configuration}",
            f"--storage.tsdb.path={directory / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
            stdout=log,
            stderr=log,
        )
    try:
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{port}"
            async with asyncio.timeout(_WAIT_S):
                while not await _is_ready(session, url):
                    assert process.returncode is None, (directory / "prometheus.log").read_text()
                    await asyncio.sleep(0.1)
            yield Prometheus(url, session)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _is_ready(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(f"{url}/-/ready") as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


async def _until_over(world: World) -> list[Standing]:
    """Play, and wait until every order has ended and nothing moves."""
    clock = SystemClock()
    await world.play()
    until = clock.monotonic() + _WAIT_S
    while True:
        found = standings(world.scenario, await world.look(), world.aggregator.orders, world.bank)
        over = all(one.end is not None for one in found) and not (await world.till()).moving
        if over or clock.monotonic() > until:
            return found
        await clock.sleep(0.25)


@pytest.mark.long
@pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="prometheus is not on the path (Debian: prometheus)"
)
async def test_every_panel_shows_the_demonstrations_figures(tmp_path: Path) -> None:
    """Every expression of every panel has finite values of the run, and those that the proof is
    about are the very figures of bank, shop and ledger."""
    clock = SystemClock()
    scenario = make_scenario(clock, seed=7, orders=len(TROUBLES), window_s=6.0)
    world = World(
        clock, scenario, tmp_path, f"sqlite:///{tmp_path / 'demo.db'}", port=0, sales=SALES
    )
    try:
        await world.start()
        began_s = clock.now_ms() / 1000
        async with _prometheus(tmp_path, world.node.port) as prometheus:
            assert await _shown(prometheus, "tidegate_build_info") == [1]
            found = await _until_over(world)
            checks, _ = await demo._proof(world)
            assert [check.name for check in checks if not check.ok] == []
            await _last_scrape(prometheus)
            await _compare(prometheus, world, found)
            silent = [
                panel.name
                for panel in panels("2m")
                if not await _has_values(prometheus, panel, began_s)
            ]
            assert silent == []
    finally:
        await world.stop()


async def _shown(prometheus: Prometheus, expr: str) -> list[float]:
    async with asyncio.timeout(_WAIT_S):
        while not (values := await prometheus.now(expr)):  # noqa: ASYNC110 -- it tells nobody
            await asyncio.sleep(0.25)
    return values


async def _last_scrape(prometheus: Prometheus) -> None:
    """Wait until a scrape that began after everything was over has been stored."""
    over_s = SystemClock().now_ms() / 1000
    async with asyncio.timeout(_WAIT_S):
        newest = "min(timestamp(tidegate_build_info))"
        while (await prometheus.now(newest))[0] <= over_s:  # noqa: ASYNC110 -- it tells nobody
            await asyncio.sleep(0.25)


async def _has_values(prometheus: Prometheus, panel: Panel, began_s: float) -> bool:
    return any(math.isfinite(value) for value in await prometheus.since(panel.expr, began_s))


async def _compare(prometheus: Prometheus, world: World, found: Sequence[Standing]) -> None:
    by_title = {panel.name: panel.expr for panel in panels("2m")}

    async def shows(name: str) -> float:
        (value,) = await prometheus.now(by_title[name])
        return value

    till = await world.till()
    bank = world.bank.books.balance()
    states = [row["state"] for row in till.payments]
    fulfilled = sum(one.state is State.FULFILLED for one in found)
    unpaid = sum(one.state in ENDED_UNPAID for one in found)
    assert fulfilled > 10
    assert await shows("payouts: Fulfilled") == fulfilled
    assert await shows("payouts: Given back unpaid") == unpaid
    assert await shows("payouts: Held for a person") == sum(
        one.state is State.HELD for one in found
    )
    assert await shows("payments: Succeeded") == states.count("succeeded") > 0
    assert await shows("payments: Failed or canceled") == sum(
        state in {"failed", "canceled"} for state in states
    )
    assert await shows("payments: Deliveries waiting") == 0
    assert await shows("ledger: Drift") == 0
    assert await shows("ledger: Findings of the audit") == 0
    reserved = await shows("ledger: Reserved")
    look = await world.look()
    assert reserved == sum(row["held"] for row in look.payouts.values())
    assert await shows("ledger: Books against the PSP's word") == await shows(
        "ledger: Available"
    ) + reserved - await prometheus_reading(prometheus)
    assert await prometheus_reading(prometheus) == bank
    users = await prometheus.now(by_title["payments: Users' balances"])
    assert sum(users) == sum(till.paid().values())
    open_cases = [*look.other_cases, *(case for some in look.cases.values() for case in some)]
    assert await shows("overview: Open cases") == len(open_cases)


async def prometheus_reading(prometheus: Prometheus) -> float:
    (reading,) = await prometheus.now("max(tidegate_float_reading_minor_units)")
    return reading
