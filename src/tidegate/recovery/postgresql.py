"""PostgreSQL's own programs: found, new enough, and never told a password where others can read."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tidegate.db.url import DatabaseUrl
from tidegate.errors import ConfigurationError, Unavailable

__all__ = ["Programs", "draft_beside"]

_VERSION: Final = re.compile(r"\(PostgreSQL\) (\d+)")
_SHOWN: Final = 600
# Whatever libpq would read from here belongs to somebody else's connection.
_KEPT: Final = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "TMPDIR")


class Programs:
    """``pg_dump`` and ``pg_restore`` in ``folder``, or on the path without one."""

    def __init__(self, folder: str | None) -> None:
        self._folder = folder

    async def run(
        self, name: str, arguments: Sequence[str], url: DatabaseUrl, server_version: int
    ) -> None:
        """Run one against the database of ``url``. Raises ``Unavailable`` with what it said.

        ``server_version`` is the server's major number: an older program would write a dump that
        is not whole, so it is refused with ``ConfigurationError``.
        """
        program = self._find(name)
        version = await self._version(program)
        if version < server_version:
            raise ConfigurationError(
                [
                    f"{program} is of PostgreSQL {version}, the server of {server_version}: "
                    "install its client programs and set POSTGRESQL_PROGRAMS to their folder."
                ]
            )
        said, code = await _run(program, arguments, _environment(url))
        if code != 0:
            raise Unavailable(f"{name} failed ({code}): {said[-_SHOWN:].strip()}")

    def _find(self, name: str) -> str:
        found = shutil.which(name, path=self._folder)
        if found is None:
            where = f"in {self._folder}" if self._folder else "on the path"
            raise ConfigurationError(
                [
                    f"There is no {name} {where}: install the client programs of PostgreSQL, or "
                    "set POSTGRESQL_PROGRAMS to their folder."
                ]
            )
        return found

    async def _version(self, program: str) -> int:
        said, _ = await _run(program, ["--version"], {})
        match = _VERSION.search(said)
        if match is None:
            raise ConfigurationError([f"{program} does not tell its version: it is not usable."])
        return int(match[1])


async def _run(
    program: str, arguments: Sequence[str], environment: dict[str, str]
) -> tuple[str, int]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        program,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=kept | environment,
    )
    try:
        said, _ = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    return said.decode("utf-8", "replace"), process.returncode or 0


def _environment(url: DatabaseUrl) -> dict[str, str]:
    """The connection as libpq reads it; arguments can be read by every user of the machine."""
    told = {
        "PGHOST": url.host,
        "PGPORT": str(url.port),
        "PGDATABASE": url.database,
        "PGUSER": url.user,
        "PGPASSWORD": url.password,
        "PGSSLMODE": url.ssl_mode,
        "PGSSLROOTCERT": url.root_certificate,
        "PGSSLCERT": url.client_certificate,
        "PGSSLKEY": url.client_key,
        "PGAPPNAME": "tidegate",
    }
    return {name: value for name, value in told.items() if value}


def draft_beside(target: Path) -> Path:
    """Where a file grows before it has its name."""
    return target.with_name(f".{target.name}.{os.getpid()}.draft")
