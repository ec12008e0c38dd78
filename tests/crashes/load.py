"""What goes on while the machine breaks: orders are offered, sales are made, everything fails."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from decimal import Decimal
from itertools import count
from typing import Any

import aiohttp

from tests.acceptance.test_kill import AGGREGATOR_RATES, BANK_RATES
from tests.support.world import INSTITUTION, World
from tidegate.clock import Clock, Randomness
from tidegate.sandbox.aggregator.orders import Status
from tidegate.sandbox.cards import SandboxCards
from tidegate.sandbox.faults import CardFault as C
from tidegate.sandbox.shop import SALES, Clerk, Shop, Sold

__all__ = ["PatientClerk", "keep_offering", "set_faults"]

_PATIENCE_S = 400.0
_PAUSE_S = 0.5
# Sales at a time: some of them wait for the lease of a dead process to run out.
_TILLS = 20

# All but those that change what becomes of a sale (its cards do that) and those for which the
# processor itself is out of order.
CARD_RATES = dict.fromkeys(
    (
        C.DROP_BEFORE,
        C.DROP_AFTER,
        C.SLOW,
        C.TOO_SLOW,
        C.ACT_LATE,
        C.ERROR_500_BEFORE,
        C.ERROR_500_AFTER,
        C.ERROR_503,
        C.HTML_502,
        C.HTML_502_AFTER,
        C.RATE_LIMITED,
        C.LOCK_TIMEOUT,
        C.PROCESSING,
        C.REFUND_PENDING,
        C.LOOKUP_500,
        C.LOOKUP_TIMEOUT,
        C.WEBHOOK_NONE,
        C.WEBHOOK_LATE,
        C.WEBHOOK_DUPLICATE,
        C.WEBHOOK_SWAPPED,
        C.WEBHOOK_FIRST,
        C.WEBHOOK_BAD_SIGNATURE,
        C.WEBHOOK_UNKNOWN_TYPE,
    ),
    0.04,
)


def set_faults(world: World, cards: SandboxCards, seed: int) -> None:
    """Lost answers, late acts, 5xx, duplicates, late webhooks, at all three companies."""
    bank = world.faults
    bank.plan.seed = world.aggregator_faults.seed = cards.faults.plan.seed = seed
    bank.plan.set_rates(BANK_RATES)
    world.aggregator_faults.set_rates(AGGREGATOR_RATES)
    cards.faults.plan.set_rates(CARD_RATES)
    # What comes too late finds another process at it, or the same one past its time limit.
    bank.slow_s, bank.too_slow_s, bank.queued_s, bank.not_found_s = 0.7, 3.0, 1.0, 3.0
    bank.failed_then_paid_s, bank.reversed_s = 0.5, 1.5
    cards.faults.slow_s, cards.faults.too_slow_s = 0.7, 3.0
    cards.faults.processing_s, cards.faults.webhook_late_s = 1.5, 3.0


async def keep_offering(
    world: World, chance: random.Random, pause_s: float, waiting_max: int | None = None
) -> None:
    """Offer an order every ``pause_s`` on average, each to an account of its own; none while more
    than ``waiting_max`` wait for somebody to take them: offers live seconds, and on a machine that
    is busy with other things the rest would lapse again and again."""
    for number in count(1):
        while waiting_max is not None and _waiting(world) > waiting_max:  # noqa: ASYNC110 -- a book wakes nobody
            await asyncio.sleep(0.1)
        order = world.aggregator.create(
            Decimal(1_000 + number),
            institution=INSTITUTION,
            account=world.account(),
            dialect="spec" if chance.random() < 0.2 else "live",
        )
        world.aggregator.send_soon(order)
        await asyncio.sleep(chance.uniform(0, 2 * pause_s))


def _waiting(world: World) -> int:
    orders = world.aggregator.orders.values()
    return sum(order.status is Status.PENDING for order in orders)


class PatientClerk(Clerk):
    """Makes sales until it is told to stop, and waits as long as it takes for each to end.

    The key of a wish stays the same however often the node dies over it.
    """

    def __init__(
        self, clock: Clock, randomness: Randomness, shop: Shop, chance: random.Random, most: int
    ) -> None:
        super().__init__(clock, randomness, shop, chance.choices(SALES, k=most))
        self.begun: list[Sold] = []
        self._stopping = False
        self._tills = asyncio.Semaphore(_TILLS)

    def stop(self) -> None:
        """Begin no more sales."""
        self._stopping = True

    @property
    def trouble(self) -> list[str]:
        return [f"{sold.id} {sold.sale}: {sold.trouble}" for sold in self.begun if sold.trouble]

    async def _play(self, sold: Sold) -> None:
        async with self._tills:
            if not self._stopping:
                self.begun.append(sold)
                await super()._play(sold)

    async def _until_known(self, sold: Sold) -> None:
        await _patiently(lambda: super(PatientClerk, self)._until_known(sold))

    async def _until_status(self, sold: Sold, wanted: set[str]) -> None:
        await _patiently(lambda: super(PatientClerk, self)._until_status(sold, wanted))

    async def _post(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> tuple[int, dict[str, Any]]:
        until = time.monotonic() + _PATIENCE_S
        while True:
            status, answer = 503, dict[str, Any]()
            with suppress(aiohttp.ClientError, TimeoutError, ValueError):  # killed over it
                status, answer = await super()._post(path, body, headers)
            running = answer.get("code") == "request_still_running"
            if not (running or status == 429 or status >= 500) or time.monotonic() > until:
                return status, answer
            await asyncio.sleep(_PAUSE_S)

    async def _get(self, sold: Sold, path: str) -> dict[str, Any]:
        until = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return await super()._get(sold, path)
            except Exception:  # whatever a dying node does to an answer
                if time.monotonic() > until:
                    raise
            await asyncio.sleep(_PAUSE_S)


async def _patiently(turn: Callable[[], Awaitable[None]]) -> None:
    """Wait again when it was only too short."""
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return await turn()
        except TimeoutError:
            if time.monotonic() > until:
                raise
