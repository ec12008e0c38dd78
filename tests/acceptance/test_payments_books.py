"""Each user's account is what the API lists and what the processor's own books say, whatever
happened on the way; amounts are exact in every kind of currency (processor.md 3)."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.acceptance.processor import world as worlds
from tests.acceptance.processor.faults import (
    Fault,
    drop_after,
    drop_before,
    fails,
    hang,
    limited,
)
from tests.acceptance.processor.shopper import Shopper
from tests.acceptance.processor.world import TIMEOUT_S, PaymentWorld, seeded

DATABASES = ("sqlite", "postgresql")
WORLD = {
    "PROCESSOR_EVENTS_INTERVAL": "1",
    "PAYMENT_CURRENCIES": "USD,EUR,JPY,ISK,UGX,KWD",
}
world = worlds.world

SHOPPERS, WISHES = 4, 6
SHOPPERS_LONG, WISHES_LONG = 8, 25
FAULT_RATE = 0.2
SETTLES_S = 180.0

_READ: Sequence[Fault] = (
    drop_before(),
    fails(acts=False),
    fails(acts=False, status=503),
    limited(),
    hang(TIMEOUT_S + 0.3),
)
_WRITE: Sequence[Fault] = (
    drop_before(),
    drop_after(),
    fails(acts=True),
    limited(),
    limited("lock_timeout"),
    hang(TIMEOUT_S + 0.3),
    hang(TIMEOUT_S + 0.3, acts=False),
    Fault(delay_s=TIMEOUT_S + 1.0),
)
_POSSIBLE = {
    "create": (*_WRITE, fails(acts=False)),
    "confirm": _WRITE,
    "capture": _WRITE,
    "refund": _WRITE,
    "cancel": _WRITE,
    "fetch": _READ,
    "list": _READ,
    "list_refunds": _READ,
    "fetch_refund": _READ,
    "fetch_dispute": _READ,
    "list_events": _READ,
}


@pytest.mark.parametrize(
    ("currency", "minor", "theirs"),
    [
        ("USD", 1_050, 1_050),
        ("EUR", 99, 99),
        ("JPY", 500, 500),  # no decimals anywhere
        ("ISK", 700, 70_000),  # none in ISO 4217, two at the processor
        ("UGX", 9_000, 900_000),  # likewise
        ("KWD", 1_250, 1_250),  # three, the last of which is 0
    ],
)
def test_amounts_are_exact_in_every_currency(
    world: PaymentWorld, currency: str, minor: int, theirs: int
) -> None:
    """Both books tell the same amount, each in its own unit, and so do refunds."""
    shopper = world.shopper()
    payment = shopper.pay(minor, currency=currency.lower())

    intent = world.processor.intent(payment["id"])
    assert (payment["currency"], payment["amount_captured"]) == (currency, minor)
    assert (intent["currency"], intent["amount_received"]) == (currency.lower(), theirs)
    tenth = minor // 50 * 10
    shopper.refund(payment["id"], tenth)
    (refund,) = world.processor.refunds(payment["id"])
    assert refund["amount"] * minor == tenth * theirs
    assert world.user_balance(shopper, currency) == minor - tenth


def test_an_amount_that_the_processor_cannot_take_is_refused_before_it_is_asked(
    world: PaymentWorld,
) -> None:
    """Three decimals, the last one not 0; less than the least; more than the setting allows."""
    shopper = world.shopper()
    calls = world.processor.calls["create"]
    for amount, currency in ((1_251, "KWD"), (49, "USD"), (99_999_901, "USD"), (0, "USD")):
        order = {**shopper.order(amount), "currency": currency}
        answer = shopper.post("/api/payments", order, shopper.new_key())
        assert answer.status == 422, (amount, currency, answer.status, answer.body)
    assert world.processor.calls["create"] == calls
    assert shopper.payments() == []


def test_a_bad_day(world: PaymentWorld) -> None:
    """Many users and wishes at once, faults at every call, webhooks told or not: when the faults
    end, every wish has its end and all books agree."""
    _have_a_bad_day(world, SHOPPERS, WISHES)


@pytest.mark.long
def test_a_long_bad_day(world: PaymentWorld) -> None:
    """The same with more of everything."""
    _have_a_bad_day(world, SHOPPERS_LONG, WISHES_LONG)


def _have_a_bad_day(world: PaymentWorld, shoppers: int, wishes: int) -> None:
    chance = seeded()
    users = [world.shopper() for _ in range(shoppers)]
    for user in users:
        user.method()
        user.method("pm_card_chargeCustomerFail")
    world.processor.faults.rage(random.Random(chance.random()), FAULT_RATE, _POSSIBLE)  # noqa: S311 -- repeated
    ended = threading.Event()
    teller = threading.Thread(
        target=_tell_some,
        args=(world, random.Random(chance.random()), ended),  # noqa: S311 -- repeated
    )
    teller.start()
    try:
        with ThreadPoolExecutor(shoppers) as threads:
            seeds = [chance.random() for _ in users]
            days = [
                threads.submit(_spend_the_day, world, user, random.Random(seed), wishes)  # noqa: S311 -- repeated
                for user, seed in zip(users, seeds, strict=True)
            ]
            for day in days:
                day.result()
    finally:
        world.processor.faults.heal()
        ended.set()
        teller.join()
    _settle(world, users)
    world.assert_books(*users)
    world.assert_audit()


def _spend_the_day(world: PaymentWorld, user: Shopper, chance: random.Random, wishes: int) -> None:
    """Wish after wish; what became of each is asked at the end of the day."""
    for number in range(wishes):
        amount = 1_000 + number
        card = chance.choice(["pm_card_visa"] * 4 + ["pm_card_chargeCustomerFail"])
        manual = chance.random() < 0.4
        order = user.order(amount, card, capture_method="manual" if manual else "automatic")
        answer = user.until_final("/api/payments", order, user.new_key(), patience_s=60)
        if answer.status == 402:
            continue
        assert answer.status == 201, answer.body
        id_ = answer.json["id"]
        assert (answer.json["amount"], answer.json["currency"]) == (amount, "USD")
        if manual:
            _capture_or_cancel(world, user, chance, id_)
        else:
            _refund_or_worse(world, user, chance, id_)


def _capture_or_cancel(world: PaymentWorld, user: Shopper, chance: random.Random, id_: str) -> None:
    step: Callable[[str], bool] = chance.choice(
        [
            lambda id_: _post(user, f"{id_}/capture", {"amount": 400}),
            lambda id_: _post(user, f"{id_}/cancel", {}),
            lambda id_: _expire(world, id_),
        ]
    )
    assert step(id_)


def _refund_or_worse(world: PaymentWorld, user: Shopper, chance: random.Random, id_: str) -> None:
    intent = world.processor.intent(id_)
    what = chance.randrange(5)
    with world.processor.lock:
        if what == 0:
            dispute = world.processor.afterwards.dispute(intent)
            ends = world.processor.afterwards
            chance.choice([ends.win, ends.lose])(dispute)
        elif what == 1:
            world.processor.afterwards.refund_at_the_page(intent, 300)
    if what == 2:
        assert _post(user, f"{id_}/refunds", {"amount": 250})
        assert _post(user, f"{id_}/refunds", {"amount": 150})
    elif what == 3:
        # The first leaves less than the second asks for.
        assert _post(user, f"{id_}/refunds", {"amount": 700})
        assert not _post(user, f"{id_}/refunds", {"amount": 700})


def _post(user: Shopper, path: str, body: dict[str, int]) -> bool:
    """Ask until it is answered for certain; was it done?"""
    key = user.new_key()
    if "refunds" not in path:
        done = user.until_final(f"/api/payments/{path}", body, key, patience_s=60)
        return done.status == 200
    # A refund that did not arrive is missed for a minute before it is asked for again.
    answer = user.post(f"/api/payments/{path}", body, key)
    assert answer.status in {201, 202, 409}, answer.body
    return answer.status != 409


def _expire(world: PaymentWorld, id_: str) -> bool:
    with world.processor.lock:
        world.processor.intents.expire(world.processor.intent(id_))
    return True


def _tell_some(world: PaymentWorld, chance: random.Random, ended: threading.Event) -> None:
    while not ended.wait(0.05):
        events = world.processor.events.take()
        chance.shuffle(events)
        for event in events:
            for _ in range(chance.choice([0, 0, 1, 1, 2])):
                assert world.processor.events.tell(event).status == 200


def _settle(world: PaymentWorld, users: list[Shopper]) -> None:
    """Faults are over: wait until nothing is unknown, here or between us."""
    deadline = time.monotonic() + SETTLES_S
    while True:
        unknown = [
            thing["id"]
            for user in users
            for payment in user.payments()
            for thing in (payment, *user.refunds(payment["id"]))
            if thing["outcome"] is not None or thing["status"] == "pending"
        ]
        agree = sum(world.user_balance(user) for user in users) == sum(
            world.processor.taken(payment["id"])
            for user in users
            for payment in user.payments()
            if payment["processor_reference"] is not None
        )
        if not unknown and agree:
            return
        assert time.monotonic() < deadline, (unknown, agree, world.story())
        world.let_refunds_be_missing()
        time.sleep(1.0)
