"""``data``: keys are counted, changed and missed; other commands refuse what they cannot read."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from tests.integration.cli.conftest import Command, on_database
from tests.integration.cli.world import ACCOUNT, FULFILLED, NAME
from tidegate.cli.checks import Verdict, check_database
from tidegate.cli.database import command_settings
from tidegate.cli.loop import run
from tidegate.cli.schema import refuse_unusable
from tidegate.db.cipher import Cipher
from tidegate.errors import ConfigurationError
from tidegate.payouts.tables import payouts

_KEY, _NEXT = "a-key-of-the-tests-0123456789-0123456789", "another-key-of-the-tests-0123456789-0123"


def _id(key: str) -> str:
    found = Cipher(key).current_id
    assert found is not None
    return found


def _roles(told: Any) -> dict[str | None, str]:
    return {each["key"]: each["is"] for each in told["keys"]}


def _doctor() -> Any:
    checks = run(check_database(command_settings())).checks
    return next(check for check in checks if check.name == "data keys")


def test_a_key_comes_changes_and_goes(
    tidegate: Command, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain, under a key, under the next one, plain again: each step is counted and proven by exit
    codes, and an order can be shown all the while."""
    assert _doctor().verdict is Verdict.OK
    told = tidegate("data", "keys", "--json").json
    assert _roles(told) == {None: "plain"}
    values = told["keys"][0]["values"]

    monkeypatch.setenv("DATA_KEY", _KEY)
    assert _doctor().verdict is Verdict.WARN
    ran = tidegate("data", "rekey", "--json")
    assert (ran.code, ran.json["unreadable"], ran.json["forgotten"]) == (0, 0, [])
    assert sum(ran.json["rekeyed"].values()) == values
    assert _roles(ran.json) == {_id(_KEY): "current"}
    assert sum(tidegate("data", "rekey", "--json").json["rekeyed"].values()) == 0
    assert _doctor().verdict is Verdict.OK
    shown = tidegate("orders", "show", FULFILLED, "--full")
    assert shown.code == 0
    assert ACCOUNT[-4:] in shown.out
    assert ACCOUNT not in shown.out
    assert "encrypted:" not in shown.out

    monkeypatch.setenv("DATA_KEY", _NEXT)
    monkeypatch.setenv("DATA_KEY_PREVIOUS", _KEY)
    assert _roles(tidegate("data", "keys", "--json").json) == {_id(_KEY): "previous"}
    assert "under the key" not in tidegate("orders", "show", FULFILLED).err
    ran = tidegate("data", "rekey")
    assert ran.code == 0
    assert "DATA_KEY_PREVIOUS may go" in ran.out
    monkeypatch.delenv("DATA_KEY_PREVIOUS")
    assert _roles(tidegate("data", "keys", "--json").json) == {_id(_NEXT): "current"}

    monkeypatch.delenv("DATA_KEY")
    monkeypatch.setenv("DATA_KEY_PREVIOUS", _NEXT)
    ran = tidegate("data", "rekey", "--json")
    assert (ran.code, ran.json["forgotten"]) == (0, [_id(_NEXT)])
    monkeypatch.delenv("DATA_KEY_PREVIOUS")
    assert _roles(tidegate("data", "keys", "--json").json) == {None: "plain"}
    assert _doctor().verdict is Verdict.OK
    (recipient,) = _recipients(url, FULFILLED)
    assert recipient["account_name"] == NAME


def test_without_the_key_nothing_is_read_wrongly(
    tidegate: Command, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands are refused with the key's id and what to do; ``data keys`` and doctor say it."""
    monkeypatch.setenv("DATA_KEY", _KEY)
    tidegate("data", "rekey")
    monkeypatch.setenv("DATA_KEY", _NEXT)
    for command in (("orders", "list"), ("orders", "show", FULFILLED), ("data", "rekey")):
        ran = tidegate(*command)
        assert ran.code == 2
        assert _id(_KEY) in ran.err
        assert "DATA_KEY_PREVIOUS" in ran.err
    # What ``serve`` asks first; the command itself would take the log's stream with it.
    with pytest.raises(ConfigurationError, match=_id(_KEY)):
        run(refuse_unusable(command_settings()))
    ran = tidegate("data", "keys", "--json")
    assert (ran.code, _roles(ran.json)) == (1, {_id(_KEY): "missing"})
    check = _doctor()
    assert check.verdict is Verdict.FAIL
    assert _id(_KEY) in check.detail


def test_a_value_that_does_not_open_is_left_and_counted(
    tidegate: Command, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One row was spoilt: everything else is brought under the new key, the old key stays in the
    list, and the exit code says that something is left."""
    monkeypatch.setenv("DATA_KEY", _KEY)
    tidegate("data", "rekey")
    (stored,) = _recipients(url, FULFILLED)

    async def spoil(database: Any) -> None:
        mine = update(payouts).where(payouts.c.order_id == FULFILLED)
        await database.write(lambda c: c.execute(mine.values(recipient=stored[:-8] + "AAAAAAA=")))

    on_database(url, spoil)
    monkeypatch.setenv("DATA_KEY", _NEXT)
    monkeypatch.setenv("DATA_KEY_PREVIOUS", _KEY)
    ran = tidegate("data", "rekey", "--json")
    assert (ran.code, ran.json["unreadable"], ran.json["forgotten"]) == (1, 1, [])
    assert {each["is"]: each["values"] for each in ran.json["keys"]}["previous"] == 1
    monkeypatch.delenv("DATA_KEY_PREVIOUS")
    assert tidegate("orders", "list").code == 2


def test_keys_that_cannot_be_meant_are_refused(
    tidegate: Command, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too short, or the same twice."""
    monkeypatch.setenv("DEBUG", "false")
    monkeypatch.setenv("DATA_KEY", "short")
    assert "DATA_KEY is short" in tidegate("data", "keys").err
    monkeypatch.setenv("DATA_KEY", _KEY)
    monkeypatch.setenv("DATA_KEY_PREVIOUS", _KEY)
    assert "DATA_KEY_PREVIOUS equals DATA_KEY" in tidegate("data", "keys").err


def _recipients(url: str, order_id: str) -> list[Any]:
    def read(connection: Any) -> list[Any]:
        wanted = payouts.select().where(payouts.c.order_id == order_id)
        return [row["recipient"] for row in connection.execute(wanted).mappings()]

    found: list[Any] = on_database(url, lambda database: database.read(read))
    return found
