"""A sandbox card processor, the official SDK that calls it, and a receiver of its webhooks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import stripe
from aiohttp import web

from tidegate.clock import Randomness, SimulatedClock
from tidegate.sandbox.cards import SandboxCards, Terms
from tidegate.sandbox.faults import CardFault

API_KEY = "sk_test_sandbox"
SECRET = "whsec_sandbox"


@dataclass
class Received:
    """One webhook as it arrived."""

    signature: str
    body: bytes

    @property
    def event(self) -> stripe.Event:
        """Verified by the SDK; the clock is simulated, so its age is not looked at."""
        event: stripe.Event = stripe.Webhook.construct_event(
            self.body, self.signature, SECRET, tolerance=0
        )
        return event

    @property
    def content(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.body)
        return content

    @property
    def type(self) -> str:
        return str(self.content["type"])

    @property
    def object(self) -> dict[str, Any]:
        thing: dict[str, Any] = self.content["data"]["object"]
        return thing


@dataclass
class World:
    """The processor, its caller, and what the webhook receiver has got so far.

    ``answers`` are the HTTP statuses the receiver gives next; 200 when there are none left.
    """

    clock: SimulatedClock
    cards: SandboxCards
    client: stripe.StripeClient
    session: aiohttp.ClientSession
    base_url: str
    inbox: list[Received] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    customer: str = ""

    def fault(self, *faults: CardFault, key: str = "pay_1", times: int | None = 1) -> None:
        self.cards.faults.plan.set(key, *faults, times=times)

    async def attach(self, card: str = "pm_card_visa") -> stripe.PaymentMethod:
        """A fresh payment method of the world's customer."""
        if not self.customer:
            made = await self.client.v1.customers.create_async({"email": "ada@example.org"})
            self.customer = made.id
        return await self.client.v1.payment_methods.attach_async(card, {"customer": self.customer})

    async def create(
        self,
        payment: str = "pay_1",
        card: str = "pm_card_visa",
        *,
        key: str | None = None,
        **changes: Any,
    ) -> stripe.PaymentIntent:
        """An unconfirmed payment of 20.00 USD as a payments service makes it."""
        method = await self.attach(card)
        params: Any = {
            "amount": 2000,
            "currency": "usd",
            "customer": self.customer,
            "payment_method": method.id,
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "metadata": {"tidegate_payment": payment},
        } | changes
        options: Any = {} if key is None else {"idempotency_key": key}
        return await self.client.v1.payment_intents.create_async(params, options)

    async def confirm(
        self, intent: stripe.PaymentIntent, *, key: str | None = None, **params: Any
    ) -> stripe.PaymentIntent:
        options: Any = {} if key is None else {"idempotency_key": key}
        asked: Any = params
        return await self.client.v1.payment_intents.confirm_async(intent.id, asked, options)

    async def pay(
        self, payment: str = "pay_1", card: str = "pm_card_visa", **changes: Any
    ) -> stripe.PaymentIntent:
        """Create and confirm."""
        return await self.confirm(await self.create(payment, card, **changes))

    async def read(self, intent: stripe.PaymentIntent, *expand: str) -> stripe.PaymentIntent:
        params: Any = {"expand": list(expand)} if expand else {}
        return await self.client.v1.payment_intents.retrieve_async(intent.id, params)

    async def refund(
        self, intent: stripe.PaymentIntent, *, key: str | None = None, **params: Any
    ) -> stripe.Refund:
        options: Any = {} if key is None else {"idempotency_key": key}
        asked: Any = {"payment_intent": intent.id, **params}
        return await self.client.v1.refunds.create_async(asked, options)

    async def control(self, command: str, order: Any = None) -> tuple[int, Any]:
        """A call of the control interface: POST with an order, GET without."""
        url = f"{self.base_url}/_sandbox/{command}"
        method = "GET" if order is None else "POST"
        async with self.session.request(method, url, json=order) as response:
            return response.status, await response.json()

    async def pass_time(self, seconds: float) -> None:
        """Move the clock on, once somebody is waiting for it, and let what follows happen."""
        await until(lambda: self.clock.next_wake is not None)
        self.clock.advance(seconds)
        await settle()

    def types(self, of: str = "") -> list[str]:
        """The types of the webhooks so far, those that begin with ``of``."""
        return [hook.type for hook in self.inbox if hook.type.startswith(of)]

    async def types_of_events(self) -> list[str]:
        """Every event so far, oldest first, as the API lists them."""
        listed = await self.client.v1.events.list_async({"limit": 100})
        return [str(event.type) for event in reversed(listed.data)]

    async def webhook(self, kind: str, count: int = 1) -> list[Received]:
        """The webhooks of a type, once there are exactly ``count``."""
        await until(lambda: self.types().count(kind) >= count)
        await settle()
        found = [hook for hook in self.inbox if hook.type == kind]
        assert len(found) == count
        return found

    async def receive(self, request: web.BaseRequest) -> web.Response:
        body = await request.read()
        self.inbox.append(Received(request.headers["Stripe-Signature"], body))
        return web.Response(status=self.answers.pop(0) if self.answers else 200)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that the event loop is about to do; fail after five seconds."""
    for _ in range(2500):
        if condition():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("waited five seconds in vain")


async def settle() -> None:
    """Give what is ready the time to happen, over the loopback network too."""
    # Many short turns: on a busy machine one long sleep may be a single turn of the loop.
    for _ in range(15):
        await asyncio.sleep(0.002)


async def close(http: stripe.AIOHTTPClient) -> None:
    """End the SDK's client, whose own method has no types."""
    ended: Awaitable[None] = http.close_async()  # type: ignore[no-untyped-call]
    await ended


@asynccontextmanager
async def open_world(
    *, terms: Terms | None = None, settle_s: float = 1.0, delay_s: float = 0.0
) -> AsyncIterator[World]:
    """A started processor with its caller and a receiver; all end with the block."""
    clock = SimulatedClock()
    cards = SandboxCards(
        clock,
        Randomness(clock, seed=1),
        api_key=API_KEY,
        webhook_secret=SECRET,
        terms=terms,
        settle_s=settle_s,
        delay_s=delay_s,
        webhook_retry_s=(1.0, 5.0),
    )
    base_url = await cards.start()
    http = stripe.AIOHTTPClient(timeout=5)
    client = stripe.StripeClient(
        API_KEY, base_addresses={"api": base_url}, http_client=http, max_network_retries=0
    )
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
        world = World(clock, cards, client, session, base_url)
        runner = web.ServerRunner(web.Server(world.receive, access_log=None), shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        cards.set_webhook_url(f"http://127.0.0.1:{site.port}/webhooks/stripe")
        try:
            yield world
        finally:
            await close(http)
            await cards.stop()
            await runner.cleanup()
