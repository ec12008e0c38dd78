"""The node as its own process, told everything by its environment."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from tests.acceptance.counterparty.aggregator import CLIENT_ID, SECRET
from tests.acceptance.counterparty.lenco import ACCOUNT_ID, TOKEN
from tests.acceptance.counterparty.server import Answer, send
from tests.support import nursery

__all__ = ["LENCO_TIMEOUT_S", "Node", "free_port", "migrate"]

# Long enough for a machine that is busy with other things.
_MIGRATE_S_MAX = 180
_START_S_MAX = 120
_STOP_S_MAX = 60

# How long the node waits for the bank; a scripted answer that is later is lost.
LENCO_TIMEOUT_S = 2

# Everything that waits for minutes in production waits for a second or two here.
_QUICK = {
    "LOOKUP_SCHEDULE": "1,1,1,1,1",
    "LOOKUP_STEADY": "1",
    "NOT_FOUND_COUNT": "3",
    "NOT_FOUND_WINDOW": "1.5",
    "COOL_OFF": "1.5",
    "ORDER_POLL_INTERVAL": "1",
    "PSP_STATUS_CHECK_INTERVAL": "1",
    "BALANCE_SYNC_INTERVAL": "2",
    "BALANCE_PUSH_GAP": "0.2",
    "EXPIRY_CHECK_INTERVAL": "0.5",
    "WORK_POLL_INTERVAL": "0.2",
    "OFFER_TTL": "30",
    "ACCEPT_MARGIN": "1",
    "AGGREGATOR_TIMEOUT": "4",
    "AGGREGATOR_FULFIL_TIMEOUT": "4",
    "LENCO_TIMEOUT": str(LENCO_TIMEOUT_S),
    "SHUTDOWN_GRACE": "3",
}


def free_port() -> int:
    """A port of this machine that holds no "400", which the aggregator would misread (3)."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if "400" not in str(port):
            return port


def migrate(database_url: str) -> None:
    """Run ``tidegate migrate`` as its own process, in a directory without a ``.env``."""
    with tempfile.TemporaryDirectory() as directory:
        env, place = _environment(database_url), Path(directory)
        done = nursery.run(["migrate"], env=env, cwd=place, timeout=_MIGRATE_S_MAX)
    assert done.returncode == 0, done.stderr[-2000:]


def _environment(database_url: str) -> dict[str, str]:
    """What every process needs; none of the settings of whoever runs the tests."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {
        **kept,
        "DEBUG": "true",
        "DATABASE_URL": database_url,
    }


class Node:
    """Starts, kills and asks the service; its log is ``log`` in ``directory``."""

    def __init__(
        self, directory: Path, database_url: str, aggregator: str, lenco: str, **settings: str
    ) -> None:
        self.port = free_port()
        self.log = directory / "node.log"
        self._directory = directory
        self._process: nursery.Process | None = None
        self._env = {
            **_environment(database_url),
            "SERVER_HOST": "127.0.0.1",
            "SERVER_PORT": str(self.port),
            "SECRET_KEY": "a-secret-of-the-tests-with-more-than-32-characters",
            "AGGREGATOR_BASE_URL": aggregator,
            "AGGREGATOR_CLIENT_ID": CLIENT_ID,
            "AGGREGATOR_SECRET_KEY": SECRET,
            "LENCO_BASE_URL": f"{lenco}/access/v1",
            "LENCO_API_KEY": TOKEN,
            "LENCO_ACCOUNT_ID": ACCOUNT_ID,
            **_QUICK,
            **settings,
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start serving and wait until it answers."""
        self._process = nursery.start(["serve"], env=self._env, cwd=self._directory, log=self.log)
        deadline = time.monotonic() + _START_S_MAX
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"the node ended at its start: {self.tail()}")
            try:
                if self.get("/health").status == 200:
                    return
            except OSError:
                time.sleep(0.05)
        self.kill()
        raise RuntimeError(f"the node never answered: {self.tail()}")

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> int:
        """Ask it to end, and return its exit code; one that does not listen is killed."""
        assert self._process is not None
        process = self._process
        process.terminate()
        try:
            return process.wait(_STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        finally:
            self._process = None

    @property
    def runs(self) -> bool:
        return self._process is not None

    def get(self, path: str) -> Answer:
        return send("GET", self.url + path)

    def tail(self) -> str:
        """The end of its log, for the message of a failure."""
        return self.log.read_text(errors="replace")[-3000:]
