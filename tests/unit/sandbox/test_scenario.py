"""The demonstration's mix of orders: every fault is in it, and a seed repeats it."""

from __future__ import annotations

import uuid

import pytest

from tidegate.clock import SimulatedClock
from tidegate.sandbox.faults import AggregatorFault, BankFault, FaultPlan
from tidegate.sandbox.scenario import TROUBLES, End, Scenario, make_scenario


def _mix(orders: int = 60, seed: int = 7, salt: str = "") -> Scenario:
    return make_scenario(SimulatedClock(), seed=seed, orders=orders, window_s=10.0, salt=salt)


def test_sixty_orders_hold_every_fault_of_both_companies() -> None:
    """Only the fault of the balances belongs to no order, and arming the mix sets it too."""
    mix = _mix()
    bank, aggregator = FaultPlan(BankFault), FaultPlan(AggregatorFault)
    mix.arm(bank, aggregator)
    assert {fault for order in mix for fault in order.trouble.bank} == set(BankFault)
    of_orders = set(AggregatorFault) - {AggregatorFault.BALANCES_500}
    assert {fault for order in mix for fault in order.trouble.aggregator} == of_orders
    assert aggregator.for_key("NGN") == {AggregatorFault.BALANCES_500}
    assert mix.missing == ()


def test_a_seed_repeats_the_mix_and_another_one_does_not() -> None:
    """The same orders, amounts, accounts, troubles and times; a salt changes the ids alone."""
    assert _mix() == _mix()
    assert [order.trouble for order in _mix()] != [order.trouble for order in _mix(seed=8)]
    salted = _mix(salt="again").orders
    assert [order.account for order in salted] == [order.account for order in _mix()]
    assert not {order.order_id for order in salted} & {order.order_id for order in _mix()}


@pytest.mark.parametrize("orders", [1, 20, len(TROUBLES), 60, 500])
def test_orders_are_distinct_and_arrive_in_order(orders: int) -> None:
    """Every order has an id, a recipient account and a place in time of its own."""
    mix = _mix(orders).orders
    assert len(mix) == orders
    assert len({uuid.UUID(order.order_id) for order in mix}) == orders
    assert len({order.account for order in mix}) == orders
    assert all(len(order.account) == 10 for order in mix)
    assert [order.after_s for order in mix] == sorted(order.after_s for order in mix)


def test_a_small_mix_says_what_it_lacks() -> None:
    """Troubles that do not fit are named; none that fits is left out."""
    mix = _mix(20)
    there = [fault for order in mix for fault in order.trouble.faults]
    assert len(there) + len(mix.missing) == sum(len(trouble.faults) for trouble in TROUBLES)
    assert all(order.trouble in TROUBLES[:20] for order in mix)


def test_both_dialects_are_spoken_and_live_amounts_are_whole() -> None:
    """LIVE knows whole units only (aggregator.md 1); some troubles exist in one dialect only."""
    mix = _mix(300).orders
    assert {order.dialect for order in mix} == {"live", "spec"}
    assert all(order.amount % 1 == 0 for order in mix if order.dialect == "live")
    assert any(order.amount % 1 for order in mix if order.dialect == "spec")
    assert all(order.trouble.dialect in (None, order.dialect) for order in mix)


def test_faults_are_set_on_the_orders_that_plan_them() -> None:
    """The bank knows an order by the account, the aggregator by its id."""
    mix = _mix()
    bank, aggregator = FaultPlan(BankFault), FaultPlan(AggregatorFault)
    mix.arm(bank, aggregator)
    for order in mix:
        assert bank.for_key(order.account) == frozenset(order.trouble.bank)
        assert aggregator.for_key(order.order_id) == frozenset(order.trouble.aggregator)


def test_an_ordinary_order_ends_paid() -> None:
    """What has no trouble has no excuse."""
    ordinary = [order for order in _mix(200) if not order.trouble.faults]
    assert len(ordinary) == 200 - len(TROUBLES)
    assert {order.trouble.end for order in ordinary} == {End.PAID}
