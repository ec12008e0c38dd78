"""Guesses at what went wrong with a signature, each of them tried out before it is given."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tidegate.wire.canonical import Json, go_json
from tidegate.wire.fields import decimal_of
from tidegate.wire.signature import FRESH_S, Path, query_values, sign

__all__ = ["Evidence", "hints"]

# Unix seconds stay below this until the year 5138; milliseconds passed it in 1973.
_MILLISECONDS_FROM: Final = 10**11


@dataclass(frozen=True, slots=True)
class Evidence:
    """One request taken apart: ``forms`` are the bytes each path signs, by its name.

    ``message`` is the parsed object (or query), ``None`` if there is none; ``age_s`` the age of
    its timestamp in seconds, ``client`` the client id that the header names.
    """

    by_query: bool
    body: bytes
    query: str
    client: str | None
    signature: str
    keys: Sequence[str]
    forms: Mapping[str, bytes]
    message: Mapping[str, Json] | None
    age_s: int | None

    @property
    def fitting(self) -> tuple[str, ...]:
        """The forms that the signature is over, with any of the secrets."""
        return tuple(
            name
            for name, octets in self.forms.items()
            if any(self.signature == sign(key, octets) for key in self.keys)
        )


def hints(case: Evidence) -> tuple[str, ...]:
    """Sentences for a person, without repetition; none of them holds anything of the request."""
    fitting = case.fitting
    about_signature = _of_accepted(case, fitting) if fitting else _of_refused(case)
    return tuple(dict.fromkeys([*_of_timestamp(case), *about_signature]))


def _of_timestamp(case: Evidence) -> Iterator[str]:
    if case.message is None:
        return
    raw = case.message.get("timestamp")
    seconds = decimal_of(raw)
    if seconds is not None and seconds >= _MILLISECONDS_FROM:
        yield "The timestamp looks like milliseconds; it must be Unix seconds."
    elif case.age_s is not None and case.age_s < -FRESH_S:
        yield "The timestamp is in the future; such a request can be replayed until then."
    elif case.age_s is not None and case.age_s > FRESH_S:
        yield "The timestamp is too old: stamp and sign each try anew, and check the clock."
    if isinstance(raw, str) and not case.by_query:
        yield "The timestamp is a string; the aggregator reads it as a number before it signs."


def _of_accepted(case: Evidence, fitting: Sequence[str]) -> Iterator[str]:
    if all(case.signature != sign(case.keys[0], case.forms[name]) for name in fitting):
        yield "It was made with an earlier secret, not with the current one."
    if case.by_query:
        return
    if Path.RAW not in fitting:
        yield "Other bytes were sent than signed: blanks, key order or escapes differ."
    elif not any(name.startswith(Path.GO_MAP) for name in fitting):
        yield "The body is not in canonical form: an aggregator that checks only that refuses it."


def _of_refused(case: Evidence) -> Iterator[str]:
    wanted = case.signature.lower()
    for key in case.keys:
        for octets in case.forms.values():
            if wanted == sign(key, octets):
                yield "The signature fits but for its case: send lower-case hex."
            elif wanted in {sign(key.strip(), octets), sign(key + "\n", octets)}:
                yield "It was made with blanks or a line end around the secret, or without them."
            elif wanted == _sign_decoded(key, octets):
                yield "It was made with the base64-decoded secret; the text itself is the key."
        if case.by_query:
            if wanted == sign(key, go_json(query_values(case.query))):
                yield "The timestamp was signed as a string; it must be a number."
        elif wanted in {sign(key, near) for near in _around(case.body)}:
            yield "The body that was signed differs in a blank or line end around it."
        if wanted == sign(key, b"") and case.body:
            yield "It is the signature of zero bytes, but there is a body."


def _around(body: bytes) -> set[bytes]:
    """The body with other blanks or another line end around it."""
    return {body.strip(), body + b"\n"} - {body}


def _sign_decoded(secret: str, message: bytes) -> str | None:
    try:
        key = base64.urlsafe_b64decode(secret)
    except (binascii.Error, ValueError):
        return None
    return hmac.digest(key, message, "sha256").hex()
