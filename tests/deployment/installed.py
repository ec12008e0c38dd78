"""What the image holds, made here by the very steps of the Dockerfile, and run as in a container.

There is no container engine: a step's words are run as they stand, with the places of the image
(``/opt/tidegate``, ``/src``) replaced by folders of the test. The program then runs as a user of
its own without rights, in a folder that it may not write to, with the environment of the image.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.deployment.files import ROOT, Step, stages
from tests.support.node import ChildNode

__all__ = ["Image", "InstalledNode"]

_STEP_S = 900.0
_PLACES = ("/opt/tidegate", "/src")
_SCRATCH = "/tmp"  # noqa: S108 -- the image's, which has one user
# Who it runs as here, where the test is root; where not, as oneself.
_USER = 65_534
_AS_NOBODY: dict[str, Any] = (
    {"user": _USER, "group": _USER, "extra_groups": []} if os.geteuid() == 0 else {}
)


def _open_python() -> str:
    """An interpreter that every user may run: that of the tests may lie in somebody's home."""
    names = [sys.executable, *(f"/usr/bin/{each}" for each in ("python3", "python3.13"))]
    for name in names:
        real = Path(name).resolve()
        if os.geteuid() != 0 or all(
            part.stat().st_mode & 0o001 for part in (real, *real.parents) if part.exists()
        ):
            test = "import sys, venv; sys.exit(sys.version_info < (3, 11))"
            if subprocess.run([name, "-c", test], check=False).returncode == 0:
                return name
    raise AssertionError("no Python 3.11 or newer that every user may run: install python3")


class Image:
    """``directory`` becomes the image's root. Building takes minutes: packages are installed."""

    def __init__(self, directory: Path) -> None:
        self.venv = directory / "opt" / "tidegate"
        self._context = directory / "src"
        self._python = _open_python()
        self.data = directory / "data"
        self.directory = directory

    def build(self) -> None:
        """Run every step of the build stage. Raises with what a step said."""
        self._context.mkdir(parents=True)
        self.data.mkdir()
        for step in stages()[0]:
            if step.name == "COPY":
                self._copy(step)
            elif step.name == "RUN":
                self._run(step)

    def _copy(self, step: Step) -> None:
        *sources, target = step.text.split()
        for source in sources:
            place = self._context / target
            if (ROOT / source).is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
                shutil.copytree(ROOT / source, place, ignore=ignored, dirs_exist_ok=True)
            else:
                place.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / source, place)

    def _run(self, step: Step) -> None:
        words = [self._here(word) for word in step.words]
        if words[:3] == ["python", "-m", "venv"]:
            words[0] = self._python
        elif words[0] == "python":  # pip: the image's own, here that of the tests
            words[0] = sys.executable
        done = subprocess.run(
            words,
            cwd=self._context,
            env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"},
            capture_output=True,
            text=True,
            timeout=_STEP_S,
            check=False,
        )
        assert done.returncode == 0, f"{step.text}\n{done.stdout}{done.stderr}"

    def _here(self, word: str) -> str:
        for place, mine in zip(_PLACES, (self.venv, self._context), strict=True):
            word = word.replace(place, str(mine))
        return word

    def environment(self) -> dict[str, str]:
        """What the final stage sets, with the folders of this image."""
        (text,) = [step.text for step in stages()[-1] if step.name == "ENV"]
        found = dict(re.findall(r"(\w+)=(\S+)", text))
        scratch = self.directory / "tmp"
        scratch.mkdir(exist_ok=True)
        scratch.chmod(0o1777)
        here = {
            key: str(scratch) if each.startswith(_SCRATCH) else self._here(each)
            for key, each in found.items()
        }
        return {**here, "TMPDIR": str(scratch), "SERVER_HOST": "127.0.0.1"}

    def command(self, name: str) -> list[str]:
        """The words of an instruction of the final stage, programs found in the image."""
        (step,) = [step for step in stages()[-1] if step.name == name]
        program, *rest = step.words
        return [str(self.venv / "bin" / program), *rest]

    def run(self, words: Sequence[str], env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Run this to its end as the image's user."""
        return subprocess.run(
            words,
            env={**self.environment(), **env},
            cwd=self.data,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            **_AS_NOBODY,
        )


class InstalledNode(ChildNode):
    """The program of an :class:`Image`, as its user, in a folder that is not its own to write."""

    def __init__(
        self, image: Image, env: Mapping[str, str], log: Path, arguments: Sequence[str]
    ) -> None:
        super().__init__(env, log, arguments)
        self._image = image
        self._env = {**image.environment(), **env, "SERVER_HOST": "127.0.0.1"}
        heartbeat = f"{self._env['TMPDIR']}/heartbeat-{env['SERVER_PORT']}"
        self._env["HEARTBEAT_FILE"] = heartbeat

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._began_at = log.tell()
            self._process = subprocess.Popen(
                [*self._image.command("ENTRYPOINT"), *self._arguments],
                env=self._env,
                cwd=self._image.data,
                stdout=log,
                stderr=log,
                **_AS_NOBODY,
            )

    def is_well(self, *question: str) -> bool:
        """Run the image's health check beside the process."""
        words = [*self._image.command("HEALTHCHECK"), *question]
        return self._image.run(words, self._env).returncode == 0

    def status(self, name: str) -> str:
        """A line of what the kernel says of the process."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(rf"^{name}:\s*(.*)$", text, re.MULTILINE)
        assert found, name
        return found[1]
