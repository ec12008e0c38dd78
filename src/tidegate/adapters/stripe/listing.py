"""Looking through Stripe's lists for what carries our id. Source: ``contracts/processor.md`` 1.

Lists are complete at once; search is not, so it is never evidence. A list that could not be read
to its end proves no absence: that is ``Unknown``, never ``Missing``.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import stripe

from tidegate.adapters.stripe.client import Connection
from tidegate.adapters.stripe.outcomes import end_of, undeclined
from tidegate.adapters.stripe.reading import Unreadable, identity, our_id, read_intent
from tidegate.clock import Clock
from tidegate.ports.cards import Found, Missing, NotSent, Refused, Unknown

__all__ = ["PAGE_SIZE", "AskPage", "Page", "find_ours", "read_events", "read_page"]

PAGE_SIZE: Final = 100  # the most that Stripe gives
_PAGES_MAX: Final = 200

AskPage = Callable[[stripe.StripeClient, str | None], Awaitable[object]]
"""One page of a list, behind the object with this id (from the newest without one)."""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list, newest first; every row has an id. ``more``: it goes on behind them."""

    rows: Sequence[Mapping[str, Any]]
    more: bool


async def find_ours(
    connection: Connection,
    clock: Clock,
    verb: str,
    ask: AskPage,
    *,
    key: str,
    value: str,
    read: Callable[[Mapping[str, Any]], Any],
    timeout_s: float,
) -> Found | Missing | Refused | NotSent | Unknown:
    """Find the newest object whose metadata has ``value`` under ``key``.

    ``timeout_s`` is for all pages together. The exchange of the outcome is that of the last page.
    """
    deadline = clock.monotonic() + timeout_s
    after: str | None = None
    for _ in range(_PAGES_MAX):
        said = await connection.call(verb, _behind(ask, after), deadline - clock.monotonic())
        ended = undeclined(end_of(said, read_page, _no_intent))
        if not isinstance(ended, Found):
            return ended
        page: Page = ended.value
        for row in page.rows:
            if our_id(row, key) == value:
                try:
                    return Found(read(row), ended.exchange)
                except Unreadable:
                    return Unknown(ended.exchange)
        if not page.more:
            return Missing(ended.exchange)
        last = identity(page.rows[-1]) if page.rows else None
        if last is None or last == after:
            break  # it says that it goes on, and does not
        after = last
    return Unknown(said.exchange)


def read_page(tree: object) -> Page:
    """Read a list object, whole or not at all: a gap would look like something that is gone."""
    if not isinstance(tree, dict) or tree.get("object") != "list":
        raise Unreadable("the answer is no list")
    rows, more = tree.get("data"), tree.get("has_more")
    if not isinstance(rows, list) or not isinstance(more, bool):
        raise Unreadable("the list has no rows or no end")
    for row in rows:
        if not isinstance(row, dict):
            raise Unreadable("the list has a row that is no object")
        identity(row)
    return Page(rows, more)


def read_events(tree: object) -> tuple[list[tuple[str, bytes]], bool]:
    """Read a page of events as ``(id, JSON)`` each, and whether it goes on."""
    page = read_page(tree)
    rows = [(identity(row), json.dumps(row, separators=(",", ":")).encode()) for row in page.rows]
    return rows, page.more


def _behind(ask: AskPage, after: str | None) -> Callable[[stripe.StripeClient], Awaitable[object]]:
    return lambda sdk: ask(sdk, after)


def _no_intent(tree: object) -> Any:
    return read_intent(tree, None)
