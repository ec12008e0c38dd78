"""On SQLite exactly one process serves: a lock on a file beside the database."""

from __future__ import annotations

import fcntl
from types import TracebackType
from typing import IO

from tidegate.db.url import DatabaseUrl
from tidegate.errors import ConfigurationError

__all__ = ["ServingLock"]


class ServingLock:
    """Held while a process serves. The kernel lets go of it however the process ends."""

    def __init__(self, url: DatabaseUrl) -> None:
        self._path = f"{url.path}.lock" if url.dialect == "sqlite" else None
        self._file: IO[str] | None = None

    def __enter__(self) -> ServingLock:
        if self._path is not None:
            self._file = open(self._path, "w")  # held beyond this function
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._file.close()
                raise ConfigurationError(
                    [
                        "Another process serves this SQLite database: stop it first, or use "
                        "PostgreSQL for several processes."
                    ]
                ) from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
