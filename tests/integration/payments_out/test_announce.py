"""Announcing: one row a receiver that wants it, and no wish lost to a turn that ends."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.payments_out.world import USER, Receiver, World
from tidegate.db.committer import Unit
from tidegate.db.rows import DONE, Change
from tidegate.errors import Stale
from tidegate.payments import tables
from tidegate.payments.announce import DELIVER, Amend

_URL = "http://127.0.0.1:9999/hook"


async def test_only_endpoints_of_the_user_that_want_the_event_wait_for_it(world: World) -> None:
    wanting = [
        await world.listen(_URL, "payment.succeeded"),
        await world.listen(_URL, "refund.failed", "payment.*"),
        await world.listen(_URL, "*"),
    ]
    await world.listen(_URL, "refund.*")
    await world.listen(_URL, "payment.failed")
    await world.listen(_URL, "*", user_id="usr_2")
    disabled = await world.listen(_URL, "*")
    await world.endpoints.patch(USER, disabled, enabled=False)
    deleted = await world.listen(_URL, "*")
    await world.endpoints.delete(USER, deleted)
    await world.pay("pay_1")
    event_id = await world.happen("pay_1", "payment.succeeded")
    rows = await world.rows(tables.deliveries)
    assert {row["endpoint_id"] for row in rows} == set(wanting)
    assert {(row["event_id"], row["state"], row["seq"]) for row in rows} == {
        (event_id, "waiting", 1)
    }
    assert {each.id for each in await world.claim()} == set(wanting)


async def test_a_refused_unit_announces_nothing(world: World) -> None:
    """In a group with others, which are announced all the same."""
    endpoint = await world.listen(_URL)
    await world.pay("pay_1")
    await world.pay("pay_2")
    counter, announce = await world.happening("pay_1", "payment.failed")
    assert isinstance(counter, Change)
    wrong = Change(tables.payments, "pay_1", expect={"events": 7})
    good = await world.happening("pay_2", "payment.failed")
    outcomes = await asyncio.gather(
        world.committer.commit(Unit([announce, wrong])),
        world.committer.commit(Unit(list(good))),
        return_exceptions=True,
    )
    assert isinstance(outcomes[0], Stale)
    (delivery,) = await world.rows(tables.deliveries, endpoint_id=endpoint)
    assert delivery["payment_id"] == "pay_2"
    assert len(await world.rows(tables.payment_events)) == 1


@pytest.mark.parametrize("together", [True, False])
async def test_an_event_that_comes_as_a_turn_ends_is_not_forgotten(
    world: World, together: bool
) -> None:
    """Whether it is committed before the end of the lease or in the same group, either first."""
    endpoint = await world.listen(_URL)
    await world.pay("pay_1")
    await world.happen("pay_1")
    for announced_first in (True, False):
        (claimed,) = await world.claim()
        end = Unit(
            [Amend(Change(tables.webhook_endpoints, endpoint, held=claimed.held, next=DONE))]
        )
        news = Unit(list(await world.happening("pay_1", "payment.failed")))
        units = [news, end] if announced_first else [end, news]
        if together:
            await asyncio.gather(*(world.committer.commit(unit) for unit in units))
        else:
            for unit in units:
                await world.committer.commit(unit)
        row = await world.endpoint(endpoint)
        assert (row["kind"], row["leased_until"]) == (DELIVER, None)
        assert (await world.due_in(endpoint) or 0) <= 0


async def test_back_off_is_not_shortened_by_news(world: World, shop: Receiver) -> None:
    """Neither by what comes while the receiver is left alone nor during the probe itself."""
    endpoint = await world.listen(shop.url)
    shop.answer(500)
    await world.pay("pay_1")
    await world.happen("pay_1")
    await world.work()
    due = await world.due_in(endpoint)
    await world.happen("pay_1")
    assert await world.due_in(endpoint) == pytest.approx(due, abs=1)
    await world.pass_time(6)
    (claimed,) = await world.claim()
    await world.happen("pay_1")
    await world.notify(claimed)
    assert await world.due_in(endpoint) == pytest.approx(300, rel=0.11)


async def test_announcements_of_two_processes_do_not_stop_each_other(world: World) -> None:
    """Many at once, about users with several endpoints that are changed meanwhile."""
    other = World(world.url, world.clock)
    if world.database.dialect == "postgresql":
        await other.open()
    for user in ("usr_1", "usr_2"):
        for _ in range(3):
            await world.listen(_URL, user_id=user)
    payments = [f"pay_{number}" for number in range(12)]
    for number, payment in enumerate(payments):
        await world.pay(payment, f"usr_{number % 2 + 1}")
    ids = [row["id"] for row in await world.rows(tables.webhook_endpoints)]
    both = [world, other if world.database.dialect == "postgresql" else world]

    async def change(process: World, endpoint_id: str) -> None:
        change = Change(tables.webhook_endpoints, endpoint_id, values={"failures": 0})
        await process.commit(Amend(change))

    async def news(process: World, payment: str) -> None:
        for _ in range(4):
            await process.happen(payment)

    try:
        await asyncio.gather(
            *(news(both[place % 2], payment) for place, payment in enumerate(payments)),
            *(change(both[place % 2], each) for place, each in enumerate(ids * 4)),
        )
    finally:
        if both[1] is other:
            await other.close()
    assert len(await world.rows(tables.deliveries)) == 12 * 4 * 3
