"""``ledger``: audit, trial balance, statements, the past, export (C4, C5, C6)."""

from __future__ import annotations

import csv
import io
import re
import sys
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import typer
from sqlalchemy import Connection

from tidegate.cli.arguments import moment
from tidegate.cli.database import command_settings, read
from tidegate.cli.output import (
    NO,
    JsonOption,
    amount,
    busy,
    instant,
    pairs,
    print_json,
    say,
    show_table,
)
from tidegate.clock import SystemClock, rfc3339
from tidegate.ledger.audit import AuditReport, audit
from tidegate.ledger.chart import Side, currency_of
from tidegate.ledger.export import as_csv, as_json, export_legs
from tidegate.ledger.statements import (
    AsOf,
    Balance,
    Line,
    balance_as_of,
    balance_at,
    balances,
    statement,
    trial_balance,
)

__all__ = ["UNSEALED_TOO_LONG_MS", "register"]

UNSEALED_TOO_LONG_MS: Final = 3_600_000
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_COLUMNS: Final = (
    "number",
    "entry",
    "recorded_at",
    "reference",
    "kind",
    "subject",
    "side",
    "amount",
    "balance_after",
)


class Format(StrEnum):
    """How a statement is written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


class ExportFormat(StrEnum):
    """How the whole book is written."""

    CSV = "csv"
    JSON = "json"


def register(app: typer.Typer) -> None:
    ledger = typer.Typer(help="The double-entry book.", no_args_is_help=True)
    ledger.command("audit")(run_audit)
    ledger.command("trial-balance")(show_trial_balance)
    ledger.command("accounts")(show_accounts)
    ledger.command("statement")(show_statement)
    ledger.command("export")(export)
    app.add_typer(ledger, name="ledger")


def run_audit(
    expect: str = typer.Option("", help="A head noted before: it must still be in the chain."),
    as_json: bool = JsonOption,
) -> None:
    """Prove the books from their entries. Exit code 1 when something is wrong."""
    if expect and not _HASH.fullmatch(expect):
        raise typer.BadParameter(
            "a head is 64 lower-case hexadecimal digits.", param_hint="--expect"
        )
    now_ms = SystemClock().now_ms()

    def work(connection: Connection) -> AuditReport:
        return audit(
            connection,
            expect=expect or None,
            now_ms=now_ms,
            unsealed_after_ms=UNSEALED_TOO_LONG_MS,
        )

    with busy("Reading the book"):
        report = read(command_settings(), work)
    if as_json:
        print_json(_audit_json(report))
    else:
        _print_audit(report)
    if not report.ok:
        raise typer.Exit(NO)


def _print_audit(report: AuditReport) -> None:
    drift = ", ".join(f"{amount(sum_, code)} {code}" for code, sum_ in sorted(report.drift.items()))
    pairs(
        [
            ("accounts", report.accounts),
            ("entries", f"{report.entries}, {report.unsealed} in no block yet"),
            ("legs", report.legs),
            ("blocks", report.blocks),
            ("drift", drift or "none"),
            ("head", report.head and f"{report.head} (block {report.head_block})"),
        ]
    )
    if report.ok:
        say("\nThe books are in order.")
        if report.head:
            say("Note the head outside this database; the next audit takes it as --expect.")
        return
    show_table(
        ("finding", "subject", "what"),
        [(finding.code, finding.subject, finding.detail) for finding in report.findings],
    )
    say("The books are NOT in order. Stop the node, keep a copy of the database, and look into it.")


def _audit_json(report: AuditReport) -> dict[str, Any]:
    return {
        "ok": report.ok,
        "accounts": report.accounts,
        "entries": report.entries,
        "legs": report.legs,
        "blocks": report.blocks,
        "unsealed": report.unsealed,
        "head_block": report.head_block,
        "head": report.head,
        "drift": dict(report.drift),
        "findings": [
            {"code": finding.code, "subject": finding.subject, "detail": finding.detail}
            for finding in report.findings
        ],
    }


def show_trial_balance(as_json: bool = JsonOption) -> None:
    """Show every account on its side, and the sums. Exit code 1 unless debits equal credits."""
    found = read(command_settings(), trial_balance)
    if as_json:
        print_json(
            {
                "balanced": found.balanced,
                "accounts": [
                    {**_account_json(line), "debit": line.debit, "credit": line.credit}
                    for line in found.lines
                ],
                "totals": {
                    code: {"debit": debits, "credit": credits}
                    for code, (debits, credits) in sorted(found.totals.items())
                },
            }
        )
    else:
        show_table(
            ("account", "debit", "credit"),
            [
                *((line.path, *_columns(line)) for line in found.lines),
                *(
                    (f"total {code}", amount(debits, code), amount(credits, code))
                    for code, (debits, credits) in sorted(found.totals.items())
                ),
            ],
            right=("debit", "credit"),
            empty="The book is empty.",
        )
    if not found.balanced:
        say("Debits and credits differ: run `tidegate ledger audit`.")
        raise typer.Exit(NO)


def _columns(line: Balance) -> tuple[str, str]:
    return (
        amount(line.debit, line.currency) if line.debit else "",
        amount(line.credit, line.currency) if line.credit else "",
    )


def show_accounts(
    prefix: str = typer.Option("", help="Only accounts below this, such as psp:lenco."),
    as_json: bool = JsonOption,
) -> None:
    """List the accounts with their balances."""
    found = read(command_settings(), lambda c: balances(c, prefix=prefix))
    if as_json:
        print_json({"accounts": [_account_json(line) for line in found]})
        return
    show_table(
        ("account", "grows by", "balance", "legs"),
        [
            (line.path, _side(line.grows_by), amount(line.balance, line.currency), line.legs)
            for line in found
        ],
        right=("balance", "legs"),
        empty="There are no such accounts.",
    )


def _account_json(line: Balance) -> dict[str, Any]:
    return {
        "account": line.path,
        "currency": line.currency,
        "grows_by": _side(line.grows_by),
        "balance": line.balance,
        "legs": line.legs,
    }


def _side(side: Side) -> str:
    return "debit" if side is Side.DEBIT else "credit"


@dataclass(frozen=True, slots=True)
class _Statement:
    """``as_of`` is the balance of the past that was asked for."""

    account: str
    currency: str
    as_of: AsOf | None
    lines: list[Line]
    next_after: int | None


def show_statement(
    account: str = typer.Argument(help="The account's path: see `tidegate ledger accounts`."),
    after: int = typer.Option(0, min=0, help="Only legs after this number of the account's."),
    limit: int = typer.Option(100, min=1, max=100_000, help="How many legs at most."),
    as_of_entry: int | None = typer.Option(None, min=0, help="As it was after this entry."),
    as_of_block: int | None = typer.Option(None, min=1, help="As it was after this block."),
    at: str = typer.Option("", help="As it was then: 30m, 2h, 1d ago, or a date and time."),
    form: Format = typer.Option(Format.TABLE, "--format", help="table, csv or json."),
    as_json: bool = typer.Option(False, "--json", help="The same as --format json."),
) -> None:
    """Show an account's legs, oldest first, with the balance after each.

    CSV and JSON: amounts are integer minor units.
    """
    if sum((as_of_entry is not None, as_of_block is not None, bool(at))) > 1:
        raise typer.BadParameter("choose one of --as-of-entry, --as-of-block and --at.")
    at_ms = moment(at, SystemClock().now_ms(), "--at") if at else None

    def work(connection: Connection) -> _Statement:
        as_of: AsOf | None = None
        if at_ms is not None:
            as_of = balance_at(connection, account, at_ms)
        elif as_of_entry is not None or as_of_block is not None:
            as_of = balance_as_of(connection, account, entry_id=as_of_entry, block_id=as_of_block)
        lines = statement(connection, account, after, limit + 1)
        if as_of is not None:
            lines = [line for line in lines if line.number <= as_of.number]
        more = len(lines) > limit
        lines = lines[:limit]
        next_after = lines[-1].number if more else None
        return _Statement(account, currency_of(account), as_of, lines, next_after)

    found = read(command_settings(), work)
    match Format.JSON if as_json else form:
        case Format.JSON:
            print_json(_statement_json(found))
        case Format.CSV:
            buffer = io.StringIO()
            writer = csv.writer(buffer)
            writer.writerow(_COLUMNS)
            writer.writerows(_line_json(line).values() for line in found.lines)
            sys.stdout.write(buffer.getvalue())
        case Format.TABLE:
            _print_statement(found)


def _print_statement(found: _Statement) -> None:
    code = found.currency
    show_table(
        ("leg", "entry", "recorded", "kind", "subject", "debit", "credit", "balance"),
        [
            (
                line.number,
                line.entry_id,
                rfc3339(line.recorded_at),
                line.kind,
                line.subject,
                amount(line.amount, code) if line.side is Side.DEBIT else "",
                amount(line.amount, code) if line.side is Side.CREDIT else "",
                amount(line.balance_after, code),
            )
            for line in found.lines
        ],
        right=("leg", "entry", "debit", "credit", "balance"),
        empty="There are no such legs.",
    )
    if found.as_of is not None:
        then = found.as_of
        block = f"block {then.block_id}" if then.block_id is not None else "before any block"
        tail = f" and {then.tail} legs after it" if then.tail else ""
        say(
            f"Balance then: {amount(then.balance, code)} {code} after leg {then.number}"
            + (f" ({block}{tail})." if then.block_id is not None or then.tail else ".")
        )
    if found.next_after is not None:
        say(f"There are more: --after {found.next_after}.")


def _statement_json(found: _Statement) -> dict[str, Any]:
    then = found.as_of
    return {
        "account": found.account,
        "currency": found.currency,
        "as_of": then
        and {
            "balance": then.balance,
            "number": then.number,
            "block": then.block_id,
            "tail": then.tail,
        },
        "lines": [_line_json(line) for line in found.lines],
        "next_after": found.next_after,
    }


def _line_json(line: Line) -> dict[str, Any]:
    values = (
        line.number,
        line.entry_id,
        instant(line.recorded_at),
        line.reference,
        line.kind,
        line.subject,
        _side(line.side),
        line.amount,
        line.balance_after,
    )
    return dict(zip(_COLUMNS, values, strict=True))


def export(
    form: ExportFormat = typer.Option(ExportFormat.CSV, "--format", help="csv or json."),
    after_entry: int = typer.Option(0, min=0, help="Only entries after this one."),
) -> None:
    """Write the whole book to standard output, a row per leg; amounts in minor units."""

    def work(connection: Connection) -> None:
        rows = export_legs(connection, after_entry=after_entry)
        for text in (as_csv if form is ExportFormat.CSV else as_json)(rows):
            sys.stdout.write(text)

    read(command_settings(), work)
