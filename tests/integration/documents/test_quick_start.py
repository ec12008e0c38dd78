"""The quick starts of the README, as a newcomer does them: played companies, a file of settings
made of what they print, and the programs that run until they are stopped."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.support.node import free_port
from tests.unit.docs.documents import ROOT, section
from tidegate.settings.reading import fields, name_of

pytestmark = pytest.mark.long

_PATIENCE_S = 60.0
README = ROOT / "README.md"


def _environment() -> dict[str, str]:
    """This process's, without any setting of ours."""
    ours = {name_of(field) for _, _, field in fields()}
    return {name: value for name, value in os.environ.items() if name not in ours}


async def _start(directory: Path, *words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tidegate", *words, cwd=directory, env=_environment(),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip


@asynccontextmanager
async def _running(directory: Path, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The program while the block runs; it has to stop well when it is told to."""
    process = await _start(directory, *words)
    try:
        yield process
        assert process.returncode is None, f"{words} ended by itself"
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(_PATIENCE_S):
            await process.communicate()
    # A server that ended in order dies of the signal that ended it, as servers do.
    assert process.returncode in {0, -signal.SIGTERM}, words


async def _done(directory: Path, *words: str) -> str:
    process = await _start(directory, *words)
    async with asyncio.timeout(_PATIENCE_S):
        out, _ = await process.communicate()
    assert process.returncode == 0, (words, out.decode())
    return out.decode()


async def _lines(process: asyncio.subprocess.Process, count: int) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(_PATIENCE_S):
        return "".join([(await process.stdout.readline()).decode() for _ in range(count)])


async def _answers(url: str) -> None:
    async with asyncio.timeout(_PATIENCE_S), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(url) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)


def _shown(heading: str) -> list[list[str]]:
    """The commands that the section shows, without the program."""
    lines = re.findall(r"^\.venv/bin/tidegate (.+)$", section(README, heading), re.MULTILINE)
    return [line.split() for line in lines]


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
async def test_sqlite_with_played_companies(tmp_path: Path, databases: object) -> None:
    """`.env` of what the sandboxes print and a secret: migrate, doctor, serve, as the page says."""
    port = free_port()
    companies = section(README, "A sandbox for someone else's tests")
    named = re.findall(r"tidegate sandbox (aggregator|bank|cards) --port", companies)
    assert named == ["aggregator", "bank", "cards"]
    node = f"http://127.0.0.1:{port}"
    async with (
        _running(tmp_path, "sandbox", "aggregator", "--port", "0", "--node-url", node) as one,
        _running(
            tmp_path, "sandbox", "bank", "--port", "0", "--webhook-url", f"{node}/webhooks/psp"
        ) as two,
        _running(tmp_path, "sandbox", "cards", "--port", "0") as three,
    ):
        printed = [await _lines(one, 4), await _lines(two, 3), await _lines(three, 3)]
        settings = ["SECRET_KEY=a-secret-of-thirty-two-characters-or-more", f"SERVER_PORT={port}"]
        (tmp_path / ".env").write_text("".join(printed) + "\n".join(settings) + "\n")
        shown = _shown("Quick start with SQLite")
        assert shown == [["migrate"], ["doctor"], ["serve"]]
        await _done(tmp_path, "migrate")
        assert "failed: 0" in await _done(tmp_path, "doctor")
        async with _running(tmp_path, "serve"):
            for path in ("health", "ready", "info", "metrics"):
                await _answers(f"{node}/{path}")


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
async def test_payments_with_a_played_processor(tmp_path: Path, databases: object) -> None:
    """The three lines of `sandbox cards` and DEBUG are all that the payment API needs."""
    port = free_port()
    assert _shown("Quick start for payments") == [["sandbox", "cards"], ["serve", "--migrate"]]
    async with _running(tmp_path, "sandbox", "cards", "--port", "0") as cards:
        given = await _lines(cards, 3)
        (tmp_path / ".env").write_text(f"{given}DEBUG=true\nSERVER_PORT={port}\n")
        async with _running(tmp_path, "serve", "--migrate"):
            await _answers(f"http://127.0.0.1:{port}/docs")
            assert await _paid(f"http://127.0.0.1:{port}/api") == "succeeded"


async def _paid(api: str) -> str:
    """Register, log in, store the card, pay."""
    who = {"email": "ada@example.com", "password": "seven purple tractors"}
    async with aiohttp.ClientSession() as session:
        await (await session.post(f"{api}/auth/register", json=who)).json()
        grant = await (await session.post(f"{api}/auth/login", json=who)).json()
        head = {"Authorization": f"Bearer {grant['access_token']}", "Idempotency-Key": "first"}
        card = {"token": "pm_card_visa"}
        method = await (
            await session.post(f"{api}/payment-methods", json=card, headers=head)
        ).json()
        wish = {"amount": 2500, "currency": "EUR", "payment_method_id": method["id"]}
        made = await (await session.post(f"{api}/payments", json=wish, headers=head)).json()
        return str(made["status"])


@pytest.mark.parametrize("databases", ["postgresql"], indirect=True)
async def test_postgresql_in_two_processes(tmp_path: Path, database_url: str) -> None:
    """Migrated first, then requests and work apart."""
    assert _shown("Quick start with PostgreSQL")[-2:] == [["serve", "--no-worker"], ["worker"]]
    port = free_port()
    nobody = "http://127.0.0.1:9"
    lines = [
        f"DATABASE_URL={database_url}",
        "DEBUG=true",
        f"SERVER_PORT={port}",
        f"LENCO_BASE_URL={nobody}",
        f"AGGREGATOR_BASE_URL={nobody}",
    ]
    (tmp_path / ".env").write_text("\n".join(lines) + "\n")
    await _done(tmp_path, "migrate")
    async with _running(tmp_path, "serve", "--no-worker"), _running(tmp_path, "worker"):
        await _answers(f"http://127.0.0.1:{port}/ready")
