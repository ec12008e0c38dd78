"""What we sign the aggregator verifies, what it signs we verify, and nothing else passes.

The other side is :mod:`tests.properties.counterpart`, written from the contract alone.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tests.properties import counterpart
from tests.properties.json_bodies import OBJECTS, TEXTS, any_body, spellings
from tidegate.errors import InvalidAmount, UnreadableBody
from tidegate.money import Money, parse_currency
from tidegate.wire.canonical import go_json, parse_object
from tidegate.wire.outbound import (
    BalanceReport,
    ValidationStatus,
    accept_body,
    balance_body,
    balances_spec_body,
    cancel_body,
    decline_body,
    fulfil_body,
    fulfil_spec_body,
)
from tidegate.wire.signature import (
    Path,
    authorization,
    query_message,
    sign,
    verify_live,
    verify_spec,
)

SECRET = "c2VjcmV0IHRleHQgdXNlZCBhcyBpdCBzdGFuZHMh00="
OLD = "b2xkZXIgc2VjcmV0IHRleHQgdXNlZCBhcyBpdCBzdGE="
CLIENT = "11111111-2222-3333-4444-555555555555"
NOW_S = 1_728_201_600
NGN = parse_currency("NGN")

amounts = st.integers(0, 10**15 - 1).map(lambda minor: Money(minor, NGN))
reports = st.builds(BalanceReport, amounts, amounts, amounts)
names = st.text(min_size=1, max_size=12)
our_bodies = st.one_of(
    st.just(accept_body(NOW_S)),
    st.builds(decline_body, st.text(max_size=20), st.just(NOW_S)),
    st.builds(cancel_body, st.text(max_size=20).map(lambda text: f"x{text}"), st.just(NOW_S)),
    st.builds(
        fulfil_body, names, names, st.sampled_from(ValidationStatus), st.text(), st.just(NOW_S)
    ),
    st.builds(fulfil_spec_body, names, st.just(NOW_S)),
    st.builds(balance_body, reports, st.just(NOW_S)),
    st.builds(balances_spec_body, st.lists(reports, max_size=3), st.just(NOW_S)),
)


def form_of(body: bytes) -> bytes | None:
    """The counterpart's canonical form, ``None`` for what it cannot read."""
    try:
        return counterpart.marshal(counterpart.unmarshal(body))
    except counterpart.NotJson:
        return None


@given(any_body() | OBJECTS.flatmap(spellings))
def test_both_sides_write_the_same_canonical_form(body: bytes) -> None:
    """Byte for byte, for every spelling; what one of the two cannot read the other cannot."""
    try:
        ours: bytes | None = go_json(parse_object(body))
    except UnreadableBody:
        ours = None
    assert ours == form_of(body)


@given(our_bodies)
def test_the_aggregator_accepts_what_we_sign(body: bytes) -> None:
    """Over the bytes (LIVE) and over the map (FORK), with any text and figure in them."""
    header = authorization(CLIENT, SECRET, body)
    for fork in (False, True):
        assert counterpart.accepts_post(SECRET, CLIENT, header, body, NOW_S, fork=fork)
        assert not counterpart.accepts_post(OLD, CLIENT, header, body, NOW_S, fork=fork)


@given(st.lists(st.tuples(st.text(max_size=6), st.text(max_size=6)), max_size=4))
def test_the_aggregator_accepts_the_queries_we_sign(pairs: list[tuple[str, str]]) -> None:
    """Whatever stands in the query and however often, with the timestamp as text."""
    assume(all(name != "timestamp" for name, _ in pairs))
    query = urlencode([*pairs, ("timestamp", str(NOW_S))], errors="replace")
    header = authorization(CLIENT, SECRET, query_message(query))
    assert counterpart.accepts_get(SECRET, CLIENT, header, query, NOW_S)


@example("\u1ecc&%a2")
@given(st.text("ab%+=&;2fF\u1ecc", max_size=16))
def test_odd_queries_are_read_as_go_reads_them(query: str) -> None:
    """Semicolons, broken escapes and bytes that are no UTF-8 change nothing about who is right."""
    whole = f"{query}&timestamp={NOW_S}"
    header = authorization(CLIENT, SECRET, query_message(whole))
    assert counterpart.accepts_get(SECRET, CLIENT, header, whole, NOW_S)


@given(OBJECTS, st.data())
def test_we_verify_what_the_aggregator_signs(value: dict[str, Any], data: st.DataObject) -> None:
    """LIVE sends the bytes it signed; FORK signs the map and sends some other spelling of it."""
    body = data.draw(spellings(value))
    form = form_of(body)
    assert form is not None
    signature = counterpart.sign(SECRET, form)
    found = verify_live([SECRET], signature, form)
    assert found is not None
    assert found.path is Path.RAW
    found = verify_live([OLD, "", SECRET], signature, body)
    assert found is not None
    assert found.secret_index == 2
    assert verify_live([OLD, ""], signature, body) is None
    assert verify_live([SECRET], signature.upper(), body) is None or signature.isdigit()


