"""JSON for the tests: values of every kind, and the many ways to spell one value."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

__all__ = ["OBJECTS", "TEXTS", "VALUES", "any_body", "spellings"]

# Markup, separators of lines, controls, quotes, other planes: what the forms treat specially.
_ODD = '<>&\u2028\u2029\x00\x08\x0c\x1f\x7f"\\/\ue000\uffff\ufffd\U0001f4b8\u1ecc'
TEXTS = st.text(_ODD, min_size=1, max_size=8) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=8
)
"""Texts without half of a surrogate pair."""

_NUMBERS = (
    st.integers(-(2**70), 2**70)
    | st.integers(-100, 100)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([-0.0, 50000.0, 1e16, 1e21, 1e-6, 9.9e-7, 1e-7, 5e-324, 1.7e308])
)
VALUES = st.recursive(
    st.none() | st.booleans() | TEXTS | _NUMBERS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
OBJECTS: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    TEXTS, TEXTS | VALUES, min_size=1, max_size=4
) | st.just({})

_BLANKS = st.sampled_from(["", "", "", " ", "\n", "\t\r "])


@st.composite
def spellings(draw: st.DrawFn, value: Any) -> bytes:
    """The value as some other program may spell it: blanks, escapes, digits, order, repeats."""
    return _spelled(draw, value).encode()


def _spelled(draw: st.DrawFn, value: Any) -> str:
    before, after = draw(_BLANKS), draw(_BLANKS)
    return f"{before}{_bare(draw, value)}{after}"


def _bare(draw: st.DrawFn, value: Any) -> str:
    if isinstance(value, str):
        return _quoted(draw, value)
    if isinstance(value, list):
        return f"[{','.join(_spelled(draw, item) for item in value) or draw(_BLANKS)}]"
    if isinstance(value, dict):
        names: list[str] = draw(st.permutations(list(value)))
        members: list[tuple[str, Any]] = [(name, value[name]) for name in names]
        if draw(st.booleans()) and members:
            # An earlier member of the same name, which the last one replaces.
            replaced = draw(st.none() | st.integers(0, 9) | TEXTS)
            members.insert(0, (members[-1][0], replaced))
        spelt = (
            f"{draw(_BLANKS)}{_quoted(draw, name)}{draw(_BLANKS)}:{_spelled(draw, item)}"
            for name, item in members
        )
        return f"{{{','.join(spelt) or draw(_BLANKS)}}}"
    text = json.dumps(value)
    if isinstance(value, float) and "e" not in text and draw(st.booleans()):
        text = draw(st.sampled_from([f"{text}0", f"{text}e0", f"{text}E+00"]))
    return text


def _quoted(draw: st.DrawFn, text: str) -> str:
    how = draw(st.sampled_from(["raw", "ascii", "all"]))
    if how == "ascii":
        return json.dumps(text)
    if how == "raw":
        return json.dumps(text, ensure_ascii=False)
    units = text.encode("utf-16-be")
    pairs = [units[at : at + 2].hex() for at in range(0, len(units), 2)]
    escapes = (f"\\u{pair.upper() if draw(st.booleans()) else pair}" for pair in pairs)
    return f'"{"".join(escapes)}"'


# Pieces that sit badly together: escapes cut off, halves of pairs, bytes that are no UTF-8.
_PIECES = st.sampled_from(
    [
        *(b'"', b"\\", b"\\u", b"\\ud83d", b"\\uDcb8", b"\\ud800", b"\\n", b"\\x", b"a", b"\x0b"),
        *(b"\xed\xa0\x80", b"\xff", b"\xf0\x9f\x92\xb8", b"\xc0\xaf", b"\xf4\x90\x80\x80", b"\x7f"),
        *(b"{", b"}", b"[", b"]", b":", b",", b" ", b"0", b"1", b"-", b".", b"e", b"E+", b"400"),
        *(b"<", b">", b"&", b"\xe2\x80\xa8", b"\xe2\x80\xa9", b"\\u2029", b"\\u0000"),
        *(b"true", b"null", b"nul", b"\x00", b"\xef\xbb\xbf", b"NaN", b"\xe2\x82"),
    ]
)
_IN_QUOTES = st.lists(_PIECES, max_size=6).map(b"".join)


@st.composite
def any_body(draw: st.DrawFn) -> bytes:
    """JSON, nearly JSON, or nothing of the kind."""
    match draw(st.sampled_from(["pieces", "string", "cut", "changed"])):
        case "pieces":
            return b"{" + draw(_IN_QUOTES) + b"}"
        case "string":
            return b'{"a":"' + draw(_IN_QUOTES) + b'","' + draw(_IN_QUOTES) + b'":1}'
        case kind:
            body = draw(OBJECTS.flatmap(spellings))
            at = draw(st.integers(0, len(body)))
            if kind == "cut":
                return body[:at]
            return body[:at] + draw(_PIECES) + body[at + 1 :]
