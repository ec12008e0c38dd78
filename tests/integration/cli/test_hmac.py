"""``hmac sign``, ``verify``, ``explain``."""

from __future__ import annotations

import io
import json
import re
import sys
import time
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Command
from tests.integration.cli.world import ENVIRONMENT
from tidegate.wire.signature import query_message, sign

SECRET = ENVIRONMENT["AGGREGATOR_SECRET_KEY"]
CLIENT = ENVIRONMENT["AGGREGATOR_CLIENT_ID"]


def _body(**more: object) -> str:
    return json.dumps({"orderId": "o-1", **more}, separators=(",", ":"))


def test_signing_uses_the_settings(tidegate: Command) -> None:
    """Secret and client id are those of the node; both headers are printed."""
    body = _body()
    signature = sign(SECRET, body.encode())
    ran = tidegate("hmac", "sign", "--body", body)
    assert ran.code == 0
    assert f"Authorization: HMAC {CLIENT}:{signature}" in ran.out
    assert f"X-Request-Signature: {signature}" in ran.out


def test_a_get_signs_its_query(tidegate: Command) -> None:
    """As the aggregator reads it: a map, the timestamp a number."""
    query = "currency=NGN&timestamp=1728201600"
    ran = tidegate("hmac", "sign", "--method", "GET", "--query", query, "--json")
    assert ran.json["signature"] == sign(SECRET, query_message(query))


def test_the_very_bytes_are_signed(
    tidegate: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a file or of standard input, line end included; the person is told of it."""
    raw = b'{"a": 1.10}\n'
    (tmp_path / "body").write_bytes(raw)
    ran = tidegate("hmac", "sign", "--body-file", "body", "--json")
    assert ran.json["signature"] == sign(SECRET, raw)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
    piped = tidegate("hmac", "sign", "--body-file", "-")
    assert sign(SECRET, raw) in piped.out
    assert "line break" in piped.err


@pytest.mark.parametrize("way", ["env", "file"])
def test_another_secret_comes_from_a_variable_or_a_file(
    tidegate: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Neither is an argument; a file's line end is no part of the secret; no settings needed."""
    monkeypatch.setenv("AGGREGATOR_BASE_URL", "not an address")
    monkeypatch.setenv("ELSEWHERE", "another-secret")
    (tmp_path / "secret").write_text("another-secret\n")
    source = ("--secret-env", "ELSEWHERE") if way == "env" else ("--secret-file", "secret")
    ran = tidegate("hmac", "sign", "--body", "{}", *source, "--json")
    assert ran.json["signature"] == sign("another-secret", b"{}")
    assert "Authorization" not in ran.json["headers"]


def test_a_secret_that_is_not_there_is_refused(tidegate: Command) -> None:
    """An empty secret would sign what anybody can sign."""
    assert tidegate("hmac", "sign", "--body", "{}", "--secret-env", "NO_SUCH_THING").code == 2
    assert tidegate("hmac", "sign", "--body", "{}", "--secret-file", "/dev/null").code == 2
    assert tidegate("hmac", "sign", "--body", "{}", "--secret-file", "missing").code == 2


def test_the_secret_is_no_option(tidegate: Command) -> None:
    """Other users of the machine can read arguments."""
    options = set(re.findall(r"--secret[a-z-]*", tidegate("hmac", "sign", "--help").out))
    assert options == {"--secret-env", "--secret-file"}


def test_an_offer_in_the_live_dialect_is_verified(tidegate: Command) -> None:
    """A bare signature over the raw body: this node takes it; one changed byte and it does not."""
    body = _body()
    header = f"X-Request-Signature: {sign(SECRET, body.encode())}"
    ran = tidegate("hmac", "verify", "--body", body, "--header", header, "--json")
    assert (ran.code, ran.json["accepted_by"]) == (0, ["live"])
    changed = tidegate("hmac", "verify", "--body", body + " ", "--header", header[:-1] + "0")
    assert changed.code == 1
    assert "hmac explain" in changed.out


def test_an_offer_in_the_spec_dialect_needs_no_timestamp(tidegate: Command) -> None:
    """The documented body has none; the aggregator's side would refuse our call without one."""
    body = _body()
    header = f"HMAC {CLIENT}:{sign(SECRET, body.encode())}"
    ran = tidegate("hmac", "verify", "--body", body, "--header", header, "--json")
    assert ran.json["accepted_by"] == ["spec"]
    refused = tidegate("hmac", "verify", "--body", body, "--header", header, "--by", "aggregator")
    assert refused.code == 1
    assert "timestamp" in refused.out


def test_a_stale_call_is_refused_unless_its_age_does_not_matter(tidegate: Command) -> None:
    """For a request out of a log, --any-age asks about the signature alone."""
    now = int(time.time())
    for timestamp, fresh in ((now, 0), (now - 3_600, 1)):
        body = _body(timestamp=timestamp)
        header = f"HMAC {CLIENT}:{sign(SECRET, body.encode())}"
        asked = ("hmac", "verify", "--body", body, "--header", header, "--by", "aggregator")
        assert tidegate(*asked).code == fresh
        assert tidegate(*asked, "--any-age").code == 0


def test_somebody_elses_client_id_is_refused(tidegate: Command) -> None:
    """The signature may fit: it is for another node."""
    body = _body()
    header = f"HMAC somebody:{sign(SECRET, body.encode())}"
    assert tidegate("hmac", "verify", "--body", body, "--header", header).code == 1


def test_an_explanation_shows_bytes_and_hints_and_never_the_secret(tidegate: Command) -> None:
    """Even where somebody put the secret into body and header."""
    body = _body(note=SECRET)
    header = f"HMAC {SECRET}:{sign(SECRET + chr(10), body.encode())}"
    for options in ((), ("--json",)):
        ran = tidegate("hmac", "explain", "--body", body, "--header", header, *options)
        assert ran.code == 1
        assert SECRET not in ran.out + ran.err
        assert "line end around the secret" in ran.out
        assert "orderId" in ran.out


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--body", "{}", "--body-file", "x"),
        ("--method", "GET", "--body", "{}"),
        ("--body", "{}", "--query", "a=1"),
        ("--body-file", "missing"),
    ],
)
def test_what_is_to_be_signed_is_never_guessed(tidegate: Command, options: tuple[str, ...]) -> None:
    """Exit code 2."""
    assert tidegate("hmac", "sign", *options).code == 2
