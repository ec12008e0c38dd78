"""The fault plan: who is struck, how often, and that it repeats."""

from __future__ import annotations

import pytest

from tidegate.sandbox.faults import EVERY, AggregatorFault, BankFault, Fault, FaultPlan


def test_a_fault_applies_to_its_key_and_to_no_other() -> None:
    plan = FaultPlan(BankFault)
    plan.set("r-1", BankFault.SLOW, BankFault.QUEUED)
    assert plan.for_key("r-1") == {BankFault.SLOW, BankFault.QUEUED}
    assert plan.for_key("r-2") == frozenset()


def test_a_fault_set_on_an_account_number_applies_to_each_of_its_references() -> None:
    plan = FaultPlan(BankFault)
    plan.set("8144374977", BankFault.DECLINED)
    assert plan.for_key("r-1", "8144374977") == plan.for_key("r-2", "8144374977")
    assert BankFault.DECLINED in plan.for_key("r-1", "8144374977")


def test_a_passing_fault_strikes_as_often_as_it_was_set() -> None:
    plan = FaultPlan(BankFault)
    plan.set("r-1", BankFault.DROP_AFTER, times=2)
    assert [plan.strike(BankFault.DROP_AFTER, "r-1") for _ in range(4)] == [
        True,
        True,
        False,
        False,
    ]
    assert not plan.strike(BankFault.DROP_BEFORE, "r-1")


def test_a_fault_without_a_number_of_times_strikes_always() -> None:
    plan = FaultPlan(BankFault)
    plan.set("r-1", BankFault.LOOKUP_500, times=None)
    assert all(plan.strike(BankFault.LOOKUP_500, "r-1") for _ in range(5))


def test_a_fault_set_again_strikes_again() -> None:
    plan = FaultPlan(BankFault)
    plan.set("r-1", BankFault.DROP_AFTER)
    assert plan.strike(BankFault.DROP_AFTER, "r-1")
    plan.set("r-1", BankFault.DROP_AFTER)
    assert plan.strike(BankFault.DROP_AFTER, "r-1")


def test_a_fault_of_every_key_strikes_each_key_once() -> None:
    plan = FaultPlan(BankFault)
    plan.set(EVERY, BankFault.DROP_AFTER)
    assert plan.strike(BankFault.DROP_AFTER, "r-1")
    assert plan.strike(BankFault.DROP_AFTER, "r-2")
    assert not plan.strike(BankFault.DROP_AFTER, "r-1")


def test_rates_draw_the_same_whatever_the_order_of_the_questions() -> None:
    keys = [f"order-{number}" for number in range(500)]

    def drawn(order: list[str]) -> dict[str, frozenset[AggregatorFault]]:
        plan = FaultPlan(AggregatorFault, seed=7)
        plan.set_rates({AggregatorFault.OFFER_TWICE: 0.2, AggregatorFault.ACCEPT_500: 0.5})
        return {key: plan.for_key(key) for key in order}

    forwards, backwards = drawn(keys), drawn(keys[::-1])
    assert forwards == backwards
    share = sum(AggregatorFault.OFFER_TWICE in faults for faults in forwards.values()) / len(keys)
    assert 0.12 < share < 0.28


def test_another_seed_draws_other_keys() -> None:
    def struck(seed: int) -> list[bool]:
        plan = FaultPlan(BankFault, seed=seed)
        plan.set_rates({BankFault.DROP_AFTER: 0.5})
        return [plan.strike(BankFault.DROP_AFTER, str(number)) for number in range(64)]

    assert struck(1) == struck(1)
    assert struck(1) != struck(2)


def test_healing_forgets_what_was_set_and_what_was_drawn() -> None:
    plan = FaultPlan(BankFault)
    plan.set("r-1", BankFault.SLOW)
    plan.set(EVERY, BankFault.QUEUED)
    plan.set_rates({BankFault.DECLINED: 1.0})
    plan.heal()
    assert plan.for_key("r-1") == frozenset()
    assert not plan.strike(BankFault.DECLINED, "r-1")


def test_a_plan_is_written_in_the_shape_that_it_reads() -> None:
    plan = FaultPlan(BankFault)
    content = {"seed": 9, "keys": {"r-1": ["queued", "slow"]}, "rates": {"declined": 0.25}}
    plan.load(content)
    assert plan.as_json() == content
    again = FaultPlan(BankFault)
    again.load(plan.as_json())
    assert again.for_key("r-1") >= {BankFault.QUEUED, BankFault.SLOW}


def test_an_unknown_fault_is_refused_and_changes_nothing() -> None:
    plan = FaultPlan(BankFault)
    with pytest.raises(ValueError, match="no such fault: meteorite"):
        plan.load({"seed": 5, "keys": {"r-1": ["slow"], "r-2": ["meteorite"]}})
    assert plan.seed == 0
    assert plan.for_key("r-1") == frozenset()


@pytest.mark.parametrize("kind", [BankFault, AggregatorFault])
def test_every_fault_says_what_it_means(kind: type[Fault]) -> None:
    for fault in kind:
        assert fault.value == fault.name.lower()
        assert fault.meaning.endswith(".")
