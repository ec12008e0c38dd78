"""Worlds on fresh databases, with a processor that a test can hurt."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.integration.payments.world import KEY, SECRET, World
from tests.support.databases import Prepare
from tests.support.node import migrate
from tidegate.clock import Randomness, SimulatedClock
from tidegate.db.engine import open_database
from tidegate.db.url import parse
from tidegate.sandbox.cards import SandboxCards
from tidegate.sandbox.cards.terms import Terms
from tidegate.sandbox.faults import CardFaults

OpenPayments = Callable[..., Awaitable[World]]


@pytest.fixture
async def open_payments(
    make_template: Callable[[str, Prepare], Callable[[], str]],
) -> AsyncIterator[OpenPayments]:
    """``await open_payments(**terms)`` opens a :class:`World` on a migrated database."""
    opened: list[tuple[World, SandboxCards]] = []
    fresh = make_template("node", migrate)

    async def make(**terms: Any) -> World:
        clock = SimulatedClock()
        processor = SandboxCards(
            clock,
            Randomness(clock, 3),
            api_key=KEY,
            webhook_secret=SECRET,
            faults=CardFaults(too_slow_s=5.0, refuse_s=0.0),
            terms=Terms(**terms),
        )
        await processor.start()
        world = World(open_database(parse(fresh()), clock, pool_size=4), clock, processor)
        opened.append((world, processor))
        return world

    yield make
    for world, processor in opened:
        await world.close()
        await processor.stop()


@pytest.fixture
async def world(open_payments: OpenPayments) -> World:
    """A world with ordinary terms."""
    return await open_payments()
