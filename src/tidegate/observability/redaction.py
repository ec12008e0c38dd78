"""What may not stand in a log or in a stored exchange, and what stands there instead. Pure.

Two strengths (D5): in **logs** secrets, names and account numbers vanish; in **stored exchanges**
(:func:`redact_exchange`) account numbers keep their last four digits and names their initials, so
that a person can still compare them, and secrets vanish. Card numbers vanish from both.

A value is judged by its key first (``accountNumber``, ``account-number`` and ``ACCOUNT_NUMBER``
are one key), then by what it looks like.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, MutableMapping
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

from tidegate.observability.cards import mask_card_numbers
from tidegate.observability.running_text import (
    LONG_DIGITS,
    MASK,
    Mask,
    hide_emails,
    hide_named,
    hide_secrets,
)
from tidegate.observability.sorts import Sort, sort_of

__all__ = ["Sort", "initials", "last_four", "redact_event", "redact_exchange", "sort_of"]

_DEPTH_MAX = 8
# Nothing that gives itself away by its looks is shorter.
_TEXT_MIN = 8
# No card number is shorter than thirteen digits.
_DIGITS_12 = 10**12

# A bare "name" beside these is a bank's, not a person's.
_PUBLIC_NAME_PARENTS = frozenset(
    {"bank", "banks", "currency", "institution", "institutions", "psp", "psps"}
)

_SYMBOL = re.compile(r"[A-Z][A-Z0-9]{1,7}")
_DIGITS = re.compile(r"\d{5,}")


def redact_event(_logger: object, _method: str, event: MutableMapping[str, Any]) -> Any:
    """Redact a log event in place (a structlog processor)."""
    for key, value in event.items():
        event[key] = _redact(key, value, "", _for_log, 0)
    return event


def redact_exchange(thing: Any) -> Any:
    """Return a copy of an HTTP exchange, or of any part of one, that may be stored.

    Takes mappings, lists, text and bytes; JSON inside text is read and comes back as JSON text
    with its number tokens as they were. The result holds only JSON types.
    """
    return _redact("", thing, "", _for_exchange, 0)


def last_four(account: str) -> str:
    """``"0123456789"`` becomes ``"***6789"``; a short one vanishes altogether."""
    return f"{MASK}{account[-4:]}" if len(account) >= 8 else MASK


def initials(name: str) -> str:
    """``"ADA B OBI"`` becomes ``"A. B. O."``."""
    return " ".join(f"{word[0]}." for word in name.split())


def _for_log(sort: Sort, value: str) -> str:
    match sort:
        case Sort.FREE_TEXT:
            return LONG_DIGITS.sub(MASK, _text(value, _for_log))
        case Sort.SECRET | Sort.ACCOUNT | Sort.NAME | Sort.PERSONAL:
            return MASK


def _for_exchange(sort: Sort, value: str) -> str:
    match sort:
        case Sort.ACCOUNT:
            return last_four(value)
        case Sort.NAME:
            return initials(value)
        case Sort.FREE_TEXT:
            text = _text(value, _for_exchange)
            return LONG_DIGITS.sub(lambda digits: last_four(digits[0]), text)
        case Sort.SECRET | Sort.PERSONAL:
            return MASK


def _redact(key: str, value: Any, parent: str, mask: Mask, depth: int) -> Any:
    if value is None or value is True or value is False:
        return value
    sort = _sort_here(key, value, parent, mask) if key else None
    if sort is Sort.SECRET or sort is Sort.PERSONAL:
        return MASK
    # The kinds that parsed JSON is made of come first: there are many of them.
    kind = type(value)
    if kind is str:
        return _text(value, mask) if sort is None else mask(sort, value)
    if kind is int and sort is None and -_DIGITS_12 < value < _DIGITS_12:
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        text = bytes(value).decode("utf-8", "backslashreplace")
        return _text(text, mask) if sort is None else mask(sort, text)
    if isinstance(value, dict | list | tuple | set | frozenset | Mapping):
        return _redact_container(key, value, parent, mask, depth)
    return _scalar(value, sort, mask)


def _sort_here(key: str, value: Any, parent: str, mask: Mask) -> Sort | None:
    """Judge a key where it stands: some only look delicate, one only there is."""
    sort = sort_of(key)
    if not isinstance(value, str):
        return sort
    if key == "token" and _SYMBOL.fullmatch(value):
        return None  # a crypto token's symbol (aggregator.md 3.1)
    if key == "name" and parent in _PUBLIC_NAME_PARENTS:
        return None
    if key == "account" and not _DIGITS.search(value):
        return None  # a ledger account's path
    if key == "data" and mask is _for_exchange and not value.startswith(("{", "[")):
        return Sort.NAME  # the answer to a name enquiry is a bare string (aggregator.md 3.3)
    return sort


def _redact_container(key: str, value: Any, parent: str, mask: Mask, depth: int) -> Any:
    if depth >= _DEPTH_MAX:
        return MASK
    if isinstance(value, Mapping):
        if "code" in value and not any(sort_of(_word(name)) is Sort.ACCOUNT for name in value):
            key = "bank"
        return {
            name: item
            if item is None or item is True or item is False
            else _redact(_word(name), item, key, mask, depth + 1)
            for name, item in value.items()
        }
    if key == "headers":
        return [_header(item, mask, depth) for item in value]
    # A list of accounts or names is as delicate as one of them.
    return [_redact(key, item, parent, mask, depth + 1) for item in value]


def _header(item: Any, mask: Mask, depth: int) -> Any:
    if isinstance(item, list | tuple) and len(item) == 2:
        name = _word(item[0])
        return [name, _redact(name, item[1], "", mask, depth + 1)]
    return _redact("", item, "", mask, depth + 1)


def _word(key: Any) -> str:
    if type(key) is str:
        return key
    return key.decode("latin-1") if isinstance(key, bytes) else str(key)


def _scalar(value: Any, sort: Sort | None, mask: Mask) -> Any:
    if isinstance(value, Enum):
        return _scalar(value.value, sort, mask)
    if isinstance(value, int | float | Decimal):
        if sort in (Sort.ACCOUNT, Sort.NAME):
            return mask(sort, str(value))
        text = str(value)
        masked = mask_card_numbers(text)
        if masked != text:
            return masked
        return str(value) if isinstance(value, Decimal) else value
    if isinstance(value, date | timedelta | UUID | PurePath):
        return str(value)
    if isinstance(value, str):
        return mask(sort, value) if sort is not None else _text(value, mask)
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {mask(Sort.FREE_TEXT, str(value))}"
    # The repr of a row or a message would tell everything; its kind is enough.
    return f"<{type(value).__name__}>"


def _text(text: str, mask: Mask) -> str:
    if mask is _for_exchange and text.startswith(("{", "[")):
        return _json_text(text)
    if len(text) < _TEXT_MIN:
        return text
    if text.isidentifier():
        # One word, as most values are: no card number (digits inside a word are none), no pair.
        return hide_secrets(text) if "k_" in text or "sec" in text or "SECK" in text else text
    if mask is _for_log:
        text = hide_emails(text)
    return mask_card_numbers(hide_secrets(hide_named(text, mask)))


# Private-use characters stand around a number's own spelling while it travels as a string.
_OPEN, _CLOSE = "\ue000", "\ue001"
_NUMBER = re.compile(f'"{_OPEN}([-+.0-9eE]+){_CLOSE}"')

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_DECODER = json.JSONDecoder(parse_float=lambda token: f"{_OPEN}{token}{_CLOSE}")


def _json_text(text: str) -> str:
    try:
        tree = _DECODER.decode(text)
        tree = _redact("", tree, "", _for_exchange, 0)
    except (ValueError, RecursionError):
        # It begins like JSON and is none: nothing in it can be judged by key.
        return f"[unreadable, {len(text)} characters]"
    plain = _ENCODER.encode(tree)
    return _NUMBER.sub(r"\1", plain) if _OPEN in plain else plain
