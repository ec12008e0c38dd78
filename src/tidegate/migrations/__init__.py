"""Alembic, run over our own connections: upgrade, downgrade, and is the database current?

Every table module is imported here, so that ``metadata`` is whole and a test can compare the
models with what the migrations made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, select, text
from sqlalchemy.exc import DBAPIError

from tidegate.cases import switches as _switches
from tidegate.cases import tables as _cases
from tidegate.db import data_keys, exchanges, idempotency, identity, inbox, quarantine
from tidegate.db.base import metadata
from tidegate.db.engine import Database
from tidegate.db.identity import write_node_id
from tidegate.errors import ConfigurationError, Unavailable
from tidegate.ledger import tables as _ledger
from tidegate.payments import tables as _payments
from tidegate.payouts import tables as _payouts
from tidegate.users import tables as _users
from tidegate.work import tables as _work

__all__ = ["current", "downgrade", "head", "is_current", "metadata", "upgrade", "upgrade_within"]

_TABLES = (
    _cases,
    _ledger,
    _payments,
    _payouts,
    _switches,
    _users,
    _work,
    data_keys,
    exchanges,
    idempotency,
    identity,
    inbox,
    quarantine,
)
# Any fixed number: two processes that migrate at once wait for each other.
_LOCK = 7_391_402_217
_LOCK_WAIT_MS = 2_000
_NO_LOCK = "55P03"
_TRIES = 30
_PAUSE_S = 1.0
# The revision that knows of encrypted values.
_ENCRYPTS = "0005"

T = TypeVar("T")


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    if connection is not None:
        config.attributes["connection"] = connection
    return config


def head() -> str:
    """The newest revision that this code knows."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None  # there is always a first migration
    return revision


def current(connection: Connection) -> str | None:
    """The revision of the database; ``None`` before the first migration."""
    return MigrationContext.configure(connection).get_current_revision()


async def is_current(database: Database) -> bool:
    """Does the database have exactly the schema of this code?"""
    return await database.read(current) == head()


async def upgrade(database: Database, *, node_id: str | None = None, to: str = "head") -> str:
    """Bring the database to revision ``to``; make the node's identity at the first migration.

    Returns the node's identity (empty below the first migration). Raises ``ConfigurationError``
    when ``node_id`` is another identity than that of the payouts in the database.
    """

    def run(connection: Connection) -> str:
        _lock(connection)
        command.upgrade(_config(connection), to)
        if current(connection) is None:
            return ""
        has_payouts = connection.execute(select(_payouts.payouts.c.id).limit(1)).first()
        return write_node_id(connection, node_id, fixed=has_payouts is not None)

    return await _patiently(database, run)


def upgrade_within(connection: Connection) -> None:
    """Bring the database to the head in the caller's own transaction, which does more."""
    _lock(connection)
    command.upgrade(_config(connection), "head")


async def downgrade(database: Database, to: str) -> None:
    """Take the database back to revision ``to`` (``base``: an empty database)."""

    def run(connection: Connection) -> None:
        _lock(connection)
        _refuse_encrypted(connection, to)
        command.downgrade(_config(connection), to)

    await _patiently(database, run)


def _refuse_encrypted(connection: Connection, to: str) -> None:
    """The version below the list of keys takes what is encrypted for plain."""
    scripts, now = ScriptDirectory.from_config(_config()), current(connection)
    passed = {each.revision for each in scripts.iterate_revisions(now, to)} if now else set()
    if _ENCRYPTS in passed and data_keys.known_keys(connection):
        raise ConfigurationError(
            [
                "DATA_KEY: values are encrypted, and the version below cannot read them. Remove "
                "DATA_KEY, set DATA_KEY_PREVIOUS to it, run `tidegate data rekey`, then go down."
            ]
        )


async def _patiently(database: Database, run: Callable[[Connection], T]) -> T:
    """Run it; where a table's lock is not to be had at once, let go of everything and try again.

    Who waits for a lock stands before everybody that comes later: a migration that waits behind
    one long transaction would stop the whole node with it.
    """
    for left in reversed(range(_TRIES)):
        try:
            return await database.write(run)
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != _NO_LOCK:
                raise
            if not left:
                raise Unavailable(
                    "The migration gets no lock on a table: some transaction holds it all the "
                    "while (look in pg_stat_activity). Nothing was changed; run it again."
                ) from None
            await asyncio.sleep(_PAUSE_S)
    raise AssertionError("unreachable: the last try returns or raises")


def _lock(connection: Connection) -> None:
    """Two that migrate at once wait for each other; for tables nobody waits long."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_WAIT_MS}ms'"))
