"""Two things at the same moment: news before its answer, a capture and a cancel, two refunds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from tests.acceptance.counterparty.server import Answer
from tests.acceptance.processor import world as worlds
from tests.acceptance.processor.faults import Fault, drop_after
from tests.acceptance.processor.objects import Refusal
from tests.acceptance.processor.shopper import at_once
from tests.acceptance.processor.world import PaymentWorld

DATABASES = ("sqlite", "postgresql")
world = worlds.world


@pytest.mark.parametrize("lost", [False, True], ids=["answered", "answer-lost"])
def test_news_that_overtake_the_answer(world: PaymentWorld, lost: bool) -> None:
    """The webhook of each step is here before the answer that gives us the object's id."""
    shopper = world.shopper()
    for call in ("create", "confirm", "capture", "refund"):
        fault = drop_after() if lost else Fault()
        world.processor.faults.add(call, Fault(answers=fault.answers, then=partial(_tell, world)))
    order = shopper.order(5_100, capture_method="manual")

    id_ = shopper.until_final("/api/payments", order, shopper.new_key()).json["id"]
    captured = shopper.until_final(f"/api/payments/{id_}/capture", {}, shopper.new_key())
    refunded = shopper.until_final(
        f"/api/payments/{id_}/refunds", {"amount": 100}, shopper.new_key()
    )

    assert (captured.status, refunded.status) == (200, 201), (captured.body, refunded.body)
    assert [each["amount"] for each in shopper.refunds(id_)] == [100]
    world.until(lambda: shopper.payment(id_)["amount_refunded"] == 100, "the refund")
    _nothing_unread(world)
    world.assert_books(shopper)


def test_a_capture_and_a_cancel_at_once(world: PaymentWorld) -> None:
    """One of them comes first; the payment ends as that one wanted, here and there."""
    shopper = world.shopper()
    for number in range(6):
        id_ = shopper.pay(5_200, capture_method="manual")["id"]
        calls: list[Callable[[], Answer]] = []
        for step in ("capture", "cancel"):
            path = f"/api/payments/{id_}/{step}"
            calls.append(partial(shopper.until_final, path, {}, f"{shopper.id}-{step}-{number}"))
        answers = at_once(calls)

        assert sorted(each.status for each in answers) == [200, 409], [
            (each.status, each.body) for each in answers
        ]
        payment = shopper.payment(id_)
        ended = "succeeded" if answers[0].status == 200 else "canceled"
        assert payment["status"] == world.processor.intent(id_)["status"] == ended
    world.assert_books(shopper)


def test_a_refund_here_and_another_at_the_page(world: PaymentWorld) -> None:
    """The page was quicker, and nobody told us: what does not fit any more is refused for
    certain, and the other becomes ours."""
    shopper = world.shopper()
    id_ = shopper.pay(5_300)["id"]
    intent = world.processor.intent(id_)
    world.processor.events.take()
    world.processor.afterwards.refund_at_the_page(intent, 4_000)

    refused = shopper.post(f"/api/payments/{id_}/refunds", {"amount": 2_000}, shopper.new_key())

    # Here the processor is right to be asked too much: it was not told to us.
    assert world.processor.judge.verdict() == [f"asked to refund 2000 of 1300 of {intent['id']}"]
    assert (refused.status, refused.json["refund"]["status"]) == (424, "failed"), refused.body
    _tell(world)
    world.until(lambda: shopper.payment(id_)["amount_refunded"] == 4_000, "the page's refund")
    assert shopper.refund(id_, 1_300)["status"] == "succeeded"
    world.assert_books(shopper)


def test_both_refunds_fit_here_and_only_one_there(world: PaymentWorld) -> None:
    """A refund of ours is on its way, its answer lost, when the page refunds the rest."""
    shopper = world.shopper()
    id_ = shopper.pay(5_400)["id"]
    world.processor.faults.add("refund", drop_after())
    path, key, body = f"/api/payments/{id_}/refunds", shopper.new_key(), {"amount": 3_000}
    assert shopper.post(path, body, key).status == 202
    world.processor.events.take()
    world.processor.afterwards.refund_at_the_page(world.processor.intent(id_), 2_400)
    _tell(world)

    assert shopper.until_final(path, body, key).status == 201

    world.until(lambda: shopper.payment(id_)["amount_refunded"] == 5_400, "both refunds")
    assert sorted(each["amount"] for each in shopper.refunds(id_)) == [2_400, 3_000]
    world.assert_books(shopper)


def test_a_capture_of_what_has_expired(world: PaymentWorld) -> None:
    """The authorisation lapsed and nobody told us: the capture finds out, and takes nothing."""
    shopper = world.shopper()
    id_ = shopper.pay(5_500, capture_method="manual")["id"]
    world.processor.intents.expire(world.processor.intent(id_))
    world.processor.events.take()

    answer = shopper.until_final(f"/api/payments/{id_}/capture", {}, shopper.new_key())

    assert answer.status == 409, answer.body
    assert shopper.payment(id_)["status"] == "canceled"
    world.assert_books(shopper)


