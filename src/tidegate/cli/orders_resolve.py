"""``orders look`` and ``orders resolve``: what a person may do about an order that is held."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import typer

from tidegate.bootstrap import Application, build
from tidegate.cli.arguments import needed_text, operator
from tidegate.cli.database import command_settings, with_database
from tidegate.cli.loop import run
from tidegate.cli.output import say
from tidegate.cli.schema import inline
from tidegate.payouts.resolve import Operator, Ruling
from tidegate.payouts.store import Row

__all__ = ["look", "resolve"]

_ORDER = typer.Argument(help="The aggregator's order id, our payout or attempt id, or a reference.")
_REASON = typer.Option(..., help="Why; kept in the operators' log.")


def look(order: str = _ORDER, reason: str = _REASON) -> None:
    """Ask the PSP again at once about the transfer that may still be paid."""
    reason = needed_text(reason, "--reason", "the reason")
    by = Operator(operator(), "cli", reason)
    payout = _acting(lambda app: app.resolve.look(order, by))
    say(
        f"{payout['order_id']} is looked up now; `tidegate orders show {payout['order_id']}` tells "
        "what is found."
    )


def resolve(
    order: str = _ORDER,
    ruling: Ruling = typer.Option(
        ...,
        "--as",
        help="resumed: pay it with another transfer. paid: it was paid. unpaid: it never will be.",
    ),
    evidence: str = typer.Option(..., help="Where it was looked up and what was found."),
    reason: str = _REASON,
    psp_id: str = typer.Option("", "--psp-id", help="The PSP's own id of the transfer; for paid."),
) -> None:
    """Resolve an order that is held for a person; the PSP is asked first and has to allow it.

    Another transfer, and an end as unpaid, need the PSP's word that this one failed; paid is
    refused where the PSP says otherwise. What the PSP said is kept in the order's story.
    """
    reason = needed_text(reason, "--reason", "the reason")
    evidence = needed_text(evidence, "--evidence", "the evidence")
    by = Operator(operator(), "cli", reason, evidence)
    payout = _acting(
        lambda app: app.resolve.resolve(order, ruling, by, psp_id=psp_id.strip() or None)
    )
    say(f"{payout['order_id']} is {payout['state']} now.")


def _acting(act: Callable[[Application], Awaitable[Row]]) -> Row:
    """Do it with an application of this process, beside whoever serves; no work is claimed."""
    settings = command_settings()

    async def usable(_: object) -> None:
        """The database is there and migrated, or the command ends with what to do about it."""

    async def go() -> Row:
        app = await build(settings, executor=inline)
        app.committer.start()
        try:
            return await act(app)
        finally:
            await app.close()

    with_database(settings, usable)
    done: Row = run(go())
    return done
