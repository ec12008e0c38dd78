"""Worlds with real companies, and a terminal beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.integration.documents.terminal import Here, Shell, Terminal
from tests.support.world import open_world

__all__ = ["open_terminal", "open_world"]

OpenTerminal = Callable[[Mapping[str, str]], Terminal]


@pytest.fixture(params=["here", pytest.param("shell", marks=pytest.mark.long)])
def open_terminal(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> OpenTerminal:
    """``open_terminal(env)``: in this process, and as a reader does it (long)."""
    directory = tmp_path / "reader"
    directory.mkdir()

    def make(env: Mapping[str, str]) -> Terminal:
        if request.param == "here":
            return Here(directory, env, monkeypatch)
        return Shell(directory, env)

    return make
