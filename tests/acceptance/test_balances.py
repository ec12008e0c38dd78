"""Balances as the node reports them (aggregator.md 4.5; A9)."""

from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from tests.acceptance.counterparty.lenco import FEE
from tests.acceptance.counterparty.script import drop_before, slowly
from tests.acceptance.counterparty.world import World, until

# The readings of the bank start no report in the middle of a measurement.
WORLD = {"BALANCE_PUSH_GAP": "1", "BALANCE_SYNC_INTERVAL": "300"}

# Reports may be this much closer than the gap, because they travel, on a busy machine too.
_GAP_S, _JITTER_S = 1.0, 0.6


def test_the_first_reports_keep_their_distance_too(world: World) -> None:
    """At most one report in a gap, from the very start of the node."""
    for _ in range(3):
        # Each changes the float, so there is always one more figure to tell.
        order = world.order("1000")
        world.offer(order)
        world.settled(order)
        time.sleep(_GAP_S)
    first, second, third = until(lambda: world.aggregator.balances[2:], "reports") and (
        each.began for each in world.aggregator.balances[:3]
    )
    assert min(second - first, third - second) >= _GAP_S - _JITTER_S


def test_an_open_transfer_is_reserved_and_a_paid_one_has_left_the_total(world: World) -> None:
    """Amount and highest fee leave available at accept; amount and real fee leave the total."""
    start = world.bank.balance
    order = world.order("100000")
    world.bank.plan(order.account, "pending")
    world.offer(order)
    world.wait(order, "fulfill")
    reserved = until(
        lambda: [
            each
            for each in world.aggregator.balances
            if each.total == start and each.available < start
        ],
        "a report with a reservation",
    )[-1]
    assert reserved.total == start
    assert reserved.total - reserved.available == Decimal("100100.00")
    world.bank.settle(order.account, "successful")
    world.settled(order)
    rest = start - Decimal("100000") - FEE
    until(
        lambda: (
            world.aggregator.balances[-1].available == rest == world.aggregator.balances[-1].total
        ),
        "a report of what is left",
        explain=lambda: world.aggregator.balances[-3:],
    )
    assert world.bank.balance == rest


def test_a_lost_report_is_followed_by_the_current_figure_not_by_the_old_one(world: World) -> None:
    """Balances are never repeated; what is sent next is what is true then."""
    world.aggregator.scripts.add("balances", "NGN", drop_before(), drop_before())
    order = world.order("2000")
    world.offer(order)
    world.settled(order)
    until(
        lambda: (
            Decimal(world.totals()["availableBalance"])
            == world.aggregator.balances[-1].available
            == world.bank.balance
        ),
        "the current figure",
    )


@pytest.mark.parametrize("slow", [False, True])
def test_reports_of_a_currency_never_overlap_and_keep_their_distance(
    world: World, slow: bool
) -> None:
    """One pusher: a burst of orders makes few reports, one at a time, the gap between them."""
    if slow:
        world.aggregator.scripts.add("balances", "NGN", *[slowly(0.3)] * 4)
    first = len(world.aggregator.balances)
    orders = [world.order(str(3000 + number)) for number in range(6)]
    for order in orders:
        world.offer(order)
    for order in orders:
        world.settled(order)
    until(
        lambda: world.aggregator.balances[-1].available == world.bank.balance,
        "the last figure",
    )
    reports = world.aggregator.balances[first:]
    for one, two in itertools.pairwise(reports):
        assert two.began >= one.ended
        assert two.began - one.began >= _GAP_S - _JITTER_S


def test_over_assigned_float_is_declined_and_never_promised_twice(world: World) -> None:
    """Five offers at once, float for three: three are paid, two declined, none fails (4.5)."""
    orders = [world.order("15000000") for _ in range(5)]
    for order in orders:
        world.bank.plan(order.account, "pending")
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(world.offer, orders))
    until(lambda: all(each.verbs() for each in orders), "a decision on each")
    taken = [each for each in orders if "accept" in each.verbs()]
    assert len(taken) == 3
    for order in taken:
        world.wait(order, "fulfill")
        world.pay(order)
        world.settled(order)
    for order in orders:
        if order not in taken:
            assert order.verbs() == ["decline"]
            assert "INSUFFICIENT_BALANCE" in str(order.bodies("decline"))
    world.assert_books_agree()
