"""Rotation, headers, timestamps and queries around the signature."""

from __future__ import annotations

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.wire.signature import (
    Path,
    Verified,
    accepted_by_aggregator,
    authorization,
    fallback_messages,
    is_fresh,
    query_accepted_by_aggregator,
    query_message,
    sign,
    split_authorization,
    verify_live,
    verify_spec,
)

SECRET, PREVIOUS = "current-secret", "previous-secret"
CLIENT = "3fa85f64-5717-4562-b3fc-2c963f66afa7"
BODY = b'{"b": 1, "a": "x"}'


@pytest.mark.parametrize(("secret", "index"), [(SECRET, 0), (PREVIOUS, 1)])
def test_every_secret_of_a_rotation_is_accepted(secret: str, index: int) -> None:
    """On each path, and the answer says which secret it was."""
    sorted_form, secrets = b'{"a":"x","b":1}', [SECRET, PREVIOUS]
    raw = authorization(CLIENT, secret, BODY)
    moved = authorization(CLIENT, secret, sorted_form)
    assert verify_live(secrets, sign(secret, BODY), BODY) == Verified(Path.RAW, index)
    assert verify_live(secrets, sign(secret, sorted_form), BODY) == Verified(Path.GO_MAP, index)
    assert verify_spec(secrets, CLIENT, raw, BODY) == Verified(Path.RAW, index)
    assert verify_spec(secrets, CLIENT, moved, BODY) == Verified(Path.SORTED_ASCII, index)


def test_an_empty_secret_is_no_key() -> None:
    """An unset previous secret must not let everybody sign; indices count the whole list."""
    assert verify_live(["", SECRET], sign("", BODY), BODY) is None
    assert verify_live([], sign("", BODY), BODY) is None
    assert verify_live(["", SECRET], sign(SECRET, BODY), BODY) == Verified(Path.RAW, 1)
    assert verify_spec([""], CLIENT, authorization(CLIENT, "", BODY), BODY) is None


def test_a_spec_request_must_name_our_client() -> None:
    """A good signature under another name, or under none, is refused."""
    assert verify_spec([SECRET], CLIENT, authorization("other", SECRET, BODY), BODY) is None
    assert verify_spec([SECRET], CLIENT, authorization("", SECRET, BODY), BODY) is None
    assert verify_spec([SECRET], "", authorization("", SECRET, BODY), BODY) is None


@pytest.mark.parametrize(
    "form",
    [
        "hmac {c}:{s}",
        "HMAC  {c}:{s}",
        "HMAC {c}: {s}",
        "HMAC {c} {s}",
        "HMAC{c}:{s}",
        "{c}:{s}",
        "Bearer {s}",
        "HMAC {c}:{s} ",
        "HMAC {c}:{S}",
    ],
)
def test_the_authorization_header_is_read_strictly(form: str) -> None:
    """Scheme in capitals, one blank, the first colon, lower-case hex (contract, 2.1)."""
    signature = sign(SECRET, BODY)
    header = form.format(c=CLIENT, s=signature, S=signature.upper())
    assert verify_spec([SECRET], CLIENT, header, BODY) is None


def test_the_first_blank_and_the_first_colon_split() -> None:
    """What follows them belongs to the client and to the signature."""
    assert split_authorization("HMAC a:b:c") == ("a", "b:c")
    assert split_authorization("HMAC a b:c d") == ("a b", "c d")
    assert split_authorization("HMAC a") is None


def test_html_escaping_is_forgiven_to_a_go_counterpart() -> None:
    """A body sent with a literal < but signed in the Go form."""
    signature = sign(SECRET, b'{"a":"\\u003c"}')
    assert verify_live([SECRET], signature, b'{"a":"<"}') == Verified(Path.GO_MAP, 0)


def test_a_number_beyond_float64_leaves_the_other_paths() -> None:
    """No Go form exists, the sorted form is still tried, and nothing raises."""
    body, sorted_form = b'{"b": 1e400, "a": 1}', b'{"a":1,"b":1e400}'
    header = authorization(CLIENT, SECRET, sorted_form)
    assert verify_spec([SECRET], CLIENT, header, body) == Verified(Path.SORTED_ASCII, 0)
    assert verify_live([SECRET], sign(SECRET, sorted_form), body) is None
    assert accepted_by_aggregator(SECRET, sign(SECRET, body), body) == {Path.RAW}


