"""Targets: what users, operators and receivers write. Each takes any bytes and raises only on a
fault of ours."""

from __future__ import annotations

import json
import math
import tempfile
from contextlib import suppress
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from sqlalchemy import make_url

from tidegate.adapters.addresses import refusal, url_refusal
from tidegate.adapters.notifier import HttpNotifier
from tidegate.adapters.tries import retry_after_s
from tidegate.api.cursors import decode_cursor, encode_cursor
from tidegate.api.guard import is_about_a_card, parse_strictly, texts_of
from tidegate.clock import Randomness, SimulatedClock
from tidegate.db.url import parse as parse_database_url
from tidegate.errors import (
    ConfigurationError,
    InvalidToken,
    UnreadableBody,
    ValidationFailed,
)
from tidegate.observability.cards import find_card_numbers, holds_card_number, mask_card_numbers
from tidegate.observability.redaction import redact_event, redact_exchange
from tidegate.settings import load
from tidegate.settings.reading import fields, name_of, says
from tidegate.users.emails import email_key
from tidegate.users.limits import who_calls
from tidegate.users.rules import UserRules
from tidegate.users.tokens import AccessTokens

__all__ = [
    "CURSOR",
    "TOKEN",
    "access_token",
    "address",
    "card_filter",
    "cursor",
    "database_url",
    "email",
    "env_file",
    "request_body",
    "retry_after",
    "setting",
]

NOW_MS: Final = 1_728_201_600_000
_CLOCK = SimulatedClock(NOW_MS)
_DAY_S: Final = 86_400
_NOTIFIER = HttpNotifier(_CLOCK, debug=False, connector_factory=lambda _: aiohttp.TCPConnector())
_TOKENS = AccessTokens(_CLOCK, Randomness(_CLOCK, seed=1), UserRules(secret_keys=("s" * 40,)))
CURSOR = encode_cursor("payments", "pay_01abc").encode()
TOKEN = _TOKENS.issue(user_id="usr_1", session_id="ses_1", version=1, role="customer")


def database_url(data: bytes) -> None:
    """A URL leads to the very database that it names, or is refused; no password is shown."""
    text = data.decode("utf-8", "replace")
    try:
        url = parse_database_url(text)
    except ConfigurationError as error:
        _in_sentences(error, "DATABASE_URL ")
        return
    made = make_url(url.sqlalchemy_url)
    if url.dialect == "sqlite":
        assert made.database == url.path
        return
    assert (made.username or "", made.password or "", made.database) == (
        url.user,
        url.password,
        url.database,
    )
    assert url.password not in repr(url) or len(url.password) < 12 or url.password in url.display
    with suppress(ConfigurationError):
        assert url.connect_args["server_settings"]
    with suppress(ConfigurationError):
        assert url.asyncpg_args["database"] == url.database


def setting(data: bytes) -> None:
    """Any value of any setting: read, or refused in sentences that repeat no secret."""
    names, quiet = _settings()
    name = names[data[0] % len(names)] if data else names[0]
    # What the interpreter makes of an environment's bytes.
    value = data[1:].replace(b"\0", b"").decode("utf-8", "surrogateescape")
    try:
        load({"DEBUG": "true", name: value}, None)
    except ConfigurationError as error:
        told = _in_sentences(error)
        assert name not in quiet or len(value.strip()) <= 20 or value.strip() not in told


def env_file(data: bytes) -> None:
    """Any file: read, or refused in sentences."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / ".env"
        file.write_bytes(data)
        try:
            load({}, file)
        except ConfigurationError as error:
            _in_sentences(error)


def _in_sentences(error: ConfigurationError, start: str = "") -> str:
    """The faults together, after a look at each."""
    assert error.faults
    for fault in error.faults:
        assert fault.startswith(start)
        assert fault.endswith(".")
    return " ".join(error.faults)


@cache
def _settings() -> tuple[tuple[str, ...], frozenset[str]]:
    found = {name_of(field): says(field) for _, _, field in fields()}
    return tuple(sorted(found)), frozenset(name for name, say in found.items() if say.quiet)


def cursor(data: bytes) -> None:
    """Only what was given out is taken back."""
    text = data.decode("utf-8", "replace")
    try:
        after = decode_cursor("payments", text)
    except ValidationFailed:
        return
    assert after is not None
    assert encode_cursor("payments", after) == text


def card_filter(data: bytes) -> None:
    """Card numbers are found in order, and none is left after masking."""
    text = data.decode("utf-8", "replace")
    end = 0
    for start, behind in find_card_numbers(text):
        assert end <= start < behind <= len(text)
        assert 13 <= sum(character.isdecimal() for character in text[start:behind]) <= 19
        end = behind
    masked = mask_card_numbers(text)
    assert not holds_card_number(masked)
    assert not is_about_a_card(masked)
    redact_event(None, "info", {"event": text, "body": {text: [text, data]}})
    json.dumps(redact_exchange(text), allow_nan=False)


def request_body(data: bytes) -> None:
    """One strict object, which JSON reads the same, or unreadable."""
    try:
        value = parse_strictly(data)
    except UnreadableBody:
        return
    assert value == json.loads(data.decode())
    for place, text in texts_of(value):
        is_about_a_card(text)
        assert isinstance(place, str)


def retry_after(data: bytes) -> None:
    """Any header of any company or receiver: no wish, or a wait that is kept within bounds."""
    text = data.decode("latin-1")
    company = retry_after_s({"Retry-After": text}, _CLOCK)
    receiver = _NOTIFIER._asked_s(text)
    for waits, most in ((company, 3600), (receiver, _DAY_S)):
        assert waits is None or (math.isfinite(waits) and 0 <= waits <= most)
    assert (company is None) == (receiver is None)


def address(data: bytes) -> None:
    """A receiver's URL is a plain https URL of a public host, or is refused in a sentence."""
    text = data.decode("utf-8", "replace")
    who_calls(text)
    refusal(text)
    if url_refusal(text, debug=False) is not None:
        return
    parts = urlsplit(text)
    assert parts.scheme == "https"
    assert parts.hostname
    assert parts.username is None
    try:
        literal = ip_address(parts.hostname)
    except ValueError:
        return
    assert literal.is_global
    assert refusal(str(literal)) is None


def email(data: bytes) -> None:
    """The key of an address is the key of its own key, so one account has one key."""
    key = email_key(data.decode("utf-8", "replace"))
    if key is not None:
        assert email_key(key) in (key, None)
        assert "@" in key


def access_token(data: bytes) -> None:
    """Only what we signed is a token."""
    text = data.decode("latin-1")
    try:
        _TOKENS.read(text)
    except InvalidToken:
        return
    assert text == TOKEN
