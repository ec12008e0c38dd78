"""No receiver leads into a private network: judged at the moment of connecting.

The network guard of the tests fails every one of these that so much as tries.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
import uvloop

from tests.integration.adapters.notifier_play import Names
from tests.integration.adapters.raw import Reply, Scripted, scripted_server
from tidegate.adapters.notifier import Guard, HttpNotifier, guarded_connector
from tidegate.clock import SystemClock

BODY = b"{}"
HEADERS = {"webhook-id": "evt_1"}
PUBLIC = "93.184.215.14"


class Unchecked(HttpNotifier):
    """As if the URL had been found good: only what happens at connect time is left."""

    def check(self, url: str) -> str | None:
        return None


@asynccontextmanager
async def _unchecked(
    names: Names | None = None, *, debug: bool = False, guarded: bool = True
) -> AsyncIterator[HttpNotifier]:
    """With ``guarded=False`` nothing judges what names resolve to; the sockets are left."""

    def connector(guard: Guard) -> aiohttp.BaseConnector:
        resolver = names or Names({})
        if guarded:
            return guarded_connector(guard, lambda: resolver)
        return aiohttp.TCPConnector(resolver=resolver, socket_factory=guard.socket)

    made = Unchecked(SystemClock(), debug=debug, time_s=3, connector_factory=connector)
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture
async def shop() -> AsyncIterator[Scripted]:
    async with scripted_server() as script:
        yield script


def _port(shop: Scripted) -> str:
    return shop.origin.rpartition(":")[2]


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "169.254.169.254",
        "10.0.0.1",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:7f00:1::]",
        "[fd00:ec2::254]",
    ],
)
async def test_an_address_in_the_url_is_judged_though_no_resolver_sees_it(
    shop: Scripted, host: str
) -> None:
    names = Names({})
    async with _unchecked(names) as notifier:
        told = await notifier.tell(f"http://{host}:{_port(shop)}/", HEADERS, BODY)
    assert (told.error or "").startswith("refused_address: ")
    assert names.asked == []
    assert shop.heard == []


@pytest.mark.parametrize("host", ["2130706433", "127.1", "0x7f000001", "0177.0.0.1"])
async def test_other_spellings_of_this_machine_lead_nowhere(shop: Scripted, host: str) -> None:
    async with _unchecked() as notifier:
        told = await notifier.tell(f"http://{host}:{_port(shop)}/", HEADERS, BODY)
    assert told.status is None
    assert shop.heard == []


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["::1"],
        ["169.254.169.254"],
        ["::ffff:169.254.169.254"],
        ["10.1.2.3"],
        [PUBLIC, "127.0.0.1"],
        [PUBLIC, "192.168.0.1"],
        ["2606:4700::1", "fe80::1"],
    ],
)
async def test_a_name_that_resolves_to_any_such_address_is_refused(
    shop: Scripted, addresses: list[str]
) -> None:
    names = Names({"shop.example.com": addresses})
    async with _unchecked(names) as notifier:
        told = await notifier.tell(f"http://shop.example.com:{_port(shop)}/", HEADERS, BODY)
    assert (told.error or "").startswith("refused_address: ")
    assert names.asked == ["shop.example.com"]
    assert shop.heard == []


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "169.254.169.254"])
async def test_the_socket_is_judged_whatever_the_resolver_said(
    shop: Scripted, address: str
) -> None:
    """So a name that is answered differently when it is asked again gains nothing."""
    names = Names({"shop.example.com": [address]})
    async with _unchecked(names, guarded=False) as notifier:
        told = await notifier.tell(f"http://shop.example.com:{_port(shop)}/", HEADERS, BODY)
    assert (told.error or "").startswith("refused_address: ")
    assert shop.heard == []


async def test_every_connection_is_judged_anew(shop: Scripted) -> None:
    """A name that was good once is resolved again for the next connection."""
    names = Names({"shop.example.com": ["127.0.0.1"]})
    url = f"http://shop.example.com:{_port(shop)}/"
    shop.script(Reply(200, headers={"Connection": "close"}))
    async with _unchecked(names, debug=True) as notifier:
        assert (await notifier.tell(url, HEADERS, BODY)).delivered
        names.table["shop.example.com"] = ["10.0.0.1"]
        told = await notifier.tell(url, HEADERS, BODY)
    assert (told.error or "").startswith("refused_address: ")


async def test_debug_allows_this_machine_and_nothing_else(shop: Scripted) -> None:
    names = Names({"localhost": ["127.0.0.1"], "shop.example.com": ["169.254.169.254"]})
    port = _port(shop)
    async with _unchecked(names, debug=True) as notifier:
        for host in ("127.0.0.1", "localhost"):
            assert (await notifier.tell(f"http://{host}:{port}/", HEADERS, BODY)).delivered
        for host in ("169.254.169.254", "shop.example.com", "0.0.0.0"):
            told = await notifier.tell(f"http://{host}:{port}/", HEADERS, BODY)
            assert (told.error or "").startswith("refused_address: ")


@pytest.mark.parametrize(
    "url", ["http://localhost/", "https://localhost/", "https://169.254.169.254/", "https://a@b.c/"]
)
async def test_without_debug_such_urls_are_refused_before_anything_is_resolved(url: str) -> None:
    names = Names({"localhost": ["127.0.0.1"]})
    notifier = HttpNotifier(
        SystemClock(),
        debug=False,
        connector_factory=lambda guard: guarded_connector(guard, lambda: names),
    )
    told = await notifier.tell(url, HEADERS, BODY)
    await notifier.close()
    assert (told.error or "").startswith("refused_address: ")
    assert names.asked == []


def test_the_loop_that_serves_judges_too() -> None:
    """uvloop connects in its own way; the sockets are still ours."""

    async def both() -> None:
        async with scripted_server() as shop, _unchecked() as strict:
            told = await strict.tell(shop.origin, HEADERS, BODY)
            assert (told.error or "").startswith("refused_address: ")
            assert shop.heard == []
            async with _unchecked(debug=True) as debugging:
                assert (await debugging.tell(shop.origin, HEADERS, BODY)).delivered

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(both())
