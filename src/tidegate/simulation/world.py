"""The companies around the node, the faults of a plan, and who keeps the node running."""

from __future__ import annotations

import asyncio
import base64
import shutil
import uuid
from collections import defaultdict
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from tidegate.clock import Randomness
from tidegate.sandbox.aggregator import SandboxAggregator, Terms
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
from tidegate.sandbox.shop import Shop
from tidegate.simulation.buyers import Buyer
from tidegate.simulation.drawing import BUYER
from tidegate.simulation.loop import SimulatedLoop
from tidegate.simulation.network import Network
from tidegate.simulation.party import Party
from tidegate.simulation.plan import (
    Apart,
    Crash,
    Down,
    Moment,
    OrderPlan,
    Plan,
    Skew,
    Wire,
    WireFault,
)
from tidegate.simulation.service import NODE_PORT, Service, SimulatedTime
from tidegate.simulation.trace import Trace

__all__ = ["ACCOUNT", "COOL_OFF_S", "DATA_KEY", "SECRETS", "SECRET_KEY", "World"]

COOL_OFF_S = 4
"""How long a transfer rests that failed for a reason which may still turn into success."""

# Windows of the contract, shortened in step: what matters is their order, not their length.
_NODE = {
    "OFFER_TTL": "8",
    "ACCEPT_MARGIN": "1",
    "LOOKUP_SCHEDULE": "1,1,1",
    "LOOKUP_STEADY": "2",
    "NOT_FOUND_COUNT": "3",
    "NOT_FOUND_WINDOW": "6",
    "COOL_OFF": str(COOL_OFF_S),
    "PSP_REST": "1",
    "LENCO_TIMEOUT": "5",
    "AGGREGATOR_TIMEOUT": "10",
    "ORDER_POLL_INTERVAL": "8",
    "BALANCE_SYNC_INTERVAL": "10",
    "BALANCE_PUSH_GAP": "0.5",
    "SEAL_INTERVAL": "12",
    "EXPIRY_CHECK_INTERVAL": "10",
    "AUDIT_INTERVAL": "60",
    "PROCESSOR_EVENTS_INTERVAL": "20",
    "WORK_POLL_INTERVAL": "2",
    "MAX_ORDER_AMOUNT": "NGN:1000000",
    "AGGREGATOR_DIALECT": "live",
    "DEBUG": "true",
    "LOG_LEVEL": "INFO",
    "STRIPE_TIMEOUT": "3",
    "PAYMENT_SEND_AGAIN_AFTER": "6",
    "PAYMENT_LOOKUP_SCHEDULE": "1,1,2",
    "AUTH_RATE_LIMIT": "600",
    "TIDEGATE_ENV": "sandbox",
}
_TERMS = Terms(
    offer_ttl_s=10.0,
    reoffer_delay_s=1.5,
    offers_max=4,
    reassign_interval_s=2.0,
    refund_interval_s=2.0,
    refund_timeout_s=25.0,
    refunding_s=0.5,
    poll_interval_s=4.0,
    first_poll_after_s=6.0,
    fulfilment_validity_s=7.0,
    settling_after_s=0.5,
    settled_after_s=0.5,
    polled_settling_after_s=2.0,
    slow_s=2.0,
    slow_answer_s=600.0,
    refuse_s=1.0,
)
_CARD_TERMS = CardTerms(refund_s=3.0, dispute_s=0.5)

_CLIENT_ID = str(uuid.UUID(int=0x51D0_0000_0000_4000_8000_0000_0000_0001))
ACCOUNT = str(uuid.UUID(int=0x51D0_0000_0000_4000_8000_0000_0000_0002))
_SECRET = base64.b64encode(b"simulated-aggregator-secret-key!").decode()
_TOKEN = "simulated-lenco-token-0123456789abcdef"  # noqa: S105 -- opens nothing but the sandbox
_STRIPE_KEY = "sk_test_simulated0123456789abcdef0123"
_STRIPE_SECRET = "whsec_simulated0123456789abcdef0123"  # noqa: S105 -- the same
SECRET_KEY = "simulated-secret-key-0123456789-abcdef"  # noqa: S105 -- the same
DATA_KEY = "simulated-data-key-0123456789-abcdefgh"
SECRETS = (_SECRET, _TOKEN, _STRIPE_KEY, _STRIPE_SECRET, SECRET_KEY, DATA_KEY)
"""What must be in no log."""

# Trouble goes on for so long after the last order: its transfer and its report meet some too.
_GOES_ON_S = 20.0
_READY_S = 60.0
_STEP_S = 0.25


