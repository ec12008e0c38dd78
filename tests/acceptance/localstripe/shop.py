"""A node before a processor, and a user of its payment API."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from tests.acceptance.counterparty.server import Answer, send
from tests.acceptance.localstripe.line import Line
from tests.acceptance.localstripe.processors import Processor, Seen
from tests.support import nursery
from tests.support.node import ChildNode, free_port

__all__ = ["PASSWORD", "Mode", "Shop", "User", "until"]

PASSWORD: Final = "seven purple tractors"
_NEVER: Final = "600"
_PATIENCE_S: Final = 60.0


class Mode(StrEnum):
    """By which way alone the node learns what happened at the processor without it."""

    TOLD = "told"  # events are delivered
    ASKS = "asks"  # it looks payments up
    LISTS = "lists"  # it reads the processor's list of events


_SETTINGS: Final[Mapping[Mode, Mapping[str, str]]] = {
    Mode.TOLD: {"PAYMENT_LOOKUP_SCHEDULE": _NEVER, "PROCESSOR_EVENTS_INTERVAL": _NEVER},
    Mode.ASKS: {"PAYMENT_LOOKUP_SCHEDULE": "1", "PROCESSOR_EVENTS_INTERVAL": _NEVER},
    Mode.LISTS: {"PAYMENT_LOOKUP_SCHEDULE": _NEVER, "PROCESSOR_EVENTS_INTERVAL": "0.5"},
}


class Shop:
    """One node as its own process on a fresh database, and one processor for it alone.

    ``lose`` (mode ``ASKS`` only) loses a call between the two.
    """

    def __init__(self, directory: Path, processor: Processor, database_url: str, mode: Mode):
        self.processor = processor
        self.mode = mode
        self._directory = directory
        self._database_url = database_url
        self._line: Line | None = None
        self._node: ChildNode | None = None
        self._environment: dict[str, str] = {}

    def start(self) -> None:
        """Start both, and wait until the node answers."""
        port = free_port()
        hook = f"http://127.0.0.1:{port}/api/webhooks/stripe"
        self.processor.start(hook if self.mode is Mode.TOLD else None)
        base = self.processor.base
        if self.mode is Mode.ASKS:
            self._line = Line(base)
            base = self._line.url
        self._environment = {
            "DEBUG": "true",
            "LOG_LEVEL": "WARNING",
            "DATABASE_URL": self._database_url,
            "SERVER_HOST": "127.0.0.1",
            "SERVER_PORT": str(port),
            "SECRET_KEY": "a-secret-of-the-tests-with-more-than-32-characters",
            "STRIPE_API_KEY": self.processor.key,
            "STRIPE_PUBLISHABLE_KEY": "pk_test_acceptance",
            "STRIPE_API_BASE": base,
            "STRIPE_WEBHOOK_SECRET": self.processor.secret,
            "STRIPE_TIMEOUT": "2",
            "PAYMENT_SEND_AGAIN_AFTER": "2",
            # Nobody is paid out here: these two answer nothing.
            "AGGREGATOR_BASE_URL": "http://127.0.0.1:9",
            "LENCO_BASE_URL": "http://127.0.0.1:9/access/v1",
            "AUTH_RATE_LIMIT": "1000",
            "WORK_POLL_INTERVAL": "0.2",
            "SHUTDOWN_GRACE": "3",
            **_SETTINGS[self.mode],
        }
        self._node = ChildNode(self._environment, self._directory / "node.log", ["serve"])
        self._node.start()
        asyncio.run(self._node.ready())

    def close(self) -> None:
        """End what was started."""
        if self._node is not None:
            self._node.stop()
        if self._line is not None:
            self._line.close()
        self.processor.stop()

    @property
    def url(self) -> str:
        assert self._node is not None
        return self._node.url

    def tail(self) -> str:
        """The end of the node's log."""
        return self._node.tail() if self._node is not None else "the node was never started"

    def lose(self, step: str, *, arrives: bool) -> None:
        """Lose the next call of ``step`` on its way to the processor, or its answer."""
        assert self._line is not None
        self._line.lose(step, arrives=arrives)

    @property
    def lost_all(self) -> bool:
        return self._line is None or self._line.lost_all

    def command(self, *words: str) -> str:
        """What ``tidegate words`` prints on this shop's database; it must end well."""
        env = {**self._environment, "PATH": os.environ["PATH"]}
        done = nursery.run(words, env=env, cwd=self._directory, timeout=180)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def balance(self, account: str) -> int:
        """What the books say of an account, in minor units on the side that grows it."""
        rows = self._rows("SELECT balance FROM accounts WHERE path = ?", account)
        return int(rows[0][0]) if rows else 0

    def cases(self, subject: str) -> set[str]:
        """The kinds of the open cases about what begins with ``subject``."""
        query = "SELECT kind FROM cases WHERE state = 'open' AND subject LIKE ? || '%'"
        return {str(row[0]) for row in self._rows(query, subject)}

    def _rows(self, query: str, *given: str) -> list[tuple[Any, ...]]:
        # Read past the program, whose commands take seconds to start; SQLite only.
        path = self._database_url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            return connection.execute(query, given).fetchall()

    def user(self) -> User:
        """A new user, logged in."""
        return User(self)


