"""What the API's lists and pages read of payments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from tidegate.clock import rfc3339
from tidegate.payments.states import ON_THE_WAY, State, public_status
from tidegate.payments.store import Row
from tidegate.payments.tables import deliveries, payment_events, payments, refunds

__all__ = [
    "STATUSES",
    "PaymentFilter",
    "Standing",
    "list_events",
    "list_payments",
    "list_refunds",
    "read_standing",
]

STATUSES: Mapping[str, tuple[str, ...]] = {
    status: tuple(state.value for state in State if public_status(state) == status)
    for status in sorted({public_status(state) for state in State})
}
"""The public statuses, and the states that each stands for."""

_events = select(payment_events).where(payment_events.c.payment_id == bindparam("payment_id"))
_by_state = select(payments.c.state, func.count()).group_by(payments.c.state)
_without_fee = (
    select(func.count())
    .select_from(payments)
    .where(payments.c.state == State.SUCCEEDED.value, payments.c.movement.is_(None))
)
_oldest_unknown = select(func.min(payments.c.sent_at)).where(
    payments.c.state.in_([state.value for state in ON_THE_WAY])
)
_waiting = select(func.count()).select_from(deliveries).where(deliveries.c.state == "waiting")
_refunds = select(refunds).where(refunds.c.payment_id == bindparam("payment_id"))


@dataclass(frozen=True, slots=True)
class PaymentFilter:
    """``user_id`` ``None``: everybody's, for operators. Instants in Unix ms, the upper one
    excluded."""

    user_id: str | None
    status: str | None = None
    created_gte: int | None = None
    created_lt: int | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How all payments stand: by state, captured ones without a fee so far, the age of the oldest
    unknown outcome in seconds (0: none), and deliveries that wait."""

    states: Mapping[str, int]
    without_fee: int
    unknown_s: float
    waiting: int


def read_standing(connection: Connection, now_ms: int) -> Standing:
    """One reading for metrics."""
    since = connection.execute(_oldest_unknown).scalar_one()
    return Standing(
        states={row[0]: row[1] for row in connection.execute(_by_state)},
        without_fee=connection.execute(_without_fee).scalar_one(),
        unknown_s=0.0 if since is None else (now_ms - since) / 1000,
        waiting=connection.execute(_waiting).scalar_one(),
    )


def list_payments(
    connection: Connection, filter_: PaymentFilter, after: str | None, limit: int
) -> list[Row]:
    """Newest first, behind the id ``after``."""
    statement = select(payments)
    if filter_.user_id is not None:
        statement = statement.where(payments.c.user_id == filter_.user_id)
    if filter_.status is not None:
        statement = statement.where(payments.c.state.in_(STATUSES[filter_.status]))
    if filter_.created_gte is not None:
        statement = statement.where(payments.c.created_at >= filter_.created_gte)
    if filter_.created_lt is not None:
        statement = statement.where(payments.c.created_at < filter_.created_lt)
    if after is not None:
        statement = statement.where(payments.c.id < after)
    return _rows(connection, statement.order_by(payments.c.id.desc()).limit(limit))


def list_refunds(
    connection: Connection, payment_id: str, after: str | None, limit: int
) -> list[Row]:
    """A payment's refunds, newest first, behind the id ``after``."""
    statement = _refunds
    if after is not None:
        statement = statement.where(refunds.c.id < after)
    statement = statement.order_by(refunds.c.id.desc()).limit(limit)
    return _rows(connection, statement, payment_id=payment_id)


def list_events(
    connection: Connection, payment_id: str, after: str | None, limit: int
) -> list[dict[str, Any]]:
    """A payment's timeline, oldest first, behind the event ``after``, as it is shown."""
    statement = _events
    if after is not None:
        place = select(payment_events.c.seq).where(payment_events.c.id == after)
        statement = statement.where(payment_events.c.seq > place.scalar_subquery())
    statement = statement.order_by(payment_events.c.seq).limit(limit)
    return [
        {
            "id": row["id"],
            "type": row["type"],
            "sequence": row["seq"],
            "created_at": rfc3339(row["at"]),
            "data": row["data"],
        }
        for row in _rows(connection, statement, payment_id=payment_id)
    ]


def _rows(connection: Connection, statement: Any, **parameters: Any) -> list[Row]:
    return [dict(row) for row in connection.execute(statement, parameters).mappings()]
