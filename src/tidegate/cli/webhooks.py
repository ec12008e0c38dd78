"""``webhooks``: what other companies told us (inbox), and what clients are told (deliveries)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Any, TypeVar

import typer

from tidegate.cases.inbox import list_inbox, read_again, show_inbox
from tidegate.cli.arguments import moment, needed_text, operator
from tidegate.cli.database import command_settings, read, with_database, write
from tidegate.cli.output import (
    JsonOption,
    age,
    instant,
    pairs,
    print_json,
    say,
    show_table,
    styled,
)
from tidegate.clock import SystemClock
from tidegate.db.committer import Committer
from tidegate.db.engine import Database
from tidegate.errors import NotFound, Stale
from tidegate.observability.redaction import redact_exchange
from tidegate.payments.deliver_again import Again, delivery_view
from tidegate.payments.deliver_operate import (
    OperateDeliveries,
    delivery_by_id,
    list_deliveries,
    list_endpoints,
)
from tidegate.payments.deliver_store import attempts_of
from tidegate.payments.endpoints import endpoint_view
from tidegate.settings import Settings

__all__ = ["register"]

Row = Mapping[str, Any]
T = TypeVar("T")


class Kept(StrEnum):
    """How far a kept webhook is."""

    KEPT = "kept"
    READ = "read"


class Told(StrEnum):
    """How far a delivery is."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


_REASON = typer.Option(..., help="Why; kept in the operators' log.")
_INBOX_ID = typer.Argument(metavar="ID", help="The row's id (inb_...).")
_DELIVERY_ID = typer.Argument(metavar="ID", help="The delivery's id (dlv_...).")
_LIMIT = typer.Option(50, min=1, max=10_000, help="How many at most, the newest first.")
_INBOX = ("id", "source", "dedupe_key", "state", "outcome", "tries")


def register(app: typer.Typer) -> None:
    webhooks = typer.Typer(help="Webhooks in, and webhooks out.", no_args_is_help=True)
    inbox = typer.Typer(help="What PSPs and processors told us.", no_args_is_help=True)
    inbox.command("list")(list_kept)
    inbox.command("show")(show_kept)
    inbox.command("read-again")(read_kept_again)
    endpoints = typer.Typer(help="Receivers of clients.", no_args_is_help=True)
    endpoints.command("list")(list_receivers)
    deliveries = typer.Typer(help="Events on their way to receivers.", no_args_is_help=True)
    deliveries.command("list")(list_told)
    deliveries.command("show")(show_told)
    deliveries.command("redeliver")(redeliver)
    webhooks.add_typer(inbox, name="inbox")
    webhooks.add_typer(endpoints, name="endpoints")
    webhooks.add_typer(deliveries, name="deliveries")
    webhooks.command("replay")(replay)
    app.add_typer(webhooks, name="webhooks")


def list_kept(
    source: str = typer.Option("", help="Only of this PSP or processor."),
    state: Kept | None = typer.Option(None, help="Only in this state."),
    limit: int = _LIMIT,
    as_json: bool = JsonOption,
) -> None:
    """List kept webhooks of all sources, newest first."""
    now_ms = SystemClock().now_ms()
    rows = read(
        command_settings(),
        lambda c: list_inbox(c, source=source or None, state=state, limit=limit),
    )
    if as_json:
        print_json({"inbox": [_inbox_json(row) for row in rows]})
        return
    show_table(
        ("row", "source", "event", "received", "state", "outcome"),
        [
            (
                row["id"],
                row["source"],
                row["dedupe_key"],
                age(row["received_at"], now_ms),
                styled(row["state"]),
                row["outcome"] or "",
            )
            for row in rows
        ],
        empty="There are no such webhooks.",
    )


def show_kept(row_id: str = _INBOX_ID, as_json: bool = JsonOption) -> None:
    """Show a kept webhook and, redacted, what it said."""
    now_ms = SystemClock().now_ms()
    row = _kept(command_settings(), row_id)
    body = redact_exchange(bytes(row["body"]).decode("utf-8", "replace"))
    if as_json:
        print_json({**_inbox_json(row), "body": body})
        return
    pairs(
        [
            ("row", row["id"]),
            ("source", row["source"]),
            ("event", row["dedupe_key"]),
            ("received", f"{instant(row['received_at'])} ({age(row['received_at'], now_ms)})"),
            ("state", styled(row["state"])),
            ("outcome", row["outcome"]),
            ("read next", age(row["due_at"], now_ms) if row["due_at"] else None),
            ("body", body),
        ]
    )


def read_kept_again(row_id: str = _INBOX_ID, reason: str = _REASON) -> None:
    """Have the worker read a kept webhook again at once. It prompts a look, and decides nothing."""
    reason = needed_text(reason, "--reason", "the reason")
    settings, by = command_settings(), operator()
    row = _kept(settings, row_id)
    now_ms = SystemClock().now_ms()
    unit = read_again(row, _sources(settings), now_ms, by=by, origin="cli", reason=reason)
    try:
        write(settings, unit)
    except Stale:
        raise Stale("The row was read meanwhile: look at it again.") from None
    say(f"{row_id} is read again.")


