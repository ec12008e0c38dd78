"""``/tx_status`` in each of its shapes for an order in every state (aggregator.md 3.2)."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.acceptance.counterparty.orders import Order
from tests.acceptance.counterparty.script import NORMAL, Step, drop_after, say, slowly
from tests.acceptance.counterparty.world import World

NOT_FOUND = {"status": "error", "message": "Order request not found or is expired", "data": None}


def _all_shapes(world: World, order: Order) -> dict[str, str]:
    """Ask in all shapes; every answer is 200 with four strings, and all are the same."""
    answers: list[dict[str, str]] = []
    for shape in (1, 2, 3):
        answer = world.aggregator.ask_status(order, shape)
        assert answer.status == 200, (shape, answer.status, answer.body)
        data = answer.json["data"]
        for key in ("status", "psp", "txId", "error"):
            assert isinstance(data[key], str), (shape, data)
        answers.append(data)
    assert len({each["status"] for each in answers}) == 1
    return answers[-1]


def _offered(world: World, **fields: Any) -> Order:
    order = world.order(**fields)
    world.offer(order)
    return order


def _accepting(world: World) -> Order:
    order = world.order()
    world.aggregator.scripts.add("accept", order.id, slowly(0.5))
    world.offer(order)
    world.wait(order, "accept")
    return order


def _sending(world: World) -> Order:
    order = world.order()
    world.bank.scripts.add("transfer", order.account, slowly(0.5))
    world.offer(order)
    while not world.bank.posts_to(order.account):
        time.sleep(0.01)
    return order


def _processing(world: World) -> Order:
    order = world.order()
    world.bank.plan(order.account, "pending", "pending", "successful")
    world.offer(order)
    world.wait(order, "fulfill")
    return order


def _unknown(world: World) -> Order:
    order = world.order()
    world.bank.scripts.add("transfer", order.account, drop_after())
    world.bank.scripts.add("lookup", order.account, say(500, b""))
    world.offer(order)
    while not world.bank.posts_to(order.account):
        time.sleep(0.01)
    time.sleep(0.2)
    return order


def _declined(world: World) -> Order:
    order = _offered(world, amount="60000000")
    world.wait(order, "decline")
    world.wait_state(order, "declined")
    return order


def _expired(world: World) -> Order:
    order = world.order()
    world.offer(order, ttl_s=0)
    world.wait_state(order, "expired")
    return order


def _cancelled(world: World) -> Order:
    order = _offered(world, account="12CD")
    world.wait_status(order, "cancelled")
    world.wait_state(order, "cancelled")
    return order


@pytest.mark.parametrize(
    "reach",
    [_accepting, _sending, _processing, _unknown, _declined, _expired, _cancelled],
    ids=lambda reach: reach.__name__.strip("_"),
)
def test_hazard_5_all_but_the_ends_answer_pending(
    world: World, reach: Callable[[World], Order]
) -> None:
    """Strings before any id exists, and never ``failed`` for what was never sent."""
    order = reach(world)
    assert _all_shapes(world, order)["status"] == "pending"
    if reach in (_declined, _expired, _cancelled):
        assert not world.bank.posts_to(order.account)
    else:
        world.settled(order)


def test_hazard_5_paid_answers_success_with_our_tx_id(world: World) -> None:
    """Paid and not told yet, paid and told: ``success``, with the txId of the reports."""
    order = world.order()
    world.aggregator.scripts.add("fulfill", order.id, NORMAL, Step(delay_s=0.7))
    world.bank.plan(order.account, "pending")
    world.offer(order)
    world.wait(order, "fulfill")
    world.pay(order)
    world.wait_state(order, "paid")
    told = _all_shapes(world, order)
    assert told["status"] == "success"
    world.settled(order)
    assert _all_shapes(world, order) == told
    assert (told["psp"], told["txId"]) == ("lenco", order.bodies("fulfill")[-1]["txId"])


def test_hazard_5_failed_answers_failed_with_the_real_tx_id_and_an_error(world: World) -> None:
    """A fulfilment row is created from these fields."""
    order = world.order()
    world.bank.plan(order.account, "pending", "failed", reason="Account closed")
    world.offer(order)
    world.wait_state(order, "failed")
    world.wait(order, "fulfill", 2)
    told = _all_shapes(world, order)
    assert told["status"] == "failed"
    assert told["error"]
    assert (told["psp"], told["txId"]) == ("lenco", order.bodies("fulfill")[-1]["txId"])


def test_hazard_5_an_unknown_order_is_404_in_json(world: World) -> None:
    """The only case of an error: not in the database."""
    answer = world.aggregator.ask_status(world.order(id=str(uuid.uuid4())))
    assert answer.status == 404
    assert answer.json["status"] == "error"


def test_hazard_3_a_question_about_an_expired_order_finds_that_it_is_ours(world: World) -> None:
    """Accept counted and was answered 404; asked for its status, the node checks and pays."""
    order = world.order()
    world.aggregator.scripts.add("accept", order.id, Step(status=404, body=NOT_FOUND))
    hidden = {"status": "error", "message": "Payment order not found", "data": None}
    world.aggregator.scripts.add("get", order.id, say(404, hidden))
    world.offer(order)
    world.wait_state(order, "expired")
    assert not world.bank.posts_to(order.account)
    assert order.status == "fulfilling"
    assert _all_shapes(world, order)["status"] == "pending"
    world.settled(order)
    assert len(world.bank.posts_to(order.account)) == 1
