"""A sandbox bank with its customer's webhook receiver, on a clock that tests move by hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import aiohttp
from aiohttp import web

from tidegate.clock import Randomness, SimulatedClock
from tidegate.sandbox.bank import SandboxBank, sign, webhook_key
from tidegate.sandbox.faults import BankFault, BankFaults

TOKEN = "sandbox-token"
ACCOUNT_ID = "a8f2c1d4-0b1e-4c7a-9d55-3f6b7a1c2e90"
OPENING = Decimal("100000.00")
FEE = Decimal("43.50")


@dataclass
class Received:
    """One webhook as it arrived."""

    signature: str
    body: bytes

    @property
    def event(self) -> str:
        return str(json.loads(self.body)["event"])

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(self.body)["data"]
        return data

    @property
    def summary(self) -> tuple[str | None, str, str]:
        """Reference, event, status."""
        return self.data["clientReference"], self.event, self.data["status"]

    @property
    def authentic(self) -> bool:
        return self.signature == sign(webhook_key(TOKEN), self.body)


@dataclass
class World:
    """The bank, somebody who calls it, and what the webhook receiver has got so far.

    ``answers`` are the HTTP statuses the receiver gives next; 200 when there are none left.
    """

    clock: SimulatedClock
    bank: SandboxBank
    session: aiohttp.ClientSession
    base_url: str
    inbox: list[Received] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    at_once: int = 0
    most_at_once: int = 0

    def fault(self, *faults: BankFault, key: str = "r-1", times: int | None = 1) -> None:
        self.bank.faults.plan.set(key, *faults, times=times)

    async def call(self, method: str, path: str, **more: Any) -> tuple[int, Any]:
        """Status and JSON of one call under the base URL; a full address is taken as it is."""
        url = path if path.startswith("http") else self.base_url + path
        more.setdefault("headers", {"Authorization": f"Bearer {TOKEN}"})
        async with self.session.request(method, url, **more) as response:
            return response.status, await response.json()

    async def pay(self, reference: str = "r-1", *, path: str = "/transfer", **changes: Any) -> Any:
        """POST a transfer of 2000.00; status and JSON. A field set to ``None`` is left out."""
        order = {
            "accountId": ACCOUNT_ID,
            "accountNumber": "8144374977",
            "bankCode": "000014",
            "amount": "2000.00",
            "narration": "payout",
            "reference": reference,
        } | changes
        body = {name: value for name, value in order.items() if value is not None}
        return await self.call("POST", path, data=json.dumps(body))

    async def find(self, reference: str = "r-1") -> tuple[int, Any]:
        return await self.call("GET", f"/transfer/by-reference/{reference}")

    async def transaction(self, reference: str = "r-1") -> dict[str, Any]:
        """The transaction that a look-up by reference shows."""
        status, answer = await self.find(reference)
        assert status == 200
        found: dict[str, Any] = answer["data"]["transaction"]
        return found

    async def status(self, reference: str = "r-1") -> str:
        return str((await self.transaction(reference))["status"])

    async def control(self, method: str, path: str, **more: Any) -> tuple[int, Any]:
        """A call of the control interface, which asks for no token."""
        origin = self.base_url.removesuffix("/access/v1")
        return await self.call(method, f"{origin}/_sandbox/{path}", headers={}, **more)

    async def pass_time(self, seconds: float) -> None:
        """Move the clock on, once somebody is waiting for it, and let what follows happen."""
        await until(lambda: self.clock.next_wake is not None)
        self.clock.advance(seconds)
        await settle()

    async def webhooks(self, count: int) -> list[Received]:
        """The inbox, once it has exactly ``count`` and nothing more is on its way at once."""
        await until(lambda: len(self.inbox) >= count)
        await settle()
        assert len(self.inbox) == count
        return self.inbox

    async def receive(self, request: web.BaseRequest) -> web.Response:
        body = await request.read()
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await self.gate.wait()
        self.at_once -= 1
        self.inbox.append(Received(request.headers["X-Lenco-Signature"], body))
        return web.Response(status=self.answers.pop(0) if self.answers else 200)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that the event loop is about to do; fail after five seconds."""
    for _ in range(2500):
        if condition():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("waited five seconds in vain")


async def settle() -> None:
    """Give what is ready the time to happen, over the loopback network too."""
    # Many short turns: on a busy machine one long sleep may be a single turn of the loop.
    for _ in range(15):
        await asyncio.sleep(0.002)


@asynccontextmanager
async def open_world(
    *, opening: Decimal = OPENING, webhooks_in_flight: int = 32, delay_s: float = 0.0
) -> AsyncIterator[World]:
    """A started bank with a receiver; both end with the block."""
    clock = SimulatedClock()
    bank = SandboxBank(
        clock,
        Randomness(clock, seed=1),
        token=TOKEN,
        account_id=ACCOUNT_ID,
        opening_balance=opening,
        webhook_url=None,
        faults=BankFaults(),
        decision_delay_s=delay_s,
        fee=FEE,
        webhook_retry_s=(1.0, 5.0),
        webhooks_in_flight=webhooks_in_flight,
    )
    base_url = await bank.start()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
        world = World(clock, bank, session, base_url)
        world.gate.set()
        runner = web.ServerRunner(web.Server(world.receive, access_log=None), shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        bank.set_webhook_url(f"http://127.0.0.1:{site.port}/webhooks/psp")
        try:
            yield world
        finally:
            await bank.stop()
            await runner.cleanup()
