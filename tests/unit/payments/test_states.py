"""The state tables of payments, refunds and disputes, walked."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

import pytest

from tidegate.cli.pages.payment_states import payment_states_page
from tidegate.errors import NotInTable
from tidegate.payments.readings import STATUSES
from tidegate.payments.states import (
    DISPUTE_TRANSITIONS,
    ENDED,
    REFUND_TRANSITIONS,
    TRANSITIONS,
    WAITING,
    DisputeEvent,
    DisputeState,
    Event,
    RefundEvent,
    RefundState,
    State,
    after,
    dispute_after,
    public_status,
    refund_after,
)

S = TypeVar("S", bound=StrEnum)
E = TypeVar("E", bound=StrEnum)


def _reached(table: Mapping[tuple[S, E], S], start: S) -> set[S]:
    seen, todo = {start}, [start]
    while todo:
        here = todo.pop()
        for (before, _), behind in table.items():
            if before is here and behind not in seen:
                seen.add(behind)
                todo.append(behind)
    return seen


def test_every_state_is_reached() -> None:
    """No state is there for show."""
    assert _reached(TRANSITIONS, State.CREATED) == set(State)
    assert _reached(REFUND_TRANSITIONS, RefundState.ASKING) == set(RefundState)
    assert _reached(DISPUTE_TRANSITIONS, DisputeState.NEW) == set(DisputeState)


def test_every_event_means_something_somewhere() -> None:
    """No event is there for show."""
    assert {event for _, event in TRANSITIONS} == set(Event)
    assert {event for _, event in REFUND_TRANSITIONS} == set(RefundEvent)
    assert {event for _, event in DISPUTE_TRANSITIONS} == set(DisputeEvent)


@pytest.mark.parametrize("state", sorted(ENDED - {State.SUCCEEDED}))
def test_a_payment_that_ended_unpaid_moves_only_by_money_that_was_taken(state: State) -> None:
    """Only a fact opens it again, and it makes it paid."""
    moving = {event: to for (at, event), to in TRANSITIONS.items() if at is state is not to}
    assert moving == {Event.CAPTURED: State.SUCCEEDED}


def test_a_captured_payment_stays_captured() -> None:
    """What was taken is never untaken by news; giving back is a refund."""
    assert _reached(TRANSITIONS, State.SUCCEEDED) == {State.SUCCEEDED}


@pytest.mark.parametrize("state", sorted(set(State) - ENDED))
def test_every_other_state_has_a_way_out(state: State) -> None:
    """From each open state, success and some unpaid end can be reached."""
    reached = _reached(TRANSITIONS, state)
    assert State.SUCCEEDED in reached
    assert reached & {State.FAILED, State.CANCELED}


@pytest.mark.parametrize("state", sorted(set(State) - {State.CREATED, State.SUCCEEDED}))
def test_money_that_was_taken_can_always_be_learnt(state: State) -> None:
    """Whatever we believed: the processor's word that it took the money is a row of the table."""
    assert after(state, Event.CAPTURED) is State.SUCCEEDED


@pytest.mark.parametrize("state", sorted(set(State) - {State.CREATED, *ENDED}))
def test_a_looked_up_object_that_was_given_up_ends_the_payment(state: State) -> None:
    """An authorisation that expired, a payment cancelled at the processor's own page."""
    assert after(state, Event.CANCELED) is State.CANCELED


def test_a_cancel_can_be_asked_wherever_nothing_is_taken_or_being_taken() -> None:
    """Not while a capture is under way. Before the object is known it needs no call."""
    allowed = {state for (state, event) in TRANSITIONS if event is Event.CANCEL_ASKED}
    assert allowed == set(State) - ENDED - {State.CAPTURING, State.CANCELING}
    assert after(State.CREATED, Event.CANCEL_ASKED) is State.CANCELED


def test_time_alone_never_fails_a_payment() -> None:
    """No news changes nothing (B4: an explicit unknown that is never auto-failed)."""
    assert all(to is state for (state, event), to in TRANSITIONS.items() if event is Event.UNCLEAR)


def test_what_is_not_listed_is_refused() -> None:
    """An impossible event is an error that somebody sees."""
    with pytest.raises(NotInTable, match="succeeded cannot be declined"):
        after(State.SUCCEEDED, Event.DECLINED)
    with pytest.raises(NotInTable, match="cannot be capture_asked"):
        after(State.CREATED, Event.CAPTURE_ASKED)


def test_a_refund_that_left_after_all_is_a_fact() -> None:
    """Whatever we believed; until it has left, a failed refund stays failed."""
    assert refund_after(RefundState.FAILED, RefundEvent.SUCCEEDED) is RefundState.SUCCEEDED
    assert refund_after(RefundState.FAILED, RefundEvent.TAKEN) is RefundState.FAILED


def test_a_dispute_that_was_won_is_not_lost_afterwards() -> None:
    """A loss can be given back; what came back is not taken a second time by the same dispute."""
    assert dispute_after(DisputeState.LOST, DisputeEvent.WON) is DisputeState.WON
    with pytest.raises(NotInTable, match="won cannot be lost"):
        dispute_after(DisputeState.WON, DisputeEvent.LOST)


def test_a_loss_that_is_fought_stands_until_it_is_won() -> None:
    """An appeal gives nothing back; nor does it open again what was won."""
    assert dispute_after(DisputeState.LOST, DisputeEvent.OPENED) is DisputeState.LOST
    with pytest.raises(NotInTable, match="won cannot be opened"):
        dispute_after(DisputeState.WON, DisputeEvent.OPENED)


def test_the_public_statuses_are_the_contracts() -> None:
    """payments.md lists seven, and each of them can be asked for in a list."""
    contract = {
        "requires_payment_method",
        "requires_action",
        "processing",
        "requires_capture",
        "succeeded",
        "failed",
        "canceled",
    }
    assert {public_status(state) for state in State} == contract
    assert set(STATUSES) == contract
    assert sorted(state for states in STATUSES.values() for state in states) == sorted(State)


def test_nobody_waits_for_a_client_after_the_end() -> None:
    """The two sets do not meet."""
    assert not WAITING & ENDED


def test_every_row_of_the_tables_is_on_the_page() -> None:
    """The published page shows the tables whole."""
    page = payment_states_page()
    rows = [
        f"| `{before}` | `{event}` | {'stays' if before is behind else f'`{behind}`'} |"
        for table in (TRANSITIONS, REFUND_TRANSITIONS, DISPUTE_TRANSITIONS)
        for (before, event), behind in table.items()
    ]
    assert [row for row in rows if f"{row}\n" not in page] == []
