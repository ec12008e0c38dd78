"""A migrated database with orders in it, and the installed command run in this process."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.world import ENVIRONMENT, fill
from tests.support.databases import Prepare
from tidegate import migrations
from tidegate.cli import database as cli_database
from tidegate.cli import main
from tidegate.cli.schema import inline
from tidegate.clock import SystemClock
from tidegate.db.engine import Database, open_database
from tidegate.db.url import parse
from tidegate.settings.reading import fields, name_of


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Ran]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the developer's reaches a test, neither from the environment nor a file."""
    for _, _, field in fields():
        monkeypatch.delenv(name_of(field), raising=False)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    # Loggers are kept by their first use and would outlive the captured stream.
    monkeypatch.setattr(cli_database, "configure", lambda *_, **__: None)


@pytest.fixture
def tidegate(
    environment: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """``tidegate("orders", "list")`` runs the command as the shell would."""

    def command(*arguments: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["tidegate", *arguments])
        capsys.readouterr()
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
        else:
            code = 0
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    return command


@pytest.fixture
def url(
    monkeypatch: pytest.MonkeyPatch,
    environment: None,
    make_template: Callable[[str, Prepare], Callable[[], str]],
) -> str:
    """A migrated database with the world of ``world.fill``; ``DATABASE_URL`` points at it."""
    found = make_template("cli", _prepare)()
    monkeypatch.setenv("DATABASE_URL", found)
    return found


def _prepare(url: str) -> None:
    async def prepare() -> None:
        database = open_database(parse(url), SystemClock(), executor=inline)
        await migrations.upgrade(database)
        await fill(database)
        await database.close()

    asyncio.run(prepare())


def on_database(url: str, work: Callable[[Database], Any]) -> Any:
    """Run an asynchronous function on the database of ``url``."""

    async def go() -> Any:
        database = open_database(parse(url), SystemClock(), executor=inline, pool_size=2)
        try:
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(go())
