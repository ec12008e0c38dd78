"""May this order be taken, and through which PSP? Pure: facts in, a plan or a refusal out.

The order of the questions is the order of the refusals' names in A13, the cheapest first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from tidegate.cases.switch import SwitchKind, switch_id
from tidegate.errors import (
    AmountBelowMinimum,
    AmountExceedsLimit,
    InsufficientBalance,
    InvalidAmount,
    PolicyRefusal,
    PspsUnavailable,
    SwitchedOff,
    UnsupportedCurrency,
    UnsupportedInstitution,
)
from tidegate.payouts.rules import Rules

__all__ = ["AmountRefused", "Facts", "Plan", "check_figures", "choose"]


class AmountRefused(PolicyRefusal):
    """The offered amount is no exact positive amount of its currency."""

    code = InvalidAmount.code
    sentence = InvalidAmount.sentence


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known at the moment of deciding.

    ``available`` is the float by (PSP, currency) in minor units; ``routes`` the verified bank
    codes by (PSP, institution); ``switched_off`` the ids of kill switches; ``resting`` the
    PSPs whose circuit is open.
    """

    available: Mapping[tuple[str, str], int]
    routes: Mapping[tuple[str, str], str]
    switched_off: Collection[str] = ()
    resting: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """Take it: through ``psp``, whose code of the institution is ``bank_code``, setting
    ``hold`` minor units aside."""

    psp: str
    bank_code: str
    hold: int


def check_figures(currency: str, amount: int | None, rules: Rules) -> PolicyRefusal | None:
    """What can be said of an order's figures without looking at anything else."""
    if currency not in rules.currencies:
        return UnsupportedCurrency()
    if amount is None or amount <= 0:
        return AmountRefused()
    most, least = rules.amount_max.get(currency), rules.amount_min.get(currency)
    if most is not None and amount > most:
        return AmountExceedsLimit()
    if least is not None and amount < least:
        return AmountBelowMinimum()
    return None


def choose(
    *,
    currency: str,
    amount: int | None,
    institution: str,
    excluded: Collection[str],
    facts: Facts,
    rules: Rules,
    already_held: tuple[str, int] | None = None,
) -> Plan | PolicyRefusal:
    """Choose the first PSP, in the order of preference, that may and can pay this order.

    ``already_held`` is (PSP, minor units) set aside for this very order before: it counts as
    available there. ``excluded`` are PSPs that the aggregator or an earlier failure rules out.
    """
    if refusal := check_figures(currency, amount, rules):
        return refusal
    assert amount is not None  # by check_figures
    if switch_id(SwitchKind.CURRENCY, currency) in facts.switched_off:
        return SwitchedOff()
    reaching = [psp for psp in rules.psps if (psp, institution) in facts.routes]
    if not reaching:
        return UnsupportedInstitution()
    usable = [
        psp
        for psp in reaching
        if psp not in excluded
        and psp not in facts.resting
        and switch_id(SwitchKind.PSP, psp) not in facts.switched_off
    ]
    if not usable:
        return PspsUnavailable()
    hold = amount + rules.fee_max.get(currency, 0)
    critical = rules.critical_balance.get(currency, 0)
    for psp in usable:
        plan = Plan(psp, facts.routes[psp, institution], hold)
        available = facts.available.get((psp, currency), 0)
        if already_held is not None and already_held[0] == psp:
            # The threshold stops new orders, not one whose float is set aside.
            if already_held[1] + available >= hold:
                return plan
        elif available >= max(hold, critical):
            return plan
    return InsufficientBalance()
