"""Restore: a checked backup into an empty place, proven by the audit, and put into quarantine.

Nothing can serve it before the quarantine is in it. A SQLite file gets its name last. A PostgreSQL
database gets its schema's revision, without which nothing starts, in the transaction that audits
it and begins the quarantine. What is killed in between is no node's database: empty it, begin
again.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import asyncpg
from sqlalchemy import Connection, case, func, insert, text, update

from tidegate import migrations
from tidegate.clock import Clock, Randomness
from tidegate.db.engine import Database, InlineExecutor, open_database
from tidegate.db.identity import read_node_id
from tidegate.db.inbox import inbox
from tidegate.db.quarantine import quarantines
from tidegate.db.url import DatabaseUrl
from tidegate.errors import BadInput
from tidegate.ledger.audit import AuditReport, audit
from tidegate.payments.tables import disputes, payments, refunds, webhook_endpoints
from tidegate.payouts.states import AttemptState
from tidegate.payouts.tables import attempts, payouts
from tidegate.recovery.manifest import Manifest, facts_of, place, read_manifest, sha256_of
from tidegate.recovery.postgresql import Programs, draft_beside
from tidegate.work.claim import end_leases
from tidegate.work.tables import periodic

__all__ = ["Restored", "Wanted", "restore"]

_WORK = (payouts, attempts, payments, refunds, disputes, webhook_endpoints, inbox, periodic)
_MAYBE_SENT = (AttemptState.PREPARED, AttemptState.SENDING, AttemptState.UNKNOWN)
_DAY_MS = 86_400_000
_UNSEALED_MS = 2**62  # how long ago a copy was sealed says nothing


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the settings say the copy has to be, and how far back the quarantine looks."""

    environment: str
    node_id: str | None
    days: int
    reason: str


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored, and how it was proven."""

    manifest: Manifest
    report: AuditReport


async def restore(
    backup: Path,
    target: DatabaseUrl | None,
    wanted: Wanted,
    clock: Clock,
    *,
    server: DatabaseUrl,
    programs: Programs,
) -> Restored:
    """Restore into ``target``; without one into a database that is thrown away (on the server of
    ``server``, for PostgreSQL). Raises ``BadInput`` before anything is written if the backup is
    not whole, is another node's, or the target is not empty."""
    manifest = read_manifest(backup)
    _is_wanted(manifest, wanted)
    url = target or server
    if manifest.dialect == "sqlite" and target is None:
        with tempfile.TemporaryDirectory(prefix="tidegate-verify-") as folder:
            return await _file(backup, Path(folder) / "copy.db", manifest, wanted, clock)
    if url.dialect != manifest.dialect:
        raise BadInput(
            f"The backup is of {manifest.dialect}, and {url.display} is not: name a target of the "
            "same kind with --into."
        )
    if manifest.dialect == "sqlite":
        return await _file(backup, Path(url.path), manifest, wanted, clock)
    if target is not None:
        return await _server(backup, target, manifest, wanted, clock, programs)
    async with _thrown_away(server) as scratch:
        return await _server(backup, scratch, manifest, wanted, clock, programs)


def _is_wanted(manifest: Manifest, wanted: Wanted) -> None:
    if wanted.node_id is not None and wanted.node_id != manifest.node_id:
        raise BadInput(
            f"The backup is of node {manifest.node_id}, and NODE_ID is {wanted.node_id}: take the "
            "backup of this node."
        )
    if wanted.environment != manifest.environment:
        raise BadInput(
            f"The backup is of a {manifest.environment} node, and TIDEGATE_ENV is "
            f"{wanted.environment}: its payouts' references would be others."
        )


async def _file(
    backup: Path, target: Path, manifest: Manifest, wanted: Wanted, clock: Clock
) -> Restored:
    left = [target.with_name(f"{target.name}{end}") for end in ("", "-wal", "-journal")]
    for path in left:
        if path.exists():
            raise BadInput(f"{path} exists: move it away, a restore never writes over anything.")
    draft = draft_beside(target)
    try:
        shutil.copyfile(backup, draft)
        draft.chmod(0o600)
        if sha256_of(draft) != manifest.sha256:
            raise BadInput(f"{backup} changed while it was read.")
        database = open_database(
            DatabaseUrl("sqlite", str(draft), path=str(draft)), clock, executor=_inline
        )
        try:
            restored = await _settle(database, manifest, wanted, clock)
        finally:
            await database.close()
        try:
            place(draft, target)
        except FileExistsError:
            raise BadInput(f"{target} exists by now: nothing was written over it.") from None
    finally:
        for end in ("", "-wal", "-shm"):
            draft.with_name(f"{draft.name}{end}").unlink(missing_ok=True)
    return restored


