"""The inbox as operators see it: kept webhooks of every source, and reading one again.

Reading again decides nothing: the verb of the source's events looks at what the event is about.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, select

from tidegate.cases.store import NoteAction
from tidegate.db.cipher import cipher_of
from tidegate.db.committer import Unit
from tidegate.db.inbox import inbox
from tidegate.db.rows import Change, Next
from tidegate.errors import Conflict

__all__ = ["list_inbox", "read_again", "show_inbox"]

Row = Mapping[str, Any]

_listed = [column for column in inbox.c if column.name not in ("body", "about")]


def list_inbox(
    connection: Connection,
    *,
    source: str | None = None,
    state: str | None = None,
    after: str | None = None,
    limit: int = 50,
) -> list[Row]:
    """Kept webhooks, newest first, behind the id ``after``; all columns but what they said."""
    wanted = select(*_listed).order_by(inbox.c.id.desc()).limit(limit)
    if source is not None:
        wanted = wanted.where(inbox.c.source == source)
    if state is not None:
        wanted = wanted.where(inbox.c.state == state)
    if after is not None:
        wanted = wanted.where(inbox.c.id < after)
    return [dict(row) for row in connection.execute(wanted).mappings()]


def show_inbox(connection: Connection, row_id: str) -> Row | None:
    """One of them, all columns."""
    row = connection.execute(select(inbox).where(inbox.c.id == row_id)).mappings().one_or_none()
    return None if row is None else cipher_of(connection).shown(row, inbox)


def read_again(
    row: Row, sources: Collection[str], now_ms: int, *, by: str, origin: str, reason: str
) -> Unit:
    """Have the worker read the row again at once.

    ``sources`` are those whose events this deployment reads. Raises ``Conflict`` for another one,
    and while the row is being read; the unit raises ``Stale`` if it was read meanwhile.
    """
    source = row["source"]
    if source not in sources:
        raise Conflict(f"Nobody reads webhooks of {source} here: it is not configured.")
    if (row["leased_until"] or 0) > now_ms:
        raise Conflict("The row is being read at this moment.")
    before = {"state": row["state"], "outcome": row["outcome"]}
    after = {"state": "kept", "outcome": None}
    change = Change(
        inbox,
        row["id"],
        values=after,
        expect={"state": row["state"], "fence": row["fence"]},
        next=Next(f"read:{source}"),
    )
    note = NoteAction(by, origin, "inbox.read_again", row["id"], reason, before, after)
    return Unit([change, note])
