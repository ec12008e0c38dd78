"""Idempotency keys as processor.md 1 describes them, seen through the official SDK."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import stripe

from tests.unit.sandbox.cards_world import API_KEY, World, open_world, until
from tidegate.sandbox.faults import CardFault

DAY = 86_400.0


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    async with open_world() as opened:
        yield opened


async def bare(world: World, key: str, **changes: Any) -> stripe.PaymentIntent:
    """A create of one shape, so that only the key and the changes differ."""
    params: Any = {"amount": 900, "currency": "usd", "metadata": {"tidegate_payment": "pay_1"}}
    return await world.client.v1.payment_intents.create_async(
        params | changes, {"idempotency_key": key}
    )


def headers(thing: stripe.PaymentIntent) -> Any:
    assert thing.last_response is not None
    return thing.last_response.headers


async def test_the_same_key_gives_the_first_answer_again(world: World) -> None:
    first = await bare(world, "k")
    world.clock.advance(5)
    again = await bare(world, "k")
    assert again.to_dict() == first.to_dict()
    assert "Idempotent-Replayed" not in headers(first)
    assert headers(first)["Original-Request"] == headers(first)["Request-Id"]
    assert headers(again)["Idempotent-Replayed"] == "true"
    assert headers(again)["Original-Request"] == headers(first)["Request-Id"]
    assert headers(again)["Request-Id"] != headers(first)["Request-Id"]
    assert (await bare(world, "other")).id != first.id


async def test_the_replay_shows_the_past_not_the_present(world: World) -> None:
    intent = await world.create(key="k-create")
    confirmed = await world.confirm(intent, key="k-confirm")
    assert confirmed.status == "succeeded"
    method = intent.payment_method
    again = await world.client.v1.payment_intents.create_async(
        {
            "amount": 2000,
            "currency": "usd",
            "customer": world.customer,
            "payment_method": str(method),
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "metadata": {"tidegate_payment": "pay_1"},
        },
        {"idempotency_key": "k-create"},
    )
    assert (again.id, again.status) == (intent.id, "requires_confirmation")
    assert (await world.confirm(intent, key="k-confirm")).status == "succeeded"
    assert len(world.cards.charges_of("pay_1")) == 1


async def test_other_parameters_or_another_path_under_a_key_are_an_error(world: World) -> None:
    intent = await bare(world, "k")
    with pytest.raises(stripe.IdempotencyError) as refused:
        await bare(world, "k", amount=901)
    assert (refused.value.http_status, refused.value.code) == (400, None)
    with pytest.raises(stripe.IdempotencyError):
        await world.client.v1.payment_intents.cancel_async(intent.id, {}, {"idempotency_key": "k"})
    assert (await world.read(intent)).status == "requires_payment_method"


async def test_the_order_of_parameters_does_not_matter(world: World) -> None:
    url = f"{world.base_url}/v1/payment_intents"
    sent = {"Authorization": f"Bearer {API_KEY}", "Idempotency-Key": "k"}
    ids = []
    for body in ("amount=900&currency=usd", "currency=usd&amount=900"):
        async with world.session.post(
            url, data=body, headers=sent | {"Content-Type": "application/x-www-form-urlencoded"}
        ) as answer:
            ids.append((await answer.json())["id"])
    assert ids[0] == ids[1]


async def test_a_validation_failure_leaves_the_key_free(world: World) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        await bare(world, "k", amount=1)
    assert (await bare(world, "k")).amount == 900


async def test_a_decline_is_stored_and_replayed(world: World) -> None:
    intent = await world.create()
    for _ in range(2):
        with pytest.raises(stripe.CardError) as declined:
            await world.confirm(intent, key="k", payment_method="pm_card_chargeCustomerFail")
        assert declined.value.code == "card_declined"
    replayed: Any = declined.value.headers
    assert replayed["Idempotent-Replayed"] == "true"
    assert (await world.types_of_events()).count("charge.failed") == 1


async def test_a_500_is_stored_and_replayed_although_nothing_was_done(world: World) -> None:
    world.fault(CardFault.ERROR_500_BEFORE)
    for _ in range(3):
        with pytest.raises(stripe.APIError) as broken:
            await bare(world, "k")
        assert broken.value.http_status == 500
    assert world.cards.intent("pay_1") is None
    assert (await bare(world, "k2")).status == "requires_payment_method"


async def test_a_500_after_the_act_is_replayed_and_the_act_stands_alone(world: World) -> None:
    intent = await world.create()
    world.fault(CardFault.ERROR_500_AFTER)
    for _ in range(2):
        with pytest.raises(stripe.APIError):
            await world.confirm(intent, key="k")
    assert (await world.read(intent)).status == "succeeded"
    assert len(world.cards.charges_of("pay_1")) == 1


async def test_a_key_in_use_is_a_conflict_and_then_replayed(world: World) -> None:
    world.fault(CardFault.ACT_LATE, key="create:pay_1")
    first = asyncio.ensure_future(bare(world, "k"))
    try:
        await until(lambda: world.clock.next_wake is not None)
        with pytest.raises(stripe.APIError) as conflict:
            await bare(world, "k")
        assert conflict.value.http_status == 409
        assert conflict.value.error is not None
        assert conflict.value.error.code == "idempotency_key_in_use"
        await world.pass_time(world.cards.faults.too_slow_s)
        made = await first
    finally:
        first.cancel()
    assert (await bare(world, "k")).id == made.id


async def test_a_key_is_forgotten_after_a_day_and_the_request_acts_again(world: World) -> None:
    first = await bare(world, "k")
    world.clock.advance(DAY - 1)
    assert (await bare(world, "k")).id == first.id
    world.clock.advance(1)
    assert (await bare(world, "k")).id != first.id


async def test_a_key_has_at_most_255_characters(world: World) -> None:
    await bare(world, "k" * 255)
    with pytest.raises(stripe.InvalidRequestError):
        await bare(world, "k" * 256)
