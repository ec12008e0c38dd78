"""Stripe as :class:`~tidegate.ports.cards.Cards`. Source: ``contracts/processor.md``, B8.

Each verb is one request, except where it says otherwise; none is repeated here. Our ids travel in
``metadata`` (``tidegate_user``, ``tidegate_payment``, ``tidegate_refund``; ``tidegate_node`` says
which installation wrote them), which is how an object is found again after an unknown answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import aiohttp
import stripe

from tidegate.adapters.http import HttpClient
from tidegate.adapters.stripe import amounts
from tidegate.adapters.stripe.client import Connection
from tidegate.adapters.stripe.customers import CustomerCalls
from tidegate.adapters.stripe.listing import PAGE_SIZE, read_events, read_page
from tidegate.adapters.stripe.outcomes import undeclined
from tidegate.adapters.stripe.payments import PaymentCalls
from tidegate.adapters.stripe.reading import identity, our_id, read_intent
from tidegate.adapters.stripe.webhooks import StripeEvents
from tidegate.clock import Clock, Randomness
from tidegate.money.amount import Money
from tidegate.ports.cards import (
    CardEvent,
    Found,
    Intent,
    NotSent,
    Refused,
    RejectedEvent,
    Unknown,
)

__all__ = ["StripeCards"]


class StripeCards(CustomerCalls, PaymentCalls):
    """One account at Stripe.

    ``api_base`` is ``https://api.stripe.com`` or a local double. ``webhook_secrets`` are the
    endpoint's current secret and those of a rotation. ``live`` is the environment whose events
    are taken. ``connector`` is called once, at the first request, and owns pool, resolver and TLS
    settings. ``timeout_s`` is for a whole verb, every page of a list included.
    """

    def __init__(
        self,
        *,
        api_key: str,
        api_base: str,
        webhook_secrets: Sequence[str],
        publishable_key: str | None,
        node_id: str,
        live: bool,
        clock: Clock,
        connector: Callable[[], aiohttp.BaseConnector],
        randomness: Randomness | None = None,
        timeout_s: float = 10.0,
        name: str = "stripe",
    ) -> None:
        chance = randomness or Randomness(clock)
        http = HttpClient(clock, chance, connector, name)
        super().__init__(
            Connection(api_key, api_base, http, clock),
            clock,
            chance,
            node_id=node_id,
            publishable_key=publishable_key,
            timeout_s=timeout_s,
        )
        self._name = name
        self._events = StripeEvents(webhook_secrets, live, node_id)

    @property
    def name(self) -> str:
        return self._name

    @property
    def timeout_s(self) -> float:
        return self._timeout_s

    @property
    def publishable_key(self) -> str | None:
        return self._publishable_key

    def check_amount(self, amount: Money) -> str | None:
        return amounts.check(amount)

    async def events_since(
        self, created_ms: int, after: str | None
    ) -> Found | Refused | NotSent | Unknown:
        """List events from ``created_ms`` on (whole seconds at Stripe, so some of before too)."""
        params: stripe.params.EventListParams = {
            "created": {"gte": created_ms // 1000},
            "limit": PAGE_SIZE,
        }
        if after is not None:
            params["starting_after"] = after

        def send(sdk: stripe.StripeClient) -> Any:
            return sdk.v1.events.list_async(params)

        return undeclined(await self._ask("events_since", send, read_events))

    async def intents_since(
        self, created_ms: int, after: str | None
    ) -> Found | Refused | NotSent | Unknown:
        """List payment objects from ``created_ms`` on; those of other nodes are left out."""
        params: stripe.params.PaymentIntentListParams = {
            "created": {"gte": created_ms // 1000},
            "limit": PAGE_SIZE,
        }
        if after is not None:
            params["starting_after"] = after

        def send(sdk: stripe.StripeClient) -> Any:
            return sdk.v1.payment_intents.list_async(params)

        def read(tree: object) -> tuple[list[Intent], str | None]:
            page = read_page(tree)
            ours = {None, self._node_id}
            intents = [
                read_intent(row, None)
                for row in page.rows
                if our_id(row, "tidegate_node") in ours and our_id(row, "tidegate_payment")
            ]
            return intents, identity(page.rows[-1]) if page.more and page.rows else None

        return undeclined(await self._ask("intents_since", send, read))

    def read_event(
        self, headers: Mapping[str, str], raw: bytes, now_ms: int
    ) -> CardEvent | RejectedEvent:
        return self._events.read(headers, raw, now_ms)

    def parse_event(self, raw: bytes) -> CardEvent | RejectedEvent:
        return self._events.parse(raw)

    async def close(self) -> None:
        await self._connection.close()
