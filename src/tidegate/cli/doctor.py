"""``doctor``: is everything as it must be, and what to do where it is not (A15)."""

from __future__ import annotations

import typer

from tidegate.bootstrap import build
from tidegate.cli.checks import Check, Found, Verdict, check_address, check_database, serving
from tidegate.cli.database import command_settings
from tidegate.cli.loop import run
from tidegate.cli.output import NO, JsonOption, busy, print_json, say, show_table, styled
from tidegate.cli.probes import probe_aggregator, probe_balance_form, probe_psps
from tidegate.cli.probes_cards import probe_cards
from tidegate.cli.schema import inline
from tidegate.errors import ConfigurationError
from tidegate.settings import Settings

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    app.command("doctor")(doctor)


def doctor(
    push_balances: bool = typer.Option(
        False,
        "--push-balances",
        help="Send the current float to the aggregator to prove the form; not beside a node that "
        "serves.",
    ),
    as_json: bool = JsonOption,
) -> None:
    """Check configuration, database, clocks, books, aggregator and PSPs.

    Exit code 1 if a check failed; warnings alone leave it 0.
    """
    try:
        settings = command_settings()
    except ConfigurationError as error:
        checks = [_fault(sentence) for sentence in error.faults]
    else:
        with busy("Asking everybody"):
            checks = run(_examine(settings, push=push_balances))
    failed = [check for check in checks if check.verdict is Verdict.FAIL]
    warned = [check for check in checks if check.verdict is Verdict.WARN]
    if as_json:
        print_json({"ok": not failed, "checks": [_check_json(check) for check in checks]})
    else:
        show_table(
            ("check", "", "found", "what to do"),
            [(check.name, styled(check.verdict), check.detail, check.next) for check in checks],
        )
        say(f"Checks: {len(checks)}, failed: {len(failed)}, warnings: {len(warned)}.")
    if failed:
        raise typer.Exit(NO)


def _fault(sentence: str) -> Check:
    name, _, rest = sentence.partition(" ")
    return Check(
        "configuration",
        Verdict.FAIL,
        f"{name} {rest}",
        "Correct it in the environment or in .env; the rest is checked once this is right.",
    )


async def _examine(settings: Settings, *, push: bool) -> list[Check]:
    found = await check_database(settings)
    mode = "debug, " if settings.node.debug else ""
    return [
        Check("configuration", Verdict.OK, f"Readable; {mode}{settings.node.environment}."),
        check_address(settings),
        *found.checks,
        *(await _ask_others(settings, found, push=push)),
    ]


async def _ask_others(settings: Settings, found: Found, *, push: bool) -> list[Check]:
    if not found.usable:
        return [
            Check(
                "counterparties",
                Verdict.WARN,
                "Aggregator and PSPs were not asked.",
                "Put the database right first.",
            )
        ]
    app = await build(settings, executor=inline)
    try:
        served = serving(found.chores, app.clock.now_ms())
        checks = await probe_aggregator(app, served=served)
        if checks[0].name != "aggregator":  # it answers
            form = await probe_balance_form(app, found.chores, push=push and not served)
            checks = [*checks, *form]
        return [*checks, *(await probe_psps(app)), *(await probe_cards(app))]
    finally:
        await app.close()


def _check_json(check: Check) -> dict[str, str]:
    return {
        "name": check.name,
        "verdict": check.verdict.value,
        "detail": check.detail,
        "next": check.next,
    }
