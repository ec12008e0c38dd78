"""What the processor holds against the service: money moved twice, keys misused, cards seen.

Keys are ``tidegate:{payment id}:{step}:{n}``, the step of a refund being our refund's id; ``n``
rises only after a proven failure (payments.md, "Idempotency").
"""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus

__all__ = ["Ask", "Judge", "our_id"]

_KEY = re.compile(
    r"tidegate:(pay_[0-9a-z]+):(create|confirm|capture|cancel|close|re_[0-9a-z]+):(\d+)"
)
# Not inside a word: ids hold long runs of digits by chance.
_DIGITS = re.compile(r"(?<!\w)(?:\d[ -]?){12,18}\d(?!\w)")
# The calls that move money or begin to.
_KEYED = frozenset({"create", "confirm", "capture", "cancel", "refund"})


@dataclass
class Ask:
    """All arrivals of one key: ``acted`` did what it asks; ``told`` is the status that went out
    for certain; ``looked`` since it last arrived, somebody asked how things stand."""

    key: str
    acted: bool = False
    told: int | None = None
    looked: bool = False
    arrivals: int = 0

    @property
    def failed_for_certain(self) -> bool:
        told = self.told is not None and 400 <= self.told < 500
        return not self.acted and (told or self.looked)


@dataclass
class _Steps:
    asks: dict[str, Ask] = field(default_factory=dict)


class Judge:
    """Sentences in :attr:`faults`, each a violation."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self._lock = threading.RLock()
        self._steps: defaultdict[tuple[str, str], _Steps] = defaultdict(_Steps)
        self._charges: defaultdict[str, list[str]] = defaultdict(list)

    def says(self, sentence: str) -> None:
        with self._lock:
            self.faults.append(sentence)

    def reads(self, text: str) -> None:
        """Look for what no merchant should ever send in a body."""
        if "card[number]" in text or "card%5Bnumber%5D" in text:
            self.says("a card's fields were sent")
        for found in _DIGITS.findall(unquote_plus(text)):
            if _luhn(re.sub(r"[ -]", "", found)):
                self.says(f"a card number arrived: {found[:6]}...")

    def asked(self, call: str, payment: str | None, refund: str | None, key: str | None) -> Ask:
        """A write arrives; the record of its key."""
        if call not in _KEYED:
            return Ask(key or "")
        step = (refund or "no refund id") if call == "refund" else call
        if key is None:
            self.says(f"{call} of {payment} without an idempotency key")
            return Ask("")
        match = _KEY.fullmatch(key)
        if match is None:
            self.says(f"{call} of {payment} with the key {key!r}")
            return Ask(key)
        wanted = {"cancel", "close"} if call == "cancel" else {step}
        if match[1] != payment or match[2] not in wanted or int(match[3]) < 1:
            self.says(f"{call} ({step}) of {payment} with the key {key!r}")
        with self._lock:
            asks = self._steps[match[1], match[2]].asks
            if key not in asks:
                for earlier in asks.values():
                    if not earlier.failed_for_certain:
                        self.says(f"{key} sent while {earlier} has no known end")
                asks[key] = Ask(key)
            ask = asks[key]
            ask.arrivals += 1
            ask.told, ask.looked = None, False
            return ask

    def looked_at(self, payment: str | None) -> None:
        """The service reads how a payment stands, or lists its customer's or its refunds."""
        with self._lock:
            for (owner, _), steps in self._steps.items():
                if payment is None or owner == payment:
                    for ask in steps.asks.values():
                        ask.looked = True

    def charged(self, payment: str, charge: str) -> None:
        """Money was taken, or held."""
        with self._lock:
            self._charges[payment].append(charge)
            if len(self._charges[payment]) > 1:
                self.says(f"{payment} was charged twice: {self._charges[payment]}")

    def charges_of(self, payment: str) -> list[str]:
        with self._lock:
            return list(self._charges[payment])

    def keys_of(self, payment: str, step: str) -> dict[str, int]:
        """How often each key of a step arrived."""
        with self._lock:
            asks = self._steps[payment, step].asks
            return {key: ask.arrivals for key, ask in asks.items()}

    def verdict(self) -> list[str]:
        """What was held against the service since the last time."""
        with self._lock:
            faults, self.faults = self.faults, []
            return faults


def our_id(metadata: Any, prefix: str) -> str | None:
    """Our own id in an object's metadata, under whatever name."""
    values = metadata.values() if isinstance(metadata, dict) else ()
    return next((value for value in values if str(value).startswith(prefix)), None)


def _luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0 and digits[0] in "3456"
