"""The processes that the demonstration and the benchmarks start: the node itself, and its usage.

What is started is the product: ``tidegate serve`` with an environment of its own, so that nothing
the caller has set for another node reaches it.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

import tidegate
from tidegate.errors import TidegateError
from tidegate.settings.reading import fields, name_of

__all__ = ["Node", "NodeFailed", "Usage", "child_environment", "free_port", "usage_of"]

_READY_S = 60.0
_STOP_S = 30.0
_SHOWN_LINES = 15


class NodeFailed(TidegateError):
    """The node did not start, or ended by itself."""

    code = "node_failed"
    sentence = "The node did not start."


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used so far: CPU seconds of all its threads, resident KiB now and at
    most. ``None`` where the system does not tell (it is read from ``/proc``)."""

    cpu_s: float | None
    rss_kib: int | None
    rss_max_kib: int | None


def usage_of(pid: int) -> Usage:
    """The usage of a process of this machine."""
    proc = Path("/proc") / str(pid)
    try:
        # The name of the program, in parentheses, may hold blanks: fields are counted behind it.
        numbers = (proc / "stat").read_text().rpartition(")")[2].split()
        status = dict(
            line.split(":", 1) for line in (proc / "status").read_text().splitlines() if ":" in line
        )
    except OSError:
        return Usage(None, None, None)
    ticks = int(numbers[11]) + int(numbers[12])
    return Usage(
        cpu_s=ticks / os.sysconf("SC_CLK_TCK"),
        rss_kib=_kib(status.get("VmRSS")),
        rss_max_kib=_kib(status.get("VmHWM")),
    )


def _kib(text: str | None) -> int | None:
    return None if text is None else int(text.split()[0])


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now.

    Never one with the digits 400 in it: the aggregator mistakes them for an error code.
    """
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if "400" not in str(port):
            return port


def child_environment(source: Path | None = None) -> dict[str, str]:
    """This process's environment without any setting of a node.

    ``source`` is the folder that holds the package ``tidegate`` to run (default: the one that is
    running), which need not be installed.
    """
    ours = {name_of(field) for _, _, field in fields()}
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    folder = source or Path(tidegate.__file__).resolve().parents[1]
    paths = [str(folder), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    return environment


class Node:
    """A ``tidegate serve`` of our own on 127.0.0.1, with its log in a file of ``directory``."""

    def __init__(
        self,
        directory: Path,
        settings: Mapping[str, str],
        *,
        port: int = 0,
        source: Path | None = None,
    ) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_file = directory / "node.log"
        self._directory = directory
        self._environment = child_environment(source) | {
            "SERVER_HOST": "127.0.0.1",
            "SERVER_PORT": str(self.port),
            "SECRET_KEY": secrets.token_urlsafe(32),
            "TIDEGATE_ENV": "sandbox",
            **settings,
        }
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise NodeFailed()
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Migrate, serve, and return once it can take orders. Raises :class:`NodeFailed`."""
        with self.log_file.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "tidegate", "serve", "--migrate"),
                # Away from a .env of the caller's folder.
                cwd=self._directory,
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            async with asyncio.timeout(_READY_S):
                while not await self._is_ready():
                    if not self.running:
                        raise NodeFailed(f"The node ended at its start:\n{self.last_lines()}")
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise NodeFailed(f"The node does not get ready:\n{self.last_lines()}") from None

    async def _is_ready(self) -> bool:
        """Its own work is possible, and the float was read: without it every order is declined."""
        try:
            ready = await self.get("/ready")
            info = await self.get("/info")
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return False
        checks = ready["data"]["checks"] if ready.get("data") else {}
        floats = info["data"]["totalBalances"].values()
        return all(state == "ok" for state in checks.values()) and all(
            float_["totalBalance"] not in {"0", "0.00"} for float_ in floats
        )

    async def get(self, path: str) -> dict[str, Any]:
        """A JSON answer of the node. Raises ``aiohttp.ClientError``, ``TimeoutError``."""
        answer: dict[str, Any] = await self._read(path, json=True)
        return answer

    async def metrics(self) -> dict[str, float]:
        """``/metrics``: ``name{labels}`` as printed -> value."""
        text: str = await self._read("/metrics", json=False)
        pairs = (
            line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#")
        )
        return {name: float(value) for name, _, value in pairs}

    async def _read(self, path: str, *, json: bool) -> Any:
        timeout = aiohttp.ClientTimeout(total=10)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(self.url + path) as response,
        ):
            return await (response.json(content_type=None) if json else response.text())

    def last_lines(self) -> str:
        """The end of its log, for a message."""
        try:
            lines = self.log_file.read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-_SHOWN_LINES:])

    async def stop(self) -> int | None:
        """Ask it to stop, wait, and give its exit code; what does not stop is killed."""
        process = self._process
        if process is None:
            return None
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(_STOP_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        return process.returncode
