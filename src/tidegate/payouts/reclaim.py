"""An order is offered again while its payment is under way: taken again, never paid again.

The aggregator took it back, and whoever accepts it now will pay it (aggregator.md 3.2, 7.2). Our
transfer is out and cannot be called back. So the order is accepted once more, if the aggregator
counts it as nobody's and the offer lives; the transfer that is under way stays the only one. The
order is fetched first: networks repeat offers, and the fork answers a second accept of an order
that is ours with 404.
"""

from __future__ import annotations

from tidegate.cases.store import OpenCase
from tidegate.clock import Clock
from tidegate.db.committer import Committer
from tidegate.db.rows import DONE, Next
from tidegate.payouts.states import State
from tidegate.payouts.store import Row
from tidegate.payouts.told import Told
from tidegate.ports.aggregator import Aggregator, Listed, Said
from tidegate.wire.dialect import Dialect
from tidegate.work.claim import Claimed

__all__ = ["ACCEPT_LIMIT_S", "Reclaim", "is_under_way", "tells_pending"]

ACCEPT_LIMIT_S = 30.0


def is_under_way(payout: Row) -> bool:
    """Has a transfer been made for it that may still pay, or have paid?"""
    return State(payout["state"]) in {State.PROCESSING, State.HELD} and payout["attempts"] > 0


def tells_pending(payout: Row) -> bool:
    """Is *pending* still to be told (5.5)? Only the live dialect has the word."""
    live = payout["dialect"] == Dialect.LIVE
    return is_under_way(payout) and live and not payout["told_pending_at"]


class Reclaim:
    """The turn of a payout that is under way and was offered again."""

    def __init__(
        self, committer: Committer, clock: Clock, aggregator: Aggregator, told: Told
    ) -> None:
        self._committer = committer
        self._clock = clock
        self._aggregator = aggregator
        self._told = told

    async def __call__(self, claimed: Claimed) -> None:
        row = claimed.row
        query = await self._aggregator.order(row["order_id"])
        said = query.exchanges
        if query.listed is Listed.UNAVAILABLE and self._left_s(row) > 0:
            await self._told.later(claimed, said)
            return
        # An order of another provider is not found, one of nobody's may be found as *pending*.
        lost = query.listed is Listed.NOT_OURS or (
            query.listed is Listed.FOUND and query.orders[0].status == "pending"
        )
        taken = False
        if lost and (left_s := self._left_s(row)) > 0:
            if not claimed.covers(ACCEPT_LIMIT_S):
                await self._told.later(claimed, said)
                return
            answer = await self._aggregator.accept(
                row["order_id"], Dialect(row["dialect"]), min(ACCEPT_LIMIT_S, left_s)
            )
            said = (*said, *answer.exchanges)
            if not answer.said.is_conclusive:
                await self._told.later(claimed, said)
                return
            taken = answer.said is Said.DONE
        journal = self._told.journal(claimed, said)
        if lost:
            journal.note("taken_again" if taken else "taken_away")
            journal.add(_shown(row, taken=taken))
        journal.keep(
            claimed.held, Next("report") if tells_pending(row) else DONE, accept_first=False
        )
        await self._committer.commit(journal.unit)

    def _left_s(self, row: Row) -> float:
        return float(row["expires_at"] - self._clock.now_ms()) / 1000


def _shown(row: Row, *, taken: bool) -> OpenCase:
    what = (
        "It was accepted again and is not paid a second time."
        if taken
        else "It could not be accepted again: another provider may pay it too."
    )
    return OpenCase(
        "paying_order_offered_again",
        row["id"],
        f"The aggregator took back an order whose payment is under way. {what} Ask the aggregator "
        "why it took it.",
        "medium" if taken else "high",
        {"order_id": row["order_id"]},
    )
