"""``payments``: what clients paid, one payment's whole story, and what a person may do about it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import typer
from rich.text import Text
from sqlalchemy import Connection, select

from tidegate.cli.arguments import needed_text, operator
from tidegate.cli.database import command_settings, read, write
from tidegate.cli.output import (
    JsonOption,
    age,
    amount,
    clean,
    console,
    instant,
    pairs,
    print_json,
    say,
    show_table,
    styled,
)
from tidegate.cli.story_parts import due_shown, print_waiting, said
from tidegate.clock import Randomness, SystemClock
from tidegate.db.committer import Unit
from tidegate.errors import Conflict, NotFound, Stale
from tidegate.observability.redaction import redact_exchange
from tidegate.payments.readings import PaymentFilter, list_payments, list_refunds
from tidegate.payments.resolve import close_as_failed, look_again, read_doubt
from tidegate.payments.states import State, public_status
from tidegate.payments.store import Row, payment_by_id
from tidegate.payments.story import Story, read_story
from tidegate.payments.tables import disputes
from tidegate.payments.waiting import waiting
from tidegate.settings import Settings
from tidegate.work.story import lines_shown
from tidegate.work.waiting import Waiting, waiting_shown

__all__ = ["register"]


class Status(StrEnum):
    """What the API calls a payment's state."""

    REQUIRES_PAYMENT_METHOD = "requires_payment_method"
    REQUIRES_ACTION = "requires_action"
    PROCESSING = "processing"
    REQUIRES_CAPTURE = "requires_capture"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


class Ending(StrEnum):
    """How an operator may end a payment: success is the processor's word alone."""

    FAILED = "failed"


_PAYMENT = typer.Argument(metavar="ID", help="The payment's id.")
_REASON = typer.Option(..., help="Why; kept in the operators' log.")
_LISTED = (
    "id",
    "user_id",
    "state",
    "amount",
    "amount_captured",
    "amount_refunded",
    "currency",
    "processor",
    "processor_reference",
    "failure_code",
    "failure_message",
    "decline_code",
    "lookups",
)
_REFUND = (
    "id",
    "payment_id",
    "state",
    "amount",
    "currency",
    "reason",
    "processor_reference",
    "failure",
)
_DISPUTE = (
    "id",
    "payment_id",
    "state",
    "amount",
    "currency",
    "reason",
    "processor",
    "processor_reference",
)
_TIMES = ("created_at", "updated_at")
_BODIES = ("body", "request", "response", "answer")


def register(app: typer.Typer) -> None:
    payments = typer.Typer(help="Payments of clients and their stories.", no_args_is_help=True)
    payments.command("list")(list_them)
    payments.command("show")(show)
    payments.command("refunds")(refunds)
    payments.command("disputes")(list_disputes)
    payments.command("look")(look)
    payments.command("resolve")(resolve)
    app.add_typer(payments, name="payments")


def list_them(
    status: Status | None = typer.Option(None, help="Only with this status."),
    user: str = typer.Option("", help="Only of this user, by id."),
    limit: int = typer.Option(50, min=1, max=10_000, help="How many at most, the newest first."),
    as_json: bool = JsonOption,
) -> None:
    """List payments, newest first."""
    now_ms = SystemClock().now_ms()
    wanted = PaymentFilter(user or None, status.value if status else None)
    rows = read(command_settings(), lambda c: list_payments(c, wanted, None, limit))
    if as_json:
        print_json({"payments": [_payment_json(row) for row in rows]})
        return
    show_table(
        ("payment", "state", "amount", "currency", "refunded", "user", "made", "due", "failure"),
        [
            (
                row["id"],
                styled(row["state"]),
                amount(row["amount"], row["currency"]),
                row["currency"],
                amount(row["amount_refunded"], row["currency"]) if row["amount_refunded"] else "",
                row["user_id"],
                age(row["created_at"], now_ms),
                due_shown(row, now_ms, kinds=False),
                row["failure_code"] or "",
            )
            for row in rows
        ],
        right=("amount", "refunded"),
        empty="There are no such payments.",
    )
    if len(rows) == limit:
        say(f"These are the newest {limit}; --limit shows more.")


def show(
    payment: str = _PAYMENT,
    full: bool = typer.Option(False, "--full", help="Also what was said, request and answer."),
    as_json: bool = JsonOption,
) -> None:
    """Tell a payment's whole story: what happened, what it waits for and why, what comes next."""
    now_ms = SystemClock().now_ms()
    story = read(command_settings(), lambda c: read_story(c, _find(c, payment)))
    state = waiting(story.payment, story.refunds, story.disputes, story.open_cases, now_ms)
    if as_json:
        print_json(_story_json(story, state))
        return
    _print_head(story.payment, now_ms)
    _print_lines(story, full)
    print_waiting(state, now_ms)


def refunds(payment: str = _PAYMENT, as_json: bool = JsonOption) -> None:
    """List a payment's refunds, newest first."""
    now_ms = SystemClock().now_ms()

    def work(connection: Connection) -> list[Row]:
        _find(connection, payment)
        return list_refunds(connection, payment, None, 10_000)

    rows = read(command_settings(), work)
    if as_json:
        print_json({"refunds": [_part_json(row, _REFUND) for row in rows]})
        return
    _show_parts("refund", rows, now_ms, "The payment has no refunds.")


