"""Processes of the program, quickly born: one has imported it, and copies itself when asked.

A start of the program costs seconds of processor time, nearly all of it imports, and a run of the
tests makes hundreds. What a copy runs is the program from its command line on, in a process of its
own with an environment of its own, which can be killed like any other.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, Protocol

__all__ = ["Process", "run", "start"]

_STEP_S = 0.005
# Linux: the signal that a process gets when its parent ends (prctl(2)).
_PR_SET_PDEATHSIG = 1


class Process(Protocol):
    """What is asked of a process: as of a ``subprocess.Popen``."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int, /) -> None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


def start(arguments: Sequence[str], *, env: Mapping[str, str], cwd: Path, log: Path) -> Process:
    """Run ``tidegate`` with these arguments; what it says is appended to ``log``.

    ``PYTHONPATH`` in ``env`` finds another version of the program before this one.
    """
    return _nursery(env.get("PYTHONPATH", "")).bear(arguments, env, cwd, log, log)


def run(
    arguments: Sequence[str], *, env: Mapping[str, str], cwd: Path, timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run it to its end. Raises ``subprocess.TimeoutExpired``."""
    with tempfile.TemporaryDirectory() as place:
        out, err = Path(place, "out"), Path(place, "err")
        process = _nursery(env.get("PYTHONPATH", "")).bear(arguments, env, cwd, out, err)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        words = ["tidegate", *arguments]
        return subprocess.CompletedProcess(words, code, out.read_text(), err.read_text())


@functools.cache
def _nursery(first: str) -> _Nursery:
    made = _Nursery([Path(place) for place in first.split(os.pathsep) if place])
    atexit.register(made.close)
    return made


class _Nursery:
    """The process that is copied; its copies end with it, and it with the tests' process."""

    def __init__(self, first: Sequence[Path]) -> None:
        """``first``: where modules are looked for before the places of the tests."""
        places = os.pathsep.join(str(place.resolve()) for place in (*first, *map(Path, sys.path)))
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": places},
        )
        self._asking = threading.Lock()

    def bear(
        self, arguments: Sequence[str], env: Mapping[str, str], cwd: Path, out: Path, err: Path
    ) -> _Born:
        """A new process."""
        order = {
            "arguments": list(arguments),
            "env": dict(env),
            "cwd": str(cwd),
            "out": str(out.resolve()),
            "err": str(err.resolve()),
        }
        return _Born(self, self.ask({"bear": order}))

    def ask(self, order: Mapping[str, Any]) -> Any:
        """Give one order; the answer."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None  # by their pipes
        assert stdout is not None
        with self._asking:
            stdin.write(json.dumps(order).encode() + b"\n")
            stdin.flush()
            said = stdout.readline()
        assert said, "the nursery ended"
        return json.loads(said)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


class _Born:
    """A copy. Until somebody has heard how it ended its number is nobody else's."""

    def __init__(self, nursery: _Nursery, pid: int) -> None:
        self._nursery = nursery
        self._code: int | None = None
        self.pid = pid

    def poll(self) -> int | None:
        if self._code is None:
            self._code = self._nursery.ask({"look": self.pid})
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        until = time.monotonic() + (timeout or threading.TIMEOUT_MAX)
        while (code := self.poll()) is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
            time.sleep(_STEP_S)
        return code

    def send_signal(self, sig: int, /) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _tend() -> None:
    """Take orders, a line of JSON each, and answer each with a line."""
    # This is what the copies shall not have to do.
    import tidegate.cli.app
    import tidegate.cli.serve  # noqa: F401

    answer: int | None
    for line in sys.stdin.buffer:
        order = json.loads(line)
        if "bear" in order:
            answer = os.fork()
            if answer == 0:
                _live(order["bear"])
        else:
            ended, status = os.waitpid(order["look"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if ended else None
        print(json.dumps(answer), flush=True)


def _live(order: Mapping[str, Any]) -> NoReturn:
    code: Any = 1
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        said = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(os.open(order["out"], said, 0o600), 1)
        os.dup2(os.open(order["err"], said, 0o600), 2)
        os.chdir(order["cwd"])
        os.environ.clear()
        os.environ.update(order["env"])
        sys.argv = ["tidegate", *order["arguments"]]

        from tidegate.cli import main

        main()
        code = 0
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)


if __name__ == "__main__":
    _tend()
