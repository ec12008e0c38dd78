"""A sandbox aggregator with a tiny node beside it, on a clock that tests move by hand."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import aiohttp
from aiohttp import web

from tidegate.clock import Randomness, SimulatedClock
from tidegate.sandbox.aggregator import SandboxAggregator, Terms, Wrong
from tidegate.sandbox.faults import AggregatorFault, FaultPlan

CLIENT_ID = "0e3ab7f4-5a6a-4f0e-9d52-6a1de8a0c7b1"
SECRET = "bm90LWEtcmVhbC1zZWNyZXQtMzItYnl0ZXMtbG9uZyE="
ORDER_ID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"

Json = dict[str, Any]
Behaviour = Callable[[bytes], Awaitable[web.Response]]


def envelope(data: Any, status: int = 200) -> web.Response:
    """A node's well-formed answer."""
    return web.json_response({"status": "success", "message": "OK", "data": data}, status=status)


def tx_status(status: str, tx_id: str = "", psp: str = "lenco", error: str = "") -> web.Response:
    """A node's well-formed answer to /tx_status."""
    return envelope({"status": status, "psp": psp, "txId": tx_id, "error": error})


@dataclass
class Received:
    """One call as the node saw it."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Json:
        document: Json = json.loads(self.body)
        return document


@dataclass
class FakeNode:
    """Keeps what it receives; answers well unless ``next`` or ``always`` holds something else."""

    received: list[Received] = field(default_factory=list)
    next: defaultdict[str, deque[web.Response | Behaviour]] = field(
        default_factory=lambda: defaultdict(deque)
    )
    always: dict[str, Callable[[], web.Response]] = field(default_factory=dict)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        self.received.append(Received(request.path, dict(request.headers), body))
        if self.next[request.path]:
            answer = self.next[request.path].popleft()
            return answer if isinstance(answer, web.Response) else await answer(body)
        if request.path in self.always:
            return self.always[request.path]()
        if request.path == "/tx_status":
            return tx_status("pending")
        return envelope({"orderId": "", "status": "pending"})

    def calls(self, path: str) -> list[Received]:
        return [call for call in self.received if call.path == path]


def canonical(body: Json) -> bytes:
    text = json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e").encode()


def signature(message: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


@dataclass
class World:
    """The aggregator, its node, and somebody who calls the aggregator as the node would."""

    clock: SimulatedClock
    aggregator: SandboxAggregator
    node: FakeNode
    session: aiohttp.ClientSession
    faults: FaultPlan[AggregatorFault]

    @property
    def now_s(self) -> int:
        return self.clock.now_ms() // 1000

    async def post(self, path: str, body: Json | None = None, **headers: str) -> tuple[int, Json]:
        """A well-signed provider call with canonical bytes and a fresh timestamp."""
        raw = canonical({"timestamp": self.now_s, **(body or {})})
        authorization = f"HMAC {CLIENT_ID}:{signature(raw)}"
        return await self.raw("POST", path, raw, {"Authorization": authorization, **headers})

    async def get(self, path: str, **query: str) -> tuple[int, Json]:
        """A well-signed provider query."""
        signed = canonical({**query, "timestamp": self.now_s})
        text = urlencode({**query, "timestamp": self.now_s})
        authorization = f"HMAC {CLIENT_ID}:{signature(signed)}"
        return await self.raw("GET", f"{path}?{text}", None, {"Authorization": authorization})

    async def raw(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, Json]:
        """Any call; an empty or unreadable body comes back as an empty object."""
        if not path.startswith("/"):
            path = f"/v1/provider/{path}"
        url = self.aggregator.origin + path
        async with self.session.request(method, url, data=body, headers=headers) as response:
            text = await response.text()
        try:
            document = json.loads(text)
        except ValueError:
            document = {}
        return response.status, document

    async def accept(self, order_id: str) -> tuple[int, Json]:
        return await self.post(f"orders/{order_id}/accept")

    async def decline(self, order_id: str) -> tuple[int, Json]:
        return await self.post(f"orders/{order_id}/decline", {"reason": "float"})

    async def fulfil(
        self, order_id: str, status: str, tx_id: str = "tg-1", error: str = ""
    ) -> tuple[int, Json]:
        body = {
            "psp": "lenco",
            "txId": tx_id,
            "validationStatus": status,
            "validationError": error,
        }
        return await self.post(f"orders/{order_id}/fulfill", body)

    async def cancel(self, order_id: str, reason: str = "Bank closed") -> tuple[int, Json]:
        return await self.post(f"orders/{order_id}/cancel", {"reason": reason})

    async def balance(self, available: str, total: str) -> tuple[int, Json]:
        body = {
            "currency": "NGN",
            "availableBalance": available,
            "totalBalance": total,
            "reservedBalance": "0",
        }
        return await self.post("balances", body)

    async def accepted(self, amount: str = "75375", **fields: Any) -> str:
        """An order that the node has accepted."""
        order_id = await self.aggregator.offer(amount, **fields)
        status, _ = await self.accept(order_id)
        assert status == 201
        return order_id

    async def pass_time(self, seconds: float, step: float | None = None) -> None:
        """Move the clock in steps (one, unless told), and let everything happen that is due."""
        left = seconds
        while left > 1e-9:
            stride = min(step or seconds, left)
            # The hair more is for a sleeper whose moment was rounded up: the simulated reading is
            # a float near 2e9, whose steps are a quarter of a microsecond.
            self.clock.advance(stride + 1e-5)
            left -= stride
            await self.settle()

    async def settle(self) -> None:
        """Wait until nothing that was started is still going on."""
        for _ in range(3):
            await asyncio.sleep(0)
        while self.aggregator.busy:
            await asyncio.sleep(0.001)
            await asyncio.sleep(0)

    def status(self, order_id: str) -> str:
        return str(self.aggregator.order(order_id).status)

    @property
    def wrongs(self) -> list[Wrong]:
        return [violation.wrong for violation in self.aggregator.judge()]


@asynccontextmanager
async def world(
    terms: Terms | None = None, *, dialect: Any = "live", seed: int = 7
) -> AsyncIterator[World]:
    """Both companies listening; everything stops at the end."""
    clock = SimulatedClock()
    faults = FaultPlan(AggregatorFault)
    node = FakeNode()
    server = web.Server(node.handle, access_log=None)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    aggregator = SandboxAggregator(
        clock,
        Randomness(clock, seed),
        client_id=CLIENT_ID,
        secret=SECRET,
        node_url=f"http://127.0.0.1:{port}/",
        faults=faults,
        dialect=dialect,
        terms=terms or Terms(balance_work_s=0),
    )
    await aggregator.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield World(clock, aggregator, node, session, faults)
    finally:
        await aggregator.stop()
        listener.close()
        await server.shutdown(0.1)
