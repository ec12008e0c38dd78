"""The state tables of a payout and of an attempt. Pure.

A state changes only along its table. Late and repeated news are listed; what is not listed
raises :class:`tidegate.errors.NotInTable`. The diagram in ``docs/states.md`` is drawn from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from tidegate.errors import NotInTable

__all__ = [
    "ATTEMPT_TRANSITIONS",
    "CLOSED_ATTEMPT",
    "ENDED",
    "ENDED_UNPAID",
    "TRANSITIONS",
    "AttemptEvent",
    "AttemptState",
    "Event",
    "State",
    "after",
    "attempt_after",
    "public_status",
]


class State(StrEnum):
    """Where a payout stands."""

    PENDING = "pending"  # offered, nothing promised
    ACCEPTING = "accepting"  # float reserved, accept may have been sent; the clock never ends this
    ACCEPTED = "accepted"  # ours to pay, nothing sent to a PSP
    PROCESSING = "processing"  # an attempt may have left the node
    HELD = "held"  # waits for a person
    PAID = "paid"  # the PSP says paid; the aggregator is to be told
    FULFILLED = "fulfilled"  # told, and it took it
    DECLINED = "declined"
    EXPIRED = "expired"
    CANCELLED = "cancelled"  # accepted, given up, no transfer was ever created
    FAILED = "failed"  # accepted, a transfer was created and failed for certain


class Event(StrEnum):
    """What happens to a payout."""

    RESERVED = "reserved"  # policy passed, float set aside
    REFUSED = "refused"  # policy says no
    LAPSED = "lapsed"  # the offer's time is over before accept was sent
    ACCEPTED = "accepted"  # the aggregator gave it to us
    NOT_OURS = "not_ours"  # proven: it went elsewhere
    FOUND_OURS = "found_ours"  # an ownership check shows an accept of ours took effect
    DISPATCHED = "dispatched"  # an attempt is about to be sent
    PAID = "paid"
    WITHDRAWN = "withdrawn"  # given up; every attempt was refused before creation or never left
    GAVE_UP = "gave_up"  # given up after a transfer failed for certain
    HELD = "held"  # a person has to decide
    RESUMED = "resumed"  # the person said: go on
    REPORTED = "reported"  # the aggregator's answer is conclusive
    REPORT_REFUSED = "report_refused"  # conclusive, but it does not take it: a case
    OFFERED_AGAIN = "offered_again"
    PAID_LATE = "paid_late"  # a transfer that had failed for certain was paid after all
    REVERSED = "reversed"  # the money came back after it was paid


class AttemptState(StrEnum):
    """Where one transfer at one PSP stands."""

    PREPARED = "prepared"  # written down; proven that no byte left
    SENDING = "sending"  # about to be sent, or sent: whoever finds it looks up
    UNKNOWN = "unknown"
    PENDING = "pending"  # the PSP has it
    COOLING = "cooling"  # failed with a reason that may still turn into success
    HELD = "held"  # waits for a person
    PAID = "paid"
    REVERSED = "reversed"
    REJECTED = "rejected"  # refused before creation
    FAILED = "failed"  # failed for certain
    WITHDRAWN = "withdrawn"  # given up before it was sent


class AttemptEvent(StrEnum):
    """What happens to an attempt."""

    SENT = "sent"  # the intention to send is committed
    NOT_SENT = "not_sent"
    UNCLEAR = "unclear"
    TAKEN = "taken"
    REFUSED = "refused"
    FAILED_AMBIGUOUSLY = "failed_ambiguously"
    FAILED = "failed"
    PAID = "paid"
    HELD = "held"
    REVERSED = "reversed"
    WITHDRAWN = "withdrawn"
    RULED_UNPAID = "ruled_unpaid"  # a person ends what was held, on what the PSP said just now


# A round that ended like this paid nobody: the same order may be offered again (A3).
ENDED_UNPAID = frozenset({State.DECLINED, State.EXPIRED, State.CANCELLED, State.FAILED})

# Nothing more is expected to happen in this round.
ENDED = ENDED_UNPAID | {State.FULFILLED}

# At most one attempt of a payout may be in any state but these (a partial unique index).
CLOSED_ATTEMPT = frozenset({AttemptState.REJECTED, AttemptState.FAILED, AttemptState.WITHDRAWN})

TRANSITIONS: Mapping[tuple[State, Event], State] = {
    (State.PENDING, Event.RESERVED): State.ACCEPTING,
    (State.PENDING, Event.REFUSED): State.DECLINED,
    (State.PENDING, Event.LAPSED): State.EXPIRED,
    (State.PENDING, Event.PAID_LATE): State.PAID,
    (State.ACCEPTING, Event.ACCEPTED): State.ACCEPTED,
    (State.ACCEPTING, Event.NOT_OURS): State.EXPIRED,
    (State.ACCEPTING, Event.LAPSED): State.EXPIRED,
    (State.ACCEPTING, Event.HELD): State.HELD,
    (State.ACCEPTING, Event.PAID_LATE): State.HELD,
    (State.ACCEPTED, Event.DISPATCHED): State.PROCESSING,
    (State.ACCEPTED, Event.WITHDRAWN): State.CANCELLED,
    (State.ACCEPTED, Event.HELD): State.HELD,
    (State.ACCEPTED, Event.PAID_LATE): State.PAID,
    (State.ACCEPTED, Event.NOT_OURS): State.EXPIRED,  # asked again before a late first payment
    (State.PROCESSING, Event.DISPATCHED): State.PROCESSING,  # another PSP, after certain failure
    (State.PROCESSING, Event.PAID): State.PAID,
    (State.PROCESSING, Event.WITHDRAWN): State.CANCELLED,
    (State.PROCESSING, Event.GAVE_UP): State.FAILED,
    (State.PROCESSING, Event.NOT_OURS): State.EXPIRED,  # asked again; no transfer ever left
    (State.PROCESSING, Event.HELD): State.HELD,
    (State.PROCESSING, Event.PAID_LATE): State.HELD,
    (State.HELD, Event.HELD): State.HELD,  # a second reason
    (State.HELD, Event.PAID): State.PAID,
    (State.HELD, Event.PAID_LATE): State.HELD,
    (State.HELD, Event.GAVE_UP): State.FAILED,
    (State.HELD, Event.WITHDRAWN): State.CANCELLED,
    (State.HELD, Event.NOT_OURS): State.EXPIRED,
    (State.HELD, Event.RESUMED): State.ACCEPTED,
    (State.PAID, Event.REPORTED): State.FULFILLED,
    (State.PAID, Event.REPORT_REFUSED): State.PAID,
    (State.PAID, Event.OFFERED_AGAIN): State.PAID,
    (State.PAID, Event.PAID_LATE): State.PAID,
    (State.PAID, Event.REVERSED): State.PAID,
    (State.FULFILLED, Event.OFFERED_AGAIN): State.PAID,  # the success is reported again
    (State.FULFILLED, Event.PAID_LATE): State.FULFILLED,
    (State.FULFILLED, Event.REVERSED): State.FULFILLED,
    (State.DECLINED, Event.OFFERED_AGAIN): State.PENDING,
    (State.EXPIRED, Event.OFFERED_AGAIN): State.PENDING,
    (State.CANCELLED, Event.OFFERED_AGAIN): State.PENDING,
    (State.FAILED, Event.OFFERED_AGAIN): State.PENDING,
    (State.DECLINED, Event.FOUND_OURS): State.ACCEPTING,
    (State.EXPIRED, Event.FOUND_OURS): State.ACCEPTING,
    (State.DECLINED, Event.REPORTED): State.DECLINED,
    (State.CANCELLED, Event.REPORTED): State.CANCELLED,
    (State.FAILED, Event.REPORTED): State.FAILED,
    (State.CANCELLED, Event.REPORT_REFUSED): State.CANCELLED,
    (State.FAILED, Event.REPORT_REFUSED): State.FAILED,
    (State.DECLINED, Event.PAID_LATE): State.PAID,
    (State.EXPIRED, Event.PAID_LATE): State.PAID,
    (State.CANCELLED, Event.PAID_LATE): State.PAID,
    (State.FAILED, Event.PAID_LATE): State.PAID,
}

_S, _E = AttemptState, AttemptEvent

ATTEMPT_TRANSITIONS: Mapping[tuple[AttemptState, AttemptEvent], AttemptState] = {
    (_S.PREPARED, _E.SENT): _S.SENDING,
    (_S.PREPARED, _E.WITHDRAWN): _S.WITHDRAWN,
    # A PSP that knows what we proved unsent: its word is taken.
    (_S.PREPARED, _E.UNCLEAR): _S.PREPARED,
    (_S.PREPARED, _E.TAKEN): _S.PENDING,
    (_S.PREPARED, _E.FAILED): _S.FAILED,
    (_S.PREPARED, _E.FAILED_AMBIGUOUSLY): _S.COOLING,
    (_S.PREPARED, _E.PAID): _S.PAID,
    (_S.PREPARED, _E.HELD): _S.HELD,
    (_S.SENDING, _E.NOT_SENT): _S.PREPARED,
    (_S.SENDING, _E.UNCLEAR): _S.UNKNOWN,
    (_S.SENDING, _E.TAKEN): _S.PENDING,
    (_S.SENDING, _E.REFUSED): _S.REJECTED,
    (_S.SENDING, _E.FAILED): _S.FAILED,
    (_S.SENDING, _E.FAILED_AMBIGUOUSLY): _S.COOLING,
    (_S.SENDING, _E.PAID): _S.PAID,
    (_S.SENDING, _E.HELD): _S.HELD,
    (_S.UNKNOWN, _E.SENT): _S.SENDING,  # the same bytes again, after the not-found window
    (_S.UNKNOWN, _E.UNCLEAR): _S.UNKNOWN,
    (_S.UNKNOWN, _E.TAKEN): _S.PENDING,
    (_S.UNKNOWN, _E.FAILED): _S.FAILED,
    (_S.UNKNOWN, _E.FAILED_AMBIGUOUSLY): _S.COOLING,
    (_S.UNKNOWN, _E.PAID): _S.PAID,
    (_S.UNKNOWN, _E.HELD): _S.HELD,
    (_S.PENDING, _E.TAKEN): _S.PENDING,
    (_S.PENDING, _E.UNCLEAR): _S.PENDING,  # a look-up that failed takes nothing back
    (_S.PENDING, _E.FAILED): _S.FAILED,
    (_S.PENDING, _E.FAILED_AMBIGUOUSLY): _S.COOLING,
    (_S.PENDING, _E.PAID): _S.PAID,
    (_S.PENDING, _E.HELD): _S.HELD,
    (_S.COOLING, _E.TAKEN): _S.PENDING,
    (_S.COOLING, _E.UNCLEAR): _S.COOLING,
    (_S.COOLING, _E.FAILED_AMBIGUOUSLY): _S.COOLING,
    (_S.COOLING, _E.FAILED): _S.FAILED,  # cooled off, still failed, the debit is back
    (_S.COOLING, _E.PAID): _S.PAID,
    (_S.COOLING, _E.HELD): _S.HELD,
    (_S.HELD, _E.HELD): _S.HELD,
    (_S.HELD, _E.UNCLEAR): _S.HELD,
    (_S.HELD, _E.TAKEN): _S.HELD,
    (_S.HELD, _E.FAILED_AMBIGUOUSLY): _S.HELD,
    (_S.HELD, _E.FAILED): _S.HELD,  # what was held for a person, a person ends
    (_S.HELD, _E.RULED_UNPAID): _S.FAILED,
    (_S.HELD, _E.PAID): _S.PAID,
    (_S.PAID, _E.PAID): _S.PAID,
    (_S.PAID, _E.TAKEN): _S.PAID,  # an older look-up, late
    (_S.PAID, _E.UNCLEAR): _S.PAID,
    (_S.PAID, _E.HELD): _S.PAID,
    (_S.PAID, _E.FAILED): _S.REVERSED,
    (_S.PAID, _E.FAILED_AMBIGUOUSLY): _S.REVERSED,
    (_S.PAID, _E.REVERSED): _S.REVERSED,
    (_S.REVERSED, _E.FAILED): _S.REVERSED,
    (_S.REVERSED, _E.FAILED_AMBIGUOUSLY): _S.REVERSED,
    (_S.REVERSED, _E.REVERSED): _S.REVERSED,
    (_S.REVERSED, _E.PAID): _S.REVERSED,  # contradicting: a case, nothing more by machine
    (_S.REVERSED, _E.TAKEN): _S.REVERSED,
    (_S.REVERSED, _E.UNCLEAR): _S.REVERSED,
    (_S.REVERSED, _E.HELD): _S.REVERSED,
    (_S.FAILED, _E.FAILED): _S.FAILED,
    (_S.FAILED, _E.FAILED_AMBIGUOUSLY): _S.FAILED,
    (_S.FAILED, _E.TAKEN): _S.FAILED,
    (_S.FAILED, _E.UNCLEAR): _S.FAILED,
    (_S.FAILED, _E.HELD): _S.FAILED,
    (_S.FAILED, _E.PAID): _S.FAILED,  # the payout hears of it as ``paid_late``
    (_S.REJECTED, _E.UNCLEAR): _S.REJECTED,
    (_S.REJECTED, _E.TAKEN): _S.REJECTED,
    (_S.REJECTED, _E.FAILED): _S.REJECTED,
    (_S.REJECTED, _E.FAILED_AMBIGUOUSLY): _S.REJECTED,
    (_S.REJECTED, _E.HELD): _S.REJECTED,
    (_S.REJECTED, _E.PAID): _S.REJECTED,  # likewise
    (_S.WITHDRAWN, _E.UNCLEAR): _S.WITHDRAWN,
    (_S.WITHDRAWN, _E.TAKEN): _S.WITHDRAWN,
    (_S.WITHDRAWN, _E.FAILED): _S.WITHDRAWN,
    (_S.WITHDRAWN, _E.FAILED_AMBIGUOUSLY): _S.WITHDRAWN,
    (_S.WITHDRAWN, _E.HELD): _S.WITHDRAWN,
    (_S.WITHDRAWN, _E.PAID): _S.WITHDRAWN,  # likewise
}


def after(state: State, event: Event) -> State:
    """The state after ``event``. Raises ``NotInTable``."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise NotInTable(f"A payout that is {state} cannot be {event}.") from None


def attempt_after(state: AttemptState, event: AttemptEvent) -> AttemptState:
    """The attempt's state after ``event``. Raises ``NotInTable``."""
    try:
        return ATTEMPT_TRANSITIONS[state, event]
    except KeyError:
        raise NotInTable(f"An attempt that is {state} cannot be {event}.") from None


def public_status(state: State) -> str:
    """What the node's own answers call the state (DESIGN 5)."""
    match state:
        case State.PENDING | State.EXPIRED:
            return "pending"
        case State.ACCEPTING | State.ACCEPTED:
            return "accepted"
        case State.PROCESSING | State.HELD | State.PAID | State.FAILED:
            return "processing"
        case State.FULFILLED:
            return "fulfilled"
        case State.DECLINED:
            return "declined"
        case State.CANCELLED:
            return "cancelled"
