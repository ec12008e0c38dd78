"""A world on a fresh database, and receivers that end with the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from tests.integration.payments_out.world import Receiver, World, create_tables, receiver
from tests.support.databases import Prepare
from tidegate.clock import SimulatedClock, SystemClock
from tidegate.db.engine import open_database
from tidegate.db.url import parse


def _prepare(url: str) -> None:
    async def prepare() -> None:
        database = open_database(parse(url), SystemClock())
        await database.write(create_tables)
        await database.close()

    asyncio.run(prepare())


@pytest.fixture
async def world(make_template: Callable[[str, Prepare], Callable[[], str]]) -> AsyncIterator[World]:
    # Near the machine's time: receivers' libraries look at it.
    made = World(make_template("payments_out", _prepare)(), SimulatedClock(SystemClock().now_ms()))
    await made.open()
    yield made
    await made.close()


@pytest.fixture
async def shop() -> AsyncIterator[Receiver]:
    async with receiver() as made:
        yield made


@pytest.fixture
async def books() -> AsyncIterator[Receiver]:
    async with receiver() as made:
        yield made
