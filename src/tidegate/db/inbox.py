"""The inbox: authentic webhooks, kept raw before they are answered (promise 5)."""

from __future__ import annotations

from sqlalchemy import Column, Index, LargeBinary, String, Table, UniqueConstraint

from tidegate.db.base import Id, LongText, Millis, Word, metadata, work_columns, work_index

__all__ = ["inbox"]

inbox = Table(
    "inbox",
    metadata,
    Column("id", Id, primary_key=True),
    Column("source", Word, nullable=False),
    Column("dedupe_key", String(200), nullable=False),
    Column("state", Word, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("received_at", Millis, nullable=False),
    Column("outcome", LongText, nullable=True),
    *work_columns(),
    UniqueConstraint("source", "dedupe_key"),
    Index("ix_inbox_received_at", "received_at"),
    info={"names": {"inbox_id": "id"}},
)
work_index(inbox)