def test_a_form_that_is_the_body_itself_hides_no_other() -> None:
    """Sent in the sorted form, signed in the Go form."""
    header = authorization(CLIENT, SECRET, b'{"a":50000}')
    assert verify_spec([SECRET], CLIENT, header, b'{"a":50000.0}') == Verified(Path.GO_MAP, 0)


def test_the_forms_have_their_timestamp_as_it_was_sent_unless_asked() -> None:
    """A numeric string becomes a number only in the aggregator's view of the body."""
    body = b'{"timestamp": "5", "a": 1.0}'
    assert fallback_messages(body) == {
        Path.SORTED_ASCII: b'{"a":1.0,"timestamp":"5"}',
        Path.SORTED_UTF8: b'{"a":1.0,"timestamp":"5"}',
        Path.GO_MAP: b'{"a":1,"timestamp":"5"}',
    }
    seen = fallback_messages(body, timestamp_as_number=True)
    assert seen[Path.GO_MAP] == b'{"a":1,"timestamp":5}'


def test_bytes_of_a_secret_that_are_no_utf8_are_its_bytes() -> None:
    """As the environment hands them over."""
    assert sign("k\udcff", b"x") == hmac.new(b"k\xff", b"x", "sha256").hexdigest()


def test_a_signature_that_is_no_text_fits_nothing() -> None:
    """Nothing raises over a lone surrogate."""
    assert accepted_by_aggregator(SECRET, "\udcff", BODY) == frozenset()


@pytest.mark.parametrize("body", [b"", b"[1]", b"null", b"nonsense"])
def test_the_aggregator_refuses_what_is_no_object_before_the_signature(body: bytes) -> None:
    """A right signature does not help such a body (contract, 2.5)."""
    assert accepted_by_aggregator(SECRET, sign(SECRET, body), body) == frozenset()


@pytest.mark.parametrize(("age_s", "fresh"), [(0, True), (300, True), (301, False)])
def test_a_timestamp_is_fresh_for_five_minutes_either_way(age_s: int, fresh: bool) -> None:
    """Exactly 300 s is still accepted; milliseconds are far in the future."""
    now_ms = 1_728_201_600_999
    assert is_fresh(1_728_201_600 - age_s, now_ms) is fresh
    assert is_fresh(1_728_201_600 + age_s, now_ms) is fresh
    assert not is_fresh(now_ms, now_ms)


@pytest.mark.parametrize(
    ("query", "signed"),
    [
        ("a=1&a=2", b'{"a":"1"}'),
        ("?b=2&a=1", b'{"a":"1","b":"2"}'),
        ("a=%zz&b=1", b'{"b":"1"}'),
        ("a=1;b=2&c=3", b'{"c":"3"}'),
        ("a=x+y%2B", b'{"a":"x y+"}'),
        ("a=%E2%82%A6", b'{"a":"\xe2\x82\xa6"}'),
        ("a=%ff", b'{"a":"\\ufffd"}'),
        ("a", b'{"a":""}'),
        ("", b"{}"),
        ("timestamp=1728201600.0", b'{"timestamp":1728201600}'),
        ("timestamp=1_000", b'{"timestamp":"1_000"}'),
        ("timestamp=nan", b'{"timestamp":"nan"}'),
    ],
)
def test_a_query_is_read_as_go_reads_it(query: str, signed: bytes) -> None:
    """First value of a key, broken pairs dropped, only a decimal timestamp a number."""
    assert query_message(query) == signed


def test_a_timestamp_beyond_float64_signs_nothing() -> None:
    """The aggregator cannot turn it into a number, and it stays a string here."""
    assert query_message("timestamp=1e999") == b'{"timestamp":"1e999"}'


@given(st.text(max_size=40), st.text(max_size=80), st.binary(max_size=60), st.text(max_size=30))
def test_verifying_never_raises_and_never_accepts_chance(
    header: str, client: str, body: bytes, query: str
) -> None:
    """Whatever is sent without the secret, the answer is no."""
    assert verify_live([SECRET], header, body) is None
    assert verify_spec([SECRET], client, f"HMAC {client}:{header}", body) is None
    assert accepted_by_aggregator(SECRET, header, body) == frozenset()
    assert not query_accepted_by_aggregator(SECRET, header, query)
