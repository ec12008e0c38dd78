"""Report: tell the aggregator, in the dialect the order came in, until it is conclusive (5.5).

The payout's own lease puts one order's reports in a row: *pending* before *success* or *failed*,
all with the same ``txId``. After any turn whose end is not known (``tries`` says so) the order is
fetched before anything is said again (A5): repeating *success* while the aggregator settles
releases and settles twice, and a cancel has no guard at all (aggregator.md 4.3, 4.4).
"""

from __future__ import annotations

from tidegate.clock import Clock, Randomness
from tidegate.db.committer import Committer, Unit
from tidegate.db.engine import Database
from tidegate.db.exchanges import Exchange
from tidegate.db.rows import DONE, Change, Next
from tidegate.payouts.meaning import offered_meanwhile
from tidegate.payouts.ownership import Ownership
from tidegate.payouts.reclaim import ACCEPT_LIMIT_S, Reclaim, tells_pending
from tidegate.payouts.states import Event, State
from tidegate.payouts.store import Row
from tidegate.payouts.tables import payouts
from tidegate.payouts.told import Told
from tidegate.ports.aggregator import (
    Aggregator,
    Listed,
    Said,
    SayAnswer,
    Validation,
)
from tidegate.ports.bank import Fault
from tidegate.wire.dialect import Dialect
from tidegate.work.claim import Claimed

__all__ = ["Report", "cancel_reason"]

_FULFIL_LIMIT_S = 60.0
_FRESH_MS = 60_000
# In place of the moment of *pending*: it is about to be told, and may have been.
_ABOUT_TO = 0
# The aggregator's first question comes 30 s after accept (aggregator.md 3.2).
_POLLED_AFTER_MS = 25_000

# The aggregator has the success on record: saying it again could only do harm.
_HAS_SUCCESS = frozenset({"validated", "settling", "settled"})
# It has some report of ours: *pending* need not be said again.
_HAS_REPORT = "fulfilled"
_NOT_CANCELLABLE = _HAS_SUCCESS | {"refunding", "refunded", "cancelled", "pending"}

# A spec aggregator that cannot be asked is told again after so many unanswered questions.
_SPEC_BLIND_AFTER = 4

# How many turns a decline has when it is not known whether it was heard (4.2), or certain that not.
_DECLINES_MAX = {Said.UNKNOWN: 2, Said.NOT_SENT: 3}

# The exact words that the aggregator acts on (4.4); anything else counts as one cancellation.
_RECIPIENT = "Invalid recipient bank details"
_FUNDS = "Insufficient funds"


def cancel_reason(fault: str | None, code: str | None, text: str | None) -> str:
    """The reason of a cancel, in the aggregator's words where it has some. Pure."""
    if fault == Fault.RECIPIENT:
        return _RECIPIENT
    if code in {"INSUFFICIENT_BALANCE", "insufficient_funds"}:
        return _FUNDS
    return text or "The payout could not be made"


