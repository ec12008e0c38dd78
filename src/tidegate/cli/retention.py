"""``retention``: remove what has aged out now, or show what would go."""

from __future__ import annotations

import typer

from tidegate.cases.store import NoteAction
from tidegate.cli.arguments import operator
from tidegate.cli.database import command_settings, read, with_database
from tidegate.cli.output import JsonOption, age, instant, print_json, say, show_table
from tidegate.clock import SystemClock
from tidegate.db.committer import Committer, Unit
from tidegate.db.engine import Database
from tidegate.retention.sweep import Aged, Sweep, read_aged
from tidegate.settings.rules import retention_rules_of

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    retention = typer.Typer(
        help="What ages out of the database, and when (RETAIN_... settings).", no_args_is_help=True
    )
    retention.command("run")(run)
    # A family of one command would be run by its own name.
    retention.callback()(_family)
    app.add_typer(retention, name="retention")


def _family() -> None:
    pass


def run(
    dry_run: bool = typer.Option(False, "--dry-run", help="Only show what would go."),
    as_json: bool = JsonOption,
) -> None:
    """Remove what has aged out, in small commits, beside a serving process too.

    Nothing goes of an order or a payment that has not ended, or that an open case is about.
    """
    settings, clock = command_settings(), SystemClock()
    rules = retention_rules_of(settings)
    aged = read(settings, lambda c: read_aged(c, rules, clock.now_ms()))
    if dry_run:
        _show(aged, {}, clock.now_ms(), as_json=as_json)
        return

    async def use(database: Database) -> dict[str, int]:
        committer = Committer(database)
        committer.start()
        try:
            removed = await Sweep(database, committer, clock, rules)()
            note = NoteAction(
                operator(),
                "cli",
                "retention.run",
                "retention",
                "removed by the settings' days",
                None,
                {"removed": removed},
            )
            await committer.commit(Unit([note]))
            return removed
        finally:
            await committer.stop()

    _show(aged, with_database(settings, use), clock.now_ms(), as_json=as_json)


def _show(aged: list[Aged], removed: dict[str, int], now_ms: int, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "kinds": [
                    {
                        "kind": each.kind,
                        "days": each.days or None,
                        "aged_out": each.rows,
                        "oldest": instant(each.oldest_ms),
                        "removed": removed.get(each.kind, 0),
                    }
                    for each in aged
                ]
            }
        )
        return
    show_table(
        ("kind", "kept", "aged out", "oldest", "removed"),
        [
            (
                each.kind,
                f"{each.days} days" if each.days else "for ever",
                str(each.rows),
                age(each.oldest_ms, now_ms) if each.oldest_ms is not None else "",
                str(removed.get(each.kind, 0)),
            )
            for each in aged
        ],
        right=("aged out", "removed"),
        empty="Nothing ages out.",
    )
    if not removed:
        say("Nothing was removed: this was a look.")
