"""Reading the files of a deployment: the steps of the image, and what the overlays come to."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

__all__ = ["OVERLAYS", "ROOT", "Step", "built", "compose", "image", "program", "stages"]

ROOT = Path(__file__).resolve().parents[2]
OVERLAYS = ("staging", "production")


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction; ``words`` where it is in exec form."""

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        found = re.search(r"\[.*\]", self.text, re.DOTALL)
        assert found, f"{self.name} is not in exec form: {self.text}"
        words: list[str] = json.loads(found[0])
        return words


def image() -> list[Step]:
    """The instructions of the Dockerfile, continued lines joined, comments left out."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#"))
    joined = re.sub(r"\\\n\s*", " ", text)
    return [Step(*line.split(" ", 1)) for line in joined.splitlines() if line.strip()]


def stages() -> list[list[Step]]:
    """The instructions of each stage, its FROM first."""
    made: list[list[Step]] = []
    for step in image():
        if step.name == "FROM":
            made.append([])
        if made:
            made[-1].append(step)
    return made


def program(name: str) -> str:
    """Where a checker of the development lock is; its wheel carries it."""
    found = shutil.which(name, path=str(Path(sys.executable).parent))
    assert found, f"{name} is not installed: run `make setup`"
    return found


@functools.cache
def built(overlay: str) -> tuple[dict[str, Any], ...]:
    """The objects that ``kubectl apply -k`` would send."""
    done = subprocess.run(
        [program("kubectl"), "kustomize", str(ROOT / "deploy/kubernetes/overlays" / overlay)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def compose() -> dict[str, Any]:
    """``compose.yaml`` with its anchors resolved."""
    read: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return read
