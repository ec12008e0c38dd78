"""Which orders are taken, through which PSP, and by which name the others are refused (A13)."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tidegate.cases.switch import switch_id
from tidegate.payouts.policy import Facts, Plan, check_figures, choose
from tidegate.payouts.rules import Rules

RULES = Rules(
    environment="sandbox",
    node_id="node-1",
    currencies=frozenset({"NGN"}),
    psps=("first", "second"),
    fee_max={"NGN": 100},
    amount_max={"NGN": 10_000},
    amount_min={"NGN": 10},
    critical_balance={"NGN": 500},
)
FACTS = Facts(
    available={("first", "NGN"): 20_000, ("second", "NGN"): 20_000},
    routes={("first", "GTBINGLA"): "000013", ("second", "GTBINGLA"): "058"},
)


def asked(facts: Facts = FACTS, **other: Any) -> Any:
    order: dict[str, Any] = {
        "currency": "NGN",
        "amount": 1_000,
        "institution": "GTBINGLA",
        "excluded": (),
        "facts": facts,
        "rules": RULES,
    }
    return choose(**{**order, **other})


def test_the_first_psp_that_can_takes_it() -> None:
    """In the order of preference, amount and highest fee set aside."""
    assert asked() == Plan("first", "000013", 1_100)


@pytest.mark.parametrize(
    ("order", "facts", "code"),
    [
        ({"currency": "XTS"}, {}, "UNSUPPORTED_CURRENCY"),
        ({"amount": None}, {}, "INVALID_AMOUNT"),
        ({"amount": 0}, {}, "INVALID_AMOUNT"),
        ({"amount": -1}, {}, "INVALID_AMOUNT"),
        ({"amount": 10_001}, {}, "AMOUNT_EXCEEDS_LIMIT"),
        ({"amount": 9}, {}, "AMOUNT_BELOW_MINIMUM"),
        ({"institution": "ZZZZZZZZ"}, {}, "UNSUPPORTED_INSTITUTION"),
        ({"excluded": ("first", "second")}, {}, "PSP_ERROR"),
        ({}, {"resting": {"first", "second"}}, "PSP_ERROR"),
        ({}, {"switched_off": {"psp:first", "psp:second"}}, "PSP_ERROR"),
        ({}, {"switched_off": {"currency:NGN"}}, "SWITCHED_OFF"),
        ({}, {"available": {("first", "NGN"): 1_099}}, "INSUFFICIENT_BALANCE"),
        ({}, {"available": {}}, "INSUFFICIENT_BALANCE"),
    ],
)
def test_each_refusal_has_its_name(order: dict[str, Any], facts: dict[str, Any], code: str) -> None:
    """What is refused is refused by name, before anything is reserved."""
    refused = asked(dataclasses.replace(FACTS, **facts), **order)
    assert refused.code.upper() == code


@pytest.mark.parametrize(
    "facts",
    [
        {"available": {("first", "NGN"): 1_099, ("second", "NGN"): 1_100}},
        {"resting": {"first"}},
        {"switched_off": {switch_id("psp", "first")}},
        {"routes": {("second", "GTBINGLA"): "058"}},
    ],
)
def test_the_next_psp_takes_what_the_first_cannot(facts: dict[str, Any]) -> None:
    """Short of float, resting, switched off or without the institution: the next one."""
    assert asked(dataclasses.replace(FACTS, **facts)) == Plan("second", "058", 1_100)


def test_the_aggregators_exclusions_hold() -> None:
    """``excludePsps`` rules a PSP out for this order."""
    assert asked(excluded=("first",)) == Plan("second", "058", 1_100)


def test_below_the_critical_balance_nothing_is_taken() -> None:
    """Even an order that the float would cover."""
    low = dataclasses.replace(FACTS, available={("first", "NGN"): 499, ("second", "NGN"): 499})
    assert asked(low, amount=10).code.upper() == "INSUFFICIENT_BALANCE"
    enough = dataclasses.replace(FACTS, available={("first", "NGN"): 500})
    assert asked(enough, amount=10) == Plan("first", "000013", 110)


def test_what_is_held_for_the_order_counts_for_it() -> None:
    """Accepted with another amount, the order's own hold is available to it, at its PSP only."""
    none_left = dataclasses.replace(FACTS, available={("first", "NGN"): 0, ("second", "NGN"): 0})
    assert asked(none_left, already_held=("first", 1_100)) == Plan("first", "000013", 1_100)
    assert asked(none_left, already_held=("first", 1_099)).code.upper() == "INSUFFICIENT_BALANCE"


def test_no_limit_is_no_limit() -> None:
    """An unset limit refuses nothing."""
    free = dataclasses.replace(RULES, amount_max={}, amount_min={})
    assert check_figures("NGN", 1, free) is None
    assert check_figures("NGN", 10**15, free) is None
