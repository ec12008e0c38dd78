"""The state tables, walked: what is reachable, what is final, what leads out."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

import pytest

from tidegate.errors import NotInTable
from tidegate.payouts.states import (
    ATTEMPT_TRANSITIONS,
    CLOSED_ATTEMPT,
    ENDED,
    ENDED_UNPAID,
    TRANSITIONS,
    AttemptEvent,
    AttemptState,
    Event,
    State,
    after,
    attempt_after,
    public_status,
)

S = TypeVar("S", bound=StrEnum)
E = TypeVar("E", bound=StrEnum)

# What nothing but news about a lost or late fact moves any more.
NEWS = {Event.OFFERED_AGAIN, Event.PAID_LATE, Event.FOUND_OURS}


def _reached(table: Mapping[tuple[S, E], S], *starts: S) -> set[S]:
    seen, todo = set(starts), list(starts)
    while todo:
        here = todo.pop()
        for (before, _), behind in table.items():
            if before is here and behind not in seen:
                seen.add(behind)
                todo.append(behind)
    return seen


def test_every_state_of_a_payout_is_reached_from_pending() -> None:
    """No state is there for show."""
    assert _reached(TRANSITIONS, State.PENDING) == set(State)


def test_every_state_of_an_attempt_is_reached() -> None:
    """An attempt is born prepared, or sending where intention and attempt are one commit."""
    assert _reached(ATTEMPT_TRANSITIONS, AttemptState.SENDING) == set(AttemptState)


def test_every_event_means_something_somewhere() -> None:
    """No event is there for show."""
    assert {event for _, event in TRANSITIONS} == set(Event)
    assert {event for _, event in ATTEMPT_TRANSITIONS} == set(AttemptEvent)


@pytest.mark.parametrize("state", sorted(ENDED))
def test_a_final_state_moves_only_by_news(state: State) -> None:
    """Ended is ended: only a new offer, a late payment or a lost accept opens it again."""
    moving = {event for (before, event), to in TRANSITIONS.items() if before is state is not to}
    assert moving <= NEWS


@pytest.mark.parametrize("state", sorted(set(State) - ENDED))
def test_every_other_state_has_a_way_out(state: State) -> None:
    """Nothing waits for ever: from each open state some end is reached."""
    assert _reached(TRANSITIONS, state) & ENDED
    assert any(before is state is not to for (before, _), to in TRANSITIONS.items())


@pytest.mark.parametrize("state", sorted(CLOSED_ATTEMPT))
def test_a_closed_attempt_stays_closed(state: AttemptState) -> None:
    """Rejected, failed and withdrawn are ends: an attempt that left the index never returns."""
    assert _reached(ATTEMPT_TRANSITIONS, state) == {state}


def test_paid_leads_only_to_reversed() -> None:
    """A paid attempt can be found to have come back, and nothing else."""
    paid = _reached(ATTEMPT_TRANSITIONS, AttemptState.PAID)
    assert paid == {AttemptState.PAID, AttemptState.REVERSED}


@pytest.mark.parametrize(
    "state", sorted(set(AttemptState) - CLOSED_ATTEMPT - {AttemptState.PAID, AttemptState.REVERSED})
)
def test_every_open_attempt_can_end(state: AttemptState) -> None:
    """From each open state an attempt can come to be paid and to be closed."""
    reached = _reached(ATTEMPT_TRANSITIONS, state)
    assert AttemptState.PAID in reached
    assert reached & CLOSED_ATTEMPT


@pytest.mark.parametrize("state", sorted(set(AttemptState) - {AttemptState.PREPARED}))
def test_only_prepared_and_unknown_are_ever_sent(state: AttemptState) -> None:
    """Sending follows on proof that nothing left, or on the not-found window; on nothing else."""
    if state is AttemptState.UNKNOWN:
        assert attempt_after(state, AttemptEvent.SENT) is AttemptState.SENDING
        return
    with pytest.raises(NotInTable):
        attempt_after(state, AttemptEvent.SENT)


@pytest.mark.parametrize(
    "state", [AttemptState.UNKNOWN, AttemptState.PENDING, AttemptState.COOLING, AttemptState.HELD]
)
def test_what_may_have_been_sent_is_never_unsent(state: AttemptState) -> None:
    """An attempt that may have reached the PSP cannot become *prepared* or *withdrawn* again."""
    reached = _reached(
        {key: to for key, to in ATTEMPT_TRANSITIONS.items() if key[1] is not AttemptEvent.SENT},
        state,
    )
    assert not reached & {AttemptState.PREPARED, AttemptState.WITHDRAWN}


@pytest.mark.parametrize(
    "state",
    sorted(set(AttemptState) - {AttemptState.PREPARED, AttemptState.WITHDRAWN}),
)
@pytest.mark.parametrize(
    "event",
    [
        AttemptEvent.UNCLEAR,
        AttemptEvent.TAKEN,
        AttemptEvent.FAILED,
        AttemptEvent.FAILED_AMBIGUOUSLY,
        AttemptEvent.PAID,
        AttemptEvent.HELD,
    ],
)
def test_a_look_up_of_what_was_sent_is_always_in_the_table(
    state: AttemptState, event: AttemptEvent
) -> None:
    """Late and repeated news of a sent transfer never raise."""
    attempt_after(state, event)


@pytest.mark.parametrize("state", sorted(set(State) - {State.PENDING}))
def test_a_late_payment_is_recordable_in_every_state(state: State) -> None:
    """A fact is always recordable (DESIGN, promise 3), and never makes a paid order unpaid."""
    reached = after(state, Event.PAID_LATE)
    assert reached in {State.PAID, State.FULFILLED, State.HELD}


@pytest.mark.parametrize("state", sorted(ENDED_UNPAID))
def test_an_order_that_ended_unpaid_may_be_offered_again(state: State) -> None:
    """A new round begins at pending (A3)."""
    assert after(state, Event.OFFERED_AGAIN) is State.PENDING


@pytest.mark.parametrize("state", [State.PAID, State.FULFILLED])
def test_a_paid_order_is_never_pending_again(state: State) -> None:
    """Offered again, a paid order is reported again and not paid again (hazard 2)."""
    assert after(state, Event.OFFERED_AGAIN) is State.PAID
    assert _reached(TRANSITIONS, state) == {State.PAID, State.FULFILLED}


def test_what_is_not_listed_raises() -> None:
    """An event that the table does not have is an error that somebody sees."""
    with pytest.raises(NotInTable, match="pending cannot be paid"):
        after(State.PENDING, Event.PAID)
    with pytest.raises(NotInTable, match="paid cannot be sent"):
        attempt_after(AttemptState.PAID, AttemptEvent.SENT)


def test_the_nodes_answers_use_six_words() -> None:
    """Pending, accepted, processing, fulfilled, declined, cancelled (DESIGN 5)."""
    words = {public_status(state) for state in State}
    assert words == {"pending", "accepted", "processing", "fulfilled", "declined", "cancelled"}
