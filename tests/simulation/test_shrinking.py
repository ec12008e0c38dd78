"""The least that still fails."""

from __future__ import annotations

from collections.abc import Sequence

from tidegate.simulation.drawing import draw
from tidegate.simulation.shrinking import shrink


def test_what_is_left_is_what_it_takes() -> None:
    """Two parts of fifty that fail together are found."""
    names = [f"f{number}" for number in range(50)]
    tries: list[Sequence[str]] = []

    def fails(left: Sequence[str]) -> bool:
        tries.append(left)
        return {"f3", "f41"} <= set(left)

    assert shrink(names, fails) == ["f3", "f41"]
    assert len(tries) < 120


def test_an_order_goes_with_its_faults() -> None:
    """A fault of an order that is not there would be a name without a thing."""
    names = ["o0", "o0.bank:drop_after", "o1", "o1.bank:slow", "f0"]

    def fails(left: Sequence[str]) -> bool:
        assert all(name.split(".")[0] in left for name in left)
        return "o1" in left

    assert shrink(names, fails) == ["o1"]


def test_every_plan_can_be_taken_apart() -> None:
    """Names are unique, all of them make the plan itself, none of them an empty one."""
    for seed in range(200):
        plan = draw(seed)
        assert len(set(plan.names)) == len(plan.names), seed
        assert plan.only(plan.names) == plan, seed
        empty = plan.only([])
        assert (empty.orders, empty.sales, empty.upsets) == ((), (), ()), seed
