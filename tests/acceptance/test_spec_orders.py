"""Orders of the documented dialect (aggregator.md 0 column A, 2.4, 3.1; A3)."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.acceptance.counterparty.script import drop_after, drop_before, say
from tests.acceptance.counterparty.signing import go_json, python_json
from tests.acceptance.counterparty.world import World

WORLD = {"dialect": "spec"}


def test_happy_path_fulfils_with_the_psps_transaction_id(world: World) -> None:
    """Offer with the recipient, accept, one transfer, ``transactionHash``."""
    order = world.order(dialect="spec")
    world.bank.plan(order.account, "queued", "pending", "successful")
    answer = world.offer(order)
    assert answer.json == {
        "status": "success",
        "message": "Order received",
        "data": {"orderId": order.id, "status": "pending"},
    }
    world.settled(order)
    assert order.verbs() == ["accept", "fulfill"]
    (transfer,) = world.bank.to(order.account)
    assert order.hashes == [transfer.id]
    assert (transfer.body["amount"], transfer.body["bankCode"]) == ("75375.00", "000014")
    assert len(world.bank.posts_to(order.account)) == 1


def test_a_live_order_is_answered_in_its_own_form_here_too(world: World) -> None:
    """The dialect is a property of the order, not of the setting."""
    order = world.order()
    world.offer(order)
    world.settled(order)
    assert order.reports()[-1] == "success"


@pytest.mark.parametrize("form", ["sorted", "utf8", "go", "spaced", "stamped"])
def test_2_4_every_documented_way_of_signing_is_accepted(world: World, form: str) -> None:
    """Raw bytes; the sorted compact form with and without ASCII escapes; the Go form."""
    order = world.order("1500", dialect="spec", account_name="Ọláwálé <&> Sons")
    world.aggregator.book.offer(order)
    body = world.aggregator.spec_body(order)
    if form == "stamped":
        body["timestamp"] = int(time.time())
    loose = json.dumps(body).encode()
    assert b"1500.0" in loose
    signed = {
        "sorted": python_json(body),
        "utf8": python_json(body, ascii_only=False),
        "go": go_json(body),
    }.get(form, loose)
    answer = world.aggregator.post_spec(loose, signed=signed)
    assert answer.status == 200, answer.body
    world.settled(order)


def test_hazard_2_a_repeat_gets_the_stored_status_and_other_figures_are_refused(
    world: World,
) -> None:
    """200 with the status for the same figures, DUPLICATE_ORDER for others; paid once."""
    order = world.order(dialect="spec")
    world.bank.plan(order.account, "pending", "pending", "successful")
    world.offer(order)
    world.wait_state(order, "processing")
    answer = world.aggregator.repeat_offer(order)
    assert (answer.status, answer.json["data"]["status"]) == (200, "processing")
    answer = world.aggregator.repeat_offer(order, amount=99999.0)
    assert 400 <= answer.status < 500
    assert b"DUPLICATE_ORDER" in answer.body
    world.settled(order)
    assert [each.body["amount"] for each in world.bank.to(order.account)] == ["75375.00"]
    answer = world.aggregator.repeat_offer(order)
    assert answer.status == 200


def test_hazard_3_lost_answers_of_accept_and_fulfil_pay_and_report_once(world: World) -> None:
    """The recipient is known already; a lost accept is asked again, a lost fulfil looked up."""
    order = world.order(dialect="spec")
    world.aggregator.scripts.add("accept", order.id, drop_after())
    world.aggregator.scripts.add("fulfill", order.id, drop_after())
    world.offer(order)
    world.settled(order)
    assert len(world.bank.posts_to(order.account)) == 1
    assert len(order.hashes) == 1


def test_hazard_12_accept_404_pays_nothing(world: World) -> None:
    """The offer went elsewhere."""
    order = world.order(dialect="spec")
    world.aggregator.scripts.add("accept", order.id, drop_before())
    world.offer(order, ttl_s=0)
    world.wait_state(order, "expired")
    assert not world.bank.posts_to(order.account)


def test_hazard_8_a_certain_failure_is_a_cancel_after_the_tombstone(world: World) -> None:
    """The spec form knows no failed; nothing is fulfilled."""
    order = world.order(dialect="spec")
    world.bank.plan(order.account, "pending", "failed", reason="Account closed")
    world.offer(order)
    world.wait_status(order, "cancelled")
    world.wait_state(order, "failed", "cancelled")
    assert order.verbs() == ["accept", "cancel"]
    assert order.reasons == ["Invalid recipient bank details"]


def test_hazard_2_re_offered_after_paid_reports_the_hash_again(world: World) -> None:
    """Nothing is paid; the same transaction id is reported; a case."""
    order = world.order(dialect="spec")
    world.offer(order)
    world.settled(order)
    world.aggregator.book.take_back(order)
    world.offer(order)
    world.wait(order, "fulfill", 1, 2)
    world.settled(order)
    assert len(set(order.hashes)) == 1
    assert len(world.bank.posts_to(order.account)) == 1
    assert world.wait_case(order)


def test_hazard_2_re_offered_after_a_failure_is_a_new_round(world: World) -> None:
    """Provably unpaid, so it may be offered and paid again, once."""
    order = world.order(dialect="spec")
    refusal = {"status": False, "message": "Invalid account", "data": [], "errorCode": "05"}
    world.bank.scripts.add("transfer", order.account, say(400, refusal))
    world.offer(order)
    world.wait_status(order, "cancelled")
    world.at_rest(order)
    world.aggregator.book.take_back(order)
    world.offer(order)
    world.settled(order)
    assert len([each for each in world.bank.to(order.account) if each.was_paid]) == 1


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"amount": 0}, "INVALID_AMOUNT"),
        ({"amount": -5.0}, "INVALID_AMOUNT"),
        ({"amount": 75375.001}, "INVALID_AMOUNT"),
        ({"amount": 9223372036854775808}, None),
        ({"amount": 1e300}, None),
        ({"amount": None}, None),
        ({"amount": True}, None),
        ({"currency": "ZZZ"}, "UNSUPPORTED_CURRENCY"),
        ({"currency": None}, None),
        ({"orderId": None}, None),
        ({"recipient": None}, None),
        ({"recipient": []}, None),
        ({"recipient": {"institution": "ABNGNGLA"}}, "INVALID_ACCOUNT"),
        (
            {
                "recipient": {
                    "institution": "XXXXNGXX",
                    "accountIdentifier": "2000000001",
                    "accountName": "A",
                }
            },
            "UNSUPPORTED_INSTITUTION",
        ),
        ({"expiresAt": "yesterday"}, "ORDER_EXPIRED"),
    ],
    ids=str,
)
def test_3_1_what_cannot_be_paid_is_refused_at_once(
    world: World, change: dict[str, Any], word: str | None
) -> None:
    """400 or 422 with the error's name; no accept, no transfer."""
    order = world.order(dialect="spec")
    world.aggregator.book.offer(order)
    answer = world.aggregator.repeat_offer(order, **change)
    assert answer.status in (400, 422), (answer.status, answer.body)
    assert answer.json["status"] == "error"
    if word:
        assert word.encode() in answer.body
    time.sleep(0.1)
    assert "accept" not in order.verbs()


