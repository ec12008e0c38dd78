"""A PostgreSQL server of the test's own, which may be killed and whose disk may be full."""

from __future__ import annotations

import shutil
from contextlib import suppress

from tests.crashes.disk import SmallDisk
from tests.support.databases import PostgresqlDatabases
from tests.support.server import DURABLE, RunDirectory, control, run_server

__all__ = ["OwnServer"]

_DISK_MIB = 512


class OwnServer:
    """Started at once. ``url`` is that of an empty database on it; unlike the other tests' server
    it flushes what it commits."""

    def __init__(self) -> None:
        self._run = RunDirectory.own()
        self.disk: SmallDisk | None = None
        if SmallDisk.is_possible():
            self._run.data.mkdir()
            self.disk = SmallDisk(self._run.data, _DISK_MIB)
        self.url = PostgresqlDatabases(run_server(self._run, DURABLE), self._run).empty()

    def crash(self) -> None:
        """As the machine does it: every process of the server ends at once, nothing is flushed;
        the next start recovers from the log."""
        control(self._run, "restart", "-m", "immediate")

    def fill_disk(self) -> None:
        assert self.disk is not None
        self.disk.fill()

    def free_disk(self) -> None:
        """Make room, and start the server again if it gave up meanwhile."""
        assert self.disk is not None
        self.disk.free()
        try:
            control(self._run, "status")
        except RuntimeError:
            with suppress(RuntimeError):  # what is left of it, if it is on its way down
                control(self._run, "stop", "-m", "immediate")
            control(self._run, "start")

    def close(self) -> None:
        self._run.close()
        if self.disk is not None:
            self.disk.close()
        shutil.rmtree(self._run.path, ignore_errors=True)

    @property
    def said(self) -> str:
        """Its log."""
        log = self._run.data / "server.log"
        return log.read_text(errors="replace") if log.exists() else ""
