"""The demonstration's world: the companies, a shop, the real node, and a look at all of them.

The companies live in this process; the node is a ``tidegate serve`` of its own, with windows so
short that what takes a quarter of an hour in production takes seconds.
"""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from tidegate.cli.demo_look import Books, Look, payout_count, read_books, read_look
from tidegate.cli.demo_till import Till, read_till
from tidegate.cli.processes import Node
from tidegate.clock import Clock, Randomness
from tidegate.db.engine import Database, open_database
from tidegate.db.url import parse
from tidegate.errors import ConfigurationError
from tidegate.sandbox.aggregator import Order, SandboxAggregator, Terms
from tidegate.sandbox.bank import SandboxBank
from tidegate.sandbox.cards import SandboxCards
from tidegate.sandbox.cards import Terms as CardTerms
from tidegate.sandbox.faults import (
    AggregatorFault,
    BankFault,
    BankFaults,
    CardFault,
    CardFaults,
    FaultPlan,
)
from tidegate.sandbox.scenario import Planned, Scenario
from tidegate.sandbox.shop import Clerk, Sale, Shop
from tidegate.sandbox.shop.sales import arm

__all__ = ["FUNDING", "World"]

FUNDING = Decimal(250_000)
"""Naira that come in while the orders run."""

_OPENING_LEAST = Decimal(5_000_000)
_ASK_AGAIN_S = 0.05
_ROUTES_S = 20.0
_DECISION_S = (0.05, 0.6)

# Windows of the contract, shortened in step: what matters is their order, not their length.
_NODE = {
    "OFFER_TTL": "8",
    "ACCEPT_MARGIN": "1",
    "LOOKUP_SCHEDULE": "1,1,1",
    "LOOKUP_STEADY": "1",
    "NOT_FOUND_COUNT": "3",
    "NOT_FOUND_WINDOW": "4",
    "COOL_OFF": "4",
    "PSP_REST": "1",
    "LENCO_TIMEOUT": "5",
    "AGGREGATOR_TIMEOUT": "10",
    "ORDER_POLL_INTERVAL": "5",
    "BALANCE_SYNC_INTERVAL": "3",
    "BALANCE_PUSH_GAP": "0.5",
    "SEAL_INTERVAL": "5",
    "AUDIT_INTERVAL": "15",
    "MAX_ORDER_AMOUNT": "NGN:1000000",
    "AGGREGATOR_DIALECT": "live",
    "SHUTDOWN_GRACE": "10",
    # A shop on this machine is told over http, which is refused elsewhere.
    "DEBUG": "true",
    "STRIPE_TIMEOUT": "3",
    "PAYMENT_SEND_AGAIN_AFTER": "3",
    "PAYMENT_LOOKUP_SCHEDULE": "1,1,2",
    # Everybody calls from one address here, the page's visitors too.
    "AUTH_RATE_LIMIT": "60",
}
_TERMS = Terms(
    offer_ttl_s=10.0,
    reoffer_delay_s=1.5,
    offers_max=4,
    reassign_interval_s=2.0,
    refund_interval_s=2.0,
    refund_timeout_s=8.0,
    refunding_s=0.5,
    poll_interval_s=4.0,
    # Later than the longest call to the bank, as the contract's 30 s are.
    first_poll_after_s=9.0,
    fulfilment_validity_s=12.0,
    settling_after_s=0.5,
    settled_after_s=0.5,
    polled_settling_after_s=2.0,
    slow_s=2.0,
    refuse_s=1.0,
)
_CARD_TERMS = CardTerms(refund_s=3.0, dispute_s=0.5)
_SETTLE_S = 0.8
_WEBHOOK_RETRY_S = (0.3, 1.0)


