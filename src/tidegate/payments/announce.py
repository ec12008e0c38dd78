"""Announce: an event enters the timeline and waits at every endpoint that wants it.

:class:`Announce` is an operation of the committer, so an event is announced in the transaction of
the change that it tells of: the row in ``payment_events``, a waiting row in ``deliveries`` for each
endpoint, and the endpoints due. :class:`Amend` and :class:`Open` are the changes and the insert of
``webhook_endpoints`` that share its locks and working copies.

The race that this guards against: a turn of deliveries reads that nothing waits any more and ends
its lease with "nothing to do", while an announcement that read the row as leased leaves it to the
turn. Here both lock the endpoint's row first. Either the turn's end is committed before: then the
announcement sees an idle row and makes it due. Or the announcement is first: then it leaves
``woken``, and the end of the lease finds a wish that stands. Within one group both are judged on
the same working copy, one after the other; that is why the changes of endpoints are not left to
:class:`~tidegate.db.rows.RowBatch`, whose working copies this batch could not see. (One change goes
past it: the runner's release of a row whose verb raised. It ends a lease that nobody else holds
and makes the row due, so at worst the row is claimed once for nothing.)

It also keeps one order of locking: all rows of endpoints that a group touches are locked by one
statement in the order of their ids, after the payments.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from sqlalchemy import Connection, Select, func, select

from tidegate.db.committer import Batch, Operation
from tidegate.db.engine import Database, any_of, any_values
from tidegate.db.rows import Change, Held, Insert, Next, RowBatch
from tidegate.errors import WriteRefused
from tidegate.payments.deliver_filters import wants
from tidegate.payments.tables import deliveries, payment_events, webhook_endpoints

__all__ = ["DELIVER", "Amend", "Announce", "AnnounceBatch", "Open", "delivery_id"]

DELIVER: Final = "deliver"
"""The kind of work of an endpoint for which something waits."""

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


@dataclass(frozen=True, slots=True)
class Announce:
    """``event``: the values of a row of ``payment_events``, all columns."""

    batch: ClassVar[type[Batch]]
    event: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Amend:
    """A change of a row of ``webhook_endpoints``; answers and raises what the change does."""

    batch: ClassVar[type[Batch]]
    change: Change


@dataclass(frozen=True, slots=True)
class Open:
    """Insert an endpoint, if the user then has at most ``most``; else raises ``WriteRefused``."""

    batch: ClassVar[type[Batch]]
    values: Mapping[str, Any]
    most: int


class AnnounceBatch(RowBatch):
    """All announcements of a group, and its changes of endpoints."""

    rank: ClassVar[int] = 25

    def __init__(self, database: Database, connection: Connection, now_ms: int) -> None:
        super().__init__(database, connection, now_ms)
        self._endpoints: dict[str, list[tuple[str, Sequence[str]]]] = {}
        self._counts: dict[str, int] = {}

    def lock(self, operations: Sequence[Any]) -> None:
        """One read of the endpoints of all users, then one lock on all rows of endpoints."""
        changes: list[Operation] = [each.change for each in operations if isinstance(each, Amend)]
        opening = {each.values["user_id"] for each in operations if isinstance(each, Open)}
        users = opening | {each.event["user_id"] for each in operations if _announces(each)}
        if users:
            for row in self._of_users(_endpoints_statement, users):
                self._endpoints.setdefault(row.user_id, []).append((row.id, row.events))
                changes.append(Change(webhook_endpoints, row.id))
        if changes:
            super().lock(changes)
        if opening:
            # After the locks, so that of two who open at once the second counts the first's.
            self._counts = {
                row.user_id: row.endpoints for row in self._of_users(_count_statement, opening)
            }

    def admit(self, operation: Any) -> Held | None:
        if isinstance(operation, Amend):
            return super().admit(operation.change)
        if isinstance(operation, Open):
            self._open(operation)
        else:
            self._announce(operation.event)
        return None

    def _open(self, operation: Open) -> None:
        user_id = operation.values["user_id"]
        opened = sum(
            table is webhook_endpoints and values["user_id"] == user_id
            for table, values in self._inserts
        )
        if self._counts.get(user_id, 0) + opened >= operation.most:
            raise WriteRefused(f"There are {operation.most} endpoints already.")
        super().admit(Insert(webhook_endpoints, operation.values))

    def _announce(self, event: Mapping[str, Any]) -> None:
        super().admit(Insert(payment_events, event))
        for endpoint_id, filters in self._endpoints.get(event["user_id"], ()):
            row = self._rows.get((webhook_endpoints.name, endpoint_id))
            if row is None or row["state"] != "enabled" or not wants(filters, event["type"]):
                continue
            super().admit(
                Insert(
                    deliveries,
                    {
                        "id": delivery_id(event["id"], endpoint_id),
                        "endpoint_id": endpoint_id,
                        "event_id": event["id"],
                        "payment_id": event["payment_id"],
                        "seq": event["seq"],
                        "state": "waiting",
                        "created_at": self._now_ms,
                    },
                )
            )
            if not self._comes_by_itself(row):
                super().admit(Change(webhook_endpoints, endpoint_id, next=Next(DELIVER)))

    def _comes_by_itself(self, row: Mapping[str, Any]) -> bool:
        """Is the endpoint due already, told so under its lease, or in back-off?"""
        if row["kind"] != DELIVER or row["due_at"] is None:
            return False
        due = bool(row["due_at"] <= self._now_ms)
        if row["leased_until"] is not None:
            return bool(row["woken"]) and due
        return due or bool(row["failures"])

    def _of_users(self, statement: Any, users: set[str]) -> Any:
        return self._connection.execute(
            statement(self._dialect), {"users": any_values(self._dialect, sorted(users))}
        )


Announce.batch = AnnounceBatch
Amend.batch = AnnounceBatch
Open.batch = AnnounceBatch


def delivery_id(event_id: str, endpoint_id: str) -> str:
    """The id of the one delivery of an event to an endpoint; sorts as the event does."""
    digest = int.from_bytes(hashlib.sha256(endpoint_id.encode()).digest()[:8], "big")
    tail = "".join(_ALPHABET[(digest >> 5 * place) & 31] for place in range(10))
    return f"dlv_{event_id.partition('_')[2]}{tail}"


def _announces(operation: Any) -> bool:
    return isinstance(operation, Announce)


_statements: dict[tuple[str, str], Select[Any]] = {}


def _endpoints_statement(dialect: str) -> Select[Any]:
    if ("endpoints", dialect) not in _statements:
        e = webhook_endpoints.c
        _statements["endpoints", dialect] = (
            select(e.id, e.user_id, e.events)
            .where(any_of(dialect, e.user_id, "users"), e.state != "deleted")
            .order_by(e.id)
        )
    return _statements["endpoints", dialect]


def _count_statement(dialect: str) -> Select[Any]:
    if ("count", dialect) not in _statements:
        e = webhook_endpoints.c
        _statements["count", dialect] = (
            select(e.user_id, func.count().label("endpoints"))
            .where(any_of(dialect, e.user_id, "users"), e.state != "deleted")
            .group_by(e.user_id)
        )
    return _statements["count", dialect]
