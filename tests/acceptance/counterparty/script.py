"""What a double is told to do at the n-th call of an endpoint."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

__all__ = ["NORMAL", "Scripts", "Step", "drop_after", "drop_before", "meanwhile", "say", "slowly"]


@dataclass(frozen=True, slots=True)
class Step:
    """One call: whether the endpoint acts, whether and what it answers.

    ``hook`` runs before anything, ``delay_s`` passes before acting, ``late_s`` after acting and
    before the answer. ``status`` and ``body`` stand for the true answer.
    """

    act: bool = True
    answers: bool = True
    status: int | None = None
    body: Any = None
    delay_s: float = 0.0
    late_s: float = 0.0
    hook: Callable[[], None] | None = None
    after: Callable[[], None] | None = None


NORMAL = Step()


def drop_before() -> Step:
    """Hang up without acting."""
    return Step(act=False, answers=False)


def drop_after() -> Step:
    """Act, then hang up instead of answering."""
    return Step(answers=False)


def say(status: int, body: Any, *, act: bool = False) -> Step:
    """Answer this: a ``bytes`` body as it is (HTML), anything else as JSON."""
    return Step(act=act, status=status, body=body)


def slowly(seconds: float, step: Step = NORMAL) -> Step:
    """Act, and answer late."""
    return replace(step, late_s=seconds)


def meanwhile(hook: Callable[[], None], step: Step = NORMAL) -> Step:
    """Act, then let something else happen before the answer."""
    return replace(step, after=hook)


class Scripts:
    """Steps by endpoint and key (an order id, an account number); used up one a call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._steps: defaultdict[tuple[str, str], deque[Step]] = defaultdict(deque)

    def add(self, endpoint: str, key: str, *steps: Step) -> None:
        with self._lock:
            self._steps[endpoint, key].extend(steps)

    def next(self, endpoint: str, key: str) -> Step:
        with self._lock:
            waiting = self._steps.get((endpoint, key))
            return waiting.popleft() if waiting else NORMAL

    def clear(self, endpoint: str, key: str) -> None:
        """Forget what is left, for steps written with ``[step] * many``."""
        with self._lock:
            self._steps.pop((endpoint, key), None)
