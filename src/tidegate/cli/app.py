"""The application that all commands hang on."""

from __future__ import annotations

import typer

from tidegate import __version__
from tidegate.cli import (
    backups,
    balances,
    bench,
    cases,
    data,
    demo,
    doctor,
    hmac,
    ledger,
    orders,
    payments,
    retention,
    sandbox,
    serve,
    simulate,
    switches,
    users,
    webhooks,
)

__all__ = ["app"]

app = typer.Typer(
    name="tidegate",
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


serve.register(app)
bench.register(app)
backups.register(app)
demo.register(app)
balances.register(app)
cases.register(app)
data.register(app)
hmac.register(app)
ledger.register(app)
orders.register(app)
payments.register(app)
retention.register(app)
sandbox.register(app)
simulate.register(app)
switches.register(app)
webhooks.register(app)
users.register(app)
doctor.register(app)
