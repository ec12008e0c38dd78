"""What a found transfer means: paid only when every figure is ours (psp.md 3.4)."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.db.exchanges import Exchange
from tidegate.money.amount import Money
from tidegate.money.currency import parse_currency
from tidegate.payouts.confirm import event_of
from tidegate.payouts.states import AttemptEvent, AttemptState
from tidegate.ports.bank import Fault, Outcome, OutcomeKind

NAIRA, SHILLING = parse_currency("NGN"), parse_currency("KES")
SAID = Exchange("lenco", "lookup", "GET", "/", "", 200, "", None, 0, 1)
ATTEMPT: dict[str, Any] = {
    "reference": "tg-abc-01",
    "amount": 500_000,
    "currency": "NGN",
    "account_number": "0123456789",
    "bank_code": "000013",
    "state": AttemptState.PENDING.value,
}


def found(kind: OutcomeKind, **other: Any) -> Outcome:
    ours: dict[str, Any] = {
        "amount": Money(500_000, NAIRA),
        "account_number": "0123456789",
        "bank_code": "000013",
    }
    return Outcome(kind, other.pop("reference", "tg-abc-01"), SAID, **{**ours, **other})


def test_paid_with_our_figures_is_paid() -> None:
    """Reference, amount, account and bank agree."""
    assert event_of(found(OutcomeKind.SUCCEEDED), ATTEMPT) == (AttemptEvent.PAID, None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"reference": "tg-abc-02"},
        {"amount": Money(500_100, NAIRA)},
        {"amount": Money(499_999, NAIRA)},
        {"amount": Money(500_000, SHILLING)},
        {"account_number": "9876543210"},
        {"bank_code": "000014"},
    ],
)
@pytest.mark.parametrize("kind", sorted(OutcomeKind))
def test_figures_that_are_not_ours_stop_the_line(kind: OutcomeKind, wrong: dict[str, Any]) -> None:
    """Whatever it says of the transfer, it is not surely the one that we sent."""
    event, why = event_of(found(kind, **wrong), ATTEMPT)
    assert event is AttemptEvent.HELD
    assert why


@pytest.mark.parametrize("blank", [{"amount": None}, {"account_number": None}, {"bank_code": ""}])
def test_what_the_psp_does_not_repeat_contradicts_nothing(blank: dict[str, Any]) -> None:
    """An answer without a figure is no other figure."""
    assert event_of(found(OutcomeKind.SUCCEEDED, **blank), ATTEMPT)[0] is AttemptEvent.PAID


def test_a_word_nobody_explains_is_for_a_person() -> None:
    """Lenco's ``declined``."""
    event, why = event_of(found(OutcomeKind.UNKNOWN, hold="It is declined."), ATTEMPT)
    assert (event, why) == (AttemptEvent.HELD, "It is declined.")


@pytest.mark.parametrize(
    ("fault", "ambiguous", "event"),
    [
        (Fault.PSP, False, AttemptEvent.FAILED),
        (Fault.RECIPIENT, False, AttemptEvent.FAILED),
        (Fault.RECIPIENT_BANK, True, AttemptEvent.FAILED_AMBIGUOUSLY),
        (Fault.UNKNOWN, True, AttemptEvent.FAILED_AMBIGUOUSLY),
        (Fault.UNKNOWN, False, AttemptEvent.HELD),
        (None, False, AttemptEvent.HELD),
    ],
)
def test_a_failure_is_believed_by_its_reason(
    fault: Fault | None, ambiguous: bool, event: AttemptEvent
) -> None:
    """Known and certain: failed; known to be uncertain: it cools; unknown: a person (3.5, 3.6)."""
    said = found(OutcomeKind.FAILED, fault=fault, ambiguous=ambiguous, reason_text="?")
    assert event_of(said, ATTEMPT)[0] is event


@pytest.mark.parametrize("state", [AttemptState.PAID, AttemptState.REVERSED])
@pytest.mark.parametrize("fault", [None, *Fault])
def test_a_failure_after_success_is_a_reversal_whatever_the_reason(
    state: AttemptState, fault: Fault | None
) -> None:
    """The money came back; a reason that no table knows changes nothing about it (3.7)."""
    said = found(OutcomeKind.FAILED, fault=fault, reason_text="Transaction reversed")
    assert event_of(said, {**ATTEMPT, "state": state.value}) == (AttemptEvent.REVERSED, None)


@pytest.mark.parametrize(
    ("kind", "event"),
    [
        (OutcomeKind.PENDING, AttemptEvent.TAKEN),
        (OutcomeKind.UNKNOWN, AttemptEvent.UNCLEAR),
        (OutcomeKind.NOT_SENT, AttemptEvent.UNCLEAR),
        (OutcomeKind.DUPLICATE, AttemptEvent.UNCLEAR),
    ],
)
def test_anything_else_takes_nothing_back(kind: OutcomeKind, event: AttemptEvent) -> None:
    """Pending is taken; what is not understood is unclear."""
    assert event_of(found(kind), ATTEMPT)[0] is event
