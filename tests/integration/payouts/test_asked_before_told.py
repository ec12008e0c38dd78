"""The aggregator asks about a paid order before it is told: what stands there then is ours."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.world import OpenWorld
from tidegate.payouts.states import State
from tidegate.ports.aggregator import SayAnswer


async def test_our_own_transaction_is_not_foreign(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``/tx_status`` tells our reference and a fulfil of the spec dialect the bank's id. Where the
    answer to the question comes first, the fulfil is refused for our own reference."""
    world = await open_world()
    node = await world.local()
    tell = node.app.aggregator.fulfil_spec

    async def ask_first(order_id: str, **more: Any) -> SayAnswer:
        await world.aggregator.ask(order_id)
        return await tell(order_id, **more)

    monkeypatch.setattr(node.app.aggregator, "fulfil_spec", ask_first)
    order_id = await world.offer(dialect="spec")

    await world.reaches(order_id, State.FULFILLED, 20)
    assert "success_polled" in world.aggregator.order(order_id).marks
    await world.settle()
    assert not (await world.books()).cases
