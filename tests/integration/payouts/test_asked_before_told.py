"""The aggregator asks about a paid order before it is told: what stands there then is ours."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.world import OpenWorld, World
from tidegate.payouts.states import State
from tidegate.ports.aggregator import SayAnswer
from tidegate.sandbox.faults import AggregatorFault


@pytest.fixture
def asked_first(open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch) -> OpenWorld:
    """A world whose node is asked about an order at the moment at which it would tell its end."""

    async def opened(**more: Any) -> World:
        world = await open_world(**more)
        node = await world.local()
        tell = node.app.aggregator.fulfil_spec

        async def ask_first(order_id: str, **more: Any) -> SayAnswer:
            await world.aggregator.ask(order_id)
            return await tell(order_id, **more)

        monkeypatch.setattr(node.app.aggregator, "fulfil_spec", ask_first)
        return world

    return opened


async def test_our_own_transaction_is_not_foreign(asked_first: OpenWorld) -> None:
    """``/tx_status`` tells our reference and a fulfil of the spec dialect the bank's id. Where the
    answer to the question comes first, the fulfil is refused for our own reference."""
    world = await asked_first()
    order_id = await world.offer(dialect="spec")

    await world.reaches(order_id, State.FULFILLED, 20)
    assert "success_polled" in world.aggregator.order(order_id).marks
    await world.settle()
    assert not (await world.books()).cases


async def test_what_stands_by_our_own_name_is_told_by_that_name(asked_first: OpenWorld) -> None:
    """The order is offered again after that. Under the bank's id its success would be refused for
    ever, and the order, paid, would never settle."""
    world = await asked_first(terms={"polled_settling_after_s": 0.5})
    order_id = await world.offer(AggregatorFault.REOFFER_AFTER_END, dialect="spec")

    async def told() -> bool:
        return "success_reported" in world.aggregator.order(order_id).marks

    await world.until(told, 30, "the success is told after the second offer")
    await world.reaches(order_id, State.FULFILLED, 20)
    await world.settle()
    books = await world.books()
    assert {case["kind"] for case in books.cases} == {"paid_order_offered_again"}
    order = world.aggregator.order(order_id)
    payout = await world.payout(order_id)
    assert [one.tx_id for one in order.fulfilments] == [payout["tx_id"]]
    assert len(world.bank.transfers) == 1
