"""Reading what the aggregator sends, in both dialects."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import BadInput
from tidegate.money import Money, parse_currency
from tidegate.wire.canonical import parse_object
from tidegate.wire.dialect import Dialect
from tidegate.wire.inbound import (
    Offer,
    parse_live_offer,
    parse_order_id,
    parse_spec_offer,
    parse_tx_status,
    parse_verify_account,
)

ORDER = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
NGN = parse_currency("NGN")
LIVE = {"amount": "75375", "currency": "NGN", "institution": "ABNGNGLA", "orderId": ORDER}
SPEC: dict[str, Any] = {
    "orderId": ORDER,
    "amount": 50000.0,
    "currency": "NGN",
    "token": "DAI",
    "tokenAmount": 0.5,
    "network": "base-sepolia",
    "recipient": {
        "institution": "ABNGNGLA",
        "accountIdentifier": "0123456789",
        "accountName": "A Person",
        "memo": "x",
        "metadata": {"channel": "till", "businessNumber": 247247},
    },
    "reference": "ORDER-1",
    "expiresAt": "2025-10-06T14:00:00Z",
    "timestamp": 1728201600,
}


def live(**changes: Any) -> Offer:
    return parse_live_offer(parse_object(json.dumps({**LIVE, **changes}).encode()))


def spec(**changes: Any) -> Offer:
    return parse_spec_offer(parse_object(json.dumps({**SPEC, **changes}).encode()))


def test_a_live_offer() -> None:
    """Four strings; what is absent has its meaning: payout, nobody excluded, no recipient."""
    assert live() == Offer(
        dialect=Dialect.LIVE,
        order_id=ORDER,
        amount_token="75375",
        currency="NGN",
        institution="ABNGNGLA",
        money=Money(7_537_500, NGN),
    )
    assert live().direction == "payout"


def test_a_live_offer_with_exclusions_and_direction() -> None:
    """The names of the PSPs not to be used, and a payin recognised as such."""
    offer = live(excludePsps=["lenco", "korapay"], direction="payin")
    assert offer.exclude_psps == ("lenco", "korapay")
    assert offer.direction == "payin"
    assert offer.faults == ()
    assert live(excludePsps=None, direction=None).faults == ()


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"amount": "abc"}, "amount: INVALID_AMOUNT"),
        ({"amount": "-5"}, "amount: INVALID_AMOUNT"),
        ({"amount": "1.005"}, "amount: INVALID_AMOUNT"),
        ({"amount": None}, "amount: missing"),
        ({"amount": ""}, "amount: missing"),
        ({"currency": "XXX"}, "currency: UNSUPPORTED_CURRENCY"),
        ({"currency": "naira"}, "currency: UNSUPPORTED_CURRENCY"),
        ({"currency": None}, "currency: missing"),
        ({"institution": None}, "institution: missing"),
        ({"institution": "AB\0"}, "institution: unreadable"),
        ({"direction": "sideways"}, "direction: unknown"),
    ],
)
def test_an_unusable_field_of_a_live_offer_is_carried_and_named(
    changes: dict[str, Any], fault: str
) -> None:
    """The offer is kept as it came; money is there only if amount and currency are usable."""
    offer = live(**changes)
    assert offer.faults == (fault,)
    assert offer.order_id == ORDER
    assert (offer.money is None) is fault.startswith(("amount", "currency"))
    if changes.get("amount"):
        assert offer.amount_token == changes["amount"]


@pytest.mark.parametrize(
    ("amount", "minor"),
    [
        ("75375.00000000001", 7_537_500),
        ("75374.99999999999", 7_537_500),
        ("0.30000000000000004", 30),
        ("736.15", 73_615),
        ("736.155", None),
        ("75375.001", None),
        ("75375.0000001", None),
        ("123456789012", 12_345_678_901_200),
    ],
)
def test_a_spec_amount_is_a_float_to_its_fifteen_digits(amount: str, minor: int | None) -> None:
    """Noise is dropped, a fraction of a minor unit is refused, whole numbers stay what they are."""
    body = json.dumps({**SPEC, "amount": 77777}).replace("77777", amount)
    offer = parse_spec_offer(parse_object(body.encode()))
    assert offer.amount_token == amount
    assert (offer.money.minor if offer.money else None) == minor


@pytest.mark.parametrize("field", ["amount", "currency", "recipient"])
def test_without_its_main_fields_a_spec_offer_is_none(field: str) -> None:
    """It is refused by name, and nothing of it is kept."""
    with pytest.raises(BadInput, match=f"{field}: missing"):
        spec(**{field: None})


def test_no_text_that_is_carried_holds_a_nul() -> None:
    """A database refuses U+0000, and an authentic offer must be kept."""
    offer = live(institution="A\0", amount="1\0", direction="x\0", excludePsps=["p\0"])
    assert "\\x00" not in repr(offer)
    assert offer.institution == "A\ufffd"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amount", True),
        ("amount", []),
        ("currency", 5),
        ("institution", {}),
        ("direction", 1),
        ("excludePsps", "lenco"),
        ("excludePsps", [1]),
    ],
)
def test_a_wrong_json_type_in_a_live_offer_is_refused_by_name(field: str, value: Any) -> None:
    """Nothing of such an offer is kept, and the refusal says which field it was."""
    with pytest.raises(BadInput, match=field):
        live(**{field: value})


@pytest.mark.parametrize(
    "order_id",
    [None, "", 5, True, "a/b", "a b", "\u00e9", "x" * 65, ".", "..", "a\n", "a?b", "%2e"],
)
def test_without_a_usable_order_id_nothing_is_kept(order_id: Any) -> None:
    """The id goes into the paths of our calls, where dots alone would climb."""
    with pytest.raises(BadInput, match="order id"):
        live(orderId=order_id)
    with pytest.raises(BadInput, match="order id"):
        spec(orderId=order_id)


def test_order_ids_are_usually_uuids_but_need_not_be() -> None:
    """Any 64 harmless characters."""
    for order_id in (ORDER, "x" * 64, "A.b_c-9"):
        assert parse_order_id(order_id) == order_id


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"currency": "NGN", "reference": ORDER}, (ORDER, "NGN", "", "")),
        (
            {"currency": "NGN", "psp": "lenco", "reference": ORDER, "txId": "T"},
            (ORDER, "NGN", "lenco", "T"),
        ),
        (
            {"currency": "NGN", "psp": "lenco", "orderId": ORDER, "txId": "T"},
            (ORDER, "NGN", "lenco", "T"),
        ),
        ({"reference": "", "orderId": ORDER, "psp": None, "txId": 5}, (ORDER, "", "", "")),
        ({"reference": ORDER, "psp": "a\0b"}, (ORDER, "", "a\ufffdb", "")),
    ],
)
def test_a_status_question_names_its_order_in_either_field(
    message: dict[str, Any], expected: tuple[str, str, str, str]
) -> None:
    """All three shapes; a field of an odd type is read as empty, never refused."""
    query = parse_tx_status(parse_object(json.dumps(message).encode()))
    assert (query.order_id, query.currency, query.psp, query.tx_id) == expected


def test_a_status_question_without_an_order_is_refused() -> None:
    """There is nothing that could be answered."""
    with pytest.raises(BadInput):
        parse_tx_status({"currency": "NGN"})


def test_an_account_check_needs_both_texts() -> None:
    """Institution and account, as strings."""
    query = parse_verify_account({"accountIdentifier": "0123456789", "institution": "ABNGNGLA"})
    assert (query.institution, query.account_identifier) == ("ABNGNGLA", "0123456789")
    for message in ({"institution": "ABNGNGLA"}, {"accountIdentifier": "1"}):
        with pytest.raises(BadInput, match="missing"):
            parse_verify_account(message)


NAMES = sorted({*LIVE, *SPEC, "direction", "excludePsps", "reference", "txId", "psp"})
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["NGN", ORDER, "1", "2025-10-06T14:00:00+23:59"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["institution", "accountIdentifier", "memo"]), inner)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(NAMES), VALUES))
def test_no_message_raises_anything_but_bad_input(message: dict[str, Any]) -> None:
    """And every offer that is read keeps its amount verbatim."""
    parsed = parse_object(json.dumps(message).encode())
    for parse in (parse_live_offer, parse_spec_offer, parse_tx_status, parse_verify_account):
        try:
            result = parse(parsed)
        except BadInput:
            continue
        if isinstance(result, Offer):
            assert result.order_id == message["orderId"]
            assert (result.money is None) == any(
                fault.startswith(("amount", "currency")) for fault in result.faults
            )
