"""What the tests of the ledger write, and how they read it."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

from sqlalchemy import Connection, text

from tests.support.store import Store
from tidegate.db.committer import Unit
from tidegate.ledger import immutable
from tidegate.ledger.audit import AuditReport, audit
from tidegate.ledger.book import Record
from tidegate.ledger.entry import Entry, transfer
from tidegate.ledger.seal import Block, Seal
from tidegate.ledger.statements import balances

__all__ = [
    "AVAILABLE",
    "OPENING",
    "OWED",
    "RESERVED",
    "audited",
    "kept_balances",
    "opened",
    "record",
    "reserved",
    "seal",
    "tamper",
]

AVAILABLE = "psp:lenco:available:NGN"
RESERVED = "psp:lenco:reserved:NGN"
OPENING = "float:opening:NGN"
OWED = "aggregator:owed:NGN"


def opened(reference: str, amount: int) -> Entry:
    """Money comes."""
    return transfer(reference, "float.opened", "reading", (AVAILABLE, OPENING, amount))


def reserved(reference: str, amount: int) -> Entry:
    """Money is promised: refused when there is not enough."""
    return transfer(reference, "payout.reserved", "payout", (RESERVED, AVAILABLE, amount))


async def record(store: Store, *entries: Entry) -> list[Any]:
    """Record each entry in a unit of its own, in one group; what was refused is in the answer."""
    units = (store.committer.commit(Unit([Record(entry)])) for entry in entries)
    return list(await asyncio.gather(*units, return_exceptions=True))


async def seal(store: Store, limit: int = 1_000) -> Block | None:
    """Seal once."""
    (block,) = await store.commit(Seal(limit))
    assert block is None or isinstance(block, Block)
    return block


async def kept_balances(store: Store) -> dict[str, int]:
    """All balances by path."""
    return {line.path: line.balance for line in await store.database.read(balances)}


async def audited(
    store: Store, *, expect: str | None = None, unsealed_after_ms: int = 60_000, now_ms: int = 0
) -> AuditReport:
    """The audit's report; by default no entry is too old."""

    return await store.database.read(
        lambda connection: audit(
            connection, expect=expect, now_ms=now_ms, unsealed_after_ms=unsealed_after_ms
        )
    )


async def tamper(store: Store, *statements: str) -> AuditReport:
    """Edit as somebody who owns the database can, then audit."""

    if store.dialect == "sqlite":
        # A connection without our settings: foreign keys and constraints are off.
        link = sqlite3.connect(store.url.removeprefix("sqlite:///"), isolation_level=None)
        for statement in (
            *immutable.drop_ddl("sqlite"),
            "PRAGMA ignore_check_constraints = ON",
            *statements,
        ):
            link.execute(statement)
        link.close()
    else:

        def work(connection: Connection) -> None:
            for statement in immutable.drop_ddl("postgresql"):
                if "SEQUENCE" not in statement:
                    connection.execute(text(statement))
            connection.execute(text("SET LOCAL session_replication_role = replica"))
            connection.execute(text("ALTER TABLE accounts DROP CONSTRAINT ck_accounts_floor"))
            for statement in statements:
                connection.execute(text(statement))

        await store.database.write(work)
    return await audited(store)
