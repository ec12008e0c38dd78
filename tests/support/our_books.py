"""Our own books as a judgement needs them, and what they say is still to happen."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, or_, select

from tidegate.cases.tables import cases
from tidegate.db.inbox import inbox
from tidegate.ledger.audit import audit
from tidegate.payments.tables import disputes, payments, refunds, webhook_endpoints
from tidegate.payouts.facts import read_float
from tidegate.payouts.states import CLOSED_ATTEMPT, ENDED, AttemptState, State
from tidegate.payouts.tables import attempts, payouts

__all__ = [
    "EXPLAINS",
    "LATER",
    "NOT_HELD",
    "WORK",
    "Books",
    "Row",
    "read_books",
    "somebody_at",
    "unfinished",
]

Row = dict[str, Any]

# Cases that explain why a paid order is not settled, or why a settled one is no longer paid.
EXPLAINS = frozenset(
    {
        "payout_held",
        "order_not_ours",
        "order_refunded",
        "foreign_transaction",
        "paid_after_failure",
        "payout_reversed",
        "paid_order_offered_again",
    }
)
# Every table with work in it, but what is periodic.
WORK = (payouts, attempts, payments, refunds, disputes, webhook_endpoints, inbox)
# What waits for a person is looked at all the while.
NOT_HELD = {attempts: (attempts.c.state != AttemptState.HELD.value,)}
# Nothing is awaited of these attempts but the look an hour later.
LATER = frozenset({AttemptState.PAID, AttemptState.REVERSED, *CLOSED_ATTEMPT})


@dataclass
class Books:
    """Everything of ours that a judgement needs, from one snapshot."""

    payouts: dict[str, dict[str, Any]]  # by order id
    attempts: dict[str, list[dict[str, Any]]]  # by order id, first to last
    cases: list[dict[str, Any]]
    balances: dict[str, int]  # parts of the float, NGN at lenco
    inbox: list[dict[str, Any]]
    findings: tuple[Any, ...]
    leased: list[str]

    def kinds_of(self, order_id: str) -> set[str]:
        """The kinds of open cases about an order."""
        payout = self.payouts[order_id]
        subjects = {payout["id"], order_id, *(one["id"] for one in self.attempts[order_id])}
        return {case["kind"] for case in self.cases if case["subject"] in subjects}

    @property
    def case_kinds(self) -> Counter[str]:
        return Counter(case["kind"] for case in self.cases)

    @property
    def total(self) -> int:
        """What our books say is at the bank."""
        return sum(self.balances[part] for part in ("available", "reserved", "suspense"))

    @property
    def in_flight(self) -> int:
        """What attempts without an end may have taken."""
        return sum(
            one["held"]
            for rows in self.attempts.values()
            for one in rows
            if AttemptState(one["state"]) not in LATER and one["state"] != AttemptState.PREPARED
        )


def unfinished(books: Books) -> Iterable[str]:
    """What is still to happen, a line each."""
    for order_id, payout in books.payouts.items():
        held = payout["state"] in {State.HELD, State.PAID} and books.kinds_of(order_id)
        if State(payout["state"]) not in ENDED and not held:
            yield f"{order_id} is {payout['state']} ({payout['kind']})"
        elif payout["due_at"] is not None:
            yield f"{order_id} is {payout['state']} and due for {payout['kind']}"
        for one in books.attempts[order_id]:
            if AttemptState(one["state"]) not in LATER and not books.kinds_of(order_id):
                yield f"attempt {one['reference']} is {one['state']} ({one['kind']})"
    for row in books.inbox:
        if row["due_at"] is not None:
            yield f"webhook {row['id']} is not read"
    yield from (f"leased: {one}" for one in books.leased)


def somebody_at(table: Table, now_ms: int) -> ColumnElement[bool]:
    """Is a row under a lease that counts? One that is over, of a row with nothing to do, only says
    that its holder was killed after somebody else had moved the row to its end."""
    living = or_(table.c.leased_until > now_ms, table.c.due_at.is_not(None))
    return and_(table.c.leased_until.is_not(None), living)


def read_books(connection: Connection, now_ms: int) -> Books:
    def rows(table: Table, *where: Any) -> list[dict[str, Any]]:
        statement = select(table).where(*where)
        return [dict(row) for row in connection.execute(statement).mappings()]

    by_payout: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in sorted(rows(attempts), key=lambda row: int(row["number"])):
        by_payout[one["payout_id"]].append(one)
    orders = rows(payouts)
    empty = dict.fromkeys(("available", "reserved", "suspense", "missing", "surplus"), 0)
    report = audit(connection, expect=None, now_ms=0, unsealed_after_ms=0)
    return Books(
        payouts={row["order_id"]: row for row in orders},
        attempts={row["order_id"]: by_payout[row["id"]] for row in orders},
        cases=rows(cases, cases.c.state == "open"),
        balances=read_float(connection).get(("lenco", "NGN"), empty),
        inbox=rows(inbox),
        findings=report.findings,
        leased=[
            f"{table.name} {row['id']} ({row['kind']})"
            for table in WORK
            for row in rows(table, somebody_at(table, now_ms), *NOT_HELD.get(table, ()))
        ],
    )