@pytest.mark.parametrize(
    "change",
    [{"amount": None}, {"currency": None}, {"recipient": None}, {"recipient": []}],
    ids=str,
)
def test_3_1_what_is_no_offer_has_one_answer(world: World, change: dict[str, Any]) -> None:
    """To the byte, whatever is wrong with it; nothing is kept."""
    order = world.order(dialect="spec")
    world.aggregator.book.offer(order)
    answer = world.aggregator.repeat_offer(order, **change)
    assert answer.status == 400
    assert answer.json == {"status": "error", "message": "Invalid request payload", "data": None}


def test_3_1_the_noise_of_a_float_is_no_fraction(world: World) -> None:
    """What arithmetic with doubles leaves behind is not held against an order: it is paid."""
    order = world.order(dialect="spec")
    world.aggregator.book.offer(order)
    answer = world.aggregator.repeat_offer(order, amount=float(order.amount) + 2e-11)
    assert answer.status == 200
    world.settled(order)


@pytest.mark.parametrize("number", [b"1e400", b"NaN", b"Infinity", b"1E+2000000"])
def test_3_1_wild_numbers_are_refused_at_once(world: World, number: bytes) -> None:
    """What is no amount, or no JSON, is 400 or 422 and never 500."""
    order = world.order(dialect="spec")
    body = world.aggregator.spec_body(order) | {"amount": 77777}
    raw = python_json(body).replace(b"77777", number)
    answer = world.aggregator.post_spec(raw)
    assert answer.status in (400, 422)
    assert answer.json["status"] == "error"


def test_a13_an_expired_offer_is_never_accepted(world: World) -> None:
    """Taken, and declined with ORDER_EXPIRED (3.1); no accept, no transfer."""
    order = world.order(dialect="spec")
    world.aggregator.book.offer(order)
    past = (datetime.now(UTC) - timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    answer = world.aggregator.repeat_offer(order, expiresAt=past)
    assert answer.status == 200
    assert "ORDER_EXPIRED" in str(world.wait(order, "decline"))
    time.sleep(0.3)
    assert "accept" not in order.verbs()
    assert not world.bank.posts_to(order.account)
