"""A migrated database and accounts served on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from tests.integration.users.world import World, rules, serve
from tests.support.databases import Prepare
from tests.support.node import migrate
from tidegate.clock import SimulatedClock, SystemClock


@pytest.fixture
def users_url(make_template: Callable[[str, Prepare], Callable[[], str]]) -> str:
    """A fresh database with all tables."""
    return make_template("users", migrate)()


@pytest.fixture
async def unserved(users_url: str) -> AsyncIterator[World]:
    """A world that nobody listens for yet."""
    # Near the machine's time, which the PostgreSQL server goes by.
    world = World(users_url, SimulatedClock(SystemClock().now_ms()), rules())
    await world.open()
    yield world
    await world.close()


@pytest.fixture
async def world(unserved: World) -> AsyncIterator[World]:
    """Accounts and sessions over HTTP."""
    async with serve(unserved):
        yield unserved