class User:
    """A registered user; every call carries the access token."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.email = f"{uuid.uuid4().hex}@example.com"
        self._token = ""
        who = {"email": self.email, "password": PASSWORD}
        assert self.call("POST", "/api/auth/register", who).status == 201
        answer = self.call("POST", "/api/auth/login", who)
        assert answer.status == 200, answer.body
        self._token = answer.json["access_token"]

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    def call(self, method: str, path: str, body: Any = None, key: str | None = None) -> Answer:
        """One request; ``key`` is its idempotency key."""
        headers = {**self.headers, "Content-Type": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = key
        sent = b"" if body is None else json.dumps(body).encode()
        return send(method, self.shop.url + path, sent, headers)

    def store(self, number: str = "pm_card_visa") -> dict[str, Any]:
        """Store a card; the payment method."""
        token = self.shop.processor.card(number)
        answer = self.call("POST", "/api/payment-methods", {"token": token})
        assert answer.status == 201, answer.body
        stored: dict[str, Any] = answer.json
        return stored

    def ask(self, card: str | None = "pm_card_visa", key: str | None = None, **more: Any) -> Answer:
        """Ask for a payment of 25.00 EUR with a card that is stored first, or with none."""
        body = {"amount": 2_500, "currency": "eur", **more}
        if card is not None:
            body["payment_method_id"] = self.store(card)["id"]
        return self.call("POST", "/api/payments", body, key or uuid.uuid4().hex)

    def pay(self, card: str | None = "pm_card_visa", **more: Any) -> dict[str, Any]:
        """A payment that is answered at once with what it is."""
        answer = self.ask(card, **more)
        assert answer.status == 201, (answer.body, self.shop.tail())
        paid: dict[str, Any] = answer.json
        return paid

    def change(
        self, payment: Mapping[str, Any], deed: str, body: Any = None, key: str | None = None
    ) -> Answer:
        """Capture, cancel or refund (``refunds``) a payment."""
        path = f"/api/payments/{payment['id']}/{deed}"
        return self.call("POST", path, body, key or uuid.uuid4().hex)

    def show(self, payment: Mapping[str, Any]) -> dict[str, Any]:
        """The payment as it stands now."""
        answer = self.call("GET", f"/api/payments/{payment['id']}")
        assert answer.status == 200, answer.body
        shown: dict[str, Any] = answer.json
        return shown

    def wait(self, payment: Mapping[str, Any], status: str) -> dict[str, Any]:
        """The payment, once it is in ``status`` and nothing about it is open."""
        shown: dict[str, Any] = {}

        def there() -> bool:
            shown.update(self.show(payment))
            return shown["status"] == status and shown["outcome"] is None

        until(there, status, lambda: f"{shown}\n{self.shop.tail()}")
        return shown

    def told(self, payment: Mapping[str, Any]) -> list[str]:
        """The types of the payment's events, oldest first."""
        answer = self.call("GET", f"/api/payments/{payment['id']}/events?limit=100")
        assert answer.status == 200, answer.body
        rows = answer.json["data"]
        assert [row["sequence"] for row in rows] == list(range(1, len(rows) + 1))
        return [row["type"] for row in rows]

    def agree(self, payment: Mapping[str, Any]) -> Seen:
        """Node and processor say the same of a payment; what the processor says."""
        shown = self.show(payment)
        seen = self.shop.processor.look(shown["processor_reference"])
        ours = Seen(
            shown["status"], shown["amount"], shown["amount_captured"], shown["amount_refunded"]
        )
        assert ours == seen
        return seen


def until(done: Callable[[], bool], what: str, explain: Callable[[], str] = str) -> None:
    """Wait for something that is to happen."""
    deadline = time.monotonic() + _PATIENCE_S
    while not done():
        assert time.monotonic() < deadline, f"never: {what}\n{explain()}"
        time.sleep(0.05)
