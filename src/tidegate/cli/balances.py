"""``balances``: the float, what PSPs said of it last, and what the aggregator was told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import typer
from rich.text import Text
from sqlalchemy import Connection, select

from tidegate.cli.database import command_settings, read
from tidegate.cli.output import JsonOption, age, amount, instant, print_json, say, show_table
from tidegate.clock import SystemClock
from tidegate.payouts.facts import read_float
from tidegate.payouts.push import push_id, totals
from tidegate.payouts.rules import Rules
from tidegate.payouts.tables import psp_balances
from tidegate.settings.rules import rules_of
from tidegate.work.tables import periodic

__all__ = ["Standing", "read_standing", "register", "show_balances"]

_PARTS = ("available", "reserved", "suspense", "missing", "surplus")
_NOTHING = dict.fromkeys(_PARTS, 0)


def register(app: typer.Typer) -> None:
    app.command("balances")(show_balances)


@dataclass(frozen=True, slots=True)
class Standing:
    """One snapshot: the float accounts by (PSP, currency), the rows of the last readings by the
    same, and the rows of the pushes by currency."""

    parts: dict[tuple[str, str], dict[str, int]]
    readings: dict[tuple[str, str], dict[str, Any]]
    pushes: dict[str, dict[str, Any]]

    @property
    def keys(self) -> list[tuple[str, str]]:
        return sorted({*self.parts, *self.readings}, key=lambda key: (key[1], key[0]))


def read_standing(connection: Connection) -> Standing:
    """Everything that is known about the float."""
    readings = connection.execute(select(psp_balances)).mappings()
    pushes = connection.execute(select(periodic)).mappings()
    prefix = push_id("")
    return Standing(
        parts=read_float(connection),
        readings={(row["psp"], row["currency"]): dict(row) for row in readings},
        pushes={
            row["id"].removeprefix(prefix): dict(row)
            for row in pushes
            if row["id"].startswith(prefix)
        },
    )


def show_balances(as_json: bool = JsonOption) -> None:
    """Show the float: available, reserved, total; the unexplained; the last reading and push.

    Total is what the books say is at the PSP, suspense included; missing is what a reading did
    not find, surplus what nobody has explained.
    """
    settings = command_settings()
    rules = rules_of(settings, "")
    standing = read(settings, read_standing)
    now_ms = SystemClock().now_ms()
    currencies = sorted({currency for _, currency in standing.keys} | rules.currencies)
    if as_json:
        print_json(
            {
                "balances": [_psp_json(standing, *key) for key in standing.keys],
                "currencies": [_currency_json(standing, rules, code) for code in currencies],
            }
        )
        return
    show_table(
        (
            "psp",
            "currency",
            "available",
            "reserved",
            "total",
            "suspense",
            "missing",
            "surplus",
            "PSP says",
            "read",
        ),
        [_psp_cells(standing, *key, now_ms) for key in standing.keys],
        right=("available", "reserved", "total", "suspense", "missing", "surplus", "PSP says"),
        empty="There is no float yet: `tidegate serve` takes the first reading.",
    )
    show_table(
        ("currency", "available", "reserved", "total", "critical below", "aggregator was told"),
        [_currency_cells(standing, rules, code, now_ms) for code in currencies],
        right=("available", "reserved", "total", "critical below"),
    )
    if any(parts["missing"] or parts["surplus"] for parts in standing.parts.values()):
        say("Books and readings differ: `tidegate cases list` says what to look at.")


def _psp_cells(standing: Standing, psp: str, currency: str, now_ms: int) -> list[object]:
    parts = standing.parts.get((psp, currency), _NOTHING)
    reading = standing.readings.get((psp, currency), {})
    return [
        psp,
        currency,
        amount(parts["available"], currency),
        amount(parts["reserved"], currency),
        amount(_total(parts), currency),
        *(
            Text(amount(parts[name], currency), style="bold red" if parts[name] else "")
            for name in ("suspense", "missing", "surplus")
        ),
        amount(reading.get("reading"), currency),
        age(reading.get("read_at"), now_ms),
    ]


def _total(parts: dict[str, int]) -> int:
    """What should be at the PSP: the L of the band that readings are compared with (A9)."""
    return parts["available"] + parts["reserved"] + parts["suspense"]


def _currency_cells(standing: Standing, rules: Rules, currency: str, now_ms: int) -> list[object]:
    sums = totals(standing.parts, currency)
    critical = rules.critical_balance.get(currency)
    low = critical is not None and sums.available < critical
    return [
        currency,
        Text(amount(sums.available, currency), style="bold red" if low else ""),
        amount(sums.reserved, currency),
        amount(sums.total, currency),
        amount(critical, currency) + (" (reached)" if low else ""),
        _told(standing.pushes.get(currency), currency, now_ms),
    ]


def _told(push: dict[str, Any] | None, currency: str, now_ms: int) -> str:
    if push is None or push["result"] is None:
        return "never"
    figure = amount(push["result"].get("available"), currency)
    when = age(push["last_done_at"], now_ms)
    if push["result"].get("said") == "done":
        return f"{figure}, {when}"
    return f"not taken ({push['result'].get('said')}), {when}"


def _psp_json(standing: Standing, psp: str, currency: str) -> dict[str, Any]:
    parts = standing.parts.get((psp, currency), _NOTHING)
    reading = standing.readings.get((psp, currency), {})
    return {
        "psp": psp,
        "currency": currency,
        **{name: parts[name] for name in _PARTS},
        "total": _total(parts),
        "reading": reading.get("reading"),
        "read_at": instant(reading.get("read_at")),
    }


def _currency_json(standing: Standing, rules: Rules, currency: str) -> dict[str, Any]:
    sums = totals(standing.parts, currency)
    push = standing.pushes.get(currency)
    told = None
    if push is not None and push["result"] is not None:
        told = {**push["result"], "at": instant(push["last_done_at"])}
    return {
        "currency": currency,
        "available": sums.available,
        "reserved": sums.reserved,
        "total": sums.total,
        "critical_below": rules.critical_balance.get(currency),
        "told": told,
    }
