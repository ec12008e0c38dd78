"""The reads about deliveries that verbs need.

The *head* of a payment at an endpoint is the first of its events that waits there; only heads are
ever sent (payments.md, "Telling the client").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, and_, bindparam, exists, func, or_, select

from tidegate.db.engine import any_of, any_values
from tidegate.payments.tables import deliveries, delivery_attempts, payment_events, payments

__all__ = [
    "Row",
    "attempts_of",
    "delivery_of_user",
    "failing_deliveries",
    "heads",
    "next_head_at",
    "oldest_failure",
    "overdue",
    "page_of",
    "payment_counter",
    "probe",
    "replayable",
]

Row = Mapping[str, Any]

_d, _before = deliveries.alias("d"), deliveries.alias("before")
_e = payment_events

_waiting = and_(_d.c.endpoint_id == bindparam("endpoint_id"), _d.c.state == "waiting")
_first_of_its_payment = ~exists(
    select(1).where(
        _before.c.endpoint_id == _d.c.endpoint_id,
        _before.c.state == "waiting",
        _before.c.payment_id == _d.c.payment_id,
        _before.c.seq < _d.c.seq,
    )
)
_may_go = or_(_d.c.next_at.is_(None), _d.c.next_at <= bindparam("now_ms"))

_with_events = select(*_d.c, _e.c.type, _e.c.at, _e.c.data, _e.c.user_id).join(
    _e, _e.c.id == _d.c.event_id
)
_heads = (
    _with_events.where(_waiting, _first_of_its_payment, _may_go)
    .order_by(_d.c.event_id)
    .limit(bindparam("limit"))
)
_probe = (
    _with_events.where(_waiting, _first_of_its_payment, _may_go)
    .order_by(_d.c.tries, _d.c.event_id)
    .limit(1)
)
_next_head_at = select(func.min(_d.c.next_at)).where(
    _waiting, _first_of_its_payment, _d.c.next_at > bindparam("now_ms")
)
_oldest_failure = select(func.min(_d.c.first_failed_at)).where(_waiting)
_failing = select(_d.c.id, _d.c.payment_id, _d.c.event_id).where(
    _waiting, _d.c.first_failed_at.is_not(None)
)
_overdue = _failing.where(_d.c.first_failed_at <= bindparam("until_ms")).order_by(_d.c.event_id)
_payment = select(payments.c.user_id, payments.c.events).where(payments.c.id == bindparam("id"))

_listed = select(*_d.c, _e.c.type, _e.c.at, _e.c.user_id).join(_e, _e.c.id == _d.c.event_id)
_page = (
    _listed.where(_d.c.endpoint_id == bindparam("endpoint_id"))
    .order_by(_d.c.event_id.desc())
    .limit(bindparam("limit"))
)
_page_after = _page.where(_d.c.event_id < bindparam("after"))
_one = _listed.where(_d.c.id == bindparam("id"), _e.c.user_id == bindparam("user_id"))

_replayable = (
    select(
        *(_e.c[name] for name in ("id", "payment_id", "seq", "type", "at")),
        _d.c.id.label("delivery_id"),
        _d.c.state.label("delivery_state"),
    )
    .outerjoin(_d, and_(_d.c.event_id == _e.c.id, _d.c.endpoint_id == bindparam("endpoint_id")))
    .where(
        _e.c.user_id == bindparam("user_id"),
        or_(
            _e.c.at > bindparam("at"),
            and_(_e.c.at == bindparam("at"), _e.c.id > bindparam("after")),
        ),
    )
    .order_by(_e.c.at, _e.c.id)
    .limit(bindparam("limit"))
)


def heads(connection: Connection, endpoint_id: str, now_ms: int, limit: int) -> list[Row]:
    """The heads that may be sent now, with their events; oldest first."""
    return _rows(connection, _heads, endpoint_id=endpoint_id, now_ms=now_ms, limit=limit)


def probe(connection: Connection, endpoint_id: str, now_ms: int) -> Row | None:
    """The head to try at an endpoint that fails: the one tried least, the oldest of these.

    Not simply the oldest: an event that the receiver alone refuses would then stand for the
    whole receiver, and everything else would wait until that event is given up.
    """
    found = _rows(connection, _probe, endpoint_id=endpoint_id, now_ms=now_ms)
    return found[0] if found else None


def next_head_at(connection: Connection, endpoint_id: str, now_ms: int) -> int | None:
    """When the next head may go that waits by its own tries."""
    parameters = {"endpoint_id": endpoint_id, "now_ms": now_ms}
    found: int | None = connection.execute(_next_head_at, parameters).scalar()
    return found


def oldest_failure(connection: Connection, endpoint_id: str) -> int | None:
    """Since when the event that waits for longest has been failing."""
    found: int | None = connection.execute(_oldest_failure, {"endpoint_id": endpoint_id}).scalar()
    return found


def overdue(connection: Connection, endpoint_id: str, until_ms: int) -> list[Row]:
    """What has been failing since ``until_ms`` or earlier: id, payment and event, oldest first."""
    return _rows(connection, _overdue, endpoint_id=endpoint_id, until_ms=until_ms)


def failing_deliveries(connection: Connection, endpoint_id: str) -> list[Row]:
    """Everything that waits and has failed before: id, payment and event."""
    return _rows(connection, _failing, endpoint_id=endpoint_id)


def payment_counter(connection: Connection, payment_id: str) -> Row:
    """Whose the payment is, and how many events it has."""
    return _rows(connection, _payment, id=payment_id)[0]


def page_of(connection: Connection, endpoint_id: str, after: str | None, limit: int) -> list[Row]:
    """Deliveries of an endpoint with the type and time of their events, newest first, from
    behind the event ``after``."""
    if after is None:
        return _rows(connection, _page, endpoint_id=endpoint_id, limit=limit)
    return _rows(connection, _page_after, endpoint_id=endpoint_id, after=after, limit=limit)


def delivery_of_user(connection: Connection, delivery_id: str, user_id: str) -> Row | None:
    """One delivery, if it is the user's."""
    found = _rows(connection, _one, id=delivery_id, user_id=user_id)
    return found[0] if found else None


def attempts_of(connection: Connection, delivery_ids: Sequence[str]) -> dict[str, list[Row]]:
    """The tries of some deliveries, newest first."""
    dialect = connection.dialect.name
    a = delivery_attempts.c
    if dialect not in _attempts:
        _attempts[dialect] = (
            select(delivery_attempts)
            .where(any_of(dialect, a.delivery_id, "ids"))
            .order_by(a.delivery_id, a.at.desc(), a.id.desc())
        )
    found: dict[str, list[Row]] = {}
    for row in _rows(connection, _attempts[dialect], ids=any_values(dialect, delivery_ids)):
        found.setdefault(row["delivery_id"], []).append(row)
    return found


def replayable(
    connection: Connection, user_id: str, endpoint_id: str, after: tuple[int, str], limit: int
) -> list[Row]:
    """Events of a user behind ``after`` (instant and id), in the order they happened, each with
    its delivery at the endpoint where there is one."""
    return _rows(
        connection,
        _replayable,
        user_id=user_id,
        endpoint_id=endpoint_id,
        at=after[0],
        after=after[1],
        limit=limit,
    )


_attempts: dict[str, Any] = {}


def _rows(connection: Connection, statement: Any, **parameters: Any) -> list[Row]:
    return [dict(row) for row in connection.execute(statement, parameters).mappings()]
