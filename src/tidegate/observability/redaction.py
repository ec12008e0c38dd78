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
from collections.abc import Callable, Mapping, MutableMapping
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from pathlib import PurePath
from typing import Any
from urllib.parse import quote, unquote_plus
from uuid import UUID

from tidegate.observability.cards import mask_card_numbers

__all__ = ["Sort", "initials", "last_four", "redact_event", "redact_exchange", "sort_of"]

MASK = "***"
_DEPTH_MAX = 8
# Nothing that gives itself away by its looks is shorter.
_TEXT_MIN = 8


class Sort(Enum):
    """What kind of thing a key announces."""

    SECRET = "secret"  # noqa: S105 -- the word, not a secret
    ACCOUNT = "account"
    NAME = "name"
    PERSONAL = "personal"
    FREE_TEXT = "free text"


# Endings: "lenco_api_key" and "x_request_signature" are as secret as their last words.
_SECRET_ENDINGS = (
    "api_key",
    "apikey",
    "authorization",
    "client_assertion",
    "cookie",
    "credential",
    "credentials",
    "cvc",
    "cvv",
    "jwt",
    "otp",
    "password",
    "passwd",
    "pin",
    "private_key",
    "secret",
    "secret_key",
    "secret_previous",
    "secret_key_previous",
    "api_key_previous",
    "signature",
    "signing_key",
    "token",
    "tokens",
    "webhook_key",
    "webhook_secret",
)
_ACCOUNT_ENDINGS = (
    "account_identifier",
    "account_no",
    "account_number",
    "business_number",
    "iban",
    "msisdn",
    "nuban",
    "paybill",
    "phone",
    "phone_number",
    "recipient_account",
    "till_number",
    "wallet_number",
)
_NAME_ENDINGS = (
    "account_name",
    "beneficiary",
    "beneficiary_name",
    "customer_name",
    "first_name",
    "full_name",
    "holder",
    "holder_name",
    "last_name",
    "recipient",
    "recipient_name",
    "sender_name",
)
_PERSONAL_ENDINGS = ("address_line", "bvn", "dob", "email", "kyc", "memo", "postal_code")
_FREE_TEXT = frozenset(
    {"description", "detail", "error", "message", "narration", "reason", "title"}
    | {"reason_for_failure", "reason_text", "validation_error", "complete_message"}
)
# Whole keys only, because their ends mean other things elsewhere.
_WHOLE = {"name": Sort.NAME, "account": Sort.ACCOUNT, "accounts": Sort.ACCOUNT}

# A bare "name" beside these is a bank's, not a person's.
_PUBLIC_NAME_PARENTS = frozenset(
    {"bank", "banks", "currency", "institution", "institutions", "psp", "psps"}
)

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SYMBOL = re.compile(r"[A-Z][A-Z0-9]{1,7}")
_DIGITS = re.compile(r"\d{5,}")
_LONG_DIGITS = re.compile(r"(?<!\w)\d{8,}(?!\w)")

# What gives itself away in running text, whatever its key.
_SECRET_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b([Bb]earer|Basic)\s+[\w.~+/=:-]{16,}"), r"\1 ***"),
    (re.compile(r"\bHMAC\s+([\w-]*):[0-9A-Za-z]+"), r"HMAC \1:***"),
    (re.compile(r"\b(?:sk|rk|whsec|FLWSECK)(_live|_test|_TEST)?[_-][A-Za-z0-9+/=-]{8,}"), MASK),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), MASK),
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*):[^\s@/]+@"), r"\1:***@"),
    # An ORM's error repeats the bound parameters, which are what the row holds.
    (re.compile(r"\[parameters: .*", re.DOTALL), "[parameters: ***]"),
)
# One of these stands in each of the shapes above: a quick way past all of them.
_HINTS = (
    "earer ",
    "Basic ",
    "HMAC",
    "sk_",
    "rk_",
    "sk-",
    "rk-",
    "whsec",
    "FLWSECK",
    "eyJ",
    "://",
    "[para",
)
_PAIR = re.compile(r"(?P<lead>^|[?&\s])(?P<key>[A-Za-z_][\w.-]*)=(?P<value>[^&#\s]*)")


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


@lru_cache(maxsize=2048)
def sort_of(key: str) -> Sort | None:
    """Say what ``key`` announces; ``None`` when nothing that needs care."""
    key = _CAMEL.sub("_", key).replace("-", "_").replace(" ", "_").lower()
    if (whole := _WHOLE.get(key)) is not None:
        return whole
    if key in _FREE_TEXT:
        return Sort.FREE_TEXT
    for sort, endings in (
        (Sort.SECRET, _SECRET_ENDINGS),
        (Sort.ACCOUNT, _ACCOUNT_ENDINGS),
        (Sort.NAME, _NAME_ENDINGS),
        (Sort.PERSONAL, _PERSONAL_ENDINGS),
    ):
        if any(key == ending or key.endswith(f"_{ending}") for ending in endings):
            return sort
    return None


