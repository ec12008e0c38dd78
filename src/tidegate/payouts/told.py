"""What is written after the aggregator was told something: done, later, or refused with a case."""

from __future__ import annotations

from collections.abc import Sequence

from tidegate.cases.store import OpenCase
from tidegate.clock import Clock, Randomness
from tidegate.db.committer import Committer
from tidegate.db.exchanges import Exchange
from tidegate.db.rows import DONE, Next
from tidegate.payouts.states import Event
from tidegate.payouts.store import Journal
from tidegate.ports.aggregator import Said, SayAnswer
from tidegate.work.backoff import exponential_ms
from tidegate.work.claim import Claimed

__all__ = ["Told"]

_MANY_TRIES = 10


class Told:
    """Ends the turns of *report*; each method commits one unit."""

    def __init__(self, committer: Committer, clock: Clock, randomness: Randomness) -> None:
        self._committer = committer
        self._clock = clock
        self._randomness = randomness

    def journal(self, claimed: Claimed, said: Sequence[Exchange] = ()) -> Journal:
        """A unit about the claimed payout that keeps what was said."""
        journal = Journal(claimed.row, self._clock, self._randomness)
        journal.exchanged(said)
        return journal

    def again(self, claimed: Claimed, answer: SayAnswer | None = None) -> Next:
        """When it is said again: backed off, no sooner than the aggregator asks."""
        wait = exponential_ms(claimed.tries, self._randomness)
        if answer is not None and answer.retry_after_s is not None:
            wait = max(wait, round(answer.retry_after_s * 1000))
        return Next("report", wait)

    async def later(
        self,
        claimed: Claimed,
        said: Sequence[Exchange],
        answer: SayAnswer | None = None,
        *,
        told_pending_at: int | None = None,
    ) -> None:
        """Nothing is proven yet: the row is due again; after long, a person is told."""
        journal = self.journal(claimed, said)
        values = {} if told_pending_at is None else {"told_pending_at": told_pending_at}
        journal.keep(claimed.held, self.again(claimed, answer), again=True, **values)
        if (refusal := _refusal_of_us(said, answer)) is not None:
            journal.add(
                OpenCase(
                    "aggregator_refuses_us",
                    "aggregator",
                    f"The aggregator refuses our requests ({refusal}). Check client id, "
                    "secret and the clock.",
                    "high",
                    {},
                )
            )
        elif claimed.tries > _MANY_TRIES:
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

    async def reported(
        self,
        claimed: Claimed,
        said: Sequence[Exchange],
        how: str,
        *,
        told_pending_at: int | None = None,
        nothing_stands: bool = False,
    ) -> None:
        """It took it: nothing more is to be said in this round.

        ``nothing_stands``: our transaction is failed there too, and in nobody's way.
        """
        journal = self.journal(claimed, said)
        values: dict[str, int | None] = {}
        if told_pending_at is not None or nothing_stands:
            values["told_pending_at"] = told_pending_at
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

    async def refused(
        self,
        claimed: Claimed,
        said: Sequence[Exchange],
        why: str,
        answer: SayAnswer | None = None,
        *,
        refunded: bool = False,
    ) -> None:
        """Paid, and the aggregator does not take it: never paid again, a person reconciles.

        Without an ``answer`` the order was fetched, and is not ours or ``refunded``.
        """
        journal = self.journal(claimed, said)
        if refunded:
            self._refunded(journal)
        elif answer is None:
            self.not_ours(journal, why)
        else:
            self.open_case(journal, answer)
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

    def open_case(self, journal: Journal, answer: SayAnswer) -> None:
        """The case of an answer that is conclusive and not a yes."""
        match answer.said:
            case Said.REFUNDED:
                self._refunded(journal)
            case Said.CONFLICT:
                self._case(
                    journal,
                    "foreign_transaction",
                    "The aggregator has another transaction "
                    f"for this order: {answer.foreign_tx_id or answer.message}.",
                )
            case _:
                self.not_ours(journal, answer.message)

    def _refunded(self, journal: Journal) -> None:
        self._case(
            journal,
            "order_refunded",
            "The sender was refunded. If this order was paid, the amount is lost: settle it with "
            "the aggregator.",
        )

    def not_ours(self, journal: Journal, why: str) -> None:
        """The case of an order that the aggregator gave away."""
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


def _refusal_of_us(said: Sequence[Exchange], answer: SayAnswer | None) -> str | None:
    """What the aggregator said when it refused not the order but us; a question that goes before
    the report has no answer of its own."""
    if answer is not None and answer.said is Said.MISCONFIGURED:
        return answer.message
    return "HTTP 401" if said and said[-1].status == 401 else None
