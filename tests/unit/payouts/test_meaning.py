"""What an arrival means, what the aggregator is told, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.money.amount import Money
from tidegate.money.currency import parse_currency
from tidegate.payouts.answer import standing_of
from tidegate.payouts.meaning import Meaning, meaning_of
from tidegate.payouts.report import cancel_reason
from tidegate.payouts.states import ENDED_UNPAID, State
from tidegate.ports.bank import Fault
from tidegate.wire.dialect import Dialect
from tidegate.wire.inbound import Offer
from tidegate.wire.replies import TxStatus

NOW = 1_728_201_600_000
NAIRA = parse_currency("NGN")


def offer(amount: str = "5000", institution: str = "GTBINGLA", currency: str = "NGN") -> Offer:
    money = Money(int(float(amount) * 100), NAIRA) if currency == "NGN" else None
    return Offer(Dialect.LIVE, "order-1", amount, currency, institution, money)


def row(state: State, **other: Any) -> dict[str, Any]:
    return {
        "state": state.value,
        "paid_ever": False,
        "leased_until": None,
        "currency": "NGN",
        "institution": "GTBINGLA",
        "amount_text": "5000",
        "amount": 500_000,
        "psp": "lenco",
        "tx_id": "tg-abc",
        "attempts": 1,
        "reason_text": None,
        **other,
    }


def test_an_unknown_order_is_new() -> None:
    """The first arrival opens the first round."""
    assert meaning_of(None, offer(), NOW) is Meaning.NEW


@pytest.mark.parametrize("state", sorted(set(State) - ENDED_UNPAID))
def test_while_a_round_lives_a_repeat_changes_nothing(state: State) -> None:
    """The same figures are a repeat, other ones a conflict; neither opens anything."""
    assert meaning_of(row(state), offer(), NOW) is Meaning.REPEAT
    assert meaning_of(row(state), offer("5000.00"), NOW) is Meaning.REPEAT
    assert meaning_of(row(state), offer("5001"), NOW) is Meaning.CONFLICT
    assert meaning_of(row(state), offer(institution="ABNGNGLA"), NOW) is Meaning.CONFLICT
    assert meaning_of(row(state), offer(currency="KES"), NOW) is Meaning.CONFLICT


@pytest.mark.parametrize("state", sorted(ENDED_UNPAID))
def test_after_an_unpaid_end_an_offer_opens_a_round(state: State) -> None:
    """With figures of its own, whatever the last ones were (A3)."""
    assert meaning_of(row(state), offer("9999"), NOW) is Meaning.NEW_ROUND


@pytest.mark.parametrize("state", sorted(State))
def test_an_order_that_was_ever_paid_is_never_opened(state: State) -> None:
    """Whatever its state says now: paid once is paid for ever (hazard 2)."""
    assert meaning_of(row(state, paid_ever=True), offer(), NOW) is Meaning.PAID_BEFORE


@pytest.mark.parametrize("state", sorted(ENDED_UNPAID))
def test_an_order_whose_end_is_being_reported_is_busy(state: State) -> None:
    """A cancel under way could meet the accept of a new round: it waits (hazard 8)."""
    assert meaning_of(row(state, leased_until=NOW + 1), offer(), NOW) is Meaning.BUSY
    assert meaning_of(row(state, leased_until=NOW), offer(), NOW) is Meaning.NEW_ROUND


@pytest.mark.parametrize("state", sorted(State))
def test_tx_status_speaks_in_strings(state: State) -> None:
    """All four are strings in every state: a missing one kills the aggregator (hazard 7)."""
    said = standing_of(row(state, psp=None, tx_id=None, attempts=0))
    assert all(isinstance(text, str) for text in (said.status, said.psp, said.tx_id, said.error))


@pytest.mark.parametrize("state", sorted(set(State) - {State.PAID, State.FULFILLED, State.FAILED}))
def test_tx_status_never_calls_failed_what_was_not(state: State) -> None:
    """Expired, declined, cancelled, held: all *pending* (hazard 6)."""
    assert standing_of(row(state)).status is TxStatus.PENDING


@pytest.mark.parametrize("state", [State.PAID, State.FULFILLED])
def test_tx_status_success_names_the_transaction(state: State) -> None:
    """The same ``txId`` as in fulfil (4.3)."""
    said = standing_of(row(state))
    assert (said.status, said.psp, said.tx_id) == (TxStatus.SUCCESS, "lenco", "tg-abc")


def test_tx_status_failed_has_a_reason() -> None:
    """A failure comes with psp, txId and error (3.2)."""
    said = standing_of(row(State.FAILED))
    assert said.status is TxStatus.FAILED
    assert said.psp
    assert said.tx_id
    assert said.error


@pytest.mark.parametrize("state", [State.PENDING, State.ACCEPTING, State.ACCEPTED])
def test_tx_status_before_any_transfer_names_none(state: State) -> None:
    """Asked before a PSP has anything, the node says pending with empty strings (hazard 5)."""
    said = standing_of(row(state, attempts=0))
    assert (said.status, said.psp, said.tx_id) == (TxStatus.PENDING, "", "")


@pytest.mark.parametrize(
    ("fault", "code", "text", "reason"),
    [
        (Fault.RECIPIENT.value, "invalid_account", "x", "Invalid recipient bank details"),
        (Fault.RECIPIENT.value, None, None, "Invalid recipient bank details"),
        (Fault.OURS.value, "insufficient_funds", "x", "Insufficient funds"),
        (None, "INSUFFICIENT_BALANCE", "x", "Insufficient funds"),
        (Fault.PSP.value, "PSP_TIMEOUT", "The PSP could not be reached.", "The PSP could not be"),
        (None, None, None, "The payout could not be made"),
    ],
)
def test_a_cancel_has_the_aggregators_words(
    fault: str | None, code: str | None, text: str | None, reason: str
) -> None:
    """Two reasons act by their exact spelling, case included (4.4); no other may look like them."""
    said = cancel_reason(fault, code, text)
    assert said.startswith(reason)
    if reason in {"Invalid recipient bank details", "Insufficient funds"}:
        assert said == reason
