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


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"body": SPACED}, "Other bytes were sent"),
        ({"body": SPACED, "header": sign(SECRET, SPACED)}, "not in canonical form"),
        ({"header": sign(SECRET, BODY).upper()}, "lower-case hex"),
        ({"secrets": ["new", SECRET]}, "earlier secret"),
        ({"header": sign(SECRET + "\n", BODY)}, "around the secret"),
        ({"header": decoded_key_signature()}, "base64-decoded"),
        ({"body": BODY + b"x", "header": sign(SECRET, b"")}, "zero bytes"),
        ({"now_ms": NOW_MS + 301_000}, "too old"),
        ({"now_ms": NOW_MS - 301_000}, "in the future"),
        ({"body": b'{"timestamp":1728201600000}'}, "milliseconds"),
        ({"body": b'{"timestamp":"1728201600"}'}, "is a string"),
        ({"body": b"[1]\n", "header": sign(SECRET, b"[1]")}, "line end around it"),
        (
            {
                "method": "GET",
                "query": "timestamp=1728201600",
                "header": sign(SECRET, b'{"timestamp":"1728201600"}'),
            },
            "signed as a string",
        ),
    ],
)
def test_a_mistake_gets_its_hint(changes: dict[str, Any], hint: str) -> None:
    """Each guess was tried out against the signature before it is given."""
    assert any(hint in sentence for sentence in run(**changes).hints)


@pytest.mark.parametrize(
    ("changes", "name", "outcome"),
    [
        ({"header": ""}, "header", Outcome.FAILED),
        ({"header": "HMAC x:short"}, "header", Outcome.FAILED),
        ({"header": sign(SECRET, BODY).upper()}, "header", Outcome.FAILED),
        ({"client_id": "other"}, "client id", Outcome.FAILED),
        ({"client_id": None}, "client id", Outcome.SKIPPED),
        ({"header": sign(SECRET, BODY)}, "client id", Outcome.SKIPPED),
        ({"body": b""}, "body", Outcome.FAILED),
        ({"body": b"[1]"}, "body", Outcome.FAILED),
        ({"body": b"[1]"}, "timestamp", Outcome.SKIPPED),
        ({"body": b"{}"}, "timestamp", Outcome.FAILED),
        ({"body": b'{"timestamp":"soon"}'}, "timestamp", Outcome.FAILED),
        ({"body": b"{}", "header": sign(SECRET, b"{}")}, "timestamp", Outcome.SKIPPED),
        ({"now_ms": NOW_MS + 300_000}, "timestamp", Outcome.PASSED),
        ({"now_ms": NOW_MS + 301_000}, "timestamp", Outcome.FAILED),
        ({"secrets": ["another"]}, "signature", Outcome.FAILED),
        ({"secrets": ["", ""]}, "signature", Outcome.SKIPPED),
    ],
)
def test_a_check_fails_for_its_own_reason(
    changes: dict[str, Any], name: str, outcome: Outcome
) -> None:
    """The list names which of the steps would refuse the request."""
    assert outcomes(run(**changes))[name] is outcome


def test_a_get_is_judged_by_its_query() -> None:
    """The body is not looked at."""
    query = "currency=NGN&timestamp=1728201600"
    found = run(
        method="get",
        body=b"ignored",
        query=query,
        header=f"Authorization: {authorization(CLIENT, SECRET, query_message(query))}",
    )
    assert found.accepted_by == {"aggregator": ("go_map",)}
    assert outcomes(found)["signature"] is Outcome.PASSED
    assert [form.path for form in found.forms] == ["go_map"]


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
