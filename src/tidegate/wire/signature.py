"""Signing and verifying: HMAC-SHA256 in lower-case hex, the secret used as text (contract, 2).

What is verified first is always the bytes that arrived; canonical forms are the fallback for
counterparts that sign one text and send another. Nothing here bounds time or replay: a good
signature never means that a message is new.
"""

from __future__ import annotations

import hmac
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Final
from urllib.parse import unquote_to_bytes

from tidegate.errors import UnreadableBody
from tidegate.wire.canonical import (
    Json,
    NumberToken,
    compact_json,
    go_json,
    parse_object,
)

__all__ = [
    "FRESH_S",
    "Path",
    "Verified",
    "accepted_by_aggregator",
    "authorization",
    "fallback_messages",
    "is_fresh",
    "query_accepted_by_aggregator",
    "query_message",
    "query_values",
    "sign",
    "split_authorization",
    "verify_live",
    "verify_spec",
]

FRESH_S: Final = 300
"""How far a timestamp may be from now, in seconds; exactly this far is still fresh."""

_HEX = re.compile(r"[0-9a-f]{64}")
_NUMERIC = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


class Path(StrEnum):
    """Which bytes a signature was found to be over."""

    RAW = "raw"
    GO_MAP = "go_map"
    SORTED_ASCII = "sorted_ascii"
    SORTED_UTF8 = "sorted_utf8"


# In the order in which a spec signature is tried.
_FORMS: Final[Mapping[Path, Callable[[dict[str, Json]], bytes]]] = {
    Path.SORTED_ASCII: partial(compact_json, ascii=True),
    Path.SORTED_UTF8: partial(compact_json, ascii=False),
    Path.GO_MAP: go_json,
}


@dataclass(frozen=True, slots=True)
class Verified:
    """A signature that fits: over which form, and with which of the secrets (0 = current)."""

    path: Path
    secret_index: int


def sign(secret: str, message: bytes) -> str:
    """HMAC-SHA256 of ``message`` in lower-case hex; ``secret`` is text, never decoded."""
    return _digest(secret, message).hex()


def authorization(client_id: str, secret: str, message: bytes) -> str:
    """The value of ``Authorization`` for a body (or :func:`query_message`) that is sent so."""
    return f"HMAC {client_id}:{sign(secret, message)}"


def split_authorization(header: str) -> tuple[str, str] | None:
    """``HMAC <client>:<signature>`` in two, or ``None``; the scheme is case-sensitive."""
    scheme, blank, rest = header.partition(" ")
    client, colon, signature = rest.partition(":")
    return (client, signature) if scheme == "HMAC" and blank and colon else None


def query_message(query: str) -> bytes:
    """The bytes that sign a GET: its query as a Go map, ``timestamp`` a number (contract, 2.1).

    ``query`` is the raw query without ``?``. Of a repeated key the first value counts; pairs
    that Go's parser drops (a semicolon, a broken escape) are dropped.
    """
    return go_json(_with_number(query_values(query)))


def query_values(query: str) -> dict[str, Json]:
    """The first value of each key of a raw query, all of them still strings."""
    pairs: dict[str, Json] = {}
    for pair in query.removeprefix("?").split("&"):
        if not pair or ";" in pair or _BAD_PERCENT.search(pair):
            continue
        name, _, value = pair.partition("=")
        pairs.setdefault(_unquote(name), _unquote(value))
    return pairs


def _unquote(text: str) -> str:
    # Bytes that are no UTF-8 stay recognisable: go_json writes them as Go does.
    return unquote_to_bytes(text.replace("+", " ")).decode("utf-8", "surrogateescape")


def verify_live(secrets: Sequence[str], header: str | None, body: bytes) -> Verified | None:
    """Check ``X-Request-Signature`` over the raw body, else over its Go map form (contract, 2.4).

    ``secrets`` are the current one and those of a rotation; empty ones are ignored. Returns
    ``None`` for whatever is not proven: no header, upper-case hex, any other bytes.
    """
    return _verify(secrets, header, body, (Path.GO_MAP,))


