"""What the demonstration shows: a live table on a terminal, plain lines anywhere else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tidegate.cli.demo_check import Check
from tidegate.cli.demo_orders import Standing
from tidegate.cli.demo_sales import sales_counts, sales_table, sold_line
from tidegate.cli.output import console
from tidegate.payouts.states import State
from tidegate.sandbox.scenario import End
from tidegate.sandbox.shop import Sold

__all__ = ["Balances", "LiveScreen", "Screen", "make_screen", "show_all", "show_proof"]

_CHROME_LINES = 14
# The sales have a table of their own below: as many rows, and its head.
_SALES_ROWS = 6
_SALES_CHROME = 5
_COLUMNS = {
    "order": 8,
    "form": 4,
    "naira": 12,
    "to": 8,
    "here": 10,
    "aggregator": 10,
    "bank": 10,
}
# And what is shown besides where there is room for it.
_MORE_COLUMNS = {"trouble": 16, "why": 60}
_REFRESH_HZ = 4
_END_STYLES = {
    End.PAID: "green",
    End.UNPAID: "yellow",
    End.PERSON: "bold red",
    End.INCIDENT: "magenta",
}
_STATE_STYLES = {
    State.FULFILLED: "green",
    State.PAID: "green",
    State.HELD: "bold red",
    State.FAILED: "yellow",
    State.CANCELLED: "yellow",
    State.DECLINED: "yellow",
    State.EXPIRED: "yellow",
}

Balances = Sequence[tuple[str, str]]


class Screen(Protocol):
    """Shows orders and payments as they move; a context manager."""

    def show(
        self,
        elapsed_s: float,
        standings: Sequence[Standing],
        balances: Balances,
        sold: Sequence[Sold] = (),
        told: int = 0,
    ) -> None:
        """Show this moment; ``told`` counts the webhooks that the shop has taken."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def make_screen() -> Screen:
    """The live table if standard output is a terminal, else lines."""
    out = console()
    return LiveScreen(out) if out.is_terminal else _PlainScreen(out)


