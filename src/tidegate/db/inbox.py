"""The inbox: authentic webhooks, kept raw before they are answered (promise 5)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from sqlalchemy import (
    Column,
    Connection,
    Index,
    LargeBinary,
    String,
    Table,
    UniqueConstraint,
    func,
    literal,
    or_,
    select,
)

from tidegate.db.base import Id, LongText, Millis, Word, metadata, work_columns, work_index

__all__ = ["ids_naming", "inbox"]

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

_HOLDS: Final[Mapping[str, Any]] = {
    "sqlite": func.instr,
    "postgresql": func.pg_catalog.position,
}


def ids_naming(
    connection: Connection,
    sources: Collection[str],
    since_ms: int,
    names: Collection[str],
    limit: int | None = None,
) -> list[str]:
    """Ids of the kept webhooks of ``sources`` since ``since_ms`` whose body holds one of
    ``names``, oldest first.

    The inbox knows nothing of what its events are about, so the bodies are searched: for the rare
    question of a person, not for a verb.
    """
    if not names:
        return []
    holds = _HOLDS[connection.dialect.name]
    named = (holds(inbox.c.body, literal(name.encode(), LargeBinary)) > 0 for name in sorted(names))
    wanted = (
        select(inbox.c.id)
        .where(inbox.c.received_at >= since_ms, inbox.c.source.in_(sorted(sources)), or_(*named))
        .order_by(inbox.c.received_at)
        .limit(limit)
    )
    return list(connection.execute(wanted).scalars())
