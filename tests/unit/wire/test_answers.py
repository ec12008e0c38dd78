"""Reading the aggregator's answers."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import BadInput
from tidegate.wire.answers import (
    Answer,
    OrderPage,
    OrderRecord,
    parse_acceptance,
    parse_answer,
    parse_order,
    parse_orders,
)
from tidegate.wire.inbound import Recipient

ORDER: dict[str, Any] = {
    "id": "o-1",
    "token": "USDT",
    "amount": "0.5",
    "rate": "1500.25",
    "institution": "ABNGNGLA",
    "accountIdentifier": "0123456789",
    "accountName": "OK",
    "providerId": "",
    "memo": "",
    "network": "base",
    "status": "fulfilling",
    "createdAt": "2025-10-06T14:00:00Z",
    "updatedAt": "2025-10-06T14:00:01.5Z",
    "transactionLogs": None,
    "cancellationReasons": ["Insufficient funds"],
    "orderType": "regular",
    "otcExpiry": "0001-01-01T00:00:00Z",
}


def data_of(value: Any) -> Any:
    return parse_answer(200, json.dumps({"status": "success", "data": value}).encode()).data


def test_an_answer_is_read() -> None:
    """Status, message and data of the envelope."""
    answer = parse_answer(201, b'{"status":"success","message":"OK","data":{"id":"x"}}')
    assert answer.is_success
    assert answer.readable
    assert (answer.message, answer.data) == ("OK", {"id": "x"})


@pytest.mark.parametrize(
    "body", [b"", b"<html>502</html>", b"[]", b'{"status":"success"}{"status":"error"}']
)
def test_an_unreadable_answer_is_no_success(body: bytes) -> None:
    """Not even with 200; two documents in one happen after a failed authentication."""
    answer = parse_answer(200, body)
    assert answer == Answer(200, False, "", "", None)
    assert not answer.is_success


def test_a_success_needs_both_the_status_and_the_word() -> None:
    """An error envelope with 200 and a success envelope with 500 are neither."""
    assert not parse_answer(200, b'{"status":"error"}').is_success
    assert not parse_answer(500, b'{"status":"success"}').is_success
    assert not parse_answer(200, b'{"status":5,"message":null}').is_success


def test_an_acceptance_is_read() -> None:
    """The binding amount, exactly, and the recipient."""
    acceptance = parse_acceptance(
        data_of(
            {
                "id": "o-1",
                "direction": "payout",
                "amount": "75375",
                "institution": "ABNGNGLA",
                "accountIdentifier": "0123456789",
                "accountName": "A Person",
                "memo": "rent",
                "metadata": {"n": 1},
            }
        )
    )
    assert (acceptance.amount_token, acceptance.amount) == ("75375", Decimal(75375))
    assert (acceptance.order_id, acceptance.direction) == ("o-1", "payout")
    assert acceptance.recipient == Recipient(
        "ABNGNGLA", "0123456789", "A Person", "rent", {"n": "1"}
    )
    assert acceptance.faults == ()


def test_an_acceptance_with_a_number_and_without_extras_is_read() -> None:
    """A JSON number keeps its token; memo, metadata and direction may be absent."""
    acceptance = parse_acceptance(
        data_of({"amount": 75375.50, "institution": "X", "accountIdentifier": "1"})
    )
    assert (acceptance.amount_token, acceptance.amount) == ("75375.5", Decimal("75375.5"))
    assert (acceptance.recipient.memo, acceptance.direction, acceptance.faults) == ("", "", ())


@pytest.mark.parametrize(
    ("data", "faults"),
    [
        (None, ("amount: missing", "institution: missing", "accountIdentifier: missing")),
        ([], ("amount: missing", "institution: missing", "accountIdentifier: missing")),
        (
            {"amount": "lots", "institution": 5, "accountIdentifier": None, "metadata": []},
            ("amount: unreadable", "institution: missing", "accountIdentifier: missing"),
        ),
        (
            {"amount": "1e400", "institution": "X", "accountIdentifier": "1"},
            ("amount: unreadable",),
        ),
    ],
)
def test_what_is_missing_in_an_acceptance_is_named(data: Any, faults: tuple[str, ...]) -> None:
    """The order is ours all the same, so nothing raises."""
    acceptance = parse_acceptance(data_of(data))
    assert acceptance.faults == faults
    assert acceptance.amount is None


def test_an_order_record_is_read() -> None:
    """Token amount and rate as decimals; Go's zero time is none."""
    assert parse_order(data_of(ORDER)) == OrderRecord(
        order_id="o-1",
        status="fulfilling",
        amount=Decimal("0.5"),
        rate=Decimal("1500.25"),
        token="USDT",
        network="base",
        recipient=Recipient("ABNGNGLA", "0123456789", "OK"),
        order_type="regular",
        otc_expiry_ms=None,
        created_at_ms=1_759_759_200_000,
        updated_at_ms=1_759_759_201_500,
        cancellation_reasons=("Insufficient funds",),
    )


@pytest.mark.parametrize(
    ("text", "instant_ms"),
    [
        ("1970-01-01T00:00:00.001Z", 1),
        ("1970-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00Z", None),
        ("soon", None),
    ],
)
def test_a_time_of_a_record_is_after_the_epoch_or_none(text: str, instant_ms: int | None) -> None:
    """Neither Go's zero time nor Unix's is a moment of an order."""
    assert parse_order(data_of({**ORDER, "otcExpiry": text})).otc_expiry_ms == instant_ms


def test_no_text_of_a_record_holds_a_nul() -> None:
    """A database refuses U+0000."""
    assert parse_order(data_of({**ORDER, "memo": "a\0b"})).recipient.memo == "a\ufffdb"


@pytest.mark.parametrize("data", [None, [], "x", {}, {"id": "o-1"}, {"status": "x"}])
def test_a_record_without_id_or_status_is_refused(data: Any) -> None:
    """It would say nothing about who owns the order."""
    with pytest.raises(BadInput):
        parse_order(data_of(data))


def test_a_page_of_orders_is_read() -> None:
    """A bad entry is counted and hides no other; null is an empty page."""
    sent = {"total": 3, "page": 1, "pageSize": 10, "orders": [5, ORDER, {}]}
    record = parse_order(data_of(ORDER))
    assert parse_orders(data_of(sent)) == OrderPage(3, 1, 10, (record,), skipped=2)
    assert parse_orders(data_of({"orders": None})) == OrderPage(0, 0, 0, (), skipped=0)


@pytest.mark.parametrize("data", [None, [], {}, {"total": 0}, {"orders": "none"}])
def test_an_odd_answer_is_not_taken_for_an_empty_page(data: Any) -> None:
    """Otherwise reconciliation would conclude that we have no orders."""
    with pytest.raises(BadInput):
        parse_orders(data_of(data))


@given(st.binary(max_size=80), st.integers(100, 599))
def test_reading_an_answer_never_raises(body: bytes, status: int) -> None:
    """Nor does reading its data as an acceptance."""
    parse_acceptance(parse_answer(status, body).data)
