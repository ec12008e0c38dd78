"""Under a storm of faults a caller who keeps to processor.md 1 charges and refunds once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import stripe

from tests.unit.sandbox.cards_world import World, open_world
from tidegate.sandbox.cards import Kind

PAYMENTS = 40
RATES = {
    "drop_before": 0.15,
    "drop_after": 0.15,
    "error_500_before": 0.1,
    "error_500_after": 0.1,
    "error_503": 0.1,
    "html_502": 0.1,
    "html_502_after": 0.1,
    "rate_limited": 0.1,
    "lock_timeout": 0.1,
    "webhook_duplicate": 0.2,
}


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_payment_is_charged_and_refunded_once(seed: int) -> None:
    async with open_world() as world:
        method = await world.attach()
        world.cards.faults.plan.load({"seed": seed, "rates": RATES})
        await asyncio.gather(
            *(_pay_and_refund(world, method.id, f"pay_{number}") for number in range(PAYMENTS))
        )
        books = world.cards.books
        assert books.violations == []
        for number in range(PAYMENTS):
            assert [line.amount for line in world.cards.charges_of(f"pay_{number}")] == [2000]
        assert books.total(Kind.REFUNDED, "usd") == PAYMENTS * 500
        # The storm was one: more was asked than a calm sea needs.
        assert sum(world.cards.requests[step] for step in ("create", "confirm", "refund")) > (
            PAYMENTS * 4
        )


async def _pay_and_refund(world: World, method: str, payment: str) -> None:
    api = world.client.v1
    params: Any = {
        "amount": 2000,
        "currency": "usd",
        "customer": world.customer,
        "payment_method": method,
        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        "metadata": {"tidegate_payment": payment},
    }

    async def created() -> str | None:
        async for intent in (await _calm(lambda: _list(world))).auto_paging_iter():
            if intent.metadata["tidegate_payment"] == payment:
                return str(intent.id)
        return None

    async def confirmed() -> bool:
        found = await _calm(lambda: api.payment_intents.retrieve_async(intent))
        return bool(found.amount_received)

    async def refunded() -> bool:
        found = await _calm(lambda: api.refunds.list_async({"payment_intent": intent}))
        return bool(found.data)

    intent = await _until_known(
        lambda options: api.payment_intents.create_async(params, options), created, f"{payment}:new"
    )
    intent = intent if isinstance(intent, str) else intent.id
    await _until_known(
        lambda options: api.payment_intents.confirm_async(intent, {}, options),
        confirmed,
        f"{payment}:confirm",
    )
    refund: Any = {
        "payment_intent": intent,
        "amount": 500,
        "metadata": {"tidegate_refund": f"re_{payment}"},
    }
    await _until_known(
        lambda options: api.refunds.create_async(refund, options), refunded, f"{payment}:refund"
    )


async def _until_known(
    act: Callable[[Any], Awaitable[Any]], look: Callable[[], Awaitable[Any]], key: str
) -> Any:
    """Act under one key; the same key again, a new one only when a look proves nothing was done."""
    number = 0
    for _ in range(30):
        try:
            return await act({"idempotency_key": f"{key}:{number}"})
        except (stripe.APIConnectionError, stripe.RateLimitError):
            continue
        except stripe.APIError:
            if found := await look():
                return found
            number += 1
    raise AssertionError(f"{key} never ended")


async def _calm(ask: Callable[[], Awaitable[Any]]) -> Any:
    """A look-up, repeated while it is refused for now."""
    for _ in range(30):
        try:
            return await ask()
        except stripe.RateLimitError:
            continue
    raise AssertionError("look-ups are refused for ever")


async def _list(world: World) -> Any:
    return await world.client.v1.payment_intents.list_async(
        {"customer": world.customer, "limit": 100}
    )
