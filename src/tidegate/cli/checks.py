"""What ``doctor`` finds out without asking another company: database, books, worker, cases."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, func, select, text

from tidegate import migrations
from tidegate.cases.readings import open_cases
from tidegate.cli.ledger import UNSEALED_TOO_LONG_MS
from tidegate.cli.output import duration
from tidegate.cli.schema import UNUSABLE, away, inline, missing_file
from tidegate.clock import SystemClock
from tidegate.db.cipher import cipher_of as cipher_of_connection
from tidegate.db.data_keys import known_keys, missing_keys
from tidegate.db.engine import Database, open_database
from tidegate.db.identity import read_node_id
from tidegate.db.quarantine import is_quarantined
from tidegate.ledger.audit import audit
from tidegate.ledger.statements import trial_balance
from tidegate.ledger.tables import entries
from tidegate.retention.rekeying import PLAIN, read_key_use
from tidegate.settings import Settings
from tidegate.settings.rules import cipher_of
from tidegate.work.tables import periodic

__all__ = ["Check", "Found", "Verdict", "check_address", "check_database", "serving"]

# Up to here the whole book is audited; a longer one takes longer than a person waits.
_AUDITED_MAX: Final = 50_000
_HEARTBEAT_MS: Final = 60_000
_CLOCK_WARN_MS: Final = 1_000
_CLOCK_FAIL_MS: Final = 60_000


class Verdict(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """``next`` is what to do about it; empty when nothing is."""

    name: str
    verdict: Verdict
    detail: str
    next: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """The checks, and what later ones build on: the periodic rows by id; empty if unknown."""

    checks: tuple[Check, ...]
    usable: bool
    chores: dict[str, dict[str, Any]]


def check_address(settings: Settings) -> Check:
    """How others reach the node, and what to register at the PSP."""
    public = settings.server.public_url
    if public is None:
        return Check(
            "address",
            Verdict.WARN,
            "PUBLIC_URL is not set, so nobody can be told where the node is.",
            "Set PUBLIC_URL; then register <PUBLIC_URL>/webhooks/psp at the PSP.",
        )
    if "400" in public:
        return Check(
            "address",
            Verdict.FAIL,
            "PUBLIC_URL contains 400, which the aggregator mistakes for an error code.",
            "Choose another host name or port.",
        )
    return Check(
        "address",
        Verdict.OK,
        f"{public}; the PSP's webhook address is {public}/webhooks/psp.",
    )


async def check_database(settings: Settings) -> Found:
    """Reachable, migrated, sound; its clock, the worker's pulse, the books, open cases."""
    url = settings.database.url
    if (fault := missing_file(url)) is not None:
        return _unusable(fault, "Run `tidegate migrate`.")
    clock = SystemClock()
    cipher = cipher_of(settings)
    database = open_database(url, clock, executor=inline, pool_size=2, cipher=cipher)
    try:
        if why := await database.read(migrations.misfit):
            fault, _, next_ = f"{url.display} {why}".partition(": ")
            return _unusable(f"{fault}.", f"{next_[0].upper()}{next_[1:]}")
        note = await database.read(migrations.note)
        ahead_ms = await _clock_ahead_ms(database, clock)
        found = await database.read(lambda c: _look(c, clock.now_ms()))
    except UNUSABLE as error:
        if (fault := away(url, error)) is None:
            raise
        return _unusable(fault, "Start it, or correct DATABASE_URL.")
    finally:
        await database.close()
    notes = " ".join((note, *url.notes))
    reached = Check("database", Verdict.OK, f"{url.display}, {notes}")
    checks = (reached, _clock_check(ahead_ms, url.dialect), *found[0])
    return Found(checks, usable=True, chores=found[1])


def serving(chores: dict[str, dict[str, Any]], now_ms: int) -> bool:
    """Has a worker written its heartbeat lately?"""
    beat = chores.get("heartbeat", {}).get("last_done_at")
    return beat is not None and beat > now_ms - _HEARTBEAT_MS


def _unusable(detail: str, next_: str) -> Found:
    return Found((Check("database", Verdict.FAIL, detail, next_),), usable=False, chores={})


async def _clock_ahead_ms(database: Database, clock: SystemClock) -> int:
    before = clock.now_ms()
    theirs = await database.read(database.now_ms)
    return (before + clock.now_ms()) // 2 - theirs


def _clock_check(ahead_ms: int, dialect: str) -> Check:
    if dialect == "sqlite":
        return Check("database clock", Verdict.OK, "The database has no clock of its own.")
    side = "ahead of" if ahead_ms > 0 else "behind"
    detail = f"Ours is {duration(ahead_ms)} {side} the database's."
    if abs(ahead_ms) >= _CLOCK_FAIL_MS:
        return Check(
            "database clock", Verdict.FAIL, detail, "Set both clocks by a time server (NTP)."
        )
    if abs(ahead_ms) >= _CLOCK_WARN_MS:
        return Check(
            "database clock", Verdict.WARN, detail, "See that both clocks follow a time server."
        )
    return Check("database clock", Verdict.OK, detail)


