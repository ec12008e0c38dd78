"""Processes of the program, quickly born: one has imported it, and copies itself when asked.

A start of the program costs seconds of processor time, nearly all of it imports, and a long run
makes hundreds. What a copy runs is the program from its command line on, in a process of its own
with an environment of its own, which can be killed like any other.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from tests.support.node import ChildNode

__all__ = ["Nursery", "QuickNode"]

_END_S = 20.0
_STEP_S = 0.005
# Linux: the signal that a process gets when its parent ends (prctl(2)).
_PR_SET_PDEATHSIG = 1


class Nursery:
    """The process that is copied; its copies end with it."""

    def __init__(self) -> None:
        places = os.pathsep.join(str(Path(place).resolve()) for place in sys.path)
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": places},
        )
        self._listen()

    def bear(self, env: Mapping[str, str], arguments: Sequence[str], log: Path) -> int:
        """Run ``tidegate`` with these arguments in a new process; its pid."""
        assert self._process.stdin is not None  # by its pipe
        order = {"env": dict(env), "arguments": list(arguments), "log": str(log)}
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        return int(self._listen())

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()

    def _listen(self) -> bytes:
        assert self._process.stdout is not None  # by its pipe
        said = self._process.stdout.readline()
        assert said, "the nursery ended"
        return said


class QuickNode(ChildNode):
    """The real program in a process from a nursery."""

    def __init__(
        self, nursery: Nursery, env: Mapping[str, str], log: Path, arguments: Sequence[str]
    ) -> None:
        super().__init__(env, log, arguments)
        self._nursery = nursery
        self._pid: int | None = None

    @property
    def pid(self) -> int:
        assert self._pid is not None
        return self._pid

    @property
    def running(self) -> bool:
        return self._pid is not None and Path(f"/proc/{self._pid}").exists()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._began_at = log.tell()
        self._pid = self._nursery.bear(self._env, self._arguments, self._log)

    def _end(self, sign: signal.Signals) -> int | None:
        if self.running:
            os.kill(self.pid, sign)
        until = time.monotonic() + _END_S
        while self.running:
            assert time.monotonic() < until, f"it does not end: {self.tail()}"
            time.sleep(_STEP_S)
        self._pid = None
        return None  # a child of the nursery's, which does not tell


def _bear() -> None:
    """Wait for orders, a line of JSON each, and answer the pid of each new process."""
    import tidegate.cli  # noqa: F401 -- this is what the copies shall not have to do

    # Nobody waits for the dead: the kernel buries them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print("ready", flush=True)
    for line in sys.stdin.buffer:
        pid = os.fork()
        if pid == 0:
            _live(json.loads(line))
        print(pid, flush=True)


def _live(order: Mapping[str, Any]) -> NoReturn:
    code: Any = 1
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        for source, target in ((os.open(os.devnull, os.O_RDONLY), 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        os.chdir(Path(order["log"]).parent)  # away from a developer's own .env
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
        os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    _bear()
