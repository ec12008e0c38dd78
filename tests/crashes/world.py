"""All companies at once, the node as several processes between them, and what must be true."""

from __future__ import annotations

import asyncio
import random
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from sqlalchemy import Connection, func, or_, select

from tests.acceptance.test_kill import CASES, ENV, TERMS
from tests.crashes.balancer import Balancer
from tests.crashes.fleet import Fleet, MakeChild
from tests.crashes.load import PatientClerk, keep_offering, set_faults
from tests.support.invariants import (
    PaymentEvidence,
    leaks,
    open_payments,
    wrong_with_payments,
    wrong_with_payouts,
)
from tests.support.node import ChildNode, free_port
from tests.support.our_books import EXPLAINS, NOT_HELD, WORK, Books, somebody_at, unfinished
from tests.support.world import World
from tidegate.cli.demo_look import read_books as read_ledger
from tidegate.cli.demo_proof_payments import TillEvidence
from tidegate.cli.demo_till import read_till
from tidegate.sandbox.aggregator.judgement import Violation, Wrong
from tidegate.sandbox.cards import SandboxCards
from tidegate.sandbox.cards import Terms as CardTerms
from tidegate.sandbox.cards.catalogue import BY_NUMBER
from tidegate.sandbox.shop import Shop
from tidegate.work.tables import periodic

__all__ = ["CrashWorld"]

_SALES_MOST = 5_000
_STEP_S = 1.0
_DAY_MS = 86_400_000
# A refund fails so long after it was made, and a charge is settled sooner.
_REFUND_S = 2.0
_AFTERMATH_MS = 3_000
# What is due later than this is a look of another day.
_SOON_MS = 30_000
# How long after its outage a request may still be at it.
_AFTER_MS = 40_000
# What a node may answer whose database is away.
_AWAY = frozenset({Wrong.OFFER_REFUSED, Wrong.OFFER_SLOW})
_CASES = CASES | {"payment_disputed"}

# Whatever looks like a secret, whoever it belongs to.
_SECRET_LOOKS = re.compile(r"whsec_[\w+/=]{8,}|_secret_\w{8,}|eyJ[\w-]{8,}\.[\w-]{8,}")
_ACCOUNT = re.compile(r"(?<!\d)\d{10}(?!\d)")


