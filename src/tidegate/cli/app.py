"""The application that all commands hang on."""

from __future__ import annotations

from typing import Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_group

from tidegate import __version__
from tidegate.cli import imported

__all__ = ["FAMILIES", "app"]

FAMILIES: Final = {
    "serve": ("serve", "worker", "migrate"),
    "bench": ("bench",),
    "backups": ("backup", "restore", "quarantine"),
    "demo": ("demo",),
    "balances": ("balances",),
    "cases": ("cases",),
    "data": ("data",),
    "hmac": ("hmac",),
    "ledger": ("ledger",),
    "orders": ("orders",),
    "payments": ("payments",),
    "retention": ("retention",),
    "sandbox": ("sandbox",),
    "simulate": ("simulate",),
    "switches": ("switches",),
    "webhooks": ("webhooks",),
    "users": ("users",),
    "doctor": ("doctor",),
}
"""The commands that each file of this package registers, in the order in which help lists them."""

_FILES: Final = {name: file for file, names in FAMILIES.items() for name in names}


class _Families(TyperGroup):
    """Reads the file of a command when that command is asked for: an operator's reading does not
    wait for the API, the sandbox and the simulation."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(_FILES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        # For a word that is no command, all are read: one of them may be meant.
        for name in {cmd_name} & _FILES.keys() or _FILES:
            if name not in self.commands:
                family = typer.Typer()
                imported(f"tidegate.cli.{_FILES[name]}").register(family)
                self.commands.update(get_group(family).commands)
        return super().get_command(ctx, cmd_name)


app = typer.Typer(
    name="tidegate",
    cls=_Families,
    help="Tidegate: payouts and payments on one double-entry ledger.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    pass
