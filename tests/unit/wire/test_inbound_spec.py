"""Offers of the spec dialect: the recipient, the expiry, the timestamp."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.wire.test_inbound import NGN, ORDER, SPEC, live, spec
from tidegate.errors import BadInput
from tidegate.money import Money
from tidegate.wire.dialect import Dialect
from tidegate.wire.inbound import Offer, Recipient


def test_a_spec_offer() -> None:
    """Number tokens verbatim, the recipient's institution, instants in their units."""
    assert spec() == Offer(
        dialect=Dialect.SPEC,
        order_id=ORDER,
        amount_token="50000.0",
        currency="NGN",
        institution="ABNGNGLA",
        money=Money(5_000_000, NGN),
        recipient=Recipient(
            institution="ABNGNGLA",
            account_identifier="0123456789",
            account_name="A Person",
            memo="x",
            metadata={"channel": "till", "businessNumber": "247247"},
        ),
        reference="ORDER-1",
        expires_at_ms=1_759_759_200_000,
        timestamp=1_728_201_600,
    )
    assert hash(spec()) == hash(spec())


def test_a_fault_is_named_once() -> None:
    """A time with a NUL in it is unreadable for two reasons."""
    assert spec(expiresAt="2025-10-06T14:00:00Z\0").faults == ("expiresAt: unreadable",)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"expiresAt": "tomorrow"}, "expiresAt: unreadable"),
        ({"expiresAt": "2025-13-06T14:00:00Z"}, "expiresAt: unreadable"),
        ({"expiresAt": "2025-10-06T14:00:00"}, "expiresAt: unreadable"),
        ({"expiresAt": "2025-10-06T14:00:00Z\0"}, "expiresAt: unreadable"),
        ({"reference": "R\0"}, "reference: unreadable"),
        ({"currency": "naira"}, "currency: UNSUPPORTED_CURRENCY"),
        *(
            ({"recipient": {**SPEC["recipient"], name: ""}}, f"recipient.{name}: missing")
            for name in ("institution", "accountIdentifier", "accountName")
        ),
        *(
            ({"recipient": {**SPEC["recipient"], name: "x\0"}}, f"recipient.{name}: unreadable")
            for name in ("institution", "accountIdentifier", "accountName", "memo")
        ),
    ],
)
def test_an_unusable_field_of_a_spec_offer_is_named(changes: dict[str, Any], fault: str) -> None:
    """A recipient with a gap and an expiry that cannot be read do not lose the offer."""
    assert set(spec(**changes).faults) == {fault}


def test_names_inside_the_recipients_metadata_hold_no_nul() -> None:
    """Keys are stored as the texts are."""
    recipient = spec(recipient={**SPEC["recipient"], "metadata": {"a\0b": "c\0"}}).recipient
    assert recipient is not None
    assert recipient.metadata == {"a\ufffdb": "c\ufffd"}


@pytest.mark.parametrize(
    ("text", "instant_ms"),
    [
        ("2025-10-06T14:00:00.123456789Z", 1_759_759_200_123),
        ("2025-10-06T15:00:00+01:00", 1_759_759_200_000),
        ("1969-12-31T23:59:59.999Z", -1),
        ("0001-01-01T00:00:00Z", None),
        ("", None),
        (None, None),
    ],
)
def test_expiry_is_read_to_the_millisecond(text: str | None, instant_ms: int | None) -> None:
    """Nanoseconds are cut, offsets count, Go's zero time means none."""
    offer = spec(expiresAt=text)
    assert offer.expires_at_ms == instant_ms
    assert offer.faults == ()


@pytest.mark.parametrize(
    ("sent", "seconds"),
    [
        (1728201600, 1728201600),
        ("1728201600", 1728201600),
        (1728201600.9, 1728201600),
        (10**15, 10**15),
        (-(10**15), -(10**15)),
        (None, None),
    ],
)
def test_a_timestamp_is_a_number_or_a_numeric_string(sent: Any, seconds: int | None) -> None:
    """The fraction is cut, as the aggregator does."""
    assert spec(timestamp=sent).timestamp == seconds
    assert live(timestamp=sent).timestamp == seconds


@pytest.mark.parametrize("sent", ["soon", "", True, [], {}, 10**15 + 1, 10**30, "1e99"])
def test_a_timestamp_that_cannot_be_read_is_not_taken_for_absent(sent: Any) -> None:
    """Absent is accepted by default, so unreadable must be refused."""
    for read in (spec, live):
        with pytest.raises(BadInput, match="timestamp"):
            read(timestamp=sent)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("recipient", "A Person"),
        ("accountIdentifier", 123456789),
        ("memo", 5),
        ("metadata", []),
        ("reference", 5),
        ("expiresAt", 1759759200),
    ],
)
def test_a_wrong_json_type_in_a_spec_offer_is_refused_by_name(field: str, value: Any) -> None:
    """An account number sent as a number has lost its leading zeros."""
    inside = field in {"accountIdentifier", "memo", "metadata"}
    changes = {"recipient": {**SPEC["recipient"], field: value}} if inside else {field: value}
    named = f"recipient.{field}" if inside else field
    with pytest.raises(BadInput) as caught:
        spec(**changes)
    assert str(caught.value.detail).startswith(f"{named} is not ")
