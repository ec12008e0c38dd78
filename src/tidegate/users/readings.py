"""What verbs and commands read of users, sessions and refresh tokens. Each by an index."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, Select, bindparam, select

from tidegate.users.tables import refresh_tokens, sessions, users

__all__ = [
    "SESSIONS_MAX",
    "Row",
    "list_users",
    "living_sessions",
    "session_by_id",
    "session_of_token",
    "token_by_id",
    "user_by_email",
    "user_by_id",
]

Row = Mapping[str, Any]

SESSIONS_MAX: Final = 100
"""As many sessions of one user are listed, the newest."""

_user_by_email: Final = select(users).where(users.c.email_key == bindparam("email_key"))
_user_by_id: Final = select(users).where(users.c.id == bindparam("user_id"))
_session_by_id: Final = select(sessions).where(sessions.c.id == bindparam("session_id"))
# The one read of every authenticated request: two rows by their primary keys.
_session_of_token: Final = (
    select(
        sessions.c.user_id,
        sessions.c.expires_at,
        sessions.c.revoked_at,
        users.c.state,
        users.c.role,
        users.c.token_version,
    )
    .join(users, users.c.id == sessions.c.user_id)
    .where(sessions.c.id == bindparam("session_id"))
)
_token_by_id: Final = (
    select(
        refresh_tokens.c.id,
        refresh_tokens.c.session_id,
        refresh_tokens.c.used_at,
        sessions.c.user_id,
        sessions.c.expires_at,
        sessions.c.revoked_at,
        users.c.state,
        users.c.role,
        users.c.token_version,
    )
    .join(sessions, sessions.c.id == refresh_tokens.c.session_id)
    .join(users, users.c.id == sessions.c.user_id)
    .where(refresh_tokens.c.id == bindparam("token_id"))
)
_living_sessions: Final = (
    select(sessions)
    .where(
        sessions.c.user_id == bindparam("user_id"),
        sessions.c.revoked_at.is_(None),
        sessions.c.expires_at > bindparam("now_ms"),
    )
    .order_by(sessions.c.created_at.desc(), sessions.c.id.desc())
    .limit(SESSIONS_MAX)
)


def user_by_email(connection: Connection, email_key: str) -> Row | None:
    """The user with this comparison key, all columns."""
    return _one(connection, _user_by_email, email_key=email_key)


def user_by_id(connection: Connection, user_id: str) -> Row | None:
    """A user, all columns."""
    return _one(connection, _user_by_id, user_id=user_id)


def session_by_id(connection: Connection, session_id: str) -> Row | None:
    """A session, all columns."""
    return _one(connection, _session_by_id, session_id=session_id)


def session_of_token(connection: Connection, session_id: str) -> Row | None:
    """What an access token is judged by: its session, and of its user state, role, version."""
    return _one(connection, _session_of_token, session_id=session_id)


def token_by_id(connection: Connection, token_id: str) -> Row | None:
    """A refresh token with what matters of its session and user."""
    return _one(connection, _token_by_id, token_id=token_id)


def living_sessions(connection: Connection, user_id: str, now_ms: int) -> list[Row]:
    """The user's sessions that are neither revoked nor over, newest first, all columns."""
    found = connection.execute(_living_sessions, {"user_id": user_id, "now_ms": now_ms})
    return [dict(row) for row in found.mappings()]


def list_users(
    connection: Connection, *, role: str | None = None, state: str | None = None, limit: int = 100
) -> list[Row]:
    """Users, newest first, without their password hashes."""
    shown = [column for column in users.c if column is not users.c.password_hash]
    wanted = select(*shown).order_by(users.c.id.desc()).limit(limit)
    if role is not None:
        wanted = wanted.where(users.c.role == role)
    if state is not None:
        wanted = wanted.where(users.c.state == state)
    return [dict(row) for row in connection.execute(wanted).mappings()]


def _one(connection: Connection, statement: Select[Any], **values: str) -> Row | None:
    row = connection.execute(statement, values).mappings().one_or_none()
    return None if row is None else dict(row)
