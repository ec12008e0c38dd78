"""Readings of payouts: lists, and the payout that a name belongs to. Read-only."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, bindparam, or_, select

from tidegate.payouts.store import Row
from tidegate.payouts.tables import attempts, payouts

__all__ = ["find_payout", "list_payouts"]


def list_payouts(
    connection: Connection,
    *,
    states: Collection[str] = (),
    since_ms: int | None = None,
    limit: int = 50,
) -> list[Row]:
    """Payouts, newest first, all columns; only of ``states`` and since ``since_ms`` if given."""
    wanted = select(payouts).order_by(payouts.c.created_at.desc(), payouts.c.id.desc()).limit(limit)
    if states:
        wanted = wanted.where(payouts.c.state.in_(sorted(states)))
    if since_ms is not None:
        wanted = wanted.where(payouts.c.created_at >= since_ms)
    return [dict(row) for row in connection.execute(wanted).mappings()]


def find_payout(connection: Connection, name: str) -> Row | None:
    """The payout that ``name`` belongs to: the aggregator's order id, our id, the id of an
    attempt, or a reference as the PSP or the aggregator knows it."""
    for question in _BY_NAME:
        found = connection.execute(question, {"name": name}).mappings().first()
        if found is not None:
            return dict(found)
    return None


# From the cheapest question to those that read more.
_BY_NAME = (
    select(payouts).where(payouts.c.order_id == bindparam("name")),
    select(payouts).where(payouts.c.id == bindparam("name")),
    select(payouts).join(attempts).where(attempts.c.id == bindparam("name")),
    select(payouts).join(attempts).where(attempts.c.reference == bindparam("name")),
    select(payouts).where(
        or_(payouts.c.reference == bindparam("name"), payouts.c.tx_id == bindparam("name"))
    ),
    select(payouts).join(attempts).where(attempts.c.psp_id == bindparam("name")),
)
