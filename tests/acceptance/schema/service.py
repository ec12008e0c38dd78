"""The service as its own process, between a played card processor and nobody else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from tests.acceptance.counterparty.node import free_port
from tests.acceptance.counterparty.server import send

__all__ = ["PASSWORD", "ROOT", "SECRETS", "Service"]

ROOT = Path(__file__).parents[3]
PASSWORD = "eleven quiet submarines"
"""Of every user."""
SECRETS = {
    "STRIPE_API_KEY": "sk_test_0123456789abcdef",
    "STRIPE_WEBHOOK_SECRET": "whsec_0123456789abcdef",
    "AGGREGATOR_CLIENT_ID": "3f2c1b0a-9d8e-4f7a-8b6c-5d4e3f2a1b0c",
    "AGGREGATOR_SECRET_KEY": "c2VjcmV0LW9mLXRoZS1hZ2dyZWdhdG9yLTAxMjM0NTY=",
    "LENCO_API_KEY": "lenco-key-of-the-tests",
}
_START_S_MAX = 120
_STOP_S_MAX = 60


class Service:
    """Starts and stops the service; its log is JSON, one event a line.

    With ``roomy`` no limit is reached; otherwise they are what they are in production.
    """

    def __init__(self, directory: Path, *, roomy: bool) -> None:
        self.log = directory / "service.log"
        self.database = directory / "service.db"
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        port, cards = free_port(), free_port()
        nobody = f"http://127.0.0.1:{free_port()}"
        self.url = f"http://127.0.0.1:{port}"
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self._env = {
            **kept,
            **SECRETS,
            "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT))),
            "DEBUG": "true",
            "LOG_LEVEL": "INFO",
            "LOG_FORMAT": "json",
            "DATABASE_URL": f"sqlite:///{self.database}",
            "SERVER_HOST": "127.0.0.1",
            "SERVER_PORT": str(port),
            "CARDS_PORT": str(cards),
            "SECRET_KEY": "a-secret-of-the-tests-with-more-than-32-characters",
            "STRIPE_API_BASE": f"http://127.0.0.1:{cards}",
            "AGGREGATOR_BASE_URL": nobody,
            "LENCO_BASE_URL": nobody,
            "LENCO_ACCOUNT_ID": "account-of-the-tests",
            "ACCESS_TOKEN_TTL": "7200",
            "WORK_POLL_INTERVAL": "1",
            **({"AUTH_RATE_LIMIT": "10000", "ROOMY": "yes"} if roomy else {}),
        }

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.acceptance.schema.program"],
                cwd=self._directory,  # away from a developer's own .env
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _START_S_MAX
        while time.monotonic() < deadline:
            assert self._process.poll() is None, f"it ended at its start: {self.tail()}"
            try:
                if send("GET", f"{self.url}/health").status == 200:
                    return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"it never answered: {self.tail()}")

    def stop(self) -> None:
        """Ask it to end, and wait; one that does not listen is killed."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.terminate()
        try:
            process.wait(_STOP_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def tail(self) -> str:
        """The end of its log, for the message of a failure."""
        return self.log.read_text(errors="replace")[-3000:]

    def complaints(self) -> list[str]:
        """Lines of the log that are errors, or that are no log lines at all."""
        found = []
        # Not splitlines: a text from outside may hold what it takes for an end of line.
        for line in filter(None, self.log.read_text(errors="replace").split("\n")):
            try:
                level = json.loads(line)["level"]
            except (ValueError, KeyError, TypeError):
                found.append(line)
                continue
            if level.upper() in ("ERROR", "CRITICAL"):
                found.append(line)
        return found
