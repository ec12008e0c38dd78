"""Events: authentic or refused, then read without ever raising (processor.md 5)."""

from __future__ import annotations

import json
from typing import Any

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from tidegate.adapters.stripe.webhooks import TOLERANCE_S, StripeEvents
from tidegate.ports.cards import CardEvent, RejectedEvent, Subject

NOW_S = 1_790_000_000
SECRET, OLD = "whsec_current0123", "whsec_before0123"
EVENTS = StripeEvents([SECRET, OLD, ""], live=False)


def event(kind: str, thing: object, **changes: object) -> bytes:
    tree = {
        "id": "evt_1",
        "object": "event",
        "type": kind,
        "created": NOW_S,
        "livemode": False,
        "data": {"object": thing},
        **changes,
    }
    return json.dumps(tree).encode()


INTENT = {"id": "pi_1", "object": "payment_intent", "metadata": {"tidegate_payment": "pay_1"}}
RAW = event("payment_intent.succeeded", INTENT)


def signed(raw: bytes, secret: str = SECRET, at_s: int = NOW_S) -> str:
    """The header as Stripe's own library makes it."""
    make: Any = stripe.WebhookSignature.generate_signature_header
    header: str = make(raw.decode(), secret, timestamp=at_s)
    return header


def read(header: str, raw: bytes = RAW, now_s: float = NOW_S) -> CardEvent | RejectedEvent:
    return EVENTS.read({"STRIPE-signature": header}, raw, round(now_s * 1000))


@pytest.mark.parametrize("secret", [SECRET, OLD])
def test_either_secret_of_a_rotation_signs(secret: str) -> None:
    assert isinstance(read(signed(RAW, secret)), CardEvent)


def test_one_fitting_signature_among_several_is_enough() -> None:
    time, fitting = signed(RAW).split(",")
    assert isinstance(read(f"{time},v1={'0' * 64},v0=junk,{fitting},v1={'f' * 64}"), CardEvent)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=,v1=",
        signed(RAW).split(",")[0],
        signed(RAW).split(",")[1],
        signed(RAW).replace("v1=", "v0="),
        signed(RAW).replace("v1=", "v1=é"),
        signed(RAW).replace("t=", "t=-"),
        "t=1," + signed(RAW),
        signed(RAW, "whsec_other"),
        signed(RAW, ""),
        signed(RAW + b" "),
        signed(RAW).upper(),
    ],
)
def test_any_other_signature_is_refused_and_not_authentic(header: str) -> None:
    refused = read(header)
    assert isinstance(refused, RejectedEvent)
    assert not refused.authentic


def test_no_header_is_refused() -> None:
    assert isinstance(EVENTS.read({}, RAW, NOW_S * 1000), RejectedEvent)


@pytest.mark.parametrize("away_s", [-TOLERANCE_S, 0, TOLERANCE_S])
def test_our_clock_may_be_five_minutes_off_either_way(away_s: int) -> None:
    assert isinstance(read(signed(RAW), now_s=NOW_S + away_s), CardEvent)


@pytest.mark.parametrize("away_s", [-TOLERANCE_S - 0.001, TOLERANCE_S + 0.001])
def test_beyond_that_it_is_a_replay_or_a_wrong_clock(away_s: float) -> None:
    refused = read(signed(RAW), now_s=NOW_S + away_s)
    assert isinstance(refused, RejectedEvent)
    assert not refused.authentic


def test_bytes_that_are_no_utf8_are_compared_as_bytes() -> None:
    refused = read(signed(RAW), raw=RAW + b"\xff")
    assert isinstance(refused, RejectedEvent)
    assert not refused.authentic


def test_an_event_of_the_other_environment_is_authentic_and_refused() -> None:
    raw = event("payment_intent.succeeded", INTENT, livemode=True)
    refused = read(signed(raw), raw)
    assert isinstance(refused, RejectedEvent)
    assert refused.authentic
    live = StripeEvents([SECRET], live=True)
    assert isinstance(live.parse(raw), CardEvent)
    for word in (False, None, "true", 1):
        assert isinstance(live.parse(event("a", {}, livemode=word)), RejectedEvent)


CHARGE = {"id": "ch_1", "payment_intent": "pi_1", "metadata": {"tidegate_payment": "pay_1"}}
REFUND = {"id": "re_1", "payment_intent": {"id": "pi_1"}, "metadata": {"tidegate_refund": "re_o"}}
DISPUTE = {"id": "dp_1", "payment_intent": "pi_1", "charge": "ch_1"}


@pytest.mark.parametrize(
    ("kind", "thing", "subject", "ids"),
    [
        ("payment_intent.succeeded", INTENT, Subject.PAYMENT, ("pi_1", "pi_1", "pay_1", None)),
        ("payment_intent.brand_new", INTENT, Subject.PAYMENT, ("pi_1", "pi_1", "pay_1", None)),
        ("charge.updated", CHARGE, Subject.PAYMENT, ("ch_1", "pi_1", "pay_1", None)),
        ("charge.refunded", CHARGE, Subject.PAYMENT, ("ch_1", "pi_1", "pay_1", None)),
        ("charge.refund.updated", REFUND, Subject.REFUND, ("re_1", "pi_1", None, "re_o")),
        ("refund.failed", REFUND, Subject.REFUND, ("re_1", "pi_1", None, "re_o")),
        ("charge.dispute.created", DISPUTE, Subject.DISPUTE, ("dp_1", "pi_1", None, None)),
        ("customer.created", {"id": "cus_1"}, Subject.OTHER, ("cus_1", None, None, None)),
        ("charge.updated", None, Subject.PAYMENT, (None, None, None, None)),
    ],
)
def test_an_event_names_what_it_is_about(
    kind: str, thing: object, subject: Subject, ids: tuple[str | None, ...]
) -> None:
    found = EVENTS.parse(event(kind, thing))
    assert isinstance(found, CardEvent)
    assert (found.id, found.type, found.created_ms) == ("evt_1", kind, NOW_S * 1000)
    assert found.subject is subject
    assert (found.reference, found.intent, found.payment_id, found.refund_id) == ids


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"[" * 200_000,
        b'{"id":' + b"9" * 5000 + b"}",
        event("a", {}, id=None),
        event("a\x00b", {}),
        event("a", {}, created=10**40),
        event("a", {}, created=True),
    ],
)
def test_what_is_no_event_is_refused_as_authentic(raw: bytes) -> None:
    refused = EVENTS.parse(raw)
    assert isinstance(refused, RejectedEvent)
    assert refused.authentic


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
_NAMES = st.sampled_from(["id", "type", "created", "livemode", "data"])
_INNER = st.sampled_from(["id", "object", "payment_intent", "metadata", "status"])
_KINDS = st.sampled_from(["payment_intent.x", "charge.x", "refund.x", "charge.dispute.x", "y"])


@given(_KINDS, st.dictionaries(_INNER, _JSON), st.dictionaries(_NAMES, _JSON, max_size=2))
def test_no_event_raises(kind: str, thing: dict[str, Any], changes: dict[str, Any]) -> None:
    found = EVENTS.parse(event(kind, thing, **changes))
    assert isinstance(found, CardEvent | RejectedEvent)
    if isinstance(found, CardEvent):
        texts = (found.id, found.type, found.reference, found.intent, found.payment_id)
        for text in texts:
            assert text is None or text.isascii()


@given(st.binary(max_size=200), st.text(max_size=200))
def test_no_bytes_and_no_header_raise(raw: bytes, header: str) -> None:
    assert isinstance(read(header, raw), RejectedEvent)
    EVENTS.parse(raw)
