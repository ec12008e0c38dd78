"""``cases``: what a person has to look at."""

from __future__ import annotations

import json
from typing import Any

import typer
from sqlalchemy import Connection

from tidegate.cases.readings import actions_on, list_cases, show_case
from tidegate.cases.store import CloseCase, NoteAction
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
from tidegate.clock import SystemClock
from tidegate.db.committer import Unit
from tidegate.errors import NotFound, Stale

__all__ = ["register"]

Row = dict[str, Any]

_COLUMNS = ("id", "kind", "subject", "state", "severity", "reason", "owner", "data", "times")
_MOMENTS = ("opened_at", "last_seen_at", "closed_at")
_CLOSING = ("closed_by", "closing_note")
_PAYOUT_BEGINNINGS = ("po_", "att_")


def register(app: typer.Typer) -> None:
    cases = typer.Typer(help="Incidents: what a person has to look at.", no_args_is_help=True)
    cases.command("list")(list_them)
    cases.command("show")(show)
    cases.command("close")(close)
    app.add_typer(cases, name="cases")


def list_them(
    every: bool = typer.Option(False, "--all", help="Closed ones too."),
    kind: str = typer.Option("", help="Only of this kind, such as payout_held."),
    limit: int = typer.Option(100, min=1, max=10_000, help="How many at most, the newest first."),
    as_json: bool = JsonOption,
) -> None:
    """List the open cases, newest first."""
    now_ms = SystemClock().now_ms()

    def work(connection: Connection) -> list[Row]:
        found = list_cases(
            connection, state=None if every else "open", kind=kind or None, limit=limit
        )
        return [dict(row) for row in found]

    rows = read(command_settings(), work)
    if as_json:
        print_json({"cases": [_case_json(row) for row in rows]})
        return
    show_table(
        ("case", "severity", "kind", "subject", "opened", "times", "state", "reason"),
        [
            (
                row["id"],
                styled(row["severity"]),
                row["kind"],
                row["subject"],
                age(row["opened_at"], now_ms),
                row["times"],
                row["state"],
                row["reason"],
            )
            for row in rows
        ],
        right=("case", "times"),
        empty="There are no such cases." if every or kind else "No case is open.",
    )


def show(
    case_id: int = typer.Argument(metavar="ID", min=1, help="The case's number."),
    as_json: bool = JsonOption,
) -> None:
    """Show a case: what is the matter, what to look at, what was done."""
    now_ms = SystemClock().now_ms()
    row, actions = read(command_settings(), lambda c: _read(c, case_id))
    if as_json:
        print_json({**_case_json(row), "actions": [_action_json(each) for each in actions]})
        return
    pairs(
        [
            ("case", f"{row['id']} ({row['state']})"),
            ("severity", styled(row["severity"])),
            ("kind", row["kind"]),
            ("about", row["subject"]),
            ("reason", row["reason"]),
            ("owner", row["owner"] or "nobody"),
            ("opened", f"{instant(row['opened_at'])} ({age(row['opened_at'], now_ms)})"),
            ("seen", f"{row['times']} times, last {age(row['last_seen_at'], now_ms)}"),
            *((f"  {name}", _plain(value)) for name, value in sorted(row["data"].items())),
            ("closed", row["closed_at"] and f"{instant(row['closed_at'])} by {row['closed_by']}"),
            ("note", row["closing_note"]),
            *(
                (
                    "done",
                    f"{instant(each['at'])} {each['actor']}: {each['action']}: {each['reason']}",
                )
                for each in actions
            ),
        ]
    )
    if row["subject"].startswith(_PAYOUT_BEGINNINGS):
        say(f"\nThe whole story: tidegate orders show {row['subject']}")
    if row["state"] == "open":
        say(f"When it is settled: tidegate cases close {row['id']} --note '...'")


def close(
    case_id: int = typer.Argument(metavar="ID", min=1, help="The case's number."),
    note: str = typer.Option(..., help="What was found and done."),
    as_json: bool = JsonOption,
) -> None:
    """Close a case. It changes nothing else: an order that is held stays held."""
    note = needed_text(note, "--note", "the note")
    settings, by = command_settings(), operator()
    row, _ = read(settings, lambda c: _read(c, case_id))
    unit = Unit(
        [
            CloseCase(case_id, by, note),
            NoteAction(
                by,
                "cli",
                "case.close",
                f"case:{case_id}",
                note,
                {"state": "open"},
                {"state": "closed"},
            ),
        ]
    )
    try:
        write(settings, unit)
    except Stale:
        closed_by = row["closed_by"] or "somebody else meanwhile"
        raise Stale(f"Case {case_id} was closed before, by {closed_by}.") from None
    if as_json:
        row, actions = read(settings, lambda c: _read(c, case_id))
        print_json({**_case_json(row), "actions": [_action_json(each) for each in actions]})
    else:
        say(f"Case {case_id} is closed.")


def _read(connection: Connection, case_id: int) -> tuple[Row, list[Row]]:
    row = show_case(connection, case_id)
    if row is None:
        raise NotFound(f"There is no case {case_id}: `tidegate cases list --all` shows them all.")
    actions = [
        *actions_on(connection, f"case:{case_id}"),
        *actions_on(connection, row["subject"]),
    ]
    return dict(row), sorted((dict(each) for each in actions), key=lambda each: int(each["id"]))


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _case_json(row: Row) -> dict[str, Any]:
    return {
        **{name: row[name] for name in (*_COLUMNS, *_CLOSING)},
        **{name: instant(row[name]) for name in _MOMENTS},
    }


def _action_json(row: Row) -> dict[str, Any]:
    return {
        "at": instant(row["at"]),
        **{name: row[name] for name in ("actor", "origin", "action", "subject", "reason")},
    }
