"""The manifest of a backup: what the file beside it is, and what must be found in it."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, func, select

from tidegate import __version__
from tidegate.db.identity import read_node_id
from tidegate.db.inbox import inbox
from tidegate.errors import BadInput
from tidegate.ledger.tables import blocks, entries
from tidegate.migrations import current
from tidegate.payments.tables import payments
from tidegate.payouts.tables import attempts, payouts

__all__ = ["Manifest", "facts_of", "manifest_path", "place", "read_manifest", "sha256_of", "sync"]

_FORMAT: Final = 1
_CHUNK: Final = 1 << 20
_COUNTED: Final = {
    "payouts": payouts,
    "attempts": attempts,
    "payments": payments,
    "entries": entries,
    "inbox": inbox,
}


@dataclass(frozen=True, slots=True)
class Manifest:
    """``head`` is the ledger's newest block at ``taken_ms`` (0 and ``None``: there was none).

    ``environment`` goes into every payout's reference, so a restored copy has to have the same.
    """

    format: int
    version: str
    dialect: str
    revision: str
    node_id: str
    environment: str
    taken_ms: int
    head_block: int
    head: str | None
    counts: dict[str, int]
    sha256: str
    size: int

    def text(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"


def facts_of(connection: Connection) -> dict[str, Any]:
    """What the manifest says of the database's contents."""
    newest = select(blocks.c.id, blocks.c.hash).order_by(blocks.c.id.desc()).limit(1)
    head = connection.execute(newest).first()
    revision = current(connection)
    if revision is None:
        raise BadInput("The database has no schema: there is nothing to back up.")
    return {
        "format": _FORMAT,
        "version": __version__,
        "dialect": connection.dialect.name,
        "revision": revision,
        "node_id": read_node_id(connection),
        "head_block": 0 if head is None else head.id,
        "head": None if head is None else head.hash,
        "counts": {
            name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for name, table in _COUNTED.items()
        },
    }


def manifest_path(backup: Path) -> Path:
    """``backup.db`` -> ``backup.db.manifest.json``."""
    return backup.with_name(f"{backup.name}.manifest.json")


def read_manifest(backup: Path) -> Manifest:
    """Read it, and see that the file is the one it describes. Raises ``BadInput``."""
    path = manifest_path(backup)
    if not backup.is_file():
        raise BadInput(f"There is no backup at {backup}.")
    try:
        manifest = Manifest(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise BadInput(
            f"{path} is missing: a backup without its manifest proves nothing; look for it where "
            "the backup was made."
        ) from None
    except (ValueError, TypeError):
        raise BadInput(f"{path} is no manifest of a backup.") from None
    if manifest.format != _FORMAT:
        raise BadInput(f"{path} is of format {manifest.format}, which this version cannot read.")
    if backup.stat().st_size != manifest.size or sha256_of(backup) != manifest.sha256:
        raise BadInput(
            f"{backup} is not the file that its manifest describes (size or SHA-256 differ): it "
            "is damaged or cut off; take another backup."
        )
    return manifest


def sha256_of(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def sync(path: Path) -> None:
    """Have a file or a folder on the disk before anything is built on it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def place(draft: Path, target: Path) -> None:
    """Give a finished file its name, whole or not at all, never over another file.

    Raises ``FileExistsError``.
    """
    sync(draft)
    os.link(draft, target)
    draft.unlink()
    sync(target.parent)
