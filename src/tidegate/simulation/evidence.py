"""All rows of the node that a judgement needs, from one snapshot."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, select

from tidegate.cases.tables import cases
from tidegate.db.cipher import cipher_of
from tidegate.db.exchanges import exchanges
from tidegate.db.inbox import inbox
from tidegate.ledger.audit import AuditReport, audit
from tidegate.ledger.tables import accounts
from tidegate.payments.tables import (
    deliveries,
    disputes,
    payment_events,
    payments,
    refunds,
    webhook_endpoints,
)
from tidegate.payouts.tables import attempts, observations, payouts
from tidegate.work.tables import periodic

__all__ = ["Evidence", "Row", "read_evidence"]

Row = Mapping[str, Any]

_WORK = (payouts, attempts, payments, refunds, disputes, inbox, webhook_endpoints, periodic)


@dataclass(frozen=True, slots=True)
class Evidence:
    """``attempts`` and what was ``said`` to others are by payout; ``balances`` by path of the
    account; ``leased`` are those rows whose lease is held or left over; everything that the card
    processor noted before ``swept_ms`` was seen."""

    payouts: tuple[Row, ...]
    attempts: Mapping[str, list[Row]]
    observations: tuple[Row, ...]
    said: Mapping[str, list[Row]]
    payments: tuple[Row, ...]
    refunds: tuple[Row, ...]
    disputes: tuple[Row, ...]
    events: tuple[Row, ...]
    deliveries: tuple[Row, ...]
    inbox: tuple[Row, ...]
    cases: tuple[Row, ...]
    balances: Mapping[str, int]
    leased: tuple[str, ...]
    swept_ms: int
    audit: AuditReport

    def kinds(self, *subjects: str | None) -> set[str]:
        """The kinds of open cases about any of ``subjects``."""
        return {case["kind"] for case in self.cases if case["subject"] in subjects}

    def kinds_of_payout(self, payout: Row) -> set[str]:
        """The same, of an order, its payout and the attempts."""
        own = [row["id"] for row in self.attempts.get(payout["id"], [])]
        references = [row["reference"] for row in self.attempts.get(payout["id"], [])]
        return self.kinds(payout["id"], payout["order_id"], *own, *references)


def read_evidence(connection: Connection, now_ms: int) -> Evidence:
    """Read it."""
    cipher = cipher_of(connection)

    def rows(table: Table) -> tuple[Row, ...]:
        listed = connection.execute(select(table).order_by(table.c.id)).mappings()
        return tuple(cipher.shown(row, table) for row in listed)

    by_payout: defaultdict[str, list[Row]] = defaultdict(list)
    for row in sorted(rows(attempts), key=lambda row: int(row["number"])):
        by_payout[row["payout_id"]].append(row)
    said: defaultdict[str, list[Row]] = defaultdict(list)
    for row in sorted(rows(exchanges), key=lambda row: int(row["at"])):
        said[row["subject"]].append(row)
    return Evidence(
        payouts=rows(payouts),
        attempts=by_payout,
        observations=rows(observations),
        said=said,
        payments=rows(payments),
        refunds=rows(refunds),
        disputes=rows(disputes),
        events=rows(payment_events),
        deliveries=rows(deliveries),
        inbox=rows(inbox),
        cases=tuple(row for row in rows(cases) if row["state"] == "open"),
        balances={row["path"]: row["balance"] for row in rows(accounts)},
        leased=tuple(
            f"{table.name} {row['id']} ({row['kind']})"
            for table in _WORK
            for row in rows(table)
            if _somebody_is_at(row, now_ms)
        ),
        swept_ms=_swept_ms(rows(periodic)),
        audit=audit(connection, expect=None, now_ms=now_ms, unsealed_after_ms=10**15),
    )


def _somebody_is_at(row: Row, now_ms: int) -> bool:
    """A lease that is over, of a row with nothing to do, only says that its holder was killed after
    somebody else had moved the row to its end."""
    until = row["leased_until"]
    return until is not None and (until > now_ms or row["due_at"] is not None)


def _swept_ms(chores: tuple[Row, ...]) -> int:
    last = next((row["result"] for row in chores if row["id"] == "processor_events"), None)
    return int((last or {}).get("until_ms") or 0)
