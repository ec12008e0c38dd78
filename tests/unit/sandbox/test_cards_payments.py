"""Payment intents as the official SDK sees them: every status, and what each refuses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import stripe

from tests.unit.sandbox.cards_world import API_KEY, World, open_world
from tidegate.sandbox.cards import Status

DAY = 86_400.0


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    async with open_world() as opened:
        yield opened


async def test_an_unconfirmed_payment_moves_no_money(world: World) -> None:
    intent = await world.create()
    assert (intent.status, intent.amount, intent.currency) == ("requires_confirmation", 2000, "usd")
    assert (intent.amount_received, intent.latest_charge, intent.livemode) == (0, None, False)
    assert intent.client_secret is not None
    assert intent.client_secret.startswith(intent.id + "_secret_")
    assert world.cards.charges_of("pay_1") == []


async def test_confirming_takes_the_money_once(world: World) -> None:
    intent = await world.pay()
    assert (intent.status, intent.amount_received) == ("succeeded", 2000)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await world.confirm(intent)
    assert refused.value.code == "payment_intent_unexpected_state"
    assert refused.value.error is not None
    assert refused.value.error.payment_intent is not None
    assert refused.value.error.payment_intent.status == "succeeded"
    assert [line.amount for line in world.cards.charges_of("pay_1")] == [2000]
    assert await world.types_of_events() == [
        "customer.created",
        "payment_method.attached",
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
    ]


async def test_a_payment_can_be_created_and_confirmed_in_one_call(world: World) -> None:
    intent = await world.create(confirm=True)
    assert intent.status == "succeeded"


async def test_a_payment_without_a_method_waits_for_one(world: World) -> None:
    intent = await world.client.v1.payment_intents.create_async(
        {"amount": 500, "currency": "EUR", "allowed_payment_method_types": ["card"]}
    )
    assert (intent.status, intent.currency) == ("requires_payment_method", "eur")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await world.confirm(intent)
    assert refused.value.code == "payment_intent_unexpected_state"
    assert (await world.confirm(intent, payment_method="pm_card_mastercard")).status == "succeeded"


@pytest.mark.parametrize(
    ("token", "code", "decline_code"),
    [
        ("pm_card_chargeCustomerFail", "card_declined", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_visa_chargeDeclinedStolenCard", "card_declined", "stolen_card"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", "processing_error"),
    ],
)
async def test_a_decline_names_the_payment_which_a_better_card_then_pays(
    world: World, token: str, code: str, decline_code: str
) -> None:
    intent = await world.create()
    with pytest.raises(stripe.CardError) as declined:
        await world.confirm(intent, payment_method=token)
    error = declined.value
    assert (error.http_status, error.code) == (402, code)
    assert error.error is not None
    assert error.error.decline_code == decline_code
    assert error.error.payment_intent is not None
    assert error.error.payment_intent.status == "requires_payment_method"
    found = await world.read(intent, "latest_charge")
    assert found.payment_method is None
    assert found.last_payment_error is not None
    assert found.last_payment_error.decline_code == decline_code
    assert isinstance(found.latest_charge, stripe.Charge)
    assert (found.latest_charge.status, found.latest_charge.failure_code) == ("failed", code)
    assert (await world.types_of_events())[-2:] == [
        "charge.failed",
        "payment_intent.payment_failed",
    ]
    assert world.cards.charges_of("pay_1") == []
    paid = await world.confirm(intent, payment_method="pm_card_visa")
    assert (paid.status, paid.last_payment_error) == ("succeeded", None)


async def test_a_declined_create_leaves_its_payment_behind(world: World) -> None:
    with pytest.raises(stripe.CardError) as declined:
        await world.create(card="pm_card_chargeCustomerFail", confirm=True)
    assert declined.value.error is not None
    assert declined.value.error.payment_intent is not None
    listed = await world.client.v1.payment_intents.list_async({"customer": world.customer})
    assert [intent.id for intent in listed.data] == [declined.value.error.payment_intent.id]


async def test_an_authorisation_is_captured_in_part(world: World) -> None:
    intent = await world.pay(capture_method="manual")
    assert (intent.status, intent.amount_capturable) == ("requires_capture", 2000)
    assert world.cards.charges_of("pay_1") == []
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await world.client.v1.payment_intents.capture_async(intent.id, {"amount_to_capture": 2001})
    assert (refused.value.code, refused.value.param) == ("amount_too_large", "amount_to_capture")
    captured = await world.client.v1.payment_intents.capture_async(
        intent.id, {"amount_to_capture": 1500}
    )
    assert (captured.status, captured.amount_received) == ("succeeded", 1500)
    assert captured.amount_capturable == 0
    assert [line.amount for line in world.cards.charges_of("pay_1")] == [1500]
    assert (await world.types_of_events())[-4:] == [
        "charge.succeeded",
        "payment_intent.amount_capturable_updated",
        "charge.captured",
        "payment_intent.succeeded",
    ]


async def test_a_canceled_authorisation_takes_nothing(world: World) -> None:
    intent = await world.pay(capture_method="manual")
    canceled = await world.client.v1.payment_intents.cancel_async(
        intent.id, {"cancellation_reason": "requested_by_customer"}
    )
    assert canceled.status == "canceled"
    assert canceled.cancellation_reason == "requested_by_customer"
    assert (await world.types_of_events())[-1] == "payment_intent.canceled"
    assert "charge.refunded" not in await world.types_of_events()
    found = await world.read(intent, "latest_charge")
    assert isinstance(found.latest_charge, stripe.Charge)
    assert (found.latest_charge.captured, found.latest_charge.refunded) == (False, False)
    assert (await world.client.v1.refunds.list_async({"payment_intent": intent.id})).data == []
    assert world.cards.books.lines == []


async def test_an_authorisation_expires_after_seven_days(world: World) -> None:
    intent = await world.pay(capture_method="manual")
    await world.pass_time(7 * DAY - 1)
    assert (await world.read(intent)).status == "requires_capture"
    await world.pass_time(1)
    found = await world.read(intent)
    assert (found.status, found.cancellation_reason) == ("canceled", "expired")
    (hook,) = await world.webhook("payment_intent.canceled")
    assert hook.object["cancellation_reason"] == "expired"
    await world.webhook("charge.expired")
    assert world.cards.books.lines == []


async def test_a_captured_authorisation_does_not_expire(world: World) -> None:
    intent = await world.pay(capture_method="manual")
    await world.client.v1.payment_intents.capture_async(intent.id)
    await world.pass_time(8 * DAY)
    assert (await world.read(intent)).status == "succeeded"


Verb = Callable[[World, str], Awaitable[Any]]
VERBS: dict[str, Verb] = {
    "confirm": lambda world, intent: world.client.v1.payment_intents.confirm_async(intent),
    "capture": lambda world, intent: world.client.v1.payment_intents.capture_async(intent),
    "cancel": lambda world, intent: world.client.v1.payment_intents.cancel_async(intent),
    "update": lambda world, intent: world.client.v1.payment_intents.update_async(
        intent, {"amount": 3000}
    ),
}
OPEN = {
    Status.REQUIRES_PAYMENT_METHOD,
    Status.REQUIRES_CONFIRMATION,
    Status.REQUIRES_ACTION,
}
ALLOWED = {
    "confirm": OPEN - {Status.REQUIRES_PAYMENT_METHOD},
    "capture": {Status.REQUIRES_CAPTURE},
    "cancel": OPEN | {Status.REQUIRES_CAPTURE},
    "update": OPEN,
}


@pytest.mark.parametrize("verb", VERBS)
async def test_each_status_allows_some_verbs_and_refuses_the_others(
    world: World, verb: str
) -> None:
    for status in Status:
        intent = await world.create(f"pay_{status}")
        played = world.cards.intent(intent.id)
        assert played is not None
        if status is Status.REQUIRES_PAYMENT_METHOD:
            played.payment_method = None
        if status is Status.REQUIRES_CAPTURE:
            played.capture_method = "manual"
            await world.confirm(intent)
        played.status = status
        if status in ALLOWED[verb]:
            await VERBS[verb](world, intent.id)
        else:
            with pytest.raises(stripe.InvalidRequestError) as refused:
                await VERBS[verb](world, intent.id)
            assert refused.value.code == "payment_intent_unexpected_state"
            assert played.status is status


async def test_words_may_change_at_any_time(world: World) -> None:
    intent = await world.pay()
    changed = await world.client.v1.payment_intents.update_async(
        intent.id, {"description": "later", "metadata": {"note": "x", "tidegate_payment": ""}}
    )
    assert changed.description == "later"
    assert changed.metadata.to_dict() == {"note": "x"}


async def test_amount_and_means_may_change_before_the_money_moves(world: World) -> None:
    intents = world.client.v1.payment_intents
    intent = await intents.create_async({"amount": 500, "currency": "usd"})
    method = await world.attach("pm_card_mastercard")
    changed = await intents.update_async(
        intent.id, {"amount": 700, "customer": world.customer, "payment_method": method.id}
    )
    assert (changed.amount, changed.status) == (700, "requires_confirmation")
    with pytest.raises(stripe.InvalidRequestError):
        await intents.update_async(intent.id, {"amount": 10, "description": "never"})
    other = await world.client.v1.customers.create_async({"email": "b@example.org"})
    with pytest.raises(stripe.InvalidRequestError):
        await intents.update_async(intent.id, {"amount": 900, "customer": other.id})
    found = await world.read(intent)
    assert (found.amount, found.description, found.customer) == (700, None, world.customer)
    paid = await world.confirm(intent, return_url="https://shop.example/back")
    assert paid.amount_received == 700


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"amount": 49}, "amount_too_small", "amount"),
        ({"amount": 0}, "parameter_invalid_integer", "amount"),
        ({"amount": 100_000_000}, "amount_too_large", "amount"),
        ({"amount": "12.5"}, "parameter_invalid_integer", "amount"),
        ({"currency": "xxx"}, None, "currency"),
        ({"currency": "ugx", "amount": 12_345}, None, "amount"),
        ({"currency": "kwd", "amount": 12_345}, None, "amount"),
        ({"customer": "cus_nobody"}, "resource_missing", "customer"),
        ({"payment_method": "pm_nothing"}, "resource_missing", "payment_method"),
        ({"metadata": {"k" * 41: "v"}}, None, f"metadata[{'k' * 41}]"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    world: World, changes: dict[str, Any], code: str | None, param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await world.create(**changes)
    assert (refused.value.http_status, refused.value.code, refused.value.param) == (
        400,
        code,
        param,
    )
    assert world.cards.intent("pay_1") is None


async def test_whatever_may_redirect_needs_a_way_back(world: World) -> None:
    params: Any = {"amount": 500, "currency": "usd", "payment_method": "pm_card_visa"}
    intents = world.client.v1.payment_intents
    open_to_all = await intents.create_async(params)
    with pytest.raises(stripe.InvalidRequestError):
        await world.confirm(open_to_all)
    paid = await world.confirm(open_to_all, return_url="https://shop.example/back")
    assert paid.status == "succeeded"
    params["automatic_payment_methods"] = {"enabled": True, "allow_redirects": "never"}
    quiet = await intents.create_async(params)
    assert (await world.confirm(quiet)).status == "succeeded"


async def test_a_parameter_that_left_the_api_is_refused_in_its_new_version_only(
    world: World,
) -> None:
    params: Any = {"amount": 500, "currency": "usd", "payment_method_types": ["card"]}
    intents = world.client.v1.payment_intents
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await intents.create_async(params)
    assert refused.value.code == "payment_method_types_no_longer_supported"
    made = await intents.create_async(params, {"stripe_version": "2024-06-20"})
    assert made.payment_method_types == ["card"]


async def test_lists_go_newest_first_page_by_page_per_customer(world: World) -> None:
    made = [(await world.create(f"pay_{number}")).id for number in range(5)]
    await world.client.v1.payment_intents.create_async({"amount": 500, "currency": "usd"})
    intents = world.client.v1.payment_intents
    first = await intents.list_async({"customer": world.customer, "limit": 3})
    assert ([intent.id for intent in first.data], first.has_more) == (made[:1:-1], True)
    rest = await intents.list_async(
        {"customer": world.customer, "limit": 3, "starting_after": first.data[-1].id}
    )
    assert ([intent.id for intent in rest.data], rest.has_more) == (made[1::-1], False)
    walked = [intent.id async for intent in first.auto_paging_iter()]
    assert walked == made[::-1]


async def test_a_key_is_asked_for(world: World) -> None:
    url = f"{world.base_url}/v1/payment_intents"
    async with world.session.get(url) as answer:
        assert answer.status == 401
    for key, status in (("sk_test_wrong", 401), ("pk_test_sandbox", 401), (API_KEY, 200)):
        async with world.session.get(url, headers={"Authorization": f"Bearer {key}"}) as answer:
            assert answer.status == status
            assert answer.headers["Request-Id"].startswith("req_")
    basic = aiohttp.encode_basic_auth(API_KEY, "")
    async with world.session.get(url, headers={"Authorization": basic}) as answer:
        assert answer.status == 200


async def test_what_is_not_there_is_404(world: World) -> None:
    with pytest.raises(stripe.InvalidRequestError) as missing:
        await world.client.v1.payment_intents.retrieve_async("pi_nothing")
    assert (missing.value.http_status, missing.value.code) == (404, "resource_missing")
    with pytest.raises(stripe.InvalidRequestError) as missing:
        await world.client.v1.payment_intents.search_async({"query": "metadata['a']:'b'"})
    assert missing.value.http_status == 404
