"""Rows of payments as operations of the committer, and the reads that verbs need.

:class:`Journal` collects one unit about one payment: it moves the state along its table, numbers
and announces what happened, and stores the answer that an idempotency key waits for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, select

from tidegate.clock import Clock, Randomness
from tidegate.db.committer import Operation, Unit
from tidegate.db.exchanges import Exchange, exchange_row
from tidegate.db.idempotency import idempotency_keys
from tidegate.db.rows import Change, Done, Held, Next
from tidegate.payments.announce import Announce
from tidegate.payments.answers import Answer
from tidegate.payments.states import ON_THE_WAY, Event, State, after, public_status
from tidegate.payments.tables import payments, refunds
from tidegate.payments.view import payment_view

__all__ = [
    "Journal",
    "Row",
    "key_by_id",
    "payment_by_id",
    "payment_by_reference",
    "payment_of_user",
    "refund_by_id",
    "store_answer",
]

Row = Mapping[str, Any]


class Journal:
    """One unit about one payment.

    ``row`` is the payment as it will be. The one change of the payment expects the state and the
    number of events that the decision was made on, so a decision on an old reading is refused
    whole (``Stale``) and made again.
    """

    def __init__(self, payment: Row, clock: Clock, randomness: Randomness) -> None:
        self.row = dict(payment)
        self._before = payment
        self._changed: dict[str, Any] = {}
        self._operations: list[Operation] = []
        self._clock = clock
        self._randomness = randomness

    @property
    def state(self) -> State:
        return State(self.row["state"])

    def set(self, **values: Any) -> None:
        self.row.update(values)
        self._changed.update(values)

    def move(self, event: Event, **values: Any) -> State:
        """Move the payment along its table. Raises ``NotInTable`` before anything is written."""
        before = self.state
        state = after(before, event)
        self.set(**values)
        if state is not before:
            self.set(state=state.value, updated_at=self._clock.now_ms(), lookups=0)
            status = public_status(state)
            if state not in ON_THE_WAY:  # passed through: nobody is told
                self.announce(f"payment.{status}", payment_view(self.row))
        return state

    def announce(self, type_: str, data: Mapping[str, Any]) -> None:
        """Number an event of the payment and tell whoever listens."""
        self.set(events=self.row["events"] + 1)
        self.add(
            Announce(
                {
                    "id": self._randomness.new_id("evt"),
                    "payment_id": self.row["id"],
                    "user_id": self.row["user_id"],
                    "seq": self.row["events"],
                    "type": type_,
                    "at": self._clock.now_ms(),
                    "data": dict(data),
                }
            )
        )

    def answer(self, answer: Answer) -> None:
        """Store the answer that the payment's idempotency key waits for, if one does."""
        if self.row["asked_by"] is not None:
            self.add(store_answer(self.row["asked_by"], answer))
            self.set(asked_by=None)

    def exchanged(self, said: Iterable[Exchange]) -> None:
        """Keep what was said to the processor."""
        for exchange in said:
            self.add(exchange_row(self.row["id"], exchange, self._randomness))

    def add(self, *operations: Operation) -> None:
        self._operations.extend(operations)

    def unit(
        self,
        *,
        held: Held | None = None,
        fence: int | None = None,
        next: Next | Done | None = None,
        again: bool = False,
        take_ms: int | None = None,
    ) -> Unit:
        """The unit. ``held`` ends the verb's lease; ``fence`` only demands that it is still ours,
        for a verb that goes on; ``take_ms`` takes the lease."""
        expect = {"state": self._before["state"], "events": self._before["events"]}
        if fence is not None:
            expect["fence"] = fence
        change = Change(
            payments,
            self.row["id"],
            values=self._changed,
            expect=expect,
            held=held,
            next=next,
            again=again,
            take_ms=take_ms,
        )
        return Unit([change, *self._operations])


def store_answer(key_row: str, answer: Answer, *, only_first: bool = False) -> Change:
    """Store ``answer`` under the idempotency key's row; ``only_first``: ``Stale`` if it has one."""
    return Change(
        idempotency_keys,
        key_row,
        values={"status": answer.status, "code": answer.code, "body": answer.body},
        expect={"status": None} if only_first else {},
    )


_payment = select(payments).where(payments.c.id == bindparam("id"))
_own_payment = _payment.where(payments.c.user_id == bindparam("user_id"))
_by_reference = select(payments).where(
    payments.c.processor == bindparam("processor"),
    payments.c.processor_reference == bindparam("reference"),
)
_refund = select(refunds).where(refunds.c.id == bindparam("id"))
_key = select(idempotency_keys).where(idempotency_keys.c.id == bindparam("id"))


def _one(connection: Connection, statement: Any, **parameters: Any) -> Row | None:
    row = connection.execute(statement, parameters).mappings().one_or_none()
    return None if row is None else dict(row)


def payment_by_id(connection: Connection, payment_id: str) -> Row | None:
    """The payment with this id, whoever it belongs to."""
    return _one(connection, _payment, id=payment_id)


def payment_of_user(connection: Connection, user_id: str, payment_id: str) -> Row | None:
    """The payment, if it is the user's own."""
    return _one(connection, _own_payment, id=payment_id, user_id=user_id)


def payment_by_reference(connection: Connection, processor: str, reference: str) -> Row | None:
    """The payment whose object at the processor has this id."""
    return _one(connection, _by_reference, processor=processor, reference=reference)


def refund_by_id(connection: Connection, refund_id: str) -> Row | None:
    """The refund with this id."""
    return _one(connection, _refund, id=refund_id)


def key_by_id(connection: Connection, key_row: str) -> Row | None:
    """The idempotency key's row."""
    return _one(connection, _key, id=key_row)
