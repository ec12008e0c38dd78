"""All targets by name, each with a few good inputs to start from, and words of its grammar.

The same targets are tried by chance in ``test_parsers`` and guided by coverage in ``fuzz``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from tests.properties import targets_companies as companies
from tests.properties import targets_own as own
from tests.properties import targets_wire as wire

__all__ = ["TARGETS", "Target"]


@dataclass(frozen=True, slots=True)
class Target:
    """``check`` takes any bytes and raises only when something of ours is wrong."""

    check: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    words: tuple[bytes, ...] = ()


def _json(*documents: object, before: bytes = b"") -> tuple[bytes, ...]:
    return tuple(before + json.dumps(document).encode() for document in documents)


_JSON_WORDS: Final = (b'"', b"{", b"}", b"[", b"]", b",", b":", b"null", b"true", b"\\ud83d")
_JSON_WORDS_ODD: Final = (*_JSON_WORDS, b"\\udcb8", b"1e400", b"-0", b"9007199254740993", b"NaN")

_ORDER = {
    "orderId": "3fa85f64-5717-4562-b3fc-2c963f66afa6",
    "amount": "75375",
    "currency": "NGN",
    "institution": "ABNGNGLA",
    "excludePsps": ["lenco"],
    "direction": "payout",
}
_SPEC_ORDER = {
    **_ORDER,
    "amount": 50000.0,
    "recipient": {
        "institution": "ABNGNGLA",
        "accountIdentifier": "0123456789",
        "accountName": "A",
        "memo": "x",
        "metadata": {"channel": 1},
    },
    "reference": "R",
    "expiresAt": "2025-10-06T14:00:00.5Z",
    "timestamp": "1728201600",
}
_ENVELOPE = {
    "status": "success",
    "message": "Order already has a fulfillment (Status: success, TxID: T)",
    "data": {"id": "o", "status": "pending", "amount": "75375", "rate": "1500", "orders": [{}]},
}
_TRANSFER = {
    "id": "t",
    "amount": "75375.00",
    "fee": "10",
    "type": "debit",
    "status": "failed",
    "clientReference": "ref-1",
    "accountId": "acc_1",
    "reasonForFailure": "Timeout at destination bank",
    "details": {"accountNumber": "0123456789", "bank": {"code": "000013"}},
}


def _lenco(**changes: object) -> dict[str, object]:
    """An answer about a transfer, some of its fields changed."""
    request = {"reference": "ref-1", "amount": "75375"}
    return {
        "status": True,
        "message": "Transaction was not found",
        "errorCode": "04",
        "errors": {"ref-1": {"errorCode": 4}},
        "meta": {"pageCount": 2},
        "data": {"request": request, "transaction": {**_TRANSFER, **changes}},
    }


# Of another transfer than ours, each in one of the figures that tell them apart.
_LENCO_OTHERS = (
    _lenco(amount="75375.01"),
    _lenco(amount=None, status="successful"),
    _lenco(clientReference="ref-2", status="successful"),
    _lenco(details={"accountNumber": "0123456780"}, status="successful"),
    _lenco(status="declined"),
)
_EVENT = {"event": "transaction.successful", "data": {**_TRANSFER, "completedAt": "2025-10-06"}}
_INTENT = {
    "id": "pi_1",
    "object": "payment_intent",
    "status": "succeeded",
    "amount": 1000,
    "amount_received": 1000,
    "currency": "eur",
    "metadata": {"tidegate_payment": "pay_1", "tidegate_node": "node_1"},
    "latest_charge": {"captured": True, "balance_transaction": {"object": "balance_transaction"}},
    "last_payment_error": {"code": "card_declined", "type": "card_error", "message": "No."},
    "next_action": {"type": "redirect_to_url", "redirect_to_url": {"url": "https://x.example"}},
}
_DISPUTE = {
    "id": "dp_1",
    "object": "dispute",
    "status": "needs_response",
    "amount": 1000,
    "currency": "eur",
    "payment_intent": {"id": "pi_1"},
    "balance_transactions": [
        {"id": "txn_1", "object": "balance_transaction", "amount": -1, "fee": 2, "currency": "eur"}
    ],
}
_REFUND = {**_DISPUTE, "object": "refund", "status": "failed", "failure_reason": "lost"}
_METHOD = {"object": "payment_method", "id": "pm_1", "type": "card", "card": {"brand": "visa"}}
_LIST = {"object": "list", "data": [{"id": "evt_1"}], "has_more": False}
_REFUSED = {"error": {**_METHOD, "code": "x", "type": "card_error", "payment_intent": _INTENT}}
_STRIPE_EVENT = {
    "id": "evt_1",
    "type": "payment_intent.succeeded",
    "created": 1,
    "livemode": False,
    "data": {"object": _INTENT},
}
_DATABASES = (
    b"sqlite:///tidegate.db",
    b"sqlite:////data/a%20b%3Fc.db",
    b"./books.sqlite3",
    b"postgres://me:p%40ss@db.example:5432/books?sslmode=require&connect_timeout=10",
    b"postgresql+asyncpg://[::1]:6432/books?target_session_attrs=primary&options=-c%20a%3Db",
    b"postgresql://:pw@db.example/books",
    b"postgresql:///books?host=db/example",
    b"postgresql:///books?host=/run/postgresql&user=me&application_name=x&pgbouncer=true",
)
_ENV = b'DEBUG=true\nCURRENCIES=NGN,KES\nMAX_ORDER_AMOUNT="5"\nexport LENCO_API_KEY=${X:-y}\n'
_TEXTS = (
    b"4111 1111 1111 1111",
    b'{"card":"4111-1111-1111-1111","n":5500005555555559,"authorization":"Bearer x"}',
    b"id 550e8400-e29b-41d4-a716-446655440000, +234 803 123 4567, GB82 WEST 1234 5698 7654 32",
    "4111\u00a01111\u20101111\u20111111 \u0664\u0661\u0661\u0661".encode(),
    b"account_number=0123456789&secret=whsec_abc ada@example.com",
)

TARGETS: Final[Mapping[str, Target]] = {
    "json_object": Target(wire.json_object, _json(_SPEC_ORDER), _JSON_WORDS_ODD),
    "aggregator_message": Target(
        wire.aggregator_message, _json(_ORDER, _SPEC_ORDER), (*_JSON_WORDS_ODD, b"\\u0000")
    ),
    "aggregator_answer": Target(
        wire.aggregator_answer, _json(_ENVELOPE, before=b"\x00\x65"), _JSON_WORDS
    ),
    "signature": Target(wire.signature, (b"HMAC client:00\n{}", b"0" * 64 + b"\na=1&timestamp=5")),
    "amount": Target(wire.amount, (b"\x0050000.00", b"\x021.005e2", b"\x012025-10-06T14:00:00Z")),
    "aggregator_address": Target(
        wire.aggregator_address, (b"https://api.example/v1/provider", b"http://[::1]:80/x/v2")
    ),
    "lenco_answer": Target(
        companies.lenco_answer,
        (
            *_json(_lenco(), _lenco(status="successful"), *_LENCO_OTHERS, before=b"\x00"),
            *_json({**_lenco(), "data": [{"code": "1", "name": "B"}]}, before=b"\x00"),
            *_json({**_lenco(), "status": False}, before=b"\x05"),
        ),
        (*_JSON_WORDS, b'"successful"', b'"declined"'),
    ),
    "lenco_webhook": Target(companies.lenco_webhook, _json(_EVENT), _JSON_WORDS_ODD),
    "stripe_header": Target(
        companies.stripe_header, (b"t=1728201600,v1=" + b"0" * 64 + b"\n{}", b"t=1,t=2,v0=a\n")
    ),
    "stripe_event": Target(companies.stripe_event, _json(_STRIPE_EVENT), _JSON_WORDS),
    "stripe_answer": Target(
        companies.stripe_answer,
        (
            *_json(_INTENT, _REFUND, _DISPUTE, _METHOD, _LIST, before=b"\x00"),
            *_json(_REFUSED, before=b"\x03"),
        ),
        (*_JSON_WORDS, b'"jpy"', b'"canceled"'),
    ),
    "database_url": Target(own.database_url, _DATABASES, (b"://", b"%40", b"@", b"?", b"&", b"=")),
    "setting": Target(own.setting, tuple(bytes([n]) + b"NGN:5,KES:1" for n in range(0, 80, 8))),
    "env_file": Target(own.env_file, (_ENV,), (b"export ", b"'", b"${", b"}", b"\\", b"#")),
    "cursor": Target(own.cursor, (own.CURSOR,)),
    "card_filter": Target(own.card_filter, _TEXTS),
    "request_body": Target(own.request_body, _json(_SPEC_ORDER, {"a": [1.5, 10**30]}), _JSON_WORDS),
    "retry_after": Target(
        own.retry_after,
        (
            *(b"120", b"Sun, 06 Oct 2024 08:00:30 GMT", b"Sun Oct  6 08:00:30 2024 +0100"),
            # A year and a zone that are numbers, and no date.
            *(b"Mon, 01 Jan 99999999999 00:00:00 GMT", b"Mon, 01 Jan 2024 00:00:00 +" + b"9" * 16),
        ),
    ),
    "address": Target(
        own.address,
        (
            *(b"https://shop.example/hook", b"https://[2606:4700::1]:8443/", b"127.0.0.1"),
            b"https://[2606:4700::1]:8443@/",
        ),
    ),
    "email": Target(own.email, (b"Ada@Example.com", "\u00e5sa@stra\u00dfe.example".encode())),
    "access_token": Target(own.access_token, (own.TOKEN.encode(), b"e30.e30.e30")),
}
