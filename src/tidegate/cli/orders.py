"""``orders``: what the node has, and one order's whole story."""

from __future__ import annotations

from typing import Any

import typer
from rich.text import Text

from tidegate.cli.arguments import moment, needed_text, operator
from tidegate.cli.database import command_settings, read, write
from tidegate.cli.orders_resolve import look, resolve
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
from tidegate.clock import SystemClock
from tidegate.db.identity import read_node_id
from tidegate.errors import NotFound
from tidegate.payouts.readings import find_payout, list_payouts
from tidegate.payouts.states import State
from tidegate.payouts.store import Row
from tidegate.payouts.story import Story, read_story, recipient_shown
from tidegate.payouts.waiting import waiting
from tidegate.retention.units import erase_order
from tidegate.settings.rules import rules_of
from tidegate.work.story import lines_shown
from tidegate.work.waiting import Waiting, waiting_shown

__all__ = ["list_orders", "register", "show_order"]

_LISTED = (
    "order_id",
    "id",
    "dialect",
    "state",
    "round",
    "currency",
    "amount",
    "amount_text",
    "institution",
    "psp",
    "tx_id",
    "reason_code",
    "reason_text",
)
_MOMENTS = ("created_at", "offered_at", "expires_at", "accepted_at", "paid_at", "ended_at")
_TOLD = ("told_pending_at", "told_at")
_BODIES = ("body", "request", "response")


def register(app: typer.Typer) -> None:
    orders = typer.Typer(help="Payout orders and their stories.", no_args_is_help=True)
    orders.command("list")(list_orders)
    orders.command("show")(show_order)
    orders.command("erase")(erase)
    orders.command("look")(look)
    orders.command("resolve")(resolve)
    app.add_typer(orders, name="orders")


def erase(
    order: str = typer.Argument(help="The aggregator's order id, or our payout id."),
    reason: str = typer.Option(..., help="Why; kept in the operators' log."),
) -> None:
    """Forget the recipient of an order for ever: account, name, memo, and what was said of them.

    Amounts, references, states and the books stay. Refused while anything of the order is open.
    Whether the law wants the data kept is yours to know.
    """
    reason = needed_text(reason, "--reason", "the reason")
    settings = command_settings()
    row = read(settings, lambda c: find_payout(c, order))
    if row is None:
        raise NotFound(f"There is no order {order}: `tidegate orders list` shows them.")
    touched, _ = write(settings, erase_order(row["id"], operator(), "cli", reason))
    said = ", ".join(f"{count} {name}" for name, count in touched.items() if count)
    say(f"The recipient of {row['order_id']} is erased ({said}).")


def list_orders(
    state: list[State] = typer.Option([], help="Only this state; may be repeated."),
    limit: int = typer.Option(50, min=1, max=10_000, help="How many at most, the newest first."),
    since: str = typer.Option("", help="Only since then: 30m, 2h, 1d ago, or a date and time."),
    as_json: bool = JsonOption,
) -> None:
    """List orders, newest first."""
    now_ms = SystemClock().now_ms()
    since_ms = moment(since, now_ms, "--since") if since else None
    rows = read(
        command_settings(),
        lambda c: list_payouts(c, states=state, since_ms=since_ms, limit=limit),
    )
    if as_json:
        print_json({"orders": [_order_json(row) for row in rows]})
        return
    show_table(
        ("order", "state", "amount", "currency", "psp", "offered", "due", "reason"),
        [
            (
                row["order_id"],
                styled(row["state"]),
                amount(row["amount"], row["currency"]) or row["amount_text"],
                row["currency"],
                row["psp"] or "",
                age(row["created_at"], now_ms),
                due_shown(row, now_ms, kinds=True),
                row["reason_code"] or "",
            )
            for row in rows
        ],
        right=("amount",),
        empty="There are no such orders.",
    )
    if len(rows) == limit:
        say(f"These are the newest {limit}; --limit shows more.")


def show_order(
    order: str = typer.Argument(
        help="The aggregator's order id, our payout or attempt id, or a reference."
    ),
    full: bool = typer.Option(False, "--full", help="Also what was said, request and answer."),
    as_json: bool = JsonOption,
) -> None:
    """Tell an order's whole story: what happened, what it waits for and why, what comes next."""
    settings = command_settings()
    now_ms = SystemClock().now_ms()

    def work(connection: Any) -> tuple[Story, str] | None:
        payout = find_payout(connection, order)
        if payout is None:
            return None
        return read_story(connection, payout), read_node_id(connection)

    found = read(settings, work)
    if found is None:
        raise NotFound(
            f"No order, payout or attempt is called {order}: `tidegate orders list` shows what "
            "there is."
        )
    story, node_id = found
    rules = rules_of(settings, node_id)
    state = waiting(
        story.payout,
        story.attempts,
        story.open_cases,
        rules,
        now_ms,
        last_answers=story.last_answers,
    )
    if as_json:
        print_json(_story_json(story, state))
    else:
        _print_head(story, now_ms)
        _print_lines(story, full)
        print_waiting(state, now_ms)


def _print_head(story: Story, now_ms: int) -> None:
    payout = story.payout
    recipient = recipient_shown(payout["recipient"])
    pairs(
        [
            ("order", payout["order_id"]),
            ("payout", payout["id"]),
            ("state", styled(payout["state"])),
            ("amount", f"{_amount(payout)} {payout['currency']}"),
            ("institution", payout["institution"]),
            ("recipient", recipient and f"{recipient['account']} {recipient['name']}"),
            ("psp", payout["psp"]),
            ("reserved", amount(payout["held"], payout["currency"]) if payout["held"] else None),
            ("transaction", payout["tx_id"]),
            ("dialect, round", f"{payout['dialect']}, {payout['round']}"),
            ("offered", f"{instant(payout['offered_at'])} ({age(payout['offered_at'], now_ms)})"),
            ("reason", payout["reason_text"] or payout["reason_code"]),
        ]
    )


def _amount(payout: Row) -> str:
    return amount(payout["amount"], payout["currency"]) or str(payout["amount_text"])


def _print_lines(story: Story, full: bool) -> None:
    out = console()
    out.print()
    before = story.lines[0].at if story.lines else 0
    for line in story.lines:
        moment_text = Text(f"{instant(line.at)}  {_since(line.at - before):>9}  ", style="dim")
        before = line.at
        out.print(moment_text + Text(f"{line.kind:<11}  ") + Text(clean(line.what)), soft_wrap=True)
        if full:
            for name, text in said(line, _BODIES):
                out.print(Text(f"{'':38}{name}: {clean(text)}", style="dim"), soft_wrap=True)
    out.print()


def _since(ms: int) -> str:
    return f"+{ms} ms" if ms < 10_000 else f"+{ms // 1000} s"


def _order_json(row: Row) -> dict[str, Any]:
    return {
        **{name: row[name] for name in _LISTED},
        **{name: instant(row[name] or None) for name in (*_MOMENTS, *_TOLD)},
        "held": row["held"],
        "due": {"kind": row["kind"], "at": instant(row["due_at"])} if row["due_at"] else None,
    }


def _story_json(story: Story, state: Waiting) -> dict[str, Any]:
    return {
        "order": {
            **_order_json(story.payout),
            "recipient": recipient_shown(story.payout["recipient"]),
        },
        "waiting": waiting_shown(state),
        "open_cases": [case["id"] for case in story.open_cases],
        "story": lines_shown(story.lines),
    }
