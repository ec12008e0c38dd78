"""``sandbox``: each company alone, as a process, for somebody else's tests."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.integration.cli.conftest import Command


class Company:
    """A company's process and the environment that it announced."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.given: dict[str, str] = {}

    @classmethod
    async def start(cls, directory: Path, lines: int, *arguments: str, **env: str) -> Company:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tidegate",
            "sandbox",
            *arguments,
            cwd=directory,
            env={**os.environ, **env},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        company = cls(process)
        assert process.stdout is not None
        async with asyncio.timeout(120):
            for _ in range(lines):
                name, _, value = (await process.stdout.readline()).decode().strip().partition("=")
                company.given[name] = value
        return company

    async def stop(self, sign: int) -> int:
        self.process.send_signal(sign)
        async with asyncio.timeout(60):
            return await self.process.wait()


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
async def test_the_bank_runs_alone(tmp_path: Path, sign: int) -> None:
    """It prints what to set, speaks Lenco v1 with that token, and stops cleanly when told to."""
    bank = await Company.start(
        tmp_path, 3, "bank", "--port", "0", "--webhook-url", "", "--opening-balance", "2500.50",
        "--token", "a-token-for-play",
    )  # fmt: skip
    assert bank.given["LENCO_API_KEY"] == "a-token-for-play"
    account = bank.given["LENCO_ACCOUNT_ID"]
    url = f"{bank.given['LENCO_BASE_URL']}/account/{account}/balance"
    async with aiohttp.ClientSession() as session:
        headers = {"Authorization": "Bearer a-token-for-play"}
        async with session.get(url, headers=headers) as answer:
            assert (await answer.json())["data"]["availableBalance"] == "2500.50"
        async with session.get(url) as answer:
            assert answer.status == 401
    assert await bank.stop(sign) == 0


async def test_the_aggregator_runs_alone(tmp_path: Path) -> None:
    """Its secret may come from a variable, and is then not printed; faults and seed are taken."""
    client = "9e107d9d-372b-4b62-8b1a-0d2c3e4f5a6b"
    aggregator = await Company.start(
        tmp_path, 3, "aggregator", "--port", "0", "--client-id", client, "--secret-env", "SHARED",
        "--fault", "offer_twice=0.5", "--fault", "accept_500", "--seed", "7",
        SHARED="shared-for-play",
    )  # fmt: skip
    assert aggregator.given["AGGREGATOR_CLIENT_ID"] == client
    assert aggregator.given["AGGREGATOR_DIALECT"] == "live"
    assert "AGGREGATOR_SECRET_KEY" not in aggregator.given
    async with aiohttp.ClientSession() as session:
        url = f"{aggregator.given['AGGREGATOR_BASE_URL']}/_sandbox/faults"
        async with session.get(url) as answer:
            plan = (await answer.json())["data"]
    assert plan["seed"] == 7
    assert plan["rates"] == {"offer_twice": 0.5, "accept_500": 1.0}
    assert await aggregator.stop(signal.SIGTERM) == 0


def test_the_faults_are_listed_with_their_meaning(tidegate: Command) -> None:
    """The list of faults is the documentation."""
    listed = tidegate("sandbox", "faults", "--json").json
    assert "declined" in listed["bank"]
    assert "accept_500" in listed["aggregator"]
    assert all(meaning for of in listed.values() for meaning in of.values())


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("bank", "--fault", "decline"), "declined?"),
        (("bank", "--fault", "declined=2"), "0 to 1"),
        (("bank", "--fault", "declined=often"), "0 to 1"),
        (("bank", "--delay", "5-1"), "no delay"),
        (("bank", "--opening-balance", "1.005"), "no amount"),
        (("bank", "--opening-balance", "NaN"), "no amount"),
        (("aggregator", "--client-id", "me"), "UUID"),
        (("aggregator", "--dialect", "dead"), "live or spec"),
        (("aggregator", "--secret-env", "NO_SUCH_THING"), "not set"),
    ],
)
def test_what_cannot_be_played_is_refused(
    tidegate: Command, arguments: tuple[str, ...], hint: str
) -> None:
    """Before anything listens, with exit code 2."""
    ran = tidegate("sandbox", *arguments)
    assert ran.code == 2
    assert hint in ran.err
