"""``switches``: the operator's kill switches (A11)."""

from __future__ import annotations

import typer

from tidegate.cases.switch import SwitchKind, switch_id
from tidegate.cases.switches import list_switches, switch_off, switch_on
from tidegate.cli.arguments import needed_text, operator
from tidegate.cli.database import command_settings, read, write
from tidegate.cli.output import JsonOption, age, instant, print_json, say, show_table
from tidegate.clock import SystemClock
from tidegate.errors import AlreadyExists, Stale
from tidegate.settings.rules import switches_of

__all__ = ["register"]


_KIND = typer.Argument(help="psp or currency (payouts); processor or payments (a currency).")
_NAME = typer.Argument(help="Its name, such as lenco, NGN, stripe.")
_REASON = typer.Option(..., help="Why; kept in the operators' log.")


def register(app: typer.Typer) -> None:
    switches = typer.Typer(help="Kill switches for payouts and payments.", no_args_is_help=True)
    switches.command("list")(list_them)
    switches.command("off")(off)
    switches.command("on")(on)
    app.add_typer(switches, name="switches")


def list_them(as_json: bool = JsonOption) -> None:
    """List everything that can be switched off, and what is, by whom and why."""
    settings, now_ms = command_settings(), SystemClock().now_ms()
    is_off = {row["id"]: row for row in read(settings, list_switches)}
    ids = sorted({*is_off, *(switch_id(*known) for known in switches_of(settings))})
    if as_json:
        print_json(
            {
                "switches": [
                    {
                        "id": row_id,
                        "off": row_id in is_off,
                        "reason": is_off[row_id]["reason"] if row_id in is_off else None,
                        "switched_by": is_off[row_id]["switched_by"] if row_id in is_off else None,
                        "switched_at": instant(is_off[row_id]["switched_at"])
                        if row_id in is_off
                        else None,
                    }
                    for row_id in ids
                ]
            }
        )
        return
    show_table(
        ("switch", "state", "since", "by", "reason"),
        [
            (
                row_id,
                "OFF",
                age(is_off[row_id]["switched_at"], now_ms),
                is_off[row_id]["switched_by"],
                is_off[row_id]["reason"],
            )
            if row_id in is_off
            else (row_id, "on", "", "", "")
            for row_id in ids
        ],
    )


def off(kind: SwitchKind = _KIND, name: str = _NAME, reason: str = _REASON) -> None:
    """Take no new orders or payments there, and send no transfers, until it is switched on again.

    What was sent is still looked up and reported; payments that are there go on.
    """
    reason = needed_text(reason, "--reason", "the reason")
    settings = command_settings()
    known = sorted(each for of, each in switches_of(settings) if of == kind)
    if name not in known:
        # A misspelt name would switch nothing off and look as if it had.
        raise typer.BadParameter(
            f"this node has no {kind} {name!r}: it has {', '.join(known)}.", param_hint="NAME"
        )
    try:
        write(settings, switch_off(kind, name, by=operator(), origin="cli", reason=reason))
    except AlreadyExists:
        say(f"{kind} {name} was off already; nothing was changed.")
        return
    say(f"{kind} {name} is OFF: nothing new is begun there.")
    say(f"Back on: tidegate switches on {kind} {name} --reason '...'")


def on(kind: SwitchKind = _KIND, name: str = _NAME, reason: str = _REASON) -> None:
    """Use it again."""
    reason = needed_text(reason, "--reason", "the reason")
    settings = command_settings()
    try:
        write(settings, switch_on(kind, name, by=operator(), origin="cli", reason=reason))
    except Stale:
        say(f"{kind} {name} was not off; nothing was changed.")
        return
    say(f"{kind} {name} is on again.")
