"""The verbs of payments over a played processor, in one process, on a clock that tests move."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp
from sqlalchemy import Table, select

from tidegate.adapters.stripe.adapter import StripeCards
from tidegate.cases.tables import cases
from tidegate.clock import Randomness, SimulatedClock
from tidegate.db.committer import Committer, Unit
from tidegate.db.engine import Database
from tidegate.db.inbox import inbox
from tidegate.db.rows import Change, Next
from tidegate.ledger.audit import audit
from tidegate.ledger.tables import accounts
from tidegate.payments import tables
from tidegate.payments.answers import Answer
from tidegate.payments.create import NewPayment
from tidegate.payments.keys import Asked
from tidegate.payments.make import MoneyIn, make_money_in
from tidegate.payments.rules import PaymentRules
from tidegate.sandbox.cards import SandboxCards
from tidegate.work.claim import Claimed

__all__ = ["KEY", "RULES", "SECRET", "TIMEOUT_S", "USER", "World"]

USER = "usr_01test"
KEY = "sk_test_world"
SECRET = "whsec_world"
# No test here waits for it, and a busy machine must not run into it.
TIMEOUT_S = 20.0
RULES = PaymentRules(
    amount_max={"EUR": 1_000_000, "USD": 1_000_000, "JPY": 1_000_000},
    lookup_schedule_s=(5, 15, 30, 60, 120, 300, 600, 900),
    send_again_after_ms=20_000,
    abandoned_after_ms=7 * 86_400_000,
)


class World:
    """One process's worth of objects; workers are played by :meth:`look`."""

    def __init__(self, database: Database, clock: SimulatedClock, processor: SandboxCards) -> None:
        self.database = database
        self.clock = clock
        self.processor = processor
        self.randomness = Randomness(clock, 11)
        self.committer = Committer(database)
        self.committer.start()
        cards = StripeCards(
            api_key=KEY,
            api_base=processor.base_url,
            webhook_secrets=(SECRET,),
            publishable_key="pk_test_world",
            node_id="node_test",
            live=False,
            clock=clock,
            connector=aiohttp.TCPConnector,
            randomness=self.randomness,
            timeout_s=TIMEOUT_S,
        )
        one = (database, self.committer, clock, self.randomness)
        self.money: MoneyIn = make_money_in(*one, RULES, cards)
        self._keys = 0

    async def close(self) -> None:
        await self.committer.stop()
        await self.money.cards.close()
        await self.database.close()

    # -- what requests do --------------------------------------------------------------------------

    async def method(self, card: str = "pm_card_visa") -> str:
        return str((await self.money.methods.attach(USER, card))["id"])

    def asked(self, route: str, key: str | None = None, print_: str = "f") -> Asked:
        self._keys += 1
        return Asked(USER, route, key or f"key-{self._keys}", print_)

    async def pay(
        self, card: str | None = "pm_card_visa", *, key: str | None = None, **wish: Any
    ) -> Answer:
        """``POST /api/payments`` with 10.00 EUR on a newly stored card."""
        method = None if card is None else await self.method(card)
        given = {"amount": 1000, "currency": "EUR", "payment_method_id": method, **wish}
        return await self.money.create(self.asked("create", key), NewPayment(**given))

    async def capture(self, payment: str, amount: int | None = None) -> Answer:
        return await self.money.capture(self.asked("capture"), payment, amount)

    async def refund(
        self, payment: str, amount: int | None = None, key: str | None = None
    ) -> Answer:
        return await self.money.refund(self.asked("refund", key), payment, amount, None)

    # -- what workers do ---------------------------------------------------------------------------

    async def look(self, row_id: str, tries: int = 1) -> Mapping[str, Any]:
        """Run the verb of a payment's, refund's or dispute's row once, due or not, as if for the
        ``tries``-th time."""
        verbs: dict[str, tuple[Table, Callable[[Claimed], Awaitable[None]]]] = {
            "pay": (tables.payments, self.money.pursue),
            "re": (tables.refunds, self.money.pursue_refund),
            "dp": (tables.disputes, self.money.pursue_dispute),
        }
        table, verb = verbs[row_id.split("_")[0]]
        row = await self.row(table, row_id)
        ends_at = self.clock.monotonic() + 60
        change = Change(table, row_id, next=Next(str(row["kind"] or "pay")), take_ms=60_000)
        (held,) = await self.committer.commit(Unit([change]))
        leased = {**row, "fence": held.fence, "due_at": held.due_at, "tries": tries}
        await verb(Claimed(table, leased, ends_at, self.clock))
        return await self.row(table, row_id)

    async def pass_time(self, seconds: float) -> None:
        """Time goes by, and with it what the processor decides later."""
        self.clock.advance(seconds)
        for _ in range(20):  # let what woke up run
            await asyncio.sleep(0.005)

    async def hear(self) -> int:
        """Read the processor's list of events, as the sweep does, and what they prompt."""
        result = await self.money.sweep(None)
        await self.read_due(tries=9)
        return int(result["found"])

    async def read_due(self, tries: int = 1) -> None:
        """Read every event that waits in the inbox, as if for the ``tries``-th time."""
        for row in await self.rows(inbox):
            if row["due_at"] is not None:
                change = Change(inbox, row["id"], next=Next(str(row["kind"])), take_ms=60_000)
                (held,) = await self.committer.commit(Unit([change]))
                leased = {**row, "fence": held.fence, "due_at": held.due_at, "tries": tries}
                ends_at = self.clock.monotonic() + 60
                await self.money.read(Claimed(inbox, leased, ends_at, self.clock))

    # -- what is there -----------------------------------------------------------------------------

    async def row(self, table: Table, row_id: str) -> Mapping[str, Any]:
        return next(row for row in await self.rows(table) if row["id"] == row_id)

    async def rows(self, table: Table) -> list[Mapping[str, Any]]:
        return await self.database.read(
            lambda c: [dict(row) for row in c.execute(select(table)).mappings()]
        )

    async def row_of(self, payment: str) -> Mapping[str, Any]:
        return await self.row(tables.payments, payment)

    async def cases(self) -> set[str]:
        return {str(row["kind"]) for row in await self.rows(cases)}

    async def books(self) -> dict[str, int]:
        """Balances that are not zero, after the audit found nothing."""
        now_ms = self.clock.now_ms()
        report = await self.database.read(
            lambda c: audit(c, expect=None, now_ms=now_ms, unsealed_after_ms=10**15)
        )
        assert report.ok, report.findings
        return {row["path"]: row["balance"] for row in await self.rows(accounts) if row["balance"]}
