"""Forget the recipient of an order: account, name, memo, and every body that holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select, update

from tidegate.errors import NotFound, Stale
from tidegate.payouts.tables import attempts, found_transfers, observations, offers, payouts
from tidegate.retention.kinds import payout_over
from tidegate.retention.traces import erase_traces

__all__ = ["Recipient"]

_EARLIER_MS = 60_000


@dataclass(frozen=True, slots=True)
class Recipient:
    """The recipient of the payout ``payout_id``."""

    payout_id: str

    def check(self, connection: Connection, now_ms: int) -> None:
        mine = payouts.c.id == self.payout_id
        row = connection.execute(
            select(payouts.c.state, payouts.c.leased_until).where(mine).with_for_update()
        ).one_or_none()
        if row is None:
            raise NotFound(f"There is no payout {self.payout_id}.")
        if connection.execute(select(payouts.c.id).where(mine, payout_over())).first() is None:
            raise Stale(
                f"The order is {row.state} and something of it is still open: the payout, a "
                "transfer, its report or a case. Erase it once that has ended."
            )

    def forget(self, connection: Connection, now_ms: int) -> Mapping[str, int]:
        payout = connection.execute(select(payouts).where(payouts.c.id == self.payout_id)).one()
        its = connection.execute(
            select(attempts.c.id, attempts.c.psp, attempts.c.reference).where(
                attempts.c.payout_id == self.payout_id
            )
        ).all()
        ids = [row.id for row in its]
        connection.execute(
            update(payouts)
            .where(payouts.c.id == self.payout_id)
            .values(recipient=None, reason_text=None)
        )
        emptied: dict[str, Any] = {"body": None, "account_number": None, "reason_text": None}
        touched = {
            "payouts": 1,
            "attempts": connection.execute(
                update(attempts).where(attempts.c.id.in_(ids)).values(emptied)
            ).rowcount,
            "observations": connection.execute(
                update(observations).where(observations.c.attempt_id.in_(ids)).values(detail={})
            ).rowcount,
            "offers": connection.execute(
                update(offers).where(offers.c.order_id == payout.order_id).values(body="")
            ).rowcount,
            "found_transfers": connection.execute(
                update(found_transfers)
                .where(found_transfers.c.payout_id == self.payout_id)
                .values(account_number=None)
            ).rowcount,
        }
        return touched | erase_traces(
            connection,
            {self.payout_id, *ids},
            {row.reference for row in its},
            {row.psp for row in its},
            payout.created_at - _EARLIER_MS,
        )
