"""The processor over HTTP, on a thread of its own: routes, idempotency keys, faults, judgement."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.acceptance.processor.afterwards import Afterwards
from tests.acceptance.processor.events import Events
from tests.acceptance.processor.faults import Fault, Faults
from tests.acceptance.processor.form import Form, parse_form
from tests.acceptance.processor.intents import Intents
from tests.acceptance.processor.judge import Ask, Judge, our_id
from tests.acceptance.processor.objects import Objects, Refusal, Thing
from tests.acceptance.processor.routes import Routes

__all__ = ["API_KEY", "Processor"]

API_KEY = "sk_test_of_the_tests_0123456789"


@dataclass
class _Kept:
    """The first answer under a key; ``status`` is ``None`` while it is being made."""

    fingerprint: str
    status: int | None = None
    body: Thing | None = None


class Processor:
    """Stripe, as far as payments need it; started when it is made, ended by :meth:`close`."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.objects = Objects()
        self.events = Events()
        self.judge = Judge()
        self.faults = Faults()
        self.intents = Intents(self.objects, self.events, self.judge)
        self.afterwards = Afterwards(self.objects, self.events, self.judge)
        self.calls: Counter[str] = Counter()
        self.away = False
        self.port = 0
        self._routes = Routes(self.objects, self.events, self.intents, self.afterwards)
        self._kept: dict[str, _Kept] = {}
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        assert self._ready.wait(10), "the processor did not start"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(10)

    def leave(self) -> None:
        """Nobody listens any more, and nobody answers on what is open."""
        self.away = True
        asyncio.run_coroutine_threadsafe(self._site.stop(), self._loop).result(10)

    def come_back(self) -> None:
        """Listen again, where it was."""
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        self.away = False

    # -- what a test asks

    def intent(self, payment_id: str) -> Thing:
        """The one object of our payment."""
        with self.lock:
            found = [
                each
                for each in self.objects.all("payment_intent")
                if our_id(each["metadata"], "pay_") == payment_id
            ]
        assert len(found) == 1, (payment_id, found)
        return found[0]

    def refunds(self, payment_id: str, *statuses: str) -> list[Thing]:
        """The refunds of our payment, newest first."""
        with self.lock:
            found = self.objects.all("refund", payment_intent=self.intent(payment_id)["id"])
        return [each for each in found if not statuses or each["status"] in statuses]

    def taken(self, payment_id: str) -> int:
        """Its own books: captured, less what was refunded, less what a lost dispute took."""
        with self.lock:
            intent = self.intent(payment_id)
            back = sum(each["amount"] for each in self.refunds(payment_id, "succeeded"))
            lost = self.objects.all("dispute", payment_intent=intent["id"], status="lost")
            captured: int = intent["amount_received"]
            gone: int = back + sum(each["amount"] for each in lost)
            return captured - gone

    # -- the server

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._run())
        self._loop.close()

    async def _run(self) -> None:
        self._ended = asyncio.Event()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await self._listen()
        self.port = int(self._runner.addresses[0][1])
        self._ready.set()
        await self._ended.wait()
        await self._runner.cleanup()

    async def _listen(self) -> None:
        self._site = web.TCPSite(
            self._runner, "127.0.0.1", self.port, backlog=256, reuse_address=True
        )
        await self._site.start()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        text = (await request.read()).decode()
        if self.away:
            return _hang_up(request)
        if not _has_key(request.headers.get("Authorization", "")):
            error = {"type": "invalid_request_error", "message": "Invalid API Key provided"}
            return _answer(401, {"error": error})
        self.judge.reads(text)
        form = parse_form(text or request.query_string)
        call, path = self._routes.name_of(request.method, request.path), request.path
        if call is None:
            self.judge.says(f"{request.method} {path} is not in the processor's reference")
            error = {"type": "invalid_request_error", "message": "Unrecognized request URL"}
            return _answer(404, {"error": error})
        self.calls[call] += 1
        fault = self.faults.next(call)
        if fault.delay_s:
            await asyncio.sleep(fault.delay_s)
        if request.method == "GET":
            return await self._with(fault, request, lambda: self._read(call, path, form))
        key = request.headers.get("Idempotency-Key")
        payment, refund = self._routes.ours(call, path, form)
        ask = self.judge.asked(call, payment, refund, key)
        return await self._with(
            fault, request, lambda: self._write(fault, call, path, form, key, ask), ask, key
        )

    async def _with(
        self,
        fault: Fault,
        request: web.Request,
        do: Callable[[], tuple[int, Thing, bool]],
        ask: Ask | None = None,
        key: str | None = None,
    ) -> web.StreamResponse:
        """Run a fault around what the call truly does."""
        if fault.first is not None:
            fault.first()
        status, replayed = 500, False
        body: Thing = {}
        if fault.acts:
            with self.lock:
                status, body, replayed = do()
        if fault.then is not None:
            fault.then()
        if fault.late_s:
            await asyncio.sleep(fault.late_s)
        if fault.status is not None and not replayed:
            status, body = fault.status, {"error": fault.error}
            if key is not None and fault.kept and key not in self._kept:
                self._kept[key] = _Kept("", status, body)
        if not fault.answers:
            return _hang_up(request)
        if ask is not None and status != 409:
            ask.told = status
        return _answer(status, body, replayed=replayed)

    def _read(self, call: str, path: str, form: Form) -> tuple[int, Thing, bool]:
        try:
            body = self._routes.read(call, path, form)
        except Refusal as refusal:
            return refusal.status, refusal.body, False
        self.judge.looked_at(self._routes.shown_payment(body))
        return 200, body, False

    def _write(
        self, fault: Fault, call: str, path: str, form: Form, key: str | None, ask: Ask
    ) -> tuple[int, Thing, bool]:
        fingerprint = hashlib.sha256(json.dumps([path, form], sort_keys=True).encode()).hexdigest()
        known = self._kept.get(key) if key is not None else None
        if known is not None and known.status is not None:
            if known.fingerprint not in {"", fingerprint}:
                self.judge.says(f"{key} was sent again with other parameters: {form}")
                message = "Keys for idempotent requests can only be used with the same parameters."
                return 400, {"error": {"type": "idempotency_error", "message": message}}, False
            assert known.body is not None
            return known.status, known.body, True
        kept = True
        try:
            status, body = 200, self._routes.write(call, path, form)
            ask.acted = True
        except Refusal as refusal:
            status, body, kept = refusal.status, refusal.body, refusal.kept
        if fault.status is not None:  # it acted, and says something else
            status, body = fault.status, {"error": fault.error}
        if key is not None and kept:
            self._kept[key] = _Kept(fingerprint, status, body)
        return status, body, False


def _has_key(header: str) -> bool:
    if header.startswith("Basic "):
        return base64.b64decode(header[6:]).decode().rstrip(":") == API_KEY
    return header == f"Bearer {API_KEY}"


def _hang_up(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _answer(status: int, body: Any, *, replayed: bool = False) -> web.Response:
    headers = {"Request-Id": f"req_{id(body):x}"}
    if replayed:
        headers["Idempotent-Replayed"] = "true"
    return web.json_response(body, status=status, headers=headers)
