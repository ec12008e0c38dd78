"""Payments that things happen to, receivers on 127.0.0.1, and turns of deliveries by hand.

Time is simulated on both databases: PostgreSQL, whose own clock rules due rows, is told ours, so
that however long a test takes, only the time passes that it lets pass.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from sqlalchemy import Connection, select, text

from tidegate.adapters.notifier import HttpNotifier
from tidegate.clock import Randomness, SimulatedClock
from tidegate.db.base import metadata
from tidegate.db.committer import Committer, Operation, Unit
from tidegate.db.engine import Database, open_database
from tidegate.db.quarantine import quarantines
from tidegate.db.rows import Change, Insert
from tidegate.db.url import parse
from tidegate.db.vault import Vault
from tidegate.observability.metrics import Metrics
from tidegate.payments import tables
from tidegate.payments.announce import DELIVER, Announce
from tidegate.payments.deliver_again import Again
from tidegate.payments.endpoints import Endpoints
from tidegate.payments.notify import LONGEST_TURN_S, Notify
from tidegate.payments.stream import Hub, Stream
from tidegate.payments.witness import PaymentWitness
from tidegate.ports.notifier import Notifier
from tidegate.work.claim import Claim, Claimed

__all__ = ["DAY_S", "USER", "Heard", "Receiver", "World", "create_tables", "receiver"]

USER = "usr_1"
DAY_S = 24 * 3_600.0
LEASE_MS = round((LONGEST_TURN_S + 30) * 1000)

_TABLES = [
    tables.payment_methods,
    tables.payments,
    tables.payment_events,
    tables.webhook_endpoints,
    tables.deliveries,
    tables.delivery_attempts,
    quarantines,
]


def create_tables(connection: Connection) -> None:
    """The tables of payments that these tests need."""
    metadata.create_all(connection, tables=_TABLES)


@dataclass(frozen=True)
class Heard:
    """One message as a receiver got it."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def type(self) -> str:
        return str(json.loads(self.body)["type"])

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)["data"]
        return found

    @property
    def mark(self) -> tuple[str, int]:
        """Payment and sequence."""
        return self.data["payment"], self.data["sequence"]


Answers = Callable[[Heard], web.Response]


