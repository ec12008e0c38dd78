"""The rows of users, their sessions and refresh tokens, and the counters of rate limits.

Personal data stands in ``users.email``, ``sessions.address`` and ``sessions.user_agent`` only.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
)

from tidegate.db.base import Id, LongText, Millis, Word, metadata

__all__ = ["rate_limits", "refresh_tokens", "sessions", "users"]

users = Table(
    "users",
    metadata,
    Column("id", Id, primary_key=True),
    # As it was written, and as it is compared.
    Column("email", String(254), nullable=False),
    Column("email_key", String(254), nullable=False, unique=True),
    Column("password_hash", LongText, nullable=False),
    Column("role", Word, nullable=False),
    Column("state", Word, nullable=False),
    # Rises when every access token of the user becomes void at once.
    Column("token_version", Integer, nullable=False),
    Column("created_at", Millis, nullable=False),
    Column("updated_at", Millis, nullable=False),
    # When the person was forgotten; such an account is never opened again.
    Column("erased_at", Millis, nullable=True),
    CheckConstraint("role IN ('user', 'operator', 'admin')", name="role"),
    CheckConstraint("state IN ('active', 'disabled')", name="state"),
    info={"guards": ("token_version", "password_hash", "role", "erased_at")},
)

# One row a login: the family of its refresh tokens.
sessions = Table(
    "sessions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", Id, ForeignKey("users.id"), nullable=False),
    Column("created_at", Millis, nullable=False),
    Column("last_used_at", Millis, nullable=False),
    Column("expires_at", Millis, nullable=False),
    Column("revoked_at", Millis, nullable=True),
    Column("revoked_why", Word, nullable=True),
    Column("address", String(64), nullable=False),
    Column("user_agent", String(256), nullable=False),
    Index("ix_sessions_user_id", "user_id", "created_at"),
    Index("ix_sessions_expires_at", "expires_at"),
    info={"guards": ("revoked_at",)},
)

# A used token is kept as long as its session: showing it again voids the family.
refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    # The keyed hash of the token, in hex.
    Column("id", Id, primary_key=True),
    Column("session_id", Id, ForeignKey("sessions.id"), nullable=False),
    Column("created_at", Millis, nullable=False),
    Column("used_at", Millis, nullable=True),
    Index("ix_refresh_tokens_session_id", "session_id"),
    info={"guards": ("used_at",)},
)

# Several processes count together here; one process counts in memory.
rate_limits = Table(
    "rate_limits",
    metadata,
    Column("id", String(200), primary_key=True),
    Column("window_started_at", Millis, nullable=False),
    Column("count", BigInteger, nullable=False),
)
