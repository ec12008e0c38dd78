"""A node that takes card payments from a played processor, and somebody who pays."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import aiohttp

from tests.support.node import LocalNode
from tests.support.world import World
from tidegate.sandbox.cards import SandboxCards

__all__ = ["EMAIL", "KEY", "Pay", "opened_shop", "shopper"]

EMAIL, KEY = "shopper@example.com", "sk_test_of_a_shop"
_WEBHOOK_SECRET = "whsec_of_a_shop"

Pay = Callable[..., Awaitable[dict[str, Any]]]
"""``await pay(card, headers)`` stores the card and pays 19.99 USD; the body of the answer."""


@asynccontextmanager
async def opened_shop(world: World) -> AsyncIterator[tuple[LocalNode, SandboxCards]]:
    """The node and its processor, which calls its webhooks."""
    cards = SandboxCards(
        world.clock, world.randomness, api_key=KEY, webhook_secret=_WEBHOOK_SECRET, settle_s=0.1
    )
    await cards.start()
    try:
        node = await world.local(
            STRIPE_API_KEY=KEY,
            STRIPE_API_BASE=cards.base_url,
            STRIPE_WEBHOOK_SECRET=_WEBHOOK_SECRET,
        )
        cards.set_webhook_url(f"{node.url}/api/webhooks/stripe")
        yield node, cards
    finally:
        await cards.stop()


@asynccontextmanager
async def shopper(url: str) -> AsyncIterator[Pay]:
    """Somebody who has registered and logged in."""
    numbers = count()
    async with aiohttp.ClientSession() as session:

        async def post(path: str, body: Mapping[str, Any], **headers: str) -> dict[str, Any]:
            async with session.post(f"{url}{path}", json=body, headers=headers) as answer:
                assert answer.status in {200, 201, 402}, await answer.text()
                return dict(await answer.json())

        account = {"email": EMAIL, "password": "correct horse battery staple 9"}
        await post("/api/auth/register", account)
        token = (await post("/api/auth/login", account))["access_token"]
        bearer = {"Authorization": f"Bearer {token}"}

        async def pay(card: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
            method = await post("/api/payment-methods", {"token": card}, **bearer)
            wish = {"amount": 1999, "currency": "USD", "payment_method_id": method["id"]}
            key = {"Idempotency-Key": f"key-{next(numbers)}"}
            return await post("/api/payments", wish, **bearer, **key, **(headers or {}))

        yield pay
