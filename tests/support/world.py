"""A world for tests that could lose money: two sandbox companies, a node, and what must be true.

The judges are the companies' own books, never ours: the bank counts how often a recipient got
money, the aggregator holds mistakes against the node. :meth:`World.assert_right` asks both, and
then whether our books explain every kobo.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Table, case, select, update

from tests.support.clocks import SwiftClock
from tests.support.databases import Prepare
from tests.support.invariants import PayoutEvidence, wrong_with_payouts
from tests.support.node import ChildNode, LocalNode, environment, migrate
from tests.support.our_books import WORK, Books, read_books, unfinished
from tidegate.clock import Clock, Randomness, SimulatedClock, SystemClock
from tidegate.db.engine import Database, open_database
from tidegate.db.url import parse
from tidegate.payouts.states import State
from tidegate.payouts.tables import attempts, bank_lists, payouts, psp_balances
from tidegate.sandbox.aggregator import SandboxAggregator
from tidegate.sandbox.aggregator.judgement import Violation, Wrong
from tidegate.sandbox.aggregator.terms import Terms
from tidegate.sandbox.bank import SandboxBank
from tidegate.sandbox.faults import AggregatorFault, BankFault, BankFaults, FaultPlan
from tidegate.work.tables import periodic

__all__ = ["INSTITUTION", "OpenWorld", "World", "open_world"]

INSTITUTION = "GTBINGLA"
_TOKEN = "tok-lenco-sandbox-0123456789"
_SECRET = "bm90LWEtcmVhbC1zZWNyZXQtMzItYnl0ZXMtbG9uZyE="
_OPENING = Decimal(50_000_000)

_WAIT_STEP_S = 0.05
# Limits of waiting are written for a quiet machine; a busy one may take so many times as long.
_BUSY = 6


@dataclass
class World:
    """Two companies, and a database on which nodes are started.

    ``factor`` speeds the companies' and a local node's clock up; 1 for real processes;
    ``simulated`` replaces it by one that stands until it is moved. ``env`` overrides settings,
    ``terms`` the aggregator's.
    """

    url: str
    directory: Path
    factor: float = 1.0
    env: Mapping[str, str] = field(default_factory=dict)
    terms: Mapping[str, Any] = field(default_factory=dict)
    opening: Decimal = _OPENING
    simulated: SimulatedClock | None = None

    def __post_init__(self) -> None:
        swift = SystemClock() if self.factor == 1 else SwiftClock(self.factor)
        self.clock: Clock = self.simulated or swift
        self.randomness = Randomness(self.clock)
        self.account_id = str(uuid.uuid4())
        self.client_id = str(uuid.uuid4())
        self.faults = BankFaults(FaultPlan(BankFault))
        self.bank = SandboxBank(
            self.clock,
            self.randomness,
            token=_TOKEN,
            account_id=self.account_id,
            opening_balance=self.opening,
            webhook_url=None,
            faults=self.faults,
        )
        self.aggregator_faults = FaultPlan(AggregatorFault)
        self.aggregator = SandboxAggregator(
            self.clock,
            self.randomness,
            client_id=self.client_id,
            secret=_SECRET,
            faults=self.aggregator_faults,
            terms=Terms(**{**self._patient_terms(), **self.terms}),
        )
        self._reader: Database | None = None
        self._bases = ("", "")
        self._locals: list[LocalNode] = []
        self._children: list[ChildNode] = []
        self._accounts = iter(range(1_000_000_000, 10_000_000_000))

    def _patient_terms(self) -> dict[str, float]:
        """However swift the clock is, the machine has half a minute to answer and to accept."""
        return dict.fromkeys(("slow_answer_s", "node_timeout_s", "offer_ttl_s"), 30 * self.factor)

    # -- its life ---------------------------------------------------------------------------

    async def open(self) -> None:
        """Start the companies."""
        self._bases = (await self.aggregator.start(), await self.bank.start())
        await self.reconnect()

    async def close(self) -> None:
        """Stop everything that was started here."""
        for child in self._children:
            child.kill()
        moving = asyncio.create_task(self._move()) if self.simulated else None
        for node in self._locals:
            await node.stop()
        await self.aggregator.stop()
        await self.bank.stop()
        if self._reader is not None:
            await self._reader.close()
        if moving is not None:
            moving.cancel()

    async def _move(self) -> None:
        """Let time pass for those who stop, and wait for it."""
        while self.simulated is not None:
            self.simulated.advance(0.1)
            await asyncio.sleep(0.001)

    def environment(self, **more: str) -> dict[str, str]:
        """The settings of a node in this world."""
        aggregator, bank = self._bases
        return environment(
            self.url,
            aggregator=aggregator,
            client_id=self.client_id,
            secret=_SECRET,
            bank=bank,
            token=_TOKEN,
            account_id=self.account_id,
            **{"OFFER_TTL": f"{20 * self.factor:g}", **self.env, **more},
        )

    async def local(self, **more: str) -> LocalNode:
        """Start a node in this process and wait until it can pay."""
        node = await self.idle(works=True, **more)
        await self.able(node)
        return node

    async def idle(self, *, works: bool = False, **more: str) -> LocalNode:
        """A node in this process that answers, and works only if it is told to."""
        env = self.environment(SERVER_PORT="18080", **more)
        node = LocalNode(env, self.clock, works=works)
        self._locals.append(node)
        self.listen_at(await node.start())
        return node

    async def able(self, node: LocalNode | None = None) -> None:
        """Wait until float and bank list are known."""

        def read(connection: Connection) -> bool:
            first = connection.execute(select(psp_balances.c.reading)).scalars().all()
            listed = connection.execute(select(bank_lists.c.banks)).scalars().all()
            return any(one is not None for one in first) and any(listed)

        async def known() -> bool:
            routes = node is None or bool(node.app.directory.routes)
            return routes and await self.read(read)

        await self.until(known, 15, "float and bank list")

    def child(self, *arguments: str, port: int, **more: str) -> ChildNode:
        """The real program, not started yet."""
        env = self.environment(SERVER_PORT=str(port), **more)
        child = ChildNode(env, self.directory / f"{arguments[0]}-{port}.log", arguments)
        self._children.append(child)
        return child

    def listen_at(self, url: str) -> None:
        """Tell the companies where the node is."""
        self.aggregator.node_url = url
        self.bank.set_webhook_url(f"{url}/webhooks/psp")

    # -- driving ----------------------------------------------------------------------------

    def account(self) -> str:
        """An account number that nobody used yet: bank faults are set by it."""
        return str(next(self._accounts))

    async def offer(
        self,
        *aggregator_faults: AggregatorFault,
        amount: int = 5_000,
        bank_faults: Iterable[BankFault] = (),
        times: int | None = 1,
        **fields: Any,
    ) -> str:
        """Offer one order with these faults on it; its id."""
        fields.setdefault("institution", INSTITUTION)
        fields.setdefault("account", self.account())
        fields.setdefault("order_id", str(uuid.uuid4()))
        self.faults.plan.set(fields["account"], *bank_faults, times=times)
        self.aggregator_faults.set(fields["order_id"], *aggregator_faults, times=times)
        return await self.aggregator.offer(Decimal(amount), **fields)

    def heal(self) -> None:
        """From now on nothing goes wrong."""
        self.bank.heal()
        self.aggregator_faults.heal()

    async def reconnect(self) -> None:
        """Connect to the database, anew if its server ended meanwhile."""
        if self._reader is not None:
            await self._reader.close()
        self._reader = open_database(parse(self.url), SystemClock(), pool_size=2)

    # -- looking ----------------------------------------------------------------------------

    async def read(self, work: Callable[[Connection], Any]) -> Any:
        assert self._reader is not None, "the world is not open"
        return await self._reader.read(work)

    async def execute(self, work: Callable[[Connection], Any]) -> Any:
        """Write past all of our code, as a test may and nobody else."""
        assert self._reader is not None, "the world is not open"
        return await self._reader.write(work)

    async def leases_run_out(self) -> None:
        """As if the longest lease had passed: for when whoever held one was killed."""
        await self.execute(_end_leases)

    async def books(self) -> Books:
        """Our books now."""
        return await self.read(lambda c: read_books(c, self.clock.now_ms()))  # type: ignore[no-any-return]  # what read_books returns

    async def payout(self, order_id: str) -> dict[str, Any]:
        """The payout's row."""
        rows = await self.rows(payouts, payouts.c.order_id == order_id)
        assert rows, f"the node does not know {order_id}"
        return rows[0]

    async def attempts(self, order_id: str) -> list[dict[str, Any]]:
        """The order's attempts."""
        payout = await self.payout(order_id)
        rows = await self.rows(attempts, attempts.c.payout_id == payout["id"])
        return sorted(rows, key=lambda row: int(row["number"]))

    async def rows(self, table: Table, *where: Any) -> list[dict[str, Any]]:
        """Rows of any table."""
        statement = select(table).where(*where)
        found = await self.read(lambda c: [dict(row) for row in c.execute(statement).mappings()])
        return list(found)

    async def until(self, true: Callable[[], Any], real_s: float, what: str) -> None:
        """Wait for a fact; ``real_s`` is the longest that a quiet machine takes for it."""
        try:
            async with asyncio.timeout(real_s * _BUSY):
                while not await true():  # noqa: ASYNC110 -- a row of a database wakes nobody
                    await asyncio.sleep(_WAIT_STEP_S)
        except TimeoutError:
            told = f"not within {real_s * _BUSY} s: {what}\n{await self.story()}"
            raise AssertionError(told) from None

    async def reaches(
        self, order_id: str, states: State | Collection[State], real_s: float = 15
    ) -> dict[str, Any]:
        """The payout's row once it is in one of ``states``."""
        wanted = {states} if isinstance(states, State) else set(states)

        async def there() -> bool:
            rows = await self.rows(payouts, payouts.c.order_id == order_id)
            return bool(rows) and rows[0]["state"] in wanted

        await self.until(there, real_s, f"{order_id} in {sorted(wanted)}")
        return await self.payout(order_id)

    async def settle(self, real_s: float = 30) -> Books:
        """End all faults; wait until every order reached an end, or a case that names it."""
        self.heal()
        latest: list[Books] = []

        async def ended() -> bool:
            latest[:] = [await self.books()]
            quiet = not self.aggregator.busy and not self.bank.courier.waiting
            return quiet and not list(unfinished(latest[0]))

        await self.until(ended, real_s, "every order at its end")
        return latest[0]

    async def story(self) -> str:
        """What is unfinished, for a failing test."""
        books = await self.books()
        lines = [f"unfinished: {why}" for why in unfinished(books)]
        lines += [f"case {case['kind']} {case['subject']}: {case['data']}" for case in books.cases]
        lines += [f"judge: {one}" for one in self.judgements()]
        lines += [child.tail(1_500) for child in self._children]
        return "\n".join(lines)

    async def reading_again(self, real_s: float = 15) -> None:
        """Wait until the node has taken a reading of the bank's balance as it is now."""
        began_ms = self.clock.now_ms()

        async def taken() -> bool:
            (row,) = await self.rows(psp_balances)
            return bool(row["read_at"] > began_ms)

        await self.until(taken, real_s, "another reading")

    # -- judging ----------------------------------------------------------------------------

    async def assert_right(self, *, cases_allowed: Collection[str] = (), off_by: int = 0) -> Books:
        """Everything that must be true once every order reached its end.

        ``cases_allowed`` are kinds that this run may have opened besides those that explain an
        order's end. ``off_by`` is what our total may exceed the bank's balance by, kobo.
        """
        books = await self.books()
        for _ in range(100 * _BUSY):  # a last look-up may still be under way
            if not books.leased:
                break
            await asyncio.sleep(0.1)
            books = await self.books()
        wrong = wrong_with_payouts(self.evidence(books, cases_allowed=cases_allowed, off_by=off_by))
        assert not wrong, "\n".join([*wrong, await self.story()])
        return books

    def evidence(
        self, books: Books, *, cases_allowed: Collection[str] = (), off_by: int = 0
    ) -> PayoutEvidence:
        """Our books and the companies' for a judgement."""
        return PayoutEvidence(
            books,
            self.bank.books,
            set(self.bank.transfers),
            list(self.aggregator.orders.values()),
            self.judgements(),
            cases_allowed,
            off_by,
        )

    def judgements(self) -> list[Violation]:
        """What the aggregator holds against the node; that a spec offer may be refused in the
        answer itself (A3) is no rule of its dialect's live half."""
        return [
            one
            for one in self.aggregator.judge()
            if one.wrong is not Wrong.OFFER_REFUSED
            or self.aggregator.order(one.key).dialect != "spec"
        ]


OpenWorld = Callable[..., Awaitable[World]]


def _end_leases(connection: Connection) -> None:
    now_ms = SystemClock().now_ms()
    for table in (*WORK, periodic):
        # Over, not ended: a holder that lives after all may still end it while nobody took over.
        # What was inserted under a lease is due when the lease is over.
        due_at = case((table.c.due_at > now_ms, now_ms), else_=table.c.due_at)
        leased = update(table).where(table.c.leased_until.is_not(None))
        connection.execute(leased.values(leased_until=0, due_at=due_at))


@pytest.fixture
async def open_world(
    make_template: Callable[[str, Prepare], Callable[[], str]], tmp_path: Path
) -> AsyncIterator[OpenWorld]:
    """``await open_world(**fields)`` opens a :class:`World` on a migrated database."""
    opened: list[World] = []
    fresh = make_template("node", migrate)

    async def make(**fields: Any) -> World:
        made = World(fresh(), tmp_path, **fields)
        opened.append(made)
        await made.open()
        return made

    yield make
    for made in opened:
        await made.close()
