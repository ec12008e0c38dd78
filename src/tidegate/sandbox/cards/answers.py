"""Answers on the wire, and what a broken processor or its proxy answers instead."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from tidegate.sandbox.cards.refusals import Refusal
from tidegate.sandbox.faults import CardFault

__all__ = ["broken", "encoded", "raw", "refused", "server_error"]

_dumps = json.JSONEncoder(separators=(",", ":")).encode
_HTML_502: Final = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n"
    b"<body><h1>502 Bad Gateway</h1></body>\r\n</html>\r\n"
)


def encoded(content: Any) -> bytes:
    """Compact JSON."""
    return _dumps(content).encode()


def raw(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """JSON that is encoded already."""
    return web.Response(
        body=body, status=status, headers={"Content-Type": "application/json", **(headers or {})}
    )


def refused(refusal: Refusal, request_id: str) -> bytes:
    """``{"error": {...}}``."""
    error = refusal.error_json()
    error["request_log_url"] = f"https://dashboard.stripe.com/test/logs/{request_id}"
    return encoded({"error": error})


def server_error(request_id: str) -> bytes:
    """The body of HTTP 500 and 503."""
    return refused(
        Refusal("An unknown error occurred on our side.", status=500, kind="api_error"), request_id
    )


def broken(fault: CardFault, request_id: str, *, retry_after_s: int) -> web.Response:
    """The answer that a passing fault puts in place of the true one."""
    match fault:
        case CardFault.HTML_502 | CardFault.HTML_502_AFTER:
            return web.Response(body=_HTML_502, status=502, content_type="text/html")
        case CardFault.ERROR_503:
            return raw(server_error(request_id), 503)
        case CardFault.RATE_LIMITED:
            limit = Refusal("Too many requests.", code="rate_limit")
            headers = {"Retry-After": str(retry_after_s), "Stripe-Should-Retry": "true"}
            return raw(refused(limit, request_id), 429, headers)
        case CardFault.LOCK_TIMEOUT:
            lock = Refusal("Another request holds this object.", code="lock_timeout")
            return raw(refused(lock, request_id), 429, {"Stripe-Should-Retry": "true"})
        case _:
            return raw(server_error(request_id), 500)
