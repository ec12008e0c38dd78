"""Fresh databases for tests, empty or cloned from a template.

A template is a database that is prepared once per test run (migrated, say) and then copied,
which takes a hundredth of the time. Both kinds of :class:`Databases` speak synchronously, so
that fixtures can be used from any test.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from tests.support.server import RunDirectory

__all__ = ["Databases", "PostgresqlDatabases", "Prepare", "SqliteDatabases"]

T = TypeVar("T")

Prepare = Callable[[str], None]
"""Makes the tables of a template: gets its URL, closes its connections before it returns."""

_TEMPLATE_NAME = re.compile(r"[a-z][a-z0-9_]{0,23}")


class Databases(Protocol):
    """Where a test's databases come from; everything handed out is gone after :meth:`drop_all`."""

    def empty(self) -> str:
        """Return the URL of a new database with nothing in it."""
        ...

    def from_template(self, name: str, prepare: Prepare) -> str:
        """Return the URL of a new copy of a template, prepared at the first call of the run.

        ``name`` (lower-case letters, digits, underscores) stands for what ``prepare`` does.
        """
        ...

    def drop_all(self) -> None:
        """Drop what was handed out, connections or not."""
        ...


class SqliteDatabases:
    """Files in the test's own directory."""

    def __init__(self, directory: Path, run: RunDirectory) -> None:
        self._directory = directory
        self._run = run

    def empty(self) -> str:
        return self._url(self._new_file())

    def from_template(self, name: str, prepare: Prepare) -> str:
        template = self._run.path / f"{_checked(name)}.sqlite3"
        with self._run.locked():
            if not template.exists():
                draft = template.with_suffix(".draft")
                _in_a_thread(lambda: prepare(self._url(draft)))
                # SQLite folds the log into the file when the last connection closes; if it is
                # still there, a copy of the file alone would lack it.
                if draft.with_name(f"{draft.name}-wal").exists():
                    raise RuntimeError(f"prepare left connections open to template {name!r}")
                draft.rename(template)
        copy = self._new_file()
        shutil.copyfile(template, copy)
        return self._url(copy)

    def drop_all(self) -> None:
        """Nothing to do: pytest deletes the directory."""

    def _new_file(self) -> Path:
        return self._directory / f"tidegate-{secrets.token_hex(4)}.sqlite3"

    @staticmethod
    def _url(file: Path) -> str:
        return f"sqlite:///{file}"


class PostgresqlDatabases:
    """Databases on a server; ``server_url`` names a role that may create databases."""

    def __init__(self, server_url: str, run: RunDirectory) -> None:
        self._server_url = server_url
        self._run = run
        self._handed_out: list[str] = []

    def empty(self) -> str:
        return self._create("template0")

    def from_template(self, name: str, prepare: Prepare) -> str:
        # The run's directory has a name of its own, so runs may share a server.
        template = f"tidegate_template_{_unique_part(self._run)}_{_checked(name)}"
        ready = self._run.path / f"{template}.ready"
        with self._run.locked():
            if not ready.exists():
                _execute(self._server_url, f'CREATE DATABASE "{template}" TEMPLATE template0')
                _in_a_thread(lambda: prepare(self._url(template)))
                # Cloning fails while somebody is connected.
                _execute(self._server_url, f'ALTER DATABASE "{template}" ALLOW_CONNECTIONS false')
                ready.touch()
        return self._create(template)

    def drop_all(self) -> None:
        while self._handed_out:
            name = self._handed_out.pop()
            _execute(self._server_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    @staticmethod
    def drop_templates(server_url: str, run: RunDirectory) -> None:
        """Drop this run's templates, for a server that outlives the run."""
        for ready in run.path.glob("tidegate_template_*.ready"):
            _execute(server_url, f'DROP DATABASE IF EXISTS "{ready.stem}" WITH (FORCE)')

    def _create(self, template: str) -> str:
        name = f"tidegate_test_{secrets.token_hex(8)}"
        # Copying files is the faster strategy for a database of a few megabytes without fsync.
        _execute(
            self._server_url,
            f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy',
        )
        self._handed_out.append(name)
        return self._url(name)

    def _url(self, database: str) -> str:
        parts = urlsplit(self._server_url)
        # The one spelling, whichever alias the environment used.
        return urlunsplit(parts._replace(scheme="postgresql", path=f"/{database}"))


def _checked(name: str) -> str:
    if not _TEMPLATE_NAME.fullmatch(name):
        raise ValueError(f"not a template name: {name!r}")
    return name


def _unique_part(run: RunDirectory) -> str:
    return re.sub(r"[^a-z0-9]", "_", run.path.name.rpartition("-")[2].lower())


def _execute(server_url: str, statement: str) -> None:
    """Run one statement outside of any transaction, as creating databases requires."""

    async def execute() -> None:
        connection = await asyncpg.connect(server_url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    _in_a_thread(lambda: asyncio.run(execute()))


def _in_a_thread(work: Callable[[], T]) -> T:
    """Do it away from the caller's event loop, which may be running."""
    with ThreadPoolExecutor(max_workers=1) as threads:
        return threads.submit(work).result()
