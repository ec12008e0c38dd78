"""What the node answers about an order, and whose an order is that we thought lost (A4)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from tidegate.cases.store import OpenCase
from tidegate.clock import Clock, Randomness
from tidegate.db.committer import Committer, Unit
from tidegate.db.engine import Database
from tidegate.db.quarantine import is_quarantined
from tidegate.db.rows import DONE, Next
from tidegate.errors import WriteRefused
from tidegate.observability.subjects import about
from tidegate.payouts.ownership import OURS
from tidegate.payouts.states import Event, State
from tidegate.payouts.store import Journal, Row, payout_by_order
from tidegate.ports.aggregator import Aggregator, Listed
from tidegate.wire.replies import TxStatus
from tidegate.work.backoff import exponential_ms
from tidegate.work.claim import Claimed

__all__ = ["CheckOrders", "CheckOwnership", "Standing", "TellStatus", "standing_of"]

_IN_DOUBT = frozenset({State.EXPIRED, State.DECLINED})
_CHECKS_MAX = 10
_DAY_MS = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Standing:
    """The four strings of ``/tx_status`` (aggregator.md 3.2)."""

    status: TxStatus
    psp: str = ""
    tx_id: str = ""
    error: str = ""


def standing_of(row: Row) -> Standing:
    """How an order stands, for its aggregator. Pure.

    *Failed* only for what was sent and failed for certain; never for what was never sent (that
    is cancelled). What is not certain is *pending*.
    """
    psp, tx_id = row["psp"] or "", row["tx_id"] or ""
    match State(row["state"]):
        case State.PAID | State.FULFILLED:
            return Standing(TxStatus.SUCCESS, psp, tx_id)
        case State.FAILED:
            return Standing(
                TxStatus.FAILED, psp, tx_id, row["reason_text"] or "The transfer failed"
            )
        case State.PROCESSING | State.HELD if row["attempts"]:
            return Standing(TxStatus.PENDING, psp, tx_id)
        case _:
            return Standing(TxStatus.PENDING)


class TellStatus:
    """Answer a question about an order; asking about one we gave up makes a check due."""

    def __init__(
        self, database: Database, committer: Committer, clock: Clock, randomness: Randomness
    ) -> None:
        self._database = database
        self._committer = committer
        self._clock = clock
        self._randomness = randomness

    async def __call__(self, order_id: str) -> Standing | None:
        """``None``: the order is not in the database."""
        row, quarantined = await self._database.fetch(
            lambda c: (payout_by_order(c, order_id), is_quarantined(c))
        )
        if quarantined:
            # The copy is behind: an order it does not know may be paid, one that it calls failed
            # may be paid since.
            return Standing(TxStatus.PENDING)
        if row is None:
            return None
        about(order_id=order_id, payout_id=row["id"])
        if State(row["state"]) in _IN_DOUBT and row["due_at"] is None:
            journal = Journal(row, self._clock, self._randomness)
            journal.due(Next("ownership"))
            with suppress(WriteRefused):  # it moved on: the next question reads the new state
                await self._committer.commit(journal.unit)
        return standing_of(row)


class CheckOwnership:
    """The verb of payouts that ended before accept and that the aggregator still asks about."""

    def __init__(
        self,
        committer: Committer,
        clock: Clock,
        randomness: Randomness,
        aggregator: Aggregator,
    ) -> None:
        self._committer = committer
        self._clock = clock
        self._randomness = randomness
        self._aggregator = aggregator

    async def __call__(self, claimed: Claimed) -> None:
        row = claimed.row
        journal = Journal(row, self._clock, self._randomness)
        if State(row["state"]) not in _IN_DOUBT:
            journal.keep(claimed.held, DONE)
            await self._committer.commit(journal.unit)
            return
        query = await self._aggregator.order(row["order_id"])
        journal.exchanged(query.exchanges)
        if query.listed is Listed.FOUND and query.orders[0].status in OURS:
            # A lost accept took effect: nothing is held for it yet; accept goes on from here.
            journal.move(Event.FOUND_OURS, lease=claimed.held, next=Next("accept"), ended_at=None)
        elif query.listed is Listed.UNAVAILABLE and claimed.tries < _CHECKS_MAX:
            wait = exponential_ms(claimed.tries, self._randomness)
            journal.keep(claimed.held, Next("ownership", wait), again=True)
        else:
            journal.keep(claimed.held, DONE)
        await self._committer.commit(journal.unit)


class CheckOrders:
    """The safety net: what the aggregator thinks is ours, compared with our rows (A8)."""

    def __init__(
        self,
        database: Database,
        committer: Committer,
        clock: Clock,
        randomness: Randomness,
        aggregator: Aggregator,
    ) -> None:
        self._database = database
        self._committer = committer
        self._clock = clock
        self._randomness = randomness
        self._aggregator = aggregator

    async def __call__(self, currency: str) -> int | None:
        """How many orders our rows know differently; ``None``: the aggregator did not answer."""
        # The fork has another word for it, and takes one it does not know for no filter at all.
        since_ms = self._clock.now_ms() - _DAY_MS
        query = await self._aggregator.orders(currency, "fulfilling", since_ms)
        if query.listed is Listed.UNAVAILABLE:
            return None
        different = 0
        for view in query.orders:
            if view.status not in OURS:
                continue
            order_id = view.order_id
            row = await self._database.fetch(partial(payout_by_order, order_id=order_id))
            if row is None:
                different += 1
                case = OpenCase(
                    "order_unknown_here",
                    order_id[:64],
                    "The aggregator counts an order as ours that no offer is kept of. It was not "
                    "paid from here; cancel it at the aggregator or take it up by hand.",
                    "high",
                    {"currency": currency},
                )
                await self._committer.commit(Unit([case]))
            elif State(row["state"]) in _IN_DOUBT and row["due_at"] is None:
                different += 1
                journal = Journal(row, self._clock, self._randomness)
                journal.due(Next("ownership"))
                try:
                    await self._committer.commit(journal.unit)
                except WriteRefused:
                    continue  # it moved on meanwhile
        return different
