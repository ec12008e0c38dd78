"""A payment's whole story, read from its rows: what ``payments show`` tells.

Read-only; functions of a connection inside one :meth:`Database.read`. What others wrote, and what
clients were told (it may hold their own data, or a client secret), is redacted here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, select

from tidegate.cases.tables import cases, operator_actions
from tidegate.db.cipher import cipher_of
from tidegate.db.exchanges import exchanges
from tidegate.db.idempotency import idempotency_keys
from tidegate.db.inbox import ids_naming, inbox
from tidegate.ledger.tables import accounts, entries, legs
from tidegate.money.amount import Money, to_text
from tidegate.money.currency import parse_currency
from tidegate.observability.redaction import redact_exchange
from tidegate.payments.store import Row
from tidegate.payments.tables import (
    deliveries,
    delivery_attempts,
    disputes,
    payment_events,
    refunds,
)
from tidegate.work.story import Line

__all__ = ["Story", "read_story"]

# A webhook may overtake our own commit, and the clocks of two processes differ.
_EARLIER_MS: Final = 60_000
_WEBHOOKS_MAX: Final = 50

# What comes first of things that happened in the same millisecond: cause before effect.
_ORDER: Final = (
    "key",
    "event",
    "refund",
    "dispute",
    "entry",
    "exchange",
    "webhook",
    "delivery",
    "case",
    "action",
)


@dataclass(frozen=True, slots=True)
class Story:
    """A payment, its refunds and disputes (all columns, first to last), the rows of cases about
    them that are open, and everything about it by time."""

    payment: Row
    refunds: Sequence[Row]
    disputes: Sequence[Row]
    open_cases: Sequence[Row]
    lines: Sequence[Line]


def read_story(connection: Connection, payment: Row) -> Story:
    """Everything that is kept about ``payment`` (its row)."""
    its_refunds = _of_payment(connection, refunds, payment)
    its_disputes = _of_payment(connection, disputes, payment)
    rows = [payment, *its_refunds, *its_disputes]
    ids = [row["id"] for row in rows]
    its_cases = _rows(connection, select(cases).where(cases.c.subject.in_(ids)))
    lines = [
        *_keys(connection, ids),
        *_events(connection, payment),
        *_parts("refund", its_refunds),
        *_parts("dispute", its_disputes),
        *_entries(connection, ids),
        *_exchanges(connection, ids),
        *_webhooks(connection, payment, rows),
        *_deliveries(connection, payment),
        *_case_lines(its_cases),
        *_actions(connection, [*ids, *(f"case:{case['id']}" for case in its_cases)]),
    ]
    return Story(
        payment=payment,
        refunds=its_refunds,
        disputes=its_disputes,
        open_cases=[case for case in its_cases if case["state"] == "open"],
        lines=sorted(lines, key=lambda line: (line.at, _ORDER.index(line.kind))),
    )


def _of_payment(connection: Connection, table: Any, payment: Row) -> list[Row]:
    wanted = select(table).where(table.c.payment_id == payment["id"])
    return _rows(connection, wanted.order_by(table.c.created_at, table.c.id))


def _keys(connection: Connection, ids: Sequence[str]) -> Iterator[Line]:
    keys = idempotency_keys
    for row in _rows(connection, select(keys).where(keys.c.subject.in_(ids))):
        answer = "no answer yet" if row["status"] is None else f"answered {row['status']}"
        yield Line(
            row["created_at"],
            "key",
            f"asked for by {row['route']}, key {row['key']}: {answer}",
            {name: row[name] for name in ("route", "key", "subject", "status", "code")},
        )


def _events(connection: Connection, payment: Row) -> Iterator[Line]:
    events = payment_events
    wanted = select(events).where(events.c.payment_id == payment["id"]).order_by(events.c.seq)
    for row in _rows(connection, wanted):
        yield Line(
            row["at"],
            "event",
            f"{row['seq']}: {row['type']}",
            {
                "id": row["id"],
                "type": row["type"],
                "sequence": row["seq"],
                "data": redact_exchange(row["data"]),
            },
        )


def _parts(kind: str, found: Sequence[Row]) -> Iterator[Line]:
    names = ("id", "state", "amount", "currency", "reason", "processor_reference")
    for row in found:
        figure = "" if row["amount"] is None else f" of {_major(row)} {row['currency']}"
        yield Line(
            row["created_at"],
            kind,
            f"{kind} {row['id']}{figure}; today {row['state']}",
            {name: row[name] for name in names},
        )


def _entries(connection: Connection, ids: Sequence[str]) -> Iterator[Line]:
    wanted = (
        select(
            *(entries.c[name] for name in ("id", "reference", "kind", "recorded_at")),
            accounts.c.path,
            accounts.c.currency,
            legs.c.side,
            legs.c.amount,
        )
        .join(legs, legs.c.entry_id == entries.c.id)
        .join(accounts, accounts.c.id == legs.c.account_id)
        .where(entries.c.subject.in_(ids))
        .order_by(entries.c.id, legs.c.place)
    )
    by_entry: dict[int, list[Row]] = {}
    for row in _rows(connection, wanted):
        by_entry.setdefault(row["id"], []).append(row)
    for its_legs in by_entry.values():
        entry = its_legs[0]
        sides = [("debit" if leg["side"] == "D" else "credit", leg) for leg in its_legs]
        moved = ", ".join(f"{side} {leg['path']} {_major(leg)}" for side, leg in sides)
        data = {
            "id": entry["id"],
            "reference": entry["reference"],
            "kind": entry["kind"],
            "legs": [
                {"account": leg["path"], "side": side, "amount": leg["amount"]}
                for side, leg in sides
            ],
        }
        yield Line(entry["recorded_at"], "entry", f"{entry['kind']}: {moved}", data)


def _exchanges(connection: Connection, ids: Sequence[str]) -> Iterator[Line]:
    cipher = cipher_of(connection)
    for stored in _rows(connection, select(exchanges).where(exchanges.c.subject.in_(ids))):
        row = cipher.shown(stored, exchanges)
        answer = f"HTTP {row['status']}" if row["status"] is not None else f"{row['error']}"
        yield Line(
            row["at"],
            "exchange",
            f"{row['counterparty']} {row['verb']}: {answer} after {row['took_ms']} ms",
            {name: row[name] for name in row if name != "at"},
        )


def _webhooks(connection: Connection, payment: Row, rows: Sequence[Row]) -> Iterator[Line]:
    """Kept events that name the payment or a part of it."""
    references = (row["processor_reference"] for row in rows)
    names = {payment["id"], *(each for each in references if each is not None)}
    named = ids_naming(
        connection,
        {payment["processor"]},
        payment["created_at"] - _EARLIER_MS,
        names,
        _WEBHOOKS_MAX,
    )
    wanted = select(inbox).where(inbox.c.id.in_(named)).order_by(inbox.c.received_at)
    cipher = cipher_of(connection)
    for stored in _rows(connection, wanted):
        row = cipher.shown(stored, inbox)
        yield Line(
            row["received_at"],
            "webhook",
            f"event {row['dedupe_key']} of {row['source']}: {row['outcome'] or 'not read yet'}",
            {
                **{name: row[name] for name in ("id", "source", "state", "outcome")},
                "body": redact_exchange(bytes(row["body"]).decode("utf-8", "replace")),
            },
        )


def _deliveries(connection: Connection, payment: Row) -> Iterator[Line]:
    """When each event was to be told to a receiver, and each try."""
    wanted = select(deliveries).where(deliveries.c.payment_id == payment["id"])
    found = {row["id"]: row for row in _rows(connection, wanted)}
    for row in found.values():
        where = f"event {row['seq']} for {row['endpoint_id']}"
        names = ("id", "endpoint_id", "event_id", "state", "tries", "last_status", "last_error")
        yield Line(
            row["created_at"],
            "delivery",
            f"{where}: today {row['state']}",
            {name: row[name] for name in names},
        )
    tries = delivery_attempts
    # By payment, not by a list of ids: a payment with many receivers has many deliveries.
    of_payment = select(tries).join(deliveries).where(deliveries.c.payment_id == payment["id"])
    for row in _rows(connection, of_payment):
        told = found[row["delivery_id"]]
        answer = f"HTTP {row['status']}" if row["status"] is not None else f"{row['error']}"
        yield Line(
            row["at"],
            "delivery",
            f"event {told['seq']} sent to {told['endpoint_id']}: {answer}",
            {
                "id": told["id"],
                **{name: row[name] for name in ("status", "error", "took_ms")},
                "answer": redact_exchange(row["answer"]),
            },
        )


def _case_lines(found: Sequence[Row]) -> Iterator[Line]:
    for row in found:
        data = {name: row[name] for name in ("id", "kind", "severity", "state", "subject", "data")}
        said = f"case {row['id']} {row['kind']}: {row['reason']}"
        yield Line(row["opened_at"], "case", said, data)
        if row["closed_at"] is not None:
            ended = f"case {row['id']} closed by {row['closed_by']}: {row['closing_note']}"
            yield Line(row["closed_at"], "case", ended, data)


def _actions(connection: Connection, subjects: Sequence[str]) -> Iterator[Line]:
    wanted = select(operator_actions).where(operator_actions.c.subject.in_(subjects))
    names = ("actor", "origin", "action", "subject", "reason", "before", "after")
    for row in _rows(connection, wanted.order_by(operator_actions.c.id)):
        yield Line(
            row["at"],
            "action",
            f"{row['actor']} ({row['origin']}): {row['action']}: {row['reason']}",
            {name: row[name] for name in names},
        )


def _major(row: Row) -> str:
    return to_text(Money(row["amount"], parse_currency(row["currency"])))


def _rows(connection: Connection, statement: Any) -> list[Row]:
    return [dict(row) for row in connection.execute(statement).mappings()]


# The place of some bytes within others, from 1.
