"""Balance updates in both shapes (4.5)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tidegate.sandbox.aggregator.book import Book
from tidegate.sandbox.aggregator.catalogue import CURRENCIES
from tidegate.sandbox.aggregator.envelope import EMPTY_500, Reply, field_errors, refused, success
from tidegate.sandbox.aggregator.judgement import Wrong

__all__ = ["currencies_of", "update"]

_DECIMAL = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?")
_FIELDS = (
    ("currency", "Currency"),
    ("availableBalance", "AvailableBalance"),
    ("totalBalance", "TotalBalance"),
    ("reservedBalance", "ReservedBalance"),
)
_UPDATED = success("Balance updated successfully")
_UNKNOWN = refused(500, "Failed to update balance")


def currencies_of(body: Mapping[str, Any]) -> list[str]:
    """The currencies that an update names, in either shape; nothing that is no string."""
    rows = body.get("balances")
    named = (
        [row.get("currency") for row in rows if isinstance(row, Mapping)]
        if isinstance(rows, list)
        else [body.get("currency")]
    )
    return [currency for currency in named if isinstance(currency, str)]


def update(book: Book, body: Mapping[str, Any]) -> Reply:
    """Believe a balance: available = max(0, min(reported, total - aggregator's reserved)).

    ``reservedBalance`` is read and ignored. A number where a string belongs is LIVE's panic: 500
    without a body.
    """
    if "balances" in body and book.terms.balance_dialect != "live":
        return _update_spec(book, body["balances"])
    if book.terms.balance_dialect == "spec":
        book.judge.record(Wrong.BALANCE_FORM, "balances", "no balances list")
        return field_errors("Balances")
    return _update_live(book, body)


def _update_live(book: Book, body: Mapping[str, Any]) -> Reply:
    values = {json_name: body.get(json_name) for json_name, _ in _FIELDS}
    key = str(values["currency"] or "balances")
    for name, value in values.items():
        if value is not None and not isinstance(value, str):
            book.judge.record(Wrong.JSON_TYPE, key, f"{name} is {type(value).__name__}")
            return EMPTY_500
    missing = [go_name for json_name, go_name in _FIELDS if not values[json_name]]
    if missing:
        book.judge.record(Wrong.BALANCE_FORM, key, f"missing {', '.join(missing)}")
        return field_errors(*missing)
    if not 3 <= len(key) <= 7:
        book.judge.record(Wrong.BALANCE_FORM, key, "length of the currency code")
        return field_errors("Currency", message="Invalid currency code")
    texts = {name: str(value) for name, value in values.items()}
    bad = [
        go_name
        for json_name, go_name in _FIELDS[1:]
        if _DECIMAL.fullmatch(texts[json_name]) is None
    ]
    if bad:
        book.judge.record(Wrong.BALANCE_FORM, key, f"no decimal string: {', '.join(bad)}")
        return field_errors(*bad, message="Invalid decimal")
    return _believe(
        book, key, texts["availableBalance"], texts["totalBalance"], texts["reservedBalance"]
    )


def _update_spec(book: Book, rows: object) -> Reply:
    """All currencies in one call, as numbers; nothing is stored if one row is bad."""
    if not isinstance(rows, list) or not rows:
        book.judge.record(Wrong.BALANCE_FORM, "balances", "no list of balances")
        return field_errors("Balances")
    read: list[tuple[str, str, str, str]] = []
    for row in rows:
        currency = row.get("currency") if isinstance(row, Mapping) else None
        if not isinstance(row, Mapping) or not isinstance(currency, str):
            book.judge.record(Wrong.BALANCE_FORM, "balances", "a row without a currency")
            return field_errors("Currency")
        figures: list[str] = []
        for name in ("available", "total", "reserved"):
            value = row.get(name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                book.judge.record(Wrong.BALANCE_FORM, currency, f"{name} is no number")
                return field_errors(name.capitalize())
            figures.append(str(value))
        read.append((currency, figures[0], figures[1], figures[2]))
    replies = [_believe(book, *row) for row in read]
    return next((reply for reply in replies if reply.status != 200), _UPDATED)


def _believe(book: Book, currency: str, available: str, total: str, reserved: str) -> Reply:
    if currency not in CURRENCIES:
        book.judge.record(Wrong.BALANCE_FORM, currency, "unknown currency")
        return _UNKNOWN
    row = book.float_of(currency)
    row.reported_available, row.reported_total = available, total
    row.reported_reserved = reserved
    row.total = Decimal(total)
    row.available = max(Decimal(0), min(Decimal(available), row.total - row.reserved))
    row.updated_ms = book.clock.now_ms()
    row.pushes += 1
    if Decimal(available) > row.total:
        book.judge.record(Wrong.BALANCE_OVER_TOTAL, currency, f"{available} of {total}")
    return _UPDATED
