"""``data``: which keys recipients' data is encrypted under, and a change of the key."""

from __future__ import annotations

import typer

from tidegate.cases.store import NoteAction
from tidegate.cli.arguments import operator
from tidegate.cli.database import command_settings, read, with_database
from tidegate.cli.output import NO, JsonOption, busy, print_json, say, show_table
from tidegate.db.committer import Committer, Unit
from tidegate.db.engine import Database
from tidegate.retention.rekeying import PLAIN, KeyUse, RekeyAll, RekeyRun, read_key_use
from tidegate.settings import Settings
from tidegate.settings.rules import cipher_of

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    data = typer.Typer(
        help="Encryption of recipients' data (DATA_KEY settings).", no_args_is_help=True
    )
    data.command("keys")(keys)
    data.command("rekey")(rekey)
    app.add_typer(data, name="data")


def keys(as_json: bool = JsonOption) -> None:
    """Count the values by the key that they are encrypted under; exit code 1 if one is missing."""
    settings = command_settings()
    use = read(settings, read_key_use, needs_keys=False)
    if as_json:
        print_json({"keys": _keys_json(settings, use)})
    else:
        _show(settings, use)
    if any(_role(settings, key) == "missing" for key in use):
        raise typer.Exit(NO)


def rekey(as_json: bool = JsonOption) -> None:
    """Bring every value under DATA_KEY (without one: into the clear), while the node serves.

    Restart every process with the new key first, and keep the old one in DATA_KEY_PREVIOUS until
    this has found nothing under it. Exit code 1 while something is left.
    """
    settings = command_settings()

    async def use(database: Database) -> RekeyRun:
        committer = Committer(database)
        committer.start()
        try:
            run = await RekeyAll(database, committer)()
            after = {"values": run.values, "forgotten": run.forgotten}
            note = NoteAction(
                operator(),
                "cli",
                "data.rekey",
                "data",
                f"brought under the key {database.cipher.current_id or 'none'}",
                None,
                after,
            )
            await committer.commit(Unit([note]))
            return run
        finally:
            await committer.stop()

    with busy("Opening and writing anew"):
        run = with_database(settings, use)
    current = cipher_of(settings).current_id or PLAIN
    left = sum(count for key, count in run.use.items() if key != current)
    if as_json:
        print_json(
            {
                "ok": not left,
                "rekeyed": run.values,
                "unreadable": run.unreadable,
                "forgotten": run.forgotten,
                "keys": _keys_json(settings, run.use),
            }
        )
    else:
        say(f"Written anew: {sum(run.values.values())} values.")
        if run.unreadable:
            say(f"{run.unreadable} values do not open under any key that is given: left alone.")
        if run.forgotten:
            say(f"Nothing is under {', '.join(run.forgotten)} any more: DATA_KEY_PREVIOUS may go.")
        _show(settings, run.use)
    if left:
        raise typer.Exit(NO)


def _show(settings: Settings, use: KeyUse) -> None:
    show_table(
        ("key", "", "values"),
        [(key or "none", _role(settings, key), str(use[key])) for key in sorted(use)],
        right=("values",),
        empty="There is no data of recipients yet.",
    )


def _keys_json(settings: Settings, use: KeyUse) -> list[dict[str, object]]:
    return [
        {"key": key or None, "is": _role(settings, key), "values": use[key]} for key in sorted(use)
    ]


def _role(settings: Settings, key: str) -> str:
    cipher = cipher_of(settings)
    if key == PLAIN:
        return "plain"
    if key == cipher.current_id:
        return "current"
    return "previous" if key in cipher.ids else "missing"
