"""Answers that are lost, late, or wrong: unknown is told as unknown, and ends in one charge."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.acceptance.counterparty.server import Answer
from tests.acceptance.processor import world as worlds
from tests.acceptance.processor.faults import (
    Fault,
    drop_after,
    drop_before,
    fails,
    hang,
    limited,
)
from tests.acceptance.processor.shopper import Shopper, is_replay
from tests.acceptance.processor.world import TIMEOUT_S, PaymentWorld

DATABASES = ("sqlite", "postgresql")
world = worlds.world

_LATE_S = TIMEOUT_S + 0.5

# What may happen to a call, and whether it is done by then.
LOST = {
    "drop-after": drop_after(),
    "drop-before": drop_before(),
    "hang-after": hang(_LATE_S),
    "hang-before": hang(_LATE_S, acts=False),
    "error-after": fails(acts=True),
    "502-after": fails(acts=True, status=502),
}
# The first two say what each step makes of it; the long run has the others for each step too.
_QUICK = {"drop-after", "drop-before"}
lost = pytest.mark.parametrize("how", LOST)
lost_quickly = pytest.mark.parametrize(
    "how",
    [pytest.param(how, marks=() if how in _QUICK else pytest.mark.long) for how in LOST],
)


@lost
def test_a_confirmation_without_an_answer(world: PaymentWorld, how: str) -> None:
    """202 and unknown; then it has succeeded, with one charge under the one key."""
    shopper = world.shopper()
    order, key = shopper.order(3_100), shopper.new_key()
    world.processor.faults.add("confirm", LOST[how])

    answer = shopper.post("/api/payments", order, key)

    _is_unknown(answer)
    payment = _ends(world, shopper, answer.json["id"], "succeeded")
    assert payment["amount_captured"] == 3_100
    assert len(world.processor.judge.charges_of(payment["id"])) == 1
    assert list(world.processor.judge.keys_of(payment["id"], "confirm")) == [
        f"tidegate:{payment['id']}:confirm:1"
    ]
    again = shopper.post("/api/payments", order, key)
    assert (again.status, is_replay(again)) == (201, True), again.body
    assert again.json["status"] == "succeeded"
    assert again.json["amount_captured"] == 3_100
    world.assert_books(shopper)


def test_an_unknown_answer_replays_as_the_payment_stands(world: PaymentWorld) -> None:
    """While nothing is known the retry says so too, and it starts nothing."""
    shopper = world.shopper()
    order, key = shopper.order(3_150), shopper.new_key()
    world.processor.faults.add("confirm", drop_after())
    world.processor.faults.add("fetch", *[fails(acts=False, status=503)] * 2)
    first = shopper.post("/api/payments", order, key)
    _is_unknown(first)

    again = shopper.until_final("/api/payments", order, key)

    assert (again.status, again.json["id"]) == (201, first.json["id"])
    assert len(world.processor.judge.charges_of(first.json["id"])) == 1
    world.assert_books(shopper)


def test_a_declined_confirmation_without_an_answer(world: PaymentWorld) -> None:
    """The decline is found by looking; the replay is the 402 that was never heard."""
    shopper = world.shopper()
    order = shopper.order(3_200, "pm_card_chargeDeclinedInsufficientFunds")
    key = shopper.new_key()
    world.processor.faults.add("confirm", drop_after())

    answer = shopper.post("/api/payments", order, key)

    _is_unknown(answer)
    payment = _ends(world, shopper, answer.json["id"], "failed")
    assert payment["failure"]["decline_code"] == "insufficient_funds"
    again = shopper.post("/api/payments", order, key)
    assert (again.status, again.json["code"], is_replay(again)) == (402, "card_declined", True)
    world.assert_books(shopper)


@lost_quickly
def test_a_creation_without_an_answer(world: PaymentWorld, how: str) -> None:
    """No money can have moved; it goes on to one object and one charge."""
    shopper = world.shopper()
    order, key = shopper.order(3_300), shopper.new_key()
    world.processor.faults.add("create", LOST[how])

    answer = shopper.post("/api/payments", order, key)

    assert answer.status in {201, 202}, answer.body
    payment = _ends(world, shopper, answer.json["id"], "succeeded")
    assert len(world.processor.judge.charges_of(payment["id"])) == 1
    again = shopper.until_final("/api/payments", order, key)
    assert (again.status, again.json["id"]) == (201, payment["id"])
    world.assert_books(shopper)


def test_a_creation_that_fails_the_same_way_for_ever(world: PaymentWorld) -> None:
    """The stored 500 is replayed; the list shows that nothing was made, and only then the next
    number is taken."""
    shopper = world.shopper()
    order, key = shopper.order(3_350), shopper.new_key()
    world.processor.faults.add("create", fails(acts=False))

    answer = shopper.post("/api/payments", order, key)

    _is_unknown(answer)
    payment = _ends(world, shopper, answer.json["id"], "succeeded")
    keys = world.processor.judge.keys_of(payment["id"], "create")
    assert list(keys) == [f"tidegate:{payment['id']}:create:{n}" for n in (1, 2)]
    assert len(world.processor.judge.charges_of(payment["id"])) == 1
    world.assert_books(shopper)


@lost_quickly
def test_a_capture_without_an_answer(world: PaymentWorld, how: str) -> None:
    """202 and unknown; then captured once, with the amount that was asked for."""
    shopper = world.shopper()
    id_ = shopper.pay(3_400, capture_method="manual")["id"]
    path, key, body = f"/api/payments/{id_}/capture", shopper.new_key(), {"amount": 3_000}
    world.processor.faults.add("capture", LOST[how])

    answer = shopper.post(path, body, key)

    _is_unknown(answer)
    payment = _ends(world, shopper, id_, "succeeded")
    assert payment["amount_captured"] == 3_000
    assert world.processor.intent(id_)["amount_received"] == 3_000
    again = shopper.post(path, body, key)
    assert (again.status, is_replay(again)) == (200, True), again.body
    assert again.json["amount_captured"] == 3_000
    world.assert_books(shopper)


@lost_quickly
def test_a_refund_without_an_answer(world: PaymentWorld, how: str) -> None:
    """202 and unknown; it is found in the list, or asked for again with its key."""
    shopper = world.shopper()
    id_ = shopper.pay(3_500)["id"]
    path, key, body = f"/api/payments/{id_}/refunds", shopper.new_key(), {"amount": 2_000}
    world.processor.faults.add("refund", LOST[how])

    answer = shopper.post(path, body, key)

    _is_unknown(answer, "pending")
    refund = answer.json["id"]
    assert shopper.payment(id_)["amount_refunded"] == 0
    assert world.user_balance(shopper) == 1_500, "what may be on its way is set aside"
    if not LOST[how].acts:
        world.let_refunds_be_missing()
    world.until(lambda: shopper.refunds(id_)[0]["status"] == "succeeded", "the refund", 30)
    assert [each["id"] for each in shopper.refunds(id_)] == [refund]
    assert [each["amount"] for each in world.processor.refunds(id_)] == [2_000]
    assert list(world.processor.judge.keys_of(id_, refund)) == [f"tidegate:{id_}:{refund}:1"]
    again = shopper.post(path, body, key)
    assert (again.status, again.json["status"], is_replay(again)) == (201, "succeeded", True)
    world.assert_books(shopper)


@pytest.mark.parametrize(
    ("code", "times"),
    [
        ("rate_limit", 1),
        ("lock_timeout", 1),
        pytest.param("rate_limit", 5, marks=pytest.mark.long),
    ],
)
def test_too_many_requests_are_repeated_with_the_same_key(
    world: PaymentWorld, code: str, times: int
) -> None:
    """429 did nothing: every step is made again under its own key, by the request or after it."""
    shopper = world.shopper()
    order, key = shopper.order(3_600, capture_method="manual"), shopper.new_key()
    for call in ("create", "confirm", "capture", "refund"):
        world.processor.faults.add(call, *[limited(code)] * times)

    id_ = shopper.until_final("/api/payments", order, key).json["id"]
    captured = shopper.until_final(f"/api/payments/{id_}/capture", {}, shopper.new_key())
    refunded = shopper.until_final(
        f"/api/payments/{id_}/refunds", {"amount": 600}, shopper.new_key(), patience_s=40
    )

    assert (captured.status, refunded.status) == (200, 201), (captured.body, refunded.body)
    for step in ("create", "confirm", "capture", refunded.json["id"]):
        keys = world.processor.judge.keys_of(id_, step)
        assert keys == {f"tidegate:{id_}:{step}:1": times + 1}
    world.assert_books(shopper)


def test_a_processor_that_is_away(world: PaymentWorld) -> None:
    """Nothing is lost while it is: what was asked for happens once it is back."""
    shopper = world.shopper()
    order, key = shopper.order(3_700), shopper.new_key()
    payment = shopper.pay(3_800)
    world.processor.leave()
    try:
        paid = shopper.post("/api/payments", order, key)
        path = f"/api/payments/{payment['id']}/refunds"
        refund_key = shopper.new_key()
        refunded = shopper.post(path, {"amount": 800}, refund_key)
        assert {paid.status, refunded.status} <= {202, 503}, (paid.body, refunded.body)
    finally:
        world.processor.come_back()
    world.let_refunds_be_missing()

    answer = shopper.until_final("/api/payments", order, key)
    back = shopper.until_final(path, {"amount": 800}, refund_key, patience_s=30)

    assert (answer.status, back.status) == (201, 201), (answer.body, back.body)
    assert len(world.processor.judge.charges_of(answer.json["id"])) == 1
    assert [each["amount"] for each in world.processor.refunds(payment["id"])] == [800]
    world.assert_books(shopper)


def test_a_customer_without_an_answer(world: PaymentWorld) -> None:
    """The first card is stored on the second try, at one customer."""
    shopper = world.shopper()
    before = len(world.processor.objects.all("customer"))
    world.processor.faults.add("customer", Fault(answers=False))

    failed = shopper.post("/api/payment-methods", {"token": "pm_card_visa"})

    assert failed.status == 503, failed.body
    assert "retry-after" in failed.headers
    shopper.pay(3_900)
    assert len(world.processor.objects.all("customer")) == before + 1
    world.assert_books(shopper)


def test_a_creation_that_fails_for_ever_under_its_next_number_too(world: PaymentWorld) -> None:
    """The next number met the same luck: its 500 is stored as well, and proven as well."""
    shopper = world.shopper()
    world.processor.faults.add("create", *[fails(acts=False)] * 3)

    answer = shopper.post("/api/payments", shopper.order(3_355), shopper.new_key())

    _is_unknown(answer)
    payment = _ends(world, shopper, answer.json["id"], "succeeded")
    assert len(world.processor.judge.charges_of(payment["id"])) == 1
    world.assert_books(shopper)


def test_a_confirmation_that_fails_the_same_way_for_ever(world: PaymentWorld) -> None:
    """The stored 500 is all the key will ever say, and the object shows that nothing happened:
    a proven failure, after which the next number may be taken."""
    shopper = world.shopper()
    world.processor.faults.add("confirm", fails(acts=False))

    answer = shopper.post("/api/payments", shopper.order(3_360), shopper.new_key())

    _is_unknown(answer)
    payment = _ends(world, shopper, answer.json["id"], "succeeded")
    assert len(world.processor.judge.charges_of(payment["id"])) == 1
    world.assert_books(shopper)


def test_a_capture_that_fails_the_same_way_for_ever(world: PaymentWorld) -> None:
    """Likewise: the object still waits to be captured."""
    shopper = world.shopper()
    id_ = shopper.pay(3_450, capture_method="manual")["id"]
    world.processor.faults.add("capture", fails(acts=False))

    answer = shopper.post(f"/api/payments/{id_}/capture", {"amount": 3_000}, shopper.new_key())

    _is_unknown(answer)
    assert _ends(world, shopper, id_, "succeeded")["amount_captured"] == 3_000
    assert world.processor.intent(id_)["amount_received"] == 3_000
    world.assert_books(shopper)


def test_a_refund_that_fails_the_same_way_for_ever(world: PaymentWorld) -> None:
    """Likewise: the list has no such refund, and what was set aside is not stuck."""
    shopper = world.shopper()
    id_ = shopper.pay(3_550)["id"]
    path, key, body = f"/api/payments/{id_}/refunds", shopper.new_key(), {"amount": 2_000}
    world.processor.faults.add("refund", fails(acts=False))

    _is_unknown(shopper.post(path, body, key), "pending")

    ended = shopper.post(path, body, key)
    for _ in range(12):
        if ended.status not in (202, 409):  # 409: the worker is at it at this moment
            break
        world.let_refunds_be_missing()
        time.sleep(1.0)
        ended = shopper.post(path, body, key)
    if ended.status == 201:
        assert [each["amount"] for each in world.processor.refunds(id_)] == [2_000]
    else:
        assert (ended.status, ended.json["refund"]["status"]) == (424, "failed")
    world.assert_books(shopper)


def test_the_ledger_proves_itself(world: PaymentWorld) -> None:
    """After all that was lost the audit finds nothing."""
    world.assert_audit()


# -- what is asked of each


def _is_unknown(answer: Answer, status: str = "processing") -> None:
    assert answer.status == 202, (answer.status, answer.body)
    assert (answer.json["status"], answer.json["outcome"]) == (status, "unknown")


def _ends(world: PaymentWorld, shopper: Shopper, id_: str, status: str) -> Any:
    world.until(lambda: shopper.payment(id_)["status"] == status, f"{id_} {status}")
    payment = shopper.payment(id_)
    assert payment["outcome"] is None
    return payment
