"""The bank's envelope on the wire (psp.md 1.1), and what a broken bank answers instead."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from tidegate.sandbox.bank.desk import Refusal
from tidegate.sandbox.faults import BankFault

__all__ = ["broken", "failure", "good", "plain_json", "refused"]

_JSON = {"Content-Type": "application/json; charset=utf-8"}
_dumps = json.JSONEncoder(separators=(",", ":")).encode

_HTML_502 = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n"
    b"<body><h1>502 Bad Gateway</h1></body>\r\n</html>\r\n"
)


def good(data: Any, meta: Mapping[str, int] | None = None) -> web.Response:
    """HTTP 200, ``{"status": true, "message": "", "data": ..., "meta"?: ...}``."""
    envelope: dict[str, Any] = {"status": True, "message": "", "data": data}
    if meta is not None:
        envelope["meta"] = meta
    return plain_json(envelope)


def failure(status: int, message: str, **more: Any) -> web.Response:
    """``{"status": false, "message": ..., "data": [], ...}`` under the given HTTP status."""
    return plain_json({"status": False, "message": message, "data": [], **more}, status)


def refused(refusal: Refusal) -> web.Response:
    """HTTP 400 with ``errorCode`` and ``errors`` where the refusal has them."""
    more: dict[str, Any] = {}
    if refusal.code is not None:
        more["errorCode"] = refusal.code
    if refusal.errors:
        more["errors"] = refusal.errors
    return failure(400, refusal.message, **more)


def plain_json(content: Any, status: int = 200) -> web.Response:
    """Any JSON."""
    return web.Response(body=_dumps(content).encode(), status=status, headers=_JSON)


def broken(fault: BankFault, *, retry_after_s: int) -> web.Response:
    """The answer that a passing fault puts in place of the true one."""
    match fault:
        case BankFault.ERROR_503_BEFORE | BankFault.ERROR_503_AFTER:
            return failure(503, "Service unavailable")
        case BankFault.HTML_502_BEFORE | BankFault.HTML_502_AFTER:
            return web.Response(body=_HTML_502, status=502, content_type="text/html")
        case BankFault.STATUS_FALSE_BEFORE | BankFault.STATUS_FALSE_AFTER:
            return failure(200, "Something went wrong")
        case BankFault.UNAUTHORISED | BankFault.LOOKUP_401:
            return failure(401, "Unauthorized")
        case BankFault.RATE_LIMITED:
            answer = failure(429, "Too many requests")
            answer.headers["Retry-After"] = str(retry_after_s)
            return answer
        case _:
            return failure(500, "Something went wrong")
