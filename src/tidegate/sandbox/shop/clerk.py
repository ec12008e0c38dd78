"""Makes the sales: what a careful client of the payment API does, over HTTP.

One wish has one idempotency key, however often it is sent: a lost answer, a 409 that the first
request still runs, and a 5xx are followed by the same request with the same key. A 202 is asked
for until the outcome is known. What the cardholder and the issuer do goes to the processor's
``/_sandbox``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from tidegate.clock import Clock, Randomness
from tidegate.sandbox.shop.sales import CARDS, SALES, Sale, Step
from tidegate.sandbox.shop.server import Shop

__all__ = ["Buyer", "Clerk", "Sold"]

_AGAIN: Final = frozenset({429, 500, 502, 503, 504})
_RUNNING: Final = "request_still_running"
_TOO_MUCH: Final = "amount_exceeds_refundable"
_TRIES: Final = 30
_PAUSE_S: Final = 0.5
_KNOWN_S: Final = 90.0
_SPREAD_S: Final = 0.4
_OPEN: Final = frozenset({"processing"})


class NotSold(Exception):
    """The node answered what a shop cannot work with."""


@dataclass(slots=True)
class Buyer:
    """A played person: how they log in, and their stored cards by token."""

    name: str
    email: str
    password: str
    id: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    methods: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Sold:
    """A sale as it goes: the payment as the node last showed it, the steps done, ``trouble`` if it
    could not be played to its end. ``unknown`` counts answers that said so, ``again`` repeats."""

    sale: Sale
    payment: dict[str, Any] | None = None
    done: list[Step] = field(default_factory=list)
    unknown: int = 0
    again: int = 0
    over: bool = False
    trouble: str = ""

    @property
    def id(self) -> str:
        return "" if self.payment is None else str(self.payment["id"])

    @property
    def status(self) -> str:
        return "-" if self.payment is None else str(self.payment["status"])


class Clerk:
    """Opens the buyers' accounts, then makes the sales, several under way at once."""

    def __init__(
        self, clock: Clock, randomness: Randomness, shop: Shop, sales: Sequence[Sale] = SALES
    ) -> None:
        self.sold = [Sold(sale) for sale in sales]
        self.buyers = {
            name: Buyer(name, f"{name}@example.com", f"{name} {randomness.new_id('pass')}")
            for name in dict.fromkeys(sale.buyer for sale in sales)
        }
        self._clock = clock
        self._randomness = randomness
        self._shop = shop
        self._processor = ""
        self._client: aiohttp.ClientSession | None = None

    async def open(self, processor_url: str) -> None:
        """Register and log in everybody, store their cards, ask for their events."""
        self._processor = processor_url
        self._client = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20))
        for buyer in self.buyers.values():
            await self._open_account(buyer)
        if self.buyers:
            first = next(iter(self.buyers.values()))
            self._shop.buyer = {"email": first.email, "password": first.password}

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    async def sell(self) -> None:
        """Make every sale; what goes wrong stands in its ``trouble``."""

        async def one(place: int, sold: Sold) -> None:
            await self._clock.sleep(place * _SPREAD_S)
            try:
                await self._play(sold)
            except (NotSold, aiohttp.ClientError, TimeoutError) as error:
                sold.trouble = f"{type(error).__name__}: {error}"
            sold.over = True

        await asyncio.gather(*(one(place, sold) for place, sold in enumerate(self.sold)))

    async def look(self) -> None:
        """Show every payment again, for what happened by itself."""
        for sold in self.sold:
            if sold.id:
                sold.payment = await self._get(sold, f"/api/payments/{sold.id}")

    # -- one sale ---------------------------------------------------------------------------------

    async def _play(self, sold: Sold) -> None:
        sale = sold.sale
        wish = {
            "amount": sale.amount,
            "currency": sale.currency,
            "payment_method_id": self._buyer(sold).methods[sale.card],
            "capture_method": "manual" if sale.manual else "automatic",
            "return_url": f"{self._shop.origin}/",
            "description": f"Order of {sale.buyer}",
        }
        status, answer = await self._wish(sold, "/api/payments", wish)
        sold.payment = answer.get("payment", answer)
        if status not in {201, 202, 402}:
            raise NotSold(f"{status} {answer.get('code')}")
        await self._until_known(sold)
        for step in sale.steps:
            await self._step(sold, step)
            sold.done.append(step)
            await self._until_known(sold)

    async def _step(self, sold: Sold, step: Step) -> None:
        path, amount = f"/api/payments/{sold.id}", sold.sale.amount
        match step:
            case Step.APPROVE | Step.REFUSE:
                approve = step is Step.APPROVE
                await self._control("authenticate", {"payment": sold.id, "approve": approve})
                await self._until_status(sold, {"succeeded", "failed"})
            case Step.CAPTURE:
                await self._moved(sold, f"{path}/capture", {})
            case Step.CAPTURE_PART:
                await self._moved(sold, f"{path}/capture", {"amount": amount // 2})
            case Step.CANCEL:
                await self._moved(sold, f"{path}/cancel", {})
            case Step.REFUND_PART:
                await self._refund(sold, {"amount": amount // 2})
            case Step.REFUND_REST:
                await self._refund(sold, {})
            case Step.REFUND_TOO_MUCH:
                status, answer = await self._wish(sold, f"{path}/refunds", {"amount": amount})
                if answer.get("code") != _TOO_MUCH:
                    raise NotSold(f"a refund of more than was left was answered {status}")
            case Step.DISPUTE_WON | Step.DISPUTE_LOST:
                won = step is Step.DISPUTE_WON
                dispute = await self._control("dispute", {"payment": sold.id})
                await self._clock.sleep(_PAUSE_S)
                await self._control("close-dispute", {"dispute": dispute["id"], "won": won})

    async def _moved(self, sold: Sold, path: str, body: Mapping[str, Any]) -> None:
        status, answer = await self._wish(sold, path, body)
        if status not in {200, 202}:
            raise NotSold(f"{path}: {status} {answer.get('code')}")
        sold.payment = answer

    async def _refund(self, sold: Sold, body: Mapping[str, Any]) -> None:
        status, answer = await self._wish(sold, f"/api/payments/{sold.id}/refunds", body)
        if status not in {201, 202}:
            raise NotSold(f"refund: {status} {answer.get('code')}")

    async def _until_known(self, sold: Sold) -> None:
        """Ask until it is known what became of the last wish."""
        async with asyncio.timeout(_KNOWN_S):
            while sold.status in _OPEN or (sold.payment or {}).get("outcome") == "unknown":
                await self._clock.sleep(_PAUSE_S)
                sold.payment = await self._get(sold, f"/api/payments/{sold.id}")

    async def _until_status(self, sold: Sold, wanted: set[str]) -> None:
        async with asyncio.timeout(_KNOWN_S):
            while sold.status not in wanted:
                await self._clock.sleep(_PAUSE_S)
                sold.payment = await self._get(sold, f"/api/payments/{sold.id}")

    # -- HTTP -------------------------------------------------------------------------------------

    def _buyer(self, sold: Sold) -> Buyer:
        return self.buyers[sold.sale.buyer]

    async def _open_account(self, buyer: Buyer) -> None:
        who = {"email": buyer.email, "password": buyer.password}
        buyer.id = (await self._good("/api/auth/register", who, {}))["id"]
        token = (await self._good("/api/auth/login", who, {}))["access_token"]
        buyer.headers = {"Authorization": f"Bearer {token}"}
        for card in CARDS:
            method = await self._good("/api/payment-methods", {"token": card}, buyer.headers)
            buyer.methods[card] = method["id"]
        hook = {"url": self._shop.hook_url(buyer.name), "events": ["payment.*", "refund.*"]}
        endpoint = await self._good("/api/webhook-endpoints", hook, buyer.headers)
        self._shop.receiver.expect(buyer.name, endpoint["secret"])

    async def _wish(
        self, sold: Sold, path: str, body: Mapping[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        """One wish with one key, sent until it is answered."""
        key = self._randomness.new_id("wish")
        headers = {**self._buyer(sold).headers, "Idempotency-Key": key}
        for _ in range(_TRIES):
            try:
                status, answer = await self._post(path, body, headers)
            except (aiohttp.ClientError, TimeoutError):
                status, answer = 503, {}
            if status == 202:
                sold.unknown += 1
            if status not in _AGAIN and answer.get("code") != _RUNNING:
                return status, answer
            sold.again += 1
            await self._clock.sleep(_PAUSE_S)
        raise NotSold(f"{path}: no answer to {_TRIES} tries")

    async def _good(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> dict[str, Any]:
        status, answer = await self._post(path, body, headers)
        if status not in {200, 201}:
            raise NotSold(f"{path}: {status} {answer.get('code')}")
        return answer

    async def _control(self, command: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """What the cardholder or the issuer does, at the processor."""
        client = self._session
        async with client.post(f"{self._processor}/_sandbox/{command}", json=body) as response:
            answer: dict[str, Any] = await response.json()
        if response.status != 200:
            raise NotSold(f"{command}: {answer}")
        return answer

    async def _get(self, sold: Sold, path: str) -> dict[str, Any]:
        headers = self._buyer(sold).headers
        async with self._session.get(self._shop.node_url + path, headers=headers) as response:
            answer: dict[str, Any] = await response.json(content_type=None)
        if response.status != 200:
            raise NotSold(f"{path}: {response.status}")
        return answer

    async def _post(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> tuple[int, dict[str, Any]]:
        url = self._shop.node_url + path
        async with self._session.post(url, json=body, headers=headers) as response:
            answer: dict[str, Any] = await response.json(content_type=None)
            return response.status, answer

    @property
    def _session(self) -> aiohttp.ClientSession:
        assert self._client is not None  # by open
        return self._client