def list_disputes(
    limit: int = typer.Option(100, min=1, max=10_000, help="How many at most, the newest first."),
    as_json: bool = JsonOption,
) -> None:
    """List disputes of all payments, newest first."""
    now_ms = SystemClock().now_ms()
    wanted = (
        select(disputes).order_by(disputes.c.created_at.desc(), disputes.c.id.desc()).limit(limit)
    )
    rows = read(command_settings(), lambda c: [dict(row) for row in c.execute(wanted).mappings()])
    if as_json:
        print_json({"disputes": [_part_json(row, _DISPUTE) for row in rows]})
        return
    _show_parts("dispute", rows, now_ms, "There are no disputes.")


def look(payment: str = _PAYMENT, reason: str = _REASON) -> None:
    """Ask the processor again at once how the payment and its open refunds stand."""
    reason = needed_text(reason, "--reason", "the reason")
    settings, by = _with_processor(), operator()
    doubt = read(settings, lambda c: read_doubt(c, payment))
    _write(settings, look_again(doubt, by=by, origin="cli", reason=reason))
    say(f"{payment} is due now; `tidegate payments show {payment}` tells what is found.")


def resolve(
    payment: str = _PAYMENT,
    ending: Ending = typer.Option(
        ..., "--as", help="Only failed: what the processor took or not is its word alone."
    ),
    evidence: str = typer.Option(..., help="Where it was looked up and what was found."),
    reason: str = _REASON,
) -> None:
    """Close a payment that the processor does not know, or has told nothing of for a day.

    An object that may still be there is canceled at the processor. Should it say that the money
    was taken after all, that is booked and a case tells of it.
    """
    reason = needed_text(reason, "--reason", "the reason")
    evidence = needed_text(evidence, "--evidence", "the evidence")
    settings, by, clock = _with_processor(), operator(), SystemClock()
    doubt = read(settings, lambda c: read_doubt(c, payment))
    unit = close_as_failed(
        doubt,
        clock,
        Randomness(clock),
        by=by,
        origin="cli",
        reason=reason,
        evidence=evidence,
    )
    _write(settings, unit)
    say(f"{payment} is closed as {ending.value}; its client is told.")


def _with_processor() -> Settings:
    """The settings, of a deployment whose worker asks a processor."""
    settings = command_settings()
    if settings.payments.stripe_api_key is None:
        raise Conflict("No card processor is configured (STRIPE_API_KEY): nobody would ask it.")
    return settings


def _write(settings: Settings, unit: Unit) -> None:
    try:
        write(settings, unit)
    except Stale:
        raise Stale("The payment changed meanwhile: look at it again.") from None


def _find(connection: Connection, payment_id: str) -> Row:
    row = payment_by_id(connection, payment_id)
    if row is None:
        raise NotFound(f"There is no payment {payment_id}: `tidegate payments list` shows them.")
    return row


def _show_parts(kind: str, rows: Sequence[Row], now_ms: int, empty: str) -> None:
    show_table(
        (kind, "payment", "state", "amount", "currency", "made", "due", "at the processor", "why"),
        [
            (
                row["id"],
                row["payment_id"] or "",
                styled(row["state"]),
                amount(row["amount"], row["currency"] or ""),
                row["currency"] or "",
                age(row["created_at"], now_ms),
                due_shown(row, now_ms, kinds=False),
                row["processor_reference"] or "",
                row["reason"] or "",
            )
            for row in rows
        ],
        right=("amount",),
        empty=empty,
    )


def _print_head(row: Row, now_ms: int) -> None:
    currency = row["currency"]
    pairs(
        [
            ("payment", row["id"]),
            ("user", row["user_id"]),
            ("state", styled(row["state"])),
            ("amount", f"{amount(row['amount'], currency)} {currency}"),
            ("captured", amount(row["amount_captured"], currency)),
            ("refunded", amount(row["amount_refunded"], currency)),
            ("being refunded", amount(row["amount_refunding"], currency)),
            ("processor", f"{row['processor']} {row['processor_reference'] or '(no object yet)'}"),
            ("failure", row["failure_message"] or row["failure_code"]),
            ("made", f"{instant(row['created_at'])} ({age(row['created_at'], now_ms)})"),
            ("changed", f"{instant(row['updated_at'])} ({age(row['updated_at'], now_ms)})"),
        ]
    )


def _print_lines(story: Story, full: bool) -> None:
    out = console()
    out.print()
    for line in story.lines:
        when = Text(f"{instant(line.at)}  ", style="dim")
        out.print(when + Text(f"{line.kind:<9}  ") + Text(clean(line.what)), soft_wrap=True)
        if full:
            for name, text in said(line, _BODIES):
                out.print(Text(f"{'':26}{name}: {clean(text)}", style="dim"), soft_wrap=True)
    out.print()


def _payment_json(row: Row) -> dict[str, Any]:
    return {
        **{name: row[name] for name in _LISTED},
        **{name: instant(row[name]) for name in _TIMES},
        "status": public_status(State(row["state"])),
        "due": {"kind": row["kind"], "at": instant(row["due_at"])} if row["due_at"] else None,
    }


def _part_json(row: Row, names: Sequence[str]) -> dict[str, Any]:
    return {
        **{name: row[name] for name in names},
        **{name: instant(row[name]) for name in _TIMES},
        "due": {"kind": row["kind"], "at": instant(row["due_at"])} if row["due_at"] else None,
    }


def _story_json(story: Story, state: Waiting) -> dict[str, Any]:
    payment = story.payment
    return {
        "payment": {
            **_payment_json(payment),
            "description": redact_exchange(payment["description"]),
            "metadata": redact_exchange(payment["metadata"]),
        },
        "refunds": [_part_json(row, _REFUND) for row in story.refunds],
        "disputes": [_part_json(row, _DISPUTE) for row in story.disputes],
        "waiting": waiting_shown(state),
        "open_cases": [case["id"] for case in story.open_cases],
        "story": lines_shown(story.lines),
    }
