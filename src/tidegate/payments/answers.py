"""What a request is answered: an HTTP status, an error's code where it is one, and the object.

An answer is data, so that it can be stored with the outcome it tells (payments.md, "Idempotency")
by whoever finds that outcome: the request, a worker, or a retry. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tidegate.errors import (
    AmountExceedsRefundable,
    AmountNotAllowed,
    CardDeclined,
    ProcessorFailed,
    TidegateError,
    WrongState,
)
from tidegate.payments.states import ON_THE_WAY, Event, RefundState, State
from tidegate.payments.view import payment_view, refund_view

__all__ = ["REFUSALS", "Answer", "answer_of", "refund_answer", "settled_answer"]

Row = Mapping[str, Any]


REFUSALS: Final[Mapping[type[TidegateError], int]] = {
    WrongState: 409,
    AmountExceedsRefundable: 409,
    AmountNotAllowed: 422,
}
"""Refusals about a payment that is there, and their HTTP status: final for the request."""


@dataclass(frozen=True, slots=True)
class Answer:
    """``body`` is the payment or refund, or the ``detail`` of a refusal. ``replayed``: it is the
    stored answer of an earlier request with the same key. Only what is final is stored."""

    status: int
    code: str | None
    body: Mapping[str, Any]
    replayed: bool = False


def answer_of(before: State, event: Event, row: Row) -> Answer | None:
    """The answer to whoever asked for the step that ``before`` was at; ``None``: not yet.

    ``row`` is the payment after ``event``.
    """
    state, body = State(row["state"]), payment_view(row)
    if state is before and state in ON_THE_WAY:
        return None
    if before is State.CANCELING:
        if state is State.CANCELED:
            return Answer(200, None, body)
        return Answer(409, WrongState.code, body)
    if event is Event.REFUSED:
        return Answer(424, ProcessorFailed.code, body)
    if state is State.FAILED:
        return Answer(402, CardDeclined.code, body)
    if before is State.CAPTURING:
        if state is State.SUCCEEDED:
            return Answer(200, None, body)
        return Answer(409, WrongState.code, body)
    if state is State.CONFIRMING:
        return None
    return Answer(201, None, body)


def settled_answer(row: Row) -> Answer:
    """The answer to whoever created a payment that was settled by something else meanwhile."""
    body = payment_view(row)
    if State(row["state"]) is not State.FAILED:
        return Answer(201, None, body)
    if row["decline_code"] is None and row["failure_code"] != CardDeclined.code:
        return Answer(424, ProcessorFailed.code, body)
    return Answer(402, CardDeclined.code, body)


def refund_answer(row: Row, *, refused: bool) -> Answer | None:
    """The answer to whoever asked for the refund; ``None``: not known yet."""
    state = RefundState(row["state"])
    if state is RefundState.ASKING:
        return None
    if refused:
        return Answer(424, ProcessorFailed.code, refund_view(row))
    return Answer(201, None, refund_view(row))