class CrashWorld:
    """A world of orders and sales on the database ``url``; ``commands`` are the processes."""

    def __init__(
        self,
        url: str,
        directory: Path,
        chance: random.Random,
        commands: Sequence[str],
        *,
        make_child: MakeChild = ChildNode,
        balancer_asks: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.outages: list[list[int]] = []  # first and last millisecond
        self.excused: list[Violation] = []
        self._chance = chance
        self._commands = commands
        self._make_child = make_child
        self._balancer_asks = balancer_asks
        key, hook, secret = (
            f"{kind}{secrets.token_hex(20)}" for kind in ("sk_test_", "whsec_", "")
        )
        self._secrets = [key, hook, secret]
        settings = {
            **ENV,
            "LOG_LEVEL": "INFO",
            "SECRET_KEY": secret,
            "DATABASE_POOL_SIZE": "5",
            "ACCESS_TOKEN_TTL": "86400",
            "AUTH_RATE_LIMIT": "10000",
            "STRIPE_API_KEY": key,
            "STRIPE_PUBLISHABLE_KEY": "pk_test_of_the_tests",
            "STRIPE_WEBHOOK_SECRET": hook,
            "STRIPE_TIMEOUT": "2",
            "PAYMENT_LOOKUP_SCHEDULE": "1,1,1,2,3",
            "PAYMENT_SEND_AGAIN_AFTER": "4",
            "PROCESSOR_EVENTS_INTERVAL": "3",
            **(env or {}),
        }
        # Rows of the dead stay leased for minutes, and an order waits as long for its payout.
        # How quick the node is, is no question here: this machine has other things to do.
        terms = {**TERMS, "refund_timeout_s": 200.0, "offer_ttl_s": 30.0, "slow_answer_s": 300.0}
        self.world = World(url, directory, env=settings, terms=terms)
        clock, randomness = self.world.clock, self.world.randomness
        self.cards = SandboxCards(
            clock,
            randomness,
            api_key=key,
            webhook_secret=hook,
            terms=CardTerms(refund_s=_REFUND_S, dispute_s=0.5),
            settle_s=0.5,
        )
        self.shop = Shop(clock)
        self.clerk = PatientClerk(clock, randomness, self.shop, chance, _SALES_MOST)
        self.fleet: Fleet
        self._balancer: Balancer
        self._tasks: list[asyncio.Task[None]] = []

    # -- its life ---------------------------------------------------------------------------

    async def open(self) -> None:
        """Start everybody, and open the shop."""
        world = self.world
        await world.open()
        world.env = {**world.env, "STRIPE_API_BASE": await self.cards.start()}
        await self.shop.start()
        ports = [free_port() for _ in self._commands]
        serving = [
            port for port, command in zip(ports, self._commands, strict=True) if "serve" in command
        ]
        self.fleet = Fleet(world, ports, self._commands, self._make_child)
        self._balancer = Balancer(serving, self._chance, asks=self._balancer_asks)
        url = await self._balancer.start(free_port())
        world.listen_at(url)
        self.cards.set_webhook_url(f"{url}/api/webhooks/stripe")
        self.shop.node_url = url
        await self.fleet.start()
        await world.able()
        await self.clerk.open(self.cards.base_url)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.clerk.close()
        await self.fleet.stop()
        await self._balancer.stop()
        await self.world.close()
        await self.cards.stop()
        await self.shop.stop()

    # -- driving ----------------------------------------------------------------------------

    def begin(self, pause_s: float, waiting_max: int | None = None) -> None:
        """From now on orders and sales come, and everything may fail."""
        set_faults(self.world, self.cards, self._chance.randrange(10**9))
        self._tasks = [
            asyncio.create_task(keep_offering(self.world, self._chance, pause_s, waiting_max)),
            asyncio.create_task(self.clerk.sell()),
        ]

    async def outage(self, breakage: Callable[[], Awaitable[None]]) -> None:
        """Break something that everything stands on, and remember when that was."""
        now_ms = self.world.clock.now_ms
        outage = [now_ms(), now_ms() + _DAY_MS]
        self.outages.append(outage)
        await breakage()
        outage[1] = now_ms()
        await self.world.reconnect()

    async def settle(self, real_s: float) -> None:
        """No more load and no more faults; kill all processes at once, as a power cut does; start
        them again and wait until everything has come to its end.

        The leases of the dead are over then, as they are in minutes by themselves (on SQLite the
        one process that serves ends them).
        """
        self.heal()
        await self.fleet.power_cut()
        if not self.world.url.startswith("sqlite"):
            await self.world.leases_run_out()
        await self.fleet.start()
        await self.rest(real_s)

    def heal(self) -> None:
        """No more load and no more faults."""
        offering, _ = self._tasks
        offering.cancel()
        self.clerk.stop()
        self.world.heal()
        self.cards.heal()

    async def rest(self, real_s: float) -> None:
        """Return when everything has come to its end."""
        _, selling = self._tasks
        quiet_ms: int | None = None
        try:
            async with asyncio.timeout(real_s):
                # What the companies still had in mind may happen in the quiet, and its news may be
                # among those that never come: rest is a quiet that a later sweep does not end.
                while quiet_ms is None or not await self._swept_after(quiet_ms + _AFTERMATH_MS):
                    await asyncio.sleep(_STEP_S)
                    quiet = await self._is_quiet(selling)
                    quiet_ms = (quiet_ms or self.world.clock.now_ms()) if quiet else None
        except TimeoutError:
            raise AssertionError(f"not at rest within {real_s} s:\n{await self.story()}") from None

    async def _swept_after(self, at_ms: int) -> bool:
        """Whether all of the processor's events were looked through since."""
        (row,) = await self.world.rows(periodic, periodic.c.id == "processor_events")
        return bool(row["last_done_at"] is not None and row["last_done_at"] > at_ms)

    async def _is_quiet(self, selling: asyncio.Task[None]) -> bool:
        """The cheap questions first: the last one reads everything, and audits it."""
        if not selling.done() and not all(sold.over for sold in self.clerk.begun):
            return False
        couriers = (self.world.bank.courier, self.cards.courier)
        if any(courier.waiting for courier in couriers) or not await self._offers_rest():
            return False
        now_ms = self.world.clock.now_ms()
        if await self.world.read(lambda c: _count_due(c, now_ms)):
            return False
        return not await self._open()

    async def _offers_rest(self) -> bool:
        """The aggregator does nothing at some moment; it is told of the float all the time."""
        for _ in range(20):
            if not self.world.aggregator.busy:
                return True
            await asyncio.sleep(0.05)
        return False

    async def _open(self) -> list[str]:
        """What is still to happen, a line each."""
        books = await self.world.books()
        evidence = await self._payments(books)
        moving = evidence.till.till.moving
        waiting = [f"{moving} rows of payments move"] if moving else []
        return [*unfinished(books), *open_payments(evidence.till, books.cases), *waiting]

    async def story(self) -> str:
        """For a test that fails."""
        return "\n".join([*await self._open(), *self.clerk.trouble, await self.world.story()])

    # -- judging ----------------------------------------------------------------------------

    async def wrong(self) -> list[str]:
        """Every violation of what must be true at rest."""
        await self.world.reading_again(200)
        books = await self.world.books()
        payouts = self.world.evidence(books, cases_allowed=_CASES)
        payouts = replace(payouts, judgements=self._judgements(payouts.judgements, books))
        wrong = wrong_with_payouts(payouts)
        wrong += wrong_with_payments(await self._payments(books))
        wrong += self._leaks()
        audit = self.fleet.members[0].child.command("ledger", "audit")
        if audit.returncode != 0:
            wrong.append(f"tidegate ledger audit: {audit.stdout}{audit.stderr}")
        return wrong

    async def _payments(self, books: Books) -> PaymentEvidence:
        now_ms = self.world.clock.now_ms()
        till, ledger = await self.world.read(lambda c: (read_till(c), read_ledger(c, now_ms)))
        names = {buyer.id: name for name, buyer in self.clerk.buyers.items()}
        evidence = TillEvidence(
            self.clerk.begun, till, ledger, self.cards.books, self.shop.receiver, names
        )
        balances = {line.path: line.balance for line in ledger.trial.lines}
        return PaymentEvidence(evidence, balances, books.cases)

    def _judgements(self, all_: Sequence[Violation], books: Books) -> list[Violation]:
        """All but two kinds: that no offer could be taken while the database was away, and what
        is about an order that a case has handed to a person (:attr:`excused`)."""
        counted = self.world.aggregator.book.judge.counts
        assert sum(counted.values()) == len(self.world.aggregator.judge()), counted
        left = [
            one
            for one in all_
            if one.wrong not in _AWAY
            or not any(begin <= one.at_ms <= end + _AFTER_MS for begin, end in self.outages)
        ]
        named = {order_id for order_id in books.payouts if books.kinds_of(order_id) & EXPLAINS}
        self.excused = [one for one in left if one.key in named]
        return [one for one in left if one.key not in named]

    def _leaks(self) -> list[str]:
        log = "\n".join(path.read_text(errors="replace") for path in self.fleet.logs)
        tokens = [buyer.headers["Authorization"] for buyer in self.clerk.buyers.values()]
        words = [buyer.password for buyer in self.clerk.buyers.values()]
        env: Mapping[str, str] = self.world.environment()
        ours = [env[name] for name in ("LENCO_API_KEY", "AGGREGATOR_SECRET_KEY")]
        accounts = {order.account for order in self.world.aggregator.orders.values()}
        found = set(_ACCOUNT.findall(log)) & accounts
        looks = {one[:12] for one in _SECRET_LOOKS.findall(log)}
        return [
            *leaks(log, [*self._secrets, *tokens, *words, *ours, *BY_NUMBER]),
            *(f"account number {one} stands in the log" for one in sorted(found)[:5]),
            *(f"{one}... stands in the log" for one in sorted(looks)[:5]),
        ]


def _count_due(connection: Connection, now_ms: int) -> int:
    """Rows with work that is due soon, or that somebody is at."""
    return sum(
        connection.execute(
            select(func.count())
            .select_from(table)
            .where(
                or_(table.c.due_at <= now_ms + _SOON_MS, somebody_at(table, now_ms)),
                *NOT_HELD.get(table, ()),
            )
        ).scalar_one()
        for table in WORK
    )
