"""Takes the node's webhooks as a shop should: verified, once, and in the order they come.

Signatures are those of Standard Webhooks 1.0: ``webhook-signature`` holds ``v1,<base64>`` of
HMAC-SHA256 over ``id.timestamp.body`` under the secret behind ``whsec_``. They are made here from
the specification, so that the node's own library is not its judge.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.clock import Clock

__all__ = ["Arrived", "Receiver"]

_TOLERANCE_S = 300
_AWAY, _BAD, _TAKEN = 503, 400, 204


@dataclass(frozen=True, slots=True)
class Arrived:
    """One event, taken: ``sequence`` is its number within its payment."""

    id: str
    type: str
    payment: str
    sequence: int


class Receiver:
    """Endpoints by name, each with its secret; what arrived, and what was wrong with it.

    The first message to an endpoint finds nobody (503): the node has to come again, and nothing of
    that payment may overtake it.
    """

    def __init__(self, clock: Clock) -> None:
        self.arrived: dict[str, list[Arrived]] = {}
        self.wrong: list[str] = []
        self.repeated = 0
        self.turned_away = 0
        self._clock = clock
        self._secrets: dict[str, bytes] = {}
        self._seen: set[tuple[str, str]] = set()
        self._last: dict[tuple[str, str], int] = {}
        self._met: set[str] = set()

    def expect(self, endpoint: str, secret: str) -> None:
        """Messages to ``endpoint`` are signed with ``secret`` (``whsec_...``)."""
        self._secrets[endpoint] = base64.b64decode(secret.removeprefix("whsec_"))
        self.arrived.setdefault(endpoint, [])

    def take(self, endpoint: str, headers: Mapping[str, str], body: bytes) -> int:
        """The HTTP status for one message."""
        if endpoint not in self._met:
            self._met.add(endpoint)
            self.turned_away += 1
            return _AWAY
        message_id = headers.get("webhook-id", "")
        if not self._is_signed(endpoint, message_id, headers, body):
            self.wrong.append(f"{endpoint}: {message_id or 'a message'} is not signed by the node")
            return _BAD
        if (endpoint, message_id) in self._seen:
            self.repeated += 1
            return _TAKEN
        self._seen.add((endpoint, message_id))
        content = json.loads(body)
        self._note(endpoint, message_id, content["type"], content["data"])
        return _TAKEN

    def _note(self, endpoint: str, message_id: str, type_: str, data: Mapping[str, Any]) -> None:
        payment, sequence = str(data.get("payment_id", data["id"])), int(data["sequence"])
        last = self._last.get((endpoint, payment), 0)
        if sequence != last + 1:
            self.wrong.append(f"{endpoint}: {payment} event {sequence} came after {last}")
        self._last[endpoint, payment] = max(last, sequence)
        self.arrived[endpoint].append(Arrived(message_id, type_, payment, sequence))

    def _is_signed(
        self, endpoint: str, message_id: str, headers: Mapping[str, str], body: bytes
    ) -> bool:
        secret, sent = self._secrets.get(endpoint), headers.get("webhook-timestamp", "")
        if secret is None or not sent.isdecimal():
            return False
        if abs(self._clock.now_ms() // 1000 - int(sent)) > _TOLERANCE_S:
            return False
        signed = b".".join((message_id.encode(), sent.encode(), body))
        wanted = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
        given = (part.partition(",") for part in headers.get("webhook-signature", "").split())
        return any(v == "v1" and hmac.compare_digest(code, wanted) for v, _, code in given)