def _look(
    connection: Connection, now_ms: int
) -> tuple[tuple[Check, ...], dict[str, dict[str, Any]]]:
    rows = connection.execute(select(periodic)).mappings()
    chores = {row["id"]: dict(row) for row in rows}
    checks = (
        Check("identity", Verdict.OK, f"Node {read_node_id(connection)}."),
        _file_check(connection),
        _ledger_check(connection, chores, now_ms),
        _worker_check(chores, now_ms),
        _cases_check(connection),
        _keys_check(connection),
        *_quarantine_check(connection),
    )
    return checks, chores


def _file_check(connection: Connection) -> Check:
    """SQLite can tell whether its file is sound; a server looks after its own."""
    if connection.dialect.name != "sqlite":
        version = connection.execute(text("SHOW server_version")).scalar_one()
        return Check("storage", Verdict.OK, f"PostgreSQL {version}.")
    said = [str(row[0]) for row in connection.execute(text("PRAGMA quick_check(3)"))]
    path = Path(str(connection.engine.url.database))
    if said == ["ok"]:
        size_mib = path.stat().st_size / 2**20
        return Check("storage", Verdict.OK, f"The file is sound ({size_mib:.1f} MiB).")
    return Check(
        "storage",
        Verdict.FAIL,
        f"The file is damaged: {'; '.join(said)}.",
        "Stop the node, keep a copy of the file, and restore from a backup.",
    )


def _ledger_check(connection: Connection, chores: dict[str, dict[str, Any]], now_ms: int) -> Check:
    count = connection.execute(select(func.count()).select_from(entries)).scalar_one()
    next_ = "Run `tidegate ledger audit`; take no orders until it is explained."
    if count <= _AUDITED_MAX:
        report = audit(
            connection, expect=None, now_ms=now_ms, unsealed_after_ms=UNSEALED_TOO_LONG_MS
        )
        late = [finding for finding in report.findings if finding.code == "entry.unsealed"]
        if len(report.findings) > len(late):
            return Check("ledger", Verdict.FAIL, f"{len(report.findings)} findings.", next_)
        if late:
            return Check(
                "ledger",
                Verdict.WARN,
                "The books balance, but entries wait too long to be sealed.",
                "Entries are sealed by `tidegate serve`: see that it runs.",
            )
        return Check("ledger", Verdict.OK, f"{count} entries audited, all in order.")
    last = chores.get("audit", {})
    if not trial_balance(connection).balanced:
        return Check("ledger", Verdict.FAIL, "Debits and credits differ.", next_)
    if (last.get("result") or {}).get("findings"):
        return Check("ledger", Verdict.FAIL, "The last audit found something.", next_)
    when = last.get("last_done_at")
    if when is None:
        return Check(
            "ledger",
            Verdict.WARN,
            "Debits equal credits; there was no whole audit yet.",
            "Run `tidegate ledger audit`.",
        )
    return Check(
        "ledger",
        Verdict.OK,
        f"Debits equal credits; the whole audit {duration(now_ms - when)} ago found nothing.",
    )


def _worker_check(chores: dict[str, dict[str, Any]], now_ms: int) -> Check:
    if serving(chores, now_ms):
        return Check("worker", Verdict.OK, "A process does the work.")
    beat = chores.get("heartbeat", {}).get("last_done_at")
    seen = "never" if beat is None else f"last {duration(now_ms - beat)} ago"
    return Check(
        "worker", Verdict.WARN, f"No process does the work (seen {seen}).", "Run `tidegate serve`."
    )


def _keys_check(connection: Connection) -> Check:
    """Under which keys recipients' data is; counted only where there is a key at all."""
    cipher, name = cipher_of_connection(connection), "data keys"
    if missing := missing_keys(connection, cipher):
        return Check(
            name,
            Verdict.FAIL,
            f"Data is encrypted under {', '.join(missing)}, which the settings do not give.",
            "Set DATA_KEY or DATA_KEY_PREVIOUS to that key; no process starts without it.",
        )
    if not cipher.ids and not known_keys(connection):
        return Check(name, Verdict.OK, "Recipients' data is not encrypted by us (no DATA_KEY).")
    use = read_key_use(connection)
    current = cipher.current_id or PLAIN
    counted = ", ".join(f"{use[key]} {f'under {key}' if key else 'plain'}" for key in sorted(use))
    if all(key == current for key in use):
        return Check(name, Verdict.OK, f"Values: {counted or 'none yet'}.")
    return Check(
        name,
        Verdict.WARN,
        f"Values: {counted}; the current key is {cipher.current_id or 'none'}.",
        "Restart every process with the current key, then run `tidegate data rekey`.",
    )


def _quarantine_check(connection: Connection) -> tuple[Check, ...]:
    if not is_quarantined(connection):
        return ()
    return (
        Check(
            "quarantine",
            Verdict.WARN,
            "The database was restored from a backup: nothing is accepted, paid or reported.",
            "Run `tidegate quarantine check --wait`, then `tidegate quarantine release`.",
        ),
    )


def _cases_check(connection: Connection) -> Check:
    counted = open_cases(connection)
    total = sum(counted.values())
    if not total:
        return Check("cases", Verdict.OK, "No case is open.")
    grave = sum(count for (_, severity), count in counted.items() if severity == "high")
    kinds = ", ".join(sorted({kind for kind, _ in counted}))
    return Check(
        "cases",
        Verdict.WARN,
        f"{total} open, {grave} of them grave: {kinds}.",
        "Run `tidegate cases list`.",
    )
