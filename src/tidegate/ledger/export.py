"""The whole book as rows, one a leg, in the order of entries (C5): for CSV and JSON.

Functions yield, so a book of any length passes through bounded memory. Amounts are integer minor
units; instants are RFC 3339 in UTC.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping

from sqlalchemy import BigInteger, Connection, bindparam, select, tuple_

from tidegate.clock import rfc3339
from tidegate.ledger.tables import accounts, block_entries, entries, legs

__all__ = ["COLUMNS", "as_csv", "as_json", "export_legs"]

COLUMNS = (
    "entry",
    "recorded_at",
    "reference",
    "kind",
    "subject",
    "account",
    "currency",
    "side",
    "amount",
    "balance_after",
    "block",
)

_PAGE = 5_000


def export_legs(
    connection: Connection, *, after_entry: int = 0
) -> Iterator[Mapping[str, str | int | None]]:
    """Every leg of the entries after ``after_entry``, as :data:`COLUMNS`; ``block`` is ``None``
    while the entry is not sealed. To be consumed while the connection is open."""
    entry, place = after_entry, 2**31 - 1
    while rows := connection.execute(_page, {"entry": entry, "place": place, "page": _PAGE}).all():
        for row in rows:
            yield {
                "entry": row.entry_id,
                "recorded_at": rfc3339(row.recorded_at),
                "reference": row.reference,
                "kind": row.kind,
                "subject": row.subject,
                "account": row.path,
                "currency": row.currency,
                "side": "debit" if row.side == "D" else "credit",
                "amount": row.amount,
                "balance_after": row.balance_after,
                "block": row.block_id,
            }
        entry, place = rows[-1].entry_id, rows[-1].place


def as_csv(rows: Iterable[Mapping[str, str | int | None]]) -> Iterator[str]:
    """Lines of CSV (RFC 4180), a header first."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS)
    writer.writeheader()
    for row in rows:
        yield _emptied(buffer)
        writer.writerow(row)
    yield _emptied(buffer)


def as_json(rows: Iterable[Mapping[str, str | int | None]]) -> Iterator[str]:
    """Lines that together are one JSON array of objects."""
    opening = "["
    for row in rows:
        yield f"{opening}\n{json.dumps(row, separators=(',', ':'))}"
        opening = ","
    yield "[]\n" if opening == "[" else "\n]\n"


def _emptied(buffer: io.StringIO) -> str:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text


_page = (
    select(
        legs.c.entry_id,
        legs.c.place,
        entries.c.recorded_at,
        entries.c.reference,
        entries.c.kind,
        entries.c.subject,
        accounts.c.path,
        accounts.c.currency,
        legs.c.side,
        legs.c.amount,
        legs.c.balance_after,
        block_entries.c.block_id,
    )
    .join(entries, entries.c.id == legs.c.entry_id)
    .join(accounts, accounts.c.id == legs.c.account_id)
    .outerjoin(block_entries, block_entries.c.entry_id == legs.c.entry_id)
    .where(
        tuple_(legs.c.entry_id, legs.c.place)
        > tuple_(bindparam("entry", type_=BigInteger()), bindparam("place", type_=BigInteger()))
    )
    .order_by(legs.c.entry_id, legs.c.place)
    .limit(bindparam("page"))
)