@given(OBJECTS, st.booleans())
def test_we_verify_what_the_documented_sample_signs(value: dict[str, Any], escapes: bool) -> None:
    """SPEC: sorted and compact under the signature, in the order and spacing of chance sent."""
    signed = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=escapes)
    sent = json.dumps(value, ensure_ascii=not escapes, indent=1).encode()
    header = f"HMAC {CLIENT}:{counterpart.sign(SECRET, signed.encode())}"
    assert verify_spec([SECRET], CLIENT, header, sent) is not None
    assert verify_spec([SECRET], f"{CLIENT}0", header, sent) is None
    assert verify_spec([OLD], CLIENT, header, sent) is None


@given(our_bodies, st.data())
def test_no_byte_of_ours_can_be_changed(body: bytes, data: st.DataObject) -> None:
    """One other byte, and the aggregator refuses, unless it spells the very same message."""
    header = authorization(CLIENT, SECRET, body)
    changed = data.draw(with_one_other_byte(body))
    fits = counterpart.accepts_post(SECRET, CLIENT, header, changed, NOW_S)
    assert fits == (form_of(changed) == body)


@given(OBJECTS, st.data())
def test_no_byte_of_theirs_can_be_changed(value: dict[str, Any], data: st.DataObject) -> None:
    """Nor added or left out: what passes has the form that was signed, and so the same meaning."""
    form = form_of(data.draw(spellings(value)))
    assert form is not None
    signature = counterpart.sign(SECRET, form)
    at = data.draw(st.integers(0, len(form)))
    for changed in (
        data.draw(with_one_other_byte(form)),
        form[:at] + data.draw(st.binary(min_size=1, max_size=1)) + form[at:],
        form[:at] + form[at + 1 :],
    ):
        same = changed == form or form_of(changed) == form
        assert (verify_live([SECRET], signature, changed) is not None) == same
        header = f"HMAC {CLIENT}:{signature}"
        assert (verify_spec([SECRET], CLIENT, header, changed) is not None) == same


@given(st.sampled_from(range(64)), st.sampled_from("0123456789abcdef"))
def test_no_digit_of_a_signature_can_be_changed(at: int, digit: str) -> None:
    """Nor can one be left out."""
    body = accept_body(NOW_S)
    right = sign(SECRET, body)
    wrong = right[:at] + digit + right[at + 1 :]
    assert (verify_live([SECRET], wrong, body) is None) == (wrong != right)
    assert verify_live([SECRET], right[:at] + right[at + 1 :], body) is None


def test_a_timestamp_grows_old_on_their_side() -> None:
    """Exactly five minutes still pass, a second more does not."""
    body = accept_body(NOW_S)
    header = authorization(CLIENT, SECRET, body)
    assert counterpart.accepts_post(SECRET, CLIENT, header, body, NOW_S + 300)
    assert not counterpart.accepts_post(SECRET, CLIENT, header, body, NOW_S + 301)


@given(TEXTS, st.integers(10**15, 2**53 - 1))
def test_a_figure_is_sent_right_or_not_at_all(reason: str, minor: int) -> None:
    """Beyond fifteen digits a float64 may not hold it: then it is refused before it is signed."""
    money = Money(minor, NGN)
    try:
        body = balances_spec_body([BalanceReport(money, money, money)], NOW_S)
    except InvalidAmount:
        return
    (sent,) = counterpart.unmarshal(body)["balances"]
    assert Decimal(repr(sent["total"])) * 100 == minor


def with_one_other_byte(body: bytes) -> st.SearchStrategy[bytes]:
    """The body with any one of its bytes replaced by any other."""
    return st.builds(
        lambda at, by: body[:at] + bytes([body[at] ^ by]) + body[at + 1 :],
        st.integers(0, len(body) - 1),
        st.integers(1, 255) | st.just(0x20),
    )


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        (b'{"a":1e+21}', b'{"a":1E+21}'),
        (b'{"a":"\\u003c"}', b'{"a":"\\u003C"}'),
        (b'{"a":"\xef\xbf\xbd"}', b'{"a":"\xed\xbf\xbd"}'),
    ],
)
def test_only_another_spelling_of_the_same_message_passes(body: bytes, changed: bytes) -> None:
    """What the property above allows does occur, in exponents, in hex and in replaced bytes."""
    passes = verify_live([SECRET], counterpart.sign(SECRET, body), changed) is not None
    assert passes == (form_of(changed) == body)
