"""Endpoints and deliveries as operators see them: everybody's.

What is done goes through the verbs of the user whose endpoint it is, with a line in the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, select

from tidegate.cases.store import NoteAction
from tidegate.db.committer import Committer, Unit
from tidegate.db.engine import Database
from tidegate.errors import NotFound
from tidegate.payments.deliver_again import Again
from tidegate.payments.tables import deliveries, payment_events, webhook_endpoints

__all__ = ["OperateDeliveries", "delivery_by_id", "list_deliveries", "list_endpoints"]

Row = Mapping[str, Any]

_SECRETS = {"secret", "secret_previous"}
_endpoints = select(*(each for each in webhook_endpoints.c if each.name not in _SECRETS))
_endpoint = _endpoints.where(webhook_endpoints.c.id == bindparam("id"))
_deliveries = select(
    *deliveries.c, payment_events.c.type, payment_events.c.at, payment_events.c.user_id
).join(payment_events, payment_events.c.id == deliveries.c.event_id)
_delivery = _deliveries.where(deliveries.c.id == bindparam("id"))


def list_endpoints(
    connection: Connection, *, user_id: str | None = None, limit: int = 100
) -> list[Row]:
    """Endpoints, newest first, the deleted ones too; without their secrets."""
    wanted = _endpoints.order_by(webhook_endpoints.c.id.desc()).limit(limit)
    if user_id is not None:
        wanted = wanted.where(webhook_endpoints.c.user_id == user_id)
    return _rows(connection, wanted)


def list_deliveries(
    connection: Connection,
    *,
    endpoint_id: str | None = None,
    payment_id: str | None = None,
    state: str | None = None,
    after: str | None = None,
    limit: int = 50,
) -> list[Row]:
    """Deliveries with type and time of their events, newest first, behind the id ``after``."""
    wanted = _deliveries.order_by(deliveries.c.id.desc()).limit(limit)
    if endpoint_id is not None:
        wanted = wanted.where(deliveries.c.endpoint_id == endpoint_id)
    if payment_id is not None:
        wanted = wanted.where(deliveries.c.payment_id == payment_id)
    if state is not None:
        wanted = wanted.where(deliveries.c.state == state)
    if after is not None:
        wanted = wanted.where(deliveries.c.id < after)
    return _rows(connection, wanted)


def delivery_by_id(connection: Connection, delivery_id: str) -> Row:
    """One delivery. Raises ``NotFound``."""
    found = _rows(connection, _delivery, id=delivery_id)
    if not found:
        raise NotFound(f"There is no delivery {delivery_id}.")
    return found[0]


class OperateDeliveries:
    """Send again on an operator's word.

    The line in the log is committed first, and the verb of deliveries then commits by itself, for
    a replay page by page: a crash in between leaves a line without its deed, never a deed without
    its line.
    """

    def __init__(self, database: Database, committer: Committer, again: Again) -> None:
        self._database = database
        self._committer = committer
        self._again = again

    async def redeliver(
        self, delivery_id: str, *, by: str, origin: str, reason: str
    ) -> dict[str, Any]:
        """One event waits again; the delivery as it now is. Raises ``NotFound``."""
        row = await self._database.fetch(lambda c: delivery_by_id(c, delivery_id))
        await self._database.fetch(lambda c: _living(c, row["endpoint_id"]))
        before = {name: row[name] for name in ("state", "tries")}
        note = NoteAction(
            by,
            origin,
            "delivery.redeliver",
            delivery_id,
            reason,
            before,
            {"state": "waiting", "tries": 0},
        )
        await self._committer.commit(Unit([note]))
        return await self._again.redeliver(row["user_id"], delivery_id)

    async def replay(
        self, endpoint_id: str, since_ms: int, *, by: str, origin: str, reason: str
    ) -> int:
        """Everything since ``since_ms`` (Unix ms) that the endpoint wants waits again; how many.

        Raises ``NotFound``.
        """
        endpoint = await self._database.fetch(lambda c: _living(c, endpoint_id))
        note = NoteAction(
            by, origin, "endpoint.replay", endpoint_id, reason, None, {"since_ms": since_ms}
        )
        await self._committer.commit(Unit([note]))
        return await self._again.replay(endpoint["user_id"], endpoint_id, since_ms)


def _living(connection: Connection, endpoint_id: str) -> Row:
    found = _rows(connection, _endpoint, id=endpoint_id)
    if not found or found[0]["state"] == "deleted":
        raise NotFound(f"There is no webhook endpoint {endpoint_id}, or it was deleted.")
    return found[0]


def _rows(connection: Connection, statement: Any, **parameters: Any) -> list[Row]:
    return [dict(row) for row in connection.execute(statement, parameters).mappings()]
