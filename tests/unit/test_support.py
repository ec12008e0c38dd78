"""The tests' own tools: databases are fresh, and nothing leaves this machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
import uvloop

import tidegate
from tests.support import nursery
from tests.support.databases import Prepare
from tests.support.network import NetworkGuard, RealHostError
from tidegate import __version__


def _execute(url: str, statement: str) -> list[str]:
    """Run a statement on either kind of database; the first column of what it finds."""
    if url.startswith("sqlite:///"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        try:
            return [str(row[0]) for row in connection.execute(statement)]
        finally:
            connection.close()

    async def fetch() -> list[str]:
        link = await asyncpg.connect(url)
        try:
            return [str(row[0]) for row in await link.fetch(statement)]
        finally:
            await link.close()

    return asyncio.run(fetch())


@pytest.mark.parametrize("again", [1, 2])
def test_a_database_is_fresh_each_time(database_url: str, again: int) -> None:
    """A table made by one test is not there for the next, on both kinds of database."""
    _execute(database_url, "CREATE TABLE mark (x INTEGER)")
    assert _execute(database_url, "SELECT count(*) FROM mark") == ["0"]


async def test_a_database_can_be_used_inside_an_event_loop(database_url: str) -> None:
    """The fixture works for asynchronous tests and leaves their loop alone."""
    if database_url.startswith("postgresql://"):
        link = await asyncpg.connect(database_url)
        assert await link.fetchval("SELECT 1") == 1
        await link.close()
    assert asyncio.get_running_loop().is_running()


def test_clones_have_what_the_template_had_and_not_each_others(
    make_template: Callable[[str, Prepare], Callable[[], str]],
) -> None:
    """A template is prepared once, and a change to one clone shows in no other."""
    prepared: list[str] = []

    def prepare(url: str) -> None:
        prepared.append(url)
        _execute(url, "CREATE TABLE mark (x INTEGER)")

    clone = make_template("support_check", prepare)
    first, second = clone(), clone()
    _execute(first, "INSERT INTO mark VALUES (1)")
    assert _execute(first, "SELECT count(*) FROM mark") == ["1"]
    assert _execute(second, "SELECT count(*) FROM mark") == ["0"]
    assert len(prepared) == 1
    assert len({prepared[0], first, second}) == 3


def test_urls_are_in_the_common_spelling(database_url: str) -> None:
    """The URL names no driver, as an operator would write it."""
    assert urlsplit(database_url).scheme in ("sqlite", "postgresql")


def test_connecting_elsewhere_is_refused(network_guard: NetworkGuard) -> None:
    """Connecting to a foreign address raises before a packet leaves."""
    with socket.socket() as sock, pytest.raises(RealHostError, match=r"192\.0\.2\.1"):
        sock.connect(("192.0.2.1", 443))
    with socket.socket() as sock, pytest.raises(RealHostError):
        sock.connect_ex(("192.0.2.2", 443))
    with socket.socket(type=socket.SOCK_DGRAM) as sock, pytest.raises(RealHostError):
        sock.sendto(b"x", ("192.0.2.3", 53))
    assert network_guard.attempts == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
    network_guard.attempts.clear()


async def test_an_asynchronous_connection_elsewhere_is_refused(
    network_guard: NetworkGuard,
) -> None:
    """The event loop's own way out is guarded, by address and by name."""
    with pytest.raises(RealHostError):
        await asyncio.open_connection("192.0.2.1", 443)
    with pytest.raises(RealHostError):
        await asyncio.open_connection("bank.example", 443)
    network_guard.attempts.clear()


def test_uvloop_is_guarded_too(network_guard: NetworkGuard) -> None:
    """The loop that production uses reaches nobody either, though it connects in C."""

    async def reach(host: str) -> None:
        await asyncio.open_connection(host, 443)

    async def look_up() -> None:
        await asyncio.get_running_loop().getaddrinfo("bank.example", 443)

    for attempt in (reach("192.0.2.1"), reach("bank.example"), look_up()):
        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        with runner, pytest.raises(RealHostError):
            runner.run(attempt)
    assert network_guard.attempts == ["192.0.2.1", "bank.example", "bank.example"]
    network_guard.attempts.clear()


async def test_loopback_is_open(network_guard: NetworkGuard) -> None:
    """A small server on 127.0.0.1 can be spoken to, by address and as localhost."""

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"here")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        for host in ("127.0.0.1", "localhost"):
            reader, writer = await asyncio.open_connection(host, port)
            assert await reader.read() == b"here"
            writer.close()
            await writer.wait_closed()
    assert network_guard.attempts == []


def test_a_swallowed_refusal_is_remembered(network_guard: NetworkGuard) -> None:
    """Code that catches everything does not hide that it tried."""
    with contextlib.suppress(Exception):
        socket.create_connection(("192.0.2.1", 443), timeout=1)
    assert network_guard.attempts == ["192.0.2.1"]
    network_guard.attempts.clear()


def test_a_process_from_the_nursery_is_the_program(tmp_path: Path) -> None:
    """What it says and how it ends reach the test, as of a process that was started as usual."""
    env = {"PATH": os.environ["PATH"]}
    shown = nursery.run(["--version"], env=env, cwd=tmp_path, timeout=60)
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, f"{__version__}\n", "")
    wrong = nursery.run(["balance"], env=env, cwd=tmp_path, timeout=60)
    assert wrong.returncode == 2
    assert "balance" in wrong.stderr


def test_a_process_from_the_nursery_can_be_killed(tmp_path: Path) -> None:
    """And says so; one that goes on is waited for so long and no longer."""
    env = {"PATH": os.environ["PATH"]}
    words, log = ["sandbox", "bank", "--port", "0"], tmp_path / "log"
    process = nursery.start(words, env=env, cwd=tmp_path, log=log)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.05)
    process.kill()
    assert process.wait(60) == process.poll() == -signal.SIGKILL
    process.kill()  # nobody else's number


def test_a_nursery_of_another_version_bears_that_version(tmp_path: Path) -> None:
    """Else a test of two versions side by side would be one of this version beside itself."""
    shutil.copytree(Path(*tidegate.__path__), tmp_path / "src" / "tidegate")
    (tmp_path / "src" / "tidegate" / "__init__.py").write_text('__version__ = "77.0"\n')
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path / "src")}
    shown = nursery.run(["--version"], env=env, cwd=tmp_path, timeout=60)
    assert shown.stdout == "77.0\n"
    env.pop("PYTHONPATH")
    ours = nursery.run(["--version"], env=env, cwd=tmp_path, timeout=60)
    assert ours.stdout == f"{__version__}\n"
