"""What happens to a payout and to an attempt, told event by event."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

import pytest

from tidegate.payouts.states import (
    ATTEMPT_TRANSITIONS,
    CLOSED_ATTEMPT,
    ENDED,
    ENDED_UNPAID,
    TRANSITIONS,
    AttemptEvent,
    Event,
    State,
    public_status,
)

S = TypeVar("S", bound=StrEnum)
E = TypeVar("E", bound=StrEnum)

OVER = "reversed rejected failed withdrawn"

# By event: where it leads, and from which states. Whatever is not named refuses the event.
PAYOUT = {
    "reserved": {"accepting": "pending"},
    "refused": {"declined": "pending"},
    "lapsed": {"expired": "pending accepting"},
    "accepted": {"accepted": "accepting"},
    "not_ours": {"expired": "accepting accepted processing held"},
    "found_ours": {"accepting": "declined expired"},
    "dispatched": {"processing": "accepted", "stays": "processing"},
    "paid": {"paid": "processing held"},
    "withdrawn": {"cancelled": "accepted processing held"},
    "gave_up": {"failed": "processing held"},
    "held": {"held": "accepting accepted processing", "stays": "held"},
    "resumed": {"accepted": "held"},
    "reported": {"fulfilled": "paid", "stays": "declined cancelled failed"},
    "report_refused": {"stays": "paid cancelled failed"},
    "offered_again": {
        "paid": "fulfilled",
        "pending": "declined expired cancelled failed",
        "stays": "paid",
    },
    "paid_late": {
        "paid": "pending accepted declined expired cancelled failed",
        "held": "accepting processing",
        "stays": "held paid fulfilled",
    },
    "reversed": {"stays": "paid fulfilled"},
}

ATTEMPT = {
    "sent": {"sending": "prepared unknown"},
    "not_sent": {"prepared": "sending"},
    "unclear": {
        "unknown": "sending",
        "stays": f"prepared unknown pending cooling held paid {OVER}",
    },
    "taken": {
        "pending": "prepared sending unknown cooling",
        "stays": f"pending held paid {OVER}",
    },
    "refused": {"rejected": "sending"},
    "failed_ambiguously": {
        "cooling": "prepared sending unknown pending",
        "reversed": "paid",
        "stays": f"cooling held {OVER}",
    },
    "failed": {
        "failed": "prepared sending unknown pending cooling",
        "reversed": "paid",
        "stays": f"held {OVER}",
    },
    "paid": {
        "paid": "prepared sending unknown pending cooling held",
        "stays": f"paid {OVER}",
    },
    "held": {
        "held": "prepared sending unknown pending cooling",
        "stays": f"held paid {OVER}",
    },
    "reversed": {"reversed": "paid", "stays": "reversed"},
    "withdrawn": {"withdrawn": "prepared"},
    "ruled_unpaid": {"failed": "held"},
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
def test_an_event_of_a_payout(event: Event) -> None:
    """From these states to those, and from no other."""
    assert _told(TRANSITIONS, event) == _meant(PAYOUT[event])


@pytest.mark.parametrize("event", AttemptEvent)
def test_an_event_of_an_attempt(event: AttemptEvent) -> None:
    """Late and repeated news of a transfer that left change nothing or correct."""
    assert _told(ATTEMPT_TRANSITIONS, event) == _meant(ATTEMPT[event])


def test_a_round_ends_paid_or_unpaid() -> None:
    """Unpaid, the order may be offered again; an attempt that closed leaves room for the next."""
    assert set(ENDED_UNPAID) == {"declined", "expired", "cancelled", "failed"}
    assert set(ENDED) == {"declined", "expired", "cancelled", "failed", "fulfilled"}
    assert set(CLOSED_ATTEMPT) == {"rejected", "failed", "withdrawn"}


@pytest.mark.parametrize(
    ("word", "states"),
    [
        ("pending", "pending expired"),
        ("accepted", "accepting accepted"),
        ("processing", "processing held paid failed"),
        ("fulfilled", "fulfilled"),
        ("declined", "declined"),
        ("cancelled", "cancelled"),
    ],
)
def test_a_word_of_the_nodes_answers_is_said_of_these_states(word: str, states: str) -> None:
    """And of no other (DESIGN 5)."""
    assert {state.value for state in State if public_status(state) == word} == set(states.split())
