"""``backup`` and ``restore``: what is whole is proven, what is not is refused before anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import func, insert, select

from tests.integration.cli.conftest import Command, on_database
from tests.support.databases import Databases
from tests.support.programs import postgresql_programs
from tidegate.db.committer import Committer, Unit
from tidegate.db.engine import Database
from tidegate.db.inbox import inbox
from tidegate.db.rows import Change, Next
from tidegate.payouts.states import AttemptState
from tidegate.payouts.tables import attempts, payouts
from tidegate.recovery import backup as copying
from tidegate.recovery import restore as restoring
from tidegate.recovery.postgresql import Programs
from tidegate.work.claim import Claim


@pytest.fixture
def backup(
    tidegate: Command, url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[[], Path]:
    """Make a backup of the filled database; its path."""
    monkeypatch.setenv("POSTGRESQL_PROGRAMS", postgresql_programs())

    def make() -> Path:
        path = tmp_path / "one.backup"
        made = tidegate("backup", str(path), "--json")
        assert made.code == 0, made.err
        return path

    return make


def _manifest(path: Path) -> Path:
    return path.with_name(f"{path.name}.manifest.json")


def test_a_backup_is_restored_proven_and_in_quarantine(
    backup: Callable[[], Path],
    tidegate: Command,
    databases: Databases,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the copy holds is what the database held; nothing that moves is claimed from it, and an
    attempt that had provably not left is looked up, because the proof is as old as the copy."""
    path = backup()
    assert tidegate("backup", str(path)).code != 0, "a backup was written over"
    verified = tidegate("restore", str(path), "--verify", "--json")
    assert verified.code == 0, verified.out
    assert verified.json["into"] is None
    target = databases.empty()
    restored = tidegate("restore", str(path), "--into", target, "--json")
    assert restored.code == 0, restored.out
    counts = restored.json["manifest"]["counts"]
    assert counts["payouts"]
    assert tidegate("restore", str(path), "--into", target).code == 1, "restored over a database"

    monkeypatch.setenv("DATABASE_URL", target)
    status = tidegate("quarantine", "status", "--json").json
    assert status["quarantine"]
    assert status["missing"]
    assert tidegate("quarantine", "release", "--reason", "no").code == 1

    async def look(database: Database) -> tuple[int, int, int, set[str]]:
        committer = Committer(database)
        committer.start()
        row = await database.read(lambda c: c.execute(select(payouts.c.id)).first())
        assert row is not None
        await committer.commit(Unit([Change(payouts, row.id, next=Next("accept"))]))
        claim = Claim(payouts, "accept", 9, 1_000)
        (moving,) = await committer.commit(Unit([claim]))
        looking = Claim(payouts, "accept", 9, 1_000, looks=True)
        (looked,) = await committer.commit(Unit([looking]))
        await committer.stop()
        rows = await database.read(lambda c: c.execute(select(payouts.c.id)).all())
        states = await database.read(lambda c: set(c.execute(select(attempts.c.state)).scalars()))
        return len(rows), len(moving), len(looked), states

    count, moving, looked, states = on_database(target, look)
    assert count == counts["payouts"]
    assert moving == 0
    assert looked >= 1
    assert AttemptState.PREPARED not in states
    forced = tidegate("quarantine", "release", "--reason", "a test", "--force")
    assert forced.code == 0, forced.out
    assert not tidegate("quarantine", "status", "--json").json["quarantine"]


