"""Stripe's way of saying things, for scripted servers, and every verb of the port as a table."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import aiohttp

from tests.integration.adapters.raw import Heard, Reply, reply
from tidegate.adapters.stripe.adapter import StripeCards
from tidegate.clock import Clock, SystemClock
from tidegate.money.amount import Money
from tidegate.money.currency import parse_currency
from tidegate.ports.cards import IntentOrder

API_KEY = "sk_test_0123456789abcdefghij"
SECRET = "pi_1_secret_abcdefghij0123456789"
USD = parse_currency("USD")
TEN = Money(1000, USD)


def intent(**changes: object) -> dict[str, Any]:
    return {
        "object": "payment_intent",
        "id": "pi_1",
        "status": "succeeded",
        "amount": 1000,
        "amount_received": 1000,
        "currency": "usd",
        "metadata": {"tidegate_payment": "pay_1", "tidegate_node": "node-1"},
        "client_secret": SECRET,
        "latest_charge": "ch_1",
        **changes,
    }


def refund(**changes: object) -> dict[str, Any]:
    return {
        "object": "refund",
        "id": "re_1",
        "status": "succeeded",
        "amount": 400,
        "currency": "usd",
        "metadata": {"tidegate_refund": "re_ours"},
        **changes,
    }


def method(customer: str | None = "cus_1") -> dict[str, Any]:
    card = {"brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2030}
    fields = {"object": "payment_method", "id": "pm_1", "type": "card", "card": card}
    return {**fields, "customer": customer}


def listed(*rows: dict[str, Any], more: bool = False) -> dict[str, Any]:
    return {"object": "list", "data": list(rows), "has_more": more}


CUSTOMER = {"object": "customer", "id": "cus_1", "metadata": {"tidegate_user": "usr_1"}}
SETUP = {"object": "setup_intent", "id": "seti_1", "client_secret": "seti_1_secret_abcdefghij"}
DISPUTE = {
    "object": "dispute",
    "id": "dp_1",
    "payment_intent": "pi_1",
    "status": "lost",
    "amount": 1000,
    "currency": "usd",
    "reason": "fraudulent",
    "balance_transactions": [],
}


def error(http: int, kind: str, code: str | None = None, **more: object) -> Reply:
    body: dict[str, object] = {"type": kind, "message": "As it is.", **more}
    if code is not None:
        body["code"] = code
    return reply({"error": body}, http)


def sent(heard: Heard) -> dict[str, str]:
    """The form, or the query, as Stripe decodes it."""
    return dict(parse_qsl(heard.body.decode() or heard.query, strict_parsing=True))


@asynccontextmanager
async def stripe_at(
    origin: str, *, timeout_s: float = 30.0, clock: Clock | None = None
) -> AsyncIterator[StripeCards]:
    cards = StripeCards(
        api_key=API_KEY,
        api_base=origin,
        webhook_secrets=["whsec_current0123"],
        publishable_key="pk_test_1",
        node_id="node-1",
        live=False,
        clock=clock or SystemClock(),
        connector=aiohttp.TCPConnector,
        timeout_s=timeout_s,
    )
    try:
        yield cards
    finally:
        await cards.close()


@dataclass(frozen=True)
class Verb:
    """One verb with the answer that it takes; ``declines`` says whether the port
    has that end for it, ``asks`` whether it asks for one object by its id."""

    name: str
    call: Callable[[StripeCards], Awaitable[Any]]
    good: dict[str, Any]
    http_method: str
    path: str
    declines: bool = False
    asks: bool = False
    key: bool = True


ORDER = IntentOrder("pay_1", TEN, "cus_1", "pm_1", manual_capture=False)

VERBS = [
    Verb(
        "create_customer",
        lambda c: c.create_customer("usr_1", "k"),
        CUSTOMER,
        "POST",
        "/v1/customers",
    ),
    Verb(
        "attach",
        lambda c: c.attach("pm_1", "cus_1", "k"),
        method(),
        "POST",
        "/v1/payment_methods/pm_1/attach",
        declines=True,
    ),
    Verb(
        "detach",
        lambda c: c.detach("pm_1"),
        method(None),
        "POST",
        "/v1/payment_methods/pm_1/detach",
        key=False,
    ),
    Verb("set_up", lambda c: c.set_up("cus_1", "k"), SETUP, "POST", "/v1/setup_intents"),
    Verb("create", lambda c: c.create(ORDER, "k"), intent(), "POST", "/v1/payment_intents"),
    Verb(
        "confirm",
        lambda c: c.confirm("pi_1", "k", None),
        intent(),
        "POST",
        "/v1/payment_intents/pi_1/confirm",
        declines=True,
    ),
    Verb(
        "capture",
        lambda c: c.capture("pi_1", TEN, "k"),
        intent(),
        "POST",
        "/v1/payment_intents/pi_1/capture",
        declines=True,
    ),
    Verb(
        "cancel",
        lambda c: c.cancel("pi_1", "k"),
        intent(status="canceled", amount_received=0),
        "POST",
        "/v1/payment_intents/pi_1/cancel",
    ),
    Verb(
        "fetch", lambda c: c.fetch("pi_1"), intent(), "GET", "/v1/payment_intents/pi_1", asks=True
    ),
    Verb(
        "find", lambda c: c.find("cus_1", "pay_1"), listed(intent()), "GET", "/v1/payment_intents"
    ),
    Verb(
        "refund",
        lambda c: c.refund("pi_1", Money(400, USD), "re_ours", None, "k"),
        refund(),
        "POST",
        "/v1/refunds",
    ),
    Verb(
        "find_refund",
        lambda c: c.find_refund("pi_1", "re_ours", "re_1"),
        refund(),
        "GET",
        "/v1/refunds/re_1",
        asks=True,
    ),
    Verb(
        "find_refund",
        lambda c: c.find_refund("pi_1", "re_ours", None),
        listed(refund()),
        "GET",
        "/v1/refunds",
    ),
    Verb(
        "fetch_dispute",
        lambda c: c.fetch_dispute("dp_1"),
        DISPUTE,
        "GET",
        "/v1/disputes/dp_1",
        asks=True,
    ),
    Verb(
        "events_since",
        lambda c: c.events_since(1_790_000_000_999, None),
        listed({"id": "evt_1", "object": "event"}),
        "GET",
        "/v1/events",
    ),
]
