"""The aggregator's own reading, writing and checking, written anew from its contract (section 2).

Nothing here is shared with ``tidegate.wire`` or with Python's ``json``: the bytes are read one
after the other as Go's ``encoding/json`` reads them into a map, and written as it writes one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from decimal import Decimal
from typing import Any, Final

__all__ = ["NotJson", "accepts_get", "accepts_post", "marshal", "sign", "unmarshal"]

_AGE_S_MAX: Final = 300
_NUMBER: Final = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_NUMERIC: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_WORDS: Final = ((b"true", True), (b"false", False), (b"null", None))
_SHORT: Final = {ord("b"): 8, ord("f"): 12, ord("n"): 10, ord("r"): 13, ord("t"): 9}
_REPLACED: Final = "\ufffd"


class NotJson(Exception):
    """Go's ``json.Unmarshal`` into a map would return an error."""


def sign(secret: str, message: bytes) -> str:
    """Lower-case hex HMAC-SHA256; the secret is used as text bytes, never decoded."""
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def accepts_post(
    secret: str, client: str, header: str, body: bytes, now_s: int, *, fork: bool = False
) -> bool:
    """Whether a POST passes (2.1, 2.2): the raw body or the map form; FORK knows the map only."""
    try:
        fields = unmarshal(body)
    except NotJson:
        return False
    return _accepts(secret, client, header, fields, None if fork else body, now_s)


def accepts_get(secret: str, client: str, header: str, query: str, now_s: int) -> bool:
    """Whether a GET passes: the map of its first values, ``timestamp`` made a number (2.1)."""
    return _accepts(secret, client, header, _query(query), None, now_s)


def _accepts(
    secret: str, client: str, header: str, fields: dict[str, Any], raw: bytes | None, now_s: int
) -> bool:
    scheme, _, rest = header.partition(" ")
    given, _, signature = rest.partition(":")
    stamp = fields.get("timestamp")
    if isinstance(stamp, str) and _NUMERIC.fullmatch(stamp):
        stamp = float(stamp)
    if scheme != "HMAC" or given != client or not isinstance(stamp, float) or stamp == 0:
        return False
    if now_s - int(stamp) > _AGE_S_MAX:
        return False
    if raw is not None and sign(secret, raw) == signature:
        return True
    return sign(secret, marshal({**fields, "timestamp": stamp})) == signature


# -- json.Unmarshal into map[string]any -----------------------------------------------------------


def unmarshal(body: bytes) -> dict[str, Any]:
    """Read one JSON object; numbers become ``float``. Raises :class:`NotJson`."""
    value, at = _value(body, _blank(body, 0))
    if _blank(body, at) != len(body) or not isinstance(value, dict):
        raise NotJson
    return value


def _value(body: bytes, at: int) -> tuple[Any, int]:
    first = body[at : at + 1]
    if first == b"{":
        return _members(body, at + 1)
    if first == b"[":
        return _items(body, at + 1)
    if first == b'"':
        return _string(body, at + 1)
    for word, meaning in _WORDS:
        if body.startswith(word, at):
            return meaning, at + len(word)
    match = _NUMBER.match(body, at)
    if match is None:
        raise NotJson
    number = float(match[0])
    if number in (float("inf"), float("-inf")):
        raise NotJson  # out of range for a float64
    return number, match.end()


def _members(body: bytes, at: int) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    at = _blank(body, at)
    if body[at : at + 1] == b"}":
        return found, at + 1
    while True:
        key, at = _string(body, _expect(body, at, b'"'))
        found[key], at = _value(body, _blank(body, _expect(body, at, b":")))
        at = _blank(body, at)
        if body[at : at + 1] == b"}":
            return found, at + 1
        at = _expect(body, at, b",")


def _items(body: bytes, at: int) -> tuple[list[Any], int]:
    found: list[Any] = []
    at = _blank(body, at)
    if body[at : at + 1] == b"]":
        return found, at + 1
    while True:
        item, at = _value(body, _blank(body, at))
        found.append(item)
        at = _blank(body, at)
        if body[at : at + 1] == b"]":
            return found, at + 1
        at = _expect(body, at, b",")


def _blank(body: bytes, at: int) -> int:
    while body[at : at + 1] in (b" ", b"\t", b"\r", b"\n"):
        at += 1
    return at


def _expect(body: bytes, at: int, sign_: bytes) -> int:
    at = _blank(body, at)
    if body[at : at + 1] != sign_:
        raise NotJson
    return at + 1


def _string(body: bytes, at: int) -> tuple[str, int]:
    """The text that ends at the next bare quotation mark; ``at`` is behind the first."""
    out: list[str] = []
    while at < len(body):
        byte = body[at]
        if byte == 0x22:
            return "".join(out), at + 1
        if byte < 0x20:
            break
        if byte == 0x5C:
            text, at = _escape(body, at + 1)
        else:
            text, at = _rune(body, at)
        out.append(text)
    raise NotJson


