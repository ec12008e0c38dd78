"""Reading JSON with its tokens, writing the canonical forms."""

from __future__ import annotations

import json
import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import UnreadableBody
from tidegate.wire.canonical import (
    DEPTH_MAX,
    NumberToken,
    Writable,
    compact_json,
    go_json,
    go_number,
    parse_object,
)


def test_numbers_stay_as_they_were_received() -> None:
    """Neither digits nor zeros nor exponents are lost, and a number is not a string."""
    parsed = parse_object(b'{"a":50000.0,"b":1e2,"c":123456789012345678901,"d":"5"}')
    assert parsed == {
        "a": NumberToken("50000.0"),
        "b": NumberToken("1e2"),
        "c": NumberToken("123456789012345678901"),
        "d": "5",
    }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"[]",
        b'"x"',
        b"1",
        b"null",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":01}',
        b'{"a":.5}',
        b'{"a":1.}',
        b'{"a":"\x01"}',
        b'{"a":"\\x"}',
        b'{"a":1}{"b":2}',
        b'{"a":1}\n<html>',
        b"\xef\xbb\xbf{}",
        b'\xff{"a":1}',
        '{"a":1}'.encode("utf-16"),
        b"{" * 50_000,
        b'{"a":' + b"[" * 60_000,
    ],
)
def test_what_is_no_json_object_is_unreadable(body: bytes) -> None:
    """A list, a constant of JavaScript, two documents, a BOM, a bottomless nesting: one error."""
    with pytest.raises(UnreadableBody):
        parse_object(body)


def test_nesting_is_bounded() -> None:
    """The last permitted level is read, the next refused, however the levels are made."""
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
        inner = DEPTH_MAX - 1
        middle = b"1" if opening != b"[" else b""
        fits = b'{"a":' + opening * inner + middle + closing * inner + b"}"
        deeper = b'{"a":' + opening * (inner + 1) + middle + closing * (inner + 1) + b"}"
        assert parse_object(fits)
        with pytest.raises(UnreadableBody):
            parse_object(deeper)
    many = b'{"a":[' + b"[]," * 500 + b"[]]}"
    assert len(str(parse_object(many))) > 500


@pytest.mark.parametrize(
    ("body", "canonical"),
    [
        (b'{"b":1,"a":2}', b'{"a":2,"b":1}'),
        (b'{"a":1,"a":2}', b'{"a":2}'),
        (b'{"a":{"b":1},"a":{"c":2}}', b'{"a":{"c":2}}'),
        (b'{ "a" : [ 3 , 1 , null , true , false ] }\n', b'{"a":[3,1,null,true,false]}'),
        (b'{"a":"<b> & \\/"}', b'{"a":"\\u003cb\\u003e \\u0026 /"}'),
        (b'{"<":1}', b'{"\\u003c":1}'),
        ('{"a":"\u2028\u2029\x7f"}'.encode(), b'{"a":"\\u2028\\u2029\x7f"}'),
        (b'{"a":"\\b\\f\\n\\r\\t\\u0000\\u001f"}', b'{"a":"\\b\\f\\n\\r\\t\\u0000\\u001f"}'),
        (b'{"a":"\\ud83d\\udcb8"}', '{"a":"\U0001f4b8"}'.encode()),
        (b'{"a":"\\ud800"}', '{"a":"\ufffd"}'.encode()),
        (b'{"a":"\\ud800\\ud83d\\udcb8"}', '{"a":"\ufffd\U0001f4b8"}'.encode()),
        (b'{"a":"\\uDC00\\u0041"}', '{"a":"\ufffdA"}'.encode()),
        (b'{"a":"\\\\ud800"}', b'{"a":"\\\\ud800"}'),
        (b'{"\\ud800":1,"\\ufffd":2,"\\udfff":3}', '{"\ufffd":3}'.encode()),
        (b'{"a":"\xff"}', '{"a":"\ufffd"}'.encode()),
        (b'{"a":"\xe2\x82A"}', '{"a":"\ufffd\ufffdA"}'.encode()),
        (b'{"a":"\xed\xa0\x80"}', '{"a":"\ufffd\ufffd\ufffd"}'.encode()),
        ('{"\U0001f4b8":1,"\ue000":2}'.encode(), '{"\ue000":2,"\U0001f4b8":1}'.encode()),
    ],
)
def test_the_go_form(body: bytes, canonical: bytes) -> None:
    """Sorted by UTF-8 bytes, last key wins, HTML escaped, bad bytes replaced one by one."""
    assert go_json(parse_object(body)) == canonical


