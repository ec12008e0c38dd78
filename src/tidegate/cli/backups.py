"""``backup``, ``restore``, ``quarantine``: a copy, its way back, and what has to be asked then."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import typer
from sqlalchemy import Connection, select

from tidegate.bootstrap import build
from tidegate.cli.arguments import needed_text, operator
from tidegate.cli.database import command_settings, read, with_database, write
from tidegate.cli.loop import run
from tidegate.cli.output import (
    NO,
    JsonOption,
    busy,
    instant,
    pairs,
    print_json,
    say,
    show_table,
)
from tidegate.cli.schema import inline
from tidegate.clock import SystemClock
from tidegate.db.data_keys import check_keys
from tidegate.db.engine import Database
from tidegate.db.quarantine import open_quarantine, quarantine_orders
from tidegate.db.url import parse
from tidegate.errors import Conflict, TidegateError
from tidegate.recovery.backup import back_up
from tidegate.recovery.check import Check, Checked
from tidegate.recovery.manifest import Manifest, manifest_path
from tidegate.recovery.postgresql import Programs
from tidegate.recovery.release import release, still_missing
from tidegate.recovery.restore import Restored, Wanted, restore
from tidegate.settings import Settings
from tidegate.settings.rules import rules_of

__all__ = ["register"]

_DAYS: Final = 7
_PAUSE_S: Final = 5.0
_FILE = typer.Argument(help="The backup; its manifest stands beside it.")


def register(app: typer.Typer) -> None:
    app.command("backup")(run_backup)
    app.command("restore")(run_restore)
    quarantine = typer.Typer(help="After a restore: what is not known yet.", no_args_is_help=True)
    quarantine.command("status")(status)
    quarantine.command("check")(check)
    quarantine.command("release")(run_release)
    app.add_typer(quarantine, name="quarantine")


def run_backup(
    target: Path = typer.Argument(help="A file that does not exist yet."),
    as_json: bool = JsonOption,
) -> None:
    """Copy the database while the node serves, with a manifest beside the copy."""
    settings = command_settings()

    async def use(_: Database) -> Manifest:
        return await back_up(
            settings.database.url,
            target,
            SystemClock(),
            environment=settings.node.environment,
            programs=Programs(settings.database.programs),
        )

    with busy("Copying the database"):
        manifest = with_database(settings, use)
    if as_json:
        print_json({"file": str(target), **asdict(manifest)})
        return
    _print_manifest(manifest)
    say(f"\nWritten: {target} and {manifest_path(target)}. Keep both, away from this machine.")


def run_restore(
    file: Path = _FILE,
    verify: bool = typer.Option(
        False, "--verify", help="Without --into: restore into a database that is thrown away."
    ),
    into: str = typer.Option("", help="An empty database, as DATABASE_URL is written."),
    days: int = typer.Option(_DAYS, min=1, help="How far back orders are looked up afterwards."),
    as_json: bool = JsonOption,
) -> None:
    """Restore a backup into an empty database, prove its books, and put it into quarantine.

    Exit code 1 if the backup is not whole, is another node's, or its books are not in order.
    """
    if not into and not verify:
        raise typer.BadParameter(
            "say where: --into URL, or --verify alone to only prove the backup.",
            param_hint="--into",
        )
    settings = command_settings()
    target = parse(into) if into else None
    wanted = Wanted(
        environment=settings.node.environment,
        node_id=settings.node.node_id,
        days=days,
        reason=f"Restored from {file.name} by {operator()}.",
    )
    try:
        with busy("Restoring"):
            restored = run(
                restore(
                    file,
                    target,
                    wanted,
                    SystemClock(),
                    server=settings.database.url,
                    programs=Programs(settings.database.programs),
                )
            )
    except TidegateError as error:
        if as_json:
            print_json({"ok": False, "why": error.detail})
        else:
            say(error.detail)
        raise typer.Exit(NO) from None
    _tell(restored, file, target.display if target else None, as_json=as_json)


def _tell(restored: Restored, file: Path, target: str | None, *, as_json: bool) -> None:
    manifest, report = restored.manifest, restored.report
    if as_json:
        told = {"ok": True, "into": target, "manifest": asdict(manifest), "head": report.head}
        print_json({**told, "quarantine": target is not None})
        return
    _print_manifest(manifest)
    say(f"\nThe backup is whole, and its books are in order up to block {report.head_block}.")
    if target is None:
        say("It was restored into a database that is thrown away: nothing else was changed.")
        return
    say(
        f"Restored into {target}, in QUARANTINE: nothing is accepted, paid or reported.\n"
        "Next: set DATABASE_URL, start the node, and run `tidegate quarantine check --wait`."
    )


def _print_manifest(manifest: Manifest) -> None:
    counts = ", ".join(f"{count} {name}" for name, count in manifest.counts.items())
    pairs(
        [
            ("node", f"{manifest.node_id} ({manifest.environment})"),
            ("taken", instant(manifest.taken_ms)),
            ("schema", f"{manifest.revision}, of {manifest.dialect}, version {manifest.version}"),
            ("holds", counts),
            ("head", manifest.head and f"{manifest.head} (block {manifest.head_block})"),
            ("sha256", manifest.sha256),
        ]
    )


def status(as_json: bool = JsonOption) -> None:
    """Say whether a quarantine lasts, since when, and what is missing for its end."""
    settings = command_settings()
    window_ms = _window_ms(settings)

    def work(connection: Connection) -> tuple[Any, list[str], list[Any]]:
        quarantine = open_quarantine(connection)
        rows = select(quarantine_orders).where(
            quarantine_orders.c.quarantine_id == (quarantine or {}).get("id"),
            quarantine_orders.c.state == "open",
        )
        return (
            quarantine,
            still_missing(connection, window_ms),
            [dict(row) for row in connection.execute(rows).mappings()],
        )

    quarantine, missing, rows = read(settings, work)
    if as_json:
        print_json(
            {
                "quarantine": quarantine is not None,
                "began_at": instant(quarantine["began_at"]) if quarantine else None,
                "reason": quarantine["reason"] if quarantine else None,
                "result": quarantine["result"] if quarantine else None,
                "missing": missing,
                "open_orders": [
                    {"order_id": row["order_id"], "finding": row["finding"]} for row in rows
                ],
            }
        )
        return
    if quarantine is None:
        say("The node is not in quarantine.")
        return
    pairs(
        [
            ("quarantine", f"since {instant(quarantine['began_at'])}"),
            ("why", quarantine["reason"]),
            ("looks back to", instant(quarantine["since_at"])),
            ("lists read", instant(quarantine["listed_at"]) or "not yet"),
        ]
    )
    if rows:
        shown = [(row["order_id"], row["finding"]) for row in rows[:50]]
        show_table(("order", "so far"), shown)
    _say_missing(missing)


def _say_missing(missing: list[str]) -> None:
    for sentence in missing:
        say(f"- {sentence}")
    if not missing:
        say("Nothing is missing: tidegate quarantine release --reason '...'")


def check(
    wait: bool = typer.Option(False, "--wait", help="Ask again until nothing is missing."),
    as_json: bool = JsonOption,
) -> None:
    """Ask the aggregator, the PSPs and the card processor what happened since the backup.

    What is found becomes rows or cases; nothing is sent. Exit code 1 while something is missing.
    """
    settings = command_settings()
    with busy("Asking everybody"):
        checked: Checked = run(_check(settings, wait=wait))
    if as_json:
        print_json({"ok": not checked.missing, **asdict(checked)})
    else:
        pairs(
            [
                ("orders", f"{checked.orders}, looked up now: {checked.looked_up}"),
                ("found", ", ".join(checked.found) or "nothing new"),
                ("of nobody known", ", ".join(checked.unknown) or None),
                ("not read", ", ".join(checked.unread) or None),
            ]
        )
        _say_missing(checked.missing)
    if checked.missing:
        raise typer.Exit(NO)


async def _check(settings: Settings, *, wait: bool) -> Checked:
    app = await build(settings, executor=inline)
    app.committer.start()
    try:
        await app.database.read(lambda c: check_keys(c, app.database.cipher))
        verb = Check(app)
        checked = await verb()
        while wait and checked.missing:
            await asyncio.sleep(_PAUSE_S)
            checked = await verb()
        return checked
    finally:
        await app.close()


def run_release(
    reason: str = typer.Option(..., help="Why; kept in the operators' log."),
    force: bool = typer.Option(
        False, "--force", help="Although something is missing: an order may be paid twice."
    ),
) -> None:
    """End the quarantine. Refused while anything is missing."""
    reason = needed_text(reason, "--reason", "the reason")
    settings = command_settings()
    now_ms, window_ms = SystemClock().now_ms(), _window_ms(settings)
    try:
        unit = read(
            settings,
            lambda c: release(
                c, window_ms=window_ms, now_ms=now_ms, by=operator(), reason=reason, force=force
            ),
        )
    except Conflict as refusal:
        say(f"Not released. {refusal.detail}")
        raise typer.Exit(NO) from None
    write(settings, unit)
    say("The quarantine is over: the node accepts, pays and reports again.")


def _window_ms(settings: Settings) -> int:
    return rules_of(settings, "").not_found_window_ms
