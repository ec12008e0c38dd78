"""Many requests at the same moment make one charge, and one refund (payments.md, "Idempotency")."""

from __future__ import annotations

from collections import Counter
from functools import partial

from tests.acceptance.processor import world as worlds
from tests.acceptance.processor.shopper import at_once, is_replay
from tests.acceptance.processor.world import PaymentWorld

DATABASES = ("sqlite", "postgresql")
world = worlds.world

MANY = 50


def test_fifty_identical_payments_make_one_charge(world: PaymentWorld) -> None:
    """One 201; the others are told that it runs, and when to come back, or get its replay."""
    shopper = world.shopper()
    order, key = shopper.order(12_345), shopper.new_key()

    answers = at_once([lambda: shopper.post("/api/payments", order, key)] * MANY)

    made = [each for each in answers if each.status == 201 and not is_replay(each)]
    assert len(made) == 1, Counter((each.status, is_replay(each)) for each in answers)
    for answer in answers:
        if answer.status == 409:
            assert answer.json["code"] == "request_still_running", answer.json
            assert int(answer.headers["retry-after"]) >= 1
        else:
            assert answer.json == made[0].json
    payment = made[0].json
    assert payment["status"] == "succeeded"
    assert len(world.processor.judge.charges_of(payment["id"])) == 1
    assert world.processor.judge.keys_of(payment["id"], "create") == {
        f"tidegate:{payment['id']}:create:1": 1
    }
    again = shopper.post("/api/payments", order, key)
    assert (again.status, again.json, is_replay(again)) == (201, payment, True)
    assert [each["id"] for each in shopper.payments()] == [payment["id"]]
    world.assert_books(shopper)


def test_fifty_different_payments_are_fifty_charges(world: PaymentWorld) -> None:
    """Keys that differ are wishes that differ, and each answer tells of its own."""
    shopper = world.shopper()
    order = shopper.order(777)
    keys = [shopper.new_key() for _ in range(MANY)]

    answers = at_once([partial(shopper.post, "/api/payments", order, key) for key in keys])

    assert Counter(each.status for each in answers) == {201: MANY}
    ids = {each.json["id"] for each in answers}
    assert len(ids) == MANY
    assert all(len(world.processor.judge.charges_of(id_)) == 1 for id_ in ids)
    assert world.user_balance(shopper) == 777 * MANY
    world.assert_books(shopper)


def test_fifty_refunds_of_more_than_half_make_one(world: PaymentWorld) -> None:
    """Each is a wish of its own, and only one fits what was captured."""
    shopper = world.shopper()
    payment = shopper.pay(10_000)
    path = f"/api/payments/{payment['id']}/refunds"
    keys = [shopper.new_key() for _ in range(MANY)]

    answers = at_once([partial(shopper.post, path, {"amount": 6_000}, key) for key in keys])

    statuses = Counter((each.status, each.json.get("code")) for each in answers)
    assert statuses[201, None] == 1, statuses
    assert set(statuses) == {(201, None), (409, "amount_exceeds_refundable")}, statuses
    assert [each["amount"] for each in world.processor.refunds(payment["id"])] == [6_000]
    assert shopper.payment(payment["id"])["amount_refunded"] == 6_000
    world.assert_books(shopper)


def test_fifty_identical_refunds_make_one(world: PaymentWorld) -> None:
    """The same key and body fifty times is one refund, though fifty would fit."""
    shopper = world.shopper()
    payment = shopper.pay(10_000)
    path, key = f"/api/payments/{payment['id']}/refunds", shopper.new_key()

    answers = at_once([lambda: shopper.post(path, {"amount": 100}, key)] * MANY)

    made = [each for each in answers if each.status == 201 and not is_replay(each)]
    assert len(made) == 1, Counter((each.status, is_replay(each)) for each in answers)
    for answer in answers:
        if answer.status == 409:
            assert int(answer.headers["retry-after"]) >= 1
        else:
            assert answer.json == made[0].json
    again = shopper.post(path, {"amount": 100}, key)
    assert (again.status, again.json, is_replay(again)) == (201, made[0].json, True)
    assert [each["amount"] for each in world.processor.refunds(payment["id"])] == [100]
    world.assert_books(shopper)


def test_fifty_identical_captures_make_one(world: PaymentWorld) -> None:
    """A capture too happens once, whoever asks how often."""
    shopper = world.shopper()
    payment = shopper.pay(5_000, capture_method="manual")
    assert payment["status"] == "requires_capture"
    path, key = f"/api/payments/{payment['id']}/capture", shopper.new_key()

    answers = at_once([lambda: shopper.post(path, {"amount": 4_000}, key)] * MANY)

    made = [each for each in answers if each.status == 200 and not is_replay(each)]
    assert len(made) == 1, Counter((each.status, is_replay(each)) for each in answers)
    assert made[0].json["amount_captured"] == 4_000
    again = shopper.post(path, {"amount": 4_000}, key)
    assert (again.status, again.json, is_replay(again)) == (200, made[0].json, True)
    assert world.processor.intent(payment["id"])["amount_received"] == 4_000
    world.assert_books(shopper)


def test_the_ledger_proves_itself(world: PaymentWorld) -> None:
    """After all of it the audit finds nothing, and no case is open about a payment."""
    world.assert_audit()
    assert not [case for case in world.cases() if case[1].startswith(("pay_", "re_"))]
