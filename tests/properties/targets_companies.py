"""Targets: what Lenco and Stripe send. Each takes any bytes and raises only on a fault of ours."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import hmac
import json
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

import aiohttp

from tidegate.adapters.exchanges import exchange_of
from tidegate.adapters.http import Answer, Failure, HttpClient
from tidegate.adapters.lenco.adapter import LencoBank
from tidegate.adapters.lenco.webhooks import LencoWebhooks, webhook_key
from tidegate.adapters.stripe.client import Said
from tidegate.adapters.stripe.listing import read_events, read_page
from tidegate.adapters.stripe.outcomes import end_of, question, undeclined
from tidegate.adapters.stripe.reading import (
    Unreadable,
    read_dispute,
    read_intent,
    read_method,
    read_refund,
)
from tidegate.adapters.stripe.webhooks import StripeEvents
from tidegate.clock import Randomness, SimulatedClock
from tidegate.money import Money, parse_currency
from tidegate.ports.bank import NotFound, Outcome, OutcomeKind, PayoutRequest, WebhookEvent
from tidegate.ports.cards import CardEvent, Found, RejectedEvent

__all__ = ["lenco_answer", "lenco_webhook", "stripe_answer", "stripe_event", "stripe_header"]

T = TypeVar("T")

NOW_MS = 1_728_201_600_000
_CLOCK = SimulatedClock(NOW_MS)
_KEY = "lenco api key of the fuzzed node"
_WEBHOOKS = LencoWebhooks([_KEY])
_SECRET = "whsec_of_the_fuzzed_node"
_EVENTS = StripeEvents([_SECRET], live=False, node_id="node_1")
# None of these makes a question be asked again after a pause.
_STATUSES = (200, 201, 400, 401, 403, 404, 409, 422)
_ASKED = Money(7_537_500, parse_currency("NGN"))


class _Played(HttpClient):
    """Answers every call at once with what the test gave it."""

    def __init__(self) -> None:
        super().__init__(_CLOCK, Randomness(_CLOCK, seed=1), aiohttp.TCPConnector, "lenco")
        self.answer = Answer(200, b"", {}, 1)

    async def request(self, *_: object, **__: object) -> Answer | Failure:
        return self.answer


_HTTP = _Played()
_BANK = LencoBank(
    base_url="http://127.0.0.1/access/v1",
    api_key=_KEY,
    account_id="acc_1",
    http=_HTTP,
    clock=_CLOCK,
)
_REQUEST = PayoutRequest("ref-1", _ASKED, "000013", "0123456789", "ADA OBI", "Order 1")
_BODY = _BANK.prepare(_REQUEST)


def lenco_answer(data: bytes) -> None:
    """Any answer to any call: an outcome that claims no more than the answer proves."""
    status = _STATUSES[data[0] % len(_STATUSES) if data else 0]
    _HTTP.answer = Answer(status, data[1:], {}, 1)
    sent = _at_once(_BANK.submit("ref-1", _BODY))
    assert isinstance(sent, Outcome)
    if sent.kind in (OutcomeKind.SUCCEEDED, OutcomeKind.PENDING, OutcomeKind.FAILED):
        assert 200 <= status < 300
        assert sent.amount == _ASKED
        assert sent.hold is None
        assert sent.account_number in (None, "0123456789")
    asked = _at_once(_BANK.lookup("ref-1"))
    if isinstance(asked, NotFound):
        assert status in (400, 404)
    elif isinstance(asked, Outcome) and asked.kind is not OutcomeKind.UNKNOWN:
        assert status < 300
        assert asked.amount is not None
        assert asked.hold is None
    for ended in (
        sent,
        asked,
        _at_once(_BANK.balance("NGN")),
        _at_once(_BANK.banks("NGN")),
        _at_once(_BANK.resolve("000013", "0123456789")),
        _at_once(_BANK.credit("txn_1")),
    ):
        _storable(ended)


def lenco_webhook(data: bytes) -> None:
    """Any bytes: refused without the signature, and with it an event or a reason."""
    wrong = hmac.digest(b"another key", data, "sha512").hex()
    assert _WEBHOOKS.authenticate({"X-Lenco-Signature": wrong}, data) is not None
    right = hmac.new(webhook_key(_KEY), data, hashlib.sha512).hexdigest()
    assert _WEBHOOKS.authenticate({"x-lenco-signature": right}, data) is None
    first, _, rest = data.partition(b"\n")
    _WEBHOOKS.authenticate({"X-Lenco-Signature": first.decode("latin-1")}, rest)
    event = _WEBHOOKS.read(data)
    if isinstance(event, WebhookEvent):
        for text in (event.reference, event.credit_id):
            assert text is None or (text.isascii() and len(text) <= 100)


def stripe_header(data: bytes) -> None:
    """Any signature header: authentic only with the HMAC of this very body and time in it."""
    header, _, body = data.partition(b"\n")
    text = header.decode("latin-1")
    read = _EVENTS.read({"Stripe-Signature": text}, body, NOW_MS)
    digits = f"{NOW_MS // 1000}"
    fitting = hmac.digest(_SECRET.encode(), f"{digits}.".encode() + body, "sha256").hex()
    if fitting not in text:
        assert isinstance(read, RejectedEvent)
        assert not read.authentic
    good = f"t={digits},v1={fitting}"
    signed = _EVENTS.read({"stripe-signature": good}, body, NOW_MS)
    assert isinstance(signed, CardEvent) or signed.authentic


def stripe_event(data: bytes) -> None:
    """Any authentic body: an event whose ids are ids, or a reason."""
    event = _EVENTS.parse(data)
    if isinstance(event, CardEvent):
        for text in (event.id, event.type, event.reference, event.intent, event.payment_id):
            assert text is None or (text.isascii() and 0 < len(text) <= 255)
        _storable(event)


def stripe_answer(data: bytes) -> None:
    """Any answer of the processor: one of the port's outcomes; any object: read or unreadable."""
    status = (200, 400, 401, 402, 404, 409, 429, 500)[data[0] % 8 if data else 0]
    body = data[1:]
    try:
        tree = json.loads(body)
    except (ValueError, RecursionError):
        tree = None
    for read in (read_refund, read_dispute, read_method, read_page, read_events):
        with contextlib.suppress(Unreadable):
            _storable(read(tree))
    exchange = exchange_of(
        "stripe", "confirm", "POST", "http://127.0.0.1/v1", None, Answer(status, body, {}, 1), 0
    )
    _storable(exchange)
    fields: Mapping[str, Any] | None = tree if isinstance(tree, dict) else None
    said = Said(status, fields, None, None, False, exchange)
    ended = end_of(said, _intent, _intent)
    assert not isinstance(ended, Found) or status == 200
    undeclined(ended)
    question(ended)
    _storable(ended)


def _intent(tree: object) -> Any:
    return read_intent(tree, "pk_test")


def _at_once(call: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that has nothing to wait for."""
    try:
        call.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]  # that of the coroutine
    raise AssertionError("the call waits")


def _storable(value: object) -> None:
    """No text in it holds what a database refuses: U+0000, half of a surrogate pair."""
    if isinstance(value, str):
        assert "\0" not in value
        value.encode()
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            _storable(getattr(value, field.name))
