"""An order's whole story, read from its rows: what ``orders show`` tells.

Read-only; functions of a connection inside one :meth:`Database.read`. What others wrote (offers,
webhooks) is redacted here as exchanges were when they were stored: account numbers keep four
digits, names their initials.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select

from tidegate.cases.tables import cases, operator_actions
from tidegate.db.cipher import cipher_of
from tidegate.db.engine import any_of, any_values
from tidegate.db.exchanges import exchanges
from tidegate.db.inbox import ids_naming, inbox
from tidegate.ledger.tables import accounts, entries, legs
from tidegate.money.amount import Money, to_text
from tidegate.money.currency import parse_currency
from tidegate.observability.redaction import initials, last_four, redact_exchange
from tidegate.payouts.store import Row, attempts_of
from tidegate.payouts.tables import (
    observations,
    offers,
    payout_events,
    payouts,
)
from tidegate.work.story import Line

__all__ = ["Story", "read_story", "recipient_shown"]

# A webhook may overtake our own commit, and the clocks of two processes differ.
_EARLIER_MS: Final = 60_000
_WEBHOOKS_MAX: Final = 50

# What comes first of things that happened in the same millisecond: cause before effect.
_ORDER: Final = (
    "offer",
    "event",
    "attempt",
    "entry",
    "exchange",
    "webhook",
    "observation",
    "case",
    "action",
)


@dataclass(frozen=True, slots=True)
class Story:
    """A payout (all columns), its attempts, first to last, and everything about it by time.

    ``open_cases`` are the rows of cases about it that are open.
    """

    payout: Row
    attempts: Sequence[Row]
    open_cases: Sequence[Row]
    lines: Sequence[Line]

    @property
    def last_answers(self) -> dict[str, str]:
        """How the last call to each counterparty ended, in a few words."""
        return {
            line.data["counterparty"]: line.what for line in self.lines if line.kind == "exchange"
        }


def read_story(connection: Connection, payout: Row) -> Story:
    """Everything that is kept about ``payout`` (its row)."""
    payout = cipher_of(connection).shown(payout, payouts)
    rows = attempts_of(connection, payout["id"])
    about_cases = _cases(connection, payout, rows)
    lines = [
        *_offers(connection, payout),
        *_events(connection, payout),
        *_attempts(rows),
        *_observations(connection, rows),
        *_exchanges(connection, payout),
        *_entries(connection, payout),
        *_webhooks(connection, payout, rows),
        *_case_lines(about_cases),
        *_actions(connection, payout, rows, about_cases),
    ]
    return Story(
        payout=payout,
        attempts=rows,
        open_cases=[case for case in about_cases if case["state"] == "open"],
        lines=sorted(lines, key=lambda line: (line.at, _ORDER.index(line.kind))),
    )


def recipient_shown(recipient: Mapping[str, Any] | None) -> dict[str, str] | None:
    """The recipient as a person may compare it: four digits, initials; ``None`` if unknown."""
    if not recipient:
        return None
    return {
        "institution": str(recipient.get("institution") or ""),
        "account": last_four(str(recipient.get("account_identifier") or "")),
        "name": initials(str(recipient.get("account_name") or "")),
    }


def _offers(connection: Connection, payout: Row) -> Iterator[Line]:
    cipher = cipher_of(connection)
    for stored in connection.execute(_offers_of, {"order_id": payout["order_id"]}).mappings():
        row = cipher.shown(stored, offers)
        yield Line(
            row["received_at"],
            "offer",
            f"offer arrived ({row['dialect']}): {row['meaning']}",
            {
                "id": row["id"],
                "dialect": row["dialect"],
                "meaning": row["meaning"],
                "body": redact_exchange(row["body"]),
            },
        )


def _events(connection: Connection, payout: Row) -> Iterator[Line]:
    for row in connection.execute(_events_of, {"payout_id": payout["id"]}).mappings():
        detail = ", ".join(f"{name} {value}" for name, value in row["detail"].items())
        yield Line(
            row["at"],
            "event",
            f"{row['event']}: now {row['state']}" + (f" ({detail})" if detail else ""),
            {
                "event": row["event"],
                "state": row["state"],
                "round": row["round"],
                "detail": row["detail"],
            },
        )


def _attempts(rows: Sequence[Row]) -> Iterator[Line]:
    for row in rows:
        yield Line(
            row["created_at"],
            "attempt",
            f"attempt {row['number']} at {row['psp']} written down, reference {row['reference']}; "
            f"today {row['state']}",
            {
                name: row[name]
                for name in (
                    "id",
                    "round",
                    "number",
                    "psp",
                    "reference",
                    "state",
                    "amount",
                    "held",
                    "fee",
                    "psp_id",
                    "session_id",
                    "raw_status",
                    "reason_code",
                    "reason_text",
                    "sends",
                    "lookups",
                    "not_found",
                )
            },
        )


def _observations(connection: Connection, rows: Sequence[Row]) -> Iterator[Line]:
    psps = {row["id"]: row["psp"] for row in rows}
    found = connection.execute(
        _observations_of(connection.dialect.name),
        {"ids": any_values(connection.dialect.name, sorted(psps))},
    )
    cipher = cipher_of(connection)
    for stored in found.mappings():
        row = cipher.shown(stored, observations)
        said = row["detail"].get("reason_text") or row["detail"].get("raw_status")
        yield Line(
            row["at"],
            "observation",
            f"{row['source']} at {psps[row['attempt_id']]} tells: {row['kind']}"
            + (f" ({said})" if said else ""),
            {
                "attempt": row["attempt_id"],
                "source": row["source"],
                "kind": row["kind"],
                "detail": row["detail"],
            },
        )


def _exchanges(connection: Connection, payout: Row) -> Iterator[Line]:
    cipher = cipher_of(connection)
    for stored in connection.execute(_exchanges_of, {"subject": payout["id"]}).mappings():
        row = cipher.shown(stored, exchanges)
        answer = f"HTTP {row['status']}" if row["status"] is not None else f"{row['error']}"
        yield Line(
            row["at"],
            "exchange",
            f"{row['counterparty']} {row['verb']}: {answer} after {row['took_ms']} ms",
            {name: row[name] for name in row if name not in ("subject", "at")},
        )


def _entries(connection: Connection, payout: Row) -> Iterator[Line]:
    by_entry: dict[int, list[Row]] = {}
    for row in connection.execute(_legs_of, {"subject": payout["id"]}).mappings():
        by_entry.setdefault(row["id"], []).append(dict(row))
    for its_legs in by_entry.values():
        entry = its_legs[0]
        moved = ", ".join(
            f"{'debit' if leg['side'] == 'D' else 'credit'} {leg['path']} {_major(leg)}"
            for leg in its_legs
        )
        yield Line(
            entry["recorded_at"],
            "entry",
            f"{entry['kind']}: {moved}",
            {
                "id": entry["id"],
                "reference": entry["reference"],
                "kind": entry["kind"],
                "legs": [
                    {
                        "account": leg["path"],
                        "side": "debit" if leg["side"] == "D" else "credit",
                        "amount": leg["amount"],
                    }
                    for leg in its_legs
                ],
            },
        )


def _major(leg: Row) -> str:
    return to_text(Money(leg["amount"], parse_currency(leg["currency"])))


def _webhooks(connection: Connection, payout: Row, rows: Sequence[Row]) -> Iterator[Line]:
    """Kept webhooks that name one of the attempts' references."""
    if not rows:
        return
    named = ids_naming(
        connection,
        {row["psp"] for row in rows},
        payout["created_at"] - _EARLIER_MS,
        {row["reference"] for row in rows},
        _WEBHOOKS_MAX,
    )
    wanted = select(inbox).where(inbox.c.id.in_(named)).order_by(inbox.c.received_at)
    cipher = cipher_of(connection)
    for stored in connection.execute(wanted).mappings():
        row = cipher.shown(stored, inbox)
        event = row["dedupe_key"].partition(":")[0]
        yield Line(
            row["received_at"],
            "webhook",
            f"webhook of {row['source']}: {event}; {row['outcome'] or 'not read yet'}",
            {
                "id": row["id"],
                "source": row["source"],
                "state": row["state"],
                "outcome": row["outcome"],
                "body": redact_exchange(bytes(row["body"]).decode("utf-8", "replace")),
            },
        )


