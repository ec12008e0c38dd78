"""Lenco v1 over HTTP: addresses, the token, the envelope, and which calls may be repeated.

Nothing here knows what an answer means for a payout; that is ``reading``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote, urlencode

from tidegate.adapters.exchanges import exchange_of
from tidegate.adapters.http import Answer, Failure, HttpClient, Method
from tidegate.adapters.tries import retry_after_s, with_tries
from tidegate.clock import Clock
from tidegate.db.exchanges import Exchange

__all__ = ["LOOKUP_BUDGET_S", "SUBMIT_TIMEOUT_S", "Envelope", "LencoClient", "Said"]

SUBMIT_TIMEOUT_S: Final = 30.0
"""For the queued ``POST /transfer`` (contracts/psp.md 3.3)."""

LOOKUP_BUDGET_S: Final = 30.0
"""For one question, all its tries and pauses together."""

_TRIES: Final = 3
_TRY_TIMEOUT_S: Final = 12.0

# A question that ended so may be put again at once; 401, 403 and other refusals stay what they are.
_PASSING_HTTP: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Envelope:
    """``{"status", "message", "data", "errorCode"?, "errors"?, "meta"?}`` (1.1), JSON checked.

    ``ok`` is the envelope's ``status``; ``code`` is the two-digit ``errorCode``, also when it
    stands in ``errors`` only; ``errors`` are (code, message) of its entries, each with what it
    says; numbers within ``data`` are ``Decimal`` or ``int``.
    """

    ok: bool
    message: str
    data: Any
    code: str | None
    errors: tuple[tuple[str | None, str], ...]
    pages: int


@dataclass(frozen=True, slots=True)
class Said:
    """How a call ended: ``http`` is ``None`` without an answer, ``envelope`` if it was no Lenco."""

    http: int | None
    envelope: Envelope | None
    failure: Failure | None
    retry_after_s: float | None
    exchange: Exchange


class LencoClient:
    """One account's connection to Lenco. ``base_url`` ends in ``/access/v1``."""

    def __init__(self, base_url: str, api_key: str, http: HttpClient, clock: Clock) -> None:
        self._base = base_url.rstrip("/")
        self._http = http
        self._clock = clock
        bearer = f"Bearer {api_key}"
        self._get_headers = {"Authorization": bearer}
        self._post_headers = {"Authorization": bearer, "Content-Type": "application/json"}

    async def get(self, verb: str, *path: str, query: Mapping[str, str] | None = None) -> Said:
        """Ask; up to 3 tries within ``LOOKUP_BUDGET_S``, ``Retry-After`` honoured if it fits.

        ``path`` are segments, quoted here.
        """
        url = "/".join([self._base, *(quote(segment, safe="") for segment in path)])
        if query:
            url = f"{url}?{urlencode(query)}"
        started_ms = self._clock.now_ms()

        async def call(left_s: float) -> Answer | Failure:
            nonlocal started_ms
            started_ms = self._clock.now_ms()
            return await self._http.request(
                "GET",
                url,
                headers=self._get_headers,
                body=None,
                timeout_s=min(_TRY_TIMEOUT_S, left_s),
            )

        ended = await with_tries(
            call,
            budget_s=LOOKUP_BUDGET_S,
            again=_may_ask_again,
            asked_s=self._asked_s,
            clock=self._clock,
            randomness=self._http.randomness,
        )
        return self._said(verb, "GET", url, None, ended, started_ms)

    async def post_transfer(self, body: bytes) -> Said:
        """``POST /transfer``, exactly once, whatever happens."""
        url = f"{self._base}/transfer"
        started_ms = self._clock.now_ms()
        ended = await self._http.request(
            "POST", url, headers=self._post_headers, body=body, timeout_s=SUBMIT_TIMEOUT_S
        )
        return self._said("submit", "POST", url, body, ended, started_ms)

    async def close(self) -> None:
        await self._http.close()

    def _asked_s(self, ended: Answer | Failure) -> float | None:
        return retry_after_s(ended.headers, self._clock) if isinstance(ended, Answer) else None

    def _said(
        self,
        verb: str,
        method: Method,
        url: str,
        body: bytes | None,
        ended: Answer | Failure,
        started_ms: int,
    ) -> Said:
        exchange = exchange_of(self._http.name, verb, method, url, body, ended, started_ms)
        if isinstance(ended, Failure):
            return Said(None, None, ended, None, exchange)
        return Said(ended.status, _envelope(ended.body), None, self._asked_s(ended), exchange)


def _may_ask_again(ended: Answer | Failure, number: int) -> bool:
    passing = isinstance(ended, Failure) or ended.status in _PASSING_HTTP
    return passing and number < _TRIES


def _envelope(body: bytes) -> Envelope | None:
    try:
        tree = json.loads(body, parse_float=Decimal)
    except (ValueError, RecursionError):
        return None
    if not isinstance(tree, dict) or not isinstance(tree.get("status"), bool):
        return None
    message = tree.get("message")
    meta = tree.get("meta")
    pages = meta.get("pageCount") if isinstance(meta, dict) else None
    return Envelope(
        ok=tree["status"],
        message=message if isinstance(message, str) else "",
        data=tree.get("data"),
        code=_code(tree.get("errorCode")) or _only(tree.get("errors")),
        errors=_errors(tree.get("errors")),
        pages=pages if type(pages) is int else 1,
    )


def _code(value: object) -> str | None:
    if type(value) is int:
        return f"{value:02d}"
    return value.strip() if isinstance(value, str) and value.strip() else None


def _only(errors: object) -> str | None:
    """The code of ``{"<reference>": {"errorCode": ..}}``; we never send more than one transfer."""
    entries = _errors(errors) if isinstance(errors, dict) else ()
    return entries[0][0] if len(entries) == 1 else None


def _errors(errors: object) -> tuple[tuple[str | None, str], ...]:
    """Every entry. A list, or a bare text for an entry, is not documented and read all the same:
    what it says must not be missed."""
    if isinstance(errors, dict):
        errors = list(errors.values())
    return tuple(_entry(entry) for entry in errors) if isinstance(errors, list) else ()


def _entry(entry: object) -> tuple[str | None, str]:
    if not isinstance(entry, dict):
        return None, entry if isinstance(entry, str) else ""
    message = entry.get("errorMessage")
    return _code(entry.get("errorCode")), message if isinstance(message, str) else ""
