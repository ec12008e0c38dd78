"""What the document shows of the node's routes: bodies and answers (aggregator.md 3).

The node reads raw bytes, because signatures are over bytes; so the framework has no models of
these calls to draw. What is marked as required is what a call is refused without; an authentic
offer with an order id is kept whatever else it lacks (A4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

__all__ = ["NODE_OPERATIONS"]

_Schema = dict[str, Any]

_ORDER = "550e8400-e29b-41d4-a716-446655440000"
_PENDING = {"orderId": _ORDER, "status": "pending"}
_ORDER_ID: Final[_Schema] = {"type": "string", "pattern": r"^(?!\.+$)[A-Za-z0-9._-]{1,64}$"}
_TEXT: Final[_Schema] = {"type": ["string", "null"]}
# Text that a database can hold.
_NAME: Final[_Schema] = {"type": "string", "minLength": 1, "pattern": r"^[^\u0000]+$"}
_ANYTHING: Final[_Schema] = {}
_AMOUNT: Final[_Schema] = {
    "type": ["string", "number", "null"],
    "description": "Major units, best as a string.",
}
_TIMESTAMP: Final[_Schema] = {
    "type": ["number", "string", "null"],
    "description": "Unix seconds.",
    "minimum": -(10**15),
    "maximum": 10**15,
    "pattern": r"^-?[0-9]{1,15}(\.[0-9]{1,40})?$",
}
_RECIPIENT: Final[_Schema] = {
    "type": ["object", "null"],
    "properties": {
        "institution": _TEXT,
        "accountIdentifier": _TEXT,
        "accountName": _TEXT,
        "memo": _TEXT,
        "metadata": {"type": ["object", "null"]},
    },
}


def _body(example: Mapping[str, Any], schema: Mapping[str, Any]) -> _Schema:
    return {
        "required": True,
        "content": {
            "application/json": {"schema": {"type": "object", **schema}, "example": example}
        },
    }


def _envelope(status: str, message: str, data: Any) -> _Schema:
    schema = {
        "type": "object",
        "required": ["status", "message", "data"],
        "properties": {
            "status": {"type": "string", "enum": ["success", "error"]},
            "message": {"type": "string"},
            "data": {},
        },
    }
    example = {"status": status, "message": message, "data": data}
    return {"application/json": {"schema": schema, "example": example}}


def _answers(message: str, data: Any, *errors: int) -> _Schema:
    success = {"description": message, "content": _envelope("success", message, data)}
    return {"200": success, **_refusals(errors)}


def _refusals(errors: Sequence[int]) -> _Schema:
    told = {status: _REFUSED[status] for status in errors}
    return {
        str(status): {
            "description": message,
            "content": _envelope("error", message, None if code is None else {"code": code}),
        }
        for status, (message, code) in told.items()
    }


_REFUSED: Final[Mapping[int, tuple[str, str | None]]] = {
    400: ("The request cannot be understood.", "bad_input"),
    401: ("The signature is missing or does not fit the body.", "INVALID_SIGNATURE"),
    404: ("There is nothing under this id.", "not_found"),
    409: ("An order with this id and other figures is already in progress.", "DUPLICATE_ORDER"),
    413: ("The body is larger than 64 KiB.", "body_too_large"),
    415: ("The body is not of a type that is read here.", "unsupported_media_type"),
    422: ("The order is refused.", "refused"),
    501: ("This node pays out only.", None),
    503: ("Not ready", None),
}


def _signed(header: str, description: str) -> list[_Schema]:
    return [
        {
            "name": header,
            "in": "header",
            "required": True,
            "description": description,
            "schema": {"type": "string"},
        }
    ]


_LIVE: Final = _signed(
    "X-Request-Signature", "HMAC-SHA256 of the bytes of the body, in lower-case hex."
)
_WEBHOOK: Final[_Schema] = {
    "description": "Signed in the PSP's own way, and read after it was kept.",
    "requestBody": _body(
        {
            "event": "transaction.successful",
            "data": {"id": "8f6c", "clientReference": "tg-k3j5x7q2m4n6p2r7s3t2v4-01"},
        },
        {
            "required": ["event"],
            "properties": {
                "event": {"type": "string", "minLength": 1, "maxLength": 100},
                "data": {"description": "The event's own."},
            },
        },
    ),
    "responses": _answers("Received", None, 400, 401, 404, 413),
}
_NOT_BUILT: Final[_Schema] = {"parameters": _LIVE, "responses": _refusals([401, 413, 501])}

NODE_OPERATIONS: Final[Mapping[tuple[str, str], Mapping[str, Any]]] = {
    ("post", "/new_order"): {
        "parameters": _LIVE,
        "requestBody": _body(
            {
                "amount": "75375",
                "currency": "NGN",
                "institution": "ABNGNGLA",
                "orderId": _ORDER,
                "excludePsps": ["lenco"],
            },
            {
                "required": ["orderId"],
                "properties": {
                    "amount": _AMOUNT,
                    "currency": _TEXT,
                    "institution": _TEXT,
                    "orderId": _ORDER_ID,
                    "excludePsps": {"type": ["array", "null"], "items": {"type": "string"}},
                    "direction": {
                        **_TEXT,
                        "description": "`payout` when left out; `payin` is answered 501.",
                    },
                    "timestamp": _TIMESTAMP,
                },
            },
        ),
        "responses": _answers("Order received", _PENDING, 400, 401, 413, 415, 501),
    },
    ("post", "/orders"): {
        "parameters": _signed(
            "Authorization", "`HMAC <client id>:<HMAC-SHA256 of the body in lower-case hex>`."
        ),
        "requestBody": _body(
            {
                "orderId": _ORDER,
                "amount": 75375,
                "currency": "NGN",
                "token": "USDT",
                "tokenAmount": 50,
                "network": "base",
                "recipient": {
                    "institution": "ABNGNGLA",
                    "accountIdentifier": "0123456789",
                    "accountName": "Ada Obi",
                    "memo": "Invoice 7",
                },
                "reference": "invoice-7",
                "expiresAt": "2026-11-21T12:00:00Z",
            },
            {
                "required": ["orderId", "amount", "currency", "recipient"],
                "properties": {
                    "orderId": _ORDER_ID,
                    "amount": {**_AMOUNT, "type": ["string", "number"], "minLength": 1},
                    "currency": _NAME,
                    "token": _ANYTHING,
                    "tokenAmount": _ANYTHING,
                    "network": _ANYTHING,
                    "recipient": {**_RECIPIENT, "type": "object"},
                    "reference": _TEXT,
                    "expiresAt": {**_TEXT, "description": "RFC 3339."},
                    "timestamp": {
                        **_TIMESTAMP,
                        "description": "Unix seconds, at most five minutes from now.",
                    },
                },
            },
        ),
        "responses": {
            **_answers("Order received", _PENDING, 401, 409, 413, 415, 422),
            "400": {
                "description": "The body is no offer.",
                "content": _envelope("error", "Invalid request payload", None),
            },
        },
    },
    ("post", "/tx_status"): {
        "parameters": _LIVE,
        "requestBody": _body(
            {"currency": "NGN", "reference": _ORDER},
            {
                "anyOf": [{"required": ["reference"]}, {"required": ["orderId"]}],
                "properties": {
                    "reference": {**_ORDER_ID, "description": "The order's id."},
                    "orderId": {**_ORDER_ID, "description": "The same, where there is none."},
                    "currency": _ANYTHING,
                    "psp": _ANYTHING,
                    "txId": _ANYTHING,
                },
            },
        ),
        # Never 400: it would hand an order that may be paid to somebody else (3.2).
        "responses": _answers(
            "Transaction pending",
            {"status": "pending", "psp": "", "txId": "", "error": ""},
            *(401, 404, 413, 415, 422),
        ),
    },
    ("post", "/verify_account"): {
        "parameters": _LIVE,
        "requestBody": _body(
            {"accountIdentifier": "0123456789", "institution": "ABNGNGLA"},
            {
                "required": ["accountIdentifier", "institution"],
                "properties": {"accountIdentifier": _NAME, "institution": _NAME},
            },
        ),
        "responses": _answers("Account verified", "ADA OBI", 400, 401, 404, 413, 415),
    },
    ("post", "/tx_refund"): _NOT_BUILT,
    ("post", "/request_authorization"): _NOT_BUILT,
    ("post", "/webhooks/psp"): _WEBHOOK,
    ("post", "/webhooks/psp/{psp}"): _WEBHOOK,
    ("get", "/health"): {
        "responses": _answers("Node is live", {"currencies": ["NGN"], "version": "1.0.0"})
    },
    ("get", "/ready"): {
        "responses": _answers("Ready", {"checks": {"database": "ok", "migrations": "ok"}}, 503)
    },
    ("get", "/info"): {
        "responses": _answers(
            "OK",
            {
                "serviceInfo": {
                    "currencies": ["NGN"],
                    "version": "1.0.0",
                    "mode": "automatic",
                    "totalPSPs": 1,
                    "lastUpdated": "2026-11-21T12:00:00.000Z",
                },
                "totalBalances": {
                    "NGN": {"availableBalance": "50000.00", "totalBalance": "100000.00"}
                },
            },
        )
    },
}
