"""JSON as the signatures need it: read with number tokens kept, written in canonical forms.

Three written forms exist (contract, 2.3 and 2.4): Go's ``json.Marshal`` of a map, which the
aggregator verifies and we send, and the sorted compact form of a Python counterpart with and
without ASCII escaping. Key order by code point equals Go's order by UTF-8 byte.
"""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from json import JSONDecoder
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import Final, NoReturn, TypeAlias

from tidegate.errors import InvalidAmount, UnreadableBody

__all__ = [
    "DEPTH_MAX",
    "Json",
    "NumberToken",
    "Plain",
    "Writable",
    "compact_json",
    "go_json",
    "go_number",
    "parse_object",
    "plain",
]

DEPTH_MAX: Final = 32
"""Levels of nesting that are read; the protocol's own messages need four."""


@dataclass(frozen=True, slots=True)
class NumberToken:
    """A JSON number exactly as it was received; a type of its own, so no string passes for it."""

    text: str


Json: TypeAlias = "bool | str | NumberToken | list[Json] | dict[str, Json] | None"
"""What :func:`parse_object` yields."""

Plain: TypeAlias = "bool | str | list[Plain] | dict[str, Plain] | None"
"""What :func:`plain` yields; the standard library can store it."""

Writable: TypeAlias = (
    "bool | str | int | Decimal | NumberToken | Sequence[Writable] | Mapping[str, Writable] | None"
)
"""What the writers take: parsed values, and our own with ``int`` and ``Decimal``."""

_Number: TypeAlias = NumberToken | Decimal | int


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


_DECODER = JSONDecoder(
    parse_int=NumberToken, parse_float=NumberToken, parse_constant=_refuse_constant
)

# One match per escape, so that an escaped backslash before "ud800" is not taken for a surrogate.
_ESCAPE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    r"|\\.",
    re.DOTALL,
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_FOR_HTML = re.compile("[<>&\u2028\u2029]")
_HTML_ESCAPES: Final = {
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
}


def _one_per_byte(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\ufffd", error.start + 1


# Python replaces a truncated sequence with one U+FFFD, Go replaces each of its bytes.
codecs.register_error("tidegate.one_per_byte", _one_per_byte)


def parse_object(body: bytes) -> dict[str, Json]:
    """Read a body that must be one JSON object, as Go's ``json.Unmarshal`` into a map would.

    Numbers stay :class:`NumberToken`; of repeated keys the last wins; invalid UTF-8 and lone
    surrogates become U+FFFD. Raises :class:`UnreadableBody`, and nothing else, for everything
    that is no object, is not JSON (NaN, Infinity, a BOM, anything after the object), or is
    nested deeper than :data:`DEPTH_MAX`.
    """
    text = body.decode("utf-8", "tidegate.one_per_byte")
    if "\\ud" in text or "\\uD" in text:
        # Before parsing and not after: two keys that become equal must still let the last win.
        text = _ESCAPE.sub(lambda match: "\\ufffd" if match["lone"] else match[0], text)
    try:
        value: Json = _DECODER.decode(text)
    except (ValueError, RecursionError):
        raise UnreadableBody from None
    if not isinstance(value, dict):
        raise UnreadableBody
    # Counting first keeps the walk away from every ordinary body.
    if body.count(b"{") + body.count(b"[") > DEPTH_MAX and _too_deep(value):
        raise UnreadableBody("The body is nested too deeply.")
    return value


def _too_deep(value: dict[str, Json]) -> bool:
    layer: list[dict[str, Json] | list[Json]] = [value]
    for _ in range(DEPTH_MAX):
        layer = [
            item
            for holder in layer
            for item in (holder.values() if isinstance(holder, dict) else holder)
            if isinstance(item, dict | list)
        ]
        if not layer:
            return False
    return True


def go_json(value: Writable) -> bytes:
    """Write as Go's ``json.Marshal`` writes a map read by ``json.Unmarshal`` (contract, 2.3).

    A number token passes through float64, as it does there; one beyond float64 raises
    :class:`UnreadableBody`. An ``int`` or ``Decimal`` of our own that float64 would change
    raises :class:`InvalidAmount` instead.
    """
    text = _write(value, encode_basestring, go_number)
    if _FOR_HTML.search(text):
        # On the whole text: outside strings JSON has none of these characters.
        text = _FOR_HTML.sub(lambda match: _HTML_ESCAPES[match[0]], text)
    try:
        return text.encode()
    except UnicodeEncodeError:
        # What is no UTF-8 in memory Go writes as an escape, unlike a true U+FFFD.
        return _SURROGATE.sub(r"\\ufffd", text).encode()


def compact_json(value: Writable, *, ascii: bool) -> bytes:
    """Write sorted, without blanks, number tokens as received: a Python counterpart's form.

    ``ascii`` escapes everything outside printable ASCII, as ``json.dumps`` does by default.
    """
    text = _write(value, encode_basestring_ascii if ascii else encode_basestring, _as_is)
    return text.encode("utf-8", "backslashreplace")


def plain(value: Json) -> Plain:
    """The value with numbers as their text, and U+0000 (no database text holds it) as U+FFFD."""
    if isinstance(value, NumberToken):
        return value.text
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, dict):
        return {key.replace("\0", "\ufffd"): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def _write(value: Writable, quote: Callable[[str], str], number: Callable[[_Number], str]) -> str:
    if isinstance(value, str):
        return quote(value)
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, (int, NumberToken, Decimal)):
        return number(value)
    if isinstance(value, Mapping):
        members = [
            f"{quote(key)}:{_write(value[key], quote, number)}"
            for key in sorted(value, key=_in_bytes)
        ]
        return "{" + ",".join(members) + "}"
    # Not any Sequence: bytes are one too.
    if isinstance(value, list | tuple):
        return "[" + ",".join([_write(item, quote, number) for item in value]) + "]"
    raise TypeError(f"{type(value).__name__} has no place in a message")


def _in_bytes(key: str) -> bytes:
    """The key as Go compares it: a byte of a query that is no UTF-8 came as a surrogate."""
    try:
        return key.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return key.encode("utf-8", "surrogatepass")


def _as_is(value: _Number) -> str:
    return value.text if isinstance(value, NumberToken) else go_number(value)


def go_number(value: _Number) -> str:
    """Spell a number as Go's JSON spells a float64: shortest digits, ``1e+21``, ``1e-7``.

    Errors as :func:`go_json`.
    """
    if not isinstance(value, NumberToken):
        return _own_number(value)
    text = value.text
    # Up to 15 plain digits are exact in float64 and spelled the same.
    if len(text) < 16 and text.isdigit():
        return text
    number = float(text)
    if math.isinf(number):
        raise UnreadableBody("A number is out of range.")
    return _spell(number)


def _own_number(value: int | Decimal) -> str:
    if isinstance(value, int):
        if not -(2**53) <= value <= 2**53:
            raise InvalidAmount("The integer does not survive as a float64.")
        return str(value)
    spelled = _spell(float(value)) if value.is_finite() else ""
    if not spelled or Decimal(spelled) != value:
        raise InvalidAmount("The number does not survive as a float64.")
    return spelled


def _spell(number: float) -> str:
    text = repr(number)
    mantissa, _, exponent = text.partition("e")
    if exponent and not 1e-6 <= abs(number) < 1e21:
        # Python pads a one-digit exponent, Go's JSON does not.
        return f"{mantissa}e{exponent[0]}{exponent[1:].lstrip('0')}"
    if exponent:
        text = format(Decimal(text), "f")
    return text.removesuffix(".0")
