"""People who pay by card: each wish has one key and is sent until it is answered.

A buyer notes every conclusive answer; two different ones to the same key are a fault of the node.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tidegate.clock import Clock
from tidegate.sandbox.cards import SandboxCards
from tidegate.sandbox.faults import CardFault
from tidegate.sandbox.shop import Shop
from tidegate.simulation.plan import Plan, SalePlan, Step

__all__ = ["Buyer", "Sale"]

EMAIL, PASSWORD = "buyer@example.com", "a long walk on a rainy coast"

_PATIENCE_S = 12.0
_PAUSE_S = 0.7
_TRIES = 40
_KNOWN_S = 150.0
# Not an answer to the wish: try again with the same key.
_AGAIN = {0, 408, 425, 429, 500, 502, 503, 504}
_RUNNING = "request_still_running"
_SETTLED = {"succeeded", "failed", "canceled", "requires_capture", "requires_action"}


@dataclass
class Sale:
    """A sale and what its buyer heard: ``answers`` by key, ``wished`` is all that was asked for
    (its path's last word, and the body), ``heard`` the status of what was answered, ``wrong`` at
    once, ``gave_up`` at what."""

    plan: SalePlan
    payment: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    heard: list[tuple[str, int]] = field(default_factory=list)
    wished: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    gave_up: str = ""

    @property
    def id(self) -> str:
        return str(self.payment.get("id", ""))


class GaveUp(Exception):
    """A buyer's patience is over."""


class Buyer:
    """One account, many sales at a time."""

    def __init__(
        self,
        clock: Clock,
        cards: SandboxCards,
        key: str,
        shop: Shop,
        plan: Plan,
        token: str,
    ) -> None:
        self.sales = [Sale(sale) for sale in plan.sales]
        self._clock = clock
        self._cards = cards
        self._key = key
        self._shop = shop
        self._url = ""
        self._client: aiohttp.ClientSession | None = None
        self._headers = {"Authorization": f"Bearer {token}"}
        self._methods: dict[str, str] = {}
        self._wishes = 0

    async def open(self, url: str) -> None:
        """Store the cards, ask to be told."""
        self._url = url
        timeout = aiohttp.ClientTimeout(total=_PATIENCE_S)
        self._client = aiohttp.ClientSession(timeout=timeout)
        if not self.sales:
            return
        for card in dict.fromkeys(sale.plan.card for sale in self.sales):
            _, method = await self._post("/api/payment-methods", {"token": card})
            self._methods[card] = str(method["id"])
        hook = {"url": self._shop.hook_url("buyer"), "events": ["payment.*", "refund.*"]}
        _, endpoint = await self._post("/api/webhook-endpoints", hook)
        self._shop.receiver.expect("buyer", endpoint["secret"])

    async def buy(self) -> None:
        """Make every sale at its time; returns when each is over or given up."""
        await asyncio.gather(*(self._one(sale) for sale in self.sales))

    # -- one sale ---

    async def _one(self, sale: Sale) -> None:
        await self._clock.sleep(sale.plan.at_s)
        try:
            await self._make(sale)
            for step in sale.plan.steps:
                await self._step(sale, step)
        except GaveUp as why:
            sale.gave_up = str(why)

    async def _make(self, sale: Sale) -> None:
        plan = sale.plan
        self._arm(plan)
        wish = {
            "amount": plan.amount,
            "currency": plan.currency,
            "payment_method_id": self._methods[plan.card],
            "capture_method": "manual" if plan.manual else "automatic",
            "return_url": f"{self._shop.origin}/",
            "description": plan.name,
        }
        status, answer = await self._wish(sale, "/api/payments", wish)
        sale.payment = answer.get("payment", answer)
        if status not in {201, 202, 402} or not sale.id:
            raise GaveUp(f"create: {status} {answer.get('code')}")
        await self._until_known(sale)

    def _arm(self, plan: SalePlan) -> None:
        # By step: the payment's id is not known before the first call.
        for key, fault in plan.faults:
            self._cards.faults.plan.set(key, CardFault(fault), times=1)

    async def _step(self, sale: Sale, step: Step) -> None:
        path, amount, status = f"/api/payments/{sale.id}", sale.plan.amount, sale.payment["status"]
        match step:
            case Step.APPROVE | Step.REFUSE if status == "requires_action":
                self._there(self._cards.authenticate, sale.id, approve=step is Step.APPROVE)
                await self._until_known(sale, beyond="requires_action")
            case Step.CAPTURE | Step.CAPTURE_PART if status == "requires_capture":
                body = {"amount": amount // 2} if step is Step.CAPTURE_PART else {}
                await self._wish(sale, f"{path}/capture", body)
                await self._until_known(sale, beyond="requires_capture")
            case Step.CANCEL if status == "requires_capture":
                await self._wish(sale, f"{path}/cancel", {})
                await self._until_known(sale, beyond="requires_capture")
            case Step.REFUND_PART if status == "succeeded":
                await self._wish(sale, f"{path}/refunds", {"amount": amount * 6 // 10})
            case Step.REFUND_REST if status == "succeeded":
                await self._wish(sale, f"{path}/refunds", {})
            case Step.REFUND_TWICE if status == "succeeded":
                wish = {"amount": amount * 6 // 10}
                both = (self._wish(sale, f"{path}/refunds", wish) for _ in range(2))
                await asyncio.gather(*both)
            case Step.REFUNDED_THERE if status == "succeeded":
                await self._refund_there(sale)
            case Step.DISPUTE_WON | Step.DISPUTE_LOST if status == "succeeded":
                dispute = self._there(self._cards.dispute, sale.id)
                await self._clock.sleep(2.0)
                if dispute is not None:
                    won = step is Step.DISPUTE_WON
                    self._there(self._cards.close_dispute, dispute.id, won=won)
            case _:
                return

    def _there(self, act: Any, *args: Any, **named: Any) -> Any:
        """What the cardholder or the issuer does at the processor; it may be too late for it."""
        try:
            return act(*args, **named)
        except (KeyError, ValueError):
            return None

    async def _refund_there(self, sale: Sale) -> None:
        """Somebody refunds at the processor's own page: a call that is none of the node's."""
        intent = self._cards.intent(sale.id)
        if intent is None:
            return
        form = {"payment_intent": intent.id, "amount": str(max(1, sale.plan.amount // 4))}
        headers = {"Authorization": f"Bearer {self._key}"}
        url = f"{self._cards.base_url}/v1/refunds"
        try:
            async with self._session.post(url, data=form, headers=headers):
                pass
        except (aiohttp.ClientError, TimeoutError):
            return

    async def _until_known(self, sale: Sale, beyond: str = "") -> None:
        """Ask until the payment rests, and is no longer ``beyond``."""
        ends = self._clock.monotonic() + _KNOWN_S
        while self._clock.monotonic() < ends:
            status = sale.payment.get("status")
            known = sale.payment.get("outcome") != "unknown"
            if known and status in _SETTLED and status != beyond:
                return
            await self._clock.sleep(_PAUSE_S)
            code, answer = await self._send("GET", f"/api/payments/{sale.id}", None, {})
            if code == 200:
                sale.payment = answer
        raise GaveUp(f"still {sale.payment.get('status')}")

    # -- HTTP ---

    async def _wish(
        self, sale: Sale, path: str, body: Mapping[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        """One wish with one key, sent until it is answered; by eager buyers twice at once."""
        self._wishes += 1
        sale.wished.append((path.rpartition("/")[2], body))
        key = f"wish-{sale.plan.name}-{self._wishes}"
        both = [self._ask(sale, path, body, key) for _ in range(2 if sale.plan.eager else 1)]
        answers = await asyncio.gather(*both)
        sale.heard.append((path.rpartition("/")[2], answers[0][0]))
        if sale.plan.eager and not path.endswith("/cancel"):  # which has no body
            await self._misuse(sale, path, body, key)
        return answers[0]

    async def _misuse(self, sale: Sale, path: str, body: Mapping[str, Any], key: str) -> None:
        """The same key for another wish, by mistake: nobody may take it for the first one."""
        other = {**body, "amount": body.get("amount", 0) + 1}
        status, _ = await self._send("POST", path, other, {"Idempotency-Key": key})
        if status in {200, 201, 202}:
            sale.wrong.append(f"{key} was answered {status} for another wish than its own")

    async def _ask(
        self, sale: Sale, path: str, body: Mapping[str, Any], key: str
    ) -> tuple[int, dict[str, Any]]:
        for _ in range(_TRIES):
            status, answer = await self._send("POST", path, body, {"Idempotency-Key": key})
            if status == 500:
                sale.wrong.append(f"{key} was answered 500")
            if status not in _AGAIN and answer.get("code") != _RUNNING:
                about = answer.get("payment", answer)
                named = str(about.get("id") or answer.get("code"))
                sale.answers.setdefault(key, []).append((status, named))
                return status, answer
            await self._clock.sleep(_PAUSE_S)
        raise GaveUp(f"{path}: no answer to {_TRIES} tries")

    async def _log_in(self) -> None:
        who = {"email": EMAIL, "password": PASSWORD}
        _, answer = await self._post("/api/auth/login", who)
        self._headers = {"Authorization": f"Bearer {answer['access_token']}"}

    async def _post(self, path: str, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        status, answer = await self._send("POST", path, body, {})
        if status not in {200, 201}:
            raise GaveUp(f"{path}: {status} {answer}")
        return status, answer

    async def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str],
    ) -> tuple[int, dict[str, Any]]:
        all_headers = {**self._headers, **headers}
        try:
            async with self._session.request(
                method, self._url + path, json=body, headers=all_headers
            ) as response:
                answer: dict[str, Any] = await response.json(content_type=None)
                if response.status == 401:
                    await self._log_in()
                    return 0, {}
                return response.status, answer
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return 0, {}

    @property
    def _session(self) -> aiohttp.ClientSession:
        assert self._client is not None  # by open
        return self._client
