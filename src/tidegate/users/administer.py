"""What operators do to accounts: units that carry their line in the operators' log.

Lines name the user's id only, never the address: the log is kept for ever, personal data is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.cases.store import NoteAction
from tidegate.db.committer import Unit
from tidegate.db.rows import Change, Insert
from tidegate.errors import Conflict
from tidegate.users.readings import Row
from tidegate.users.revoke import RevokeSessions
from tidegate.users.tables import sessions, users

__all__ = [
    "ROLES",
    "By",
    "create_user",
    "disable_user",
    "enable_user",
    "reset_password",
    "revoke_session",
    "revoke_sessions",
    "set_role",
]

ROLES = ("user", "operator", "admin")


@dataclass(frozen=True, slots=True)
class By:
    """Who does it, from where, why, and when (Unix ms)."""

    actor: str
    origin: str
    reason: str
    now_ms: int


def create_user(row: Row, by: By) -> Unit:
    """Insert a user. ``AlreadyExists`` when the address has an account."""
    after = {"role": row["role"], "state": row["state"]}
    return Unit([Insert(users, row), _noted(row, "user.create", by, None, after)])


def set_role(row: Row, role: str, by: By) -> Unit:
    """Change the role; access tokens that tell another one are void. ``Stale`` when it has
    changed since ``row`` was read."""
    return _changed(row, "user.role", by, {"role": role})


def disable_user(row: Row, by: By) -> Unit:
    """Let the user no longer in; sessions and tokens end. ``Stale`` when they are disabled."""
    return _changed(row, "user.disable", by, {"state": "disabled"}).add(
        RevokeSessions(row["id"], "disabled")
    )


def enable_user(row: Row, by: By) -> Unit:
    """Let the user in again, who has to log in. ``Stale`` when they are not disabled, ``Conflict``
    when the person was erased."""
    _check_not_erased(row)
    return _changed(row, "user.enable", by, {"state": "active"})


def reset_password(row: Row, password_hash: str, by: By) -> Unit:
    """Set a password that somebody else chose; sessions and tokens end. ``Conflict`` when the
    person was erased."""
    _check_not_erased(row)
    unit = _raised(row, {"password_hash": password_hash}, {}, by)
    unit.add(RevokeSessions(row["id"], "password_reset"))
    return unit.add(_noted(row, "user.reset_password", by, None, None))


def revoke_sessions(row: Row, by: By) -> Unit:
    """End every session and access token of the user."""
    unit = _raised(row, {}, {}, by).add(RevokeSessions(row["id"], "revoked_by_operator"))
    return unit.add(_noted(row, "user.revoke_sessions", by, None, None))


def revoke_session(row: Row, session_id: str, by: By) -> Unit:
    """End one session of the user. ``Stale`` when it has ended."""
    ended = {"revoked_at": by.now_ms, "revoked_why": "revoked_by_operator"}
    return Unit(
        [
            Change(sessions, session_id, ended, expect={"user_id": row["id"], "revoked_at": None}),
            _noted(row, "user.revoke_session", by, None, {"session_id": session_id}),
        ]
    )


def _changed(row: Row, action: str, by: By, values: Mapping[str, str]) -> Unit:
    before = {name: row[name] for name in values}
    return _raised(row, values, before, by).add(_noted(row, action, by, before, values))


def _check_not_erased(row: Row) -> None:
    if row["erased_at"] is not None:
        raise Conflict("The account was erased: it cannot be opened again.")


def _raised(row: Row, values: Mapping[str, str], expect: Mapping[str, str], by: By) -> Unit:
    """Change columns, and the version under which access tokens are valid."""
    more = {
        "token_version": lambda locked: locked["token_version"] + 1,
        "updated_at": by.now_ms,
    }
    return Unit([Change(users, row["id"], {**values, **more}, expect=expect)])


def _noted(
    row: Row,
    action: str,
    by: By,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
) -> NoteAction:
    return NoteAction(by.actor, by.origin, action, f"user:{row['id']}", by.reason, before, after)
