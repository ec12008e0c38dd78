"""Long walks through the state tables: what a history of events can and cannot have done.

A walk takes one listed event after the other, chosen by chance; in each state everything that is
not listed is tried as well. The single rows are judged where the tables are tested.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import NamedTuple, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import NotInTable
from tidegate.payments import states as payments
from tidegate.payouts import states as payouts

S = TypeVar("S", bound=StrEnum)
E = TypeVar("E", bound=StrEnum)

Pay, PayEvent = payments.State, payments.Event
Refund, RefundEvent = payments.RefundState, payments.RefundEvent
Dispute, DisputeEvent = payments.DisputeState, payments.DisputeEvent
Payout, PayoutEvent = payouts.State, payouts.Event
Attempt, AttemptEvent = payouts.AttemptState, payouts.AttemptEvent

CHOICES = st.lists(st.integers(0, 999), max_size=40)


class Step(NamedTuple):
    """One event and the states around it."""

    before: str
    event: str
    after: str


def walk(
    after: Callable[[S, E], S], start: S, events: type[E], choices: list[int]
) -> Iterator[Step]:
    """The steps of one walk; fails if an unlisted event does anything but raise NotInTable."""
    state = start
    for choice in choices:
        listed = {}
        for event in events:
            try:
                listed[event] = after(state, event)
            except NotInTable:
                continue
        names = sorted(listed)
        event = names[choice % len(names)]
        before, state = state, listed[event]
        yield Step(before, event, state)


@given(CHOICES)
def test_a_payment_is_paid_if_and_only_if_money_was_taken(choices: list[int]) -> None:
    """From the first capture on, whatever comes; never without one; learnable at every moment."""
    captured = False
    for step in walk(payments.after, Pay.CREATED, PayEvent, choices):
        captured |= step.event == PayEvent.CAPTURED
        assert (step.after == Pay.SUCCEEDED) == captured
        assert step.after != Pay.CREATED or step.before == Pay.CREATED
        if step.after != Pay.CREATED:
            assert payments.after(Pay(step.after), PayEvent.CAPTURED) is Pay.SUCCEEDED


@given(CHOICES)
def test_a_payment_that_ended_moves_by_money_alone(choices: list[int]) -> None:
    """Failed and canceled are left by a capture and by nothing else."""
    for step in walk(payments.after, Pay.CREATED, PayEvent, choices):
        if step.before in payments.ENDED and step.after != step.before:
            assert step.event == PayEvent.CAPTURED


@given(CHOICES)
def test_a_payment_is_confirmed_before_it_is_anything_else(choices: list[int]) -> None:
    """Nothing is at the processor before its object is known; asked to end, it does not begin."""
    bound = canceling = False
    for step in walk(payments.after, Pay.CREATED, PayEvent, choices):
        bound |= step.event in (PayEvent.BOUND, PayEvent.BOUND_BARE)
        canceling = (canceling or step.after == Pay.CANCELING) and step.event != PayEvent.REFUSED
        if not bound and step.before != step.after:
            # Money that was taken is a fact, from wherever it comes.
            assert step.after in (Pay.FAILED, Pay.CANCELED) or step.event == PayEvent.CAPTURED
        if canceling:
            assert step.after in (Pay.CANCELING, Pay.CANCELED, Pay.SUCCEEDED)


@given(CHOICES)
def test_a_refund_is_what_the_last_fact_said(choices: list[int]) -> None:
    """Succeeded and failed replace each other; hints and silence change neither."""
    fact: str | None = None
    for step in walk(payments.refund_after, Refund.ASKING, RefundEvent, choices):
        if step.event in (RefundEvent.SUCCEEDED, RefundEvent.FAILED):
            fact = step.event
        if fact is None:
            assert step.after in (Refund.ASKING, Refund.PENDING)
        else:
            assert step.after == fact


@given(CHOICES)
def test_a_dispute_ends_once_and_may_still_be_won(choices: list[int]) -> None:
    """The money goes by opening or losing, and comes back for good by winning."""
    seen: list[str] = []
    for step in walk(payments.dispute_after, Dispute.NEW, DisputeEvent, choices):
        if Dispute.WON in seen:
            assert step.after == Dispute.WON
        elif Dispute.LOST in seen:
            assert step.after in (Dispute.LOST, Dispute.WON)
        elif Dispute.OPEN in seen:
            assert step.after in (Dispute.OPEN, Dispute.WON, Dispute.LOST)
        assert step.after != Dispute.NEW
        seen.append(step.after)


@given(CHOICES)
def test_a_payout_that_was_paid_is_never_unpaid_again(choices: list[int]) -> None:
    """Not by a new offer, a reversal or a refused report; and late money is always recordable."""
    paid = False
    for step in walk(payouts.after, Payout.PENDING, PayoutEvent, choices):
        paid |= step.after == Payout.PAID
        if paid:
            assert step.after in (Payout.PAID, Payout.FULFILLED)
        late = payouts.after(Payout(step.after), PayoutEvent.PAID_LATE)
        assert late in (Payout.PAID, Payout.FULFILLED, Payout.HELD)
        assert payouts.public_status(Payout(step.after))


@given(CHOICES)
def test_a_payout_is_sent_only_once_it_is_ours(choices: list[int]) -> None:
    """In each round: reserved, then accepted (or given back by a person), then dispatched."""
    reserved = ours = False
    for step in walk(payouts.after, Payout.PENDING, PayoutEvent, choices):
        if step.after == Payout.PENDING:
            reserved = ours = False
        reserved |= step.event in (PayoutEvent.RESERVED, PayoutEvent.FOUND_OURS)
        ours |= step.event in (PayoutEvent.ACCEPTED, PayoutEvent.RESUMED)
        if step.event in (PayoutEvent.ACCEPTED, PayoutEvent.HELD):
            assert reserved
        if step.event == PayoutEvent.DISPATCHED:
            assert ours


@given(CHOICES)
def test_a_payout_that_ended_unpaid_is_opened_by_three_facts(choices: list[int]) -> None:
    """A new offer, an accept that took effect after all, a transfer that was paid after all."""
    opening = {
        PayoutEvent.OFFERED_AGAIN: Payout.PENDING,
        PayoutEvent.FOUND_OURS: Payout.ACCEPTING,
        PayoutEvent.PAID_LATE: Payout.PAID,
    }
    for step in walk(payouts.after, Payout.PENDING, PayoutEvent, choices):
        if step.before in payouts.ENDED_UNPAID and step.after != step.before:
            assert opening[PayoutEvent(step.event)] == step.after


@given(CHOICES)
def test_an_attempt_that_may_have_been_sent_is_never_taken_back(choices: list[int]) -> None:
    """It is withdrawn, or prepared again, only after proof that no byte left."""
    out = False
    for step in walk(payouts.attempt_after, Attempt.PREPARED, AttemptEvent, choices):
        if step.event == AttemptEvent.SENT:
            assert step.before in (Attempt.PREPARED, Attempt.UNKNOWN)
            out = True
        elif step.event == AttemptEvent.NOT_SENT:
            assert step.before == Attempt.SENDING
            out = False
        if step.after == Attempt.WITHDRAWN and step.before != Attempt.WITHDRAWN:
            assert not out
        if out:
            assert step.after != Attempt.PREPARED


@given(CHOICES)
def test_an_attempt_is_closed_or_paid_for_good(choices: list[int]) -> None:
    """A closed one makes room for another, so it never opens; a paid one is paid or reversed."""
    closed = paid = False
    for step in walk(payouts.attempt_after, Attempt.PREPARED, AttemptEvent, choices):
        if closed:
            assert step.after == step.before
        if paid:
            assert step.after in (Attempt.PAID, Attempt.REVERSED)
        closed |= step.after in payouts.CLOSED_ATTEMPT
        paid |= step.after == Attempt.PAID


@pytest.mark.parametrize(
    ("after", "states", "events"),
    [
        (payments.after, Pay, PayEvent),
        (payments.refund_after, Refund, RefundEvent),
        (payments.dispute_after, Dispute, DisputeEvent),
        (payouts.after, Payout, PayoutEvent),
        (payouts.attempt_after, Attempt, AttemptEvent),
    ],
)
def test_every_pair_is_a_row_or_is_not_in_the_table(
    after: Callable[[StrEnum, StrEnum], StrEnum],
    states: type[StrEnum],
    events: type[StrEnum],
) -> None:
    """No event in any state does anything else, and each state takes at least one."""
    for state in states:
        reached, refused = [], {}
        for event in events:
            try:
                reached.append(after(state, event))
            except NotInTable as error:
                refused[event] = str(error)
        assert reached
        assert set(reached) <= set(states)
        for event, sentence in refused.items():
            assert f" is {state} cannot be {event}" in sentence
