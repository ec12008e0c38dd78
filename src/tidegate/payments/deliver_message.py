"""The message a receiver gets: body, id, time and signatures (Standard Webhooks 1.0). Pure.

The body is built once from the event's row and the bytes that are signed are the bytes that are
sent, so every try of an event carries the same id and the same body.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from standardwebhooks import Webhook

from tidegate.clock import from_ms, rfc3339

__all__ = ["body_of", "headers_of", "payload_of"]


def payload_of(event: Mapping[str, Any]) -> dict[str, Any]:
    """``{type, timestamp, data}`` of a row of ``payment_events``.

    ``data`` is the object as it was when it happened, with ``sequence``, the event's number
    within its payment (from 1).
    """
    return {
        "type": event["type"],
        "timestamp": rfc3339(event["at"]),
        "data": {**event["data"], "sequence": event["seq"]},
    }


def body_of(event: Mapping[str, Any]) -> str:
    """The payload as JSON text; sent as UTF-8."""
    return json.dumps(payload_of(event), ensure_ascii=False, separators=(",", ":"))


def headers_of(
    event_id: str, body: str, secrets: Sequence[str], tried_at_ms: int
) -> dict[str, str]:
    """The headers of one try: the same id for every try, the time of this one, and one signature
    for each secret, the current one first."""
    when = from_ms(tried_at_ms)
    return {
        "Content-Type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": str(tried_at_ms // 1000),
        "webhook-signature": " ".join(
            Webhook(secret).sign(msg_id=event_id, timestamp=when, data=body) for secret in secrets
        ),
    }
