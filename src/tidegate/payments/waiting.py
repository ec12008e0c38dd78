"""Why a payment waits, for what, and what happens next and when. Pure: rows in, sentences out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tidegate.payments.states import State
from tidegate.work.waiting import Waiting, steps_of

__all__ = ["waiting"]

Row = Mapping[str, Any]

_NODE: Final = "the service"
_CLIENT: Final = "the client"
_NOTHING: Final = "nothing"
_PERSON: Final = "a person"
_HELD: Final = frozenset({"payment_object_missing", "payment_mismatch", "processor_key_conflict"})

_VERBS: Final = {
    "pay": "go on with the payment at the processor",
    "refund": "ask the processor how the refund stands",
    "dispute": "ask the processor how the dispute stands",
}


def _what(kind: str) -> str:
    return _VERBS.get(kind, f"do {kind!r}")


def waiting(
    payment: Row,
    refunds: Sequence[Row],
    disputes: Sequence[Row],
    open_cases: Sequence[Row],
    now_ms: int,
) -> Waiting:
    """Say what ``payment`` waits for; the other rows are all that belong to it."""
    steps = steps_of((payment, *refunds, *disputes), now_ms, _what)
    on, why = _of_state(payment)
    if any(case["kind"] in _HELD for case in open_cases):
        on = _PERSON
    open_refunds = sum(row["state"] in {"asking", "pending"} for row in refunds)
    if open_refunds:
        why += f" Refunds that have not ended: {open_refunds}."
        on = payment["processor"] if on == _NOTHING else on
    if open_cases:
        why += f" Open cases: {', '.join(str(case['id']) for case in open_cases)}."
    late = [step for step in steps if step.late_ms > 10_000]
    if late:
        why += (
            f" To {late[0].what} has been due for {late[0].late_ms // 1000} s and no worker took "
            "it: is `tidegate serve` running?"
        )
    return Waiting(on, why, steps)


def _of_state(row: Row) -> tuple[str, str]:
    processor = str(row["processor"])
    asked = f" Asked {row['lookups']} times so far."
    unsent = row["sent_at"] is None
    match State(row["state"]):
        case State.CREATED:
            return processor, (
                "The processor's object is not known yet; without it no money can move." + asked
            )
        case State.CONFIRMING | State.CAPTURING | State.CANCELING if unsent:
            return _NODE, "The call provably never reached the processor; it is made again."
        case State.CONFIRMING:
            return processor, f"Whether the payment was confirmed is unknown.{asked}"
        case State.CAPTURING:
            return processor, f"Whether the payment was captured is unknown.{asked}"
        case State.CANCELING:
            return processor, f"Whether the payment was canceled is unknown.{asked}"
        case State.REQUIRES_PAYMENT_METHOD:
            return _CLIENT, "The client must bring a payment method to the processor."
        case State.REQUIRES_ACTION:
            return _CLIENT, "The client must act, such as authenticate with the bank."
        case State.REQUIRES_CAPTURE:
            return _CLIENT, "Authorised; it waits to be captured or canceled."
        case State.PROCESSING:
            return processor, f"The processor works on it.{asked}"
        case State.SUCCEEDED if row["movement"] is None:
            return _NOTHING, "Succeeded; the processor's fee is not known yet."
        case State.SUCCEEDED:
            return _NOTHING, "Succeeded, and its fee is booked."
        case State.FAILED:
            return _NOTHING, f"Failed: {row['failure_message'] or row['failure_code']}"
        case State.CANCELED:
            return _NOTHING, "Canceled; nothing can be charged any more."
