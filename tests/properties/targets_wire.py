"""Targets: the aggregator's protocol. Each takes any bytes and raises only on a fault of ours."""

from __future__ import annotations

import contextlib
from decimal import Decimal

from tests.properties import counterpart
from tidegate.errors import BadInput, ConfigurationError, InvalidAmount, UnreadableBody
from tidegate.money import Currency, parse_amount, parse_currency
from tidegate.wire.address import provider_url, public_url
from tidegate.wire.answers import parse_acceptance, parse_answer, parse_order, parse_orders
from tidegate.wire.canonical import DEPTH_MAX, compact_json, go_json, parse_object, plain
from tidegate.wire.dialect import Dialect
from tidegate.wire.fields import read_rfc3339
from tidegate.wire.inbound import (
    Offer,
    parse_live_offer,
    parse_spec_offer,
    parse_tx_status,
    parse_verify_account,
)
from tidegate.wire.signature import (
    accepted_by_aggregator,
    query_accepted_by_aggregator,
    sign,
    verify_live,
    verify_spec,
)
from tidegate.wire.verdicts import (
    classify_accept,
    classify_cancel,
    classify_decline,
    classify_fulfil,
    existing_fulfilment,
)

__all__ = [
    "aggregator_address",
    "aggregator_answer",
    "aggregator_message",
    "amount",
    "json_object",
    "signature",
]

SECRET = "a secret of the fuzzed node, used as text"
_NAIRA = parse_currency("NGN")
_CURRENCIES = tuple(parse_currency(code) for code in ("NGN", "JPY", "KWD", "CLF"))


def json_object(data: bytes) -> None:
    """A body means the same to us and to Go, or is unreadable to both."""
    try:
        ours: bytes | None = go_json(parse_object(data))
    except UnreadableBody:
        ours = None
    if ours is None and data.count(b"{") + data.count(b"[") > DEPTH_MAX:
        return  # Go reads what is nested deeper
    try:
        theirs: bytes | None = counterpart.marshal(counterpart.unmarshal(data))
    except counterpart.NotJson:
        theirs = None
    assert ours == theirs
    if ours is not None:
        parsed = parse_object(data)
        assert parse_object(compact_json(parsed, ascii=True)) == parsed
        assert "\0" not in repr(plain(parsed))


def aggregator_message(data: bytes) -> None:
    """An order, a question or a verification: read, or refused as bad input."""
    try:
        message = parse_object(data)
    except UnreadableBody:
        return
    for parse in (parse_live_offer, parse_spec_offer, parse_tx_status, parse_verify_account):
        try:
            read = parse(message)
        except BadInput:
            continue
        assert "\0" not in repr(read)
        if isinstance(read, Offer) and read.money is not None:
            assert read.money == parse_amount(read.amount_token, read.money.currency)


def aggregator_answer(data: bytes) -> None:
    """An answer of any status and body: always something, never an exception."""
    status = 100 + int.from_bytes(data[:2], "big") % 500
    answer = parse_answer(status, data[2:])
    parse_acceptance(answer.data)
    with contextlib.suppress(BadInput):
        parse_order(answer.data)
    with contextlib.suppress(BadInput):
        parse_orders(answer.data)
    classify_accept(answer)
    classify_decline(answer)
    classify_cancel(answer)
    for dialect in Dialect:
        classify_fulfil(answer, dialect)
    existing_fulfilment(answer.message)


def signature(data: bytes) -> None:
    """A header and a body of somebody without the secret: never accepted, never an exception."""
    header, _, body = data.partition(b"\n")
    text = header.decode("latin-1")
    right = sign(SECRET, body)
    if right not in text:
        assert verify_live([SECRET], text, body) is None
        assert verify_spec([SECRET], "client", f"HMAC client:{text}", body) is None
        assert not accepted_by_aggregator(SECRET, text, body)
        assert not query_accepted_by_aggregator(SECRET, text, body.decode("latin-1"))
    assert verify_live([SECRET], right, body) is not None
    verify_spec([SECRET], "client", text, body)


def amount(data: bytes) -> None:
    """A decimal is exactly itself in minor units, or is refused; an instant likewise."""
    text = data[1:].decode("utf-8", "replace")
    currency: Currency = _CURRENCIES[data[0] % len(_CURRENCIES) if data else 0]
    read_rfc3339(text)
    try:
        money = parse_amount(text, currency)
    except InvalidAmount:
        return
    assert Decimal(money.minor).scaleb(-currency.exponent) == Decimal(text)


def aggregator_address(data: bytes) -> None:
    """The configured address becomes an endpoint's, or is refused in a sentence."""
    text = data.decode("utf-8", "replace")
    for build in (provider_url, public_url):
        try:
            url = build(text, "v1", "orders")
        except ConfigurationError:
            continue
        assert url.startswith(("http://", "https://"))
        assert url.endswith("/orders")
