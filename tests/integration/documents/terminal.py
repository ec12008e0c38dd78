"""Where a scene types the commands of a page: into the program in this process, or into a shell.

Starting a program costs seconds, so the ordinary tests call the installed command's function in a
thread. The long ones do what a reader does: ``sh`` finds ``tidegate`` on the path, and what the
page shows stands in a script, letter by letter but for the words in capitals.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout, suppress
from io import StringIO
from pathlib import Path

import pytest

from tidegate.cli import database as cli_database
from tidegate.cli import main
from tidegate.settings.reading import fields, name_of

__all__ = ["Here", "Shell", "Terminal"]

_LIMIT_S = 300


class Terminal:
    """``directory`` is where the reader works; ``env`` holds the node's settings."""

    def __init__(self, directory: Path, env: Mapping[str, str]) -> None:
        self.directory = directory
        ours = {name_of(field) for _, _, field in fields()}
        kept = {name: value for name, value in os.environ.items() if name not in ours}
        programs = Path(sys.executable).parent
        self.env = {**kept, **env, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}

    def set(self, name: str, value: str) -> None:
        """Change a setting of the node for what is typed from now on."""
        self.env[name] = value

    async def run(self, words: list[str]) -> tuple[int, str]:
        """Exit code, and what it said on both streams. A command that does not end is ended."""
        script, said = self.directory / "typed.sh", self.directory / "said.txt"
        script.write_text(f"{shlex.join(words)}\n")
        # Into a file: whatever a command leaves running inherits it, and a pipe would not end.
        with said.open("wb") as output:
            shell = await asyncio.create_subprocess_exec(
                "sh", "-eu", str(script), cwd=self.directory, env=self.env, stdout=output,
                stderr=output, stdin=asyncio.subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
            try:
                async with asyncio.timeout(_LIMIT_S):
                    code = await shell.wait()
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(shell.pid, signal.SIGKILL)
                await shell.wait()
        return code, said.read_text(errors="replace")


class Shell(Terminal):
    """Everything is typed into ``sh``."""


class Here(Terminal):
    """``tidegate`` is called in this process; everything else is typed into ``sh``."""

    def __init__(
        self, directory: Path, env: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        super().__init__(directory, env)
        for _, _, field in fields():
            monkeypatch.delenv(name_of(field), raising=False)
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(directory)
        # Loggers are kept by their first use and would outlive the captured stream.
        monkeypatch.setattr(cli_database, "configure", lambda *_, **__: None)
        self._monkeypatch = monkeypatch

    def set(self, name: str, value: str) -> None:
        super().set(name, value)
        self._monkeypatch.setenv(name, value)

    async def run(self, words: list[str]) -> tuple[int, str]:
        if words[0] != "tidegate":
            return await super().run(words)
        self._monkeypatch.setattr(sys, "argv", words)
        return await asyncio.to_thread(_call)


def _call() -> tuple[int, str]:
    code, said = 0, StringIO()
    # Never closed: a logger of the node that is first used meanwhile keeps it.
    with redirect_stdout(said), redirect_stderr(said):
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
    return code, said.getvalue()
