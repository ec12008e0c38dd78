"""What an operator may do about a payment whose outcome is unknown: look again, or close it.

The truth about money is the processor's, so nobody can say here that a payment succeeded. Looking
makes rows due; the verbs of their kinds then ask and apply what they are told. Closing is for a
payment that the processor does not know, or has told nothing of for a day. It goes along the state
table as *refused*, and where an object is known it is canceled there too: should the processor say
after all that the money was taken, that is booked and a person is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select

from tidegate.cases.store import CloseCase, NoteAction
from tidegate.cases.tables import cases
from tidegate.clock import Clock, Randomness
from tidegate.db.committer import Operation, Unit
from tidegate.db.rows import DONE, Change, Next
from tidegate.errors import Conflict, NotFound, WrongState
from tidegate.payments import agenda, refund_outcome
from tidegate.payments.outcome import refused
from tidegate.payments.states import TRANSITIONS, Event, RefundState, State, public_status
from tidegate.payments.store import Journal, Row, payment_by_id
from tidegate.payments.tables import payments, refunds

__all__ = ["CLOSED_CODE", "Doubt", "close_as_failed", "look_again", "read_doubt"]

CLOSED_CODE: Final = "closed_by_operator"
"""The failure code of a payment that was closed here."""

_CLOSED_MESSAGE = "The outcome of this payment could not be found out; it was closed unpaid."
_MISSING = "payment_object_missing"
_CASES = (_MISSING, "payment_unknown")
_DAY_MS = 86_400_000
_OPEN_REFUNDS = (RefundState.ASKING.value, RefundState.PENDING.value)

_refunds = select(refunds).where(
    refunds.c.payment_id == bindparam("payment_id"), refunds.c.state.in_(_OPEN_REFUNDS)
)
_cases = select(cases).where(
    cases.c.subject == bindparam("payment_id"),
    cases.c.state == "open",
    cases.c.kind.in_(_CASES),
)


@dataclass(frozen=True, slots=True)
class Doubt:
    """What the decision rests on: the payment's row, its refunds that have not ended, and the open
    cases that say its outcome is unknown or its object missing."""

    payment: Row
    refunds: Sequence[Row]
    cases: Sequence[Row]


def read_doubt(connection: Connection, payment_id: str) -> Doubt:
    """Read it. Raises ``NotFound``."""
    payment = payment_by_id(connection, payment_id)
    if payment is None:
        raise NotFound(f"There is no payment {payment_id}.")
    asked = {"payment_id": payment_id}
    return Doubt(
        payment,
        [dict(row) for row in connection.execute(_refunds, asked).mappings()],
        [dict(row) for row in connection.execute(_cases, asked).mappings()],
    )


def look_again(doubt: Doubt, *, by: str, origin: str, reason: str) -> Unit:
    """Ask the processor again at once, for the payment and its refunds that have not ended.

    Changes no state by itself. Raises ``WrongState`` when there is nothing to look at there.
    """
    row = doubt.payment
    if row["processor_reference"] is None and State(row["state"]) is not State.CREATED:
        raise WrongState("The processor never had an object for this payment: nothing is there.")
    prompts: list[Operation] = [Change(payments, row["id"], next=Next(agenda.KIND))]
    prompts += [
        Change(refunds, each["id"], next=Next(refund_outcome.KIND)) for each in doubt.refunds
    ]
    note = NoteAction(
        by,
        origin,
        "payment.look",
        row["id"],
        reason,
        {"state": row["state"], "due_at": row["due_at"]},
        {
            "state": row["state"],
            "due": agenda.KIND,
            "refunds": [each["id"] for each in doubt.refunds],
        },
    )
    return Unit([*prompts, note])


def close_as_failed(
    doubt: Doubt,
    clock: Clock,
    randomness: Randomness,
    *,
    by: str,
    origin: str,
    reason: str,
    evidence: str,
) -> Unit:
    """End the payment as failed, answer whoever waits for it, and close the cases about it.

    ``evidence`` says where it was looked up and what was found. Refused with ``WrongState`` when
    the state table has no such ending or nothing shows that the outcome is unknown, and with
    ``Conflict`` while somebody is at it; the unit raises ``Stale`` if it changes meanwhile.
    """
    row, now_ms = doubt.payment, clock.now_ms()
    before = State(row["state"])
    if TRANSITIONS.get((before, Event.REFUSED)) is not State.FAILED or before is State.FAILED:
        raise WrongState(
            f"A payment that is {public_status(before)} ({before}) cannot be closed as failed."
        )
    missing = _is_missing(doubt)
    if not missing and now_ms - row["updated_at"] < _DAY_MS:
        raise WrongState(
            "The processor has not said that it does not know this payment, and it is not a day "
            "old in this state: look again instead."
        )
    if (row["leased_until"] or 0) > now_ms:
        raise Conflict("The payment is being worked on at this moment: try again shortly.")
    journal = Journal(row, clock, randomness)
    refused(journal, CLOSED_CODE, _CLOSED_MESSAGE)
    journal.add(*(CloseCase(each["id"], by, reason) for each in doubt.cases))
    after: dict[str, Any] = {"state": journal.state.value, "evidence": evidence}
    journal.add(
        NoteAction(by, origin, "payment.close", row["id"], reason, {"state": before.value}, after)
    )
    # An object that may be there is canceled, so that nobody brings it to success later.
    gone = missing or row["processor_reference"] is None
    # A lease that somebody takes between the reading and the commit raises the fence.
    return journal.unit(fence=row["fence"], next=DONE if gone else Next(agenda.KIND))


def _is_missing(doubt: Doubt) -> bool:
    """The processor said that it does not know the object, since the payment is as it is."""
    since_ms = max(doubt.payment["updated_at"], doubt.payment["sent_at"] or 0)
    return any(
        each["kind"] == _MISSING and each["last_seen_at"] >= since_ms for each in doubt.cases
    )
