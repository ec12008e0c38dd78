"""The inbox: authentic webhooks, kept raw before they are answered (promise 5)."""

from __future__ import annotations

import re
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
from tidegate.db.cipher import ENCRYPTED

__all__ = ["ids_naming", "inbox"]

# References of attempts, and ids as we and card processors make them; no account's number is one.
_NAMES: Final = re.compile(rb'\btg-[a-z0-9-]{4,40}\b|"[a-z]{2,8}_[A-Za-z0-9_-]{4,80}"')


def _beside(values: Mapping[str, Any]) -> dict[str, Any]:
    """What an event is about, for :func:`ids_naming`: its body cannot be searched encrypted."""
    if "body" not in values:
        return {}
    found = {name.strip(b'"').decode() for name in _NAMES.findall(bytes(values["body"]))}
    named = sorted(name for name in found if "_secret_" not in name and re.search("[0-9]", name))
    return {"about": " ".join(named) or None}


inbox = Table(
    "inbox",
    metadata,
    Column("id", Id, primary_key=True),
    Column("source", Word, nullable=False),
    Column("dedupe_key", String(200), nullable=False),
    Column("state", Word, nullable=False),
    Column("body", LargeBinary, nullable=False, info=ENCRYPTED),
    # Where the body is encrypted: the references and ids in it.
    Column("about", LongText, nullable=True),
    Column("received_at", Millis, nullable=False),
    Column("outcome", LongText, nullable=True),
    *work_columns(),
    UniqueConstraint("source", "dedupe_key"),
    Index("ix_inbox_received_at", "received_at"),
    info={"names": {"inbox_id": "id"}, "beside": _beside},
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

    The inbox knows nothing of what its events are about, so the bodies are searched, or what was
    written down beside those that are encrypted: for the rare question of a person, not for a verb.
    """
    if not names:
        return []
    holds = _HOLDS[connection.dialect.name]
    named = (
        or_(
            holds(inbox.c.body, literal(name.encode(), LargeBinary)) > 0,
            holds(inbox.c.about, literal(name)) > 0,
        )
        for name in sorted(names)
    )
    wanted = (
        select(inbox.c.id)
        .where(inbox.c.received_at >= since_ms, inbox.c.source.in_(sorted(sources)), or_(*named))
        .order_by(inbox.c.received_at)
        .limit(limit)
    )
    return list(connection.execute(wanted).scalars())
