"""Up and down, in steps that each leave a whole schema, its revision and its record.

An empty database gets everything in one transaction, as nobody serves on it. Later each migration
is a transaction of its own, so that none holds the locks of another; and what is to be done beside
a node that writes (``concurrently``, on PostgreSQL) is done without one. Whatever dies is taken up
by running it again.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import structlog
from alembic import command
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, event, select, text
from sqlalchemy.exc import DBAPIError

from tidegate.db.data_keys import known_keys
from tidegate.db.engine import Database
from tidegate.db.identity import write_node_id
from tidegate.errors import ConfigurationError, Unavailable
from tidegate.migrations.compatibility import (
    Fit,
    Schema,
    fit,
    others_that_run,
    our_code,
    read_schema,
    sentence,
    write_record,
)
from tidegate.migrations.revisions import Chain, Migration, chain, config
from tidegate.payouts.tables import payouts

__all__ = ["downgrade", "upgrade", "upgrade_within"]

log = structlog.get_logger()

# Any fixed number: two processes that migrate at once wait for each other.
_LOCK = 7_391_402_217
_LOCK_WAIT_MS = 2_000
# PostgreSQL: no lock in time; a deadlock with the node's work, which is tried again too.
_LET_GO = frozenset({"55P03", "40P01"})
# The revision that knows of encrypted values.
_ENCRYPTS = "0005"
_TRIES = 30
_PAUSE_S = 1.0
_CONCURRENTLY = re.compile(r"((?:CREATE|DROP)(?: UNIQUE)? INDEX) CONCURRENTLY")

T = TypeVar("T")


class _Busy(Exception):
    """Somebody else migrates."""


@dataclass(frozen=True, slots=True)
class _Advanced:
    """What one transaction has done. ``aside``: this one is next, and wants none."""

    node_id: str
    aside: Migration | None = None
    done: bool = True


async def upgrade(database: Database, *, node_id: str | None = None, to: str = "head") -> str:
    """Bring the database to revision ``to``; make the node's identity at the first migration.

    Returns the node's identity. A schema that is newer than this code stays as it is if the code
    runs on it. Raises ``ConfigurationError`` if not, when processes are connected that would not
    run on the result, or when ``node_id`` is another identity than that of the payouts in the
    database.
    """
    target = chain().find(to)
    while True:
        step = await _patiently(lambda: database.write(partial(_advance, target, node_id)))
        if step.aside is not None:
            await _patiently(partial(_aside, database, step.aside))
        elif step.done:
            return step.node_id


def upgrade_within(connection: Connection) -> None:
    """Bring a copy that nobody serves to the head, in the caller's transaction, which does more.

    Raises ``ConfigurationError`` if its schema is newer and this code does not run on it.
    """
    try:
        _lock(connection)
    except _Busy:
        raise Unavailable("Another process migrates this database: wait for its end.") from None
    known, schema = chain(), read_schema(connection)
    if not _is_newer(schema):
        _run(connection, known.head, schema)


async def downgrade(database: Database, to: str) -> None:
    """Take the database back to revision ``to`` (``base``: an empty database).

    Raises ``ConfigurationError`` when this code does not know the database's revision, when that
    is below ``to``, or when processes are connected that would not run on the result.
    """
    known = chain()
    target = None if to == "base" else known.find(to)

    def run(connection: Connection) -> None:
        _lock(connection)
        schema = read_schema(connection)
        if schema.revision is not None and schema.revision not in known.revisions:
            raise ConfigurationError([f"The database {sentence(schema, our_code())}"])
        if target is not None and known.after(schema.revision, target):
            raise ConfigurationError(
                [
                    f"The schema is {schema.revision or 'empty'}, which is below {target}: up goes "
                    "`tidegate migrate --to`."
                ]
            )
        _nobody_is_stranded(connection, known, target)
        _refuse_encrypted(connection, known, schema, target)
        with _plainly(connection):
            command.downgrade(config(connection), to)
        write_record(connection, known, target)
        _nobody_is_stranded(connection, known, target)

    await _patiently(lambda: database.write(run))


def _refuse_encrypted(
    connection: Connection, known: Chain, schema: Schema, target: str | None
) -> None:
    """The version below the list of keys takes what is encrypted for plain."""
    left = {one.revision for one in known.up_to(schema.revision)[len(known.up_to(target)) :]}
    if _ENCRYPTS in left and known_keys(connection):
        raise ConfigurationError(
            [
                "DATA_KEY: values are encrypted, and the version below cannot read them. Remove "
                "DATA_KEY, set DATA_KEY_PREVIOUS to it, run `tidegate data rekey`, then go down."
            ]
        )


def _advance(target: str, node_id: str | None, connection: Connection) -> _Advanced:
    """The next step that is a transaction; or which one is next that is none."""
    _lock(connection)
    known, schema = chain(), read_schema(connection)
    if schema.revision is None:
        _run(connection, target, schema)
        return _Advanced(_identify(connection, node_id))
    identity = _identify(connection, node_id)
    if _is_newer(schema):
        return _Advanced(identity)
    pending = known.after(schema.revision, target)
    if not pending:
        # Written by a version that kept no record, perhaps.
        write_record(connection, known, schema.revision)
        return _Advanced(identity)
    if pending[0].concurrently and connection.dialect.name == "postgresql":
        return _Advanced(identity, aside=pending[0])
    _nobody_is_stranded(connection, known, pending[0].revision)
    _run(connection, pending[0].revision, schema)
    # Whoever has come meanwhile has read the record that is still in force.
    _nobody_is_stranded(connection, known, pending[0].revision)
    return _Advanced(identity, done=len(pending) == 1)


def _identify(connection: Connection, node_id: str | None) -> str:
    has_payouts = connection.execute(select(payouts.c.id).limit(1)).first()
    return write_node_id(connection, node_id, fixed=has_payouts is not None)


def _run(connection: Connection, target: str, schema: Schema) -> None:
    """Revision and record, in the transaction of ``connection``."""
    known = chain()
    with _plainly(connection):
        if known.after(schema.revision, target):
            command.upgrade(config(connection), target)
    write_record(connection, known, read_schema(connection).revision)


async def _aside(database: Database, migration: Migration) -> None:
    """Build or drop indexes while others write, then note the revision and the record.

    The transaction that notes it is open meanwhile, with the lock that keeps other migrations
    away; it holds nothing else, and nobody waits for it.
    """

    def before(connection: Connection) -> None:
        _lock(connection)
        known = chain()
        if known.after(read_schema(connection).revision, migration.revision) != (migration,):
            raise _Busy  # somebody else was quicker
        _nobody_is_stranded(connection, known, migration.revision)
        # Idle for as long as an index takes. It has to be the last statement: the answer of a
        # SELECT would keep its snapshot open, and the index waits for every older snapshot.
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))

    def beside(connection: Connection) -> None:
        for name in _invalid(connection, migration.concurrently):
            # Left behind by one that died: it is written to by all and read by nobody.
            log.warning("migration.index_begun_again", index=name)
            connection.execute(text(f'DROP INDEX CONCURRENTLY IF EXISTS "{name}"'))
        with Operations.context(MigrationContext.configure(connection)):
            migration.upgrade()
        if left := _invalid(connection, migration.concurrently):
            raise Unavailable(f"{', '.join(left)} came out invalid: run the migration again.")

    def after(connection: Connection) -> None:
        scripts = ScriptDirectory.from_config(config())
        MigrationContext.configure(connection).stamp(scripts, migration.revision)
        write_record(connection, chain(), migration.revision)
        _nobody_is_stranded(connection, chain(), migration.revision)

    try:
        await database.write_around(before, beside, after)
    except _Busy:
        await asyncio.sleep(_PAUSE_S)


def _invalid(connection: Connection, names: Sequence[str]) -> list[str]:
    query = text(
        "SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid "
        "WHERE NOT indisvalid AND relname = ANY(:names) AND pg_table_is_visible(pg_class.oid)"
    )
    return list(connection.execute(query, {"names": list(names)}).scalars())


def _is_newer(schema: Schema) -> bool:
    """Newer than this code, which runs on it all the same. Raises ``ConfigurationError``."""
    code = our_code()
    if schema.revision is None or schema.revision in code.revisions:
        return False
    if fit(schema, code) is not Fit.OK:
        raise ConfigurationError([f"The database {sentence(schema, code)}"])
    return True


def _nobody_is_stranded(connection: Connection, known: Chain, target: str | None) -> None:
    """No process is connected that would not run on the schema of ``target``."""
    oldest_code = None if target is None else known.oldest_code(target)
    result = Schema(target, oldest_code)
    codes = {one.revision for one in others_that_run(connection) if fit(result, one) is not Fit.OK}
    if codes:
        raise ConfigurationError(
            [
                f"Processes of another version are at work (code {', '.join(sorted(codes))}) that "
                f"do not run on schema {target or 'base'}: replace or stop them first, then run it "
                "again. Nothing was changed by this step."
            ]
        )


async def _patiently(run: Callable[[], Awaitable[T]]) -> T:
    """Run it; where a table's lock is not to be had at once, let go of everything and try again.

    Who waits for a lock stands before everybody that comes later: a migration that waits behind
    one long transaction would stop the whole node with it.
    """
    left = _TRIES
    while True:
        try:
            return await run()
        except _Busy:
            log.info("migration.waits", because="another process migrates")
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) not in _LET_GO:
                raise
            left -= 1
            if not left:
                raise Unavailable(
                    "The migration gets no lock on a table: some transaction holds it all the "
                    "while (look in pg_stat_activity). Nothing was changed by this step; run it "
                    "again."
                ) from None
        await asyncio.sleep(_PAUSE_S)


def _lock(connection: Connection) -> None:
    """One migrates at a time; for tables nobody waits long.

    Asked for, not waited for: an index that is built aside waits for whoever waits in a statement.
    """
    if connection.dialect.name == "postgresql":
        query = text("SELECT pg_try_advisory_xact_lock(:key)")
        if not connection.execute(query, {"key": _LOCK}).scalar_one():
            raise _Busy
        connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_WAIT_MS}ms'"))


@contextmanager
def _plainly(connection: Connection) -> Iterator[None]:
    """Indexes are built within the transaction, where nobody serves on the tables."""

    def plain(
        _connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool
    ) -> tuple[str, Any]:
        return _CONCURRENTLY.sub(r"\1", statement), parameters

    event.listen(connection, "before_cursor_execute", plain, retval=True)
    try:
        yield
    finally:
        event.remove(connection, "before_cursor_execute", plain)
