"""What a processor does to one call instead of acting and answering."""

from __future__ import annotations

import random
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = [
    "NORMAL",
    "Fault",
    "Faults",
    "drop_after",
    "drop_before",
    "fails",
    "hang",
    "limited",
    "stop",
]


@dataclass(frozen=True, slots=True)
class Fault:
    """``first`` runs before acting and ``then`` after it; ``status`` and ``error`` replace the
    answer, which is ``kept`` under the key or not; ``late_s`` passes before the answer, and
    ``delay_s`` before the call is even looked at."""

    acts: bool = True
    answers: bool = True
    status: int | None = None
    error: dict[str, Any] | None = None
    kept: bool = True
    delay_s: float = 0.0
    late_s: float = 0.0
    first: Callable[[], None] | None = None
    then: Callable[[], None] | None = None


NORMAL = Fault()


def drop_before() -> Fault:
    """The request never arrives: nothing is done, nothing is kept."""
    return Fault(acts=False, answers=False, kept=False)


def drop_after() -> Fault:
    """It is done, and the answer is lost."""
    return Fault(answers=False)


def hang(seconds: float, *, acts: bool = True) -> Fault:
    """The answer takes longer than anybody waits."""
    return Fault(acts=acts, kept=acts, late_s=seconds, answers=False)


def fails(*, acts: bool, status: int = 500) -> Fault:
    """A server error, kept under the key as any answer (processor.md 1)."""
    error = {"type": "api_error", "message": "Something went wrong on our end."}
    return Fault(acts=acts, status=status, error=error)


def limited(code: str = "rate_limit") -> Fault:
    """Too many requests, or a lock that was not to be had: nothing was done."""
    error = {"type": "invalid_request_error", "code": code, "message": "Too many requests."}
    return Fault(acts=False, status=429, error=error, kept=False)


def stop(kill: Callable[[], None], *, acted: bool) -> Fault:
    """The caller dies while it waits, before or after what it asked for was done."""
    if acted:
        return Fault(answers=False, then=kill)
    return Fault(acts=False, answers=False, kept=False, first=kill)


class Faults:
    """Faults by the name of the call, used up one a call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self._chance: random.Random | None = None
        self._rate = 0.0
        self._possible: Mapping[str, Sequence[Fault]] = {}

    def rage(
        self, chance: random.Random, rate: float, possible: Mapping[str, Sequence[Fault]]
    ) -> None:
        """From now on every call meets one of its ``possible`` faults at this rate."""
        with self._lock:
            self._chance, self._rate, self._possible = chance, rate, possible

    def heal(self) -> None:
        """No fault happens by chance any more."""
        with self._lock:
            self._chance = None

    def add(self, call: str, *faults: Fault) -> None:
        with self._lock:
            self._waiting[call].extend(faults)

    def next(self, call: str) -> Fault:
        with self._lock:
            waiting = self._waiting.get(call)
            if waiting:
                return waiting.popleft()
            possible = self._possible.get(call)
            if self._chance is None or not possible or self._chance.random() >= self._rate:
                return NORMAL
            return self._chance.choice(possible)

    def wait_for(self, call: str) -> bool:
        """Is there one for this call that nobody has met yet?"""
        with self._lock:
            return bool(self._waiting.get(call))

    def clear(self) -> list[str]:
        """Forget what nobody met; the calls it was meant for."""
        with self._lock:
            left = [name for name, waiting in self._waiting.items() if waiting]
            self._waiting.clear()
            return left
