"""The chain of migrations, oldest first, and what each of them says about itself.

Every file in ``versions/`` declares ``kind``. An *expand* migration adds: the code of the revision
before works on what it makes. A *contract* migration takes away, and its ``oldest_code`` names the
oldest revision whose code runs on what is left. ``concurrently`` names the indexes that it builds
or drops without a transaction, beside a node that writes (PostgreSQL).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import ModuleType

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from tidegate.errors import ConfigurationError

__all__ = ["Chain", "Kind", "Migration", "chain", "config"]

PLACE = Path(__file__).parent


class Kind(StrEnum):
    """What a migration does to code that is older than it."""

    EXPAND = "expand"
    CONTRACT = "contract"


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of ``versions/``."""

    revision: str
    kind: Kind
    oldest_code: str | None
    concurrently: tuple[str, ...]
    upgrade: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Chain:
    """All migrations that this code knows; every one follows the one before."""

    migrations: tuple[Migration, ...]

    @property
    def revisions(self) -> tuple[str, ...]:
        return tuple(one.revision for one in self.migrations)

    @property
    def head(self) -> str:
        """The revision of this code."""
        return self.migrations[-1].revision

    def find(self, name: str) -> str:
        """The revision that a person named. Raises ``ConfigurationError``."""
        if name == "head":
            return self.head
        if name not in self.revisions:
            raise ConfigurationError(
                [f"There is no revision {name}: this version knows {', '.join(self.revisions)}."]
            )
        return name

    def up_to(self, revision: str | None) -> tuple[Migration, ...]:
        """The migrations that a schema of ``revision`` has behind it; none for ``None``."""
        if revision is None:
            return ()
        return self.migrations[: self.revisions.index(revision) + 1]

    def after(self, revision: str | None, to: str) -> tuple[Migration, ...]:
        """What brings a schema of ``revision`` to that of ``to``, in order; none if it is there."""
        return self.up_to(to)[len(self.up_to(revision)) :]

    def oldest_code(self, revision: str) -> str:
        """The oldest code that runs on the schema of ``revision``: the last contract's word."""
        named = [one.oldest_code for one in self.up_to(revision) if one.oldest_code is not None]
        return named[-1] if named else self.revisions[0]


def config(connection: Connection | None = None) -> Config:
    """Alembic's configuration, for one connection."""
    made = Config()
    made.set_main_option("script_location", str(PLACE))
    if connection is not None:
        made.attributes["connection"] = connection
    return made


def chain() -> Chain:
    """Read it. Raises ``ValueError`` if a migration does not say what it is."""
    return _read(PLACE)


@cache
def _read(_place: Path) -> Chain:
    modules = [one.module for one in ScriptDirectory.from_config(config()).walk_revisions()]
    found = Chain(tuple(_migration(module) for module in reversed(modules)))
    named = [found.revisions[0]]
    for one in found.migrations:
        if one.oldest_code is None:
            continue
        known = [each.revision for each in found.up_to(one.revision)]
        if one.oldest_code not in known[known.index(named[-1]) :]:
            raise ValueError(
                f"Migration {one.revision}: oldest_code {one.oldest_code} is none of "
                f"{', '.join(known[known.index(named[-1]) :])}."
            )
        named.append(one.oldest_code)
    return found


def _migration(module: ModuleType) -> Migration:
    try:
        kind = Kind(module.kind)
    except (AttributeError, ValueError):
        raise ValueError(
            f"Migration {module.revision} does not say what it is: write kind = "
            '"expand" or kind = "contract".'
        ) from None
    oldest_code = getattr(module, "oldest_code", None)
    if (oldest_code is not None) is not (kind is Kind.CONTRACT):
        raise ValueError(
            f"Migration {module.revision}: a contract names its oldest_code, and nothing else does."
        )
    concurrently = tuple(getattr(module, "concurrently", ()))
    return Migration(module.revision, kind, oldest_code, concurrently, module.upgrade)