def last_four(account: str) -> str:
    """``"0123456789"`` becomes ``"***6789"``; a short one vanishes altogether."""
    return f"{MASK}{account[-4:]}" if len(account) >= 8 else MASK


def initials(name: str) -> str:
    """``"ADA B OBI"`` becomes ``"A. B. O."``."""
    return " ".join(f"{word[0]}." for word in name.split())


def _for_log(sort: Sort, value: str) -> str:
    match sort:
        case Sort.FREE_TEXT:
            return _LONG_DIGITS.sub(MASK, _text(value, _for_log))
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
            return _LONG_DIGITS.sub(lambda digits: last_four(digits[0]), text)
        case Sort.SECRET | Sort.PERSONAL:
            return MASK


_Mask = Callable[[Sort, str], str]


def _redact(key: str, value: Any, parent: str, mask: _Mask, depth: int) -> Any:
    if value is None or value is True or value is False:
        return value
    sort = _sort_here(key, value, parent, mask) if key else None
    if sort in (Sort.SECRET, Sort.PERSONAL):
        return MASK
    if isinstance(value, bytes | bytearray | memoryview):
        value = bytes(value).decode("utf-8", "backslashreplace")
    if type(value) is str:
        return _text(value, mask) if sort is None else mask(sort, value)
    if isinstance(value, list | tuple | set | frozenset | Mapping):
        return _redact_container(key, value, parent, mask, depth)
    return _scalar(value, sort, mask)


def _sort_here(key: str, value: Any, parent: str, mask: _Mask) -> Sort | None:
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


def _redact_container(key: str, value: Any, parent: str, mask: _Mask, depth: int) -> Any:
    if depth >= _DEPTH_MAX:
        return MASK
    if isinstance(value, Mapping):
        names = [_word(name) for name in value]
        bank = "code" in names and not any(sort_of(name) is Sort.ACCOUNT for name in names)
        return {
            name: _redact(name, item, "bank" if bank else key, mask, depth + 1)
            for name, item in zip(names, value.values(), strict=True)
        }
    if key == "headers":
        return [_header(item, mask, depth) for item in value]
    # A list of accounts or names is as delicate as one of them.
    return [_redact(key, item, parent, mask, depth + 1) for item in value]


def _header(item: Any, mask: _Mask, depth: int) -> Any:
    if isinstance(item, list | tuple) and len(item) == 2:
        name = _word(item[0])
        return [name, _redact(name, item[1], "", mask, depth + 1)]
    return _redact("", item, "", mask, depth + 1)


def _word(key: Any) -> str:
    return key.decode("latin-1") if isinstance(key, bytes) else str(key)


def _scalar(value: Any, sort: Sort | None, mask: _Mask) -> Any:
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


def _text(text: str, mask: _Mask) -> str:
    if mask is _for_exchange and text.startswith(("{", "[")):
        return _json_text(text)
    if len(text) < _TEXT_MIN:
        return text
    if "=" in text:
        text = _PAIR.sub(lambda pair: _pair(pair, mask), text)
    if any(hint in text for hint in _HINTS):
        for shape, instead in _SECRET_SHAPES:
            text = shape.sub(instead, text)
    return mask_card_numbers(text)


def _pair(pair: re.Match[str], mask: _Mask) -> str:
    sort = sort_of(pair["key"])
    if sort is None:
        return pair[0]
    masked = mask(sort, unquote_plus(pair["value"]))
    return f"{pair['lead']}{pair['key']}={quote(masked, safe='*')}"


# Private-use characters stand around a number's own spelling while it travels as a string.
_OPEN, _CLOSE = "\ue000", "\ue001"
_NUMBER = re.compile(f'"{_OPEN}([-+.0-9eE]+){_CLOSE}"')


def _json_text(text: str) -> str:
    try:
        tree = json.loads(text, parse_float=lambda token: f"{_OPEN}{token}{_CLOSE}")
        tree = _redact("", tree, "", _for_exchange, 0)
    except (ValueError, RecursionError):
        # It begins like JSON and is none: nothing in it can be judged by key.
        return f"[unreadable, {len(text)} characters]"
    plain = json.dumps(tree, ensure_ascii=False, separators=(",", ":"))
    return _NUMBER.sub(r"\1", plain)
