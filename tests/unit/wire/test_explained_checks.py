"""The checks of an explanation: each says what it found, and fails for its own reason."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.wire.test_explain import BODY, CLIENT, NOW_MS, SECRET, SPACED, run
from tidegate.wire.explain import Outcome
from tidegate.wire.signature import authorization, sign

PASSED, FAILED, SKIPPED = Outcome.PASSED, Outcome.FAILED, Outcome.SKIPPED
BARE = sign(SECRET, BODY)


@pytest.mark.parametrize(
    ("changes", "name", "outcome", "detail"),
    [
        ({}, "header", PASSED, "Read as HMAC <client>:<signature>."),
        ({"header": BARE}, "header", PASSED, "Read as a bare signature."),
        (
            {"header": f"x-request-SIGNATURE : {BARE} "},
            "header",
            PASSED,
            "Read as a bare signature.",
        ),
        ({"header": ""}, "header", FAILED, "There is no signature."),
        (
            {"header": "HMAC x:short"},
            "header",
            FAILED,
            "Read as HMAC <client>:<signature>; not 64 hex digits.",
        ),
        (
            {"header": f"Authorization: Authorization: {BARE}"},
            "header",
            FAILED,
            "Read as a bare signature; not 64 hex digits.",
        ),
        (
            {"header": BARE.upper()},
            "header",
            FAILED,
            "Read as a bare signature; the hex is not lower case.",
        ),
        ({}, "client id", PASSED, f"Names {CLIENT}."),
        ({"client_id": "other"}, "client id", FAILED, f"Names {CLIENT}, ours is other."),
        ({"client_id": None}, "client id", SKIPPED, f"Names {CLIENT}; ours was not given."),
        ({"header": BARE}, "client id", SKIPPED, "A bare signature names no client."),
        ({}, "body", PASSED, "A JSON object in 24 bytes."),
        (
            {"body": b""},
            "body",
            FAILED,
            "The body is empty: the aggregator refuses it before the HMAC.",
        ),
        (
            {"body": b"[1]"},
            "body",
            FAILED,
            "The body is no JSON object: the aggregator refuses it before the HMAC.",
        ),
        ({"method": "GET"}, "body", SKIPPED, "The query is signed, a body would be ignored."),
        ({}, "timestamp", PASSED, "0 s old; 300 s either way are allowed."),
        (
            {"now_ms": NOW_MS + 300_999},
            "timestamp",
            PASSED,
            "300 s old; 300 s either way are allowed.",
        ),
        (
            {"now_ms": NOW_MS + 301_000},
            "timestamp",
            FAILED,
            "301 s old; 300 s either way are allowed.",
        ),
        (
            {"now_ms": NOW_MS - 1},
            "timestamp",
            PASSED,
            "1 s in the future; 300 s either way are allowed.",
        ),
        ({"body": b"[1]"}, "timestamp", SKIPPED, "There is no object to hold one."),
        ({"body": b'{"timestamp":"soon"}'}, "timestamp", FAILED, "It is not a number of seconds."),
        (
            {"body": b"{}"},
            "timestamp",
            FAILED,
            "Missing: the aggregator refuses that; a spec offer may come without.",
        ),
        (
            {"body": b"{}", "header": sign(SECRET, b"{}")},
            "timestamp",
            SKIPPED,
            "Calls from a live aggregator carry none.",
        ),
        ({}, "signature", PASSED, "Fits: raw, sorted_ascii, sorted_utf8, go_map."),
        ({"body": SPACED, "header": sign(SECRET, SPACED)}, "signature", PASSED, "Fits: raw."),
        (
            {"secrets": ["another"]},
            "signature",
            FAILED,
            "Fits no form of the message with any secret.",
        ),
        ({"secrets": ["", ""]}, "signature", SKIPPED, "No secret was given."),
    ],
)
def test_a_check_says_what_it_found(
    changes: dict[str, Any], name: str, outcome: Outcome, detail: str
) -> None:
    """The list names which of the steps would refuse the request, and why."""
    found = {check.name: (check.outcome, check.detail) for check in run(**changes).checks}
    assert found[name] == (outcome, detail)
    assert list(found) == ["header", "client id", "body", "timestamp", "signature"]


def test_a_named_client_is_shown_without_our_secret() -> None:
    """Whatever stands where the name belongs, ours or theirs."""
    found = run(header=f"HMAC a{SECRET}:{BARE}", client_id=f"{SECRET}b")
    assert found.checks[1].detail == "Names a***, ours is ***b."


def test_bytes_of_a_secret_that_are_no_utf8_are_hidden_too() -> None:
    """A body that holds them by mistake is shown without them."""
    secret, body = "k\udcff-secret", b'{"a":"k\xff-secret"}'
    found = run(secrets=[secret], body=body, header=authorization(CLIENT, secret, body))
    assert found.forms[0].text == """'{"a":"***"}'"""
    assert found.checks[4].outcome is PASSED
