"""Following a payment: everything once, in order, from where the client was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.integration.payments_out.world import USER, World
from tidegate.clock import SystemClock
from tidegate.errors import NotFound, TooManyRequests
from tidegate.payments.stream import BEAT, Hub, Stream

_LATER = 10**15


async def _valid() -> bool:
    return True


async def _void() -> bool:
    return False


def _stream(world: World, *, poll_s: float = 30.0, beat_s: float = 30.0) -> Stream:
    """On the machine's clock, by default with nothing but touches to wake it."""
    return Stream(world.database, SystemClock(), world.hub, poll_s=poll_s, beat_s=beat_s)


async def _take(events: AsyncIterator[Any], count: int) -> list[Any]:
    async with asyncio.timeout(60):
        return [await anext(events) for _ in range(count)]


async def test_events_so_far_and_then_each_as_it_is_committed(world: World) -> None:
    """A commit of this process wakes the reader: the poll is far away."""
    await world.pay("pay_1")
    await world.pay("pay_2")
    before = [await world.happen("pay_1"), await world.happen("pay_1")]
    events = _stream(world).follow("pay_1", 0, _LATER, _valid)
    assert [each["id"] for each in await _take(events, 2)] == before
    waiting = asyncio.create_task(_take(events, 1))
    await asyncio.sleep(0.05)
    await world.happen("pay_2")
    event_id = await world.happen("pay_1")
    assert [each["id"] for each in await waiting] == [event_id]
    await events.aclose()  # type: ignore[attr-defined]  # it is a generator


async def test_what_other_processes_commit_is_found_by_looking(world: World) -> None:
    await world.pay("pay_1")
    world.committer.on_written = lambda unit: None
    events = _stream(world, poll_s=0.05).follow("pay_1", 0, _LATER, _valid)
    waiting = asyncio.create_task(_take(events, 1))
    await asyncio.sleep(0.02)
    event_id = await world.happen("pay_1")
    assert [each["id"] for each in await waiting] == [event_id]
    await events.aclose()  # type: ignore[attr-defined]  # it is a generator


async def test_a_client_resumes_behind_the_last_event_it_has(world: World) -> None:
    """From the beginning with an id that is not of this payment."""
    await world.pay("pay_1")
    await world.pay("pay_2")
    ids = [await world.happen("pay_1") for _ in range(230)]
    foreign = await world.happen("pay_2")
    stream = _stream(world)
    assert await stream.begin(USER, "pay_1", None) == 0
    assert await stream.begin(USER, "pay_1", foreign) == 0
    seq = await stream.begin(USER, "pay_1", ids[4])
    events = stream.follow("pay_1", seq, _LATER, _valid)
    assert [each["id"] for each in await _take(events, 225)] == ids[5:]
    await events.aclose()  # type: ignore[attr-defined]  # it is a generator
    with pytest.raises(NotFound):
        await stream.begin("usr_2", "pay_1", None)
    with pytest.raises(NotFound):
        await stream.begin(USER, "pay_9", None)


async def test_a_stream_ends_with_its_token(world: World) -> None:
    """When it expires, and at the beat that finds it void."""
    await world.pay("pay_1")
    clock = SystemClock()
    stream = _stream(world, beat_s=0.1)
    began = clock.monotonic()
    events = stream.follow("pay_1", 0, clock.now_ms() + 250, _valid)
    async with asyncio.timeout(60):
        found = [each async for each in events]
    assert found
    assert all(each is BEAT for each in found)
    assert clock.monotonic() - began >= 0.2
    async with asyncio.timeout(60):
        assert [each async for each in stream.follow("pay_1", 0, _LATER, _void)] == []


async def test_streams_end_with_the_process(world: World) -> None:
    await world.pay("pay_1")

    async def all_of() -> list[Any]:
        return [each async for each in _stream(world).follow("pay_1", 0, _LATER, _valid)]

    waiting = asyncio.create_task(all_of())
    await asyncio.sleep(0.05)
    world.hub.close()
    async with asyncio.timeout(60):
        assert await waiting == []


def test_a_user_has_so_many_streams_and_no_more() -> None:
    hub = Hub(streams_max=1)
    with hub.place(USER):
        with hub.place("usr_2"):
            pass
        with pytest.raises(TooManyRequests), hub.place(USER):
            pass
    with hub.place(USER):
        pass
