"""Balances in the documented form: numbers, in a list (aggregator.md 4.5 SPEC)."""

from __future__ import annotations

from tests.acceptance.counterparty.lenco import OPENING
from tests.acceptance.counterparty.world import World, until

WORLD = {"dialect": "spec"}


def test_the_spec_form_is_pushed_where_it_is_chosen(world: World) -> None:
    """The double refuses every other form; the first figure is the opening balance."""
    until(lambda: world.aggregator.balances, "a report")
    first = world.aggregator.balances[0]
    assert (first.dialect, first.currency, first.total) == ("spec", "NGN", OPENING)
    order = world.order(dialect="spec")
    world.offer(order)
    world.settled(order)
    until(lambda: world.aggregator.balances[-1].total == world.bank.balance, "what is left")
