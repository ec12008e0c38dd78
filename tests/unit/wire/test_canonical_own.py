"""Our own values in the canonical forms, and what was read in a form that can be stored."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tidegate.errors import InvalidAmount
from tidegate.wire.canonical import compact_json, go_json, parse_object, plain
from tidegate.wire.signature import query_message


@pytest.mark.parametrize(
    "value",
    [
        2**53 + 1,
        -(2**53) - 1,
        Decimal("90071992547409.91"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
        Decimal("1e999"),
    ],
)
def test_our_own_numbers_are_never_changed_silently(value: Decimal | int) -> None:
    """What float64 cannot hold is refused instead of being reported wrongly."""
    with pytest.raises(InvalidAmount):
        go_json({"a": value})


def test_our_own_decimals_lose_only_their_zeros() -> None:
    """50000.00 is sent as 50000 and 736.10 as 736.1, as Go would send them again."""
    own = {"a": Decimal("50000.00"), "b": Decimal("736.10"), "c": Decimal(0)}
    body = go_json(own)
    assert body == b'{"a":50000,"b":736.1,"c":0}'
    assert go_json(parse_object(body)) == body
    assert compact_json(own, ascii=True) == body
    assert compact_json({"a": 2**53, "b": -(2**53)}, ascii=False) == (
        b'{"a":9007199254740992,"b":-9007199254740992}'
    )


def test_what_has_no_place_in_a_message_is_refused() -> None:
    """A float or bytes in a body of ours is a mistake of ours."""
    for value in (1.5, b"x", object()):
        with pytest.raises(TypeError):
            go_json({"a": value})  # type: ignore[dict-item]  # the mistake that is tested


def test_a_lone_surrogate_of_our_own_is_sent_as_an_escape() -> None:
    """Nothing raises, and what is sent is JSON."""
    assert go_json({"a": "x\udc80"}) == b'{"a":"x\\ufffd"}'
    for ascii_only in (True, False):
        assert compact_json({"a": "x\udc80"}, ascii=ascii_only) == b'{"a":"x\\udc80"}'


def test_plain_values_can_be_stored() -> None:
    """Numbers become text, and no NUL is left for a database to refuse."""
    parsed = parse_object(b'{"a\\u0000":[1.50,{"b":"x\\u0000"},null,true]}')
    assert plain(parsed) == {"a\ufffd": ["1.50", {"b": "x\ufffd"}, None, True]}


def test_keys_are_sorted_by_their_bytes() -> None:
    """A byte that is no UTF-8 counts as itself, and any other lone surrogate raises nothing."""
    assert query_message("%ff=1&%EE%80%80=2&a=3") == b'{"a":"3","\xee\x80\x80":"2","\\ufffd":"1"}'
    assert go_json({"\ue000": 2, "\ud800": 1, "a": 3}) == b'{"a":3,"\\ufffd":1,"\xee\x80\x80":2}'
