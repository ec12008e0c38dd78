"""``users``: accounts of the payment API, as operators see and change them (B1)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import typer
from sqlalchemy import Connection

from tidegate.cli.arguments import needed_text, operator
from tidegate.cli.database import command_settings, read, write
from tidegate.cli.output import (
    JsonOption,
    age,
    instant,
    pairs,
    print_json,
    say,
    show_table,
    styled,
)
from tidegate.clock import Randomness, SystemClock
from tidegate.db.committer import Unit
from tidegate.errors import AlreadyExists, EmailTaken, NotFound, Stale
from tidegate.retention.units import erase_user
from tidegate.settings import Settings
from tidegate.users.accounts import new_user
from tidegate.users.administer import (
    By,
    create_user,
    disable_user,
    enable_user,
    reset_password,
    revoke_session,
    revoke_sessions,
    set_role,
)
from tidegate.users.emails import check_email, email_key, email_parts
from tidegate.users.passwords import Passwords
from tidegate.users.readings import (
    Row,
    list_users,
    living_sessions,
    session_by_id,
    user_by_email,
    user_by_id,
)
from tidegate.users.strength import check_password

__all__ = ["register"]


class Role(StrEnum):
    """What a user may do."""

    USER = "user"
    OPERATOR = "operator"
    ADMIN = "admin"


class State(StrEnum):
    """Whether a user may log in."""

    ACTIVE = "active"
    DISABLED = "disabled"


_USER = typer.Argument(metavar="USER", help="The e-mail address, or the id.")
_REASON = typer.Option(..., help="Why; kept in the operators' log.")
_HASHED = typer.Option(
    False, "--hashed", help="What is read is an Argon2 or bcrypt hash, made elsewhere."
)
_SHOWN = ("id", "email", "role", "state")
_PROMPT = "Password"


def register(app: typer.Typer) -> None:
    users = typer.Typer(help="Accounts of the payment API.", no_args_is_help=True)
    users.command("create")(create)
    users.command("list")(list_them)
    users.command("show")(show)
    users.command("role")(role)
    users.command("disable")(disable)
    users.command("enable")(enable)
    users.command("reset-password")(reset)
    users.command("sessions")(sessions)
    users.command("revoke-sessions")(revoke)
    users.command("erase")(erase)
    app.add_typer(users, name="users")


def create(
    email: str = typer.Argument(help="The e-mail address."),
    role: Role = typer.Option(Role.USER, help="What the user may do."),
    reason: str = typer.Option("", help="Why; needed for any role but user."),
    hashed: bool = _HASHED,
    as_json: bool = JsonOption,
) -> None:
    """Open an account. The password is asked for, or read from standard input.

    The first operator is made so: registration over HTTP gives the role user only.
    """
    if role is not Role.USER:
        reason = needed_text(reason, "--reason", "the reason")
    key, settings = check_email(email), command_settings()
    password_hash = _password_hash(key, hashed=hashed)
    clock = SystemClock()
    user_id, now_ms = Randomness(clock).new_id("usr"), clock.now_ms()
    row = new_user(user_id, email, key, password_hash, role.value, now_ms)
    try:
        write(settings, create_user(row, _by(reason.strip() or "account created")))
    except AlreadyExists:
        raise EmailTaken() from None
    if as_json:
        print_json(_user_json(row))
    else:
        say(f"{email} has an account: {user_id}, role {role.value}.")


def list_them(
    role: Role | None = typer.Option(None, help="Only with this role."),
    state: State | None = typer.Option(None, help="Only in this state."),
    limit: int = typer.Option(100, min=1, max=10_000, help="How many at most, the newest first."),
    as_json: bool = JsonOption,
) -> None:
    """List users, newest first."""
    now_ms = SystemClock().now_ms()
    rows = read(command_settings(), lambda c: list_users(c, role=role, state=state, limit=limit))
    if as_json:
        print_json({"users": [_user_json(row) for row in rows]})
        return
    show_table(
        ("user", "e-mail", "role", "state", "created"),
        [
            (
                row["id"],
                row["email"],
                row["role"],
                styled(row["state"]),
                age(row["created_at"], now_ms),
            )
            for row in rows
        ],
        empty="There are no such users." if role or state else "There are no users.",
    )


def show(user: str = _USER, as_json: bool = JsonOption) -> None:
    """Show a user and where they are logged in."""
    now_ms = SystemClock().now_ms()

    def work(connection: Connection) -> tuple[Row, list[Row]]:
        found = _find(connection, user)
        return found, living_sessions(connection, found["id"], now_ms)

    row, living = read(command_settings(), work)
    if as_json:
        print_json({**_user_json(row), "sessions": [_session_json(each) for each in living]})
        return
    pairs(
        [
            ("user", row["id"]),
            ("e-mail", row["email"]),
            ("role", row["role"]),
            ("state", styled(row["state"])),
            ("created", f"{instant(row['created_at'])} ({age(row['created_at'], now_ms)})"),
            ("changed", f"{instant(row['updated_at'])} ({age(row['updated_at'], now_ms)})"),
            ("logged in", f"{len(living)} times"),
        ]
    )


def role(
    user: str = _USER,
    role: Role = typer.Argument(help="user, operator or admin."),
    reason: str = _REASON,
) -> None:
    """Change what a user may do. Their access tokens are void; a refresh gives a new one."""

    def unit(row: Row, by: By) -> Unit | None:
        return None if row["role"] == role else set_role(row, role.value, by)

    row = _act(user, reason, unit)
    say(_outcome(row, f"has the role {role.value}"))


def disable(user: str = _USER, reason: str = _REASON) -> None:
    """Let a user no longer in; sessions and access tokens end at once."""

    def unit(row: Row, by: By) -> Unit | None:
        return None if row["state"] == "disabled" else disable_user(row, by)

    say(_outcome(_act(user, reason, unit), "is disabled"))


def enable(user: str = _USER, reason: str = _REASON) -> None:
    """Let a user in again, who has to log in."""

    def unit(row: Row, by: By) -> Unit | None:
        return None if row["state"] == "active" else enable_user(row, by)

    say(_outcome(_act(user, reason, unit), "is active"))


def reset(user: str = _USER, reason: str = _REASON, hashed: bool = _HASHED) -> None:
    """Set a new password; sessions and access tokens end at once.

    The password is asked for, or read from standard input.
    """
    settings = command_settings()
    row = read(settings, lambda c: _find(c, user))
    password_hash = _password_hash(row["email_key"], hashed=hashed)
    row = _act(row["id"], reason, lambda found, by: reset_password(found, password_hash, by))
    say(_outcome(row, "has a new password and is logged out everywhere"))


def sessions(user: str = _USER, as_json: bool = JsonOption) -> None:
    """List where a user is logged in, newest first."""
    now_ms = SystemClock().now_ms()
    rows = read(
        command_settings(),
        lambda c: living_sessions(c, _find(c, user)["id"], now_ms),
    )
    if as_json:
        print_json({"sessions": [_session_json(row) for row in rows]})
        return
    show_table(
        ("session", "began", "last used", "ends", "address", "program"),
        [
            (
                row["id"],
                age(row["created_at"], now_ms),
                age(row["last_used_at"], now_ms),
                age(row["expires_at"], now_ms),
                row["address"],
                row["user_agent"],
            )
            for row in rows
        ],
        empty="The user is logged in nowhere.",
    )


def revoke(
    user: str = _USER,
    session: str = typer.Option("", help="Only this session."),
    reason: str = _REASON,
) -> None:
    """End a user's sessions, or one of them, with their access tokens."""
    if not session:
        row = _act(user, reason, revoke_sessions)
        say(_outcome(row, "is logged out everywhere"))
        return
    reason = needed_text(reason, "--reason", "the reason")
    settings = command_settings()

    def work(connection: Connection) -> tuple[Row, Row | None]:
        return _find(connection, user), session_by_id(connection, session)

    row, found = read(settings, work)
    if found is None or found["user_id"] != row["id"]:
        raise NotFound(f"{row['email']} has no session {session}: see `tidegate users sessions`.")
    try:
        write(settings, revoke_session(row, session, _by(reason)))
    except Stale:
        say(f"Session {session} had ended already; nothing was changed.")
        return
    say(f"Session {session} has ended.")


