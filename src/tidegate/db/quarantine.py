"""Quarantine: a restored copy does not know what happened after it, so nothing moves until that
was asked.

The state is a row of the database, not a setting: no forgotten variable ends it, and a process
that outlived the restore finds it as well. Every claim of work looks at it in its own transaction
(:mod:`tidegate.work.claim`); requests that move money ask before they begin.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Connection,
    ForeignKey,
    Index,
    Integer,
    Table,
    UniqueConstraint,
    exists,
    false,
    select,
)

from tidegate.db.base import Id, Json, LongText, Millis, Word, metadata

__all__ = [
    "LOOKED_UP",
    "in_quarantine",
    "is_quarantined",
    "open_quarantine",
    "quarantine_orders",
    "quarantines",
]

LOOKED_UP = "done"
"""The state of an order that was looked up to the end."""

quarantines = Table(
    "quarantines",
    metadata,
    Column("id", Id, primary_key=True),
    Column("began_at", Millis, nullable=False),
    Column("reason", LongText, nullable=False),
    # Orders and transfers of before this instant are not asked about.
    Column("since_at", Millis, nullable=False),
    # What the copy says of itself: its manifest.
    Column("backup", Json, nullable=False),
    # When every list of others was last read whole, and what the last check found.
    Column("listed_at", Millis, nullable=True),
    Column("result", Json, nullable=True),
    Column("released_at", Millis, nullable=True),
    Column("released_by", Word, nullable=True),
    Column("release_reason", LongText, nullable=True),
    Column("forced", Boolean, nullable=False, default=False, server_default=false()),
)

# One row an order that has to be looked up before the quarantine may end.
quarantine_orders = Table(
    "quarantine_orders",
    metadata,
    Column("id", Id, primary_key=True),
    Column("quarantine_id", Id, ForeignKey("quarantines.id"), nullable=False),
    Column("order_id", Id, nullable=False),
    Column("state", Word, nullable=False),
    Column("not_found", Integer, nullable=False, default=0, server_default="0"),
    Column("finding", LongText, nullable=False),
    Column("looked_at", Millis, nullable=True),
    UniqueConstraint("quarantine_id", "order_id"),
    Index("ix_quarantine_orders_state", "quarantine_id", "state"),
)

_open = select(quarantines).where(quarantines.c.released_at.is_(None)).limit(1)
_is_open = select(exists().where(quarantines.c.released_at.is_(None)))


def in_quarantine() -> ColumnElement[bool]:
    """The condition, for a statement of somebody else's."""
    return exists().where(quarantines.c.released_at.is_(None))


def is_quarantined(connection: Connection) -> bool:
    """Does a quarantine last?"""
    return bool(connection.execute(_is_open).scalar_one())


def open_quarantine(connection: Connection) -> Mapping[str, Any] | None:
    """The quarantine that lasts, all columns."""
    found = connection.execute(_open).mappings().one_or_none()
    return None if found is None else dict(found)
