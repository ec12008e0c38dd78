"""The other companies of a benchmark, and the load: a process of its own.

It is apart from the node's process, so that the node's CPU and memory are its own, and holds both
companies and the source of orders, so that one clock takes every time. ``bench_loops`` says how it
is driven.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from tidegate.cli.bench_loops import (
    Tell,
    closed_loop,
    cpu_s,
    open_loop,
    percentiles,
    serve_lines,
)
from tidegate.clock import Randomness, SystemClock
from tidegate.sandbox.aggregator import Order, SandboxAggregator, Status, Terms
from tidegate.sandbox.bank import SandboxBank
from tidegate.sandbox.faults import BankFaults

__all__ = ["Companies", "main"]

_PAID = frozenset({Status.VALIDATED, Status.SETTLING, Status.SETTLED})
_ORDER_S = 60.0
_ASK_AGAIN_S = 0.05
_ROUTES_S = 30.0
_PROGRESS_EVERY = 250
_INSTITUTIONS = ("GTBINGLA", "ABNGNGLA", "ZEIBNGLA", "UNAFNGLA", "KUDANGPC", "OPAYNGPC")
_FIRST_ACCOUNT = 2_000_000_000


class Companies:
    """Aggregator and bank without delay and without faults, and orders for the node."""

    def __init__(self, start: Mapping[str, Any]) -> None:
        self._clock = SystemClock()
        randomness = Randomness(self._clock, seed=start["seed"])
        self.aggregator = SandboxAggregator(
            self._clock,
            randomness,
            client_id=start["client_id"],
            secret=start["secret"],
            dialect=start["dialect"],
            terms=Terms(balance_work_s=0.0),
        )
        self.bank = SandboxBank(
            self._clock,
            randomness,
            token=start["token"],
            account_id=start["account_id"],
            opening_balance=Decimal(start["balance"]),
            webhook_url=None,
            faults=BankFaults(),
            webhooks_in_flight=256,
        )
        self.bank.courier.on_delivered = self._delivered
        self._webhook_sent: dict[str, float] = {}
        self._count = 0

    async def start(self) -> dict[str, str]:
        return {"aggregator": await self.aggregator.start(), "bank": await self.bank.start()}

    async def stop(self) -> None:
        await self.aggregator.stop()
        await self.bank.stop()

    def _delivered(self, account_number: str, sent: float, answered: float) -> None:
        self._webhook_sent.setdefault(account_number, sent)

    async def run(self, run: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
        """Send orders as ``run`` says (``node``, ``orders``, ``in_flight``, ``rate``)."""
        self.aggregator.node_url = run["node"]
        self.bank.set_webhook_url(f"{run['node']}/webhooks/psp")
        await self._routes()
        self._webhook_sent.clear()
        calls_before, cpu_before = self._calls(), cpu_s()
        began = self._clock.monotonic()
        done: list[Order] = []
        late: list[Order] = []

        async def one() -> None:
            order = self._draft()
            await self.aggregator.send(order)
            try:
                await self.aggregator.wait_for(order.id, _PAID, _ORDER_S)
            except TimeoutError:
                late.append(order)
                return
            done.append(order)
            if len(done) % _PROGRESS_EVERY == 0:
                await tell({"progress": len(done)})

        if run["rate"]:
            await open_loop(self._clock, one, run["orders"], run["rate"])
        else:
            await closed_loop(one, run["orders"], run["in_flight"])
        calls = Counter(self._calls())
        calls.subtract(calls_before)
        # Fulfil is one path for two things that are told; the marks tell them apart.
        for word in ("pending", "success"):
            told = sum(f"{word}_received" in order.marks for order in done)
            calls[f"aggregator fulfill {word}"] = told
            calls["aggregator fulfill 200"] -= told
        ended = max((order.marks["success_received"] for order in done), default=began)
        return {
            "orders": len(done),
            "unfinished": [order.story() for order in late[:5]],
            "seconds": ended - began,
            "companies_cpu_s": cpu_s() - cpu_before,
            "calls": {name: count for name, count in sorted(calls.items()) if count},
            "latencies_ms": self._latencies(done),
            "violations": [violation.as_json() for violation in self.aggregator.judge()],
            "paid_more_than_once": self.bank.books.paid_more_than_once(),
        }

    def _draft(self) -> Order:
        """An order to an account of its own, by which its webhook is known again."""
        self._count += 1
        return self.aggregator.create(
            1_000 + self._count % 9_000,
            institution=_INSTITUTIONS[self._count % len(_INSTITUTIONS)],
            account=str(_FIRST_ACCOUNT + self._count),
        )

    async def _routes(self) -> None:
        """Wait until the node has read the bank's list: before that it declines everything."""
        asked = {"accountIdentifier": "0123456789", "institution": _INSTITUTIONS[0]}
        async with asyncio.timeout(_ROUTES_S):
            while not (await self.aggregator.call_node("/verify_account", asked)).good:
                await self._clock.sleep(_ASK_AGAIN_S)

    def _calls(self) -> dict[str, int]:
        """What arrived here so far, by company, verb and answer."""
        calls = {f"aggregator {name}": n for name, n in self.aggregator.counters.items()}
        calls |= {f"bank {name}": n for name, n in self.bank.requests.items()}
        calls |= {f"bank webhook {name}": n for name, n in self.bank.courier.counts.items()}
        return calls

    def _latencies(self, orders: Iterable[Order]) -> dict[str, dict[str, float]]:
        """Times between events at the companies; the one clock is theirs.

        An offer is *answered* when the aggregator has read the answer; a call is *received* when
        its signature has been verified; a webhook begins when the bank begins to send it, so its
        way to the node is part of the time.
        """
        spans: dict[str, list[float]] = {
            "offer_to_answer": [],
            "answer_to_accept": [],
            "webhook_to_fulfil": [],
            "offer_to_fulfil": [],
        }
        for order in orders:
            marks = order.marks
            spans["offer_to_answer"].append(marks["answered"] - marks["offered"])
            # The accept may be here before the answer to the offer has been read.
            spans["answer_to_accept"].append(max(0.0, marks["accept_received"] - marks["answered"]))
            spans["offer_to_fulfil"].append(marks["success_received"] - marks["offered"])
            sent = self._webhook_sent.get(order.account)
            if sent is not None:
                spans["webhook_to_fulfil"].append(marks["success_received"] - sent)
        return {name: percentiles(seconds) for name, seconds in spans.items() if seconds}


def main() -> None:
    """Serve standard input until it ends."""
    serve_lines(Companies)


if __name__ == "__main__":
    main()