class World:
    """Everything that the demonstration plays with."""

    def __init__(
        self,
        clock: Clock,
        scenario: Scenario,
        directory: Path,
        database_url: str,
        *,
        port: int,
        sales: Sequence[Sale] = (),
    ) -> None:
        self.scenario = scenario
        randomness = Randomness(clock)
        total = sum((order.amount for order in scenario), Decimal(0))
        self.opening = max(_OPENING_LEAST, 2 * total.quantize(Decimal(1)))
        token, secret = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        client_id, account_id = str(uuid.uuid4()), str(uuid.uuid4())
        self.bank = SandboxBank(
            clock,
            randomness,
            token=token,
            account_id=account_id,
            opening_balance=self.opening,
            webhook_url=None,
            faults=_bank_faults(scenario.seed),
            decision_delay_s=_DECISION_S,
        )
        self.aggregator = SandboxAggregator(
            clock,
            randomness,
            client_id=client_id,
            secret=secret,
            faults=FaultPlan(AggregatorFault, scenario.seed),
            terms=_TERMS,
        )
        key, webhook_secret = (f"{kind}_{secrets.token_hex(24)}" for kind in ("sk_test", "whsec"))
        self.cards = SandboxCards(
            clock,
            randomness,
            api_key=key,
            webhook_secret=webhook_secret,
            faults=_card_faults(scenario.seed),
            terms=_CARD_TERMS,
            settle_s=_SETTLE_S,
            webhook_retry_s=_WEBHOOK_RETRY_S,
        )
        self.shop = Shop(clock)
        self.clerk = Clerk(clock, randomness, self.shop, sales)
        self._settings = {
            **_NODE,
            "DATABASE_URL": database_url,
            "AGGREGATOR_CLIENT_ID": client_id,
            "AGGREGATOR_SECRET_KEY": secret,
            "LENCO_API_KEY": token,
            "LENCO_ACCOUNT_ID": account_id,
            "STRIPE_API_KEY": key,
            "STRIPE_PUBLISHABLE_KEY": key.replace("sk_", "pk_", 1),
            "STRIPE_WEBHOOK_SECRET": webhook_secret,
        }
        self._clock = clock
        self._directory = directory
        self._database_url = database_url
        self._port = port
        self._database: Database | None = None
        self._node: Node | None = None

    @property
    def node(self) -> Node:
        assert self._node is not None  # by start
        return self._node

    async def start(self) -> None:
        """Bring everybody up. Raises ``NodeFailed``; ``ConfigurationError`` for a database that
        holds orders of somebody else."""
        bank = await self.bank.start()
        aggregator = await self.aggregator.start()
        settings = {
            **self._settings,
            "AGGREGATOR_BASE_URL": aggregator,
            "LENCO_BASE_URL": bank,
            "STRIPE_API_BASE": await self.cards.start(),
            "CORS_ORIGINS": await self.shop.start(),
        }
        self._node = Node(self._directory, settings, port=self._port)
        self.aggregator.node_url = self.shop.node_url = self._node.url
        self.bank.set_webhook_url(f"{self._node.url}/webhooks/psp")
        self.cards.set_webhook_url(f"{self._node.url}/api/webhooks/stripe")
        await self._node.start()
        self._database = open_database(parse(self._database_url), self._clock)
        if await self._database.read(payout_count):
            raise ConfigurationError(
                ["The demonstration's database holds orders already: name another place."]
            )
        await self._know_the_banks()
        await self.clerk.open(self.cards.base_url)

    async def _know_the_banks(self) -> None:
        """Until the node has read the bank's list, it declines every order."""
        asked = {"accountIdentifier": "0123456789", "institution": "GTBINGLA"}
        async with asyncio.timeout(_ROUTES_S):
            while not (await self.aggregator.call_node("/verify_account", asked)).good:
                await self._clock.sleep(_ASK_AGAIN_S)

    async def stop(self) -> None:
        """Stop the node first, so that it meets open doors while it ends its work."""
        await self.clerk.close()
        if self._node is not None:
            await self._node.stop()
        if self._database is not None:
            await self._database.close()
        await self.aggregator.stop()
        await self.bank.stop()
        await self.cards.stop()
        await self.shop.stop()

    async def play(self) -> None:
        """Offer every order at its time, and sell in the shop meanwhile."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._offer())
            both.create_task(self._sell())

    async def _sell(self) -> None:
        arm(self.cards.faults.plan)
        await self.clerk.sell()

    async def _offer(self) -> None:
        """Offer every order at its time; money comes in half-way."""
        self.scenario.arm(self.bank.faults.plan, self.aggregator.book.faults)
        began = self._clock.monotonic()
        half = len(self.scenario.orders) // 2
        for planned in self.scenario:
            wait_s = began + planned.after_s - self._clock.monotonic()
            if wait_s > 0:
                await self._clock.sleep(wait_s)
            self.aggregator.send_soon(self._create(planned))
            if planned.number == half:
                self.bank.fund(FUNDING)

    def _create(self, planned: Planned) -> Order:
        return self.aggregator.create(
            planned.amount,
            order_id=planned.order_id,
            dialect=planned.dialect,
            institution=planned.institution,
            account=planned.account,
            account_name=planned.account_name,
            memo=planned.memo,
            private=planned.trouble.private,
        )

    async def look(self) -> Look:
        """What the node's database says now."""
        assert self._database is not None  # by start
        return await self._database.read(read_look)

    async def till(self) -> Till:
        """What the node's database says of payments now."""
        assert self._database is not None  # by start
        return await self._database.read(read_till)

    async def books(self) -> Books:
        """Audit the node's books."""
        assert self._database is not None  # by start
        now_ms = self._clock.now_ms()
        return await self._database.read(lambda connection: read_books(connection, now_ms))


def _bank_faults(seed: int) -> BankFaults:
    return BankFaults(
        FaultPlan(BankFault, seed),
        refuse_s=1.0,
        slow_s=2.0,
        too_slow_s=7.0,
        queued_s=3.0,
        not_found_s=7.0,
        failed_then_paid_s=2.0,
        reversed_s=4.0,
        webhook_late_s=3.0,
    )


def _card_faults(seed: int) -> CardFaults:
    return CardFaults(FaultPlan(CardFault, seed), slow_s=1.0, webhook_late_s=2.0)
