"""Every published signature vector, with the path on which it must be accepted (contract, 8)."""

from __future__ import annotations

import json
from pathlib import Path as File
from typing import Any

import pytest

from tidegate.wire.canonical import compact_json, go_json, parse_object
from tidegate.wire.signature import (
    Path,
    Verified,
    accepted_by_aggregator,
    authorization,
    query_accepted_by_aggregator,
    query_message,
    sign,
    verify_live,
    verify_spec,
)

FILE = File(__file__).parents[2] / "vectors" / "hmac-vectors.json"
VECTORS: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
SENT = {row["id"]: row for row in VECTORS["vectors"] if row["id"].startswith("N")}
SPEC = {row["id"]: row for row in VECTORS["vectors"] if row["id"].startswith("P")}
GET = {row["id"]: row for row in VECTORS["get"]}
RECEIVED = {row["id"]: row for row in VECTORS["agg"]}
SECRET = "bm90LWEtcmVhbC1zZWNyZXQtMzItYnl0ZXMtbG9uZyE="
CLIENT = "3fa85f64-5717-4562-b3fc-2c963f66afa7"


def test_the_file_is_complete() -> None:
    """A vector that went missing would otherwise pass unseen."""
    assert (len(SENT), len(SPEC), len(GET), len(RECEIVED)) == (24, 5, 4, 10)


@pytest.mark.parametrize("name", SENT)
def test_the_aggregator_accepts_a_post_on_the_stated_paths(name: str) -> None:
    """Raw, map, both or none, as Go's own libraries decided; an empty body on none."""
    row = SENT[name]
    expected = {path for path, key in ((Path.RAW, "raw"), (Path.GO_MAP, "map")) if row[key]}
    body = bytes.fromhex(row["body_hex"])
    assert accepted_by_aggregator(row["secret"], row["sig"], body) == expected


@pytest.mark.parametrize(
    "name", [name for name, row in SENT.items() if row["raw"] and name != "N23"]
)
def test_our_signature_of_the_raw_body_is_the_stated_one(name: str) -> None:
    """The secret is used as text, and the hex is lower case."""
    row = SENT[name]
    body = bytes.fromhex(row["body_hex"])
    assert sign(row["secret"], body) == row["sig"]
    assert authorization(CLIENT, row["secret"], body) == f"HMAC {CLIENT}:{row['sig']}"


@pytest.mark.parametrize(
    ("name", "canonical_of"), [("N09", "N08"), ("N10", "N11"), ("N13", "N14"), ("N15", "N16")]
)
def test_canonical_forms_named_by_the_contract(name: str, canonical_of: str) -> None:
    """The Go form of one vector's body is the body of another."""
    body, canonical = (bytes.fromhex(SENT[key]["body_hex"]) for key in (name, canonical_of))
    assert go_json(parse_object(body)) == canonical


def test_canonical_forms_of_the_number_probes() -> None:
    """1e21 gains its sign, 1e16 is written out, a small number gets an exponent."""
    forms = [go_json(parse_object(bytes.fromhex(SENT[n]["body_hex"]))) for n in ("N18", "N19")]
    assert forms == [
        b'{"a":1e+21,"b":1e-7,"c":10000000000000000,"d":1234567.891,"e":0.000001,'
        b'"timestamp":1728201600.5}',
        b'{"a":1e+21,"b":1e-7,"c":10000000000000000,"timestamp":1728201600}',
    ]


@pytest.mark.parametrize("name", GET)
def test_a_get_is_signed_over_its_query_map(name: str) -> None:
    """Decoded values, the timestamp as a number; signed as a string it is refused (G03)."""
    row = GET[name]
    refused = name == "G03"
    assert (query_message(row["query"]) == row["signed"].encode()) is not refused
    assert query_accepted_by_aggregator(SECRET, row["sig"], row["query"]) is not refused


@pytest.mark.parametrize("name", RECEIVED)
def test_the_node_accepts_the_aggregators_call_raw(name: str) -> None:
    """Over the exact bytes, zero bytes included."""
    row = RECEIVED[name]
    body = row["body"].encode()
    assert verify_live([row["secret"]], row["sig"], body) == Verified(Path.RAW, 0)
    if body:
        assert go_json(parse_object(body)) == body


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("P01", Path.SORTED_ASCII),
        ("P02", Path.SORTED_UTF8),
        ("P03", Path.RAW),
        ("P04", Path.RAW),
        ("P05", None),
    ],
)
def test_the_node_accepts_a_spec_order_on_the_stated_path(name: str, path: Path | None) -> None:
    """Sorted with and without ASCII escaping, or raw; with another secret never."""
    row = SPEC[name]
    body = bytes.fromhex(row["body_hex"])
    verified = verify_spec([row["secret"]], CLIENT, f"HMAC {CLIENT}:{row['sig']}", body)
    assert verified == (Verified(path, 0) if path else None)
    assert (verified is not None) is row["node_spec_inbound"]


def test_a_spec_order_signed_in_the_go_form_is_accepted() -> None:
    """50000.0 becomes 50000 there, which no sorted form with its token does."""
    body = bytes.fromhex(SPEC["P01"]["body_hex"])
    header = authorization(CLIENT, SECRET, go_json(parse_object(body)))
    assert verify_spec([SECRET], CLIENT, header, body) == Verified(Path.GO_MAP, 0)


def test_one_changed_byte_is_refused() -> None:
    """A01 with any one byte changed."""
    row = RECEIVED["A01"]
    body = row["body"].encode()
    for position in range(len(body)):
        changed = bytearray(body)
        changed[position] ^= 1
        assert verify_live([SECRET], row["sig"], bytes(changed)) is None


def test_an_added_blank_is_accepted_as_the_map_only() -> None:
    """A01 with a blank after a colon: raw fails, the tolerant form passes."""
    row = RECEIVED["A01"]
    spaced = row["body"].replace(":", ": ", 1).encode()
    assert verify_live([SECRET], row["sig"], spaced) == Verified(Path.GO_MAP, 0)


def test_a_form_without_html_escaping_has_another_signature() -> None:
    """A08 written again as Python would write it."""
    row = RECEIVED["A08"]
    unescaped = compact_json(parse_object(row["body"].encode()), ascii=False)
    assert unescaped != row["body"].encode()
    assert sign(SECRET, unescaped) != row["sig"]


@pytest.mark.parametrize("header", [None, "", " ", "x", "\u00e9" * 64, "0" * 63, "0" * 65])
def test_a_missing_or_malformed_header_is_refused(header: str | None) -> None:
    """Nothing that is not 64 lower-case hex digits is compared at all."""
    assert verify_live([SECRET], header, b"") is None


def test_an_upper_case_signature_is_refused() -> None:
    """The aggregator refuses it too, so it shows a mistake."""
    row = RECEIVED["A01"]
    assert verify_live([SECRET], row["sig"].upper(), row["body"].encode()) is None
