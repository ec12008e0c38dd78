"""The delivery log, and sending again: everything since an instant, or one event.

Sending again makes the rows wait once more; the turn of deliveries does the rest, in order per
payment. An endpoint that is disabled keeps them until it is enabled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from tidegate.clock import Clock, rfc3339
from tidegate.db.committer import Committer, Operation, Unit
from tidegate.db.engine import Database
from tidegate.db.rows import Change, Insert, Next
from tidegate.errors import NotFound, Stale
from tidegate.payments import deliver_store as store
from tidegate.payments.announce import DELIVER, Amend, delivery_id
from tidegate.payments.deliver_filters import wants
from tidegate.payments.endpoints import own_endpoint
from tidegate.payments.tables import deliveries, webhook_endpoints

__all__ = ["Again", "delivery_view"]

_PAGE = 250
_ATTEMPTS_SHOWN = 20

# As if it had never been tried; the attempts stay in the log.
_AFRESH = {
    "state": "waiting",
    "tries": 0,
    "next_at": None,
    "first_failed_at": None,
    "delivered_at": None,
}


class Again:
    """The verbs of a user's deliveries. What is not the user's own is not found."""

    def __init__(self, database: Database, committer: Committer, clock: Clock) -> None:
        self._database = database
        self._committer = committer
        self._clock = clock

    async def page(
        self, user_id: str, endpoint_id: str, after: str | None, limit: int
    ) -> list[dict[str, Any]]:
        """Up to ``limit`` deliveries with their tries, newest first, behind the event ``after``.

        Raises ``NotFound``.
        """

        def read(connection: Connection) -> list[dict[str, Any]]:
            own_endpoint(connection, user_id, endpoint_id)
            rows = store.page_of(connection, endpoint_id, after, limit)
            tries = store.attempts_of(connection, [row["id"] for row in rows])
            return [delivery_view(row, tries.get(row["id"], ())) for row in rows]

        return await self._database.read(read)

    async def replay(self, user_id: str, endpoint_id: str, since_ms: int) -> int:
        """Everything since ``since_ms`` that the endpoint wants waits again, also what was
        announced while it was disabled; answers how many. Raises ``NotFound``."""
        endpoint = await self._database.fetch(
            lambda connection: own_endpoint(connection, user_id, endpoint_id)
        )
        after, queued = (since_ms, ""), 0
        while True:
            events = await self._page(user_id, endpoint_id, after)
            if not events:
                return queued
            wanted = [each for each in events if wants(endpoint["events"], each["type"])]
            if wanted:
                await self._commit(endpoint, [self._wait(endpoint_id, each) for each in wanted])
            queued += len(wanted)
            after = (events[-1]["at"], events[-1]["id"])

    async def redeliver(self, user_id: str, delivery_id: str) -> dict[str, Any]:
        """One event waits again; the delivery as it now is. Raises ``NotFound``."""
        row = await self._database.fetch(
            lambda connection: store.delivery_of_user(connection, delivery_id, user_id)
        )
        if row is None:
            raise NotFound()
        endpoint = await self._database.fetch(
            lambda connection: own_endpoint(connection, user_id, row["endpoint_id"])
        )
        await self._commit(endpoint, [Change(deliveries, delivery_id, values=_AFRESH)])
        tries = await self._database.fetch(
            lambda connection: store.attempts_of(connection, [delivery_id])
        )
        return delivery_view({**row, **_AFRESH}, tries.get(delivery_id, ()))

    async def _page(
        self, user_id: str, endpoint_id: str, after: tuple[int, str]
    ) -> list[store.Row]:
        return await self._database.fetch(
            lambda connection: store.replayable(connection, user_id, endpoint_id, after, _PAGE)
        )

    def _wait(self, endpoint_id: str, event: store.Row) -> Operation:
        if event["delivery_id"] is not None:
            return Change(deliveries, event["delivery_id"], values=_AFRESH)
        row = {
            "id": delivery_id(event["id"], endpoint_id),
            "endpoint_id": endpoint_id,
            "event_id": event["id"],
            "payment_id": event["payment_id"],
            "seq": event["seq"],
            "state": "waiting",
            "created_at": self._clock.now_ms(),
        }
        return Insert(deliveries, row, once=True)

    async def _commit(self, endpoint: store.Row, operations: list[Operation]) -> None:
        """Write, and make the endpoint due unless it is disabled."""
        change = Change(
            webhook_endpoints,
            endpoint["id"],
            values={"failures": 0},
            expect={"state": "enabled"},
            next=Next(DELIVER),
        )
        if endpoint["state"] == "enabled":
            try:
                await self._committer.commit(Unit([*operations, Amend(change)]))
                return
            except Stale:
                pass  # disabled meanwhile: what waits is sent when it is enabled again
        await self._committer.commit(Unit(operations))


def delivery_view(row: Mapping[str, Any], tries: Sequence[store.Row]) -> dict[str, Any]:
    """A delivery as the API shows it, with its latest tries."""
    return {
        "id": row["id"],
        "object": "webhook_delivery",
        "endpoint_id": row["endpoint_id"],
        "event_id": row["event_id"],
        "event_type": row["type"],
        "payment_id": row["payment_id"],
        "sequence": row["seq"],
        "state": row["state"],
        "tries": row["tries"],
        "next_try_at": _instant(row["next_at"]),
        "last_status": row["last_status"],
        "last_error": row["last_error"],
        "delivered_at": _instant(row["delivered_at"]),
        "created_at": rfc3339(row["created_at"]),
        "attempts": [
            {
                "at": rfc3339(each["at"]),
                "status": each["status"],
                "error": each["error"],
                "answer": each["answer"],
                "took_ms": each["took_ms"],
            }
            for each in tries[:_ATTEMPTS_SHOWN]
        ],
    }


def _instant(instant_ms: int | None) -> str | None:
    return None if instant_ms is None else rfc3339(instant_ms)
