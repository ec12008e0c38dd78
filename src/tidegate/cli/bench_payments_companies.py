"""The card processor of ``bench payments``, and the clients: a process of its own.

Beside the companies of ``bench payouts``, which have nothing to do here, it plays the processor
without delay and without faults, and sends payments as clients do: over kept connections, each
user with a token and a stored card. ``bench_loops`` says how it is driven.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from tidegate.cli.bench_companies import Companies
from tidegate.cli.bench_loops import (
    Tell,
    closed_loop,
    cpu_s,
    open_loop,
    percentiles,
    serve_lines,
)
from tidegate.clock import Randomness, SystemClock
from tidegate.sandbox.cards import Kind, SandboxCards

__all__ = ["main"]

_CURRENCY: Final = "usd"
_AMOUNT: Final = 2_500
_SETTLE_S: Final = 0.25
_QUIET_S: Final = 60.0
_ASK_AGAIN_S: Final = 0.05
_PROGRESS_EVERY: Final = 50
_ANSWER_S: Final = 60.0
_SHOWN: Final = 20
# A user may write 600 times a minute; nobody here comes near it.
_PAYMENTS_A_USER: Final = 300
_USERS_LEAST: Final = 8
_USERS_MOST: Final = 64


class Refused(aiohttp.ClientError):
    """The node answered, and did not take what it must: as bad as no answer at all."""


@dataclass(frozen=True, slots=True)
class _User:
    """A client: what it sends with every request, and its stored card."""

    headers: Mapping[str, str]
    method_id: str


class CardCompanies:
    """The played processor and the clients of the node."""

    def __init__(self, start: Mapping[str, Any]) -> None:
        self._clock = SystemClock()
        self._randomness = Randomness(self._clock)
        self._others = Companies(start)
        self.cards = SandboxCards(
            self._clock,
            self._randomness,
            api_key=start["stripe_key"],
            webhook_secret=start["stripe_webhook_secret"],
            settle_s=_SETTLE_S,
            webhooks_in_flight=64,
        )
        self._node = ""
        self._client: aiohttp.ClientSession | None = None
        self._users: list[_User] = []
        self._sent = 0

    async def start(self) -> dict[str, str]:
        return {**await self._others.start(), "cards": await self.cards.start()}

    async def stop(self) -> None:
        if self._client is not None:
            await self._client.close()
        await self._others.stop()
        await self.cards.stop()

    async def run(self, run: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
        """Send payments as ``run`` says (``node``, ``orders``, ``in_flight``, ``rate``)."""
        self._node = run["node"]
        self._others.aggregator.node_url = run["node"]
        self.cards.set_webhook_url(f"{run['node']}/api/webhooks/stripe")
        await self._open_accounts(self._sent + run["orders"])
        calls_before, webhooks_before = self.cards.requests.copy(), self.cards.courier.counts.copy()
        cpu_before = cpu_s()
        paid: list[str] = []
        wrong: list[str] = []
        took_s: list[float] = []

        async def one() -> None:
            number, sent = self._sent, self._clock.monotonic()
            self._sent += 1
            try:
                paid.append(await self._pay(number))
            except (aiohttp.ClientError, TimeoutError) as error:
                wrong.append(f"payment {number}: {type(error).__name__} {error}")
            took_s.append(self._clock.monotonic() - sent)
            if len(took_s) % _PROGRESS_EVERY == 0:
                await tell({"progress": len(took_s)})

        began = self._clock.monotonic()
        if run["rate"]:
            await open_loop(self._clock, one, run["orders"], run["rate"])
        else:
            await closed_loop(one, run["orders"], run["in_flight"])
        seconds = self._clock.monotonic() - began
        wrong += await self._quiet()
        wrong += self._charged_once(paid)
        return {
            "payments": len(paid),
            "seconds": seconds,
            "companies_cpu_s": cpu_s() - cpu_before,
            "calls": _grown(self.cards.requests, calls_before),
            "webhooks": _grown(self.cards.courier.counts, webhooks_before),
            "latency_ms": percentiles(took_s),
            "charged": self.cards.books.total(Kind.CHARGED, _CURRENCY),
            "wrong": wrong[:_SHOWN],
        }

    async def _pay(self, number: int) -> str:
        """One payment; its id. Raises :class:`Refused` for any answer but 201, succeeded."""
        user = self._users[number % len(self._users)]
        wish = {
            "amount": _AMOUNT,
            "currency": _CURRENCY,
            "payment_method_id": user.method_id,
            "metadata": {"order": str(number)},
        }
        headers = {**user.headers, "Idempotency-Key": self._randomness.new_id("bench")}
        payment = await self._call("/api/payments", wish, headers)
        if payment["status"] != "succeeded":
            raise Refused(f"{payment['id']} is {payment['status']}")
        return str(payment["id"])

    def _charged_once(self, paid: list[str]) -> list[str]:
        """By the processor's books, which are nobody else's."""
        charges = ((payment, len(self.cards.charges_of(payment))) for payment in paid)
        found = [f"{payment}: charged {times} times" for payment, times in charges if times != 1]
        return found + self.cards.books.violations

    async def _quiet(self) -> list[str]:
        """Wait until every charge is settled and every webhook was taken."""
        courier = self.cards.courier
        self.cards.settle()
        try:
            async with asyncio.timeout(_QUIET_S):
                while courier.waiting:
                    await self._clock.sleep(_ASK_AGAIN_S)
        except TimeoutError:
            return [f"{courier.waiting} webhooks were not taken in {_QUIET_S:g} s"]
        return []

    # -- the clients ------------------------------------------------------------------------------

    async def _open_accounts(self, payments: int) -> None:
        """Users enough for so many payments, each with a token and a card; made once."""
        if self._client is None:
            self._client = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),
                timeout=aiohttp.ClientTimeout(total=_ANSWER_S),
            )
        wanted = min(_USERS_MOST, _USERS_LEAST + payments // _PAYMENTS_A_USER)
        while len(self._users) < wanted:
            self._users.append(await self._open_account())

    async def _open_account(self) -> _User:
        name, password = self._randomness.new_id("user"), self._randomness.new_id("pass")
        who = {"email": f"{name}@example.com", "password": password}
        await self._call("/api/auth/register", who, {})
        token = (await self._call("/api/auth/login", who, {}, good=200))["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        card = await self._call("/api/payment-methods", {"token": "pm_card_visa"}, headers)
        return _User(headers, card["id"])

    async def _call(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str], *, good: int = 201
    ) -> dict[str, Any]:
        assert self._client is not None  # opened by the first run
        url = self._node + path
        async with self._client.post(url, json=body, headers=headers) as response:
            if response.status != good:
                raise Refused(f"{path}: {response.status} {(await response.text())[:300]}")
            answer: dict[str, Any] = await response.json()
            return answer


def _grown(now: Counter[str], before: Counter[str]) -> dict[str, int]:
    return {name: grown for name in sorted(now) if (grown := now[name] - before[name])}


def main() -> None:
    """Serve standard input until it ends."""
    serve_lines(CardCompanies)


if __name__ == "__main__":
    main()
