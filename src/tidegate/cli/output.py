"""How commands speak: tables for people, JSON for machines, exit codes that mean something.

Exit codes: 0 done, or the answer is yes; 1 the answer is no (not found, refused, findings, a
signature that does not fit); 2 the command or the configuration is not usable.

JSON: one object on standard output; amounts are integer minor units, instants RFC 3339 in UTC.
Tables: amounts in major units. Whatever other companies wrote is printed without its control
characters, so that no answer of theirs moves the cursor of an operator's terminal.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tidegate.clock import rfc3339
from tidegate.errors import BadInput, UnsupportedCurrency
from tidegate.money.amount import Money, to_text
from tidegate.money.currency import parse_currency

__all__ = [
    "MISUSED",
    "NO",
    "JsonOption",
    "age",
    "amount",
    "busy",
    "clean",
    "console",
    "duration",
    "instant",
    "pairs",
    "print_json",
    "say",
    "show_table",
    "styled",
]

NO: Final = 1
MISUSED: Final = 2

JsonOption = typer.Option(False, "--json", help="One JSON object; amounts in minor units.")

# A file or a pipe has no width: nothing is cut, so that every line can be searched.
_WIDTH_OF_A_PIPE: Final = 400
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_UNITS: Final = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))
_STYLES: Final = {
    "ok": "green",
    "fulfilled": "green",
    "paid": "green",
    "warn": "yellow",
    "unknown": "yellow",
    "fail": "bold red",
    "held": "bold red",
    "reversed": "bold red",
    "high": "bold red",
    "medium": "yellow",
}


def console(*, stderr: bool = False) -> Console:
    """A console on the standard stream of this moment; markup in a text is text."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _WIDTH_OF_A_PIPE
    if width is None:
        width = shutil.get_terminal_size().columns
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False)


def busy(what: str) -> AbstractContextManager[object]:
    """Show that something takes its time, to a person who watches."""
    if not sys.stderr.isatty():
        return nullcontext()
    return console(stderr=True).status(what)


def say(text: str) -> None:
    """A line for a person on standard output."""
    typer.echo(clean(text))


def clean(text: str) -> str:
    """``text`` with every control character but tab and line feed spelled out, as ``\\x1b``."""
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


def styled(word: str) -> Text:
    """A state or a severity, in its colour where there are colours."""
    return Text(clean(word), style=_STYLES.get(word, ""))


def show_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Iterable[str] = (),
    empty: str = "Nothing.",
) -> None:
    """Print a table; ``right`` names the columns of numbers. Without rows, the sentence
    ``empty``."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    numbers = set(right)
    for column in columns:
        if column in numbers:
            table.add_column(column, justify="right", no_wrap=True)
        else:
            table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else _cell(cell) for cell in row))
    if table.row_count:
        console().print(table)
    else:
        say(empty)


def pairs(rows: Iterable[tuple[str, object]]) -> None:
    """Print names and values below each other; values that are ``None`` are left out."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        if value is not None:
            table.add_row(Text(name), value if isinstance(value, Text) else _cell(value))
    console().print(table)


def _cell(value: object) -> Text:
    return Text("" if value is None else clean(str(value)))


def print_json(thing: Any) -> None:
    """Print one JSON document, in ASCII."""
    typer.echo(json.dumps(thing, indent=2))


def amount(minor: int | None, currency: str) -> str:
    """Minor units as a person writes them: ``1,234.50``; a currency nobody knows stays minor."""
    if minor is None:
        return ""
    try:
        text = to_text(Money(minor, parse_currency(currency)))
    except (BadInput, UnsupportedCurrency):
        return f"{minor} (minor units)"
    whole, point, rest = text.partition(".")
    return f"{int(whole):,}{point}{rest}" if not whole.startswith("-0") else text


def instant(at_ms: int | None) -> str | None:
    """RFC 3339 in UTC; ``None`` for no instant."""
    return None if at_ms is None else rfc3339(at_ms)


def duration(ms: int) -> str:
    """A stretch of time in its two largest units: ``1 h 5 min``, ``2.5 s``, ``40 ms``."""
    ms = abs(ms)
    if ms < 1_000:
        return f"{ms} ms"
    if ms < 10_000:
        return f"{ms / 1000:.1f}".removesuffix(".0") + " s"
    for place, (size, unit) in enumerate(_UNITS):
        if ms >= size:
            count, rest = divmod(ms, size)
            if place + 1 == len(_UNITS):
                return f"{count} {unit}"
            smaller, name = _UNITS[place + 1]
            more = f" {rest // smaller} {name}" if rest >= smaller else ""
            return f"{count} {unit}{more}"
    raise AssertionError("unreachable: a second or more fits a unit")


def age(at_ms: int | None, now_ms: int) -> str:
    """How long ago, or in how long."""
    if at_ms is None:
        return "never"
    if at_ms > now_ms:
        return f"in {duration(at_ms - now_ms)}"
    return f"{duration(now_ms - at_ms)} ago"
