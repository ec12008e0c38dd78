"""Accounts, entries, legs, blocks.

Entries, legs, blocks and membership refuse UPDATE and DELETE (``ledger.immutable``).
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    UniqueConstraint,
)

from tidegate.db.base import Id, Millis, Minor, Number, Word, metadata

__all__ = ["accounts", "block_entries", "blocks", "entries", "immutable_tables", "legs"]

accounts = Table(
    "accounts",
    metadata,
    Column("id", Number, primary_key=True),
    Column("path", String(128), nullable=False, unique=True),
    Column("currency", String(16), nullable=False),
    Column("grows_by", String(1), nullable=False),
    Column("floor", Boolean, nullable=False),
    Column("balance", Minor, nullable=False, default=0),
    # How many legs the account has: the number of its last one.
    Column("legs", BigInteger, nullable=False, default=0),
    # The belt to the book's braces: no transaction can commit a broken floor.
    CheckConstraint("NOT floor OR balance >= 0", name="floor"),
)

entries = Table(
    "entries",
    metadata,
    # Taken from a counter after the accounts are locked: in the order of commit per account.
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("reference", String(160), nullable=False, unique=True),
    Column("kind", Word, nullable=False),
    Column("subject", Id, nullable=False),
    Column("recorded_at", Millis, nullable=False),
    Index("ix_entries_subject", "subject"),
)

legs = Table(
    "legs",
    metadata,
    Column("entry_id", BigInteger, ForeignKey("entries.id"), primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("account_id", BigInteger, ForeignKey("accounts.id"), nullable=False),
    Column("side", String(1), nullable=False),
    Column("amount", Minor, nullable=False),
    # The account's number of this leg and its balance after it.
    Column("number", BigInteger, nullable=False),
    Column("balance_after", Minor, nullable=False),
    UniqueConstraint("account_id", "number"),
    CheckConstraint("amount > 0", name="positive"),
    CheckConstraint("side IN ('D', 'C')", name="side"),
)

blocks = Table(
    "blocks",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("count", Integer, nullable=False),
    Column("sealed_at", Millis, nullable=False),
)

block_entries = Table(
    "block_entries",
    metadata,
    Column("entry_id", BigInteger, ForeignKey("entries.id"), primary_key=True, autoincrement=False),
    Column("block_id", BigInteger, ForeignKey("blocks.id"), nullable=False),
    Index("ix_block_entries_block_id", "block_id"),
)

immutable_tables = (entries, legs, blocks, block_entries)
