"""One call of the API, from its headers to its answer: key, idempotency, faults, act."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
from collections import Counter
from collections.abc import Callable
from typing import Final

from aiohttp import web

from tidegate.sandbox.bank.patience import Patience
from tidegate.sandbox.cards.answers import broken, encoded, raw, refused, server_error
from tidegate.sandbox.cards.events import Events
from tidegate.sandbox.cards.form import Params, parse
from tidegate.sandbox.cards.keys import Keys, Stored
from tidegate.sandbox.cards.refusals import Refusal
from tidegate.sandbox.cards.routes import Routes, Task
from tidegate.sandbox.cards.store import Store
from tidegate.sandbox.cards.terms import Terms
from tidegate.sandbox.faults import CardFault, CardFaults

__all__ = ["PREFIX", "Service"]

PREFIX: Final = "/v1/"

# Each tuple is tried in this order; at most one of each strikes a call.
_BEFORE: Final = (
    CardFault.REFUSE_CONNECTION,
    CardFault.RATE_LIMITED,
    CardFault.LOCK_TIMEOUT,
    CardFault.DROP_BEFORE,
    CardFault.ERROR_503,
    CardFault.HTML_502,
)
_AFTER: Final = (CardFault.DROP_AFTER, CardFault.HTML_502_AFTER)
_ON_LOOKUP: Final = (CardFault.RATE_LIMITED, CardFault.LOOKUP_500)
_CUT: Final = (CardFault.REFUSE_CONNECTION, CardFault.DROP_BEFORE, CardFault.DROP_AFTER)
# https://docs.stripe.com/changelog/endive/2026-09-30
_WITHOUT_TYPES: Final = "2026-09-30"
_INTENTS: Final = ("payment_intents", "setup_intents")
_CORS: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": "authorization, content-type, stripe-version, idempotency-key",
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Max-Age": "300",
}


class Service:
    """Answers ``/v1/...``; ``refuse`` closes the door for a while."""

    def __init__(
        self,
        store: Store,
        routes: Routes,
        events: Events,
        patience: Patience,
        faults: CardFaults,
        terms: Terms,
        *,
        api_key: str,
        publishable_key: str,
        delay_s: float,
        refuse: Callable[[], None],
    ) -> None:
        self.requests: Counter[str] = Counter()
        self.keys = Keys(store.clock, terms.key_s)
        self._store = store
        self._routes = routes
        self._events = events
        self._patience = patience
        self._faults = faults
        self._terms = terms
        self.api_key = api_key
        self._publishable_key = publishable_key
        self._delay_s = delay_s
        self._refuse = refuse

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Any request under the prefix."""
        if request.method == "OPTIONS":
            return web.Response(status=204, headers=_CORS)
        request_id = self._store.new_id("req")
        headers = {
            "Request-Id": request_id,
            "Stripe-Version": request.headers.get("Stripe-Version", self._terms.api_version),
            "Access-Control-Allow-Origin": "*",
        }
        path = request.path[len(PREFIX) :].split("/")
        try:
            self._admit(request, path)
            if request.method == "GET":
                response = await self._read(request, path, request_id)
            elif request.method == "POST":
                response = await self._write(request, path, request_id)
            else:
                raise Refusal(f"{request.method} is not played here.", status=404)
        except Refusal as refusal:
            self.requests["refused"] += 1
            response = raw(refused(refusal, request_id), refusal.status)
        response.headers.update(headers)
        return response

    def _admit(self, request: web.BaseRequest, path: list[str]) -> None:
        """401 unless the key is ours; a publishable one may make payment methods only."""
        given = _key(request.headers.get("Authorization", ""))
        if given == self.api_key:
            return
        if given != self._publishable_key:
            words = "Invalid API key" if given else "No API key was given"
            raise Refusal(f"{words}: use Authorization: Bearer sk_test_...", status=401)
        if request.method != "POST" or path != ["payment_methods"]:
            raise Refusal("A secret key is needed.", status=401, code="secret_key_required")

    # -- reads ----------------------------------------------------------------------------------

    async def _read(
        self, request: web.BaseRequest, path: list[str], request_id: str
    ) -> web.Response:
        self.requests[f"GET {path[0]}"] += 1
        payment, names = self._routes.names(path)
        plan = self._faults.plan
        names = (payment, "lookup", *names)
        faults = plan.for_key(f"lookup:{payment}", *names)
        if faults:
            for fault in _ON_LOOKUP:
                if fault in faults and plan.strike(fault, f"lookup:{payment}", *names):
                    return broken(fault, request_id, retry_after_s=self._faults.retry_after_s)
            late = CardFault.LOOKUP_TIMEOUT
            if late in faults and plan.strike(late, f"lookup:{payment}", *names):
                await self._patience.pause(self._faults.too_slow_s)
        return raw(self._routes.read(path, parse(request.query_string)))

    # -- writes ---------------------------------------------------------------------------------

    async def _write(
        self, request: web.BaseRequest, path: list[str], request_id: str
    ) -> web.Response:
        params = parse((await request.read()).decode(errors="replace"))
        key = request.headers.get("Idempotency-Key", "")
        _refuse_gone(path, params, request.headers.get("Stripe-Version", self._terms.api_version))
        task = self._routes.write(path, params, key)
        self.requests[task.step] += 1
        names = (task.payment, task.step, *task.names)
        strikes = _Strikes(self._faults, f"{task.step}:{task.payment}", names)
        for fault in _BEFORE:
            if strikes(fault):
                return self._break(fault, request, request_id)
        first = None
        if key:
            fingerprint = _fingerprint(request.path, params)
            first = self.keys.begin(key, fingerprint, request_id)
        if first is not None:
            self.requests["replayed"] += 1
            response = raw(first.body, first.status)
        else:
            response = await self._run(task, params, key, request_id, strikes)
        if key:
            response.headers.update(_about_key(key, first, request_id))
            if not self._terms.says_replayed:
                response.headers.popall("Idempotent-Replayed", None)
        for fault, seconds in (
            (CardFault.SLOW, self._faults.slow_s),
            (CardFault.TOO_SLOW, self._faults.too_slow_s),
        ):
            if strikes(fault):
                await self._patience.pause(seconds)
        for fault in _AFTER:
            if strikes(fault):
                return self._break(fault, request, request_id)
        return response

    async def _run(
        self, task: Task, params: Params, key: str, request_id: str, strikes: _Strikes
    ) -> web.Response:
        """The first request of its key: act, and keep the answer where the rules say so."""
        sent: list[asyncio.Task[None]] = []
        try:
            if strikes(CardFault.ACT_LATE):
                await self._patience.pause(self._faults.too_slow_s)
            if self._delay_s > 0 and task.asks_network:
                await self._store.clock.sleep(self._delay_s)
            if strikes(CardFault.ERROR_500_BEFORE):
                status, body = 500, server_error(request_id)
            else:
                status, body, sent = self._act(task, params, key, request_id)
                if strikes(CardFault.ERROR_500_AFTER):
                    status, body = 500, server_error(request_id)
        except BaseException:
            # Refused before anything began, or cut off while waiting: the key is free again.
            if key:
                self.keys.forget(key)
            raise
        if key:
            self.keys.keep(key, status, body)
        if sent and strikes(CardFault.WEBHOOK_FIRST):
            # A receiver that waits for this very answer would wait for ever.
            await asyncio.wait(sent, timeout=self._faults.webhook_late_s)
        return raw(body, status)

    def _act(
        self, task: Task, params: Params, key: str, request_id: str
    ) -> tuple[int, bytes, list[asyncio.Task[None]]]:
        """Do it now; nothing else happens meanwhile, so every event belongs to this call."""
        events = self._events
        events.request, events.sent = (request_id, key or None), []
        try:
            thing = task.act()
            return 200, encoded(self._store.expanded(thing.json(), params)), events.sent
        except Refusal as refusal:
            if not refusal.stored:
                raise
            self.requests["refused"] += 1
            return refusal.status, refused(refusal, request_id), events.sent
        finally:
            events.request, events.sent = (None, None), None

    def _break(self, fault: CardFault, request: web.BaseRequest, request_id: str) -> web.Response:
        """Answer wrongly, or close the socket; what is returned then reaches nobody."""
        if fault in _CUT:
            if request.transport is not None:
                request.transport.abort()
            if fault is CardFault.REFUSE_CONNECTION:
                self._refuse()
        return broken(fault, request_id, retry_after_s=self._faults.retry_after_s)