class Report:
    """The verb of payouts about which the aggregator is to be told something."""

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
        self._aggregator = aggregator
        self._told = Told(committer, clock, randomness)
        self._ownership = Ownership(clock, aggregator)
        self._reclaim = Reclaim(committer, clock, aggregator, self._told)

    async def __call__(self, claimed: Claimed) -> None:
        row = claimed.row
        match State(row["state"]):
            case State.DECLINED:
                await self._decline(claimed)
            case State.PROCESSING | State.HELD if row["accept_first"]:
                await self._reclaim(claimed)
            case State.PROCESSING | State.HELD if tells_pending(row):
                await self._pending(claimed)
            case State.PAID:
                await self._paid(claimed)
            case State.CANCELLED | State.FAILED:
                await self._given_up(claimed)
            case _:
                journal = self._told.journal(claimed)
                journal.keep(claimed.held, DONE)
                await self._committer.commit(journal.unit)

    async def _decline(self, claimed: Claimed) -> None:
        """Said, and repeated once if nobody knows whether it was heard; the offer lapses by itself.

        A decline names no offer, it ends the one that is open there (4.2). So it is not said when
        the order was offered once more meanwhile: that offer is judged by itself.
        """
        row = claimed.row
        if await self._database.fetch(lambda c: offered_meanwhile(c, row)) is not None:
            journal = self._told.journal(claimed)
            journal.move(
                Event.REPORTED,
                lease=claimed.held,
                next=Next("reoffer"),
                detail={"said": "offered again"},
                told_at=self._clock.now_ms(),
            )
            await self._committer.commit(journal.unit)
            return
        reason = row["reason_code"] or "refused"
        answer = await self._aggregator.decline(row["order_id"], reason)
        journal = self._told.journal(claimed, answer.exchanges)
        if claimed.tries < _DECLINES_MAX.get(answer.said, 1):
            journal.keep(claimed.held, self._told.again(claimed, answer), again=True)
        else:
            journal.move(
                Event.REPORTED,
                lease=claimed.held,
                next=DONE,
                detail={"said": answer.said.value},
                told_at=self._clock.now_ms(),
            )
        await self._committer.commit(journal.unit)

    async def _pending(self, claimed: Claimed) -> None:
        """Tell *pending*: the aggregator then knows the ``txId`` and polls for its end."""
        said: tuple[Exchange, ...] = ()
        if claimed.tries > 1 or self._is_late(claimed.row):
            ours, _, said = await self._whose(claimed)
            if ours is None:
                await self._told.later(claimed, said)
                return
            if not ours:
                journal = self._told.journal(claimed, said)
                self._told.not_ours(journal, "The aggregator does not count this order as ours.")
                journal.keep(claimed.held, DONE, told_pending_at=self._clock.now_ms())
                await self._committer.commit(journal.unit)
                return
        if not claimed.covers(_FULFIL_LIMIT_S):
            await self._told.later(claimed, said)
            return
        await self._about_to_tell_pending(claimed)
        answer = await self._fulfil(claimed.row, Validation.PENDING)
        said = (*said, *answer.exchanges)
        if not answer.said.is_conclusive:
            await self._told.later(claimed, said, answer)
            return
        journal = self._told.journal(claimed, said)
        journal.note("told_pending", {"said": answer.said.value})
        if answer.said is not Said.DONE:
            self._told.open_case(journal, answer)
        journal.keep(claimed.held, DONE, told_pending_at=self._clock.now_ms())
        await self._committer.commit(journal.unit)

    async def _about_to_tell_pending(self, claimed: Claimed) -> None:
        """What may have been told forbids a cancel, also to whoever finds the row after a crash."""
        if claimed.row["told_pending_at"] is None:
            intention = Change(
                payouts,
                claimed.id,
                values={"told_pending_at": _ABOUT_TO},
                expect={"round": claimed.row["round"], "fence": claimed.held.fence},
            )
            await self._committer.commit(Unit([intention]))

    async def _paid(self, claimed: Claimed) -> None:
        """Tell *success*: live after *pending*, with the same ``txId``; spec with the PSP's id."""
        row = claimed.row
        said: tuple[Exchange, ...] = ()
        told_pending = row["told_pending_at"]
        left_s = (row["expires_at"] - self._clock.now_ms()) / 1000
        if row["accept_first"] and left_s > 0:
            # Offered again after it was paid: only the owner's fulfil is taken (hazard 2).
            accepted = await self._aggregator.accept(
                row["order_id"], Dialect(row["dialect"]), min(ACCEPT_LIMIT_S, left_s)
            )
            said = accepted.exchanges
        # Something else was told before this success, or an answer was lost: it may have been
        # given to another meanwhile, whom a stray fulfil would block (aggregator.md 4.3).
        told = row["accept_first"] or row["told_at"] is not None
        ours: bool | None = None
        if claimed.tries > 1 or told or self._may_have_been_polled(row) or self._is_late(row):
            ours, status, asked = await self._whose(claimed)
            said = (*said, *asked)
            if ours is None and not self._blind(claimed):
                await self._told.later(claimed, said)
                return
            if ours is False:
                await self._told.refused(
                    claimed, said, "The aggregator does not count this paid order as ours."
                )
                return
            if status == "refunded":
                why = "The aggregator refunded the sender of an order that was paid."
                await self._told.refused(claimed, said, why, refunded=True)
                return
            if not told_pending and status in _HAS_SUCCESS | {_HAS_REPORT}:
                told_pending = self._clock.now_ms()  # it was told, and the answer was lost
            if status in _HAS_SUCCESS:
                await self._told.reported(claimed, said, status, told_pending_at=told_pending)
                return
        if row["dialect"] == Dialect.LIVE and not told_pending:
            if not claimed.covers(_FULFIL_LIMIT_S):
                await self._told.later(claimed, said)
                return
            pending = await self._fulfil(row, Validation.PENDING)
            said = (*said, *pending.exchanges)
            if pending.said is not Said.DONE:
                if pending.said.is_conclusive:
                    await self._told.refused(claimed, said, pending.message, pending)
                else:
                    await self._told.later(claimed, said, pending)
                return
            told_pending = self._clock.now_ms()
        if not claimed.covers(_FULFIL_LIMIT_S):
            await self._told.later(claimed, said, told_pending_at=told_pending)
            return
        answer = await self._fulfil(row, Validation.SUCCESS)
        said = (*said, *answer.exchanges)
        name = _own_name(row, answer)
        if ours and name is not None and claimed.covers(_FULFIL_LIMIT_S):
            # It stands there by the other name of this payment, from before the order was offered
            # again, and counts no more (the order was asked for): by that name it is taken anew.
            answer = await self._aggregator.fulfil_spec(row["order_id"], transaction_hash=name)
            said = (*said, *answer.exchanges)
        if answer.said is Said.DONE:
            await self._told.reported(claimed, said, answer.message, told_pending_at=told_pending)
        elif answer.said.is_conclusive and _own_name(row, answer) is None:
            await self._told.refused(claimed, said, answer.message, answer)
        else:
            # What stands there may be ours, told in answer to a question: the next turn asks.
            await self._told.later(claimed, said, answer, told_pending_at=told_pending)

    def _is_late(self, row: Row) -> bool:
        """Is it so long since accept that the order may be somebody else's? A call about one that
        is not ours any more leaves a row there that blocks the other's fulfil (4.3)."""
        return row["dialect"] == Dialect.LIVE and self._ownership.is_late(row)

    def _may_have_been_polled(self, row: Row) -> bool:
        """May ``/tx_status`` have told the success before this report (aggregator.md 3.2)?

        It is asked about an order of which nothing was reported from 30 s after accept on, and
        about one told *pending* a minute after that. While a *pending* was on its way that was
        heard only after the order was paid, nothing was reported yet.
        """
        now_ms, paid_at = self._clock.now_ms(), row["paid_at"] or 0
        if now_ms - paid_at >= _FRESH_MS or (row["told_pending_at"] or 0) > paid_at:
            return True
        quiet = row["dialect"] == Dialect.LIVE and not row["told_pending_at"]
        return quiet and now_ms - (row["accepted_at"] or 0) >= _POLLED_AFTER_MS

    async def _given_up(self, claimed: Claimed) -> None:
        """The round will never be paid (that is committed): say so.

        Live: *failed* once a transfer was created or anything was reported, else cancel. Spec
        knows only cancel.
        """
        row = claimed.row
        failed = row["state"] == State.FAILED and row["dialect"] == Dialect.LIVE
        said: tuple[Exchange, ...] = ()
        if claimed.tries > 1 or self._is_late(row):
            ours, status, said = await self._whose(claimed)
            if ours is None and not self._blind(claimed):
                await self._told.later(claimed, said)
                return
            if failed and status in _HAS_SUCCESS:
                why = "The aggregator has this order as paid, and it was not paid from here."
                await self._told.refused(claimed, said, why)
                return
            if ours is False or (not failed and status in _NOT_CANCELLABLE):
                await self._told.reported(claimed, said, status or "not ours")
                return
        if not claimed.covers(_FULFIL_LIMIT_S):
            await self._told.later(claimed, said)
            return
        if failed:
            answer = await self._fulfil(row, Validation.FAILED)
        else:
            answer = await self._aggregator.cancel(
                row["order_id"],
                cancel_reason(row["fault"], row["reason_code"], row["reason_text"]),
            )
        said = (*said, *answer.exchanges)
        if not answer.said.is_conclusive:
            await self._told.later(claimed, said, answer)
        elif answer.said in {Said.DONE, Said.GONE, Said.NOT_OURS, Said.REFUNDED}:
            taken = failed and answer.said is Said.DONE
            await self._told.reported(claimed, said, answer.message, nothing_stands=taken)
        else:
            journal = self._told.journal(claimed, said)
            self._told.open_case(journal, answer)
            journal.move(
                Event.REPORT_REFUSED,
                lease=claimed.held,
                next=DONE,
                detail={"said": answer.said.value},
                told_at=self._clock.now_ms(),
            )
            await self._committer.commit(journal.unit)

    async def _fulfil(self, row: Row, validation: Validation) -> SayAnswer:
        if row["dialect"] == Dialect.SPEC:
            return await self._aggregator.fulfil_spec(
                row["order_id"], transaction_hash=row["psp_id"] or row["tx_id"]
            )
        error = (row["reason_text"] or "The transfer failed") if validation == "failed" else ""
        return await self._aggregator.fulfil_live(
            row["order_id"],
            psp=row["psp"],
            tx_id=row["tx_id"],
            validation=validation,
            error=error,
        )

    async def _whose(self, claimed: Claimed) -> tuple[bool | None, str, tuple[Exchange, ...]]:
        """Is the order ours, and how does it stand? ``None``: the question was not answered."""
        query = await self._aggregator.order(claimed.row["order_id"])
        if query.listed is Listed.UNAVAILABLE:
            return None, "", query.exchanges
        if query.listed is Listed.NOT_OURS:
            return False, "", query.exchanges
        return True, query.orders[0].status, query.exchanges

    def _blind(self, claimed: Claimed) -> bool:
        return claimed.row["dialect"] == Dialect.SPEC and claimed.tries > _SPEC_BLIND_AFTER


def _own_name(row: Row, answer: SayAnswer) -> str | None:
    """The name of the transaction that is in the way, if it is this payout's own by the other of
    its two names, which only the spec dialect mixes: its fulfil tells the PSP's, ``/tx_status``
    ours."""
    own = {row["tx_id"], row["psp_id"]} if row["dialect"] == Dialect.SPEC else set()
    return answer.foreign_tx_id if answer.foreign_tx_id in own else None
