"""The processor's events: kept as a list, signed, and told when the test says so."""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
import time
from typing import Any

from tests.acceptance.counterparty.server import Answer, send

__all__ = ["API_VERSION", "WEBHOOK_SECRET", "Event", "Events", "sign"]

API_VERSION = "2025-09-30.clover"
WEBHOOK_SECRET = "whsec_of_the_tests_0123456789"

Event = dict[str, Any]


def sign(body: bytes, secret: str = WEBHOOK_SECRET, at_s: int | None = None) -> str:
    """The value of ``Stripe-Signature`` (processor.md 5)."""
    at_s = int(time.time()) if at_s is None else at_s
    made = hmac.new(secret.encode(), b"%d." % at_s + body, hashlib.sha256).hexdigest()
    return f"t={at_s},v1={made}"


class Events:
    """What happened, oldest first. ``untold`` are those nobody was told of so far."""

    def __init__(self) -> None:
        self.all: list[Event] = []
        self.untold: list[Event] = []
        self.listed = True
        self.node_url = ""

    def happen(self, type_: str, thing: dict[str, Any]) -> Event:
        """A snapshot of the object, as it is now, with the event's type."""
        event = {
            "id": f"evt_{len(self.all) + 1:06d}{time.time_ns():x}",
            "object": "event",
            "api_version": API_VERSION,
            "created": int(time.time()),
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "type": type_,
            "data": {"object": copy.deepcopy(thing)},
        }
        self.all.append(event)
        self.untold.append(event)
        return event

    def take(self) -> list[Event]:
        """The events that nobody was told of; they are the caller's to tell, or not to."""
        taken, self.untold = self.untold, []
        return taken

    def tell(self, event: Event, signature: str | None = None) -> Answer:
        """Deliver one event as a webhook."""
        body = json.dumps(event).encode()
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": signature if signature is not None else sign(body),
        }
        return send("POST", f"{self.node_url}/api/webhooks/stripe", body, headers)
