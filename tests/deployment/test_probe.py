"""The health check of a container, asked every few seconds with the standard library alone."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tidegate.probe import probe


@contextmanager
def _serving(statuses: dict[str, int]) -> Iterator[dict[str, str]]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(statuses[self.path])
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield {"SERVER_HOST": "0.0.0.0", "SERVER_PORT": str(server.server_port)}
        finally:
            server.shutdown()


def test_a_process_that_answers_is_well_and_one_that_stops_is_not_ready() -> None:
    """Alive and ready are two questions."""
    with _serving({"/health": 200, "/ready": 503}) as environment:
        assert probe([], environment) is None
        assert probe(["health"], environment) is None
        assert "503" in (probe(["ready"], environment) or "")
    assert probe([], environment) is not None, "nobody listens any more"


def test_a_worker_is_well_while_its_heart_beats(tmp_path: Path) -> None:
    """A file that is missing, or that nobody touches any more, is a worker that is not well."""
    file = tmp_path / "heartbeat"
    environment = {"HEARTBEAT_FILE": str(file)}
    assert "HEARTBEAT_FILE" in (probe(["worker"], {}) or "")
    assert probe(["worker"], environment) is not None
    file.touch()
    assert probe(["worker"], environment) is None
    os.utime(file, (0, 0))
    assert "old" in (probe(["worker"], environment) or "")


@pytest.mark.parametrize("arguments", [["nothing"], ["ready", "now"]])
def test_a_question_that_there_is_not(arguments: list[str]) -> None:
    """A slip in a manifest shows at once."""
    with pytest.raises(ValueError, match="ask health, ready or worker"):
        probe(arguments, {})


def test_it_costs_little() -> None:
    """The program and its libraries are not loaded for a question."""
    code = "import sys, tidegate.probe; print(len([m for m in sys.modules if 'fastapi' in m or "
    code += "'sqlalchemy' in m or 'structlog' in m]))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "0"
