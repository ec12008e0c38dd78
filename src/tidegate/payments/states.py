"""The state tables of a payment, a refund and a dispute. Pure.

A state changes only along its table. Late and repeated news are listed; what is not listed
raises :class:`tidegate.errors.NotInTable`. The diagrams in ``docs/payment-states.md`` are drawn
from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from tidegate.errors import NotInTable

__all__ = [
    "DISPUTE_TRANSITIONS",
    "ENDED",
    "ON_THE_WAY",
    "REFUND_TRANSITIONS",
    "TRANSITIONS",
    "WAITING",
    "DisputeEvent",
    "DisputeState",
    "Event",
    "RefundEvent",
    "RefundState",
    "State",
    "after",
    "dispute_after",
    "public_status",
    "refund_after",
]


class State(StrEnum):
    """Where a payment stands."""

    CREATED = "created"  # here; the processor's object may have been asked for: no money can move
    CONFIRMING = "confirming"  # the object is known and to be confirmed, or the outcome is unknown
    REQUIRES_PAYMENT_METHOD = "requires_payment_method"  # the client brings one to the processor
    REQUIRES_ACTION = "requires_action"  # the client must act
    PROCESSING = "processing"  # the processor works on it
    REQUIRES_CAPTURE = "requires_capture"  # authorised
    CAPTURING = "capturing"  # to be captured, or the outcome is unknown
    CANCELING = "canceling"  # to be given up at the processor, or the outcome is unknown
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


class Event(StrEnum):
    """What happens to a payment."""

    BOUND = "bound"  # the processor's object is known; it is about to be confirmed
    BOUND_BARE = "bound_bare"  # the object is known and waits for a payment method
    ACTION_NEEDED = "action_needed"
    TAKEN = "taken"  # the processor works on it
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    DECLINED = "declined"
    REFUSED = "refused"  # refused for certain, not by the card: nothing happened
    CANCELED = "canceled"
    UNCLEAR = "unclear"  # no news, or none that changes anything
    CAPTURE_ASKED = "capture_asked"
    CANCEL_ASKED = "cancel_asked"


class RefundState(StrEnum):
    """Where a refund stands."""

    ASKING = "asking"  # the amount is set aside; the processor is to be asked, or may have been
    PENDING = "pending"  # the processor has it
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class RefundEvent(StrEnum):
    """What happens to a refund."""

    TAKEN = "taken"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNCLEAR = "unclear"


class DisputeState(StrEnum):
    """Where a dispute stands."""

    NEW = "new"  # heard of; the processor is to be asked about it
    INQUIRY = "inquiry"  # a question; no money moved
    OPEN = "open"  # the money is gone for now
    WON = "won"  # it is back
    LOST = "lost"  # it stays gone
    CLOSED = "closed"  # the question ended without a dispute, or the dispute was prevented


class DisputeEvent(StrEnum):
    """What the processor tells of a dispute."""

    ASKED = "asked"
    OPENED = "opened"
    WON = "won"
    LOST = "lost"
    CLOSED = "closed"


# Nothing more is expected. A captured payment lives on through refunds and disputes.
ENDED = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELED})

# The client is to do something; nothing of ours is under way.
WAITING = frozenset({State.REQUIRES_PAYMENT_METHOD, State.REQUIRES_ACTION, State.REQUIRES_CAPTURE})

# The last step's call is about to be made, or nothing is known of it.
ON_THE_WAY = frozenset({State.CREATED, State.CONFIRMING, State.CAPTURING, State.CANCELING})

_S, _E = State, Event

TRANSITIONS: Mapping[tuple[State, Event], State] = {
    (_S.CREATED, _E.BOUND): _S.CONFIRMING,
    (_S.CREATED, _E.BOUND_BARE): _S.REQUIRES_PAYMENT_METHOD,
    (_S.CREATED, _E.REFUSED): _S.FAILED,
    (_S.CREATED, _E.UNCLEAR): _S.CREATED,
    # No object is known, and an object that is not can never be confirmed by us.
    (_S.CREATED, _E.CANCEL_ASKED): _S.CANCELED,
    (_S.CONFIRMING, _E.UNCLEAR): _S.CONFIRMING,
    (_S.CONFIRMING, _E.ACTION_NEEDED): _S.REQUIRES_ACTION,
    (_S.CONFIRMING, _E.TAKEN): _S.PROCESSING,
    (_S.CONFIRMING, _E.AUTHORIZED): _S.REQUIRES_CAPTURE,
    (_S.CONFIRMING, _E.CAPTURED): _S.SUCCEEDED,
    (_S.CONFIRMING, _E.DECLINED): _S.FAILED,
    (_S.CONFIRMING, _E.REFUSED): _S.FAILED,
    (_S.CONFIRMING, _E.CANCELED): _S.CANCELED,
    (_S.CONFIRMING, _E.CANCEL_ASKED): _S.CANCELING,
    (_S.REQUIRES_PAYMENT_METHOD, _E.UNCLEAR): _S.REQUIRES_PAYMENT_METHOD,
    (_S.REQUIRES_PAYMENT_METHOD, _E.ACTION_NEEDED): _S.REQUIRES_ACTION,
    (_S.REQUIRES_PAYMENT_METHOD, _E.TAKEN): _S.PROCESSING,
    (_S.REQUIRES_PAYMENT_METHOD, _E.AUTHORIZED): _S.REQUIRES_CAPTURE,
    (_S.REQUIRES_PAYMENT_METHOD, _E.CAPTURED): _S.SUCCEEDED,
    # The client brought this card to the processor itself, and may bring another.
    (_S.REQUIRES_PAYMENT_METHOD, _E.DECLINED): _S.REQUIRES_PAYMENT_METHOD,
    (_S.REQUIRES_PAYMENT_METHOD, _E.CANCELED): _S.CANCELED,
    (_S.REQUIRES_PAYMENT_METHOD, _E.CANCEL_ASKED): _S.CANCELING,
    (_S.REQUIRES_ACTION, _E.UNCLEAR): _S.REQUIRES_ACTION,
    (_S.REQUIRES_ACTION, _E.ACTION_NEEDED): _S.REQUIRES_ACTION,
    (_S.REQUIRES_ACTION, _E.TAKEN): _S.PROCESSING,
    (_S.REQUIRES_ACTION, _E.AUTHORIZED): _S.REQUIRES_CAPTURE,
    (_S.REQUIRES_ACTION, _E.CAPTURED): _S.SUCCEEDED,
    (_S.REQUIRES_ACTION, _E.DECLINED): _S.FAILED,
    (_S.REQUIRES_ACTION, _E.CANCELED): _S.CANCELED,
    (_S.REQUIRES_ACTION, _E.CANCEL_ASKED): _S.CANCELING,
    (_S.PROCESSING, _E.UNCLEAR): _S.PROCESSING,
    (_S.PROCESSING, _E.ACTION_NEEDED): _S.REQUIRES_ACTION,
    (_S.PROCESSING, _E.TAKEN): _S.PROCESSING,
    (_S.PROCESSING, _E.AUTHORIZED): _S.REQUIRES_CAPTURE,
    (_S.PROCESSING, _E.CAPTURED): _S.SUCCEEDED,
    (_S.PROCESSING, _E.DECLINED): _S.FAILED,
    (_S.PROCESSING, _E.CANCELED): _S.CANCELED,
    (_S.PROCESSING, _E.CANCEL_ASKED): _S.CANCELING,
    (_S.REQUIRES_CAPTURE, _E.UNCLEAR): _S.REQUIRES_CAPTURE,
    (_S.REQUIRES_CAPTURE, _E.AUTHORIZED): _S.REQUIRES_CAPTURE,
    # Captured at the processor's own page, and perhaps not through yet.
    (_S.REQUIRES_CAPTURE, _E.TAKEN): _S.REQUIRES_CAPTURE,
    (_S.REQUIRES_CAPTURE, _E.CAPTURED): _S.SUCCEEDED,
    (_S.REQUIRES_CAPTURE, _E.DECLINED): _S.FAILED,
    (_S.REQUIRES_CAPTURE, _E.ACTION_NEEDED): _S.REQUIRES_ACTION,
    (_S.REQUIRES_CAPTURE, _E.CANCELED): _S.CANCELED,  # the authorisation expired
    (_S.REQUIRES_CAPTURE, _E.CAPTURE_ASKED): _S.CAPTURING,
    (_S.REQUIRES_CAPTURE, _E.CANCEL_ASKED): _S.CANCELING,
    (_S.CAPTURING, _E.UNCLEAR): _S.CAPTURING,
    (_S.CAPTURING, _E.AUTHORIZED): _S.CAPTURING,  # not captured so far
    (_S.CAPTURING, _E.TAKEN): _S.CAPTURING,
    (_S.CAPTURING, _E.ACTION_NEEDED): _S.CAPTURING,
    (_S.CAPTURING, _E.CAPTURED): _S.SUCCEEDED,
    (_S.CAPTURING, _E.REFUSED): _S.REQUIRES_CAPTURE,
    (_S.CAPTURING, _E.DECLINED): _S.FAILED,
    (_S.CAPTURING, _E.CANCELED): _S.CANCELED,
    (_S.CANCELING, _E.UNCLEAR): _S.CANCELING,
    (_S.CANCELING, _E.CANCELED): _S.CANCELED,
    (_S.CANCELING, _E.CAPTURED): _S.SUCCEEDED,  # too late
    (_S.CANCELING, _E.AUTHORIZED): _S.CANCELING,  # not canceled so far
    (_S.CANCELING, _E.ACTION_NEEDED): _S.CANCELING,
    (_S.CANCELING, _E.TAKEN): _S.CANCELING,
    (_S.CANCELING, _E.DECLINED): _S.CANCELING,
    (_S.CANCELING, _E.REFUSED): _S.PROCESSING,  # it cannot be canceled as it stands
    (_S.SUCCEEDED, _E.UNCLEAR): _S.SUCCEEDED,
    (_S.SUCCEEDED, _E.CAPTURED): _S.SUCCEEDED,
    (_S.FAILED, _E.UNCLEAR): _S.FAILED,
    (_S.FAILED, _E.DECLINED): _S.FAILED,
    (_S.FAILED, _E.REFUSED): _S.FAILED,
    (_S.FAILED, _E.CANCELED): _S.FAILED,  # we closed it there
    (_S.FAILED, _E.ACTION_NEEDED): _S.FAILED,  # the client tries again: it is closed there
    (_S.FAILED, _E.TAKEN): _S.FAILED,
    (_S.FAILED, _E.AUTHORIZED): _S.FAILED,
    (_S.FAILED, _E.CAPTURED): _S.SUCCEEDED,  # a fact, whatever was said before: a case
    (_S.CANCELED, _E.UNCLEAR): _S.CANCELED,
    (_S.CANCELED, _E.CANCELED): _S.CANCELED,
    (_S.CANCELED, _E.CAPTURED): _S.SUCCEEDED,  # likewise
}

_R, _N = RefundState, RefundEvent

REFUND_TRANSITIONS: Mapping[tuple[RefundState, RefundEvent], RefundState] = {
    (_R.ASKING, _N.UNCLEAR): _R.ASKING,
    (_R.ASKING, _N.TAKEN): _R.PENDING,
    (_R.ASKING, _N.SUCCEEDED): _R.SUCCEEDED,
    (_R.ASKING, _N.FAILED): _R.FAILED,
    (_R.PENDING, _N.UNCLEAR): _R.PENDING,
    (_R.PENDING, _N.TAKEN): _R.PENDING,
    (_R.PENDING, _N.SUCCEEDED): _R.SUCCEEDED,
    (_R.PENDING, _N.FAILED): _R.FAILED,
    (_R.SUCCEEDED, _N.UNCLEAR): _R.SUCCEEDED,
    (_R.SUCCEEDED, _N.TAKEN): _R.SUCCEEDED,
    (_R.SUCCEEDED, _N.SUCCEEDED): _R.SUCCEEDED,
    (_R.SUCCEEDED, _N.FAILED): _R.FAILED,  # the recipient's bank sent it back (processor.md 8)
    (_R.FAILED, _N.UNCLEAR): _R.FAILED,
    # It is there after all: asked for until it ends, and booked if the money left.
    (_R.FAILED, _N.TAKEN): _R.FAILED,
    (_R.FAILED, _N.SUCCEEDED): _R.SUCCEEDED,
    (_R.FAILED, _N.FAILED): _R.FAILED,
}


_D, _F = DisputeState, DisputeEvent

DISPUTE_TRANSITIONS: Mapping[tuple[DisputeState, DisputeEvent], DisputeState] = {
    (_D.NEW, _F.ASKED): _D.INQUIRY,
    (_D.NEW, _F.OPENED): _D.OPEN,
    (_D.NEW, _F.WON): _D.WON,
    (_D.NEW, _F.LOST): _D.LOST,
    (_D.NEW, _F.CLOSED): _D.CLOSED,
    (_D.INQUIRY, _F.ASKED): _D.INQUIRY,
    (_D.INQUIRY, _F.OPENED): _D.OPEN,
    (_D.INQUIRY, _F.WON): _D.WON,
    (_D.INQUIRY, _F.LOST): _D.LOST,
    (_D.INQUIRY, _F.CLOSED): _D.CLOSED,
    (_D.OPEN, _F.OPENED): _D.OPEN,
    (_D.OPEN, _F.WON): _D.WON,
    (_D.OPEN, _F.LOST): _D.LOST,
    (_D.WON, _F.WON): _D.WON,
    (_D.LOST, _F.OPENED): _D.LOST,  # the loss is fought: it stands until it is won
    (_D.LOST, _F.LOST): _D.LOST,
    (_D.LOST, _F.WON): _D.WON,  # the cardholder's bank gave it back after all
    (_D.CLOSED, _F.CLOSED): _D.CLOSED,
    (_D.CLOSED, _F.OPENED): _D.OPEN,
    (_D.CLOSED, _F.WON): _D.WON,
    (_D.CLOSED, _F.LOST): _D.LOST,
}


def after(state: State, event: Event) -> State:
    """The state after ``event``. Raises ``NotInTable``."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise NotInTable(f"A payment that is {state} cannot be {event}.") from None


def refund_after(state: RefundState, event: RefundEvent) -> RefundState:
    """The refund's state after ``event``. Raises ``NotInTable``."""
    try:
        return REFUND_TRANSITIONS[state, event]
    except KeyError:
        raise NotInTable(f"A refund that is {state} cannot be {event}.") from None


def dispute_after(state: DisputeState, event: DisputeEvent) -> DisputeState:
    """The dispute's state after ``event``. Raises ``NotInTable``."""
    try:
        return DISPUTE_TRANSITIONS[state, event]
    except KeyError:
        raise NotInTable(f"A dispute that is {state} cannot be {event}.") from None


def public_status(state: State) -> str:
    """What the API calls the state (payments.md, "Payments")."""
    match state:
        case State.CREATED | State.CONFIRMING | State.CAPTURING | State.CANCELING:
            return "processing"
        case _:
            return state.value
