"""Users, and things of theirs that exist before a run begins."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from typing import Any

from tests.acceptance.counterparty.server import send
from tests.acceptance.schema.service import PASSWORD, Service

__all__ = ["add_operator", "add_things", "add_user"]

_ANNOUNCED_S_MAX = 120


def add_user(service: Service, email: str) -> str:
    """Register and log in; returns an access token."""
    credentials = {"email": email, "password": PASSWORD}
    _ask(service, "POST", "/api/auth/register", credentials)
    token: str = _ask(service, "POST", "/api/auth/login", credentials)["access_token"]
    return token


def add_operator(service: Service, email: str) -> None:
    """A user with the role; the command that gives it needs the database for itself."""
    add_user(service, email)
    with closing(sqlite3.connect(service.database, timeout=10)) as connection, connection:
        changed = connection.execute(
            "UPDATE users SET role = 'operator' WHERE email = ?", (email,)
        ).rowcount
    assert changed == 1


def add_things(service: Service, token: str) -> dict[str, list[str]]:
    """Payments of both kinds, one that waits, a refund, methods, receivers of webhooks with
    deliveries, sessions: their ids, by the names of path parameters."""

    def ask(method: str, path: str, body: Any = None, key: str | None = None) -> Any:
        headers = {} if key is None else {"Idempotency-Key": key}
        return _ask(service, method, path, body, {"Authorization": f"Bearer {token}", **headers})

    # First, so that they are told of all that follows. Nobody listens there.
    where = {"url": f"{service.url}/nowhere", "events": ["*"]}
    endpoints = [ask("POST", "/api/webhook-endpoints", where) for _ in range(4)]
    cards = ("pm_card_visa", "pm_card_mastercard", "pm_card_authenticationRequired")
    methods = [ask("POST", "/api/payment-methods", {"token": card}) for card in cards]
    payments = [ask("POST", "/api/payments", {"amount": 900, "currency": "USD"}, "waits")]
    for number in range(8):
        wish = {
            "amount": 500_000,
            "currency": "EUR",
            "payment_method_id": methods[0]["id"],
            "capture_method": "manual" if number % 2 else "automatic",
        }
        payments.append(ask("POST", "/api/payments", wish, f"made-{number}"))
    ask("POST", f"/api/payments/{payments[1]['id']}/refunds", {"amount": 100}, "given-back")
    deadline = time.monotonic() + _ANNOUNCED_S_MAX
    log = f"/api/webhook-endpoints/{endpoints[0]['id']}/deliveries"
    while not (sent := ask("GET", log)["data"]):
        assert time.monotonic() < deadline, "no event was announced"
        time.sleep(0.1)
    found = {
        "payment_id": payments,
        "method_id": methods,
        "endpoint_id": endpoints,
        "delivery_id": sent,
        "session_id": ask("GET", "/api/auth/sessions")["data"],
    }
    return {name: [each["id"] for each in things] for name, things in found.items()}


def _ask(
    service: Service,
    method: str,
    path: str,
    body: Any = None,
    headers: dict[str, str] | None = None,
) -> Any:
    raw = b"" if body is None else json.dumps(body).encode()
    given = {"Content-Type": "application/json", **(headers or {})}
    answer = send(method, service.url + path, raw, given)
    assert answer.status < 300, f"{method} {path}: {answer.status} {answer.body[:300]!r}"
    return answer.json