def test_what_is_not_whole_or_not_ours_is_refused(
    backup: Callable[[], Path],
    tidegate: Command,
    databases: Databases,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A damaged file, another manifest, another node, another environment, no manifest: exit code
    1, and the target stays empty, so that the right backup still goes into it."""
    path = backup()
    target = databases.empty()
    whole, said = path.read_bytes(), _manifest(path).read_text()

    def refused(word: str) -> None:
        ran = tidegate("restore", str(path), "--into", target)
        assert ran.code == 1, ran.out
        assert word in ran.out, ran.out

    path.write_bytes(whole[:-7] + b"corrupt")
    refused("SHA-256")
    path.write_bytes(whole[: len(whole) // 2])
    refused("size")
    path.write_bytes(whole)
    other = json.loads(said)
    for name, value in (("node_id", "f" * 32), ("head_block", 77), ("counts", {"payouts": 0})):
        _manifest(path).write_text(json.dumps({**other, name: value}))
        if databases.__class__.__name__.startswith("Sqlite"):
            refused("manifest is another backup's")
    _manifest(path).write_text(said)
    monkeypatch.setenv("NODE_ID", "another-node")
    refused("another-node")
    monkeypatch.delenv("NODE_ID")
    monkeypatch.setenv("TIDEGATE_ENV", "staging")
    refused("TIDEGATE_ENV")
    monkeypatch.delenv("TIDEGATE_ENV")
    _manifest(path).unlink()
    refused("missing")
    _manifest(path).write_text(said)
    assert tidegate("restore", str(path), "--into", target).code == 0


def test_a_backup_while_rows_are_written_is_one_moment(
    backup: Callable[[], Path], url: str, tidegate: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that is committed while the copy is made is in neither the copy nor its counts."""
    written: list[str] = []

    def write_one() -> None:
        """In a thread: the command has a loop of its own."""
        id_ = f"written{len(written)}"
        row = {"id": id_, "source": "test", "dedupe_key": id_, "state": "ignored", "body": b""}

        async def more(database: Database) -> None:
            await database.write(lambda c: c.execute(insert(inbox).values(**row, received_at=1)))

        with ThreadPoolExecutor(1) as writer:
            writer.submit(on_database, url, more).result()
        written.append(id_)

    def between_pages(_: float) -> None:
        if len(written) < 3:
            write_one()

    dump = Programs.run

    async def run(self: Programs, *arguments: Any) -> Any:
        write_one()
        return await dump(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(copying, "_PAGES", 20)
        patched.setattr("tidegate.recovery.backup.time", SimpleNamespace(sleep=between_pages))
        patched.setattr(Programs, "run", run)
        path = backup()
    assert written, "nothing was written meanwhile"
    counted = json.loads(_manifest(path).read_text())["counts"]["inbox"]

    async def now(database: Database) -> int:
        count = select(func.count()).select_from(inbox)
        return await database.read(lambda c: int(c.execute(count).scalar_one()))

    assert on_database(url, now) == counted + len(written)
    assert tidegate("restore", str(path), "--verify").code == 0


def test_programs_that_are_missing_or_older_are_named(
    tidegate: Command, url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """PostgreSQL: the sentence says what to install and which setting names it."""
    if url.startswith("sqlite"):
        return
    monkeypatch.setenv("POSTGRESQL_PROGRAMS", str(tmp_path))
    missing = tidegate("backup", str(tmp_path / "a.backup"))
    assert missing.code != 0
    assert "POSTGRESQL_PROGRAMS" in missing.err
    old = tmp_path / "pg_dump"
    old.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.1'\n")
    old.chmod(0o755)
    older = tidegate("backup", str(tmp_path / "a.backup"))
    assert older.code != 0
    assert "9" in older.err
    assert sorted(each.name for each in tmp_path.glob("*a.backup*")) == []


def test_a_restore_that_dies_leaves_nothing_that_serves(
    backup: Callable[[], Path],
    tidegate: Command,
    databases: Databases,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Torn off before the quarantine is in it: no file, or a database without a revision."""
    path = backup()
    target = databases.empty()

    def dies(*_: object) -> None:
        raise RuntimeError("torn off")

    with monkeypatch.context() as patched:
        patched.setattr(restoring, "_distrust", dies)
        with pytest.raises(RuntimeError):
            tidegate("restore", str(path), "--into", target)
    monkeypatch.setenv("DATABASE_URL", target)
    refused = tidegate("orders", "list")
    assert refused.code != 0
    assert "tidegate migrate" in refused.err
    if target.startswith("postgresql"):
        assert tidegate("restore", str(path), "--into", target).code == 1, "it is not empty"
        target = databases.empty()
    assert tidegate("restore", str(path), "--into", target).code == 0


def test_a_backup_that_dies_can_be_made_again(
    tidegate: Command, url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Torn off when the copy is to get its name: there is no backup, and the next one is whole."""
    monkeypatch.setenv("POSTGRESQL_PROGRAMS", postgresql_programs())
    path = tmp_path / "one.backup"

    def dies(*_: object) -> None:
        raise RuntimeError("torn off")

    with monkeypatch.context() as patched:
        patched.setattr(copying, "place", dies)
        with pytest.raises(RuntimeError):
            tidegate("backup", str(path))
    assert not path.exists()
    assert tidegate("restore", str(path), "--verify").code == 1
    assert tidegate("backup", str(path)).code == 0
    assert tidegate("restore", str(path), "--verify").code == 0
