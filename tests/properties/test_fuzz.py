"""The targets under a fuzzer that is guided by the code it reaches."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.properties.targets import TARGETS

_ROOT = Path(__file__).parents[2]
_SECONDS = 15
_DONE = re.compile(r"^Done (\d+) runs", re.MULTILINE)

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        find_spec("atheris") is None,
        reason="the fuzzer has wheels for CPython 3.11 to 3.13 on Linux x86-64 only",
    ),
]


def fuzz(folder: Path, target: str, *options: str) -> subprocess.CompletedProcess[str]:
    """One run in a process of its own; what it leaves behind stays in ``folder``."""
    return subprocess.run(
        [sys.executable, "-m", "tests.properties.fuzz", target, *options],
        cwd=_ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_SECONDS * 10,
    )


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_no_input_that_the_fuzzer_finds_does_harm(tmp_path: Path, target: str) -> None:
    """It ends because its time is over. The last lines of a failure hold the input in base64."""
    ended = fuzz(tmp_path, target, f"-max_total_time={_SECONDS}", f"-seed={os.getpid()}")
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-4000:]
    runs = _DONE.search(ended.stderr)
    assert runs, ended.stderr[-1000:]
    assert int(runs[1]) > 100


def test_the_fuzzer_finds_what_chance_would_not(tmp_path: Path) -> None:
    """A fault behind five comparisons is reached one by one, and ends the run with its input."""
    ended = fuzz(tmp_path, "tests.properties.planted:five_letters", "-runs=1000000", "-seed=1")
    assert ended.returncode != 0
    assert "AssertionError: found" in ended.stdout + ended.stderr
    found = re.search(r"^Base64: (\S+)$", ended.stderr, re.MULTILINE)
    assert found
    assert base64.b64decode(found[1]).startswith(b"fault")
