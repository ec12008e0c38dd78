"""What Stripe's objects mean: read to the end, or unreadable, never guessed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.adapters.stripe.actions import next_action_for
from tidegate.adapters.stripe.listing import read_events, read_page
from tidegate.adapters.stripe.reading import (
    Unreadable,
    read_dispute,
    read_intent,
    read_method,
    read_refund,
)
from tidegate.money.amount import Money
from tidegate.money.currency import parse_currency
from tidegate.ports.cards import DisputeStatus, Failure, IntentStatus, Movement, RefundStatus

USD = parse_currency("USD")
EUR = parse_currency("EUR")


def booked(**changes: object) -> dict[str, Any]:
    return {
        "object": "balance_transaction",
        "id": "txn_1",
        "amount": 920,
        "fee": 43,
        "currency": "eur",
        **changes,
    }


def intent(**changes: object) -> dict[str, Any]:
    return {
        "object": "payment_intent",
        "id": "pi_1",
        "status": "succeeded",
        "amount": 1000,
        "amount_received": 1000,
        "currency": "usd",
        "metadata": {"tidegate_payment": "pay_1"},
        "client_secret": "pi_1_secret_abc",
        "latest_charge": {"id": "ch_1", "balance_transaction": booked()},
        **changes,
    }


def test_a_charge_is_booked_in_the_currency_of_the_balance() -> None:
    found = read_intent(intent(), None)
    assert found.status is IntentStatus.SUCCEEDED
    assert found.amount == found.captured == Money(1000, USD)
    assert found.movement == Movement("txn_1", Money(920, EUR), Money(43, EUR))
    assert found.payment_id == "pay_1"


@pytest.mark.parametrize(
    "charge",
    [
        None,
        "ch_1",
        {},
        {"balance_transaction": None},
        {"balance_transaction": "txn_1"},
        {"balance_transaction": {"object": "balance_transaction", "id": "txn_1"}},
    ],
)
def test_without_a_readable_movement_it_is_not_booked_yet(charge: object) -> None:
    found = read_intent(intent(latest_charge=charge), None)
    assert found.movement is None
    assert found.captured == Money(1000, USD)
    bare = intent()
    del bare["latest_charge"]
    assert read_intent(bare, None).movement is None


def test_a_double_without_amount_received_lets_the_charge_say_what_was_taken() -> None:
    bare = intent(latest_charge={"captured": True, "amount": 1000})
    del bare["amount_received"]
    assert read_intent(bare, None).captured == Money(1000, USD)
    bare["latest_charge"] = {"amount_captured": 600}
    assert read_intent(bare, None).captured == Money(600, USD)
    assert read_intent({**bare, "status": "canceled"}, None).captured == Money(0, USD)
    with pytest.raises(Unreadable):
        read_intent({**bare, "latest_charge": None}, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "levitating"},
        {"status": None},
        {"status": {}},
        {"amount": "1000"},
        {"amount": True},
        {"amount": 10.5},
        {"amount": 10**30},
        {"amount_received": None},
        {"currency": "zzz"},
        {"currency": None},
        {"id": None},
        {"id": "pi 1"},
        {"id": "pi_1/../x"},
        {"id": "pi_.."},
        {"object": "charge"},
    ],
)
def test_a_word_or_figure_about_money_that_is_not_understood_makes_it_unreadable(
    changes: dict[str, object],
) -> None:
    with pytest.raises(Unreadable):
        read_intent(intent(**changes), None)


def test_an_id_may_have_hyphens() -> None:
    assert read_intent(intent(id="pi_1-of-a-double"), None).reference == "pi_1-of-a-double"


def test_the_last_failure_is_told_with_the_banks_own_code() -> None:
    error = {"code": "card_declined", "decline_code": "insufficient_funds", "message": "No."}
    found = read_intent(intent(last_payment_error=error, status="requires_payment_method"), None)
    assert found.failure == Failure("card_declined", "No.", "insufficient_funds")


def test_a_redirect_is_handed_on_with_what_a_browser_needs() -> None:
    action = {"type": "redirect_to_url", "redirect_to_url": {"url": "https://b.test/3ds"}}
    found = read_intent(intent(status="requires_action", next_action=action), "pk_test_1")
    assert found.next_action == {
        "type": "redirect_to_url",
        "redirect_to_url": {"url": "https://b.test/3ds", "return_url": None},
        "client_secret": "pi_1_secret_abc",
        "publishable_key": "pk_test_1",
    }


@pytest.mark.parametrize(
    "action",
    [
        None,
        {"type": "use_stripe_sdk", "use_stripe_sdk": {"blob": 1}},
        {"type": "display_bank_transfer_instructions"},
        {"type": "redirect_to_url", "redirect_to_url": {"url": "javascript:alert(1)"}},
    ],
)
def test_any_other_action_is_left_to_the_browser_library(action: object) -> None:
    assert next_action_for(action, "s", "pk") == {
        "type": "use_stripe_sdk",
        "client_secret": "s",
        "publishable_key": "pk",
    }


def refund(**changes: object) -> dict[str, Any]:
    return {
        "object": "refund",
        "id": "re_1",
        "status": "succeeded",
        "amount": 400,
        "currency": "usd",
        "metadata": {"tidegate_refund": "re_ours"},
        "balance_transaction": booked(id="txn_2", amount=-368, fee=0),
        **changes,
    }


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("pending", RefundStatus.PENDING),
        ("requires_action", RefundStatus.PENDING),
        ("succeeded", RefundStatus.SUCCEEDED),
        ("failed", RefundStatus.FAILED),
        ("canceled", RefundStatus.FAILED),
    ],
)
def test_a_refunds_status_is_one_of_three(word: str, status: RefundStatus) -> None:
    assert read_refund(refund(status=word)).status is status


def test_a_refund_takes_from_the_balance_and_a_failed_one_gives_back() -> None:
    assert read_refund(refund()).movement == Movement("txn_2", Money(-368, EUR), Money(0, EUR))
    back = booked(id="txn_3", amount=368, fee=0)
    failed = refund(
        status="failed", failure_reason="lost_or_stolen_card", failure_balance_transaction=back
    )
    assert read_refund(failed).movement == Movement("txn_2", Money(-368, EUR), Money(0, EUR))
    assert read_refund(failed).returned == Movement("txn_3", Money(368, EUR), Money(0, EUR))
    assert read_refund(failed).failure == "lost_or_stolen_card"
    assert read_refund(refund(status="failed")).returned is None
    for word in (None, "perhaps", 3):
        with pytest.raises(Unreadable):
            read_refund(refund(status=word))


def dispute(**changes: object) -> dict[str, Any]:
    return {
        "object": "dispute",
        "id": "dp_1",
        "payment_intent": "pi_1",
        "status": "needs_response",
        "amount": 1000,
        "currency": "usd",
        "reason": "fraudulent",
        "balance_transactions": [booked(amount=-920, fee=1500)],
        **changes,
    }


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("needs_response", DisputeStatus.OPEN),
        ("under_review", DisputeStatus.OPEN),
        ("won", DisputeStatus.WON),
        ("lost", DisputeStatus.LOST),
        ("warning_needs_response", DisputeStatus.INQUIRY),
        ("warning_under_review", DisputeStatus.INQUIRY),
        ("warning_closed", DisputeStatus.CLOSED),
        ("appeal_needs_response", DisputeStatus.OPEN),
        ("appeal_under_review", DisputeStatus.OPEN),
        ("prevented", DisputeStatus.CLOSED),
    ],
)
def test_a_disputes_status_says_where_the_money_is(word: str, status: DisputeStatus) -> None:
    assert read_dispute(dispute(status=word)).status is status


def test_a_dispute_carries_its_movements_with_their_fee() -> None:
    found = read_dispute(dispute(payment_intent={"id": "pi_9", "object": "payment_intent"}))
    assert found.intent == "pi_9"
    assert found.movements == (Movement("txn_1", Money(-920, EUR), Money(1500, EUR)),)
    assert read_dispute(dispute(balance_transactions=None)).movements == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "a_word_of_next_year"},
        {"status": "charge_refunded"},
        {"balance_transactions": ["txn_1"]},
        {"balance_transactions": [booked(fee=None)]},
        {"balance_transactions": {"0": booked()}},
    ],
)
def test_a_dispute_of_unknown_status_or_movements_is_not_taken_for_an_open_one(
    changes: dict[str, object],
) -> None:
    with pytest.raises(Unreadable):
        read_dispute(dispute(**changes))


def test_of_a_card_only_what_may_be_shown_is_read() -> None:
    card = {"brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2030}
    tree = {"object": "payment_method", "id": "pm_1", "type": "card", "card": card}
    found = read_method({**tree, "customer": {"id": "cus_1"}})
    assert found.card is not None
    assert found.card.last4 == "4242"
    assert found.customer == "cus_1"
    for wrong in (None, {}, {**card, "last4": "4242424242424242"}, {**card, "exp_month": 13}):
        assert read_method({**tree, "card": wrong}).card is None


def test_a_list_is_read_whole_or_not_at_all() -> None:
    rows: list[object] = [{"id": "evt_1"}, {"id": "evt_2"}]
    tree = {"object": "list", "data": rows, "has_more": True}
    assert read_events(tree) == ([("evt_1", b'{"id":"evt_1"}'), ("evt_2", b'{"id":"evt_2"}')], True)
    for wrong in ({"data": [{"id": "a"}, {}]}, {"data": [3]}, {"data": None}, {"has_more": "no"}):
        with pytest.raises(Unreadable):
            read_page({**tree, **wrong})


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
_KEYS = st.sampled_from([*intent(), *refund(), *dispute(), "next_action", "last_payment_error"])


@given(st.sampled_from([intent, refund, dispute]), st.dictionaries(_KEYS, _JSON, max_size=4))
def test_no_field_of_any_kind_does_more_than_make_it_unreadable(
    make: Any, changes: dict[str, Any]
) -> None:
    tree = {**make(), **changes}
    for read in (read_refund, read_dispute, read_method, read_page, lambda t: read_intent(t, "pk")):
        try:
            read(tree)
        except Unreadable:
            continue
