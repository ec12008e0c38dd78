"""Commands and the database: beside whoever serves, and where there is none."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy import select, text

from tests.integration.cli.conftest import Command
from tests.integration.cli.world import ENVIRONMENT
from tests.support import nursery
from tidegate.cases.tables import cases as cases_table
from tidegate.clock import Randomness, SystemClock
from tidegate.db.engine import open_database
from tidegate.db.lock import ServingLock
from tidegate.db.url import parse
from tidegate.sandbox.aggregator import SandboxAggregator
from tidegate.sandbox.bank import SandboxBank
from tidegate.sandbox.faults import BankFault, BankFaults

TOKEN, ACCOUNT_ID = "sandbox-token-of-the-tests", "1c59801f-cde0-42df-ac84-2a17d780f259"
# How long a fact may take on a busy machine.
_PATIENCE_S = 120
PAID, HELD = "0123456789", "0123456799"


def test_a_database_that_is_not_there_is_not_made(
    tidegate: Command, environment: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reading command must not leave an empty file that looks like a database."""
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/none.db")
    ran = tidegate("orders", "list")
    assert ran.code == 2
    assert "tidegate migrate" in ran.err
    assert not (tmp_path / "none.db").exists()


def test_a_database_without_tables_is_refused(
    tidegate: Command, environment: None, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence names the command that makes them."""
    if database_url.startswith("sqlite"):
        Path(database_url.removeprefix("sqlite:///")).touch()
    monkeypatch.setenv("DATABASE_URL", database_url)
    ran = tidegate("balances")
    assert ran.code == 2
    assert "tidegate migrate" in ran.err


def test_a_server_that_is_away_is_a_sentence(
    tidegate: Command, environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No traceback, no password."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("DATABASE_URL", f"postgresql://me:hush-hush@127.0.0.1:{port}/books")
    ran = tidegate("ledger", "audit")
    assert ran.code == 2
    assert "cannot be used" in ran.err
    assert "hush-hush" not in ran.err


def _leave_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What serves or migrates takes over this process's logs, which outlives a captured stream."""
    monkeypatch.setattr("tidegate.cli.serve.configure_logs", lambda settings: None)


@pytest.mark.parametrize("command", ["serve", "worker", "orders list"])
def test_a_schema_that_this_version_does_not_run_on_is_refused(
    tidegate: Command, url: str, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """Before anything begins, in one sentence that says who migrated it and what to do."""
    if command == "worker" and url.startswith("sqlite"):
        return
    _leave_logs(monkeypatch)

    async def become_newer() -> None:
        database = open_database(parse(url), SystemClock())
        for change in (
            "UPDATE alembic_version SET version_num = '0990'",
            "UPDATE schema_record SET oldest_code = '0980', migrated_by = '9.9.9'",
        ):
            await database.write(lambda c, change=change: c.execute(text(change)))  # type: ignore[misc]
        await database.close()

    asyncio.run(become_newer())
    ran = tidegate(*command.split())
    assert ran.code == 2
    assert "schema 0990 (migrated by Tidegate 9.9.9)" in ran.err
    assert "--down-to" in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
def test_nothing_migrates_a_file_that_is_served(
    tidegate: Command, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one process that serves would go on with statements for the schema before."""
    _leave_logs(monkeypatch)
    with ServingLock(parse(url)):
        ran = tidegate("migrate")
    assert ran.code == 2
    assert "stop it first" in ran.err
    assert tidegate("migrate").code == 0


class _Node:
    """A serving process with played companies, and commands beside it as other processes."""

    def __init__(self, directory: Path, database_url: str) -> None:
        clock = SystemClock()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        node_url = f"http://127.0.0.1:{self.port}"
        self.bank = SandboxBank(
            clock,
            Randomness(clock),
            token=TOKEN,
            account_id=ACCOUNT_ID,
            opening_balance=Decimal(50_000),
            webhook_url=f"{node_url}/webhooks/psp",
            faults=BankFaults(),
        )
        self.bank.faults.plan.set(HELD, BankFault.DECLINED)
        self.aggregator = SandboxAggregator(
            clock,
            Randomness(clock),
            client_id=ENVIRONMENT["AGGREGATOR_CLIENT_ID"],
            secret=ENVIRONMENT["AGGREGATOR_SECRET_KEY"],
            node_url=node_url,
        )
        self._directory = directory
        self._environment = {
            **os.environ,
            **ENVIRONMENT,
            "DATABASE_URL": database_url,
            "SERVER_PORT": str(self.port),
            "LENCO_API_KEY": TOKEN,
            "LENCO_ACCOUNT_ID": ACCOUNT_ID,
            "AGGREGATOR_DIALECT": "live",
            "LOOKUP_SCHEDULE": "1,1,1,600",
            "LOG_LEVEL": "ERROR",
        }
        self._serving: nursery.Process | None = None

    async def __aenter__(self) -> _Node:
        self._environment["LENCO_BASE_URL"] = await self.bank.start()
        self._environment["AGGREGATOR_BASE_URL"] = await self.aggregator.start()
        self._serving = nursery.start(
            ["serve", "--migrate"],
            env=self._environment,
            cwd=self._directory,
            log=self._directory / "node.log",
        )
        async with asyncio.timeout(_PATIENCE_S), aiohttp.ClientSession() as session:
            while True:
                assert self._serving.poll() is None, "the node ended by itself"
                try:
                    url = f"http://127.0.0.1:{self.port}/ready"
                    async with session.get(url) as answer:
                        checks = (await answer.json())["data"]["checks"]
                        if checks.get("psp:lenco") == "ok" and answer.status == 200:
                            return self
                except aiohttp.ClientError:
                    pass  # not listening yet
                await asyncio.sleep(0.1)

    async def __aexit__(self, *_: object) -> None:
        if self._serving is not None:
            self._serving.terminate()
            await asyncio.to_thread(self._serving.wait, _PATIENCE_S)
        await self.aggregator.stop()
        await self.bank.stop()

    async def command(self, *arguments: str) -> tuple[int | None, Any]:
        """Run a command as a process of its own; its exit code and its JSON."""
        ran = await asyncio.to_thread(
            nursery.run,
            [*arguments, "--json"],
            env=self._environment,
            cwd=self._directory,
            timeout=_PATIENCE_S,
        )
        return ran.returncode, json.loads(ran.stdout)


async def _opened(database_url: str, kind: str) -> None:
    """Wait for a case, without a process for each look."""
    database = open_database(parse(database_url), SystemClock(), pool_size=1)
    kinds = select(cases_table.c.kind)
    try:
        async with asyncio.timeout(_PATIENCE_S):
            while kind not in await database.read(  # noqa: ASYNC110 -- a row wakes nobody
                lambda connection: connection.execute(kinds).scalars().all()
            ):
                await asyncio.sleep(0.05)
    finally:
        await database.close()


async def test_commands_work_beside_the_process_that_serves(
    tmp_path: Path, database_url: str
) -> None:
    """One order is paid and one is held; every reading agrees, and writes are not locked out."""
    async with _Node(tmp_path, database_url) as node:
        paid = await node.aggregator.offer(
            Decimal(1500), institution="GTBINGLA", account=PAID, account_name="ADA OBI"
        )
        held = await node.aggregator.offer(
            Decimal(1600), institution="GTBINGLA", account=HELD, account_name="ADA OBI"
        )
        await node.aggregator.wait_for(paid, {"settled"}, _PATIENCE_S)
        await _opened(database_url, "payout_held")
        _, listed = await node.command("cases", "list")
        cases = listed["cases"]
        assert [case["kind"] for case in cases] == ["payout_held"]

        (_, story), (_, other), (code, audit), (_, balances) = await asyncio.gather(
            node.command("orders", "show", paid),
            node.command("orders", "show", held),
            node.command("ledger", "audit"),
            node.command("balances"),
        )
        assert story["order"]["state"] == "fulfilled"
        assert {"offer", "event", "exchange", "observation", "entry", "webhook"} <= {
            line["kind"] for line in story["story"]
        }
        assert other["waiting"]["on"] == "a person"
        assert other["waiting"]["next"], "a held transfer is still asked about"
        assert (code, audit["ok"]) == (0, True)
        (lenco,) = balances["balances"]
        # 1,500 and its fee of 43.50 are gone, 1,600 and the highest fee are reserved.
        assert (lenco["available"], lenco["reserved"]) == (46_756_50, 1_700_00)

        code, closed = await node.command("cases", "close", str(cases[0]["id"]), "--note", "seen")
        assert (code, closed["state"]) == (0, "closed")
        code, doctor = await node.command("doctor")
        assert code == 0, doctor
        verdicts = {check["name"]: check["verdict"] for check in doctor["checks"]}
        assert verdicts["worker"] == verdicts["aggregator reaches us"] == "ok"
