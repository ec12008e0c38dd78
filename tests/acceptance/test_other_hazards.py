"""Hazards of aggregator.md 7 that no other module shows: one test each, named after it."""

from __future__ import annotations

import json
from decimal import Decimal

from tests.acceptance.counterparty.script import drop_after, drop_before, meanwhile, say
from tests.acceptance.counterparty.signing import go_json, sign
from tests.acceptance.counterparty.world import World, until

_PREVIOUS = "the-secret-before-this-one"
WORLD = {"AGGREGATOR_SECRET_KEY_PREVIOUS": _PREVIOUS, "BALANCE_PUSH_GAP": "0.2"}


def test_hazard_1_nothing_is_paid_before_accept_said_201(world: World) -> None:
    """While accept is under way the bank hears nothing; an offer alone authorises nothing."""
    order = world.order()
    posts: list[int] = []
    world.aggregator.scripts.add(
        "accept",
        order.id,
        say(503, {"status": "error", "message": "busy", "data": None}),
        meanwhile(lambda: posts.append(len(world.bank.posts_to(order.account)))),
    )
    world.offer(order)
    world.settled(order)
    assert posts == [0]
    assert len(world.bank.posts_to(order.account)) == 1


def test_hazard_4_a_lost_answer_of_the_bank_is_never_paid_elsewhere_or_reported_failed(
    world: World,
) -> None:
    """The transfer exists although its answer was lost: looked up, reported as success only."""
    order = world.order()
    world.bank.plan(order.account, "pending", "successful")
    world.bank.scripts.add("transfer", order.account, drop_after())
    world.offer(order)
    world.settled(order)
    assert len(world.bank.posts_to(order.account)) == 1
    assert "failed" not in order.reports()
    assert "cancel" not in order.verbs()


def test_hazard_7_every_answer_is_json_whatever_is_asked(world: World) -> None:
    """Unknown paths, wrong methods and broken bodies get JSON, never text or HTML."""
    answers = [
        world.aggregator.post("/nothing-here", b"{}"),
        world.aggregator.post("/new_order", b"{"),
        world.aggregator.post("/tx_status", b"\xff\xfe"),
        world.aggregator.post("/health", b"{}"),
        world.node.get("/new_order"),
        world.node.get("/"),
    ]
    for answer in answers:
        assert answer.status >= 400
        assert json.loads(answer.body)["status"] == "error"
        assert answer.headers["content-type"].startswith("application/json")


def test_hazard_10_the_nodes_own_books_decide_when_the_aggregator_promises_too_much(
    world: World,
) -> None:
    """More is offered at once than the float covers: what it does not cover is declined."""
    available = world.available()
    assert available is not None
    half = str(int(available * Decimal("0.6")))
    orders = [world.order(half) for _ in range(2)]
    for order in orders:
        world.bank.plan(order.account, "pending")
    for order in orders:
        world.offer(order)
    until(
        lambda: sorted(world.state(order) or "" for order in orders) == ["declined", "processing"],
        "one accepted, one declined",
        explain=lambda: [world.story(order) for order in orders],
    )
    (paid,) = (order for order in orders if world.state(order) == "processing")
    world.pay(paid)
    world.settled(paid)
    world.assert_books_agree()


def test_hazard_17_a_replayed_offer_is_not_a_new_order(world: World) -> None:
    """A captured offer can be sent again for ever: it is idempotent on its content."""
    order = world.order()
    world.offer(order)
    world.settled(order)
    for _ in range(3):
        world.aggregator.repeat_offer(order)
    world.settled(order)
    assert len(world.bank.posts_to(order.account)) == 1


def test_hazard_18_a_refused_timestamp_is_stamped_and_signed_anew(world: World) -> None:
    """401 "Invalid timestamp" once: the same call with a fresh stamp, and the order is paid."""
    order = world.order()
    refused = say(401, {"status": "error", "message": "Invalid timestamp", "data": None})
    world.aggregator.scripts.add("accept", order.id, refused)
    world.offer(order)
    world.settled(order)
    # The double refuses every stamp that is no whole number of fresh seconds.
    assert order.verbs().count("accept") == 2
    assert len(world.bank.posts_to(order.account)) == 1


def test_hazard_19_a_name_of_ok_is_no_name_and_a_wild_memo_is_tamed(world: World) -> None:
    """``OK`` means unverified; the sender's memo reaches the bank as plain characters."""
    order = world.order(account_name="OK", memo="<b>₦5,000</b> & déjà\u2028vu 💸")
    world.offer(order)
    world.settled(order)
    (post,) = world.bank.posts_to(order.account)
    narration = json.loads(post)["narration"]
    assert narration
    assert narration.isascii()
    assert not set(narration) & set("<>&")


def test_hazard_21_whole_units_are_paid_to_the_kobo(world: World) -> None:
    """Fiat is whole naira; the bank gets two places, exactly."""
    order = world.order("737")
    world.offer(order)
    world.settled(order)
    (post,) = world.bank.posts_to(order.account)
    assert json.loads(post)["amount"] == "737.00"


def test_hazard_22_the_previous_secret_still_verifies_during_rotation(world: World) -> None:
    """Calls signed with the last secret are taken; ours are signed with the new one."""
    order = world.order()
    with world.aggregator.lock:
        world.aggregator.book.offer(order, 30.0)
    body = go_json(
        {
            "amount": order.amount,
            "currency": order.currency,
            "institution": order.institution,
            "orderId": order.id,
        }
    )
    assert world.aggregator.post("/new_order", body, sign(_PREVIOUS, body)).status == 200
    world.settled(order)
    assert world.aggregator.post("/new_order", body, sign("another", body)).status == 401


def test_hazard_15_the_aggregator_is_away_and_comes_back(world: World) -> None:
    """Reports that do not get through stay due, in order: pending before success."""
    order = world.order()
    world.aggregator.scripts.add(
        "fulfill", order.id, drop_before(), say(503, b"<html>down</html>"), drop_before()
    )
    world.offer(order)
    world.settled(order)
    told = order.reports()
    assert told[-1] == "success"
    assert "pending" in told[: told.index("success")]
