"""``docs/payment-states.md``: the state tables of payments, refunds and disputes, drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from tidegate.cli.pages.states import diagram, table
from tidegate.payments.states import (
    DISPUTE_TRANSITIONS,
    ENDED,
    REFUND_TRANSITIONS,
    TRANSITIONS,
    DisputeState,
    Event,
    RefundEvent,
    RefundState,
    State,
    public_status,
)

__all__ = ["payment_states_page"]

_INTRODUCTION = """\
# States of payments

A payment is one wish of a user to pay, with one object at the card processor; a refund gives a
part of it back; a dispute is the cardholder's objection. All change only along the tables below,
which are those of `src/tidegate/payments/states.py` (`TRANSITIONS`, `REFUND_TRANSITIONS`,
`DISPUTE_TRANSITIONS`). News that a table does not
list is refused (`not_in_table`) and shown to a person. This page is generated
(`python -m tidegate.cli.pages`).

Whatever is learnt of a payment (an answer, a look-up, a webhook) is a look at the processor's
object by its id, so the order in which news arrive makes no difference. While nothing is known of
the last step the payment shows `"outcome": "unknown"`: it is asked for after 5, 15 and 30 seconds,
1, 2, 5 and 10 minutes, then every 15 minutes; after a day it is also a case for a person. It is
never failed because time has passed. When the object shows no trace of a step for
`PAYMENT_SEND_AGAIN_AFTER`, the same call is made again with the same key, within 23 hours.

News that leave a state as it is are in the tables and not in the drawings.
"""

_STATES: Final[Mapping[State, str]] = {
    State.CREATED: "Here. The processor's object may have been asked for; no money can move.",
    State.CONFIRMING: "The object is known and is to be confirmed, or was and the outcome is "
    "unknown.",
    State.REQUIRES_PAYMENT_METHOD: "Waits for a method that the client brings to the processor.",
    State.REQUIRES_ACTION: "The client must act, as `next_action` says.",
    State.PROCESSING: "The processor works on it.",
    State.REQUIRES_CAPTURE: "Authorised.",
    State.CAPTURING: "To be captured, or was and the outcome is unknown.",
    State.CANCELING: "To be given up at the processor, or was and the outcome is unknown.",
    State.SUCCEEDED: "The money is taken.",
    State.FAILED: "Declined or refused; nothing was taken.",
    State.CANCELED: "Given up; nothing was taken.",
}

_EVENTS: Final[Mapping[Event, str]] = {
    Event.BOUND: "The object is known; it is about to be confirmed.",
    Event.BOUND_BARE: "The object is known and has no payment method yet.",
    Event.ACTION_NEEDED: "The client has to authenticate.",
    Event.TAKEN: "The processor works on it.",
    Event.AUTHORIZED: "The amount is held on the card.",
    Event.CAPTURED: "The amount, or a part of it, is taken. A fact, whatever was said before.",
    Event.DECLINED: "The card was declined.",
    Event.REFUSED: "Refused for certain, not by the card; nothing happened.",
    Event.CANCELED: "The object can never be paid any more.",
    Event.UNCLEAR: "No news, or none that changes anything.",
    Event.CAPTURE_ASKED: "Somebody asked for the capture.",
    Event.CANCEL_ASKED: "Somebody gave the payment up, or its client did nothing for a long time.",
}

_REFUND_STATES: Final[Mapping[RefundState, str]] = {
    RefundState.ASKING: "The amount is set aside; the processor is to be asked, or was and the "
    "outcome is unknown.",
    RefundState.PENDING: "The processor has it.",
    RefundState.SUCCEEDED: "The money left.",
    RefundState.FAILED: "The money did not arrive; it can be refunded again.",
}

_REFUND_EVENTS: Final[Mapping[RefundEvent, str]] = {
    RefundEvent.TAKEN: "The processor has it; its end is open.",
    RefundEvent.SUCCEEDED: "It left.",
    RefundEvent.FAILED: "Refused, or sent back by the cardholder's bank, even after it had left.",
    RefundEvent.UNCLEAR: "No news, or none that changes anything.",
}


_DISPUTE_STATES: Final[Mapping[DisputeState, str]] = {
    DisputeState.NEW: "Heard of; the processor is to be asked about it.",
    DisputeState.INQUIRY: "A question of the cardholder's bank; no money moved.",
    DisputeState.OPEN: "The money is gone for now.",
    DisputeState.WON: "The money is back.",
    DisputeState.LOST: "The money stays gone; the user's payments are less by it. So it is while "
    "the loss is fought.",
    DisputeState.CLOSED: "The question ended without a dispute, or the dispute was prevented.",
}


def payment_states_page() -> str:
    """The whole page."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield _INTRODUCTION
    yield "## Payments\n"
    yield from diagram(TRANSITIONS, State.CREATED)
    yield "| state | meaning | status in the API | |\n|---|---|---|---|"
    for state in State:
        end = "ended" if state in ENDED else ""
        yield f"| `{state}` | {_STATES[state]} | `{public_status(state)}` | {end} |"
    yield "\n| event | meaning |\n|---|---|"
    for event in Event:
        yield f"| `{event}` | {_EVENTS[event]} |"
    yield ""
    yield from table(TRANSITIONS)
    yield "## Refunds\n"
    yield from diagram(REFUND_TRANSITIONS, RefundState.ASKING)
    yield "| state | meaning |\n|---|---|"
    for refund_state in RefundState:
        yield f"| `{refund_state}` | {_REFUND_STATES[refund_state]} |"
    yield "\n| event | meaning |\n|---|---|"
    for refund_event in RefundEvent:
        yield f"| `{refund_event}` | {_REFUND_EVENTS[refund_event]} |"
    yield ""
    yield from table(REFUND_TRANSITIONS)
    yield "## Disputes\n"
    yield "A dispute's events are what the processor's object says at a look.\n"
    yield from diagram(DISPUTE_TRANSITIONS, DisputeState.NEW)
    yield "| state | meaning |\n|---|---|"
    for dispute_state in DisputeState:
        yield f"| `{dispute_state}` | {_DISPUTE_STATES[dispute_state]} |"
    yield ""
    yield from table(DISPUTE_TRANSITIONS)
