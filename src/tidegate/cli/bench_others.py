"""The other companies of a benchmark as a process: started, told and heard by lines of JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tidegate.cli.processes import NodeFailed, child_environment

__all__ = ["Others"]

_ANSWER_LIMIT = 1 << 22
_STOP_S = 10.0


class Others:
    """``python -m module`` with its log in a file of ``directory``; it ends with its input."""

    def __init__(self, module: str, directory: Path) -> None:
        self._module = module
        self._directory = directory
        self._log_file = directory / "companies.log"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, start: Mapping[str, Any]) -> dict[str, Any]:
        """Start them as ``start`` says; their addresses."""
        with self._log_file.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", self._module),
                cwd=self._directory,
                env=child_environment(),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                limit=_ANSWER_LIMIT,
            )
        await self.tell({"start": start})
        return await self.hear()

    async def tell(self, message: Mapping[str, Any]) -> None:
        """Write one line to them."""
        assert self._process is not None  # by the order of calls
        assert self._process.stdin is not None  # by its pipe
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        await self._process.stdin.drain()

    async def hear(self) -> dict[str, Any]:
        """Their next line. Raises :class:`NodeFailed` when they have ended."""
        assert self._process is not None  # by the order of calls
        assert self._process.stdout is not None  # by its pipe
        line = await self._process.stdout.readline()
        if not line:
            log = self._log_file.read_text(errors="replace")
            raise NodeFailed(f"The other companies ended:\n{log[-2000:]}")
        heard: dict[str, Any] = json.loads(line)
        return heard

    async def stop(self) -> None:
        """End their input and wait; what does not end is killed."""
        process = self._process
        if process is None or process.stdin is None:
            return
        process.stdin.close()
        try:
            async with asyncio.timeout(_STOP_S):
                await process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
