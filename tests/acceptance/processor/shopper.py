"""A user of the payment API, and how a sensible client repeats itself."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.acceptance.counterparty.node import Node
from tests.acceptance.counterparty.server import Answer, send

__all__ = ["Shopper", "at_once", "is_replay"]

_PASSWORD = "nine silver lighthouses"
_PATIENCE_S = 90.0
_numbers = itertools.count(1)


class Shopper:
    """Registered and logged in; ``methods`` are stored by token as they are needed."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._methods: dict[str, str] = {}
        self.email = f"shopper{next(_numbers)}@example.com"
        who = {"email": self.email, "password": _PASSWORD}
        self._headers: dict[str, str] = {}
        registered = self.post("/api/auth/register", who)
        assert registered.status == 201, registered.body
        self.id: str = registered.json["id"]
        logged_in = self.post("/api/auth/login", who)
        assert logged_in.status == 200, logged_in.body
        self._headers = {"Authorization": f"Bearer {logged_in.json['access_token']}"}

    # -- calls

    def post(self, path: str, body: Any = None, key: str | None = None) -> Answer:
        """One request; raises ``OSError`` where nobody answers."""
        headers = {**self._headers, "Content-Type": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = key
        raw = b"" if body is None else json.dumps(body).encode()
        return send("POST", self._node.url + path, raw, headers, timeout_s=90)

    def ask(self, path: str) -> Answer:
        """Whatever is answered to a GET."""
        return send("GET", self._node.url + path, headers=self._headers)

    def get(self, path: str) -> Any:
        answer = self.ask(path)
        assert answer.status == 200, (answer.status, answer.body)
        return answer.json

    def new_key(self) -> str:
        return f"key-{next(_numbers)}"

    def method(self, token: str = "pm_card_visa") -> str:  # noqa: S107 -- a test card's name
        """The id of the stored method of a test card."""
        if token not in self._methods:
            answer = self.post("/api/payment-methods", {"token": token})
            assert answer.status == 201, (answer.status, answer.body)
            self._methods[token] = answer.json["id"]
        return self._methods[token]

    def order(self, amount: int, card: str = "pm_card_visa", **more: Any) -> dict[str, Any]:
        """The body of ``POST /api/payments``."""
        method = self.method(card)
        return {"amount": amount, "currency": "USD", "payment_method_id": method, **more}

    def pay(self, amount: int, card: str = "pm_card_visa", **more: Any) -> Any:
        """Make a payment that is answered 201; its JSON."""
        answer = self.post("/api/payments", self.order(amount, card, **more), self.new_key())
        assert answer.status == 201, (answer.status, answer.body)
        return answer.json

    def refund(self, payment_id: str, amount: int) -> Any:
        """Refund, answered 201; its JSON."""
        body, key = {"amount": amount}, self.new_key()
        answer = self.post(f"/api/payments/{payment_id}/refunds", body, key)
        assert answer.status == 201, (answer.status, answer.body)
        return answer.json

    def payment(self, payment_id: str) -> Any:
        return self.get(f"/api/payments/{payment_id}")

    def payments(self) -> list[Any]:
        found: list[Any] = []
        cursor = ""
        while True:
            page = self.get(f"/api/payments?limit=100{cursor}")
            found += page["data"]
            if page["next_cursor"] is None:
                return found
            cursor = f"&cursor={page['next_cursor']}"

    def refunds(self, payment_id: str) -> list[Any]:
        page = self.get(f"/api/payments/{payment_id}/refunds?limit=100")
        return list(page["data"])

    def until_final(
        self, path: str, body: Any, key: str, patience_s: float = _PATIENCE_S
    ) -> Answer:
        """Repeat one wish, same key and body, until the answer says how it ended.

        A 409 of a request that runs, a 202 and a 503 are no end, and neither is silence.
        """
        deadline = time.monotonic() + patience_s
        said: list[Any] = []
        while time.monotonic() < deadline:
            try:
                answer = self.post(path, body, key)
            except OSError as error:
                said.append(error)
            else:
                said.append((answer.status, answer.body[:300]))
                running = answer.status == 409 and "retry-after" in answer.headers
                if not running and answer.status not in {202, 503}:
                    return answer
            time.sleep(0.1)
        raise AssertionError(f"{path} did not end in {patience_s:g} s: {said[:2]} ... {said[-1]}")


def at_once(calls: Sequence[Callable[[], Answer]]) -> list[Answer]:
    """All of them at the same moment, each on its own connection."""
    with ThreadPoolExecutor(len(calls)) as threads:
        return [each.result() for each in [threads.submit(call) for call in calls]]


def is_replay(answer: Answer) -> bool:
    return answer.headers.get("idempotent-replayed") == "true"
