"""What happened, as events: kept as the bytes that travel, listed newest first, sent out.

The object of an event is a snapshot of its moment. Events are rendered in the account's API
version, whatever version a request asked for.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from tidegate.sandbox.cards.courier import Courier
from tidegate.sandbox.cards.form import Params, text, whole
from tidegate.sandbox.cards.refusals import invalid, not_found
from tidegate.sandbox.cards.store import Store, within
from tidegate.sandbox.cards.terms import Terms

__all__ = ["Event", "Events"]

_dumps = json.JSONEncoder(separators=(",", ":")).encode
_MOST: Final = 100


@dataclass(frozen=True, slots=True)
class Event:
    """One event and its JSON; ``payment`` and ``names`` are what the fault plan calls it by."""

    id: str
    created: int
    type: str
    payment: str
    names: tuple[str, ...]
    body: bytes


class Events:
    """The last ``events_kept`` events.

    ``request`` (id and idempotency key) is set while a call acts: its events name it. ``sent``
    collects the deliveries of one call while it is a list.
    """

    def __init__(self, store: Store, courier: Courier, terms: Terms) -> None:
        self.request: tuple[str | None, str | None] = (None, None)
        self.sent: list[asyncio.Task[None]] | None = None
        self._store = store
        self._courier = courier
        self._terms = terms
        self._log: deque[Event] = deque()
        self._by_id: dict[str, Event] = {}

    def emit(
        self, kind: str, thing: dict[str, Any], payment: str = "", names: tuple[str, ...] = ()
    ) -> None:
        """Something happened to ``thing``; who asked for webhooks is told."""
        request_id, key = self.request
        event_id, created = self._store.new_id("evt"), self._store.seconds()
        content = {
            "id": event_id,
            "object": "event",
            "api_version": self._terms.api_version,
            "created": created,
            "data": {"object": thing},
            "livemode": False,
            "pending_webhooks": 0 if self._courier.url is None else 1,
            "request": {"id": request_id, "idempotency_key": key},
            "type": kind,
        }
        event = Event(event_id, created, kind, payment, names, _dumps(content).encode())
        self._log.append(event)
        self._by_id[event_id] = event
        if len(self._log) > self._terms.events_kept:
            del self._by_id[self._log.popleft().id]
        wanted = self._terms.webhook_events
        if wanted is None or kind in wanted:
            task = self._courier.announce(event.type, payment, names, event.body)
            if task is not None and self.sent is not None:
                self.sent.append(task)

    def find(self, event_id: str) -> bytes:
        """The JSON of one event."""
        event = self._by_id.get(event_id)
        if event is None:
            raise not_found("event", event_id, "id")
        return event.body

    def page(self, params: Params) -> bytes:
        """A list in JSON: ``type`` or ``types[]``, ``created``, ``limit``, ``starting_after``."""
        limit = whole(params, "limit", least=1) or 10
        if limit > _MOST:
            raise invalid(f"limit is at most {_MOST}", "limit")
        kinds = params.get("types") or ([params["type"]] if params.get("type") else None)
        after = text(params, "starting_after")
        if after is not None and after not in self._by_id:
            raise not_found("event", after, "starting_after", 400)
        passed = after is None
        found: list[bytes] = []
        for event in reversed(self._log):
            if not passed:
                passed = event.id == after
            elif (kinds is None or event.type in kinds) and within(event.created, params):
                found.append(event.body)
                if len(found) > limit:
                    break
        more = b"true" if len(found) > limit else b"false"
        data = b",".join(islice(found, limit))
        return b'{"object":"list","url":"/v1/events","has_more":%s,"data":[%s]}' % (more, data)
