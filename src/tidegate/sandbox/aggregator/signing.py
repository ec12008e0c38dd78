"""The aggregator's own view of signatures: canonical bytes, HMAC, and both ways of checking.

Written from the wire contract alone (aggregator.md section 2) and shared with nobody: a mistake
in the node's code must not find its twin here. Pure: no clock, no network.
"""

from __future__ import annotations

import hmac
import json
import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Literal

__all__ = [
    "SpecStyle",
    "canonical",
    "fits",
    "parse_object",
    "query_map",
    "sign",
    "spec_order_bytes",
    "with_numeric_timestamp",
]

SpecStyle = Literal["sorted-ascii", "sorted-utf8", "raw", "raw-compact"]
"""Which bytes a SPEC counterpart signs, and what it puts on the wire (vectors P01 to P04)."""

_EXACT_INTEGER_MAX = 2**53
_DIGITS_MAX = 308
# Go's encoder makes JSON safe to embed in HTML; all other escapes agree with the C encoder below.
_HTML_SAFE = str.maketrans(
    {
        "<": "\\u003c",
        ">": "\\u003e",
        "&": "\\u0026",
        "\u2028": "\\u2028",
        "\u2029": "\\u2029",
    }
)
_encode_utf8 = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
).encode
_encode_string = json.JSONEncoder(ensure_ascii=False).encode


def _finite(token: str) -> float:
    number = float(token)
    if math.isinf(number):
        raise ValueError("number out of range")
    return number


def _whole(token: str) -> int:
    if len(token) > _DIGITS_MAX:
        raise ValueError("number out of range")
    return int(token)


def _refuse_constant(token: str) -> float:
    raise ValueError(f"{token} is not JSON")


_decode = json.JSONDecoder(
    parse_float=_finite, parse_int=_whole, parse_constant=_refuse_constant
).decode


def sign(secret: bytes, message: bytes) -> str:
    """Lower-case hex HMAC-SHA256; ``secret`` is the key's text as bytes, never decoded (2.1)."""
    return hmac.digest(secret, message, "sha256").hex()


def parse_object(body: bytes) -> dict[str, Any] | None:
    """Read a request body as the aggregator does; ``None`` unless it is a JSON object.

    Broken UTF-8 becomes U+FFFD, the last of two equal keys wins, ``NaN`` and numbers beyond
    float64 are refused (2.3).
    """
    try:
        document = _decode(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def canonical(document: Mapping[str, Any]) -> bytes:
    """The bytes Go's ``json.Marshal`` gives for a parsed object (2.3).

    Keys sorted, no whitespace, numbers as float64, HTML characters escaped. Raises
    ``ValueError`` for nesting deeper than we can follow.
    """
    try:
        return _marshal(document)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _marshal(document: Mapping[str, Any]) -> bytes:
    if all(_is_plain(value) for value in document.values()):
        text = _encode_utf8(document)
    else:
        text = _spell(document)
    try:
        return text.translate(_HTML_SAFE).encode()
    except UnicodeEncodeError:
        # Lone surrogates, which a \uD800 in the body leaves behind, are U+FFFD to Go.
        return (
            text.translate(_HTML_SAFE)
            .encode("utf-16", "surrogatepass")
            .decode("utf-16", "replace")
            .encode()
        )


def _is_plain(value: object) -> bool:
    """Whether the C encoder spells this value exactly as Go would."""
    kind = type(value)
    return (
        kind is str
        or kind is bool
        or value is None
        or (isinstance(value, int) and -_EXACT_INTEGER_MAX <= value <= _EXACT_INTEGER_MAX)
    )


def _spell(value: object) -> str:
    if isinstance(value, Mapping):
        members = ((_encode_string(str(key)), _spell(value[key])) for key in sorted(value))
        return "{" + ",".join(f"{key}:{text}" for key, text in members) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(_spell(item) for item in value) + "]"
    if isinstance(value, str):
        return _encode_string(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return _spell_number(value)
    raise TypeError(f"{type(value).__name__} has no place in JSON")


def _spell_number(value: int | float) -> str:
    """Shortest digits that read back as the same float64, in Go's notation."""
    try:
        number = float(value)
    except OverflowError as error:
        raise ValueError("number out of range") from error
    exact = Decimal(repr(number))
    if number == 0:
        return "-0" if math.copysign(1, number) < 0 else "0"
    if 1e-6 <= abs(number) < 1e21:
        text = format(exact, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    sign_, digits, _ = exact.normalize().as_tuple()
    power = exact.adjusted()
    mantissa = str(digits[0])
    if len(digits) > 1:
        mantissa += "." + "".join(map(str, digits[1:]))
    # Go pads a positive exponent to two digits but json strips the zero of a negative one.
    tail = f"e+{power:02d}" if power > 0 else f"e-{-power}"
    return ("-" if sign_ else "") + mantissa + tail


def query_map(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """What a GET is signed over: the first value of every query key (2.1)."""
    values: dict[str, Any] = {}
    for key, value in pairs:
        values.setdefault(key, value)
    return values


def with_numeric_timestamp(
    document: Mapping[str, Any],
) -> tuple[Mapping[str, Any], float | None]:
    """The object as it is verified, and its timestamp; ``None`` when missing, 0 or no number.

    A numeric string becomes a number before the canonical form is taken (2.2).
    """
    raw = document.get("timestamp")
    stamp: float | None = None
    if isinstance(raw, int | float) and not isinstance(raw, bool):
        stamp = float(raw)
    elif isinstance(raw, str):
        try:
            stamp = _finite(raw)
        except ValueError:
            stamp = None
        if stamp is not None and (math.isnan(stamp) or raw != raw.strip() or "_" in raw):
            stamp = None
    if not stamp:
        return document, None
    return ({**document, "timestamp": stamp} if isinstance(raw, str) else document), stamp


def fits(
    secret: bytes, signature: str, document: Mapping[str, Any], raw: bytes | None
) -> Literal["raw", "map"] | None:
    """Which of LIVE's two checks the signature passes; ``raw`` is ``None`` for a GET (2.1).

    The text is compared byte for byte, so upper-case hex never fits.
    """
    offered = signature.encode("utf-8", "surrogateescape")
    if raw is not None and hmac.compare_digest(sign(secret, raw).encode(), offered):
        return "raw"
    try:
        form = canonical(document)
    except ValueError:
        return None
    return "map" if hmac.compare_digest(sign(secret, form).encode(), offered) else None


def spec_order_bytes(
    secret: bytes, order: Mapping[str, Any], style: SpecStyle
) -> tuple[bytes, str]:
    """A SPEC offer as a Python counterpart sends it: the bytes on the wire and their signature.

    Number tokens stay floats (``50000.0``), which Go would spell differently (2.4, P01 to P05).
    """
    match style:
        case "raw-compact":
            wire = json.dumps(order, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
            return wire.encode(), sign(secret, wire.encode())
        case "raw":
            wire = json.dumps(order)
            return wire.encode(), sign(secret, wire.encode())
        case "sorted-ascii" | "sorted-utf8":
            signed = json.dumps(
                order,
                ensure_ascii=style == "sorted-ascii",
                sort_keys=True,
                separators=(",", ":"),
            )
            return json.dumps(order).encode(), sign(secret, signed.encode())
