"""Each fault of the card processor does what its name says, and healing ends it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import stripe

from tests.unit.sandbox.cards_world import API_KEY, World, close, open_world, settle, until
from tidegate.sandbox.faults import EVERY, CardFault


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    async with open_world() as opened:
        yield opened


def test_every_fault_of_the_processor_has_a_test() -> None:
    here = Path(__file__).parent
    names = ("faults", "idempotency", "webhooks")
    text = "".join((here / f"test_cards_{name}.py").read_text() for name in names)
    tested = set(re.findall(r"CardFault\.([A-Z0-9_]+)", text))
    assert {fault.name for fault in CardFault} - tested == set()


async def call(world: World, step: str, intent: stripe.PaymentIntent, key: str) -> Any:
    """One write of a payment under a key."""
    options: Any = {"idempotency_key": key}
    intents = world.client.v1.payment_intents
    if step == "confirm":
        return await intents.confirm_async(intent.id, {}, options)
    if step == "capture":
        return await intents.capture_async(intent.id, {}, options)
    if step == "cancel":
        return await intents.cancel_async(intent.id, {}, options)
    return await world.refund(intent, key=key, amount=100)


async def ready(world: World, step: str) -> stripe.PaymentIntent:
    """A payment on which this step is the next one."""
    if step == "confirm":
        return await world.create()
    manual = "manual" if step in ("capture", "cancel") else "automatic"
    return await world.pay(capture_method=manual)


def moved(world: World, step: str) -> bool:
    """Whether the step was done."""
    intent = world.cards.intent("pay_1")
    assert intent is not None
    ends = {"confirm": "succeeded", "capture": "succeeded", "cancel": "canceled"}
    return (
        bool(world.cards.refunds_of("pay_1")) if step == "refund" else intent.status == ends[step]
    )


STEPS = ("confirm", "capture", "cancel", "refund")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    ("fault", "error", "done"),
    [
        (CardFault.DROP_BEFORE, stripe.APIConnectionError, False),
        (CardFault.DROP_AFTER, stripe.APIConnectionError, True),
        (CardFault.ERROR_503, stripe.APIError, False),
        (CardFault.HTML_502, stripe.APIError, False),
        (CardFault.HTML_502_AFTER, stripe.APIError, True),
        (CardFault.RATE_LIMITED, stripe.RateLimitError, False),
        (CardFault.LOCK_TIMEOUT, stripe.RateLimitError, False),
    ],
)
async def test_a_fault_leaves_the_step_undone_or_done_and_the_same_key_ends_well(
    world: World, step: str, fault: CardFault, error: type[stripe.StripeError], done: bool
) -> None:
    intent = await ready(world, step)
    world.fault(fault, key=f"{step}:pay_1")
    with pytest.raises(error) as broken:
        await call(world, step, intent, "k")
    if fault is CardFault.LOCK_TIMEOUT:
        assert broken.value.error is not None
        assert broken.value.error.code == "lock_timeout"
    assert moved(world, step) is done
    again = await call(world, step, intent, "k")
    assert ("Idempotent-Replayed" in again.last_response.headers) is done
    assert moved(world, step)
    assert len(world.cards.refunds_of("pay_1")) == int(step == "refund")
    assert world.cards.books.violations == []


@pytest.mark.parametrize(
    ("fault", "made"),
    [(CardFault.DROP_BEFORE, 0), (CardFault.DROP_AFTER, 1), (CardFault.ERROR_500_AFTER, 1)],
)
async def test_a_lost_create_is_found_by_customer_and_metadata(
    world: World, fault: CardFault, made: int
) -> None:
    world.fault(fault)
    with pytest.raises((stripe.APIConnectionError, stripe.APIError)):
        await world.create()
    listed = await world.client.v1.payment_intents.list_async({"customer": world.customer})
    names = [intent.metadata["tidegate_payment"] for intent in listed.data]
    assert names == ["pay_1"] * made


@pytest.mark.parametrize("key", ["pay_1", "confirm", EVERY, "ada@example.org", "pm_card_visa"])
async def test_a_fault_is_set_by_many_names(world: World, key: str) -> None:
    intent = await world.create()
    world.fault(CardFault.ERROR_503, key=key)
    with pytest.raises(stripe.APIError):
        await world.confirm(intent)
    assert (await world.confirm(intent)).status == "succeeded"


async def test_a_fault_of_every_payment_strikes_each_step_of_each_by_itself(world: World) -> None:
    intent = await world.create(capture_method="manual")
    world.fault(CardFault.ERROR_503, key=EVERY)
    for step in ("confirm", "capture"):
        with pytest.raises(stripe.APIError):
            await call(world, step, intent, f"k-{step}")
        await call(world, step, intent, f"k-{step}")


async def test_a_rate_strikes_the_same_payments_for_the_same_seed(world: World) -> None:
    async def struck(seed: int) -> list[int]:
        world.cards.faults.plan.load({"seed": seed, "rates": {"declined": 0.5}})
        declined = []
        for number in range(12):
            try:
                await world.pay(f"pay_{number}", metadata={"tidegate_payment": f"s{number}"})
            except stripe.CardError:
                declined.append(number)
        return declined

    first = await struck(3)
    assert 0 < len(first) < 12
    assert await struck(3) == first


async def test_a_slow_answer_comes_after_the_act(world: World) -> None:
    for fault, seconds in (
        (CardFault.SLOW, world.cards.faults.slow_s),
        (CardFault.TOO_SLOW, world.cards.faults.too_slow_s),
    ):
        payment = f"pay_{fault}"
        intent = await world.create(payment)
        world.fault(fault, key=payment)
        answer = asyncio.ensure_future(world.confirm(intent))
        await until(partial(_charged, world, payment))
        await settle()
        assert not answer.done()
        world.cards.settle()
        world.clock.advance(seconds)
        assert (await answer).status == "succeeded"


def _charged(world: World, payment: str) -> bool:
    return bool(world.cards.charges_of(payment))


async def test_an_act_may_come_after_the_caller_has_given_up(world: World) -> None:
    intent = await world.create()
    world.fault(CardFault.ACT_LATE)
    http = stripe.AIOHTTPClient(timeout=0.2)
    hasty = stripe.StripeClient(
        API_KEY, base_addresses={"api": world.base_url}, http_client=http, max_network_retries=0
    )
    with pytest.raises(stripe.APIConnectionError):
        await hasty.v1.payment_intents.confirm_async(intent.id, {}, {"idempotency_key": "k"})
    await close(http)
    assert world.cards.charges_of("pay_1") == []
    await world.pass_time(world.cards.faults.too_slow_s)
    await until(lambda: len(world.cards.charges_of("pay_1")) == 1)
    assert (await world.confirm(intent, key="k")).status == "succeeded"
    assert len(world.cards.charges_of("pay_1")) == 1


async def test_a_refused_connection_ends_after_its_time(world: World) -> None:
    intent = await world.create()
    world.fault(CardFault.REFUSE_CONNECTION)
    for _ in range(2):
        with pytest.raises(stripe.APIConnectionError):
            await world.confirm(intent)
    await world.pass_time(world.cards.faults.refuse_s)
    assert (await world.confirm(intent)).status == "succeeded"


async def test_the_door_can_be_closed_by_hand(world: World) -> None:
    assert (await world.control("refuse", {"seconds": 3}))[0] == 200
    await until(lambda: world.clock.next_wake is not None)
    with pytest.raises(stripe.APIConnectionError):
        await world.create()
    await world.pass_time(3.0)
    assert (await world.create()).status == "requires_confirmation"


async def test_every_card_may_be_declined(world: World) -> None:
    world.fault(CardFault.DECLINED)
    with pytest.raises(stripe.CardError):
        await world.pay()


async def test_a_payment_may_be_processing_for_a_while(world: World) -> None:
    world.fault(CardFault.PROCESSING)
    intent = await world.pay()
    assert intent.status == "processing"
    await world.webhook("payment_intent.processing")
    with pytest.raises(stripe.InvalidRequestError):
        await world.client.v1.payment_intents.cancel_async(intent.id)
    await world.pass_time(world.cards.faults.processing_s)
    await world.webhook("payment_intent.succeeded")
    assert len(world.cards.charges_of("pay_1")) == 1


async def test_healing_ends_processing_and_waiting(world: World) -> None:
    world.fault(CardFault.PROCESSING, key="pay_1")
    world.fault(CardFault.ACT_LATE, key="confirm:pay_2")
    await world.pay("pay_1")
    late = await world.create("pay_2")
    answer = asyncio.ensure_future(world.confirm(late))
    await until(lambda: world.cards.requests["confirm"] == 2)
    assert (await world.control("heal", {}))[0] == 200
    assert (await answer).status == "succeeded"
    assert len(world.cards.charges_of("pay_1")) == 1


async def test_any_charge_may_be_disputed(world: World) -> None:
    world.fault(CardFault.DISPUTED)
    await world.pay()
    await world.webhook("charge.dispute.created")


async def test_any_refund_may_be_pending_or_fail(world: World) -> None:
    world.fault(CardFault.REFUND_PENDING, key="pay_1")
    world.fault(CardFault.REFUND_PENDING, CardFault.REFUND_FAILED, key="re_2")
    pending = await world.refund(await world.pay("pay_1"))
    failing = await world.refund(await world.pay("pay_2"), metadata={"tidegate_refund": "re_2"})
    assert (pending.status, failing.status) == ("pending", "pending")
    await world.pass_time(5.0)
    refunds = world.client.v1.refunds
    assert (await refunds.retrieve_async(pending.id)).status == "succeeded"
    assert (await refunds.retrieve_async(failing.id)).status == "failed"


async def test_look_ups_may_fail_too(world: World) -> None:
    intent = await world.create()
    for fault, error in (
        (CardFault.LOOKUP_500, stripe.APIError),
        (CardFault.RATE_LIMITED, stripe.RateLimitError),
    ):
        world.fault(fault)
        with pytest.raises(error):
            await world.read(intent)
        world.cards.heal()
        await world.read(intent)
    world.fault(CardFault.LOOKUP_TIMEOUT, key="lookup")
    answer = asyncio.ensure_future(world.read(intent))
    await world.pass_time(world.cards.faults.too_slow_s)
    assert (await answer).id == intent.id


async def test_asking_the_card_network_takes_its_time() -> None:
    async with open_world(delay_s=2.0) as world:
        method = await _waiting(world, world.attach())
        assert method.customer == world.customer
        made = await world.client.v1.payment_intents.create_async(
            {
                "amount": 500,
                "currency": "usd",
                "customer": world.customer,
                "payment_method": method.id,
                "allowed_payment_method_types": ["card"],
            }
        )
        assert (await _waiting(world, world.confirm(made))).status == "succeeded"


async def _waiting(world: World, work: Any) -> Any:
    """The outcome of a call that takes two seconds of the clock."""
    task = asyncio.ensure_future(work)
    await world.pass_time(1.9)
    assert not task.done()
    await world.pass_time(0.1)
    return await task


async def test_faults_are_set_and_read_from_another_process(world: World) -> None:
    plan = {"keys": {"pay_1": ["declined"]}, "seconds": {"slow_s": 9}, "times": None}
    assert (await world.control("faults", plan))[0] == 200
    assert world.cards.faults.slow_s == 9
    _, read = await world.control("faults")
    assert read["keys"] == {"pay_1": ["declined"]}
    assert (await world.control("faults", {"keys": {"pay_1": ["no_such"]}}))[0] == 400
    assert (await world.control("faults", {"seconds": {"no_such": 1}}))[0] == 400
