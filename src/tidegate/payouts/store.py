"""Rows of payouts as operations of the committer, and the reads that verbs need.

:class:`Journal` collects one unit: it moves states along their tables and writes the event that
tells the story; a verb adds entries and cases.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, select

from tidegate.clock import Clock, Randomness
from tidegate.db.committer import Operation, Unit
from tidegate.db.exchanges import Exchange, exchange_row
from tidegate.db.rows import Change, Done, Held, Insert, Next
from tidegate.payouts.states import (
    CLOSED_ATTEMPT,
    ENDED,
    AttemptEvent,
    AttemptState,
    Event,
    State,
    after,
    attempt_after,
)
from tidegate.payouts.tables import (
    attempts,
    observations,
    payout_events,
    payouts,
)
from tidegate.ports.bank import Outcome

__all__ = ["Journal", "Row", "attempts_of", "payout_by_id", "payout_by_order", "standing_attempt"]

Row = Mapping[str, Any]


class Journal:
    """One unit about one payout.

    Every change expects the state that the decision was made on, so a decision on an old
    reading is refused whole (``Stale``) and made again.
    """

    def __init__(self, payout: Row, clock: Clock, randomness: Randomness) -> None:
        self.payout = dict(payout)
        self.unit = Unit()
        self._clock = clock
        self._randomness = randomness

    def move(
        self,
        event: Event,
        *,
        lease: Held | None = None,
        next: Next | Done | None = None,
        detail: Mapping[str, Any] | None = None,
        fence: int | None = None,
        **values: Any,
    ) -> State:
        """Move the payout along its table. Raises ``NotInTable`` before anything is written.

        ``lease`` ends the lease under which the verb works; ``fence`` only demands that it is
        still ours, for a verb that goes on.
        """
        before = State(self.payout["state"])
        state = after(before, event)
        now_ms = self._clock.now_ms()
        detail = dict(detail or {})
        if state in ENDED and before not in ENDED:
            values.setdefault("ended_at", now_ms)
            detail["currency"] = self.payout["currency"]
            detail["took_ms"] = now_ms - self.payout["offered_at"]
        self.unit.add(
            Change(
                payouts,
                self.payout["id"],
                values={"state": state.value, **values},
                expect={
                    "state": before.value,
                    "round": self.payout["round"],
                    **({} if fence is None else {"fence": fence}),
                },
                held=lease,
                next=next,
            )
        )
        self.payout.update(values, state=state.value)
        self.note(event, detail)
        return state

    def note(self, event: str, detail: Mapping[str, Any] | None = None) -> None:
        """Add a line to the payout's story."""
        self.unit.add(
            Insert(
                payout_events,
                {
                    "id": self._randomness.new_id("pev"),
                    "payout_id": self.payout["id"],
                    "at": self._clock.now_ms(),
                    "round": self.payout["round"],
                    "event": str(event),
                    "state": self.payout["state"],
                    "detail": dict(detail or {}),
                },
            )
        )

    def keep(
        self,
        lease: Held,
        next: Next | Done | None = None,
        *,
        again: bool = False,
        **values: Any,
    ) -> None:
        """End the turn without moving the state.

        The lease alone is expected: if somebody moved the state meanwhile, what this turn learnt
        is true all the same, and when the row is due stands as they left it.
        """
        self.unit.add(
            Change(
                payouts,
                self.payout["id"],
                values=values,
                expect={"round": self.payout["round"]},
                held=lease,
                next=next,
                again=again,
            )
        )

    def due(self, next: Next, **values: Any) -> None:
        """Make the payout due for a verb without touching its state or anybody's lease."""
        self.unit.add(
            Change(
                payouts,
                self.payout["id"],
                values=values,
                expect={"state": self.payout["state"], "round": self.payout["round"]},
                next=next,
            )
        )

    def attempt(
        self,
        attempt: Row,
        event: AttemptEvent,
        *,
        lease: Held | None = None,
        next: Next | Done | None = None,
        again: bool = False,
        **values: Any,
    ) -> AttemptState:
        """Move an attempt along its table."""
        before = AttemptState(attempt["state"])
        state = attempt_after(before, event)
        self.unit.add(
            Change(
                attempts,
                attempt["id"],
                values={"state": state.value, **values},
                expect={"state": before.value},
                held=lease,
                next=next,
                again=again,
            )
        )
        return state

    def observe(self, attempt: Row, source: str, kind: str, detail: Mapping[str, Any]) -> None:
        """Keep a piece of evidence, whatever it means now (promise 4)."""
        self.unit.add(
            Insert(
                observations,
                {
                    "id": self._randomness.new_id("obs"),
                    "attempt_id": attempt["id"],
                    "at": self._clock.now_ms(),
                    "source": source,
                    "kind": kind,
                    "detail": dict(detail),
                },
            )
        )

    def exchanged(self, said: Iterable[Exchange]) -> None:
        """Keep what was said to another company."""
        for exchange in said:
            self.unit.add(exchange_row(self.payout["id"], exchange, self._randomness))

    def add(self, *operations: Operation) -> None:
        self.unit.add(*operations)


def evidence(outcome: Outcome) -> dict[str, Any]:
    """What an outcome says, for an observation: no account, no name."""
    stated = {
        "psp_id": outcome.psp_id,
        "raw_status": outcome.raw_status,
        "reason_code": outcome.reason_code,
        "reason_text": outcome.reason_text,
        "fault": outcome.fault.value if outcome.fault else None,
        "session_id": outcome.session_id,
        "amount": outcome.amount.minor if outcome.amount else None,
        "fee": outcome.fee.minor if outcome.fee else None,
        "ambiguous": outcome.ambiguous or None,
        "hold": outcome.hold,
    }
    return {name: value for name, value in stated.items() if value is not None}


_by_order = select(payouts).where(payouts.c.order_id == bindparam("order_id"))
_by_id = select(payouts).where(payouts.c.id == bindparam("id"))
_attempts = (
    select(attempts)
    .where(attempts.c.payout_id == bindparam("payout_id"))
    .order_by(attempts.c.number)
)


def _row(found: RowMapping | None) -> Row | None:
    return None if found is None else dict(found)


def payout_by_order(connection: Connection, order_id: str) -> Row | None:
    """The payout of an aggregator's order."""
    return _row(connection.execute(_by_order, {"order_id": order_id}).mappings().one_or_none())


def payout_by_id(connection: Connection, payout_id: str) -> Row | None:
    """The payout with our id."""
    return _row(connection.execute(_by_id, {"id": payout_id}).mappings().one_or_none())


def attempts_of(connection: Connection, payout_id: str) -> list[Row]:
    """All attempts of a payout, first to last."""
    rows = connection.execute(_attempts, {"payout_id": payout_id}).mappings()
    return [dict(row) for row in rows]


def standing_attempt(rows: Iterable[Row]) -> Row | None:
    """The one attempt that is neither rejected, failed nor withdrawn, if any."""

    return next((row for row in rows if AttemptState(row["state"]) not in CLOSED_ATTEMPT), None)