def verify_spec(
    secrets: Sequence[str], client_id: str, header: str | None, body: bytes
) -> Verified | None:
    """Check ``Authorization: HMAC client:signature`` of the spec dialect (contract, 2.4).

    The client id is ours; the signature is over the raw body, else its sorted compact form with
    or without ASCII escaping, else its Go map form. ``None`` as in :func:`verify_live`.
    """
    parts = split_authorization(header or "")
    if parts is None or not client_id or parts[0] != client_id:
        return None
    return _verify(secrets, parts[1], body, tuple(_FORMS))


def is_fresh(timestamp_s: int, now_ms: int) -> bool:
    """Whether a spec request's timestamp is within :data:`FRESH_S` of now, either way."""
    return abs(now_ms // 1000 - timestamp_s) <= FRESH_S


def accepted_by_aggregator(secret: str, signature: str, body: bytes) -> frozenset[Path]:
    """On which paths the aggregator accepts this signature of a POST (contract, 2.1).

    LIVE needs any of them, FORK needs ``GO_MAP``. Empty for a body that is no JSON object,
    which is refused before any signature is looked at. The timestamp's age is not judged.
    """
    try:
        parsed = parse_object(body)
    except UnreadableBody:
        return frozenset()
    accepted: set[Path] = {Path.RAW} if _fits(secret, signature, body) else set()
    mapped = _form(Path.GO_MAP, _with_number(parsed))
    if mapped is not None and _fits(secret, signature, mapped):
        accepted.add(Path.GO_MAP)
    return frozenset(accepted)


def query_accepted_by_aggregator(secret: str, signature: str, query: str) -> bool:
    """Whether the aggregator accepts this signature of a GET."""
    return _fits(secret, signature, query_message(query))


def fallback_messages(body: bytes, *, timestamp_as_number: bool = False) -> dict[Path, bytes]:
    """The canonical forms of a body, by path; none if it is no JSON object.

    ``timestamp_as_number`` turns a numeric string into a number first, as the aggregator does.
    """
    try:
        parsed = parse_object(body)
    except UnreadableBody:
        return {}
    value = _with_number(parsed) if timestamp_as_number else parsed
    messages = {path: _form(path, value) for path in _FORMS}
    return {path: message for path, message in messages.items() if message is not None}


def _verify(
    secrets: Sequence[str], signature: str | None, body: bytes, fallbacks: tuple[Path, ...]
) -> Verified | None:
    if signature is None or _HEX.fullmatch(signature) is None:
        return None
    # An unset "previous" secret must never become a key that everybody knows.
    keys = [(index, secret) for index, secret in enumerate(secrets) if secret]
    received = bytes.fromhex(signature)
    for index, secret in keys:
        if hmac.compare_digest(_digest(secret, body), received):
            return Verified(Path.RAW, index)
    if not keys or not body:
        return None
    try:
        parsed = parse_object(body)
    except UnreadableBody:
        return None
    for path in fallbacks:
        message = _form(path, parsed)
        if message is None or message == body:
            continue
        for index, secret in keys:
            if hmac.compare_digest(_digest(secret, message), received):
                return Verified(path, index)
    return None


def _form(path: Path, value: dict[str, Json]) -> bytes | None:
    try:
        return _FORMS[path](value)
    except UnreadableBody:
        # A number beyond float64 has no Go form; the other forms stand.
        return None


def _fits(secret: str, signature: str, message: bytes) -> bool:
    # On the text, because the aggregator compares the hex and not what it stands for.
    return hmac.compare_digest(sign(secret, message).encode(), signature.encode("utf-8", "replace"))


def _digest(secret: str, message: bytes) -> bytes:
    # surrogateescape gives back the very bytes that the environment held.
    return hmac.digest(secret.encode("utf-8", "surrogateescape"), message, "sha256")


def _with_number(parsed: dict[str, Json]) -> dict[str, Json]:
    timestamp = parsed.get("timestamp")
    if not isinstance(timestamp, str) or _NUMERIC.fullmatch(timestamp) is None:
        return parsed
    if math.isfinite(float(timestamp)):
        return {**parsed, "timestamp": NumberToken(timestamp)}
    return parsed
