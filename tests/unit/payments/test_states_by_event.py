"""What happens to a payment, a refund and a dispute, told event by event."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

import pytest

from tidegate.payments.states import (
    DISPUTE_TRANSITIONS,
    ENDED,
    ON_THE_WAY,
    REFUND_TRANSITIONS,
    TRANSITIONS,
    WAITING,
    DisputeEvent,
    Event,
    RefundEvent,
    RefundState,
    State,
    public_status,
)

S = TypeVar("S", bound=StrEnum)
E = TypeVar("E", bound=StrEnum)

AT_THE_PROCESSOR = "requires_payment_method requires_action processing requires_capture"

# By event: where it leads, and from which states. Whatever is not named refuses the event.
PAYMENT = {
    "bound": {"confirming": "created"},
    "bound_bare": {"requires_payment_method": "created"},
    "action_needed": {
        "requires_action": "confirming requires_payment_method processing requires_capture",
        "stays": "requires_action capturing canceling failed",
    },
    "taken": {
        "processing": "confirming requires_payment_method requires_action",
        "stays": "processing requires_capture capturing canceling failed",
    },
    "authorized": {
        "requires_capture": "confirming requires_payment_method requires_action processing",
        "stays": "requires_capture capturing canceling failed",
    },
    "captured": {
        "succeeded": f"confirming {AT_THE_PROCESSOR} capturing canceling failed canceled",
        "stays": "succeeded",
    },
    "declined": {
        "failed": "confirming requires_action processing requires_capture capturing",
        "stays": "requires_payment_method canceling failed",
    },
    "refused": {
        "failed": "created confirming",
        "requires_capture": "capturing",
        "processing": "canceling",
        "stays": "failed",
    },
    "canceled": {
        "canceled": f"confirming {AT_THE_PROCESSOR} capturing canceling",
        "stays": "failed canceled",
    },
    "unclear": {"stays": " ".join(State)},
    "capture_asked": {"capturing": "requires_capture"},
    "cancel_asked": {
        "canceled": "created",
        "canceling": f"confirming {AT_THE_PROCESSOR}",
    },
}

REFUND = {
    "taken": {"pending": "asking", "stays": "pending succeeded failed"},
    "succeeded": {"succeeded": "asking pending failed", "stays": "succeeded"},
    "failed": {"failed": "asking pending succeeded", "stays": "failed"},
    "unclear": {"stays": " ".join(RefundState)},
}

DISPUTE = {
    "asked": {"inquiry": "new", "stays": "inquiry"},
    "opened": {"open": "new inquiry closed", "stays": "open lost"},
    "won": {"won": "new inquiry open lost closed", "stays": "won"},
    "lost": {"lost": "new inquiry open closed", "stays": "lost"},
    "closed": {"closed": "new inquiry", "stays": "closed"},
}


def _told(table: Mapping[tuple[S, E], S], event: E) -> dict[str, set[str]]:
    """What the table says of one event."""
    told: dict[str, set[str]] = {}
    for (before, happened), behind in table.items():
        if happened == event:
            told.setdefault("stays" if before is behind else behind, set()).add(before)
    return told


def _meant(states: Mapping[str, str]) -> dict[str, set[str]]:
    return {behind: set(before.split()) for behind, before in states.items()}


@pytest.mark.parametrize("event", Event)
def test_an_event_of_a_payment(event: Event) -> None:
    """Asked of the client or told by the processor: from these states, and from no other."""
    assert _told(TRANSITIONS, event) == _meant(PAYMENT[event])


@pytest.mark.parametrize("event", RefundEvent)
def test_an_event_of_a_refund(event: RefundEvent) -> None:
    """Whether the money left is a fact, whatever was believed before."""
    assert _told(REFUND_TRANSITIONS, event) == _meant(REFUND[event])


@pytest.mark.parametrize("event", DisputeEvent)
def test_an_event_of_a_dispute(event: DisputeEvent) -> None:
    """What was won stays won."""
    assert _told(DISPUTE_TRANSITIONS, event) == _meant(DISPUTE[event])


def test_an_open_payment_waits_or_is_on_the_way() -> None:
    """For the client, for an answer to our call, or for the processor alone."""
    assert set(ENDED) == {"succeeded", "failed", "canceled"}
    assert set(WAITING) == {"requires_payment_method", "requires_action", "requires_capture"}
    assert set(ON_THE_WAY) == {"created", "confirming", "capturing", "canceling"}
    assert set(State) - ENDED - WAITING - ON_THE_WAY == {"processing"}


@pytest.mark.parametrize("state", State)
def test_what_is_on_the_way_is_called_processing(state: State) -> None:
    """The client need not know which of our calls is under way; every other state has its name."""
    assert public_status(state) == ("processing" if state in ON_THE_WAY else state.value)