def test_a_refund_of_what_is_disputed(world: PaymentWorld) -> None:
    """The processor refuses it for certain; nothing stays set aside."""
    shopper = world.shopper()
    id_ = shopper.pay(5_600)["id"]
    dispute = world.processor.afterwards.dispute(world.processor.intent(id_))

    answer = shopper.until_final(f"/api/payments/{id_}/refunds", {"amount": 600}, shopper.new_key())

    assert (answer.status, answer.json["refund"]["status"]) == (424, "failed"), answer.body
    world.processor.afterwards.lose(dispute)
    _tell(world)
    world.until(lambda: world.user_balance(shopper) == 0, "the loss")
    world.assert_books(shopper)


def test_a_card_that_the_client_brings_to_the_processor(world: PaymentWorld) -> None:
    """Without a stored method the payment waits; a declined card is not its end, another pays."""
    shopper = world.shopper()
    body = {"amount": 5_700, "currency": "USD"}
    made = shopper.post("/api/payments", body, shopper.new_key())
    assert (made.status, made.json["status"]) == (201, "requires_payment_method"), made.body
    intent = world.processor.intent(made.json["id"])
    assert made.json["next_action"]["client_secret"] == intent["client_secret"]

    _brings(world, intent, "pm_card_chargeCustomerFail")
    _tell(world)
    world.until(
        lambda: shopper.payment(made.json["id"])["failure"] is not None, "the decline to be told"
    )
    assert shopper.payment(made.json["id"])["status"] == "requires_payment_method"
    _brings(world, intent, "pm_card_visa")
    _tell(world)

    world.until(lambda: shopper.payment(made.json["id"])["status"] == "succeeded", "success")
    payment = shopper.payment(made.json["id"])
    assert (payment["amount_captured"], payment["failure"]) == (5_700, None)
    world.assert_books(shopper)


def test_a_client_that_pays_after_it_failed(world: PaymentWorld) -> None:
    """It failed 3-D Secure and paid with another card before we closed the object: a fact, booked,
    and a person is told if the client was told otherwise."""
    shopper = world.shopper()
    payment = shopper.pay(
        5_800, "pm_card_authenticationRequired", return_url="http://127.0.0.1/back"
    )
    intent = world.processor.intent(payment["id"])
    # We hear of the failure, and the cancel that would close it does not arrive.
    world.processor.faults.add("cancel", Fault(acts=False, answers=False, kept=False))
    world.processor.intents.authenticate(intent, passes=False)
    _tell(world)
    world.until(lambda: shopper.payment(payment["id"])["status"] == "failed", "the failure")
    world.until(lambda: not world.processor.faults.wait_for("cancel"), "the lost cancel")
    if intent["status"] == "requires_payment_method":
        _brings(world, intent, "pm_card_visa")
    _tell(world)

    world.until(
        lambda: (
            shopper.payment(payment["id"])["status"]
            == ("succeeded" if intent["status"] == "succeeded" else "failed")
        ),
        "the fact",
    )
    assert intent["status"] in {"succeeded", "canceled"}
    if intent["status"] == "succeeded":
        kinds = [kind for kind, subject, _ in world.cases() if subject == payment["id"]]
        assert "payment_late_success" in kinds
    world.assert_books(shopper)


def test_the_object_of_a_failed_payment_is_closed(world: PaymentWorld) -> None:
    """Nobody can bring it to success later."""
    shopper = world.shopper()
    payment = shopper.pay(
        5_900, "pm_card_authenticationRequired", return_url="http://127.0.0.1/back"
    )
    intent = world.processor.intent(payment["id"])
    world.processor.intents.authenticate(intent, passes=False)
    _tell(world)
    world.until(lambda: intent["status"] == "canceled", "the object to be closed")
    assert shopper.payment(payment["id"])["status"] == "failed"
    world.assert_books(shopper)


def test_users_do_not_see_each_other(world: PaymentWorld) -> None:
    """Another's payment is not found, and another's key is one's own."""
    one, other = world.shopper(), world.shopper()
    key = "the-same-key"
    paid: list[Any] = []
    for shopper in (one, other):
        answer = shopper.post("/api/payments", shopper.order(6_000), key)
        assert answer.status == 201, answer.body
        paid.append(answer.json)
    assert paid[0]["id"] != paid[1]["id"]
    for step in ("capture", "cancel", "refunds"):
        path = f"/api/payments/{paid[0]['id']}/{step}"
        assert other.post(path, {}, other.new_key()).status == 404
    stolen = {"amount": 100, "currency": "USD", "payment_method_id": one.method()}
    assert other.post("/api/payments", stolen, other.new_key()).status == 422
    world.assert_books(one, other)


def test_the_ledger_proves_itself(world: PaymentWorld) -> None:
    """After all those races the audit finds nothing, and what was met is one of each case."""
    world.assert_audit()
    kinds = Counter(kind for kind, _, _ in world.cases())
    assert set(kinds) <= {"payment_disputed", "payment_late_success"}, kinds


def _tell(world: PaymentWorld) -> None:
    for event in world.processor.events.take():
        answer = world.processor.events.tell(event)
        assert answer.status == 200, answer.body


def _brings(world: PaymentWorld, intent: Any, card: str) -> None:
    """The client confirms by itself, with the client secret."""
    # A decline is told to the client, not to us.
    with world.processor.lock, suppress(Refusal):
        world.processor.intents.confirm(intent, {"payment_method": card})


def _nothing_unread(world: PaymentWorld) -> None:
    unread = "SELECT COUNT(*) FROM inbox WHERE due_at IS NOT NULL"
    world.until(lambda: world.rows(unread)[0][0] == 0, "every event to be read")
