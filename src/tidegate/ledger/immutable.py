"""What the ledger needs of a database beyond its tables: a counter, and triggers (C1)."""

from __future__ import annotations

from tidegate.db.immutable import append_only_ddl, drop_append_only_ddl
from tidegate.ledger.book import ENTRY_COUNTER
from tidegate.ledger.tables import immutable_tables

__all__ = ["create_ddl", "drop_ddl"]


def create_ddl(dialect: str) -> list[str]:
    """Statements to execute once the ledger's tables are there."""
    # SQLite has one writer, whose next id is one more than the last.
    counter = [f"CREATE SEQUENCE {ENTRY_COUNTER} AS bigint"] if dialect == "postgresql" else []
    return counter + append_only_ddl(dialect, immutable_tables)


def drop_ddl(dialect: str) -> list[str]:
    """Statements to execute before the ledger's tables are dropped."""
    counter = [f"DROP SEQUENCE {ENTRY_COUNTER}"] if dialect == "postgresql" else []
    return drop_append_only_ddl(dialect, immutable_tables) + counter
