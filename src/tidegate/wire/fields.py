"""Reading single fields of a parsed message.

A field that is absent or null reads as empty; one of the wrong JSON type raises
:class:`BadInput` naming it; one of the right type that cannot be used is carried as it came,
and a fault ``<field>: <code>`` is added to the caller's list.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from tidegate.errors import BadInput
from tidegate.wire.canonical import Json, NumberToken, Plain, plain

__all__ = ["decimal_of", "instant_ms", "object_of", "read_rfc3339", "strings_of", "text_of"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"
    r"(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)
# Go's zero time stands for "none" in what it marshals.
_GO_ZERO_TIME: Final = "0001-01-01T00:00:00Z"
_DECIMAL = re.compile(r"-?[0-9]{1,40}(?:\.[0-9]{1,40})?(?:[eE][+-]?[0-9]{1,2})?")


def text_of(
    message: Mapping[str, Json],
    name: str,
    faults: list[str],
    *,
    within: str = "",
    required: bool = False,
) -> str:
    """A string field, verbatim; ``""`` when absent (a fault when ``required``).

    U+0000 becomes U+FFFD with a fault: no database text can hold it, and an offer must be kept.
    """
    value = message.get(name)
    if value is None or value == "":
        if required:
            faults.append(f"{within}{name}: missing")
        return ""
    if not isinstance(value, str):
        raise BadInput(f"{within}{name} is not a string.")
    if "\0" in value:
        faults.append(f"{within}{name}: unreadable")
        return value.replace("\0", "\ufffd")
    return value


def strings_of(message: Mapping[str, Json], name: str, faults: list[str]) -> tuple[str, ...]:
    """A list of strings; absent or null (Go's empty list) is empty."""
    value = message.get(name)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise BadInput(f"{name} is not a list.")
    texts: list[str] = []
    for item in value:
        if not isinstance(item, str):
            raise BadInput(f"{name} is not a list of strings.")
        texts.append(text_of({name: item}, name, faults))
    return tuple(texts)


def object_of(message: Mapping[str, Json], name: str, *, within: str = "") -> dict[str, Plain]:
    """An object, its numbers as text; empty when absent."""
    value = message.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadInput(f"{within}{name} is not an object.")
    return {key.replace("\0", "\ufffd"): plain(item) for key, item in value.items()}


def instant_ms(message: Mapping[str, Json], name: str, faults: list[str]) -> int | None:
    """An RFC 3339 time as Unix milliseconds; Go's zero time counts as absent."""
    text = text_of(message, name, faults)
    if not text or text == _GO_ZERO_TIME:
        return None
    instant = read_rfc3339(text)
    fault = f"{name}: unreadable"
    if instant is None and fault not in faults:
        faults.append(fault)
    return instant


def read_rfc3339(text: str) -> int | None:
    """RFC 3339 with its offset as Unix milliseconds, finer digits cut; ``None`` if it is none."""
    if _RFC3339.fullmatch(text) is None:
        return None
    try:
        instant = datetime.fromisoformat(text.upper())
    except ValueError:
        return None
    return (instant - _EPOCH) // _MILLISECOND


def decimal_of(value: Json) -> Decimal | None:
    """A number, or a string that is one, exactly; ``None`` for anything else.

    Bounded to 40 digits on either side and two-digit exponents, so that working with it is cheap.
    """
    text = value.text if isinstance(value, NumberToken) else value
    if not isinstance(text, str) or _DECIMAL.fullmatch(text) is None:
        return None
    return Decimal(text)