def _escape(body: bytes, at: int) -> tuple[str, int]:
    kind = body[at : at + 1]
    if kind in (b'"', b"\\", b"/"):
        return kind.decode(), at + 1
    if kind and kind[0] in _SHORT:
        return chr(_SHORT[kind[0]]), at + 1
    if kind != b"u":
        raise NotJson
    unit, at = _unit(body, at + 1), at + 5
    if not 0xD800 <= unit <= 0xDFFF:
        return chr(unit), at
    if unit < 0xDC00 and body[at : at + 2] == b"\\u":
        low = _unit(body, at + 2)
        if 0xDC00 <= low <= 0xDFFF:
            return chr(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00)), at + 6
    return _REPLACED, at  # half a pair; what follows stands for itself


def _unit(body: bytes, at: int) -> int:
    digits = body[at : at + 4]
    if re.fullmatch(rb"[0-9a-fA-F]{4}", digits) is None:
        raise NotJson
    return int(digits, 16)


def _rune(body: bytes, at: int) -> tuple[str, int]:
    """One character as ``utf8.DecodeRune`` finds it; a byte that begins none counts alone."""
    for length in (1, 2, 3, 4):
        try:
            text = body[at : at + length].decode("utf-8")
        except UnicodeDecodeError:
            continue
        return text, at + length
    return _REPLACED, at + 1


# -- json.Marshal ---------------------------------------------------------------------------------


def marshal(value: Any) -> bytes:
    """Write a value of :func:`unmarshal` (2.3)."""
    if value is None:
        return b"null"
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, float):
        return _number(value).encode()
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, list):
        return b"[" + b",".join(marshal(item) for item in value) + b"]"
    members = sorted((key.encode("utf-8", "surrogateescape"), key) for key in value)
    inner = (_quoted(key) + b":" + marshal(value[key]) for _, key in members)
    return b"{" + b",".join(inner) + b"}"


def _quoted(text: str) -> bytes:
    out = bytearray(b'"')
    named = {0x22: b'\\"', 0x5C: b"\\\\", 8: b"\\b", 9: b"\\t", 10: b"\\n", 12: b"\\f", 13: b"\\r"}
    for point in map(ord, text):
        if point in named:
            out += named[point]
        elif point < 0x20 or point in (0x3C, 0x3E, 0x26, 0x2028, 0x2029):
            out += b"\\u%04x" % point
        elif 0xD800 <= point <= 0xDFFF:
            out += b"\\ufffd"  # a byte of a query that was no UTF-8, see _query
        else:
            out += chr(point).encode()
    return bytes(out + b'"')


def _number(number: float) -> str:
    """Go's shortest spelling of a float64, plain from 1e-6 up to 1e21."""
    shortest = Decimal(repr(number))  # the shortest digits that read back as the same number
    if shortest == 0:
        return "-0" if shortest.is_signed() else "0"
    if Decimal("1e-6") <= abs(shortest) < Decimal("1e21"):
        plain = f"{shortest:f}"
        return plain.rstrip("0").rstrip(".") if "." in plain else plain
    sign_, digits, _ = shortest.as_tuple()
    first, rest = str(digits[0]), "".join(map(str, digits[1:])).rstrip("0")
    mantissa = f"{first}.{rest}" if rest else first
    power = shortest.adjusted()
    return f"{'-' if sign_ else ''}{mantissa}e{'+' if power > 0 else '-'}{abs(power)}"


# -- url.ParseQuery -------------------------------------------------------------------------------


def _query(text: str) -> dict[str, Any]:
    """The first value of each name; what Go's parser cannot read is left out."""
    found: dict[str, Any] = {}
    for pair in filter(None, text.split("&")):
        name, _, value = pair.partition("=")
        unescaped = [_unescaped(part) for part in (name, value)]
        if ";" in pair or unescaped[0] is None or unescaped[1] is None:
            continue
        found.setdefault(unescaped[0], unescaped[1])
    return found


def _unescaped(text: str) -> str | None:
    out, raw, at = bytearray(), text.encode(), 0
    while at < len(raw):
        if raw[at] == 0x25:
            digits = raw[at + 1 : at + 3]
            if re.fullmatch(rb"[0-9a-fA-F]{2}", digits) is None:
                return None
            out.append(int(digits, 16))
            at += 3
        else:
            out.append(0x20 if raw[at] == 0x2B else raw[at])
            at += 1
    # Each byte that is no UTF-8 stays one character of its own.
    return out.decode("utf-8", "surrogateescape")