@pytest.mark.parametrize(
    ("token", "spelled"),
    [
        ("50000.0", "50000"),
        ("1e16", "10000000000000000"),
        ("1e21", "1e+21"),
        ("999999999999999900000", "999999999999999900000"),
        ("0.000001", "0.000001"),
        ("0.0000009", "9e-7"),
        ("1e-10", "1e-10"),
        ("1.5e300", "1.5e+300"),
        ("-0", "-0"),
        ("-0.0", "-0"),
        ("0", "0"),
        ("1e-400", "0"),
        ("9007199254740993", "9007199254740992"),
        ("1728201600.5", "1728201600.5"),
        ("123456789012345678", "123456789012345680"),
    ],
)
def test_numbers_are_spelled_as_go_spells_a_float64(token: str, spelled: str) -> None:
    """Plain from 1e-6 up to 1e21, an exponent with its sign and without padding beyond."""
    assert go_number(NumberToken(token)) == spelled


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_spelling_of_a_float_is_its_shortest_digits(number: float) -> None:
    """Same digits as Python's repr, read back as the same float, in the notation of the range."""
    spelled = go_number(NumberToken(repr(number)))
    assert float(spelled) == number
    assert Decimal(spelled) == Decimal(repr(number))
    assert math.copysign(1, float(spelled)) == math.copysign(1, number)
    assert ("e" in spelled) == (number != 0 and not 1e-6 <= abs(number) < 1e21)
    assert not spelled.endswith(".0")


def test_a_number_beyond_float64_has_no_go_form() -> None:
    """The map form cannot be made; the sorted form keeps the token."""
    parsed = parse_object(b'{"a":1e400}')
    assert compact_json(parsed, ascii=True) == b'{"a":1e400}'
    with pytest.raises(UnreadableBody):
        go_json(parsed)


def test_compact_forms_keep_tokens_and_differ_in_escaping() -> None:
    """A Python counterpart signs 50000.0 as it stands, with or without ASCII escaping."""
    parsed = parse_object('{"b":50000.0, "a":"\u1ecc<&\\u007f\U0001f4b8"}'.encode())
    assert compact_json(parsed, ascii=False) == (
        '{"a":"\u1ecc<&\x7f\U0001f4b8","b":50000.0}'.encode()
    )
    assert compact_json(parsed, ascii=True) == (
        b'{"a":"\\u1ecc<&\\u007f\\ud83d\\udcb8","b":50000.0}'
    )


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | TEXT | st.integers(-(2**53), 2**53) | st.floats(-1e15, 1e15),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(TEXT, VALUES, max_size=5))
def test_the_sorted_forms_are_those_of_the_standard_library(document: dict[str, Writable]) -> None:
    """For what json.dumps wrote, the compact forms equal its sorted compact output."""
    body = json.dumps(document).encode()
    for ascii_only in (True, False):
        expected = json.dumps(
            document, sort_keys=True, separators=(",", ":"), ensure_ascii=ascii_only
        )
        assert compact_json(parse_object(body), ascii=ascii_only) == expected.encode()


@given(st.dictionaries(TEXT, VALUES, max_size=5))
def test_the_go_form_is_a_fixed_point_and_means_the_same(document: dict[str, Writable]) -> None:
    """Canonical bytes are canonical again, and read back as what was written."""
    canonical = go_json(parse_object(json.dumps(document).encode()))
    assert go_json(parse_object(canonical)) == canonical
    assert json.loads(canonical) == document
    assert not set("<>&\u2028\u2029") & set(canonical.decode())


@given(
    st.binary(max_size=60)
    | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.text('{}[]":,\\udD8cC0f1-.eE+ tnruafls', max_size=60).map(
        lambda text: f"{{{text}}}".encode()
    )
)
def test_reading_raises_nothing_but_its_own_error(body: bytes) -> None:
    """Any bytes are an object or unreadable, and what is read can be written."""
    try:
        parsed = parse_object(body)
    except UnreadableBody:
        return
    assert parse_object(compact_json(parsed, ascii=True)) == parsed
