"""The sandbox's own canonical form and HMAC agree with every published vector."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from tidegate.sandbox.aggregator.signing import (
    SpecStyle,
    canonical,
    fits,
    parse_object,
    query_map,
    sign,
    spec_order_bytes,
    with_numeric_timestamp,
)

_FILE = Path(__file__).resolve().parents[2] / "vectors" / "hmac-vectors.json"
VECTORS: dict[str, list[dict[str, Any]]] = json.loads(_FILE.read_text())
POSTS = [v for v in VECTORS["vectors"] if v.get("raw") is not None]
SPEC = [v for v in VECTORS["vectors"] if "node_spec_inbound" in v]
S2 = b"bm90LWEtcmVhbC1zZWNyZXQtMzItYnl0ZXMtbG9uZyE="


def _ids(vectors: list[dict[str, Any]], key: str = "id") -> list[str]:
    return [str(vector[key]) for vector in vectors]


@pytest.mark.parametrize("vector", POSTS, ids=_ids(POSTS))
def test_a_posted_body_passes_exactly_the_checks_of_its_vector(vector: dict[str, Any]) -> None:
    """Raw and map are two checks; each vector says which of them its signature passes."""
    body, secret = bytes.fromhex(vector["body_hex"]), vector["secret"].encode()
    parsed = parse_object(body)
    assert parsed is not None
    document, stamp = with_numeric_timestamp(parsed)
    assert stamp is not None
    raw = sign(secret, body) == vector["sig"]
    by_map = sign(secret, canonical(document)) == vector["sig"]
    assert (raw, by_map) == (vector["raw"], vector["map"])
    passed = fits(secret, vector["sig"], document, body)
    assert (passed is not None) == (vector["raw"] or vector["map"])


def test_an_empty_body_is_no_object() -> None:
    """N24: refused before any signature is looked at."""
    assert parse_object(b"") is None


@pytest.mark.parametrize("vector", VECTORS["get"], ids=_ids(VECTORS["get"]))
def test_a_query_is_signed_as_a_map_with_a_numeric_timestamp(vector: dict[str, Any]) -> None:
    """G03 signs the timestamp as text and is refused; the others spell the signed bytes."""
    document, _ = with_numeric_timestamp(query_map(parse_qsl(vector["query"])))
    right = vector["id"] != "G03"
    assert (fits(S2, vector["sig"], document, None) == "map") == right
    assert (canonical(document) == vector["signed"].encode()) == right
    assert sign(S2, vector["signed"].encode()) == vector["sig"]


@pytest.mark.parametrize("vector", VECTORS["agg"], ids=_ids(VECTORS["agg"]))
def test_what_the_aggregator_sends_is_canonical_and_signed(vector: dict[str, Any]) -> None:
    """A01 to A10: parsed and spelt again, the same bytes and the same signature come out."""
    body = vector["body"].encode()
    assert sign(vector["secret"].encode(), body) == vector["sig"]
    if body:
        assert canonical(json.loads(body)) == body


@pytest.mark.parametrize(
    ("name", "style"),
    [
        ("P01", "sorted-ascii"),
        ("P02", "sorted-utf8"),
        ("P03", "raw-compact"),
        ("P04", "raw"),
    ],
)
def test_a_spec_offer_is_signed_in_each_documented_way(name: str, style: SpecStyle) -> None:
    """P01 to P04: bytes on the wire and signature, floats spelt as Python spells them."""
    (vector,) = [v for v in SPEC if v["id"] == name]
    wire = bytes.fromhex(vector["body_hex"])
    made = spec_order_bytes(vector["secret"].encode(), json.loads(wire), style)
    assert made == (wire, vector["sig"])


def test_p05_is_signed_with_another_secret() -> None:
    """No way of signing gives P05's signature with the right secret."""
    (vector,) = [v for v in SPEC if v["id"] == "P05"]
    body = json.loads(bytes.fromhex(vector["body_hex"]))
    styles: tuple[SpecStyle, ...] = ("sorted-ascii", "sorted-utf8", "raw", "raw-compact")
    made = {spec_order_bytes(S2, body, style)[1] for style in styles}
    assert vector["sig"] not in made


@pytest.mark.parametrize(
    ("token", "spelt"),
    [
        ("0", "0"),
        ("-0.0", "-0"),
        ("50000.0", "50000"),
        ("1e16", "10000000000000000"),
        ("1e20", "100000000000000000000"),
        ("1e21", "1e+21"),
        ("1.5e300", "1.5e+300"),
        ("0.000001", "0.000001"),
        ("0.0000001", "1e-7"),
        ("1.25e-10", "1.25e-10"),
        ("-123.456", "-123.456"),
        ("9007199254740993", "9007199254740992"),
    ],
)
def test_numbers_are_spelt_as_go_spells_float64(token: str, spelt: str) -> None:
    """Shortest digits, plain between 1e-6 and 1e21, unpadded negative exponent."""
    parsed = parse_object(b'{"a":[' + token.encode() + b"]}")
    assert parsed is not None
    assert canonical(parsed) == b'{"a":[' + spelt.encode() + b"]}"


@pytest.mark.parametrize(
    ("body", "spelt"),
    [
        (b'{"b":1,"a":2,"b":3}', b'{"a":2,"b":3}'),
        (b'{"a":"\\u0008\\u000c\\u0001\\u007f/"}', b'{"a":"\\b\\f\\u0001\x7f/"}'),
        (b'{"a":"\\ud800x"}', '{"a":"\ufffdx"}'.encode()),
        (b'{"a":"\xff"}', '{"a":"\ufffd"}'.encode()),
        (b'{"a":{"z":null,"y":[true,"<"]}}', b'{"a":{"y":[true,"\\u003c"],"z":null}}'),
        ('{"\U0001f4b8":"a","\uffee":"b"}'.encode(), '{"\uffee":"b","\U0001f4b8":"a"}'.encode()),
    ],
)
def test_strings_and_keys_are_spelt_as_go_spells_them(body: bytes, spelt: bytes) -> None:
    """Last key wins, keys by UTF-8 bytes, broken text becomes U+FFFD, HTML is escaped."""
    parsed = parse_object(body)
    assert parsed is not None
    assert canonical(parsed) == spelt


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b'"x"',
        b"null",
        b"{",
        b'{"a":NaN}',
        b'{"a":1e400}',
        b'{"a":1' + b"0" * 400 + b"}",
        b"[" * 100_000,
    ],
    ids=["list", "text", "null", "open", "nan", "float", "integer", "deep"],
)
def test_what_go_cannot_read_as_an_object_is_none(body: bytes) -> None:
    """Other JSON types, constants that are no JSON, numbers beyond float64."""
    assert parse_object(body) is None


@pytest.mark.parametrize("stamp", [None, 0, True, "", "soon", "1_728", " 1728", [], "nan", "0"])
def test_a_missing_or_unreadable_timestamp_is_none(stamp: object) -> None:
    """Missing, zero and non-numeric are one thing to the aggregator."""
    document: dict[str, Any] = {} if stamp is None else {"timestamp": stamp}
    assert with_numeric_timestamp(document)[1] is None
