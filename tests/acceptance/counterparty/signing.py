"""Signatures as the other side makes and checks them (aggregator.md 2)."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

__all__ = ["go_json", "lenco_signature", "python_json", "sign"]

_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
_HTML = "<>&\u2028\u2029"


def sign(secret: str, message: bytes) -> str:
    """Lower-case hex HMAC-SHA256; the secret is used as text, never decoded."""
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def lenco_signature(token: str, body: bytes) -> str:
    """HMAC-SHA512 under the hex text of the token's SHA-256 (psp.md 1.4)."""
    key = hashlib.sha256(token.encode()).hexdigest().encode()
    return hmac.new(key, body, hashlib.sha512).hexdigest()


def python_json(value: Any, *, ascii_only: bool = True) -> bytes:
    """The sorted compact form of the documented Python sample (SPEC)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=ascii_only)
    return text.encode()


def go_json(value: Any) -> bytes:
    """What Go writes for a parsed JSON value: every number has become a float64 (2.3)."""
    return _text(value).encode("utf-8", errors="replace")


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return _number(float(value))
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, list):
        return "[" + ",".join(_text(each) for each in value) + "]"
    keys = sorted(value, key=lambda key: key.encode("utf-8", errors="replace"))
    return "{" + ",".join(f"{_string(key)}:{_text(value[key])}" for key in keys) + "}"


def _string(text: str) -> str:
    out = []
    for char in text:
        if char in _SHORT:
            out.append(_SHORT[char])
        elif char < " " or char in _HTML:
            out.append(f"\\u{ord(char):04x}")
        elif "\ud800" <= char <= "\udfff":
            out.append("\ufffd")
        else:
            out.append(char)
    return '"' + "".join(out) + '"'


def _number(number: float) -> str:
    if number == 0:
        return "-0" if str(number).startswith("-") else "0"
    sign_, digits, exponent = _shortest(number)
    if 1e-6 <= abs(number) < 1e21:
        if exponent >= len(digits) - 1:
            text = digits + "0" * (exponent - len(digits) + 1)
        elif exponent >= 0:
            text = f"{digits[: exponent + 1]}.{digits[exponent + 1 :]}"
        else:
            text = "0." + "0" * (-exponent - 1) + digits
        return sign_ + text
    mantissa = digits[0] + (f".{digits[1:]}" if len(digits) > 1 else "")
    # A negative exponent of one digit is not padded; a positive one has two digits anyway.
    return f"{sign_}{mantissa}e{'+' if exponent > 0 else '-'}{abs(exponent)}"


def _shortest(number: float) -> tuple[str, str, int]:
    """Sign, shortest digits that round-trip, and the decimal exponent of the first digit."""
    # Python's repr is shortest too; only its layout differs.
    mantissa, _, exponent = repr(abs(number)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = whole + fraction
    point = len(whole) + int(exponent or 0)
    stripped = digits.lstrip("0")
    point -= len(digits) - len(stripped)
    return ("-" if number < 0 else "", stripped.rstrip("0") or "0", point - 1)
