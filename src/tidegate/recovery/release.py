"""Release: the quarantine ends, by a person, when nothing is missing any more."""

from __future__ import annotations

from sqlalchemy import Connection

from tidegate.cases.store import NoteAction
from tidegate.db.committer import Unit
from tidegate.db.quarantine import open_quarantine, quarantines
from tidegate.db.rows import Change
from tidegate.errors import Conflict
from tidegate.recovery.check import still_missing

__all__ = ["release"]


def release(
    connection: Connection,
    *,
    window_ms: int,
    now_ms: int,
    by: str,
    reason: str,
    force: bool,
) -> Unit:
    """The unit that ends it, with the operator's reason in the log of actions.

    Raises ``Conflict`` when there is none, or when something is missing and ``force`` is not set.
    """
    quarantine = open_quarantine(connection)
    if quarantine is None:
        raise Conflict("The node is not in quarantine.")
    missing = still_missing(connection, window_ms)
    if missing and not force:
        raise Conflict(" ".join(missing))
    values = {
        "released_at": now_ms,
        "released_by": by,
        "release_reason": reason,
        "forced": bool(missing),
    }
    return Unit(
        [
            Change(quarantines, quarantine["id"], values=values, expect={"released_at": None}),
            NoteAction(
                by,
                "cli",
                "quarantine.forced" if missing else "quarantine.released",
                quarantine["id"],
                reason,
                {"missing": missing},
                {"released": True},
            ),
        ]
    )
