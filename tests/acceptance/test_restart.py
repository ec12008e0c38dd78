"""kill -9 at the worst moments, then a restart: paid once, reported once (promise 6)."""

from __future__ import annotations

import signal

import pytest

from tests.acceptance.counterparty.orders import Order
from tests.acceptance.counterparty.script import Step
from tests.acceptance.counterparty.world import World, until

DATABASES = ("sqlite", "postgresql")


def _restart(world: World, order: Order) -> None:
    """Wait for the kill, and start again when the leases are over."""
    until(lambda: not world.node.runs, "the kill", explain=lambda: world.story(order))
    world.let_leases_lapse()
    world.start()


@pytest.mark.parametrize("acts", [True, False], ids=["after-it-acted", "before-it-acted"])
def test_killed_in_the_middle_of_the_transfer_call_pays_once(world: World, acts: bool) -> None:
    """Sending was committed, so the restarted node looks up; it never just sends again."""
    order = world.order()
    kill = world.node.kill
    step = Step(answers=False, after=kill) if acts else Step(act=False, answers=False, hook=kill)
    world.bank.scripts.add("transfer", order.account, step)
    world.offer(order)
    _restart(world, order)
    world.settled(order)
    posts = world.bank.posts_to(order.account)
    assert len(set(posts)) == 1
    assert len(posts) == (1 if acts else 2)
    assert len([each for each in world.bank.to(order.account) if each.was_paid]) == 1
    if not acts:
        assert world.bank.lookups_of(order.account) >= 3


def test_killed_in_the_middle_of_accept_asks_again_and_pays_once(world: World) -> None:
    """The accept counted; after the restart it is asked for again, and the order is paid."""
    order = world.order()
    world.aggregator.scripts.add("accept", order.id, Step(answers=False, after=world.node.kill))
    world.offer(order)
    _restart(world, order)
    world.settled(order)
    assert len(world.bank.posts_to(order.account)) == 1


def test_killed_in_the_middle_of_the_report_asks_before_it_repeats(world: World) -> None:
    """The success counted; after the restart GET says so and no second success is sent."""
    order = world.order()
    world.bank.plan(order.account, "pending", "successful")
    world.offer(order)
    # With *pending* taken, and written down here, the next report is the one of success.
    world.wait_told_pending(order)
    world.aggregator.scripts.add("fulfill", order.id, Step(answers=False, after=world.node.kill))
    _restart(world, order)
    world.wait_state(order, "fulfilled")
    assert order.reports() == ["pending", "success"]
    assert len(world.bank.posts_to(order.account)) == 1


def test_a_polite_stop_lets_the_next_process_go_on(world: World) -> None:
    """SIGTERM ends it in time; what was open is finished by the next process."""
    order = world.order()
    world.bank.plan(order.account, "pending", "pending", "successful")
    world.offer(order)
    world.wait(order, "fulfill")
    assert world.node.stop() in (0, -signal.SIGTERM)
    world.start()
    world.settled(order)
    assert len(world.bank.posts_to(order.account)) == 1
    world.assert_books_agree()


@pytest.mark.long
def test_killed_and_left_to_its_leases_it_goes_on_by_itself(world: World) -> None:
    """Nobody helps: when the lease of the killed process is over, the transfer is looked up."""
    order = world.order()
    world.bank.scripts.add("transfer", order.account, Step(answers=False, after=world.node.kill))
    world.offer(order)
    until(lambda: not world.node.runs, "the kill", explain=lambda: world.story(order))
    world.start()
    world.patience_s = 150.0
    world.settled(order)
    assert len(world.bank.posts_to(order.account)) == 1