class _Strikes:
    """Whether a passing fault happens to this step of this payment, this time."""

    def __init__(self, faults: CardFaults, name: str, also: tuple[str, ...]) -> None:
        self._plan = faults.plan
        self._name = name
        self._also = also
        self._faults = faults.plan.for_key(name, *also)

    def __call__(self, fault: CardFault) -> bool:
        return fault in self._faults and self._plan.strike(fault, self._name, *self._also)


def _refuse_gone(path: list[str], params: Params, version: str) -> None:
    """A parameter that left the API with this version, as the SDK's types know too."""
    if path[0] in _INTENTS and "payment_method_types" in params and version >= _WITHOUT_TYPES:
        raise Refusal(
            "payment_method_types left the API: use automatic_payment_methods or "
            "allowed_payment_method_types.",
            code="payment_method_types_no_longer_supported",
            param="payment_method_types",
        )


def _fingerprint(path: str, params: Params) -> str:
    """What a key is bound to, however the parameters were ordered."""
    written = json.dumps(params, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{path}\n{written}".encode()).hexdigest()


def _about_key(key: str, first: Stored | None, request_id: str) -> dict[str, str]:
    if first is None:
        return {"Idempotency-Key": key, "Original-Request": request_id}
    return {
        "Idempotency-Key": key,
        "Original-Request": first.request_id,
        "Idempotent-Replayed": "true",
    }


def _key(authorization: str) -> str:
    """The API key of a Bearer or a Basic header."""
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() != "basic":
        return given
    try:
        return base64.b64decode(given, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""