@dataclass
class Receiver:
    """Answers by ``answers``; keeps what it heard and what it took (2xx)."""

    answers: Answers = field(default=lambda heard: web.Response(status=204))
    url: str = ""
    heard: list[Heard] = field(default_factory=list)
    took: list[Heard] = field(default_factory=list)
    answering: list[str] = field(default_factory=list)  # payments of the messages under way
    at_once_most: int = 0
    overtaken: bool = False  # a message came before the one before it was answered

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        heard = Heard(headers, await request.read())
        self.heard.append(heard)
        payment = heard.data.get("payment", "")
        self.overtaken = self.overtaken or payment in self.answering
        self.answering.append(payment)
        self.at_once_most = max(len(self.answering), self.at_once_most)
        await asyncio.sleep(0.002)
        answer = self.answers(heard)
        self.answering.remove(payment)
        if 200 <= answer.status < 300:
            self.took.append(heard)
        return answer

    def answer(self, status: int, **headers: str) -> None:
        spelt = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers = lambda heard: web.Response(status=status, headers=spelt)

    @property
    def marks(self) -> list[tuple[str, int]]:
        return [each.mark for each in self.took]


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver on its own port."""
    made = Receiver()
    runner = web.ServerRunner(web.Server(made), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    made.url = f"http://127.0.0.1:{port}/hook"
    try:
        yield made
    finally:
        await runner.cleanup()


@dataclass
class World:
    """One process's worth of objects."""

    url: str
    clock: SimulatedClock
    randomness: Randomness = field(init=False)
    database: Database = field(init=False)
    committer: Committer = field(init=False)
    vault: Vault = field(default_factory=lambda: Vault("a secret key of the tests"))
    notifier: Notifier = field(init=False)
    endpoints: Endpoints = field(init=False)
    again: Again = field(init=False)
    hub: Hub = field(init=False)
    stream: Stream = field(init=False)

    async def open(self) -> None:
        self.randomness = Randomness(self.clock, 7)
        self.database = open_database(parse(self.url), self.clock, pool_size=4)
        self.database.now_ms = lambda connection: self.clock.now_ms()  # type: ignore[method-assign]  # a seam of these tests
        self.committer = Committer(self.database)
        self.committer.start()
        self.notifier = HttpNotifier(self.clock, debug=True)
        one = (self.database, self.committer, self.clock)
        self.endpoints = Endpoints(*one, self.randomness, self.vault, self.notifier)
        self.again = Again(*one)
        self.hub = Hub(streams_max=2)
        self.committer.on_written = PaymentWitness(Metrics(process=False), self.hub)
        self.stream = Stream(self.database, self.clock, self.hub)

    def _written(self, unit: Unit) -> None:
        for operation in unit.operations:
            if isinstance(operation, Announce):
                self.hub.touch(operation.event["payment_id"])

    async def close(self) -> None:
        await self.notifier.close()
        await self.committer.stop()
        await self.database.close()

    @property
    def notify(self) -> Notify:
        one = (self.database, self.committer, self.clock, self.randomness)
        return Notify(*one, self.vault, self.notifier)

    async def pay(self, payment_id: str, user_id: str = USER) -> None:
        """A payment to which nothing happened yet."""
        now_ms = self.clock.now_ms()
        row = {
            "id": payment_id,
            "user_id": user_id,
            "state": "created",
            "currency": "EUR",
            "amount": 500,
            "amount_to_capture": 500,
            "manual_capture": False,
            "metadata": {},
            "processor": "test",
            "created_at": now_ms,
            "updated_at": now_ms,
        }
        await self.commit(Insert(tables.payments, row))

    async def happen(self, payment_id: str, type_: str = "payment.processing") -> str:
        """Something happens to the payment; the event's id."""
        operations = await self.happening(payment_id, type_)
        await self.commit(*operations)
        announce = operations[1]
        assert isinstance(announce, Announce)
        return str(announce.event["id"])

    async def happening(self, payment_id: str, type_: str) -> tuple[Operation, Operation]:
        """What a verb hands over when something happens to the payment."""
        (row,) = await self.rows(tables.payments, id=payment_id)
        number = row["events"] + 1
        event = {
            "id": self.randomness.new_id("evt"),
            "payment_id": payment_id,
            "user_id": row["user_id"],
            "seq": number,
            "type": type_,
            "at": self.clock.now_ms(),
            "data": {"payment": payment_id},
        }
        counter = Change(
            tables.payments,
            payment_id,
            values={"events": number},
            expect={"events": number - 1},
        )
        self.clock.advance(0.001)  # ids are told apart by their time
        return counter, Announce(event)

    async def listen(self, url: str, *events: str, user_id: str = USER) -> str:
        """A new endpoint's id."""
        made = await self.endpoints.create(user_id, url, events or ("*",))
        return str(made["id"])

    async def claim(self) -> list[Claimed]:
        """Claim what is due."""
        ends_at = self.clock.monotonic() + LEASE_MS / 1000
        claim = Claim(tables.webhook_endpoints, DELIVER, 10, LEASE_MS)
        (rows,) = await self.commit(claim)
        table = tables.webhook_endpoints
        return [Claimed(table, row, ends_at, self.clock) for row in rows]

    async def work(self) -> int:
        """Run turns until nothing is due; how many there were."""
        turns = 0
        while claimed := await self.claim():
            for each in claimed:
                await self.notify(each)
                turns += 1
            assert turns < 100, "turns without end"
        return turns

    async def pass_time(self, seconds: float) -> None:
        """Move time on, for the rows too."""
        self.clock.advance(seconds)

    async def due_in(self, endpoint_id: str) -> float | None:
        """Seconds until the endpoint is due, ``None`` when it is not."""
        row = await self.endpoint(endpoint_id)
        if row["due_at"] is None:
            return None
        now_ms = await self.database.write(self.database.now_ms)
        return float(row["due_at"] - now_ms) / 1000

    async def endpoint(self, endpoint_id: str) -> dict[str, Any]:
        (row,) = await self.rows(tables.webhook_endpoints, id=endpoint_id)
        return row

    async def states(self, endpoint_id: str) -> list[str]:
        """The states of the endpoint's deliveries, in the order of their events."""
        rows = await self.rows(tables.deliveries, endpoint_id=endpoint_id)
        return [row["state"] for row in sorted(rows, key=lambda row: str(row["event_id"]))]

    async def rows(self, table: Any, **where: Any) -> list[dict[str, Any]]:
        def read(connection: Connection) -> list[dict[str, Any]]:
            statement = select(table).filter_by(**where).order_by(table.c.id)
            return [dict(row) for row in connection.execute(statement).mappings()]

        return await self.database.fetch(read)

    async def commit(self, *operations: Operation) -> list[Any]:
        return await self.committer.commit(Unit(list(operations)))

    async def execute(self, statement: str, **parameters: Any) -> None:
        def run(connection: Connection) -> None:
            connection.execute(text(statement), parameters)

        await self.database.write(run)
