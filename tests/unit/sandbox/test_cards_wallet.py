"""Customers and payment methods, and the cardholder's own page (3-D Secure)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import stripe

from tests.unit.sandbox.cards_world import World, open_world
from tidegate.sandbox.cards import Terms

BACK = "https://shop.example/back?order=7"


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    async with open_world() as opened:
        yield opened


async def test_a_customer_is_kept_as_given(world: World) -> None:
    customers = world.client.v1.customers
    made = await customers.create_async(
        {"email": "a@example.org", "metadata": {"tidegate_user": "u"}}
    )
    found = await customers.retrieve_async(made.id)
    assert (found.email, found.livemode) == ("a@example.org", False)
    assert found.metadata is not None
    assert found.metadata["tidegate_user"] == "u"


async def test_customers_are_listed_by_their_address(world: World) -> None:
    customers = world.client.v1.customers
    made = [(await customers.create_async({"email": "a@example.org"})).id for _ in range(3)]
    await customers.create_async({"email": "b@example.org"})
    first = await customers.list_async({"email": "a@example.org", "limit": 2})
    assert ([customer.id for customer in first.data], first.has_more) == (made[:0:-1], True)
    assert len((await customers.list_async()).data) == 4
    assert (await customers.list_async({"email": "A@example.org"})).data == []


async def test_a_shared_method_makes_a_fresh_one_for_each_customer(world: World) -> None:
    first, second = await world.attach(), await world.attach("pm_card_mastercard")
    assert first.id != second.id
    assert first.id.startswith("pm_")
    assert first.card is not None
    assert second.card is not None
    assert (first.card.brand, first.card.last4) == ("visa", "4242")
    assert (second.card.brand, second.card.last4) == ("mastercard", "4444")
    listed = await world.client.v1.payment_methods.list_async({"customer": world.customer})
    assert [method.id for method in listed.data] == [second.id, first.id]
    one = await world.client.v1.customers.payment_methods.retrieve_async(world.customer, first.id)
    assert one.customer == world.customer


async def test_detaching_is_for_good(world: World) -> None:
    method = await world.attach()
    methods = world.client.v1.payment_methods
    assert (await methods.detach_async(method.id)).customer is None
    with pytest.raises(stripe.InvalidRequestError):
        await methods.detach_async(method.id)
    with pytest.raises(stripe.InvalidRequestError):
        await methods.attach_async(method.id, {"customer": world.customer})
    with pytest.raises(stripe.InvalidRequestError) as missing:
        await world.client.v1.customers.payment_methods.retrieve_async(world.customer, method.id)
    assert (missing.value.http_status, missing.value.param) == (404, "customer")
    with pytest.raises(stripe.InvalidRequestError):
        await world.create(payment_method=method.id)
    assert (await world.types_of_events())[2:4] == [
        "payment_method.detached",
        "payment_method.attached",
    ]


async def test_a_method_of_one_customer_is_no_other_customers(world: World) -> None:
    method = await world.attach()
    other = await world.client.v1.customers.create_async({"email": "b@example.org"})
    with pytest.raises(stripe.InvalidRequestError):
        await world.client.v1.payment_methods.attach_async(method.id, {"customer": other.id})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await world.create(payment_method=method.id, customer=other.id)
    assert refused.value.param == "payment_method"


async def test_a_card_that_is_declined_cannot_be_attached(world: World) -> None:
    with pytest.raises(stripe.CardError) as declined:
        await world.attach("pm_card_visa_chargeDeclined")
    assert declined.value.code == "card_declined"
    await world.attach("pm_card_chargeCustomerFail")
    async with open_world(terms=Terms(decline_on_attach=False)) as lenient:
        await lenient.attach("pm_card_visa_chargeDeclined")


async def test_a_method_without_a_customer_pays_once(world: World) -> None:
    method = await world.client.v1.payment_methods.create_async(
        {"type": "card", "card": {"token": "tok_visa"}}
    )
    await world.pay("pay_1", payment_method=method.id)
    with pytest.raises(stripe.InvalidRequestError):
        await world.pay("pay_2", payment_method=method.id)


async def test_a_method_is_kept_when_it_is_to_be_used_again(world: World) -> None:
    await world.attach()
    method = await world.client.v1.payment_methods.create_async(
        {"type": "card", "card": {"token": "tok_visa"}}
    )
    await world.pay("pay_1", payment_method=method.id, setup_future_usage="off_session")
    await world.pay("pay_2", payment_method=method.id)
    found = await world.client.v1.payment_methods.retrieve_async(method.id)
    assert found.customer == world.customer


async def test_a_browser_makes_methods_with_the_publishable_key(world: World) -> None:
    url = f"{world.base_url}/v1/payment_methods"
    card = {
        "type": "card",
        "card[number]": "4000 0000 0000 9995",
        "card[exp_month]": "12",
        "card[exp_year]": "34",
        "card[cvc]": "123",
    }
    headers = {"Authorization": "Bearer pk_test_sandbox"}
    async with world.session.options(url) as answer:
        assert answer.status == 204
        assert "authorization" in answer.headers["Access-Control-Allow-Headers"]
    async with world.session.post(url, data=card, headers=headers) as answer:
        made = await answer.json()
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, "*")
    assert (made["card"]["last4"], made["card"]["exp_year"]) == ("9995", 2034)
    for wrong, code in (
        ({"card[number]": "4111111111111112"}, "incorrect_number"),
        ({"card[exp_month]": "13"}, "invalid_expiry_month"),
        ({"card[exp_year]": "2023"}, "invalid_expiry_year"),
    ):
        async with world.session.post(url, data=card | wrong, headers=headers) as answer:
            assert (answer.status, (await answer.json())["error"]["code"]) == (402, code)


async def test_a_setup_intent_waits_for_its_card(world: World) -> None:
    await world.attach()
    intent = await world.client.v1.setup_intents.create_async({"customer": world.customer})
    assert (intent.status, intent.usage) == ("requires_payment_method", "off_session")
    assert intent.client_secret is not None
    found = await world.client.v1.setup_intents.retrieve_async(intent.id)
    assert found.client_secret == intent.client_secret


@pytest.mark.parametrize(
    "card", ["pm_card_authenticationRequired", "pm_card_threeDSecure2Required"]
)
async def test_the_cardholder_is_asked_on_a_page_and_sent_back(world: World, card: str) -> None:
    intent = await world.confirm(await world.create(card=card), return_url=BACK)
    assert intent.status == "requires_action"
    assert intent.next_action is not None
    assert intent.next_action.redirect_to_url is not None
    page = str(intent.next_action.redirect_to_url.url)
    async with world.session.get(page) as answer:
        assert 'value="approve"' in await answer.text()
    async with world.session.post(page, data={"outcome": "?"}) as answer:
        assert answer.status == 400
    sent = {"outcome": "approve"}
    async with world.session.post(page, data=sent, allow_redirects=False) as answer:
        assert answer.status == 303
        assert answer.headers["Location"].startswith(f"{BACK}&payment_intent={intent.id}")
        assert answer.headers["Location"].endswith("redirect_status=succeeded")
    assert (await world.read(intent)).status == "succeeded"
    async with world.session.post(page, data=sent) as answer:
        assert answer.status == 409
    assert len(world.cards.charges_of("pay_1")) == 1


async def test_a_cardholder_who_fails_may_try_another_card(world: World) -> None:
    intent = await world.pay(card="pm_card_authenticationRequired")
    assert intent.next_action is not None
    assert intent.next_action.type == "use_stripe_sdk"
    status, _ = await world.control("authenticate", {"payment": "pay_1", "approve": False})
    assert status == 200
    found = await world.read(intent)
    assert found.status == "requires_payment_method"
    assert found.last_payment_error is not None
    assert found.last_payment_error.code == "payment_intent_authentication_failure"
    assert (await world.types_of_events())[-2:] == [
        "payment_intent.requires_action",
        "payment_intent.payment_failed",
    ]
    assert (await world.confirm(intent, payment_method="pm_card_visa")).status == "succeeded"


async def test_nobody_can_be_asked_off_session(world: World) -> None:
    intent = await world.create(card="pm_card_authenticationRequired")
    with pytest.raises(stripe.CardError) as declined:
        await world.confirm(intent, off_session=True)
    assert declined.value.code == "authentication_required"
    assert (await world.read(intent)).status == "requires_payment_method"
