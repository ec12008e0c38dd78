"""Explaining a signature."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.wire.canonical import go_json, parse_object
from tidegate.wire.explain import Explanation, Outcome, explain
from tidegate.wire.signature import authorization, query_message, sign

SECRET = "bm90LWEtcmVhbC1zZWNyZXQtMzItYnl0ZXMtbG9uZyE="
CLIENT = "3fa85f64-5717-4562-b3fc-2c963f66afa7"
NOW_MS = 1_728_201_600_000
BODY = b'{"timestamp":1728201600}'
SPACED = b'{"timestamp": 1728201600}'


def run(**changes: Any) -> Explanation:
    given: dict[str, Any] = {
        "method": "POST",
        "body": BODY,
        "query": "",
        "header": authorization(CLIENT, SECRET, BODY),
        "secrets": [SECRET],
        "now_ms": NOW_MS,
        "client_id": CLIENT,
    }
    return explain(**{**given, **changes})


def outcomes(explanation: Explanation) -> dict[str, Outcome]:
    return {check.name: check.outcome for check in explanation.checks}


def test_a_good_request_passes_everywhere() -> None:
    """Every check passed, every party accepts, nothing to hint at."""
    found = run()
    assert set(outcomes(found).values()) == {Outcome.PASSED}
    assert found.accepted_by == {
        "aggregator": ("go_map", "raw"),
        "node (live)": ("raw",),
        "node (spec)": ("raw",),
    }
    assert found.timestamp_age_s == 0
    assert found.hints == ()


def test_the_forms_show_the_bytes_and_their_signatures() -> None:
    """Each path with its exact bytes; the one that was signed is marked."""
    found = run(body=SPACED)
    forms = {form.path: form for form in found.forms}
    assert bytes.fromhex(forms["raw"].hex) == SPACED
    assert forms["raw"].text == repr(SPACED)[1:]
    assert bytes.fromhex(forms["go_map"].hex) == BODY
    assert forms["go_map"].signatures == (sign(SECRET, BODY),)
    matching = [path for path, form in forms.items() if form.matches]
    assert matching == ["sorted_ascii", "sorted_utf8", "go_map"]


def decoded_key_signature() -> str:
    key = base64.urlsafe_b64decode(SECRET)
    return hmac.new(key, BODY, hashlib.sha256).hexdigest()


MOVED = "Other bytes were sent than signed: blanks, key order or escapes differ."
PLAIN = "The body is not in canonical form: an aggregator that checks only that refuses it."
CASE = "The signature fits but for its case: send lower-case hex."
EARLIER = "It was made with an earlier secret, not with the current one."
AROUND = "It was made with blanks or a line end around the secret, or without them."
DECODED = "It was made with the base64-decoded secret; the text itself is the key."
EMPTY = "It is the signature of zero bytes, but there is a body."
OLD = "The timestamp is too old: stamp and sign each try anew, and check the clock."
AHEAD = "The timestamp is in the future; such a request can be replayed until then."
MILLISECONDS = "The timestamp looks like milliseconds; it must be Unix seconds."
STRING = "The timestamp is a string; the aggregator reads it as a number before it signs."
LINE_END = "The body that was signed differs in a blank or line end around it."
SIGNED_STRING = "The timestamp was signed as a string; it must be a number."


@pytest.mark.parametrize(
    ("changes", "hints"),
    [
        ({"body": SPACED}, (MOVED,)),
        ({"body": SPACED, "header": sign(SECRET, SPACED)}, (PLAIN,)),
        ({"secrets": ["new", SECRET]}, (EARLIER,)),
        ({"header": sign(SECRET + "\n", BODY)}, (AROUND,)),
        ({"secrets": [f" {SECRET}"]}, (AROUND,)),
        ({"header": decoded_key_signature()}, (DECODED,)),
        ({"body": BODY + b"x", "header": sign(SECRET, b"")}, (EMPTY,)),
        ({"body": BODY, "header": sign("another", BODY)}, ()),
        ({"now_ms": NOW_MS + 300_000}, ()),
        ({"now_ms": NOW_MS + 301_000}, (OLD,)),
        ({"now_ms": NOW_MS - 300_000}, ()),
        ({"now_ms": NOW_MS - 301_000}, (AHEAD,)),
        ({"body": b'{"timestamp":1728201600000}'}, (MILLISECONDS,)),
        ({"body": b'{"timestamp":100000000000}'}, (MILLISECONDS,)),
        ({"body": b'{"timestamp":99999999999}'}, (AHEAD,)),
        ({"body": b'{"timestamp":"1728201600"}'}, (STRING, MOVED)),
        ({"body": b"[1]\n", "header": sign(SECRET, b"[1]")}, (LINE_END,)),
        ({"body": b"[1]", "header": sign(SECRET, b"[1]\n")}, (LINE_END,)),
        (
            {
                "method": "GET",
                "query": "timestamp=1728201600",
                "header": sign(SECRET, b'{"timestamp":"1728201600"}'),
            },
            (SIGNED_STRING,),
        ),
    ],
)
def test_a_mistake_gets_its_hint_and_no_other(
    changes: dict[str, Any], hints: tuple[str, ...]
) -> None:
    """Each guess was tried out against the signature before it is given."""
    assert run(**changes).hints == hints


def test_a_signature_in_capitals_gets_its_hint_first() -> None:
    """It would fit in lower case."""
    assert run(header=sign(SECRET, BODY).upper()).hints == (CASE,)


@pytest.mark.parametrize("method", ["get", "GET", "delete"])
def test_a_get_is_judged_by_its_query(method: str) -> None:
    """The body is not looked at."""
    query = "currency=NGN&timestamp=1728201600"
    found = run(
        method=method,
        body=b"ignored",
        query=query,
        header=f"Authorization: {authorization(CLIENT, SECRET, query_message(query))}",
    )
    assert found.accepted_by == {"aggregator": ("go_map",)}
    assert outcomes(found)["signature"] is Outcome.PASSED
    assert found.timestamp_age_s == 0
    assert [form.path for form in found.forms] == ["go_map"]
    refused = run(method=method, query=query, header=sign("another", query_message(query)))
    assert refused.accepted_by == {"aggregator": ()}


def test_the_aggregators_view_of_a_string_timestamp_is_shown() -> None:
    """It signs a number where the body has a string."""
    body = b'{"timestamp":"1728201600"}'
    found = run(body=body, header=authorization(CLIENT, SECRET, BODY))
    assert found.accepted_by["aggregator"] == ("go_map",)
    assert found.accepted_by["node (live)"] == ()
    assert outcomes(found)["signature"] is Outcome.PASSED


@pytest.mark.parametrize(
    "changes",
    [
        {"header": f"HMAC {SECRET}:{sign(SECRET, BODY)}"},
        {"client_id": SECRET},
        {"body": go_json({"reason": SECRET, "timestamp": 1728201600})},
        {"method": "GET", "query": f"search={SECRET.replace('=', '%3D')}&timestamp=1"},
        {"secrets": ["new-secret-of-ours", SECRET]},
    ],
)
def test_the_secret_never_appears(changes: dict[str, Any]) -> None:
    """Not even when it stands where the client id or a reason belongs."""
    found = run(**changes)
    shown = repr(found)
    assert SECRET not in shown
    assert SECRET.encode().hex() not in shown
    assert "new-secret-of-ours" not in shown


@given(
    st.sampled_from(["GET", "POST", "?"]),
    st.binary(max_size=40) | st.just(BODY),
    st.text(max_size=30),
    st.text(max_size=80),
)
def test_explaining_never_raises(method: str, body: bytes, query: str, header: str) -> None:
    """Whatever the request is, there is something to say about it."""
    found = run(method=method, body=body, query=query, header=header)
    assert len(found.checks) == 5
    assert not any(form.matches for form in found.forms)


def test_the_shown_canonical_form_is_the_real_one() -> None:
    """Markup appears as the escapes that were signed."""
    body = b'{"reason":"A<B>","timestamp":1728201600}'
    forms = {form.path: form for form in run(body=body).forms}
    assert bytes.fromhex(forms["go_map"].hex) == go_json(parse_object(body))
    assert "u003c" in forms["go_map"].text
