"""Periodic work is a row too: a trigger only makes it due, one process runs it (DESIGN 3)."""

from __future__ import annotations

from sqlalchemy import Column, Table

from tidegate.db.base import Id, Json, Millis, metadata, work_columns, work_index

__all__ = ["periodic"]

periodic = Table(
    "periodic",
    metadata,
    Column("id", Id, primary_key=True),
    Column("last_done_at", Millis, nullable=True),
    Column("result", Json, nullable=True),
    *work_columns(),
)
work_index(periodic)
