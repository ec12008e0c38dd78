"""Secrets in running text: what gives itself away by its looks, or by the name before it. Pure.

Every log line and every stored exchange comes through here, and what callers wrote with it: each
search is linear in the length of the text, and most texts are left after a few looks.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from typing import Final
from urllib.parse import quote, unquote_plus

from tidegate.observability.sorts import Sort, sort_of

__all__ = ["LONG_DIGITS", "MASK", "Mask", "hide_emails", "hide_named", "hide_secrets"]

MASK: Final = "***"

Mask = Callable[[Sort, str], str]
"""What stands in the place of a value of this sort."""

LONG_DIGITS: Final = re.compile(r"(?<!\w)\d{8,}(?!\w)")

_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b([Bb]earer|Basic)\s+[\w.~+/=:-]{16,}"), r"\1 ***"),
    (re.compile(r"\bHMAC\s+([\w-]*):[0-9A-Za-z]+"), r"HMAC \1:***"),
    # A header's value has blanks of its own: to the end of the line.
    (re.compile(r"(?i)\b(cookie|authorization): [^\r\n\"']+"), r"\1: ***"),
    (re.compile(r"\b(?:sk|rk|whsec|FLWSECK)(_live|_test|_TEST)?[_-][A-Za-z0-9+/=-]{8,}"), MASK),
    # Stripe's client secrets: who has one acts as the payer. The id before it is no secret.
    (
        re.compile(r"\b((?:pi|seti|src|cs_live|cs_test)_[A-Za-z0-9]+)_secret_[\w%-]+"),
        r"\1_secret_***",
    ),
    (re.compile(r"\beyJ[\w-]{8,2048}\.[\w-]{8,}\.[\w-]*"), MASK),
    # To the last "@": a password may hold one.
    (re.compile(r"(\b[a-z][a-z0-9+.-]{0,31}://[^\s:/@]*):[^\s/]+@"), r"\1:***@"),
    # An ORM's error repeats the bound parameters, which are what the row holds.
    (re.compile(r"\[parameters: .*", re.DOTALL), "[parameters: ***]"),
)
# One of these stands in each of the shapes above: a quick way past all of them.
_HINTS = (
    *("earer ", "Basic ", "HMAC", "k_", "k-", "sec", "SECK", "eyJ", "://", "[para"),
    *("ookie:", "OOKIE:", "zation:", "ZATION:"),
)

# After "=", as in a query, a form or the repr of a call.
_ENCODED = re.compile(r"[^&#\s]*")
# After ":", as in JSON, in a dict's repr and in prose.
_VALUE = re.compile(
    r"""[ \t\r\n]*(?:
        \\"(?P<escaped>.*?)\\"              # JSON inside JSON
        | "(?P<double>(?:[^"\\]|\\.)*)"?
        | '(?P<single>(?:[^'\\]|\\.)*)'?
        | (?P<bare>[^\s"'\\{}\[\](),;]+)
    )""",
    re.VERBOSE | re.DOTALL,
)
_NAME_CHARACTERS = f"{string.ascii_letters}{string.digits}_.-"
_NAME_MAX = 48
_NO_ENDS = f"{string.digits})]}}"  # no name that announces anything ends so
_SIGN = re.compile("[:=]")
_NO_VALUES = frozenset({"null", "None", "true", "false", "True", "False", "undefined"})

_EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%-]+@(?:[\w-]{1,63}\.){1,8}[A-Za-z][\w-]+")
_SYMBOL = re.compile(r"[A-Z][A-Z0-9]{1,7}")
_DIGITS = re.compile(r"\d{5,}")


def hide_secrets(text: str) -> str:
    """Replace keys, tokens, client secrets, passwords in addresses and bound parameters."""
    for hint in _HINTS:
        if hint in text:
            break
    else:
        return text
    for shape, instead in _SHAPES:
        text = shape.sub(instead, text)
    return text


def hide_emails(text: str) -> str:
    """Replace what looks like an e-mail address."""
    return _EMAIL.sub(MASK, text) if "@" in text else text


def hide_named(text: str, mask: Mask) -> str:
    """Replace the values after ``name=`` and ``name:`` where the name announces something."""
    if "=" not in text and ":" not in text:
        return text
    pieces: list[str] = []
    done = 0
    for sign in _SIGN.finditer(text):
        # What stands inside a value that was replaced is gone already.
        if sign.start() >= done and (found := _value_after(text, sign.start(), mask)) is not None:
            shown, start, end = found
            pieces += (text[done:start], shown)
            done = end
    return "".join((*pieces, text[done:])) if pieces else text


def _value_after(text: str, sign: int, mask: Mask) -> tuple[str, int, int] | None:
    """(what to show, where the value begins, where it ends)."""
    if sign == 0 or text[sign - 1] in _NO_ENDS:
        return None  # a time or an address, mostly
    before = text[max(0, sign - _NAME_MAX) : sign].rstrip(" ")
    unquoted = before.rstrip("\"'\\")
    name = unquoted[len(unquoted.rstrip(_NAME_CHARACTERS)) :]
    sort = sort_of(name) if name else None
    if sort is None:
        return None
    if text[sign] == "=":
        return _encoded(text, sign + 1, sort, mask)
    value = _VALUE.match(text, sign + 1)
    if value is None or value.lastgroup is None:
        return None
    said = value[value.lastgroup]
    if said in _NO_VALUES or not _is_meant(name, said, sort, quoted=unquoted != before):
        return None
    return mask(sort, said), *value.span(value.lastgroup)


def _encoded(text: str, start: int, sort: Sort, mask: Mask) -> tuple[str, int, int] | None:
    value = _ENCODED.match(text, start)
    assert value is not None  # the pattern matches nothing, too
    said = unquote_plus(value[0])
    if sort is not Sort.FREE_TEXT:
        shown = mask(sort, said)
    elif "=" in said:
        shown = MASK  # names inside a sentence inside a pair: nobody needs to read that
    elif LONG_DIGITS.search(said) is None:
        return None
    else:
        shown = LONG_DIGITS.sub(lambda digits: mask(Sort.ACCOUNT, digits[0]), said)
    return quote(shown, safe="*"), value.start(), value.end()


def _is_meant(name: str, said: str, sort: Sort, *, quoted: bool) -> bool:
    """Whether a word with a colon is the name of the value after it."""
    if quoted:
        if name == "token" and _SYMBOL.fullmatch(said):
            return False  # a crypto token's symbol (aggregator.md 3.1)
        # A sentence is searched where it stands; a ledger account is a path.
        return sort is not Sort.FREE_TEXT and (name != "account" or bool(_DIGITS.search(said)))
    # In prose "name:" and "reason:" may begin anything.
    return sort is Sort.SECRET or (
        sort in (Sort.ACCOUNT, Sort.PERSONAL) and bool(_DIGITS.search(said))
    )
