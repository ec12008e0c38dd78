"""``kill -9`` between any two steps of a payment, then the same key again: one charge, one answer.

The processor holds the world still at a call, before or after it did what was asked, and the
process dies there. The client, who heard nothing, repeats its request until it is told an end.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from tests.acceptance.counterparty.server import Answer
from tests.acceptance.processor import world as worlds
from tests.acceptance.processor.faults import Fault, hang, stop
from tests.acceptance.processor.shopper import Shopper, is_replay
from tests.acceptance.processor.world import PaymentWorld, seeded

DATABASES = ("sqlite", "postgresql")
world = worlds.world

RANDOM_KILLS = 1
RANDOM_KILLS_LONG = 25
# A request takes about as long as this, and a little of what follows it.
LIVES_S = (0.0, 0.25)

# Every test here starts the program again, which takes seconds: the long run has all of them.
_LONG = pytest.mark.long
when = pytest.mark.parametrize(
    "acted",
    [
        pytest.param(False, marks=_LONG, id="before-it-acted"),
        pytest.param(True, id="after-it-acted"),
    ],
)


@pytest.mark.parametrize(
    ("call", "acted"),
    [
        pytest.param("create", False, marks=_LONG),
        pytest.param("create", True),
        pytest.param("confirm", False),
        pytest.param("confirm", True),
    ],
)
def test_killed_in_a_payment(world: PaymentWorld, call: str, acted: bool) -> None:
    """Whichever call the process dies in, the retry ends in one charge and its 201."""
    shopper = world.shopper()
    order, key = shopper.order(4_200), shopper.new_key()
    _die_in(world, call, acted, lambda: shopper.post("/api/payments", order, key))

    answer = shopper.until_final("/api/payments", order, key)

    assert answer.status == 201, answer.body
    payment = answer.json
    assert (payment["status"], payment["amount_captured"]) == ("succeeded", 4_200)
    assert len(world.processor.judge.charges_of(payment["id"])) == 1
    assert [each["id"] for each in shopper.payments()] == [payment["id"]]
    _repeats(shopper, "/api/payments", order, key, answer)
    world.assert_books(shopper)


@_LONG
@when
def test_killed_while_the_card_is_declined(world: PaymentWorld, acted: bool) -> None:
    """A decline that nobody heard is found out, and told as the decline it is."""
    shopper = world.shopper()
    order = shopper.order(4_300, "pm_card_chargeCustomerFail")
    key = shopper.new_key()
    _die_in(world, "confirm", acted, lambda: shopper.post("/api/payments", order, key))

    answer = shopper.until_final("/api/payments", order, key)

    assert answer.status == 402, answer.body
    assert answer.json["payment"]["failure"]["decline_code"] == "generic_decline"
    assert world.processor.judge.charges_of(answer.json["payment"]["id"]) == []
    _repeats(shopper, "/api/payments", order, key, answer)
    world.assert_books(shopper)


@when
def test_killed_in_a_capture(world: PaymentWorld, acted: bool) -> None:
    """A capture that died is one capture of what was asked for."""
    shopper = world.shopper()
    payment = shopper.pay(9_000, capture_method="manual")
    path, key, body = f"/api/payments/{payment['id']}/capture", shopper.new_key(), {"amount": 7_000}
    _die_in(world, "capture", acted, lambda: shopper.post(path, body, key))

    answer = shopper.until_final(path, body, key)

    assert answer.status == 200, answer.body
    assert answer.json["amount_captured"] == 7_000
    assert world.processor.intent(payment["id"])["amount_received"] == 7_000
    _repeats(shopper, path, body, key, answer)
    world.assert_books(shopper)


@when
def test_killed_in_a_refund(world: PaymentWorld, acted: bool) -> None:
    """A refund that died is one refund."""
    shopper = world.shopper()
    payment = shopper.pay(8_000)
    path, key, body = f"/api/payments/{payment['id']}/refunds", shopper.new_key(), {"amount": 3_000}
    _die_in(world, "refund", acted, lambda: shopper.post(path, body, key))
    if not acted:
        world.let_refunds_be_missing()

    answer = shopper.until_final(path, body, key)

    assert answer.status == 201, answer.body
    assert (answer.json["status"], answer.json["amount"]) == ("succeeded", 3_000)
    assert [each["amount"] for each in world.processor.refunds(payment["id"])] == [3_000]
    _repeats(shopper, path, body, key, answer)
    assert shopper.payment(payment["id"])["amount_refunded"] == 3_000
    world.assert_books(shopper)


@_LONG
@when
def test_killed_in_a_cancel(world: PaymentWorld, acted: bool) -> None:
    """What was to be given up is given up, and holds nothing of the cardholder any more."""
    shopper = world.shopper()
    payment = shopper.pay(6_000, capture_method="manual")
    path, key = f"/api/payments/{payment['id']}/cancel", shopper.new_key()
    _die_in(world, "cancel", acted, lambda: shopper.post(path, {}, key))

    answer = shopper.until_final(path, {}, key)

    assert (answer.status, answer.json["status"]) == (200, "canceled"), answer.body
    assert world.processor.intent(payment["id"])["status"] == "canceled"
    world.assert_books(shopper)


@_LONG
def test_killed_while_the_confirmation_is_on_its_way(world: PaymentWorld) -> None:
    """It arrives when the process is dead and its successor looks already: one charge still."""
    shopper = world.shopper()
    order, key = shopper.order(4_400), shopper.new_key()
    world.processor.faults.add("confirm", Fault(delay_s=3.0))
    _die_when(
        world,
        lambda: world.processor.calls["confirm"],
        lambda: shopper.post("/api/payments", order, key),
    )

    answer = shopper.until_final("/api/payments", order, key)

    assert answer.status == 201, answer.body
    time.sleep(2.0)  # whatever is still on its way arrives
    assert len(world.processor.judge.charges_of(answer.json["id"])) == 1
    world.assert_books(shopper)


def test_killed_at_random_moments(world: PaymentWorld) -> None:
    """A moment that nobody chose; the long run has more."""
    _kill_at_random(world, RANDOM_KILLS)


@_LONG
def test_killed_at_many_random_moments(world: PaymentWorld) -> None:
    """The same, until little is left that was not hit."""
    _kill_at_random(world, RANDOM_KILLS_LONG)


@_LONG
def test_a_retry_takes_over_when_the_lease_of_the_dead_is_over(world: PaymentWorld) -> None:
    """Nobody helps: the retry hears 409 until the lease has run out by itself, and then the end."""
    shopper = world.shopper()
    order, key = shopper.order(4_500), shopper.new_key()
    post = lambda: shopper.post("/api/payments", order, key)  # noqa: E731 -- said twice
    world.processor.faults.add("confirm", stop(world.node.kill, acted=True))
    _lost(post)
    world.until(lambda: not world.node.runs, "the kill")
    world.node.start()

    answer = shopper.until_final("/api/payments", order, key, patience_s=90)

    assert answer.status == 201, answer.body
    assert len(world.processor.judge.charges_of(answer.json["id"])) == 1
    world.assert_books(shopper)


def test_the_ledger_proves_itself(world: PaymentWorld) -> None:
    """After all those deaths the audit finds nothing."""
    world.assert_audit()


# -- dying


def _die_in(world: PaymentWorld, call: str, acted: bool, post: Callable[[], Answer]) -> None:
    """Send a request, kill the process in a call of it, and start it again."""
    world.processor.faults.add(call, stop(world.node.kill, acted=acted))
    _lost(post)
    world.until(lambda: not world.node.runs, "the kill")
    world.restart()


def _die_when(world: PaymentWorld, seen: Callable[[], int], post: Callable[[], Answer]) -> None:
    before = seen()
    waits = threading.Thread(target=_lost, args=(post,))
    waits.start()
    world.until(lambda: seen() > before, "the call")
    world.node.kill()
    waits.join()
    world.restart()


def _lost(post: Callable[[], Answer]) -> None:
    with pytest.raises(OSError, match=r"."):
        post()


def _repeats(shopper: Shopper, path: str, body: Any, key: str, first: Answer) -> None:
    again = shopper.post(path, body, key)
    assert (again.status, is_replay(again)) == (first.status, True)
    # Of a problem: each request has an id of its own.
    repeated, told = ({**each.json, "request_id": None} for each in (again, first))
    assert repeated == told


def _kill_at_random(world: PaymentWorld, times: int) -> None:
    chance = seeded()
    shopper = world.shopper()
    shopper.method()
    for number in range(times):
        _one_random_kill(world, shopper, chance, 1_000 + number)
    world.assert_books(shopper)


def _one_random_kill(
    world: PaymentWorld, shopper: Shopper, chance: random.Random, amount: int
) -> None:
    """Pay, refund or capture, die somewhere in it, repeat, and see that it happened once."""
    wish = chance.choice(["pay", "capture", "refund"])
    paths = {"pay": "/api/payments"}
    body: Any = shopper.order(amount)
    if wish != "pay":
        manual = wish == "capture"
        payment = shopper.pay(amount, capture_method="manual" if manual else "automatic")
        paths = {wish: f"/api/payments/{payment['id']}/{'capture' if manual else 'refunds'}"}
        body = {"amount": amount // 2}
    path, key = paths[wish], shopper.new_key()
    if chance.random() < 0.3:
        world.processor.faults.add({"pay": "confirm"}.get(wish, wish), hang(0.5))

    def post() -> None:
        # It dies before it answers; sometimes it is quicker.
        with suppress(OSError):
            shopper.post(path, body, key)

    waits = threading.Thread(target=post)
    waits.start()
    time.sleep(chance.uniform(*LIVES_S))
    world.node.kill()
    waits.join()
    world.processor.faults.clear()
    world.restart()
    world.let_refunds_be_missing()
    answer = shopper.until_final(path, body, key)
    assert answer.status == (200 if wish == "capture" else 201), (wish, answer.body)
    id_ = answer.json["id"] if wish == "pay" else path.split("/")[3]
    assert len(world.processor.judge.charges_of(id_)) == 1, wish
    if wish == "refund":
        assert [each["amount"] for each in world.processor.refunds(id_)] == [amount // 2]