def erase(user: str = _USER, reason: str = _REASON) -> None:
    """Forget a person for ever: address, sessions, cards, the texts of their payments.

    Amounts, references, states and the books stay. Refused while a payment, refund or dispute is
    under way or a case about one is open. Whether the law wants the data kept is yours to know.
    """
    reason = needed_text(reason, "--reason", "the reason")
    settings = command_settings()
    row = read(settings, lambda c: _find(c, user))
    by = _by(reason)
    touched, _ = write(settings, erase_user(row, by))
    say(f"{row['id']} is erased ({touched['payments']} payments, {touched['sessions']} sessions).")
    say("What the card processor keeps of the person is erased there, by its own means.")


def _act(user: str, reason: str, unit_of: Callable[[Row, By], Unit | None]) -> Row:
    """Find the user, commit the unit if there is something to do; the row before."""
    reason = needed_text(reason, "--reason", "the reason")
    settings = command_settings()
    row = read(settings, lambda c: _find(c, user))
    unit = unit_of(row, _by(reason))
    if unit is None:
        say("It was so already; nothing was changed.")
    else:
        _write(settings, row, unit)
    return row


def _write(settings: Settings, row: Row, unit: Unit) -> None:
    try:
        write(settings, unit)
    except Stale:
        raise Stale(f"{row['email']} was changed by somebody else meanwhile: look again.") from None


def _find(connection: Connection, user: str) -> Row:
    row = user_by_id(connection, user)
    if row is None and (key := email_key(user)) is not None:
        row = user_by_email(connection, key)
    if row is None:
        raise NotFound(f"There is no user {user}: `tidegate users list` shows them.")
    return row


def _password_hash(key: str, *, hashed: bool) -> str:
    """The hash of what is typed or piped in. Never an argument: those stand in the process list
    and in the shell's history."""
    if sys.stdin.isatty():
        given = str(typer.prompt(_PROMPT, hide_input=True, confirmation_prompt=not hashed))
    else:
        given = sys.stdin.readline().rstrip("\r\n")
    passwords = Passwords()
    if hashed:
        return passwords.check_hash(given)
    check_password(given, email_parts(key))
    return passwords.hash_now(given)


def _by(reason: str) -> By:
    return By(operator(), "cli", reason, SystemClock().now_ms())


def _outcome(row: Row, what: str) -> str:
    return f"{row['email']} {what}."


def _user_json(row: Row) -> dict[str, Any]:
    return {
        **{name: row[name] for name in _SHOWN},
        "created_at": instant(row["created_at"]),
        "updated_at": instant(row["updated_at"]),
    }


def _session_json(row: Row) -> dict[str, Any]:
    moments = ("created_at", "last_used_at", "expires_at")
    return {
        "id": row["id"],
        **{name: instant(row[name]) for name in moments},
        "address": row["address"],
        "user_agent": row["user_agent"],
    }
