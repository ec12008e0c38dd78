"""``tidegate users``: what operators do to accounts, and what is written down of it."""

from __future__ import annotations

import asyncio
import io
import json
import os
import pwd
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import typer

from tests.integration.users.world import EMAIL, PASSWORD, SECRET, World, rules
from tidegate.cli import database as cli_database
from tidegate.cli import users
from tidegate.clock import SimulatedClock, SystemClock
from tidegate.errors import TidegateError
from tidegate.settings.reading import fields, name_of
from tidegate.users.login import Caller, Grant

ME = pwd.getpwuid(os.getuid()).pw_name
CALLER = Caller("203.0.113.7", "curl/8")


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def command(
    users_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Callable[..., Ran]:
    """``command("list", stdin="...")`` runs ``tidegate users list`` as the shell would."""
    for _, _, field in fields():
        monkeypatch.delenv(name_of(field), raising=False)
    monkeypatch.setenv("DEBUG", "true")
    monkeypatch.setenv("SECRET_KEY", SECRET)
    monkeypatch.setenv("DATABASE_URL", users_url)
    monkeypatch.chdir(tmp_path)
    # Loggers are kept by their first use and would outlive the captured stream.
    monkeypatch.setattr(cli_database, "configure", lambda *_, **__: None)
    app = typer.Typer(pretty_exceptions_enable=False)
    users.register(app)

    def run(*arguments: str, stdin: str = "") -> Ran:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        capsys.readouterr()
        code, said = 0, ""
        try:
            app(["users", *arguments])
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
        except TidegateError as error:
            code, said = 1, error.detail
        out, err = capsys.readouterr()
        return Ran(code, out, err + said)

    return run


def _on(url: str, work: Callable[[World], Any]) -> Any:
    """Run an asynchronous function on the accounts of ``url``."""

    async def go() -> Any:
        world = World(url, SimulatedClock(SystemClock().now_ms()), rules())
        await world.open()
        try:
            return await work(world)
        finally:
            await world.close()

    return asyncio.run(go())


def _log_in(url: str, password: str = PASSWORD) -> Grant:
    grant: Grant = _on(url, lambda world: world.users.log_in(EMAIL, password, CALLER))
    return grant


def _works(url: str, grant: Grant) -> bool:
    async def ask(world: World) -> bool:
        try:
            await world.users.identify(grant.access_token)
        except TidegateError:
            return False
        return True

    answer: bool = _on(url, ask)
    return answer


def _log(url: str) -> list[Sequence[Any]]:
    found: list[Sequence[Any]] = _on(
        url,
        lambda world: world.execute(
            "SELECT actor, origin, action, subject, reason FROM operator_actions ORDER BY id"
        ),
    )
    return found


def test_the_first_operator_is_made_by_the_command(
    command: Callable[..., Ran], users_url: str
) -> None:
    """With a password from standard input, a reason, and a line in the operators' log."""
    made = command(
        "create", EMAIL, "--role", "operator", "--reason", "first one", "--json",
        stdin=PASSWORD + "\n",
    )  # fmt: skip
    assert (made.code, made.json["role"], made.json["email"]) == (0, "operator", EMAIL)
    assert _log_in(users_url).user_id == made.json["id"]
    assert _log(users_url) == [(ME, "cli", "user.create", f"user:{made.json['id']}", "first one")]
    assert "password" not in made.out


def test_an_account_is_made_well_or_not_at_all(command: Callable[..., Ran], users_url: str) -> None:
    """No address, a weak or no password, a second account, an operator without a reason."""
    assert command("create", EMAIL, stdin=PASSWORD).code == 0
    for arguments, stdin, said in (
        (("ada",), PASSWORD, "missing or not as it should be"),
        (("eve@example.com",), "password", "most common"),
        (("eve@example.com",), "", "8 characters"),
        ((EMAIL.upper(),), PASSWORD, "There is an account"),
        (("eve@example.com", "--hashed"), "no hash", "neither an Argon2 nor a bcrypt"),
    ):
        ran = command("create", *arguments, stdin=stdin)
        assert ran.code == 1, arguments
        assert said in ran.err
    assert command("create", "eve@example.com", "--role", "admin", stdin=PASSWORD).code == 2
    assert len(command("list", "--json").json["users"]) == 1


def test_an_account_moves_in_with_its_hash(command: Callable[..., Ran], users_url: str) -> None:
    """Its owner logs in with the password of old."""
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    assert command("create", EMAIL, "--hashed", stdin=hashed).code == 0
    assert _works(users_url, _log_in(users_url))


def test_users_are_listed_and_shown(command: Callable[..., Ran], users_url: str) -> None:
    """By role and state; a user by address in any case, or by id."""
    assert "There are no users." in command("list").out
    command("create", EMAIL, stdin=PASSWORD)
    command("create", "op@example.com", "--role", "operator", "--reason", "x", stdin=PASSWORD)
    listed = command("list", "--json").json["users"]
    assert [user["email"] for user in listed] == ["op@example.com", EMAIL]
    (only,) = command("list", "--role", "user", "--json").json["users"]
    assert only["email"] == EMAIL
    assert "There are no such users." in command("list", "--state", "disabled").out
    _log_in(users_url)
    for name in (EMAIL.upper(), only["id"]):
        shown = command("show", name, "--json").json
        assert (shown["id"], shown["sessions"][0]["address"]) == (only["id"], CALLER.address)
    assert "argon2" not in command("show", EMAIL).out
    assert EMAIL in command("list").out
    missing = command("show", "nobody@example.com")
    assert (missing.code, "users list" in missing.err) == (1, True)


def test_a_role_is_changed_with_a_reason(command: Callable[..., Ran], users_url: str) -> None:
    """Tokens that tell the old one are void; the log says what was and what is."""
    command("create", EMAIL, stdin=PASSWORD)
    grant = _log_in(users_url)
    assert command("role", EMAIL, "operator", "--reason", " ").code == 2
    assert command("role", EMAIL, "king", "--reason", "x").code == 2
    assert command("role", EMAIL, "operator", "--reason", "joins the team").code == 0
    assert not _works(users_url, grant)
    assert command("show", EMAIL, "--json").json["role"] == "operator"
    again = command("role", EMAIL, "operator", "--reason", "twice")
    assert (again.code, "already" in again.out) == (0, True)
    rows = _on(
        users_url,
        lambda world: world.execute(
            "SELECT reason, CAST(before AS TEXT), CAST(after AS TEXT) FROM operator_actions "
            "WHERE action = 'user.role'"
        ),
    )
    ((reason, before, after),) = rows
    assert (reason, json.loads(before), json.loads(after)) == (
        "joins the team",
        {"role": "user"},
        {"role": "operator"},
    )


def test_a_disabled_user_is_out_until_enabled(command: Callable[..., Ran], users_url: str) -> None:
    """Old sessions stay ended."""
    command("create", EMAIL, stdin=PASSWORD)
    grant = _log_in(users_url)
    assert command("disable", EMAIL, "--reason", "fraud").code == 0
    assert not _works(users_url, grant)
    with pytest.raises(TidegateError):
        _log_in(users_url)
    assert command("enable", EMAIL, "--reason", "cleared").code == 0
    assert not _works(users_url, grant)
    assert _works(users_url, _log_in(users_url))
    assert [row[2] for row in _log(users_url)] == ["user.create", "user.disable", "user.enable"]


def test_a_reset_password_ends_every_session(command: Callable[..., Ran], users_url: str) -> None:
    """The new one works, and is in no log."""
    command("create", EMAIL, stdin=PASSWORD)
    grant = _log_in(users_url)
    new = "nine silver lighthouses"
    weak = command("reset-password", EMAIL, "--reason", "forgotten", stdin="12345678")
    assert weak.code == 1
    assert _works(users_url, grant)
    assert command("reset-password", EMAIL, "--reason", "forgotten", stdin=new).code == 0
    assert not _works(users_url, grant)
    assert _works(users_url, _log_in(users_url, new))
    assert new not in str(_log(users_url))


def test_sessions_are_listed_and_revoked(command: Callable[..., Ran], users_url: str) -> None:
    """One, then all; not those of somebody else."""
    command("create", EMAIL, stdin=PASSWORD)
    command("create", "eve@example.com", stdin=PASSWORD)
    grants = [_log_in(users_url) for _ in range(3)]
    listed = command("sessions", EMAIL, "--json").json["sessions"]
    assert {each["id"] for each in listed} == {grant.session_id for grant in grants}
    assert CALLER.address in command("sessions", EMAIL).out
    one = ("--session", grants[0].session_id, "--reason", "lost phone")
    assert command("revoke-sessions", "eve@example.com", *one).code == 1
    assert command("revoke-sessions", EMAIL, *one).code == 0
    assert [_works(users_url, grant) for grant in grants] == [False, True, True]
    assert "already" in command("revoke-sessions", EMAIL, *one).out
    assert command("revoke-sessions", EMAIL, "--reason", "lost laptop").code == 0
    assert not any(_works(users_url, grant) for grant in grants)
    assert "logged in nowhere" in command("sessions", EMAIL).out
