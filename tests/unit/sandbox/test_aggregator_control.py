"""Driving the sandbox's aggregator: events, waiting, and ``/_sandbox`` from another process."""

from __future__ import annotations

import pytest

from tests.unit.sandbox.aggregator_world import (
    CLIENT_ID,
    ORDER_ID,
    SECRET,
    Json,
    World,
    canonical,
    world,
)
from tidegate.clock import Randomness, SystemClock
from tidegate.sandbox.aggregator import SandboxAggregator, Status, Terms

NO_SLEEP = Terms(balance_work_s=0)


async def _ask(w: World, path: str, body: Json | None = None) -> tuple[int, Json]:
    method = "GET" if body is None else "POST"
    raw = None if body is None else canonical(body)
    return await w.raw(method, f"/_sandbox/{path}", raw, {})


async def test_events_tell_each_step_with_its_instant() -> None:
    """For latency: offered, answered, accept, pending, success, in order, on one clock."""
    async with world(NO_SLEEP) as w, w.aggregator.events() as stream:
        order_id = await w.accepted()
        await w.pass_time(0.5)
        await w.fulfil(order_id, "pending")
        await w.fulfil(order_id, "success")
        seen = []
        async for event in stream:
            assert event.order_id == order_id
            seen.append(event.name)
            if event.name == "success_reported":
                break
        assert seen == [
            "created",
            "offered",
            "answered",
            "accept_received",
            "accepted",
            "pending_received",
            "pending_reported",
            "success_received",
            "success_reported",
        ]
        marks = w.aggregator.order(order_id).marks
        assert marks["pending_received"] - marks["accept_received"] == pytest.approx(0.5, abs=1e-3)


async def test_a_stopped_aggregator_releases_its_readers() -> None:
    """A reader of events ends instead of hanging."""
    clock = SystemClock()
    aggregator = SandboxAggregator(clock, Randomness(clock), client_id=CLIENT_ID, secret=SECRET)
    await aggregator.start()
    stream = aggregator.events()
    await aggregator.stop()
    assert [event async for event in stream] == []


async def test_waiting_ends_at_the_status_or_in_time() -> None:
    """wait_for returns the order, or raises TimeoutError."""
    async with world(NO_SLEEP) as w:
        order_id = await w.accepted()
        order = await w.aggregator.wait_for(order_id, ["settled", Status.FULFILLING])
        assert order.id == order_id
        with pytest.raises(TimeoutError):
            await w.aggregator.wait_for(order_id, "settled", timeout_s=0.01)


async def test_offers_without_a_node_are_a_programming_error() -> None:
    """Without node_url nothing can be sent."""
    async with world(NO_SLEEP) as w:
        w.aggregator.node_url = None
        with pytest.raises(RuntimeError, match="node_url"):
            await w.aggregator.offer("100")
        with pytest.raises(ValueError, match="exists"):
            w.aggregator.create("1", order_id=next(iter(w.aggregator.orders)))
        assert (await _ask(w, "offers", {"amount": "1"}))[0] == 409


async def test_the_same_seed_makes_the_same_order_ids() -> None:
    """Ids come from the given randomness: a run repeats."""
    ids = []
    for _ in range(2):
        async with world(NO_SLEEP, seed=11) as w:
            ids.append(await w.aggregator.offer("1"))
    assert ids[0] == ids[1]


async def test_orders_are_made_and_read_from_another_process() -> None:
    """POST offers, then orders, marks, balances, counters, judge."""
    async with world(NO_SLEEP) as w:
        body = {"amount": "75375", "account_name": "OK", "count": 3, "private": True}
        status, answer = await _ask(w, "offers", body)
        ids = answer["data"]["orders"]
        assert (status, len(ids), len(w.node.received)) == (200, 3, 3)
        await _ask(w, "offers", {"amount": 5, "order_id": ORDER_ID, "wait": False})
        await w.settle()
        await w.accept(ORDER_ID)
        await w.fulfil(ORDER_ID, "pending", "tg-1")
        await w.cancel(ORDER_ID)
        await w.balance("7", "9")
        story = (await _ask(w, f"orders/{ORDER_ID}"))[1]["data"]
        assert (story["status"], story["amount"]) == ("cancelled", "5")
        assert story["fulfilments"][0]["txId"] == "tg-1"
        assert [line["event"] for line in story["history"]] == [
            "created",
            "accepted",
            "pending_reported",
            "cancelled",
        ]
        listed = (await _ask(w, "orders?status=pending"))[1]["data"]
        assert [order["id"] for order in listed] == ids
        marks = (await _ask(w, "marks"))[1]["data"][ORDER_ID]
        assert marks["accept_received"] <= marks["pending_received"]
        reported = (await _ask(w, "balances"))[1]["data"]["NGN"]["reported"]
        assert reported == {"available": "7", "total": "9", "reserved": "0"}
        assert (await _ask(w, "counters"))[1]["data"]["accept 201"] == 1
        (violation,) = (await _ask(w, "judge"))[1]["data"]
        assert (violation["wrong"], violation["key"]) == ("cancel_after_fulfil", ORDER_ID)
        assert (await _ask(w, f"orders/{ORDER_ID}/wait?status=cancelled"))[0] == 200
        late = await _ask(w, f"orders/{ORDER_ID}/wait?status=settled&timeout=0.01")
        assert late[0] == 408
        assert (await _ask(w, f"orders/{ORDER_ID}/wait?status=soon"))[0] == 422


async def test_faults_and_the_node_are_set_from_another_process() -> None:
    """POST faults adds to the plan, heal ends it, node moves the target, poll asks at once."""
    async with world(NO_SLEEP) as w:
        order_id = await w.aggregator.offer("1")
        plan = {"keys": {order_id: ["accept_500"]}, "times": None}
        assert (await _ask(w, "faults", plan))[0] == 200
        assert (await _ask(w, "faults"))[1]["data"]["keys"] == {order_id: ["accept_500"]}
        assert (await w.accept(order_id))[0] == 500
        await _ask(w, "heal", {})
        assert (await w.accept(order_id))[0] == 201
        w.clock.advance(31)
        await _ask(w, "poll", {})
        assert len(w.node.calls("/tx_status")) == 1
        assert (await _ask(w, "node", {"url": "http://127.0.0.1:1"}))[0] == 200
        assert w.aggregator.node_url == "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("offers", {}, 422),
        ("offers", {"amount": "much"}, 422),
        ("offers", {"amount": "1", "colour": "red"}, 422),
        ("offers", {"amount": "1", "dialect": "old"}, 422),
        ("offers", {"amount": "1", "count": 0}, 422),
        ("faults", {"keys": {"x": ["no_such"]}}, 422),
        ("nothing", {}, 404),
        ("nothing", None, 404),
        (f"orders/{ORDER_ID}", None, 404),
    ],
)
async def test_unreadable_commands_are_refused(path: str, body: Json | None, status: int) -> None:
    """A mistake in a command changes nothing and says so."""
    async with world(NO_SLEEP) as w:
        assert (await _ask(w, path, body))[0] == status
        assert w.aggregator.orders == {}
        assert (await w.raw("POST", "/_sandbox/offers", b"[", {}))[0] == 422
