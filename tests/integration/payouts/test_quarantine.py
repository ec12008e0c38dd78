"""What a node in quarantine answers: everybody, and nothing that moves."""

from __future__ import annotations

import aiohttp
from sqlalchemy import insert

from tests.support import world as worlds
from tests.support.world import OpenWorld
from tidegate.db.quarantine import quarantines
from tidegate.payouts.states import State
from tidegate.payouts.tables import payouts
from tidegate.sandbox.aggregator.node_client import NodeClient
from tidegate.work.tables import periodic

open_world = worlds.open_world

_WHO = {"email": "ada@example.org", "password": "a long and odd passphrase 7"}


async def test_it_answers_keeps_and_moves_nothing(open_world: OpenWorld) -> None:
    """Offers of both dialects are kept and answered 200, not even refused ones are declined;
    questions are answered pending, also of what the copy calls failed or never heard of; writes of
    the payment API are 503 with Retry-After; zero is told as balance; ``/ready`` names it."""
    world = await open_world()
    node = await world.local()
    row = {"id": "q", "began_at": 1, "reason": "test", "since_at": 1, "backup": {}}
    await world.execute(lambda c: c.execute(insert(quarantines).values(**row)))
    client: NodeClient = world.aggregator._client

    order_id = await world.offer()
    refused = await world.offer(dialect="spec", account="12")
    for one in (order_id, refused):
        assert (await world.payout(one))["state"] == State.PENDING
    failed = payouts.update().where(payouts.c.order_id == order_id).values(state="failed")
    await world.execute(lambda c: c.execute(failed))
    for reference in (order_id, "00000000-0000-4000-8000-000000000000"):
        answer = await client.post("/tx_status", {"currency": "NGN", "reference": reference})
        assert answer.status == 200
        assert answer.document["data"]["status"] == "pending"

    async def told_zero() -> bool:
        await node.worker.periodic.make_due("push:NGN", "push")
        (push,) = await world.rows(periodic, periodic.c.id == "push:NGN")
        return bool((push["result"] or {}).get("available") == 0)

    await world.until(told_zero, 15, "zero as balance")
    async with aiohttp.ClientSession(node.url) as session:
        ready = await (await session.get("/ready")).json()
        assert ready["data"]["checks"]["quarantine"] == "degraded"
        assert "tidegate_quarantine 1.0" in await (await session.get("/metrics")).text()
        assert (await session.post("/api/auth/register", json=_WHO)).status == 201
        login = await (await session.post("/api/auth/login", json=_WHO)).json()
        headers = {"Authorization": f"Bearer {login['access_token']}", "Idempotency-Key": "k1"}
        wish = {"amount": 100, "currency": "EUR"}
        for path, body in (
            ("/api/payments", wish),
            ("/api/payments/pay_x/capture", {}),
            ("/api/payments/pay_x/cancel", None),
            ("/api/payments/pay_x/refunds", {}),
        ):
            answered = await session.post(path, json=body, headers=headers)
            assert answered.status == 503, path
            assert (await answered.json())["code"] == "quarantined"
            assert answered.headers["Retry-After"] == "60"
    assert not world.bank.transfers
    assert {order.status for order in world.aggregator.orders.values()} <= {"pending"}
