"""Telling a plausible card number from other digits. Pure.

Plausible means all three: 13 to 19 digits (single blanks or hyphens between them allowed), a
prefix and length that an issuer network uses (ISO/IEC 7812 ranges as the networks publish them),
and a correct Luhn digit. Times, phone and account numbers fail at least one of these.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["find_card_numbers", "holds_card_number", "mask_card_numbers"]

_MASK = "[card]"

# Groups of digits with single blanks or hyphens between; not inside a word or a decimal fraction.
_GROUPS = re.compile(r"(?<![\w.])\d+(?:[ -]\d+)*(?!\w)")
_GROUP = re.compile(r"\d+")
# Enough digits close together to be worth looking at; most texts stop here.
_PERHAPS = re.compile(r"\d[\d -]{11,}\d")
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


def find_card_numbers(text: str) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of every plausible card number in ``text``, from left to right."""
    if _PERHAPS.search(text) is None:
        return
    for run in _GROUPS.finditer(text):
        # Whole groups only: the digits of a 30-digit session id are never looked into, but a
        # house number before a card number does not hide it.
        groups = list(_GROUP.finditer(text, *run.span()))
        first = 0
        while first < len(groups):
            last = _last_group(groups, first)
            if last is None:
                first += 1
            else:
                yield groups[first].start(), groups[last].end()
                first = last + 1


def holds_card_number(text: str) -> bool:
    """Whether ``text`` contains a plausible card number."""
    return any(True for _ in find_card_numbers(text))


def mask_card_numbers(text: str) -> str:
    """Replace every plausible card number in ``text`` by ``[card]``."""
    if len(text) < _LENGTHS.start:
        return text
    spans = list(find_card_numbers(text))
    for start, end in reversed(spans):
        text = text[:start] + _MASK + text[end:]
    return text


def _last_group(groups: list[re.Match[str]], first: int) -> int | None:
    """Find the group that completes a card number begun by group ``first``."""
    digits = ""
    for last in range(first, len(groups)):
        digits += groups[last][0]
        if len(digits) >= _LENGTHS.stop:
            return None
        if len(digits) in _LENGTHS and _issued(digits) and _luhn(digits):
            return last
    return None


def _issued(digits: str) -> bool:
    return any(
        len(digits) in lengths and first <= int(digits[: len(str(first))]) <= last
        for first, last, lengths in _RANGES
    )


def _luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