def _cases(connection: Connection, payout: Row, rows: Sequence[Row]) -> list[Row]:
    subjects = [payout["id"], *(row["id"] for row in rows)]
    found = connection.execute(select(cases).where(cases.c.subject.in_(subjects)))
    return [dict(row) for row in found.mappings()]


def _case_lines(found: Sequence[Row]) -> Iterator[Line]:
    for row in found:
        data = {name: row[name] for name in ("id", "kind", "severity", "state", "subject", "data")}
        yield Line(
            row["opened_at"], "case", f"case {row['id']} {row['kind']}: {row['reason']}", data
        )
        if row["closed_at"] is not None:
            yield Line(
                row["closed_at"],
                "case",
                f"case {row['id']} closed by {row['closed_by']}: {row['closing_note']}",
                data,
            )


def _actions(
    connection: Connection, payout: Row, rows: Sequence[Row], about: Sequence[Row]
) -> Iterator[Line]:
    subjects = [
        payout["id"],
        *(row["id"] for row in rows),
        *(f"case:{case['id']}" for case in about),
    ]
    wanted = select(operator_actions).where(operator_actions.c.subject.in_(subjects))
    for row in connection.execute(wanted).mappings():
        yield Line(
            row["at"],
            "action",
            f"{row['actor']} ({row['origin']}): {row['action']}: {row['reason']}",
            {name: row[name] for name in ("actor", "origin", "action", "subject", "reason")},
        )


_offers_of = (
    select(offers)
    .where(offers.c.order_id == bindparam("order_id"))
    .order_by(offers.c.received_at, offers.c.id)
)
_events_of = (
    select(payout_events)
    .where(payout_events.c.payout_id == bindparam("payout_id"))
    .order_by(payout_events.c.at, payout_events.c.id)
)
_exchanges_of = (
    select(exchanges)
    .where(exchanges.c.subject == bindparam("subject"))
    .order_by(exchanges.c.at, exchanges.c.id)
)
_legs_of = (
    select(
        entries.c.id,
        entries.c.reference,
        entries.c.kind,
        entries.c.recorded_at,
        accounts.c.path,
        accounts.c.currency,
        legs.c.side,
        legs.c.amount,
    )
    .join(legs, legs.c.entry_id == entries.c.id)
    .join(accounts, accounts.c.id == legs.c.account_id)
    .where(entries.c.subject == bindparam("subject"))
    .order_by(entries.c.id, legs.c.place)
)


# The place of some bytes within others, from 1.
def _observations_of(dialect: str) -> Any:
    return (
        select(observations)
        .where(any_of(dialect, observations.c.attempt_id, "ids"))
        .order_by(observations.c.at, observations.c.id)
    )
