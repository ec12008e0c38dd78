"""Sixty-four tasks at one database, in as many processes as the database allows (DESIGN 3).

On SQLite exactly one process serves: all tasks are in the test's own. On PostgreSQL there are
four real processes with sixteen tasks each, started once a test run and begun at one moment.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.concurrency.scene import cast, play
from tests.concurrency.scenes import SCENES

__all__ = ["PROCESSES", "TASKS", "Crowd"]

PROCESSES = 4
TASKS = 16
_PATIENCE_S = 100.0
_END_S = 10.0


class Crowd:
    """Plays scenes; what its processes say is in ``log``."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._processes: _Processes | None = None

    async def play(
        self, scene: str, url: str, *, seed: int = 1, pause_ms: float = 2.0, **given: Any
    ) -> list[Any]:
        """What each of the 64 actors did. ``given`` is what the scene's opening gets."""
        everybody = range(PROCESSES * TASKS)
        async with asyncio.timeout(_PATIENCE_S):
            if not url.startswith("sqlite"):
                job = {"scene": scene, "url": url, "seed": seed, "pause_ms": pause_ms}
                return await self._together({**job, "given": given})
            opened = await SCENES[scene](url, given)
            try:
                return await play(opened, cast(everybody, seed, pause_ms))
            finally:
                await opened.close()

    def close(self) -> None:
        """End the processes."""
        if self._processes is not None:
            self._processes.end()
            self._processes = None

    async def _together(self, job: dict[str, Any]) -> list[Any]:
        if self._processes is None:
            self._processes = _Processes(self._log)
        try:
            return await self._processes.play(job)
        except BaseException:
            self.close()  # whoever is in the middle of a scene cannot play the next one
            raise


class _Processes:
    """A :mod:`tests.concurrency.worker` and what it forked, and a line to each."""

    def __init__(self, log: Path) -> None:
        self._log = log
        passed = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        place = os.pathsep.join(str(Path(each).resolve()) for each in sys.path)
        ends = [socket.socketpair() for _ in range(PROCESSES)]
        theirs = [str(their.fileno()) for _, their in ends]
        with log.open("ab") as written:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.concurrency.worker", *theirs],
                env={**passed, "PYTHONPATH": place},
                cwd=log.parent,  # away from a developer's own .env
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=written,
                pass_fds=[int(each) for each in theirs],
                start_new_session=True,  # so that all can be ended together
            )
        for _, their in ends:
            their.close()
        self._lines = [ours for ours, _ in ends]
        self._hearing = [ours.makefile("r") for ours in self._lines]

    async def play(self, job: dict[str, Any]) -> list[Any]:
        for place, line in enumerate(self._lines):
            numbers = list(range(place * TASKS, (place + 1) * TASKS))
            line.sendall(f"{json.dumps({**job, 'numbers': numbers})}\n".encode())
        await self._hear("ready")
        for line in self._lines:
            line.sendall(b"go\n")
        return [each for did in await self._hear("did") for each in did]

    async def _hear(self, word: str) -> Sequence[Any]:
        """Wait for the answer of this name from each."""
        lines = await asyncio.gather(*(asyncio.to_thread(one.readline) for one in self._hearing))
        said = [json.loads(line) if line else {"error": "It ended."} for line in lines]
        for each in said:
            assert word in each, f"{each.get('error')}\n{self._tail()}"
        return [each[word] for each in said]

    def end(self) -> None:
        """Whoever waits for a job ends with its line; whoever plays is killed."""
        for line in self._lines:
            line.shutdown(socket.SHUT_RDWR)
        try:
            self._process.wait(_END_S / 10)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(_END_S)
        for hearing in self._hearing:
            hearing.close()
        for line in self._lines:
            line.close()

    def _tail(self) -> str:
        return self._log.read_text(errors="replace")[-4_000:]
