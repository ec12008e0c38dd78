"""The official SDK over our own connections.

The SDK spells requests: addresses, form encoding, the pinned version, the idempotency key. What
comes back is kept here as it came, with the exchange for the record, and read in ``outcomes``:
the SDK's exceptions leave out what decides (no code on 401, 409 and 429, nothing about whether
the request left), and its objects may raise anything on a body that is not Stripe's.

Its transport is ours, so a call has the connector, the time limit and the exact difference between
*not reached* and *unknown* of ``adapters.http``; no proxies, no redirects, no second try.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Final

import stripe

from tidegate import __version__
from tidegate.adapters.exchanges import exchange_of
from tidegate.adapters.http import Answer, Failure, FailureKind, HttpClient, Method
from tidegate.adapters.tries import retry_after_s
from tidegate.clock import Clock
from tidegate.db.exchanges import Exchange

__all__ = ["API_VERSION", "Connection", "Said", "Send"]

API_VERSION: Final = "2026-10-28.endive"
"""The version that this SDK was made for. Written out, so that neither the account's default in
the dashboard nor an update of the SDK changes the meaning of an answer unseen."""

Send = Callable[[stripe.StripeClient], Awaitable[object]]
"""One call of the SDK."""

# The SDK adds headers about the machine and its environment; none of them goes out.
_HEADERS: Final = ("Authorization", "Content-Type", "Idempotency-Key", "Stripe-Version")
_USER_AGENT: Final = f"Stripe/v1 PythonBindings/{stripe.VERSION} tidegate/{__version__}"

_CLIENT_SECRET: Final = re.compile(rb"(_secret_)[A-Za-z0-9]+")


@dataclass(frozen=True, slots=True)
class Said:
    """How a call ended. ``status`` is ``None`` without an answer, ``tree`` when its body is no JSON
    object; ``replayed``: it is the stored answer to an earlier request with the same key."""

    status: int | None
    tree: Mapping[str, Any] | None
    failure: Failure | None
    retry_after_s: float | None
    replayed: bool
    exchange: Exchange


@dataclass(slots=True)
class _Call:
    verb: str
    timeout_s: float
    said: Said | None = None


# The SDK hands its transport no context of ours; the task that calls does.
_CALL: ContextVar[_Call] = ContextVar("stripe_call")


class Connection:
    """One account at Stripe, or at a double of it. :meth:`close` closes ``http``."""

    def __init__(self, api_key: str, api_base: str, http: HttpClient, clock: Clock) -> None:
        # Module state, because there is no option of a client for it: switched on, the SDK tells
        # about latencies and writes an id into the home directory.
        stripe.enable_telemetry = False
        # Its debug log repeats bodies, client secrets and all.
        logging.getLogger("stripe").setLevel(logging.WARNING)
        self._base = api_base.rstrip("/")
        self._http = http
        self._clock = clock
        self._sdk = stripe.StripeClient(
            api_key,
            stripe_version=API_VERSION,
            base_addresses={
                "api": self._base,
                "connect": self._base,
                "files": self._base,
                "meter_events": self._base,
            },
            max_network_retries=0,
            http_client=_Transport(http, clock, api_key),
        )

    async def call(self, verb: str, send: Send, timeout_s: float) -> Said:
        """Make one request, exactly once, in at most ``timeout_s``; ``verb`` is for the record."""
        call = _Call(verb, timeout_s)
        token = _CALL.set(call)
        try:
            await send(self._sdk)
        except stripe.StripeError:
            if call.said is None:
                raise
        except Exception:
            # The answer is on record and is read without the SDK, which may stumble over a body
            # that is not Stripe's. Without an answer it is a fault of ours.
            if call.said is None:
                raise
        finally:
            _CALL.reset(token)
        assert call.said is not None, "the SDK returned without a request"
        return call.said

    def unsent(self, verb: str, path: str, why: str) -> Exchange:
        """The record of a call that was refused here, before it was made."""
        refusal = Failure(FailureKind.NOT_REACHED, why, 0)
        return exchange_of(
            self._http.name,
            verb,
            "POST",
            f"{self._base}{path}",
            None,
            refusal,
            self._clock.now_ms(),
        )

    async def close(self) -> None:
        await self._http.close()


class _Transport(stripe.HTTPClient):
    """What the SDK sends through; writes into the call that is under way in this task."""

    name = "tidegate"

    def __init__(self, http: HttpClient, clock: Clock, api_key: str) -> None:
        super().__init__()
        self._http = http
        self._clock = clock
        self._key = api_key.encode()

    async def request_async(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        post_data: Any = None,
    ) -> tuple[bytes, int, Mapping[str, str]]:
        call = _CALL.get()
        assert call.said is None, "one call is one request"
        spelt: Method = "GET" if method == "get" else "POST"
        body = post_data.encode() if post_data is not None else None
        started_ms = self._clock.now_ms()
        ended = await self._http.request(
            spelt,
            url,
            headers={
                **{name: headers[name] for name in _HEADERS if name in headers},
                "User-Agent": _USER_AGENT,
            },
            body=body,
            timeout_s=call.timeout_s,
        )
        call.said = self._said(call.verb, spelt, url, body, ended, started_ms)
        if isinstance(ended, Failure):
            raise stripe.APIConnectionError(ended.why)  # type: ignore[no-untyped-call]  # the SDK's own
        # No headers: the SDK would act on two of them, a notice and its own metrics. No body: it
        # would make objects of all of it, a page of events included, that nobody looks at.
        return b"{}", ended.status, {}

    async def close_async(self) -> None:
        await self._http.close()

    def _said(
        self,
        verb: str,
        method: Method,
        url: str,
        body: bytes | None,
        ended: Answer | Failure,
        started_ms: int,
    ) -> Said:
        shown = ended
        if isinstance(ended, Answer):
            shown = replace(ended, body=self._without_secrets(ended.body))
        exchange = exchange_of(self._http.name, verb, method, url, body, shown, started_ms)
        if isinstance(ended, Failure):
            return Said(None, None, ended, None, False, exchange)
        return Said(
            ended.status,
            _object(ended.body),
            None,
            retry_after_s(ended.headers, self._clock),
            ended.headers.get("Idempotent-Replayed", "").lower() == "true",
            exchange,
        )

    def _without_secrets(self, body: bytes) -> bytes:
        """Redaction goes by key; these two also turn up inside sentences and addresses."""
        if self._key:
            body = body.replace(self._key, b"***")
        return _CLIENT_SECRET.sub(rb"\1***", body)


def _object(body: bytes) -> Mapping[str, Any] | None:
    try:
        tree = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return tree if isinstance(tree, dict) else None
