"""The older aggregator: a second accept is 404 although the first counted (aggregator.md 4.1)."""

from __future__ import annotations

import time

from tests.acceptance.counterparty.script import drop_after
from tests.acceptance.counterparty.world import World

WORLD = {"fork": True}


def test_the_fork_is_served_like_the_live_code(world: World) -> None:
    """Canonical bytes satisfy its only way of checking a signature."""
    order = world.order()
    world.offer(order)
    world.settled(order)
    assert len(world.bank.posts_to(order.account)) == 1


def test_hazard_3_ownership_and_recipient_come_from_get_when_accept_says_404(world: World) -> None:
    """GET says processing, and rate times amount is the offer: that recipient is paid, once."""
    order = world.order("75377")
    world.aggregator.scripts.add("accept", order.id, drop_after())
    world.offer(order)
    world.settled(order)
    told = [verb for _, verb, _, _ in order.told]
    assert "get" in told[: told.index("fulfill")]
    assert [each.body["amount"] for each in world.bank.to(order.account)] == ["75377.00"]


def test_hazard_3_a_rate_that_does_not_prove_the_offer_is_held(world: World) -> None:
    """Rate times amount is another figure than the offer: nothing is paid, a person is asked."""
    order = world.order(refreshed_amount="80000")
    world.aggregator.scripts.add("accept", order.id, drop_after())
    world.offer(order)
    world.wait_state(order, "held")
    assert world.wait_case(order)
    time.sleep(0.5)
    assert not world.bank.posts_to(order.account)
    answer = world.aggregator.ask_status(order)
    assert answer.json["data"]["status"] == "pending"
