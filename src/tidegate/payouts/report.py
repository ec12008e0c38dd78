"""Report: tell the aggregator, in the dialect the order came in, until it is conclusive (5.5).

The payout's own lease puts one order's reports in a row: *pending* before *success* or *failed*,
all with the same ``txId``. After any turn whose end is not known (``tries`` says so) the order is
fetched before anything is said again (A5): repeating *success* while the aggregator settles
releases and settles twice, and a cancel has no guard at all (aggregator.md 4.3, 4.4).
"""

from __future__ import annotations

from collections.abc import Sequence

from tidegate.cases.store import OpenCase
from tidegate.clock import Clock, Randomness
from tidegate.db.committer import Committer
from tidegate.db.rows import DONE, Next
from tidegate.payouts.states import Event, State
from tidegate.payouts.store import Journal, Row
from tidegate.ports.aggregator import (
    Aggregator,
    Listed,
    Said,
    SayAnswer,
    Validation,
)
from tidegate.ports.bank import Fault
from tidegate.ports.exchange import Exchange
from tidegate.wire.dialect import Dialect
from tidegate.work.backoff import exponential_ms
from tidegate.work.claim import Claimed

__all__ = ["Report", "cancel_reason"]

_FULFIL_LIMIT_S = 60.0
_ACCEPT_LIMIT_S = 30.0
_FRESH_MS = 60_000

# The aggregator has the success on record: saying it again could only do harm.
_HAS_SUCCESS = frozenset({"validated", "settling", "settled"})
_NOT_CANCELLABLE = _HAS_SUCCESS | {"refunding", "refunded", "cancelled", "pending"}

