"""Accept: policy, reservation, then the call, while the offer lives (DESIGN 5.2, A5).

*Accepting* is committed before the call and never ended by the clock alone: an accept whose
answer was lost is asked for again while the offer lives, and looked up afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tidegate.clock import Clock, Randomness
from tidegate.db.committer import Committer
from tidegate.db.engine import Database
from tidegate.db.exchanges import Exchange
from tidegate.db.rows import DONE, Next
from tidegate.errors import (
    FloorBroken,
    InsufficientBalance,
    PolicyRefusal,
    ReportStands,
)
from tidegate.ledger.book import Record
from tidegate.payouts.facts import FactsReader
from tidegate.payouts.ours import Ours
from tidegate.payouts.ownership import OURS
from tidegate.payouts.policy import choose
from tidegate.payouts.postings import FloatAccounts, rehold, reserved
from tidegate.payouts.rules import Rules
from tidegate.payouts.states import Event, State
from tidegate.payouts.store import Journal, Row
from tidegate.ports.aggregator import (
    AcceptAnswer,
    Aggregator,
    Listed,
    Said,
)
from tidegate.wire.dialect import Dialect
from tidegate.work.backoff import exponential_ms
from tidegate.work.claim import Claimed

__all__ = ["Accept"]

_CALL_LIMIT_S = 30.0
_GIVE_UP_AFTER = 20


class Accept:
    """The verb of payouts that are pending or accepting."""

    def __init__(
        self,
        database: Database,
        committer: Committer,
        clock: Clock,
        randomness: Randomness,
        rules: Rules,
        facts: FactsReader,
        aggregator: Aggregator,
    ) -> None:
        self._committer = committer
        self._clock = clock
        self._randomness = randomness
        self._rules = rules
        self._facts = facts
        self._aggregator = aggregator
        self._ours = Ours(database.cipher, committer, clock, randomness, rules, facts)

    async def __call__(self, claimed: Claimed) -> None:
        row = claimed.row
        match State(row["state"]):
            case State.PENDING:
                promised = await self._promise(claimed)
                if promised is not None:
                    await self._ask(claimed, promised, first=True)
            case State.ACCEPTING:
                await self._ask(claimed, row, first=False)
            case _:
                journal = Journal(row, self._clock, self._randomness)
                journal.keep(claimed.held, DONE)
                await self._committer.commit(journal.unit)

    def _left_ms(self, row: Row) -> int:
        return int(row["expires_at"]) - self._rules.accept_margin_ms - self._clock.now_ms()

    async def _promise(self, claimed: Claimed) -> Row | None:
        """Policy, then the reservation; ``None`` when the order ended here."""
        row = claimed.row
        journal = Journal(row, self._clock, self._randomness)
        if self._left_ms(row) <= 0:
            if row["dialect"] == Dialect.SPEC:
                journal.move(
                    Event.REFUSED,
                    lease=claimed.held,
                    next=Next("report"),
                    reason_code="ORDER_EXPIRED",
                    reason_text="The offer's time was over before it could be accepted.",
                )
            else:
                journal.move(
                    Event.LAPSED, lease=claimed.held, next=DONE, reason_code="ORDER_EXPIRED"
                )
            await self._committer.commit(journal.unit)
            return None
        if row["told_pending_at"] is not None:
            # An earlier round told *pending*, and its failure was not taken: the aggregator takes
            # no other transaction beside that one, so what we paid would never be settled (4.3).
            await self._decline(claimed, ReportStands())
            return None
        plan = choose(
            currency=row["currency"],
            amount=row["amount"],
            institution=row["institution"],
            excluded=row["exclude_psps"],
            facts=await self._facts.now(),
            rules=self._rules,
        )
        if isinstance(plan, PolicyRefusal):
            await self._decline(claimed, plan)
            return None
        number = row["holds"] + 1
        at = FloatAccounts(plan.psp, row["currency"])
        values: dict[str, Any] = {"psp": plan.psp, "held": plan.hold, "holds": number}
        journal.move(Event.RESERVED, fence=row["fence"], detail={"psp": plan.psp}, **values)
        journal.add(Record(reserved(at, row["id"], number, plan.hold)))
        try:
            await self._committer.commit(journal.unit)
        except FloorBroken:  # others were quicker than the reading that the plan was made on
            await self._decline(claimed, InsufficientBalance())
            return None
        return {**row, **values, "state": State.ACCEPTING.value}

    async def _decline(self, claimed: Claimed, refusal: PolicyRefusal) -> None:
        journal = Journal(claimed.row, self._clock, self._randomness)
        journal.move(
            Event.REFUSED,
            lease=claimed.held,
            next=Next("report"),
            detail={"code": refusal.code},
            reason_code=refusal.code,
            reason_text=refusal.detail,
        )
        await self._committer.commit(journal.unit)

    async def _ask(self, claimed: Claimed, row: Row, *, first: bool) -> None:
        """Call accept while the offer lives; otherwise find out whose the order is."""
        left_ms = self._left_ms(row)
        if left_ms <= 0 or not claimed.covers(_CALL_LIMIT_S):
            if first:  # reserved in this very turn: nothing was sent
                await self._end_unpaid(claimed, row, Event.LAPSED, "ORDER_EXPIRED")
            else:
                await self._find_out(claimed, row)
            return
        answer = await self._aggregator.accept(
            row["order_id"], Dialect(row["dialect"]), min(_CALL_LIMIT_S, left_ms / 1000)
        )
        match answer.said:
            case Said.DONE:
                await self._ours.as_answered(claimed, row, answer.details, answer.exchanges)
            case Said.GONE | Said.CONFLICT | Said.NOT_OURS:
                await self._find_out(claimed, row, answer)
            case Said.NOT_SENT | Said.UNKNOWN | Said.MISCONFIGURED | Said.REFUNDED:
                await self._later(claimed, row, answer.exchanges)

    async def _later(self, claimed: Claimed, row: Row, exchanges: Iterable[Exchange]) -> None:
        """Nothing is proven yet: the row stays accepting and is due soon again."""
        journal = Journal(row, self._clock, self._randomness)
        journal.exchanged(exchanges)
        if claimed.tries >= _GIVE_UP_AFTER:
            self._ours.hold(
                journal, claimed, "Whether the aggregator gave us this order is unknown."
            )
        else:
            wait = exponential_ms(claimed.tries, self._randomness, first_ms=250, most_ms=60_000)
            journal.keep(claimed.held, Next("accept", wait), again=True)
        await self._committer.commit(journal.unit)

    async def _find_out(
        self, claimed: Claimed, row: Row, answer: AcceptAnswer | None = None
    ) -> None:
        """Ask the aggregator whose the order is (4.1, A5)."""
        query = await self._aggregator.order(row["order_id"])
        said = (*(answer.exchanges if answer else ()), *query.exchanges)
        if query.listed is Listed.UNAVAILABLE:
            await self._later(claimed, row, said)
            return
        view = query.orders[0] if query.listed is Listed.FOUND else None
        if view is None or view.status == "pending":
            await self._end_unpaid(claimed, row, Event.NOT_OURS, "NOT_OURS", said)
            return
        if view.status not in OURS:
            await self._later(claimed, row, said)
            return
        if answer is None or answer.said is not Said.GONE:
            # Ours: once more for the details, which only accept gives in the live dialect.
            if not claimed.covers(_CALL_LIMIT_S):
                await self._later(claimed, row, said)
                return
            again = await self._aggregator.accept(
                row["order_id"], Dialect(row["dialect"]), _CALL_LIMIT_S
            )
            said = (*said, *again.exchanges)
            if again.said is Said.DONE:
                await self._ours.as_answered(claimed, row, again.details, said)
                return
            if again.said not in {Said.GONE, Said.CONFLICT}:
                await self._later(claimed, row, said)
                return
        await self._ours.as_shown(claimed, row, view, said)

    async def _end_unpaid(
        self,
        claimed: Claimed,
        row: Row,
        event: Event,
        code: str,
        exchanges: Iterable[Exchange] = (),
    ) -> None:
        """The order is not ours: give the reservation back."""
        journal = Journal(row, self._clock, self._randomness)
        journal.exchanged(exchanges)
        for entry in rehold(row, None, 0):
            journal.add(Record(entry))
        journal.move(
            event,
            lease=claimed.held,
            next=DONE,
            detail={"code": code},
            held=0,
            holds=row["holds"] + 1,
            reason_code=code,
        )
        await self._committer.commit(journal.unit)
