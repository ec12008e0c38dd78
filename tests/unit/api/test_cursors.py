"""Cursors: opaque, whole or refused."""

from __future__ import annotations

import base64
import json

import pytest

from tidegate.api.cursors import cut, decode_cursor, encode_cursor
from tidegate.errors import ValidationFailed

AFTER = "pay_01jd8m3q7v5x2n9c4t6b8r0w1z"


def _spelled(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def test_a_cursor_leads_back_to_its_row() -> None:
    """It is safe in a URL, and no cursor means the first page."""
    cursor = encode_cursor("payments", AFTER)
    assert cursor.replace("-", "").replace("_", "").isalnum()
    assert decode_cursor("payments", cursor) == AFTER
    assert decode_cursor("payments", None) is None


def test_every_single_change_of_a_cursor_is_refused() -> None:
    """Any character changed, dropped or added, at any place."""
    cursor = encode_cursor("payments", AFTER)
    touched = {
        cursor[:at] + other + cursor[at + 1 :] for at in range(len(cursor)) for other in "aZ0_"
    }
    touched |= {cursor[:at] + cursor[at + 1 :] for at in range(len(cursor))}
    touched |= {cursor + end for end in ("=", "A", "\n", " ", "==")}
    for each in touched - {cursor}:
        with pytest.raises(ValidationFailed):
            decode_cursor("payments", each)


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "é",
        "%00",
        _spelled(None),
        _spelled([1, "payments", AFTER]),
        _spelled([1, "payments", AFTER, "00000000"]),
        _spelled({"v": 1}),
        _spelled([[[]]] * 4),
        "W" * 200,
    ],
)
def test_what_never_was_a_cursor_is_a_fault_of_the_query(cursor: str) -> None:
    """It is named as the field it came in, and not repeated."""
    with pytest.raises(ValidationFailed) as caught:
        decode_cursor("payments", cursor)
    (fault,) = caught.value.errors
    assert (fault["field"], fault["code"]) == ("query.cursor", "cursor_invalid")


def test_a_cursor_belongs_to_one_list() -> None:
    """One of payments says nothing about refunds."""
    with pytest.raises(ValidationFailed):
        decode_cursor("refunds", encode_cursor("payments", AFTER))


def test_a_page_is_cut_from_one_row_more() -> None:
    """The row beyond the limit says that there is a next page, and is not on this one."""
    rows = [f"pay_{number}" for number in range(5, 0, -1)]
    page, cursor = cut(rows, 4, "payments", str)
    assert list(page) == rows[:4]
    assert decode_cursor("payments", cursor) == "pay_2"
    assert cut(rows, 5, "payments", str) == (rows, None)
    assert cut([], 5, "payments", str) == ([], None)