# A spec aggregator that cannot be asked is told again after so many unanswered questions.
_SPEC_BLIND_AFTER = 4

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
        match State(row["state"]):
            case State.DECLINED:
                await self._decline(claimed)
            case State.PROCESSING | State.HELD if (
                row["dialect"] == Dialect.LIVE
                and row["told_pending_at"] is None
                and row["attempts"]
            ):
                await self._pending(claimed)
            case State.PAID:
                await self._paid(claimed)
            case State.CANCELLED:
                await self._given_up(claimed)
            case State.FAILED:
                await self._given_up(claimed)
            case _:
                journal = self._journal(claimed)
                journal.keep(claimed.held, DONE)
                await self._committer.commit(journal.unit)

    def _journal(self, claimed: Claimed, said: Sequence[Exchange] = ()) -> Journal:
        journal = Journal(claimed.row, self._clock, self._randomness)
        journal.exchanged(said)
        return journal

    async def _decline(self, claimed: Claimed) -> None:
        """Said once, repeated once inside; whatever comes of it, the offer lapses by itself."""
        row = claimed.row
        reason = row["reason_code"] or "refused"
        answer = await self._aggregator.decline(row["order_id"], reason)
        journal = self._journal(claimed, answer.exchanges)
        if answer.said is Said.NOT_SENT and claimed.tries < 3:
            journal.keep(claimed.held, self._again(claimed), again=True)
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
        if claimed.tries > 1:
            ours, _, said = await self._whose(claimed)
            if ours is None:
                await self._later(claimed, said)
                return
            if not ours:
                journal = self._journal(claimed, said)
                self._not_ours(journal, "The aggregator does not count this order as ours.")
                journal.keep(claimed.held, DONE, told_pending_at=self._clock.now_ms())
                await self._committer.commit(journal.unit)
                return
        if not claimed.covers(_FULFIL_LIMIT_S):
            await self._later(claimed, said)
            return
        answer = await self._fulfil(claimed.row, Validation.PENDING)
        said = (*said, *answer.exchanges)
        if not _conclusive(answer):
            await self._later(claimed, said, answer)
            return
        journal = self._journal(claimed, said)
        journal.note("told_pending", {"said": answer.said.value})
        if answer.said is not Said.DONE:
            self._refused(journal, answer)
        journal.keep(claimed.held, DONE, told_pending_at=self._clock.now_ms())
        await self._committer.commit(journal.unit)

    async def _paid(self, claimed: Claimed) -> None:
        """Tell *success*: live after *pending*, with the same ``txId``; spec with the PSP's id."""
        row = claimed.row
        said: tuple[Exchange, ...] = ()
        status = ""
        if row["accept_first"]:
            # Offered again after it was paid: only the owner's fulfil is taken (hazard 2).
            accepted = await self._aggregator.accept(
                row["order_id"], Dialect(row["dialect"]), _ACCEPT_LIMIT_S
            )
            said = accepted.exchanges
        # Something else was told before this success, or an answer was lost: it may have been
        # given to another meanwhile, whom a stray fulfil would block (aggregator.md 4.3).
        # So it may if /tx_status told the success before this first report could.
        fresh = row["paid_at"] is not None and self._clock.now_ms() - row["paid_at"] < _FRESH_MS
        told = row["accept_first"] or row["told_at"] is not None
        if claimed.tries > 1 or told or not fresh:
            ours, status, asked = await self._whose(claimed)
            said = (*said, *asked)
            if ours is None and not self._blind(claimed):
                await self._later(claimed, said)
                return
            if ours is False:
                await self._refused_success(
                    claimed, said, "The aggregator does not count this paid order as ours."
                )
                return
            if status == "refunded":
                await self._refused_success(
                    claimed, said, "The aggregator refunded the sender of an order that was paid."
                )
                return
            if status in _HAS_SUCCESS:
                await self._reported(claimed, said, status)
                return
        told_pending = row["told_pending_at"]
        if row["dialect"] == Dialect.LIVE and told_pending is None:
            if not claimed.covers(_FULFIL_LIMIT_S):
                await self._later(claimed, said)
                return
            pending = await self._fulfil(row, Validation.PENDING)
            said = (*said, *pending.exchanges)
            if pending.said is not Said.DONE:
                if _conclusive(pending):
                    await self._refused_success(claimed, said, pending.message, pending)
                else:
                    await self._later(claimed, said, pending)
                return
            told_pending = self._clock.now_ms()
        if not claimed.covers(_FULFIL_LIMIT_S):
            await self._later(claimed, said, told_pending_at=told_pending)
            return
        answer = await self._fulfil(row, Validation.SUCCESS)
        said = (*said, *answer.exchanges)
        if answer.said is Said.DONE:
            await self._reported(claimed, said, answer.message, told_pending_at=told_pending)
        elif _conclusive(answer):
            await self._refused_success(claimed, said, answer.message, answer)
        else:
            await self._later(claimed, said, answer, told_pending_at=told_pending)

    async def _given_up(self, claimed: Claimed) -> None:
        """The round will never be paid (that is committed): say so.

        Live: *failed* once a transfer was created or anything was reported, else cancel. Spec
        knows only cancel.
        """
        row = claimed.row
        failed = row["state"] == State.FAILED and row["dialect"] == Dialect.LIVE
        said: tuple[Exchange, ...] = ()
        if claimed.tries > 1:
            ours, status, said = await self._whose(claimed)
            if ours is None and not self._blind(claimed):
                await self._later(claimed, said)
                return
            if failed and status in _HAS_SUCCESS:
                why = "The aggregator has this order as paid, and it was not paid from here."
                await self._refused_success(claimed, said, why)
                return
            if ours is False or (not failed and status in _NOT_CANCELLABLE):
                await self._reported(claimed, said, status or "not ours")
                return
        if not claimed.covers(_FULFIL_LIMIT_S):
            await self._later(claimed, said)
            return
        if failed:
            answer = await self._fulfil(row, Validation.FAILED)
        else:
            answer = await self._aggregator.cancel(
                row["order_id"],
                cancel_reason(row["fault"], row["reason_code"], row["reason_text"]),
            )
        said = (*said, *answer.exchanges)
        if not _conclusive(answer):
            await self._later(claimed, said, answer)
        elif answer.said in {Said.DONE, Said.GONE, Said.NOT_OURS, Said.REFUNDED}:
            await self._reported(claimed, said, answer.message)
        else:
            journal = self._journal(claimed, said)
            self._refused(journal, answer)
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

    def _again(self, claimed: Claimed, answer: SayAnswer | None = None) -> Next:
        wait = exponential_ms(claimed.tries, self._randomness)
        if answer is not None and answer.retry_after_s is not None:
            wait = max(wait, round(answer.retry_after_s * 1000))
        return Next("report", wait)

    async def _later(
        self,
        claimed: Claimed,
        said: Sequence[Exchange],
        answer: SayAnswer | None = None,
        *,
        told_pending_at: int | None = None,
    ) -> None:
        journal = self._journal(claimed, said)
        values = {} if told_pending_at is None else {"told_pending_at": told_pending_at}
        journal.keep(claimed.held, self._again(claimed, answer), again=True, **values)
        if answer is not None and answer.said is Said.MISCONFIGURED:
            journal.add(
                OpenCase(
                    "aggregator_refuses_us",
                    "aggregator",
                    f"The aggregator refuses our requests ({answer.message}). Check client id, "
                    "secret and the clock.",
                    "high",
                    {},
                )
            )
        elif claimed.tries > 10:
            journal.add(
                OpenCase(
                    "report_not_taken",
                    claimed.id,
                    "The aggregator has not taken this order's report after many tries.",
                    "medium",
                    {"order_id": claimed.row["order_id"]},
                )
            )
        await self._committer.commit(journal.unit)

    async def _reported(
        self,
        claimed: Claimed,
        said: Sequence[Exchange],
        how: str,
        *,
        told_pending_at: int | None = None,
    ) -> None:
        journal = self._journal(claimed, said)
        values = {} if told_pending_at is None else {"told_pending_at": told_pending_at}
        journal.move(
            Event.REPORTED,
            lease=claimed.held,
            next=DONE,
            detail={"answer": how},
            told_at=self._clock.now_ms(),
            **self._accepted_first(claimed),
            **values,
        )
        await self._committer.commit(journal.unit)

    async def _refused_success(
        self,
        claimed: Claimed,
        said: Sequence[Exchange],
        why: str,
        answer: SayAnswer | None = None,
    ) -> None:
        """Paid, and the aggregator does not take it: never paid again, a person reconciles."""
        journal = self._journal(claimed, said)
        if answer is None:
            self._not_ours(journal, why)
        else:
            self._refused(journal, answer)
        journal.move(
            Event.REPORT_REFUSED,
            lease=claimed.held,
            next=DONE,
            detail={"why": why},
            told_at=self._clock.now_ms(),
            **self._accepted_first(claimed),
        )
        await self._committer.commit(journal.unit)

    def _accepted_first(self, claimed: Claimed) -> dict[str, bool]:
        """Done with; but not a wish that came while this report was under way."""
        return {"accept_first": False} if claimed.row["accept_first"] else {}

    def _refused(self, journal: Journal, answer: SayAnswer) -> None:
        match answer.said:
            case Said.REFUNDED:
                self._case(
                    journal,
                    "order_refunded",
                    "The sender was refunded. If this order was "
                    "paid, the amount is lost: settle it with the aggregator.",
                )
            case Said.CONFLICT:
                self._case(
                    journal,
                    "foreign_transaction",
                    "The aggregator has another transaction "
                    f"for this order: {answer.foreign_tx_id or answer.message}.",
                )
            case _:
                self._not_ours(journal, answer.message)

    def _not_ours(self, journal: Journal, why: str) -> None:
        self._case(
            journal, "order_not_ours", f"{why} If it was paid, settle it with the aggregator."
        )

    def _case(self, journal: Journal, kind: str, why: str) -> None:
        journal.add(
            OpenCase(
                kind,
                journal.payout["id"],
                why,
                "high",
                {
                    "order_id": journal.payout["order_id"],
                    "state": journal.payout["state"],
                    "tx_id": journal.payout["tx_id"],
                },
            )
        )


def _conclusive(answer: SayAnswer) -> bool:
    return answer.said not in {Said.NOT_SENT, Said.UNKNOWN, Said.MISCONFIGURED}
