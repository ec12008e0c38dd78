"""A node, the processor, and what must hold between their books whatever was played."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.counterparty import node as nodes
from tests.acceptance.counterparty import world as worlds
from tests.acceptance.processor.double import API_KEY, Processor
from tests.acceptance.processor.events import WEBHOOK_SECRET
from tests.acceptance.processor.shopper import Shopper
from tests.conftest import _RUN
from tests.support import nursery
from tests.support.databases import Databases, PostgresqlDatabases, SqliteDatabases
from tests.support.server import run_server

__all__ = ["TIMEOUT_S", "PaymentWorld", "seeded", "world"]

# How long the node waits for the processor.
TIMEOUT_S = 3

# What a minute is in production is a second here; the other product rests.
_PAYMENTS = {
    "STRIPE_API_KEY": API_KEY,
    "STRIPE_PUBLISHABLE_KEY": "pk_test_of_the_tests",
    "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
    "STRIPE_TIMEOUT": str(TIMEOUT_S),
    "PAYMENT_LOOKUP_SCHEDULE": "1,1,1,1,1",
    "PAYMENT_SEND_AGAIN_AFTER": str(TIMEOUT_S),
    "PROCESSOR_EVENTS_INTERVAL": "3600",
    "AUTH_RATE_LIMIT": "10000",
    "BALANCE_SYNC_INTERVAL": "3600",
    "ORDER_POLL_INTERVAL": "3600",
    "PSP_STATUS_CHECK_INTERVAL": "3600",
    "EXPIRY_CHECK_INTERVAL": "3600",
}
_COMMAND_S_MAX = 180
_AT_STRIPE = "processor:stripe:balance:USD"
# How long a refund must be missing in the processor's list before it is asked for again.
_MISSING_MS = 61_000


class PaymentWorld:
    """The real program and the processor; ``judge`` fails for what either holds against us."""

    def __init__(self, directory: Path, database_url: str, **settings: str) -> None:
        self.directory = directory
        self.processor = Processor()
        # The other product's companies, whom nobody asks for anything here.
        told: dict[str, Any] = {**_PAYMENTS, **settings, "STRIPE_API_BASE": self.processor.url}
        self._payouts = worlds.World(directory, database_url, **told)
        self.database_url = database_url
        self.node = self._payouts.node
        self.processor.events.node_url = self.node.url

    def start(self) -> None:
        self.node.start()

    def close(self) -> None:
        self._payouts.close()
        self.processor.close()

    def restart(self) -> None:
        """Start again after a kill, when the leases of the killed process are over."""
        self.let_leases_lapse()
        self.node.start()

    def let_leases_lapse(self) -> None:
        """A node on PostgreSQL may have neighbours, so it waits for leases to run out; one on
        SQLite ends them when it starts."""
        if not self.database_url.startswith("sqlite:///"):
            for table in ("payments", "refunds", "disputes", "inbox"):
                self.write(
                    f"UPDATE {table} SET leased_until = 1, due_at = 1 "  # noqa: S608 -- our words
                    "WHERE leased_until IS NOT NULL"
                )

    def let_refunds_be_missing(self) -> None:
        """A minute passes for every refund that is not known to have arrived."""
        earlier = f"sent_at - {_MISSING_MS}"
        self.write(f"UPDATE refunds SET sent_at = {earlier} WHERE state = 'asking'")  # noqa: S608 -- our words

    def shopper(self) -> Shopper:
        return Shopper(self.node)

    # -- our books

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Read the node's database; ``?`` marks the values."""
        return self._payouts.rows(query, *values)

    def write(self, statement: str) -> None:
        """Change the node's database behind its back: only to let time pass."""
        if not self.database_url.startswith("sqlite:///"):
            self._payouts.rows(statement)
            return
        connection = sqlite3.connect(self.database_url.removeprefix("sqlite:///"), timeout=10)
        try:
            with connection:
                connection.execute(statement)
        finally:
            connection.close()

    def balances(self, pattern: str = "%") -> dict[str, int]:
        """Account balances by path, of the accounts that a pattern of SQL names."""
        found = self.rows("SELECT path, balance FROM accounts WHERE path LIKE ?", pattern)
        return {path: int(balance) for path, balance in found}

    def user_balance(self, shopper: Shopper, currency: str = "USD") -> int:
        path = f"payments:user:{shopper.id}:{currency}"
        return self.balances(path).get(path, 0)

    @staticmethod
    def now_ms() -> int:
        return time.time_ns() // 1_000_000

    def cases(self) -> list[tuple[Any, ...]]:
        return self.rows("SELECT kind, subject, reason FROM cases WHERE state = 'open'")

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command of the program, with the node's own settings."""
        return nursery.run(
            arguments, env=self.node._env, cwd=self.directory, timeout=_COMMAND_S_MAX
        )

    # -- what must hold

    def until(self, done: Callable[[], Any], what: str, wait_s: float = 60.0) -> Any:
        return worlds.until(done, what, wait_s, explain=self.story)

    def story(self) -> str:
        """What is known, for the message of a failure."""
        return "\n".join(
            [
                "",
                f"cases: {self.cases()}",
                f"calls: {dict(self.processor.calls)}",
                f"intents: {self.processor.objects.all('payment_intent')[:2]}",
                self.node.tail()[-2000:] if self.node.log.exists() else "",
            ]
        )

    def judge(self) -> None:
        """The processor has nothing to say, and every scripted fault was met."""
        left = self.processor.faults.clear()
        verdict = self.processor.judge.verdict()
        assert not verdict, verdict
        assert not left, f"nobody met the faults of {left}"

    def assert_books(self, *shoppers: Shopper) -> None:
        """Each user's account is what the API lists, and what the processor's own books say.

        Refunds on their way are out of the account and not refunded yet.
        """
        for shopper in shoppers:
            listed = there = 0
            for payment in shopper.payments():
                id_ = payment["id"]
                listed += payment["amount_captured"] - payment["amount_refunded"]
                waiting = [
                    each["amount"] for each in shopper.refunds(id_) if each["status"] == "pending"
                ]
                if payment["processor_reference"] is not None:
                    taken = self.processor.taken(id_)
                    listed -= self._lost(id_)
                    there += taken - sum(waiting)
                listed -= sum(waiting)
            ours = self.user_balance(shopper)
            assert ours == listed == there, (ours, listed, there, self.story())

    def _theirs(self) -> dict[str, int]:
        """Every movement it booked, and what it captured and has not booked so far; in dollars,
        which most tests pay in."""
        usd = {"currency": "usd"}
        with self.processor.lock:
            objects = self.processor.objects
            moved = sum(each["net"] for each in objects.all("balance_transaction", **usd))
            for charge in objects.all("charge", balance_transaction=None, **usd):
                moved += charge["amount_captured"]
        return {_AT_STRIPE: moved} if moved else {}

    def _lost(self, payment_id: str) -> int:
        intent = self.processor.intent(payment_id)["id"]
        lost = self.processor.objects.all("dispute", payment_intent=intent, status="lost")
        return sum(each["amount"] for each in lost)

    def assert_audit(self) -> None:
        """The ledger proves itself, and our balance at the processor is what it says."""
        worlds.until(
            lambda: self.balances(_AT_STRIPE) == self._theirs(),
            "the same balance at the processor",
            explain=lambda: (self.balances(_AT_STRIPE), self._theirs(), self.story()),
        )
        done = self.command("ledger", "audit")
        assert done.returncode == 0, done.stdout + done.stderr


def seeded() -> random.Random:
    """Chance that can be repeated; prints its seed."""
    seed = int(os.environ.get("TIDEGATE_TEST_SEED", random.SystemRandom().randrange(10**9)))
    print(f"seed {seed}: repeat with TIDEGATE_TEST_SEED={seed}")
    return random.Random(seed)  # noqa: S311 -- a run that can be repeated


@pytest.fixture(scope="module")
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PaymentWorld]:
    """The module's world; the module names it ``world`` too, and says on what it runs in
    ``DATABASES`` and with which settings in ``WORLD``."""
    run = request.config.stash[_RUN]
    directory = tmp_path_factory.mktemp("payments")
    databases: Databases
    if request.param == "sqlite":
        databases = SqliteDatabases(directory, run)
    else:
        server = os.environ.get("TIDEGATE_TEST_DATABASE_URL") or run_server(run)
        databases = PostgresqlDatabases(server, run)
    url = databases.from_template("counterparty", nodes.migrate)
    built = PaymentWorld(directory, url, **getattr(request.module, "WORLD", {}))
    try:
        built.start()
        yield built
    except BaseException:
        sys.stderr.write(built.node.tail())
        raise
    finally:
        built.close()
        databases.drop_all()
