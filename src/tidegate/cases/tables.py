"""Cases, and the operators' log, which only grows."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, Integer, String, Table

from tidegate.db.base import Json, LongText, Millis, Number, Word, metadata
from tidegate.db.immutable import append_only_ddl, drop_append_only_ddl

__all__ = ["cases", "create_ddl", "drop_ddl", "operator_actions"]

cases = Table(
    "cases",
    metadata,
    Column("id", Number, primary_key=True),
    Column("kind", Word, nullable=False),
    # The row that it is about, or what else tells two cases of a kind apart.
    Column("subject", String(160), nullable=False),
    Column("state", String(8), nullable=False),
    Column("severity", String(8), nullable=False),
    # A sentence for a person: what is the matter, and what to look at.
    Column("reason", LongText, nullable=False),
    Column("owner", Word, nullable=True),
    Column("data", Json, nullable=False),
    Column("opened_at", Millis, nullable=False),
    Column("last_seen_at", Millis, nullable=False),
    Column("times", Integer, nullable=False),
    Column("closed_at", Millis, nullable=True),
    Column("closed_by", Word, nullable=True),
    Column("closing_note", LongText, nullable=True),
    CheckConstraint("state IN ('open', 'closed')", name="state"),
    CheckConstraint("severity IN ('low', 'medium', 'high')", name="severity"),
    Index("ix_cases_opened_at", "opened_at"),
)

# The same trouble twice is one case that is seen again.
Index(
    "uq_cases_open",
    cases.c.subject,
    cases.c.kind,
    unique=True,
    sqlite_where=cases.c.state == "open",
    postgresql_where=cases.c.state == "open",
)

operator_actions = Table(
    "operator_actions",
    metadata,
    Column("id", Number, primary_key=True),
    Column("at", Millis, nullable=False),
    Column("actor", Word, nullable=False),
    # Where it was done: cli, console, api.
    Column("origin", Word, nullable=False),
    Column("action", Word, nullable=False),
    Column("subject", String(160), nullable=False),
    Column("reason", LongText, nullable=False),
    Column("before", Json, nullable=True),
    Column("after", Json, nullable=True),
    Index("ix_operator_actions_subject", "subject"),
    Index("ix_operator_actions_at", "at"),
)


def create_ddl(dialect: str) -> list[str]:
    """Statements to execute once the tables are there."""
    return append_only_ddl(dialect, [operator_actions])


def drop_ddl(dialect: str) -> list[str]:
    """Statements to execute before the tables are dropped."""
    return drop_append_only_ddl(dialect, [operator_actions])
