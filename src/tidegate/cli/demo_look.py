"""What the demonstration reads of the node's database: payouts with their cases, and the books."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from tidegate.cases.readings import list_cases
from tidegate.ledger.audit import AuditReport, audit
from tidegate.ledger.statements import TrialBalance, trial_balance
from tidegate.payouts.tables import attempts, payouts

__all__ = ["Books", "Look", "payout_count", "read_books", "read_look"]

Row = Mapping[str, Any]

_CASES_MOST = 10_000
_UNSEALED_AFTER_MS = 60_000


@dataclass(frozen=True, slots=True)
class Look:
    """The node's rows at one moment: payouts by order id, their attempts and open cases by
    payout id, and the cases that concern no payout."""

    payouts: Mapping[str, Row]
    attempts: Mapping[str, list[Row]]
    cases: Mapping[str, list[Row]]
    other_cases: list[Row]


@dataclass(frozen=True, slots=True)
class Books:
    """The node's books, audited. All readings are of one snapshot."""

    audit: AuditReport
    trial: TrialBalance

    def balance(self, path: str) -> int:
        """Minor units on the side where the account grows; 0 if it was never used."""
        return next((line.balance for line in self.trial.lines if line.path == path), 0)


def read_books(connection: Connection, now_ms: int) -> Books:
    """Audit the books."""
    report = audit(connection, expect=None, now_ms=now_ms, unsealed_after_ms=_UNSEALED_AFTER_MS)
    return Books(report, trial_balance(connection))


def payout_count(connection: Connection) -> int:
    """How many payouts there are."""
    return int(connection.execute(select(func.count()).select_from(payouts)).scalar_one())


def read_look(connection: Connection) -> Look:
    """Read the rows of payouts."""
    rows = {row["order_id"]: dict(row) for row in connection.execute(select(payouts)).mappings()}
    tried: dict[str, list[Row]] = {}
    for attempt in connection.execute(select(attempts).order_by(attempts.c.number)).mappings():
        tried.setdefault(attempt["payout_id"], []).append(dict(attempt))
    ids = {row["id"] for row in rows.values()}
    of_attempt = {row["id"]: payout_id for payout_id, own in tried.items() for row in own}
    cases: dict[str, list[Row]] = {}
    others: list[Row] = []
    for case in list_cases(connection, limit=_CASES_MOST):
        subject = str(case["subject"])
        payout_id = of_attempt.get(subject, subject)
        if payout_id in ids:
            cases.setdefault(payout_id, []).append(case)
        else:
            others.append(case)
    return Look(rows, tried, cases, others)
