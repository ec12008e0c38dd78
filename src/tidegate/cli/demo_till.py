"""Payments of the demonstration as the node's database has them, and whether all is over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from tidegate.db.inbox import inbox
from tidegate.payments.postings import user_account
from tidegate.payments.states import State, public_status
from tidegate.payments.tables import deliveries, disputes, payment_events, payments, refunds

__all__ = ["Till", "read_till"]

Row = Mapping[str, Any]

_LOST = "lost"


@dataclass(frozen=True, slots=True)
class Till:
    """One snapshot: rows by their tables, events by payment and in order. ``moving`` counts what
    is still to be done: rows that are due, fees that are not booked, deliveries that wait."""

    payments: Sequence[Row]
    refunds: Sequence[Row]
    disputes: Sequence[Row]
    events: Mapping[str, list[Row]]
    moving: int

    def status(self, payment_id: str) -> str:
        """The public status of a payment; empty if there is no such row."""
        for row in self.payments:
            if row["id"] == payment_id:
                return public_status(State(row["state"]))
        return ""

    def paid(self) -> dict[str, int]:
        """What each user's payments add up to, in minor units, by the path of the account that
        holds it: captured, less what was refunded, is being refunded, or was lost in a dispute."""
        lost: dict[str, int] = {}
        for row in self.disputes:
            if row["state"] == _LOST:
                lost[row["payment_id"]] = lost.get(row["payment_id"], 0) + row["amount"]
        sums: dict[str, int] = {}
        for row in self.payments:
            account = user_account(row["user_id"], row["currency"])
            left = row["amount_captured"] - row["amount_refunded"] - row["amount_refunding"]
            sums[account] = sums.get(account, 0) + left - lost.get(row["id"], 0)
        return {account: amount for account, amount in sums.items() if amount}


def read_till(connection: Connection) -> Till:
    """Read it."""
    events: dict[str, list[Row]] = {}
    listed = select(payment_events).order_by(payment_events.c.payment_id, payment_events.c.seq)
    for row in connection.execute(listed).mappings():
        events.setdefault(row["payment_id"], []).append(dict(row))
    return Till(
        payments=_rows(connection, payments),
        refunds=_rows(connection, refunds),
        disputes=_rows(connection, disputes),
        events=events,
        moving=_moving(connection),
    )


def _rows(connection: Connection, table: Any) -> list[Row]:
    found = connection.execute(select(table).order_by(table.c.id)).mappings()
    return [dict(row) for row in found]


def _moving(connection: Connection) -> int:
    undecided = [State.REQUIRES_ACTION, State.REQUIRES_CAPTURE, State.REQUIRES_PAYMENT_METHOD]
    conditions = (
        (payments, payments.c.due_at.is_not(None) & payments.c.state.not_in(undecided)),
        (payments, (payments.c.state == State.SUCCEEDED.value) & payments.c.movement.is_(None)),
        (refunds, refunds.c.due_at.is_not(None)),
        (inbox, inbox.c.source.not_in(["lenco"]) & inbox.c.due_at.is_not(None)),
        (deliveries, deliveries.c.state == "waiting"),
    )
    return sum(
        int(connection.execute(select(func.count()).select_from(table).where(open_)).scalar_one())
        for table, open_ in conditions
    )
