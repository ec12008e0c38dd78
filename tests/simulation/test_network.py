"""Real HTTP over connections that exist in the process only, and what may befall an exchange."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tidegate.simulation.loop import SimulatedLoop
from tidegate.simulation.network import Network
from tidegate.simulation.party import Party
from tidegate.simulation.plan import Wire
from tidegate.simulation.trace import Trace

LOST = {Wire.LOSE_REQUEST, Wire.LOSE_REQUEST_SILENTLY}
UNANSWERED = LOST | {
    Wire.LOSE_ANSWER,
    Wire.LOSE_ANSWER_SILENTLY,
    Wire.LATE_REQUEST,
    Wire.LATE_ANSWER,
}


class Town:
    """A shop that counts its orders, and a customer."""

    def __init__(self, loop: SimulatedLoop, seed: int = 1) -> None:
        self.loop = loop
        self.trace = Trace(loop.time)
        self.network = loop.network = Network(loop, seed, self.trace)
        self.shop, self.customer = Party("shop"), Party("customer")
        self.orders: list[bytes] = []
        self.port = 0

    async def open(self) -> None:
        async def take(request: web.BaseRequest) -> web.Response:
            self.orders.append(await request.read())
            return web.json_response({"orders": len(self.orders)})

        async def listen() -> None:
            server = await self.loop.create_server(web.Server(take), "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]

        await self.shop.spawn(listen())

    def run(self, what: Callable[[aiohttp.ClientSession, str], Any]) -> Any:
        """What the customer does, from an open session to the end."""

        async def as_customer() -> Any:
            timeout = aiohttp.ClientTimeout(total=3.0)
            async with aiohttp.ClientSession(timeout=timeout) as session:
                return await what(session, f"http://127.0.0.1:{self.port}/order")

        async def play() -> Any:
            await self.open()
            return await self.customer.spawn(as_customer())

        return self.loop.run_until_complete(play())


@pytest.fixture
def town() -> Iterator[Town]:
    loop = SimulatedLoop()
    yield Town(loop)
    loop.close()


async def _order(session: aiohttp.ClientSession, url: str) -> int:
    async with session.post(url, data=b"x" * 70_000) as response:
        answer = await response.json()
        assert isinstance(answer, dict)
        return response.status


def test_an_exchange_arrives_whole_and_takes_simulated_time(town: Town) -> None:
    """Seventy thousand bytes, in order, over a connection that no kernel knows."""
    assert town.run(_order) == 200
    assert town.orders == [b"x" * 70_000]
    assert 0 < town.loop.time() < 3


@pytest.mark.parametrize("fate", sorted(UNANSWERED))
def test_the_caller_does_not_know_and_the_shop_may(town: Town, fate: Wire) -> None:
    """An error for the caller in each case; whether the order arrived is another matter."""
    town.network.fate = lambda client, server, number: fate

    async def ask(session: aiohttp.ClientSession, url: str) -> None:
        with pytest.raises((aiohttp.ClientError, TimeoutError)):
            await _order(session, url)
        await asyncio.sleep(30)

    town.run(ask)
    assert len(town.orders) == (0 if fate in LOST else 1)


def test_a_request_said_twice_arrives_twice_and_is_answered_once(town: Town) -> None:
    """A proxy on the way repeats it; the caller sees one answer."""
    town.network.fate = lambda client, server, number: Wire.TWICE

    async def ask(session: aiohttp.ClientSession, url: str) -> int:
        status = await _order(session, url)
        await asyncio.sleep(5)
        return status

    assert town.run(ask) == 200
    assert town.orders == [b"x" * 70_000] * 2
    assert [copy.endswith(b"x" * 70_000) for copy in town.network.copies] == [True]


def test_who_is_apart_hears_nothing(town: Town) -> None:
    """No refusal: silence, until the caller's patience ends."""

    async def ask(session: aiohttp.ClientSession, url: str) -> float:
        await _order(session, url)
        town.network.apart.add(frozenset(("customer", "shop")))
        began = town.loop.time()
        with pytest.raises(TimeoutError):
            await _order(session, url)
        return town.loop.time() - began

    assert town.run(ask) == pytest.approx(3.0, abs=0.1)
    assert len(town.orders) == 1


def test_the_dead_are_refused_and_their_connections_reset(town: Town) -> None:
    """As a kernel does it for a process that is gone."""

    async def ask(session: aiohttp.ClientSession, url: str) -> list[str]:
        await _order(session, url)
        town.loop.kill(town.shop)
        errors = []
        for _ in range(2):
            with pytest.raises(aiohttp.ClientError) as caught:
                await _order(session, url)
            errors.append(type(caught.value).__name__)
        return errors

    assert town.run(ask)[-1] == "ClientConnectorError"


def test_the_same_seed_gives_the_same_run_and_another_one_another() -> None:
    """Compared by the digest of all that happened."""

    def digest(seed: int) -> str:
        loop = SimulatedLoop()
        town = Town(loop, seed)

        async def ask(session: aiohttp.ClientSession, url: str) -> None:
            await asyncio.gather(*(_order(session, url) for _ in range(20)))

        town.run(ask)
        loop.close()
        return town.trace.digest

    assert digest(7) == digest(7)
    assert digest(7) != digest(8)