class World:
    """Everybody, on one loop. ``database`` is a copy of ``template``; ``keeper`` is the party that
    keeps the node running; ``token`` opens the buyer's account for a quarter of an hour."""

    def __init__(
        self,
        plan: Plan,
        loop: SimulatedLoop,
        keeper: Party,
        template: Path,
        directory: Path,
        token: str,
    ) -> None:
        self.plan = plan
        self.loop = loop
        self.trace = Trace(loop.time)
        self.network = loop.network = Network(loop, plan.seed, self.trace)
        self.database = directory / "node.sqlite3"
        shutil.copyfile(template, self.database)
        self.time = SimulatedTime(loop)
        self.parties = {
            name: Party(name) for name in ("aggregator", "bank", "cards", "shop", BUYER)
        }
        self.bank = SandboxBank(
            self.time,
            Randomness(self.time, plan.seed + 1),
            token=_TOKEN,
            account_id=ACCOUNT,
            opening_balance=plan.opening,
            webhook_url=None,
            faults=BankFaults(
                FaultPlan(BankFault, plan.seed),
                refuse_s=1.0,
                slow_s=2.0,
                too_slow_s=5.5,
                queued_s=3.0,
                not_found_s=5.0,
                failed_then_paid_s=2.0,
                reversed_s=4.0,
                webhook_late_s=3.0,
            ),
            decision_delay_s=(0.05, 0.8),
        )
        self.aggregator = SandboxAggregator(
            self.time,
            Randomness(self.time, plan.seed + 2),
            client_id=_CLIENT_ID,
            secret=_SECRET,
            faults=FaultPlan(AggregatorFault, plan.seed),
            terms=_TERMS,
        )
        self.cards = SandboxCards(
            self.time,
            Randomness(self.time, plan.seed + 3),
            api_key=_STRIPE_KEY,
            webhook_secret=_STRIPE_SECRET,
            faults=CardFaults(
                FaultPlan(CardFault, plan.seed), slow_s=1.0, too_slow_s=3.5, webhook_late_s=2.0
            ),
            terms=_CARD_TERMS,
            settle_s=0.8,
            webhook_retry_s=(0.3, 1.0),
        )
        self.shop = Shop(self.time)
        self.buyer = Buyer(self.time, self.cards, _STRIPE_KEY, self.shop, plan, token)
        self.service: Service
        self._keeper = keeper
        self._crashes: dict[Moment, dict[int, Crash]] = defaultdict(dict)
        self._wires: dict[tuple[str, str, int], WireFault] = {}
        self._counted: dict[Moment, int] = defaultdict(int)
        self._healed = False
        self.set_forward_s = 0.0
        self.set_back_s = 0.0
        self._ready_at = 0.0
        self.data_key: str | None = None
        """What the node keeps recipients' data encrypted under."""

    # -- its life ---

    async def open(self) -> None:
        """Start everybody; return when the node can pay and take payments."""
        settings = {
            **_NODE,
            "SECRET_KEY": SECRET_KEY,
            "DATA_KEY": self.data_key or "",
            "DATABASE_URL": f"sqlite:///{self.database}",
            "AGGREGATOR_BASE_URL": await self._as("aggregator", self.aggregator.start()),
            "AGGREGATOR_CLIENT_ID": _CLIENT_ID,
            "AGGREGATOR_SECRET_KEY": _SECRET,
            "LENCO_BASE_URL": await self._as("bank", self.bank.start()),
            "LENCO_API_KEY": _TOKEN,
            "LENCO_ACCOUNT_ID": ACCOUNT,
            "STRIPE_API_BASE": await self._as("cards", self.cards.start()),
            "STRIPE_API_KEY": _STRIPE_KEY,
            "STRIPE_WEBHOOK_SECRET": _STRIPE_SECRET,
            "CORS_ORIGINS": await self._as("shop", self.shop.start()),
        }
        url = f"http://127.0.0.1:{NODE_PORT}"
        self.aggregator.node_url = self.shop.node_url = url
        self.bank.set_webhook_url(f"{url}/webhooks/psp")
        self.cards.set_webhook_url(f"{url}/api/webhooks/stripe")
        self.service = Service(self.loop, settings, self.plan.seed, self.trace)
        await self.service.start()
        await self._as(BUYER, self.buyer.open(url))
        async with asyncio.timeout(_READY_S):
            while not self._can_pay():  # noqa: ASYNC110 -- the node wakes nobody of ours
                await asyncio.sleep(_STEP_S)

    async def close(self) -> None:
        """End everybody as they stand."""
        for party in self.parties.values():
            self.loop.kill(party)
        if hasattr(self, "service"):
            self.service.kill("the run is over")
            await self.service.close()

    def _can_pay(self) -> bool:
        app = self.service.app
        return app is not None and bool(app.directory.routes)

    async def _as(self, name: str, work: Coroutine[Any, Any, Any]) -> Any:
        return await self.parties[name].spawn(work)

    # -- a plan's run ---

    async def play(self) -> None:
        """Let the plan happen, and return when its last sale and most of its last order is over."""
        self._ready_at = self.loop.time()
        self.network.exchanges.clear()
        self.trace.add("plays", f"seed {self.plan.seed}: {' '.join(self.plan.names)}")
        self.network.fate = self._fate
        self.network.before_call = lambda party: self._count(Moment.BEFORE_CALL, party)
        self.network.after_call = lambda party: self._count(Moment.AFTER_CALL, party)
        self.service.on_moment = lambda moment: self._count(moment, self.service.party)
        for upset in self.plan.upsets:
            self._arm(upset)
        ends = self._ready_at
        for order in self.plan.orders:
            self._arm_order(order)
            self.parties["aggregator"].call_at(self._ready_at + order.at_s, self._offer, order)
            ends = max(ends, self._ready_at + order.at_s + _GOES_ON_S)
        sold = self.parties[BUYER].spawn(self.buyer.buy())
        await asyncio.sleep(ends - self._ready_at)
        async with asyncio.timeout(600):
            await sold

    def heal(self) -> None:
        """From now on nothing goes wrong: what is unfinished has to come right."""
        self.trace.add("heals", "no faults from here on")
        self._healed = True
        self.network.fate = lambda client, server, number: None
        self.network.apart.clear()
        self.network.down.clear()
        self.service.clock.ahead_s = 0.0
        self.bank.heal()
        self.aggregator.book.faults.heal()
        self.cards.heal()

    def _offer(self, order: OrderPlan) -> None:
        self.trace.add("orders", f"{order.name} {order.order_id} {order.amount} NGN")
        self.aggregator.send_soon(
            self.aggregator.create(
                order.amount,
                order_id=order.order_id,
                dialect="live" if order.dialect == "live" else "spec",
                institution=order.institution,
                account=order.account,
                private=order.private,
            )
        )

    def _arm_order(self, order: OrderPlan) -> None:
        if order.bank:
            self.bank.faults.plan.set(order.account, *order.bank, times=order.times)
        if order.aggregator:
            self.aggregator.book.faults.set(order.order_id, *order.aggregator, times=1)

    # -- faults ---

    def _arm(self, upset: WireFault | Crash | Apart | Down | Skew) -> None:
        if isinstance(upset, WireFault):
            self._wires[upset.client, upset.server, upset.number] = upset
        elif isinstance(upset, Crash):
            if upset.moment is Moment.ANY:
                self._at(upset.number / 1000, self._crash, upset)
            else:
                self._crashes[upset.moment][upset.number] = upset
        elif isinstance(upset, Apart):
            self._at(upset.at_s, self._part, upset)
        elif isinstance(upset, Down):
            self._at(upset.at_s, self._go_down, upset)
        else:
            self._at(upset.at_s, self._skew, upset)

    def _at(self, seconds: float, act: Any, upset: Any) -> None:
        self._keeper.call_at(self._ready_at + seconds, act, upset)

    def _fate(self, client: str, server: str, number: int) -> Wire | None:
        fault = self._wires.get((client, server, number))
        return None if fault is None else fault.what

    def _count(self, moment: Moment, party: Party | None) -> None:
        if party is None or party is not self.service.party or self._healed:
            return
        self._counted[moment] += 1
        crash = self._crashes[moment].pop(self._counted[moment], None)
        if crash is not None:
            self._crash(crash)

    def _crash(self, crash: Crash) -> None:
        if self._healed or not self.service.alive:
            return
        self.service.kill(f"{crash.name}, {crash.moment}")
        # Not as the node, in whose middle this may be called: nothing of a dead one runs.
        self._keeper.call_at(self.loop.time() + crash.down_s, self._revive)

    def _revive(self) -> None:
        if not self.service.alive:
            self._keeper.spawn(self.service.start())

    def _part(self, upset: Apart) -> None:
        if self._healed:
            return
        pair = frozenset((upset.one, upset.other))
        self.trace.add("parts", f"{upset.name}: {upset.one} and {upset.other}, {upset.for_s} s")
        self.network.apart.add(pair)
        self._keeper.call_at(self.loop.time() + upset.for_s, self.network.apart.discard, pair)

    def _go_down(self, upset: Down) -> None:
        if self._healed:
            return
        self.trace.add("down", f"{upset.name}: {upset.who}, {upset.for_s} s")
        self.network.down.add(upset.who)
        self.network.tear(upset.who)
        self._keeper.call_at(self.loop.time() + upset.for_s, self.network.down.discard, upset.who)

    def _skew(self, upset: Skew) -> None:
        if not self._healed:
            self.trace.add("skews", f"{upset.name}: the node's clock by {upset.by_s} s")
            self.service.clock.ahead_s += upset.by_s
            self.set_forward_s += max(0.0, upset.by_s)
            self.set_back_s += max(0.0, -upset.by_s)
