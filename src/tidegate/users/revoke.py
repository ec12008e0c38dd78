"""An operation of the committer: end every session of a user, those that were just begun too.

A verb that read the sessions and changed each would miss one that begins meanwhile. A log-in
locks its user's row and expects its token version; whoever ends all sessions raises that version
in the same unit. So a log-in is either committed before, and its session is found here, or
refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from sqlalchemy import Connection, bindparam, update

from tidegate.db.committer import Batch, Due
from tidegate.db.engine import Database
from tidegate.users.tables import sessions

__all__ = ["RevokeSessions"]


@dataclass(frozen=True, slots=True)
class RevokeSessions:
    """Revoke the sessions of ``user_id`` but for ``keep``. Never refused.

    Belongs into a unit that changes the user's ``token_version``.
    """

    batch: ClassVar[type[Batch]]
    user_id: str
    why: str
    keep: str = ""


class RevokeBatch:
    """All such ends of a group."""

    # After the rows: a session that this group inserts is ended as well.
    rank: ClassVar[int] = 25

    def __init__(self, database: Database, connection: Connection, now_ms: int) -> None:
        self._connection = connection
        self._now_ms = now_ms
        self._ends: list[RevokeSessions] = []

    def lock(self, operations: Sequence[RevokeSessions]) -> None:
        """Nothing: the users' rows are locked by the changes of their versions."""

    def mark(self) -> int:
        return len(self._ends)

    def rewind(self, mark: int) -> None:
        del self._ends[mark:]

    def admit(self, operation: RevokeSessions) -> None:
        self._ends.append(operation)

    def flush(self) -> Sequence[Due]:
        for end in sorted(self._ends, key=lambda end: end.user_id):
            self._connection.execute(
                _revoke,
                {"_user": end.user_id, "_keep": end.keep, "_now": self._now_ms, "_why": end.why},
            )
        return ()


RevokeSessions.batch = RevokeBatch

_revoke: Final = (
    update(sessions)
    .where(
        sessions.c.user_id == bindparam("_user"),
        sessions.c.id != bindparam("_keep"),
        sessions.c.revoked_at.is_(None),
    )
    .values(revoked_at=bindparam("_now"), revoked_why=bindparam("_why"))
)
