"""Backup: a consistent copy while the node serves, and a manifest that says what it is.

The manifest is named before the copy is: a backup that exists is whole. Whatever is killed in
between leaves a draft with a leading dot, or a manifest without its file, which the next run of
the same name replaces.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from tidegate.clock import Clock
from tidegate.db.url import DatabaseUrl
from tidegate.errors import BadInput
from tidegate.recovery.manifest import (
    Manifest,
    facts_of,
    manifest_path,
    place,
    sha256_of,
    sync,
)
from tidegate.recovery.postgresql import Programs, draft_beside

__all__ = ["back_up"]

# Pages a step: a step is short, and between steps others run.
_PAGES = 512


async def back_up(
    url: DatabaseUrl,
    target: Path,
    clock: Clock,
    *,
    environment: str,
    programs: Programs,
) -> Manifest:
    """Copy the database of ``url`` to ``target``. Raises ``BadInput`` if that exists already."""
    draft = _draft_of(target)
    taken_ms = clock.now_ms()
    try:
        if url.dialect == "sqlite":
            facts = _copy_file(Path(url.path), draft)
        else:
            facts = await _dump(url, draft, programs)
        manifest = Manifest(
            **facts,
            environment=environment,
            taken_ms=taken_ms,
            sha256=sha256_of(draft),
            size=draft.stat().st_size,
        )
        _name(draft, target, manifest)
    finally:
        draft.unlink(missing_ok=True)
    return manifest


def _draft_of(target: Path) -> Path:
    if target.exists():
        raise BadInput(f"{target} exists already: name a new file, backups are never replaced.")
    if not target.parent.is_dir():
        raise BadInput(f"There is no folder {target.parent}: make it first.")
    draft = draft_beside(target)
    draft.touch(0o600, exist_ok=True)
    return draft


def _name(draft: Path, target: Path, manifest: Manifest) -> None:
    beside = manifest_path(target)
    paper = draft_beside(beside)
    try:
        paper.write_text(manifest.text(), encoding="utf-8")
        sync(paper)
        paper.replace(beside)  # over one that never got its file
        place(draft, target)
    except FileExistsError:
        raise BadInput(f"{target} exists already: name a new file.") from None
    finally:
        paper.unlink(missing_ok=True)


def _copy_file(source: Path, draft: Path) -> dict[str, Any]:
    """SQLite's online backup. The read transaction that is held meanwhile keeps one state of the
    database in sight, so that the node's writes neither wait nor make the copy begin again."""
    reader = sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)
    copy = sqlite3.connect(draft)
    try:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
        reader.backup(copy, pages=_PAGES, progress=lambda *_: time.sleep(0))
        # One file, with no log beside it.
        copy.execute("PRAGMA journal_mode=DELETE")
    finally:
        copy.close()
        reader.close()
    engine = create_engine(f"sqlite:///{draft}", poolclass=NullPool)
    with engine.connect() as connection:
        return facts_of(connection)


async def _dump(url: DatabaseUrl, draft: Path, programs: Programs) -> dict[str, Any]:
    """``pg_dump`` in the snapshot in which the facts were read.

    The schema's revision is left out: without ``tidegate restore``, which puts it in together
    with the quarantine, nothing serves what was restored.
    """
    engine = create_async_engine(
        url.sqlalchemy_url,
        connect_args=dict(url.connect_args),
        poolclass=NullPool,
        isolation_level="REPEATABLE READ",
    )
    async with engine.connect() as held:
        snapshot, version, facts = await held.run_sync(_look)
        arguments = ["--format=custom", "--no-owner", "--no-privileges", "--no-password"]
        arguments += ["--exclude-table-data=*.alembic_version"]
        arguments += [f"--snapshot={snapshot}", f"--file={draft}"]
        await programs.run("pg_dump", arguments, url, version)
    return facts


def _look(connection: Connection) -> tuple[str, int, dict[str, Any]]:
    snapshot = connection.execute(text("SELECT pg_export_snapshot()")).scalar_one()
    version = connection.execute(text("SHOW server_version_num")).scalar_one()
    return str(snapshot), int(version) // 10_000, facts_of(connection)
