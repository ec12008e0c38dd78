"""Worlds on fresh databases, working by themselves or by hand."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.payouts.hands import Hands, MakeHands
from tests.support.world import OpenWorld, open_world
from tidegate.clock import SimulatedClock

__all__ = ["make_hands", "open_world"]

QUIET = {"reoffer": "stock", "reassign_interval_s": 1e6, "refund_interval_s": 1e6}
# The windows of the contract, in full: the clock stands until it is moved.
FULL = {
    "LOOKUP_SCHEDULE": "5,15,30,60,120,300,600",
    "LOOKUP_STEADY": "900",
    "NOT_FOUND_WINDOW": "900",
    "COOL_OFF": "1800",
    "HOLD_LIMIT": "1200",
}


@pytest.fixture
def make_hands(open_world: OpenWorld) -> MakeHands:
    """``await make_hands(**fields)`` opens a world and a node that does one turn at a time."""

    async def make(**fields: Any) -> Hands:
        fields.setdefault("terms", QUIET)
        world = await open_world(simulated=SimulatedClock(), env=FULL, **fields)
        return await Hands.open(world)

    return make
