"""From a seed to a plan. Pure.

Each seed draws first which kinds of trouble there are at all and how much of them, so that some
runs are nearly quiet, some have one kind in plenty, and rare meetings of two kinds happen too.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TypeVar

from tidegate.sandbox.faults import AggregatorFault, BankFault, CardFault
from tidegate.simulation.plan import (
    Apart,
    Crash,
    Down,
    Moment,
    OrderPlan,
    Plan,
    SalePlan,
    Skew,
    Step,
    Upset,
    Wire,
    WireFault,
)

__all__ = ["BUYER", "NODE", "PARTIES", "draw"]

T = TypeVar("T")

NODE, BUYER = "node", "buyer"
PARTIES = ("aggregator", "bank", "cards", "shop", BUYER)

_LASTS_S, _AT_ONCE_S = 40.0, 0.05
_INSTITUTIONS = ("GTBINGLA", "ZEIBNGLA", "ABNGNGLA", "OPAYNGPC", "KUDANGPC")
_CARDS = (
    "pm_card_visa",
    "pm_card_visa",
    "pm_card_visa",
    "pm_card_authenticationRequired",
    "pm_card_chargeCustomerFail",
    "pm_card_refundFail",
)
_CURRENCIES = ("USD", "EUR", "JPY")
_CARD_STEPS = ("create", "confirm", "capture", "cancel", "refund", "lookup")
_CARD_EVENTS = ("payment_intent.succeeded", "charge.succeeded", "charge.refunded")
_LOOKUPS = (CardFault.LOOKUP_500, CardFault.LOOKUP_TIMEOUT)
# Which exchanges can be struck; the node's own calls are where money is lost.
_WIRES = (
    (NODE, "bank"),
    (NODE, "bank"),
    (NODE, "aggregator"),
    (NODE, "cards"),
    (NODE, "cards"),
    (NODE, "shop"),
    ("aggregator", NODE),
    ("bank", NODE),
    ("cards", NODE),
    (BUYER, NODE),
)
# These change what the whole mix may do (a PSP at rest, an order nobody takes) more than others.
_SELDOM = {
    BankFault.REFUSE_CONNECTION,
    BankFault.UNAUTHORISED,
    BankFault.LOOKUP_401,
    BankFault.INSUFFICIENT_FUNDS,
    BankFault.LIMIT_EXCEEDED,
    BankFault.ACCOUNT_RESTRICTED,
    AggregatorFault.UNKNOWN_CURRENCY,
    AggregatorFault.TOO_LARGE,
}


def draw(seed: int) -> Plan:
    """The plan of ``seed``."""
    chance = random.Random(f"plan {seed}")  # noqa: S311 -- a run that must repeat
    busy = chance.choice((0.0, 0.4, 0.8, 1.0))
    wild = chance.choice((0.0, 0.3, 0.6, 1.0))
    orders = tuple(_orders(chance, chance.randint(0, 6), busy))
    sales = tuple(_sales(chance, chance.randint(0 if orders else 1, 5), busy))
    rich = Decimal(5_000_000)
    return Plan(
        seed=seed,
        opening=rich if chance.random() < 0.8 else Decimal(150_000),
        orders=orders,
        sales=sales,
        upsets=tuple(_upsets(chance, wild)),
    )


def _orders(chance: random.Random, count: int, busy: float) -> Iterator[OrderPlan]:
    at_once = chance.random() < 0.25
    for number in range(count):
        bank = _some(chance, list(BankFault), busy)
        aggregator = _some(chance, list(AggregatorFault), busy)
        yield OrderPlan(
            name=f"o{number}",
            # Several in one instant ask for the same float.
            at_s=round(chance.uniform(0, _AT_ONCE_S if at_once else _LASTS_S), 3),
            order_id=str(uuid.UUID(int=chance.getrandbits(128), version=4)),
            amount=Decimal(chance.choice((1_000, 5_000, 30_000, 80_000, 140_000))),
            account=str(chance.randrange(10**9, 10**10)),
            institution=chance.choice(_INSTITUTIONS),
            dialect=chance.choice(("live", "live", "spec")),
            private=chance.random() < 0.3,
            bank=bank,
            aggregator=aggregator,
            times=chance.choice((1, 1, 2, 4)),
        )


def _some(chance: random.Random, kinds: Sequence[T], busy: float) -> tuple[T, ...]:
    """None, or up to three of them."""
    if chance.random() > busy:
        return ()
    drawn = chance.sample(kinds, k=chance.choice((1, 2, 3)))
    return tuple(kind for kind in drawn if kind not in _SELDOM or chance.random() < 0.25)


def _sales(chance: random.Random, count: int, busy: float) -> Iterator[SalePlan]:
    for number in range(count):
        card = chance.choice(_CARDS)
        manual = chance.random() < 0.35
        yield SalePlan(
            name=f"s{number}",
            at_s=round(chance.uniform(0, _LASTS_S), 3),
            card=card,
            amount=chance.choice((250, 999, 5_000, 120_000)),
            currency=chance.choice(_CURRENCIES),
            manual=manual,
            eager=chance.random() < 0.25,
            steps=_steps(chance, card, manual),
            faults=_card_faults(chance, busy),
        )


def _steps(chance: random.Random, card: str, manual: bool) -> tuple[Step, ...]:
    steps: list[Step] = []
    if card.endswith("authenticationRequired"):
        steps.append(chance.choice((Step.APPROVE, Step.APPROVE, Step.REFUSE)))
        if steps[0] is Step.REFUSE:
            return tuple(steps)
    if manual:
        steps.append(chance.choice((Step.CAPTURE, Step.CAPTURE_PART, Step.CANCEL)))
        if steps[-1] is Step.CANCEL:
            return tuple(steps)
    returns = (
        (),
        (Step.REFUND_PART,),
        (Step.REFUND_PART, Step.REFUND_PART),
        (Step.REFUND_PART, Step.REFUND_REST),
        (Step.REFUND_REST,),
        (Step.REFUND_TWICE,),
        (Step.REFUNDED_THERE,),
        (Step.REFUNDED_THERE, Step.REFUND_REST),
        (Step.DISPUTE_WON,),
        (Step.DISPUTE_LOST,),
        (Step.REFUND_PART, Step.DISPUTE_LOST),
    )
    return (*steps, *chance.choice(returns))


def _card_faults(chance: random.Random, busy: float) -> tuple[tuple[str, CardFault], ...]:
    faults: list[tuple[str, CardFault]] = []
    while chance.random() < busy * 0.6 and len(faults) < 4:
        fault = chance.choice(list(CardFault))
        if fault.value.startswith("webhook"):
            key = chance.choice(_CARD_EVENTS)
        else:
            key = "lookup" if fault in _LOOKUPS else chance.choice(_CARD_STEPS)
        faults.append((key, fault))
    return tuple(dict.fromkeys(faults))


def _upsets(chance: random.Random, wild: float) -> Iterator[Upset]:
    count = 0

    def name() -> str:
        nonlocal count
        count += 1
        return f"f{count - 1}"

    for _ in range(_count(chance, wild, 10)):
        client, server = chance.choice(_WIRES)
        yield WireFault(name(), client, server, chance.randint(1, 25), chance.choice(list(Wire)))
    for _ in range(_count(chance, wild, 4)):
        moment = chance.choice(list(Moment))
        # Early ones more often: there is the first call of an order that came at once.
        most = 60_000 if moment is Moment.ANY else chance.choice((15, 40, 90))
        number = chance.randint(1, most)
        # Some are down for longer than an offer lives.
        down_s = chance.uniform(0.05, chance.choice((4.0, 4.0, 16.0)))
        yield Crash(name(), moment, number, round(down_s, 3))
    for _ in range(_count(chance, wild, 2)):
        at_s, for_s = chance.uniform(0, _LASTS_S), chance.uniform(0.5, 15)
        yield Apart(name(), NODE, chance.choice(PARTIES), round(at_s, 3), round(for_s, 3))
    for _ in range(_count(chance, wild, 1)):
        who = chance.choice(("aggregator", "bank", "cards", "shop"))
        at_s, for_s = chance.uniform(0, _LASTS_S), chance.uniform(0.2, 6)
        yield Down(name(), who, round(at_s, 3), round(for_s, 3))
    for _ in range(_count(chance, wild, 1)):
        by_s = chance.choice((-20.0, -3.0, 0.7, 4.0, 30.0))
        yield Skew(name(), round(chance.uniform(0, _LASTS_S), 3), by_s)


def _count(chance: random.Random, wild: float, most: int) -> int:
    return sum(chance.random() < wild for _ in range(most)) if chance.random() < 0.7 else 0