class LiveScreen:
    """A table that is drawn anew at every look; what still moves comes first."""

    def __init__(self, out: Console) -> None:
        self._console = out
        self._live = Live(console=out, refresh_per_second=_REFRESH_HZ, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def show(
        self,
        elapsed_s: float,
        standings: Sequence[Standing],
        balances: Balances,
        sold: Sequence[Sold] = (),
        told: int = 0,
    ) -> None:
        below = _SALES_ROWS + _SALES_CHROME if sold else 0
        room = max(5, self._console.size.height - _CHROME_LINES - below)
        begun = [one for one in standings if one.order is not None]
        moving = [one for one in begun if one.end is None]
        ended = [one for one in begun if one.end is not None]
        # What still moves is what people look at; of what has ended the latest.
        ended.sort(key=lambda one: one.order.updated if one.order is not None else 0.0)
        left = room - len(moving[:room])
        shown = [*moving[:room], *reversed(ended[-left:] if left else [])]
        parts: list[RenderableType] = [
            _panel(elapsed_s, standings, balances),
            _table(shown, width=self._console.width),
        ]
        if sold:
            parts += [Text(sales_counts(sold, told)), sales_table(sold, _SALES_ROWS)]
        self._live.update(Group(*parts))


class _PlainScreen:
    """A line for each order and payment that reached its end, and the balances now and then."""

    _EVERY_S = 5.0

    def __init__(self, out: Console) -> None:
        self._console = out
        self._told: set[str] = set()
        self._next_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def show(
        self,
        elapsed_s: float,
        standings: Sequence[Standing],
        balances: Balances,
        sold: Sequence[Sold] = (),
        told: int = 0,
    ) -> None:
        for one in standings:
            if one.end is not None and one.planned.order_id not in self._told:
                self._told.add(one.planned.order_id)
                self._console.print(f"{elapsed_s:6.1f} s  {_line(one)}")
        for sale in sold:
            if sale.over and sale.id not in self._told:
                self._told.add(sale.id)
                self._console.print(f"{elapsed_s:6.1f} s  {sold_line(sale)}")
        if elapsed_s >= self._next_s:
            self._next_s = elapsed_s + self._EVERY_S
            figures = ", ".join(f"{name} {value}" for name, value in balances)
            self._console.print(f"{elapsed_s:6.1f} s  {_counts(standings)}; {figures}")
            if sold:
                self._console.print(f"{elapsed_s:6.1f} s  {sales_counts(sold, told)}")


def _line(one: Standing) -> str:
    troubles = ", ".join(one.planned.trouble.faults) or "no fault"
    status = one.order.status if one.order is not None else "-"
    return (
        f"{one.planned.order_id[:8]} {one.planned.dialect:4} {one.planned.amount:>12,.2f} "
        f"{one.planned.institution}  {one.state or 'not taken'} / {status} / paid {one.times_paid}x"
        f"  [{troubles}]{f'  {one.reason}' if one.reason else ''}"
    )


def _counts(standings: Sequence[Standing]) -> str:
    offered = sum(one.order is not None for one in standings)
    ends = Counter(one.end for one in standings if one.end is not None)
    told = ", ".join(f"{ends[end]} {end}" for end in End if ends[end])
    return f"{offered} of {len(standings)} offered, {sum(ends.values())} ended" + (
        f" ({told})" if told else ""
    )


def _panel(elapsed_s: float, standings: Sequence[Standing], balances: Balances) -> Panel:
    grid = Table.grid(padding=(0, 2))
    grid.add_column()
    grid.add_column(justify="right")
    for name, value in balances:
        grid.add_row(name, value)
    states = Counter(str(one.state) for one in standings if one.state is not None)
    told = "   ".join(f"{count} {state}" for state, count in sorted(states.items()))
    return Panel(
        Group(Text(_counts(standings)), Text(told, style="dim"), grid),
        title=f"Tidegate, {elapsed_s:.0f} s",
        box=box.ROUNDED,
    )


def _table(standings: Sequence[Standing], *, width: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name, wide in _COLUMNS.items():
        table.add_column(
            name, justify="right" if name == "naira" else "left", width=wide, no_wrap=True
        )
    # Two blanks stand between columns, one at each end.
    rest = width - sum(_COLUMNS.values()) - 2 * len(_COLUMNS) - 4
    names = [name for name, least in _MORE_COLUMNS.items() if rest >= least]
    for name in names:
        most = rest // len(names) - 2
        table.add_column(name, overflow="ellipsis", no_wrap=True, max_width=most)
    for one in standings:
        style = _STATE_STYLES.get(one.state) if one.state is not None else None
        cells = [
            Text(one.planned.order_id[:8]),
            Text(one.planned.dialect),
            Text(f"{one.planned.amount:,.2f}"),
            Text(one.planned.institution),
            Text(str(one.state or "-"), style=style or ""),
            Text(str(one.order.status) if one.order is not None else "-"),
            Text(_at_the_bank(one)),
            Text(", ".join(one.planned.trouble.faults), style="dim"),
            Text(one.reason, style=_END_STYLES.get(one.end, "") if one.end else ""),
        ]
        table.add_row(*cells[: len(table.columns)])
    return table


def _at_the_bank(one: Standing) -> str:
    if not one.transfers:
        return "-"
    last = one.transfers[-1]
    word = "queued" if last.queued else str(last.status)
    return "reversed" if one.reversed_ else word


def show_all(standings: Sequence[Standing], sold: Sequence[Sold]) -> None:
    """All orders and all payments, once."""
    out = console()
    out.print(_table(standings, width=out.width))
    if sold:
        out.print(sales_table(sold, len(sold)))


def show_proof(checks: Sequence[Check]) -> None:
    """The checks with their figures; lines below a check explain it or speak against it."""
    out = console()
    for number, check in enumerate(checks, start=1):
        word = Text("holds ", style="green") if check.ok else Text("BROKEN", style="bold red")
        out.print(Text.assemble(f"{number}. ", word, f"  {check.name}"))
        out.print(Text(f"           {check.figures}", style="dim"))
        for line in check.lines:
            out.print(Text(f"             {line}", style="" if check.ok else "red"))
