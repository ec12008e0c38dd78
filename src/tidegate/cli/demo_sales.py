"""The sales of the demonstration as a terminal shows them: a small table, or a line at each end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from tidegate.cli.output import amount
from tidegate.sandbox.shop import Sold

__all__ = ["sales_counts", "sales_table", "sold_line"]

_STYLES = {"succeeded": "green", "failed": "yellow", "canceled": "yellow", "processing": "cyan"}


def sales_counts(sold: Sequence[Sold], told: int) -> str:
    """How the sales stand, in one line; ``told`` are the webhooks the shop has taken."""
    statuses = Counter(one.status for one in sold if one.payment is not None)
    known = ", ".join(f"{count} {status}" for status, count in sorted(statuses.items()))
    return f"{sum(statuses.values())} of {len(sold)} payments ({known or 'none'}), {told} told"


def sold_line(one: Sold) -> str:
    """A sale that is over."""
    return f"{one.id[-8:]} card {_figures(one)}  {one.status}  [{_story(one)}]"


def sales_table(sold: Sequence[Sold], rows: int) -> Table:
    """The newest sales, what still moves first, in ``rows`` lines at most."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("payment", width=8, no_wrap=True)
    table.add_column("amount", width=14, justify="right", no_wrap=True)
    table.add_column("status", width=16, no_wrap=True)
    table.add_column("what happened", overflow="ellipsis", no_wrap=True)
    begun = [one for one in sold if one.payment is not None]
    moving = [one for one in begun if not one.over]
    ended = [one for one in begun if one.over]
    for one in [*moving, *reversed(ended)][:rows]:
        style = _STYLES.get(one.status, "")
        table.add_row(one.id[-8:], _figures(one).strip(), Text(one.status, style), _story(one))
    return table


def _figures(one: Sold) -> str:
    return f"{amount(one.sale.amount, one.sale.currency):>10} {one.sale.currency}"


def _story(one: Sold) -> str:
    """What has happened to it so far, and what is wrong with it."""
    words = [str(step) for step in one.done]
    if one.unknown:
        words.insert(0, "answer lost, found out")
    if one.payment is not None and one.payment.get("failure"):
        words.append(str(one.payment["failure"]["message"]))
    if one.trouble:
        words.append(one.trouble)
    return ", ".join(words) or "paid"
