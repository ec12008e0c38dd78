"""Telling a plausible card number from other digits. Pure.

Plausible means all three: 13 to 19 digits (with blanks or hyphens between them, whichever of
Unicode's a page or a word processor put there), a prefix and length that an issuer network uses
(ISO/IEC 7812 ranges as the networks publish them), and a correct Luhn digit. Times, phone and
account numbers fail at least one of these.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import accumulate

__all__ = ["find_card_numbers", "holds_card_number", "mask_card_numbers", "spell_plainly"]

_MASK = "[card]"

# Blanks that do not break, thin ones, ones without width; hyphens that do not break, dashes.
_BLANKS = " \u00a0\u2000-\u200b\u202f\u205f\u2060\u3000\ufeff"
_HYPHENS = "\u00ad\u2010-\u2015\u2212\ufe58\ufe63\uff0d-"  # the ASCII one last: it is a range's
_BETWEEN = f"[{_BLANKS}{_HYPHENS}]{{1,2}}"

# Groups of digits with one or two of them between; not inside a word or a decimal fraction.
_GROUPS = re.compile(rf"(?<![\w.])\d+(?:{_BETWEEN}\d+)*(?!\w)")
_GROUP = re.compile(r"\d+")
# Enough digits close together to be worth looking at; most texts stop here.
_PERHAPS = re.compile(rf"\d[\d{_BLANKS}{_HYPHENS}]{{11,}}\d")
_PERHAPS_ASCII = re.compile(r"[0-9][0-9 -]{11,}[0-9]")  # the same, in half the time
_OTHER_BLANKS = re.compile(f"[{_BLANKS}]+")
_OTHER_HYPHENS = re.compile(f"[{_HYPHENS}]+")
_LENGTHS = range(13, 20)

# (first prefix, last prefix, lengths); both prefixes have the same number of digits.
_RANGES: tuple[tuple[int, int, frozenset[int]], ...] = (
    (4, 4, frozenset({13, 16, 19})),  # Visa
    (51, 55, frozenset({16})),  # Mastercard
    (2221, 2720, frozenset({16})),  # Mastercard
    (34, 34, frozenset({15})),  # American Express
    (37, 37, frozenset({15})),  # American Express
    (6011, 6011, frozenset(range(16, 20))),  # Discover
    (644, 659, frozenset(range(16, 20))),  # Discover, RuPay and Verve share these
    (622126, 622925, frozenset(range(16, 20))),  # Discover with UnionPay
    (62, 62, frozenset(range(16, 20))),  # UnionPay
    (3528, 3589, frozenset(range(16, 20))),  # JCB
    (300, 305, frozenset({14})),  # Diners Club
    (36, 36, frozenset({14})),  # Diners Club
    (38, 39, frozenset({14})),  # Diners Club
    (506099, 506198, frozenset({16, 18, 19})),  # Verve
    (507865, 507964, frozenset({16, 18, 19})),  # Verve
    (2200, 2204, frozenset(range(16, 20))),  # Mir
    (5018, 5018, frozenset(range(13, 20))),  # Maestro
    (5020, 5020, frozenset(range(13, 20))),  # Maestro
    (5038, 5038, frozenset(range(13, 20))),  # Maestro
    (5893, 5893, frozenset(range(13, 20))),  # Maestro
    (6304, 6304, frozenset(range(13, 20))),  # Maestro
    (6759, 6759, frozenset(range(13, 20))),  # Maestro
    (6761, 6763, frozenset(range(13, 20))),  # Maestro
)

# The same for the first six digits, so that one comparison tells.
_OPENINGS = tuple(
    (
        first * 10 ** (6 - len(str(first))),
        (last + 1) * 10 ** (6 - len(str(last))) - 1,
        lengths,
    )
    for first, last, lengths in _RANGES
)
_NO_FIRST = "01789"
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def find_card_numbers(text: str) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of every plausible card number in ``text``, from left to right."""
    if (_PERHAPS_ASCII if text.isascii() else _PERHAPS).search(text) is None:
        return
    for run in _GROUPS.finditer(text):
        # Whole groups only: the digits of a 30-digit session id are never looked into, but a
        # house number before a card number does not hide it.
        groups = list(_GROUP.finditer(text, *run.span()))
        digits = "".join([group[0] for group in groups])
        # How many digits stand before each group; the last is all of them.
        before = list(accumulate((len(group[0]) for group in groups), initial=0))
        ends = {count: index for index, count in enumerate(before)}
        first = 0
        while first < len(groups):
            last = _group_after(digits, before[first], ends)
            if last is None:
                first += 1
            else:
                yield groups[first].start(), groups[last - 1].end()
                first = last


def holds_card_number(text: str) -> bool:
    """Whether ``text`` contains a plausible card number."""
    return any(True for _ in find_card_numbers(text))


def spell_plainly(text: str) -> str:
    """One ordinary blank, or one ordinary hyphen, for any row of what looks like it."""
    return _OTHER_HYPHENS.sub("-", _OTHER_BLANKS.sub(" ", text))


def mask_card_numbers(text: str) -> str:
    """Replace every plausible card number in ``text`` by ``[card]``."""
    if len(text) < _LENGTHS.start:
        return text
    spans = list(find_card_numbers(text))
    for start, end in reversed(spans):
        text = text[:start] + _MASK + text[end:]
    return text


def _group_after(digits: str, start: int, ends: Mapping[int, int]) -> int | None:
    """Find the group after the card number that begins at ``start`` and ends with a group."""
    if digits[start] in _NO_FIRST or len(digits) - start < _LENGTHS.start:
        return None
    for length in sorted(_issued(digits[start : start + 6])):
        after = ends.get(start + length)
        if after is not None and _luhn(digits[start : start + length]):
            return after
    return None


def _issued(digits: str) -> frozenset[int]:
    """The lengths of the card numbers that begin with these six digits."""
    opening = int(digits)
    return frozenset().union(
        *(lengths for first, last, lengths in _OPENINGS if first <= opening <= last)
    )


def _luhn(digits: str) -> bool:
    # Other scripts' digits are digits, too.
    values = [int(digit) for digit in digits]
    values.reverse()
    return (sum(values[::2]) + sum([_DOUBLED[value] for value in values[1::2]])) % 10 == 0