async def _server(
    backup: Path,
    target: DatabaseUrl,
    manifest: Manifest,
    wanted: Wanted,
    clock: Clock,
    programs: Programs,
) -> Restored:
    database = open_database(target, clock, pool_size=2)
    try:
        found, version = await database.read(_contents)
        if found:
            raise BadInput(
                f"{target.display} is not empty ({found} relations): restore into a new database."
            )
        arguments = ["--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges"]
        arguments += ["--no-password", f"--dbname={target.database}", str(backup)]
        await programs.run("pg_restore", arguments, target, version)
        return await _settle(database, manifest, wanted, clock)
    finally:
        await database.close()


def _contents(connection: Connection) -> tuple[int, int]:
    relations = connection.execute(
        text(
            "SELECT count(*) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace "
            "WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'"
        )
    ).scalar_one()
    version = connection.execute(text("SHOW server_version_num")).scalar_one()
    return int(relations), int(version) // 10_000


async def _settle(database: Database, manifest: Manifest, wanted: Wanted, clock: Clock) -> Restored:
    """One transaction: the schema, the proof, and the quarantine."""
    quarantine_id = Randomness(clock).new_id("qua")

    def run(connection: Connection) -> Restored:
        if connection.dialect.name == "postgresql":
            stamp = text("INSERT INTO alembic_version (version_num) VALUES (:revision)")
            connection.execute(stamp, {"revision": manifest.revision})
        else:
            _is_sound(connection)
        _is_described(connection, manifest)
        now_ms = clock.now_ms()
        migrations.upgrade_within(connection)
        report = audit(
            connection, expect=manifest.head, now_ms=now_ms, unsealed_after_ms=_UNSEALED_MS
        )
        if not report.ok:
            raise BadInput(
                f"The books of the backup are not in order ({len(report.findings)} findings, the "
                f"first: {report.findings[0].code} {report.findings[0].detail}): nothing was kept."
            )
        _distrust(connection, now_ms)
        since_ms = min(manifest.taken_ms, now_ms) - wanted.days * _DAY_MS
        connection.execute(
            insert(quarantines).values(
                id=quarantine_id,
                began_at=now_ms,
                reason=wanted.reason,
                since_at=since_ms,
                backup=asdict(manifest),
            )
        )
        return Restored(manifest, report)

    return await database.write(run)


def _is_sound(connection: Connection) -> None:
    said = [str(row[0]) for row in connection.execute(text("PRAGMA integrity_check(3)"))]
    if said != ["ok"]:
        raise BadInput(f"The file of the backup is damaged: {'; '.join(said)}.")


def _is_described(connection: Connection, manifest: Manifest) -> None:
    """The contents are those that the manifest names."""
    facts = facts_of(connection)
    for name in ("node_id", "revision", "head_block", "head", "counts"):
        if facts[name] != getattr(manifest, name):
            raise BadInput(
                f"The manifest is another backup's: {name} is {facts[name]} in the copy and "
                f"{getattr(manifest, name)} in the manifest."
            )
    assert read_node_id(connection) == manifest.node_id  # by the loop


def _distrust(connection: Connection, now_ms: int) -> None:
    """What the copy proves is old: what had not left then may have left since, and whatever was
    to be said may have been said (a turn whose end is not known asks first)."""
    end_leases(connection, _WORK, now_ms)
    for table in _WORK:
        tries = case((table.c.tries < 1, 1), else_=table.c.tries)
        connection.execute(update(table).where(table.c.due_at.is_not(None)).values(tries=tries))
    sending = AttemptState.SENDING.value
    state = case((attempts.c.state == AttemptState.PREPARED, sending), else_=attempts.c.state)
    connection.execute(
        update(attempts)
        .where(attempts.c.state.in_(_MAYBE_SENT))
        .values(
            state=state,
            maybe_sent=True,
            sends=case((attempts.c.sends < 1, 1), else_=attempts.c.sends),
            sent_at=now_ms,
            not_found=0,
            kind=func.concat("confirm:", attempts.c.psp)
            if connection.dialect.name == "postgresql"
            else text("'confirm:' || psp"),
            due_at=now_ms,
        )
    )


def _inline(_name: str) -> InlineExecutor:
    return InlineExecutor()


@asynccontextmanager
async def _thrown_away(server: DatabaseUrl) -> AsyncIterator[DatabaseUrl]:
    """A new database on the server, gone afterwards."""
    name = f"tidegate_verify_{secrets.token_hex(8)}"
    connection = await asyncpg.connect(**server.asyncpg_args)
    try:
        try:
            await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
        except asyncpg.InsufficientPrivilegeError:
            raise BadInput(
                "The role of DATABASE_URL may not create a database to verify in: make an empty "
                "one and name it with --into."
            ) from None
        try:
            yield replace(server, database=name, display=f"{name} (thrown away)")
        finally:
            await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    finally:
        await connection.close()
