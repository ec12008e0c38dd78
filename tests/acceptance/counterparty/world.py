"""A node between an aggregator and a bank, and what a test may ask of the three."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg

from tests.acceptance.counterparty.aggregator import Aggregator
from tests.acceptance.counterparty.lenco import FEE, OPENING, Lenco, Transfer
from tests.acceptance.counterparty.node import Node
from tests.acceptance.counterparty.orders import Order
from tests.acceptance.counterparty.server import Answer

__all__ = ["World", "until"]

# Long enough for a machine that is busy with other things.
_WAIT_S_MAX = 60.0
_accounts = itertools.count(2_000_000_001)


def until(
    done: Callable[[], Any], what: str, wait_s: float = _WAIT_S_MAX, explain: Any = ""
) -> Any:
    """Ask ``done`` until it says something true, and return that."""
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        if result := done():
            return result
        time.sleep(0.02)
    told = explain() if callable(explain) else explain
    raise AssertionError(f"waited {wait_s:g} s in vain for: {what} {told}")


class World:
    """All three, on a migrated database; started by :meth:`start`, ended by :meth:`close`."""

    def __init__(
        self,
        directory: Path,
        database_url: str,
        dialect: str = "live",
        fork: bool = False,
        **settings: str,
    ) -> None:
        self.database_url = database_url
        self.aggregator = Aggregator(dialect, fork)
        self.bank = Lenco()
        self.node = Node(
            directory,
            database_url,
            self.aggregator.url,
            self.bank.url,
            AGGREGATOR_DIALECT=dialect,
            **settings,
        )
        self.aggregator.node_url = self.bank.node_url = self.node.url
        self.aggregator.truth = self._truth
        self.patience_s = _WAIT_S_MAX
        self._earlier: dict[str, set[str]] = {}

    def start(self) -> None:
        """Start the node and wait until it knows its float and whom the bank reaches."""
        banks = self.bank.asked["banks"]
        self.node.start()
        until(self.available, "a balance in /info", explain=self.node.tail)
        if not banks:
            until(lambda: self.bank.asked["banks"], "the bank list", explain=self.node.tail)
            # The list is asked for before it is known.
            time.sleep(0.2)

    def close(self) -> None:
        # The node first: its connections end, and with them the threads of the doubles.
        try:
            if self.node.runs:
                self.node.kill()
        finally:
            self.aggregator.close()
            self.bank.close()

    # -- orders

    def order(self, amount: str = "75375", **fields: Any) -> Order:
        """A new order to a recipient nobody else has."""
        return Order(amount, fields.pop("account", str(next(_accounts))), **fields)

    def offer(self, order: Order, ttl_s: float = 30.0, **more: Any) -> Answer:
        """Offer it (again), expect a prompt 200, and return the answer."""
        self._earlier[order.id] = {
            each.reference for each in self.bank.to(order.account) if not each.was_paid
        }
        answer = self.aggregator.offer(order, ttl_s, **more)
        assert answer.status == 200, (answer.status, answer.body)
        assert answer.json["status"] == "success"
        return answer

    def _truth(self, order: Order) -> str:
        """The bank's truth of this round: what failed for certain earlier does not count."""
        old = self._earlier.get(order.id, set())
        found = {each.status for each in self.bank.to(order.account) if each.reference not in old}
        if "successful" in found:
            return "paid"
        if found - {"failed"}:
            return "open"
        return "failed" if found else "nothing"

    def wait(self, order: Order, verb: str, times: int = 1, round_: int | None = None) -> Any:
        """Wait until the node called a verb so often, and return the bodies."""
        return until(
            lambda: len(order.bodies(verb, round_)) >= times and order.bodies(verb, round_),
            f"{verb} x{times}",
            self.patience_s,
            explain=lambda: self.story(order),
        )

    def wait_status(self, order: Order, *statuses: str) -> None:
        """Wait until the order has one of these statuses in the aggregator's book."""
        until(
            lambda: order.status in statuses,
            f"order {' or '.join(statuses)}",
            self.patience_s,
            explain=lambda: self.story(order),
        )

    def wait_state(self, order: Order, *states: str) -> None:
        """Wait until the node's own row has one of these states."""
        until(
            lambda: self.state(order) in states,
            f"payout {' or '.join(states)}",
            self.patience_s,
            explain=lambda: self.story(order),
        )

    def wait_told_pending(self, order: Order) -> None:
        """Wait until the node has written down that the aggregator took its *pending*."""
        query = "SELECT told_pending_at FROM payouts WHERE order_id = ?"
        until(
            lambda: any(moment for (moment,) in self.rows(query, order.id)),
            "pending to be taken",
            self.patience_s,
            explain=lambda: self.story(order),
        )

    def at_rest(self, order: Order) -> None:
        """Wait until no work is due or under way for the order."""
        query = "SELECT due_at, leased_until FROM payouts WHERE order_id = ?"
        until(
            lambda: self.rows(query, order.id) == [(None, None)],
            "rest",
            self.patience_s,
            explain=lambda: self.story(order),
        )

    def pay(self, order: Order) -> Transfer:
        """Let the bank pay the recipient now, and say so by webhook."""
        transfer = self.bank.settle(order.account, "successful")
        assert self.bank.tell(self.bank.event(transfer)).status == 200
        return transfer

    def settled(self, order: Order) -> None:
        """Wait until nothing is left to do: fulfilled here and there."""
        self.wait_status(order, "validated")
        self.wait_state(order, "fulfilled")

    def story(self, order: Order) -> str:
        """What is known of an order, for the message of a failure."""
        log = self.node.log.read_text(errors="replace").splitlines()
        about = [line for line in log if order.id in line][-8:]
        return "\n".join(
            [
                "",
                f"told: {order.told}",
                f"aggregator: {order.status}, ours: {order.ours}",
                f"bank: {self.bank.to(order.account)}",
                f"posts: {self.bank.posts_to(order.account)}",
                f"node: {self.state(order)}, cases: {self.cases(order)}",
                f"faults: {self.aggregator.faults + self.bank.faults}",
                *about,
            ]
        )

    # -- the node's own word

    def available(self) -> Decimal | None:
        """The available naira of ``/info``; ``None`` before it is known, or when it is zero."""
        told = self.totals()
        return Decimal(told["availableBalance"]) or None if told else None

    def totals(self) -> dict[str, Any]:
        data = self.node.get("/info").json["data"]
        found: dict[str, Any] = data.get("totalBalances", {}).get("NGN", {})
        return found

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Read the node's database; ``?`` marks the values."""
        if self.database_url.startswith("sqlite:///"):
            path = self.database_url.removeprefix("sqlite:///")
            connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
            try:
                return connection.execute(query, values).fetchall()
            finally:
                connection.close()
        for number in range(1, len(values) + 1):
            query = query.replace("?", f"${number}", 1)
        return asyncio.run(self._fetch(query, *values))

    async def _fetch(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(self.database_url)
        try:
            return [tuple(row) for row in await connection.fetch(query, *values)]
        finally:
            await connection.close()

    def let_leases_lapse(self) -> None:
        """Be later than the leases of the killed process.

        A node on PostgreSQL may have neighbours, so it waits half a minute before it takes over
        what it finds leased; on SQLite it is alone and takes it at once.
        """
        if not self.database_url.startswith("sqlite:///"):
            for statement in (
                "UPDATE payouts SET leased_until = 1 WHERE leased_until IS NOT NULL",
                "UPDATE attempts SET leased_until = 1 WHERE leased_until IS NOT NULL",
                "UPDATE attempts SET due_at = 1 WHERE state = 'sending'",
            ):
                self.rows(statement)

    def state(self, order: Order) -> str | None:
        found = self.rows("SELECT state FROM payouts WHERE order_id = ?", order.id)
        return found[0][0] if found else None

    def cases(self, order: Order) -> list[tuple[Any, ...]]:
        """The cases about an order: (kind, severity, reason)."""
        own = [order.id]
        for query in (
            "SELECT id, reference FROM payouts WHERE order_id = ?",
            "SELECT a.id, a.reference FROM attempts a "
            "JOIN payouts p ON p.id = a.payout_id WHERE p.order_id = ?",
        ):
            own += [text for row in self.rows(query, order.id) for text in row]
        all_ = self.rows("SELECT kind, severity, reason, subject FROM cases")
        return [row[:3] for row in all_ if any(text in row[3] for text in own)]

    def wait_case(self, order: Order) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = until(
            lambda: self.cases(order), "a case", self.patience_s, lambda: self.story(order)
        )
        return found

    # -- what must hold whatever was played

    def judge(self) -> None:
        """Nobody complains, nobody was paid twice, and the bank's books add up."""
        with self.aggregator.lock, self.bank.lock:
            faults = self.aggregator.faults + self.bank.faults
            self.aggregator.faults, self.bank.faults = [], []
            transfers = list(self.bank.transfers.values())
            balance = self.bank.balance
        assert not faults, faults
        paid: dict[str, str] = {}
        for each in transfers:
            if each.was_paid:
                assert each.account not in paid, f"{each.account} was paid twice"
                paid[each.account] = each.reference
        standing = [each for each in transfers if each.status != "failed"]
        assert balance == OPENING - sum((each.amount + FEE for each in standing), Decimal(0))

    def assert_books_agree(self) -> None:
        """The node's total is what the bank has, as soon as both have come to rest."""
        until(
            lambda: Decimal(self.totals()["totalBalance"]) == self.bank.balance,
            "the books to agree",
            explain=lambda: (self.totals(), self.bank.balance),
        )