def list_receivers(
    user: str = typer.Option("", help="Only of this user, by id."),
    limit: int = _LIMIT,
    as_json: bool = JsonOption,
) -> None:
    """List webhook endpoints of all users, newest first."""
    now_ms = SystemClock().now_ms()
    rows = read(command_settings(), lambda c: list_endpoints(c, user_id=user or None, limit=limit))
    if as_json:
        print_json(
            {
                "endpoints": [
                    {**endpoint_view(row), "user_id": row["user_id"], "state": row["state"]}
                    for row in rows
                ]
            }
        )
        return
    show_table(
        ("endpoint", "user", "state", "why", "failures", "next", "events", "url"),
        [
            (
                row["id"],
                row["user_id"],
                styled(row["state"]),
                row["disabled_why"] or "",
                row["failures"],
                age(row["due_at"], now_ms) if row["due_at"] else "",
                " ".join(row["events"]),
                row["url"],
            )
            for row in rows
        ],
        right=("failures",),
        empty="There are no webhook endpoints.",
    )


def list_told(
    endpoint: str = typer.Option("", help="Only to this endpoint."),
    payment: str = typer.Option("", help="Only of this payment."),
    state: Told | None = typer.Option(None, help="Only in this state."),
    limit: int = _LIMIT,
    as_json: bool = JsonOption,
) -> None:
    """List deliveries, newest event first."""
    now_ms = SystemClock().now_ms()
    rows = read(
        command_settings(),
        lambda c: list_deliveries(
            c,
            endpoint_id=endpoint or None,
            payment_id=payment or None,
            state=state,
            limit=limit,
        ),
    )
    if as_json:
        print_json({"deliveries": [_delivery_json(row, []) for row in rows]})
        return
    show_table(
        ("delivery", "event", "payment", "no", "endpoint", "state", "tries", "last", "since"),
        [
            (
                row["id"],
                row["type"],
                row["payment_id"],
                row["seq"],
                row["endpoint_id"],
                styled(row["state"]),
                row["tries"],
                row["last_status"] or row["last_error"] or "",
                age(row["created_at"], now_ms),
            )
            for row in rows
        ],
        right=("no", "tries"),
        empty="There are no such deliveries.",
    )


def show_told(delivery_id: str = _DELIVERY_ID, as_json: bool = JsonOption) -> None:
    """Show a delivery and its tries, newest first."""
    row, tries = read(
        command_settings(),
        lambda c: (
            delivery_by_id(c, delivery_id),
            attempts_of(c, [delivery_id]).get(delivery_id, []),
        ),
    )
    if as_json:
        print_json(_delivery_json(row, tries))
        return
    pairs(
        [
            ("delivery", row["id"]),
            ("event", f"{row['event_id']} {row['type']}, number {row['seq']}"),
            ("payment", row["payment_id"]),
            ("endpoint", f"{row['endpoint_id']} of {row['user_id']}"),
            ("state", styled(row["state"])),
            ("not before", instant(row["next_at"])),
            ("delivered", instant(row["delivered_at"])),
            *(("try", _try(each)) for each in tries),
        ]
    )


def redeliver(delivery_id: str = _DELIVERY_ID, reason: str = _REASON) -> None:
    """Send one event again; it waits if its endpoint is disabled."""
    reason = needed_text(reason, "--reason", "the reason")
    by = operator()
    _operate(
        command_settings(),
        lambda verb: verb.redeliver(delivery_id, by=by, origin="cli", reason=reason),
    )
    say(f"{delivery_id} waits to be sent again.")


def replay(
    endpoint: str = typer.Argument(metavar="ENDPOINT", help="The endpoint's id."),
    since: str = typer.Option(..., help="Since then: 30m, 2h, 1d ago, or a date and time."),
    reason: str = _REASON,
) -> None:
    """Send everything since a moment again, in order per payment."""
    reason = needed_text(reason, "--reason", "the reason")
    since_ms = moment(since, SystemClock().now_ms(), "--since")
    by = operator()
    queued = _operate(
        command_settings(),
        lambda verb: verb.replay(endpoint, since_ms, by=by, origin="cli", reason=reason),
    )
    say(f"{queued} events wait to be sent to {endpoint} again.")


def _operate(settings: Settings, act: Callable[[OperateDeliveries], Awaitable[T]]) -> T:
    async def use(database: Database) -> T:
        committer = Committer(database)
        committer.start()
        try:
            again = Again(database, committer, SystemClock())
            return await act(OperateDeliveries(database, committer, again))
        finally:
            await committer.stop()

    return with_database(settings, use)


def _kept(settings: Settings, row_id: str) -> Row:
    row = read(settings, lambda c: show_inbox(c, row_id))
    if row is None:
        raise NotFound(f"There is no kept webhook {row_id}: see `tidegate webhooks inbox list`.")
    return row


def _sources(settings: Settings) -> set[str]:
    """Whose webhooks the worker reads under these settings."""
    cards = {"stripe"} if settings.payments.stripe_api_key is not None else set()
    return {*settings.payouts.psps, *cards}


def _try(row: Row) -> str:
    answer = f"HTTP {row['status']}" if row["status"] is not None else row["error"]
    said = f": {redact_exchange(row['answer'])}" if row["answer"] else ""
    return f"{instant(row['at'])} {answer} after {row['took_ms']} ms{said}"


def _inbox_json(row: Row) -> dict[str, Any]:
    return {
        **{name: row[name] for name in _INBOX},
        "received_at": instant(row["received_at"]),
        "due_at": instant(row["due_at"]),
    }


def _delivery_json(row: Row, tries: list[Row]) -> dict[str, Any]:
    return {**delivery_view(row, tries), "user_id": row["user_id"]}
