"""Naming, column types and the columns of a row that can be due.

Instants are Unix milliseconds (``Millis``), money is integer minor units (``Minor``); both are
64-bit integers on both databases, so nothing is ever rounded on the way in or out.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    false,
)
from sqlalchemy.dialects.postgresql import JSONB

__all__ = [
    "Account",
    "Id",
    "Json",
    "LongText",
    "Millis",
    "Minor",
    "Number",
    "Word",
    "metadata",
    "work_columns",
    "work_index",
]

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Id = String(64)
Word = String(64)
LongText = Text()
# An account's number; encrypted it is longer. SQLite does not measure, and does not change types.
Account = Text().with_variant(String(64), "sqlite")
Millis = BigInteger()
Minor = BigInteger()
# SQLite numbers rows by itself only in a column that is spelled INTEGER.
Number = BigInteger().with_variant(Integer(), "sqlite")
# Nothing is NULL, not the JSON text "null": a column has one way to be empty.
Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def work_columns() -> tuple[Column[Any], ...]:
    """The columns that make a row part of the queue (DESIGN 3).

    ``kind`` says what is to be done, ``due_at`` when (``NULL``: nothing), ``leased_until`` until
    when somebody is at it, ``fence`` counts the leases, ``tries`` the leases since the last
    success; ``woken`` says that somebody else set ``kind`` and ``due_at`` during the lease.
    """
    return (
        Column("kind", Word, nullable=True),
        Column("due_at", Millis, nullable=True),
        Column("leased_until", Millis, nullable=True),
        Column("fence", BigInteger(), nullable=False, default=0, server_default="0"),
        Column("tries", BigInteger(), nullable=False, default=0, server_default="0"),
        Column("woken", Boolean(), nullable=False, default=False, server_default=false()),
    )


def work_index(table: Table) -> Index:
    """The partial index that a claim reads: finished rows are not in it."""
    return Index(
        f"ix_{table.name}_due",
        table.c.kind,
        table.c.due_at,
        sqlite_where=table.c.due_at.is_not(None),
        postgresql_where=table.c.due_at.is_not(None),
    )
