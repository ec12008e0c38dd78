"""Events and webhooks: signed, listed, repeated, and everything that may be wrong with them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import stripe

from tests.unit.sandbox.cards_world import World, open_world, settle, until
from tidegate.sandbox.cards import API_VERSION, Terms
from tidegate.sandbox.cards.courier import UNHEARD_OF
from tidegate.sandbox.faults import CardFault

PAID = "payment_intent.succeeded"


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    async with open_world() as opened:
        yield opened


async def test_a_webhook_is_signed_and_carries_the_event(world: World) -> None:
    intent = await world.create()
    await world.confirm(intent, key="k")
    (hook,) = await world.webhook(PAID)
    event = hook.event
    assert (event.type, event.livemode, event.api_version) == (PAID, False, API_VERSION)
    assert event.request is not None
    assert event.request.idempotency_key == "k"
    assert hook.object["id"] == intent.id
    assert hook.object["metadata"] == {"tidegate_payment": "pay_1"}
    found = await world.client.v1.events.retrieve_async(event.id)
    assert found.to_dict() == event.to_dict()


async def test_an_event_is_a_snapshot_of_its_moment(world: World) -> None:
    await world.pay()
    (created,) = await world.webhook("payment_intent.created")
    assert created.object["status"] == "requires_confirmation"


async def test_events_are_listed_newest_first_by_type_and_time(world: World) -> None:
    events = world.client.v1.events
    await world.pay("pay_1")
    world.clock.advance(10)
    since = world.clock.now_ms() // 1000
    await world.pay("pay_2")
    paid = await events.list_async({"types": [PAID, "charge.succeeded"], "limit": 3})
    assert [event.type for event in paid.data] == [PAID, "charge.succeeded", PAID]
    assert paid.has_more
    rest = await events.list_async(
        {"types": [PAID, "charge.succeeded"], "starting_after": paid.data[-1].id}
    )
    assert ([event.type for event in rest.data], rest.has_more) == (["charge.succeeded"], False)
    recent = await events.list_async({"type": PAID, "created": {"gte": since}})
    assert len(recent.data) == 1
    earlier = await events.list_async({"type": PAID, "created": {"lt": since}})
    assert len(earlier.data) == 1
    walked = [
        event.id async for event in (await events.list_async({"limit": 2})).auto_paging_iter()
    ]
    assert len(walked) == len(set(walked)) == len(await world.types_of_events())
    with pytest.raises(stripe.InvalidRequestError) as missing:
        await events.list_async({"starting_after": "evt_nothing"})
    assert missing.value.code == "resource_missing"


async def test_a_webhook_is_repeated_until_it_is_received(world: World) -> None:
    world.answers = [500]
    await world.client.v1.customers.create_async({})
    await world.webhook("customer.created")
    await world.pass_time(1.0)
    first, second = await world.webhook("customer.created", 2)
    assert first.body == second.body
    assert first.signature != second.signature
    assert world.cards.courier.counts == {"refused": 1, "delivered": 1}


async def test_a_webhook_that_nobody_receives_is_given_up(world: World) -> None:
    world.cards.set_webhook_url("http://127.0.0.1:9/closed")
    await world.client.v1.customers.create_async({})
    for wait_s in (1.0, 5.0):
        await world.pass_time(wait_s)
    await until(lambda: world.cards.courier.counts["given_up"] == 1)
    assert [delivery.answer for delivery in world.cards.courier.deliveries] == [0, 0, 0]


async def test_an_endpoint_gets_the_types_it_asked_for() -> None:
    async with open_world(terms=Terms(webhook_events=[PAID])) as world:
        await world.pay()
        await world.webhook(PAID)
        assert world.types() == [PAID]
        assert len(await world.types_of_events()) == 5


async def test_old_events_are_forgotten() -> None:
    async with open_world(terms=Terms(events_kept=3)) as world:
        await world.pay()
        assert await world.types_of_events() == [
            "payment_intent.created",
            "charge.succeeded",
            PAID,
        ]


async def test_no_webhook_may_come_but_the_event_can_be_listed(world: World) -> None:
    world.fault(CardFault.WEBHOOK_NONE)
    await world.pay()
    await settle()
    assert world.types("payment_intent") == []
    assert PAID in await world.types_of_events()


async def test_a_webhook_may_come_twice(world: World) -> None:
    world.fault(CardFault.WEBHOOK_DUPLICATE, key=f"{PAID}:pay_1")
    await world.pay()
    first, second = await world.webhook(PAID, 2)
    assert first.body == second.body
    await world.webhook("charge.succeeded")


async def test_a_webhook_may_come_late() -> None:
    async with open_world(settle_s=0.0) as world:
        world.fault(CardFault.WEBHOOK_LATE, key=PAID)
        await world.pay()
        await world.pass_time(4.9)
        assert PAID not in world.types()
        await world.pass_time(0.2)
        await world.webhook(PAID)


async def test_two_webhooks_may_come_swapped(world: World) -> None:
    world.fault(CardFault.WEBHOOK_SWAPPED, key="charge.succeeded")
    await world.pay()
    await world.webhook(PAID)
    order = [kind for kind in world.types() if kind in (PAID, "charge.succeeded")]
    assert order == [PAID, "charge.succeeded"]


async def test_a_swapped_webhook_without_another_goes_late() -> None:
    async with open_world() as world:
        world.fault(CardFault.WEBHOOK_SWAPPED, key="customer.created")
        await world.client.v1.customers.create_async({})
        await world.pass_time(4.9)
        assert world.types() == []
        await world.pass_time(0.1)
        await world.webhook("customer.created")


async def test_a_webhook_may_come_before_the_answer(world: World) -> None:
    intent = await world.create()
    await settle()
    world.inbox.clear()
    world.fault(CardFault.WEBHOOK_FIRST)
    await world.confirm(intent)
    assert sorted(world.types()) == ["charge.succeeded", PAID]


async def test_a_webhook_may_show_another_amount(world: World) -> None:
    world.fault(CardFault.WEBHOOK_OTHER_AMOUNT)
    intent = await world.pay()
    (hook,) = await world.webhook(PAID)
    assert (hook.object["amount"], hook.object["amount_received"]) == (2100, 2100)
    assert hook.event.type == PAID
    assert (await world.read(intent)).amount == 2000


async def test_a_webhook_may_claim_to_be_of_live_mode(world: World) -> None:
    world.fault(CardFault.WEBHOOK_LIVEMODE)
    await world.pay()
    (hook,) = await world.webhook(PAID)
    assert hook.event.livemode is True


async def test_a_webhook_may_have_a_signature_that_does_not_fit(world: World) -> None:
    world.fault(CardFault.WEBHOOK_BAD_SIGNATURE)
    await world.pay()
    (hook,) = await world.webhook(PAID)
    with pytest.raises(stripe.SignatureVerificationError):
        _ = hook.event


async def test_a_webhook_of_a_type_nobody_knows_may_follow(world: World) -> None:
    world.fault(CardFault.WEBHOOK_UNKNOWN_TYPE, key=PAID)
    await world.pay()
    (hook,) = await world.webhook(UNHEARD_OF)
    (paid,) = await world.webhook(PAID)
    assert hook.event.id != paid.event.id


async def test_healing_sends_what_was_held_back(world: World) -> None:
    world.fault(CardFault.WEBHOOK_LATE)
    await world.pay()
    await settle()
    assert world.types("payment_intent") == []
    world.cards.heal()
    await world.webhook(PAID)
