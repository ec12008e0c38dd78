"""What happened, in order, and the digest by which two runs are compared."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Happening", "Trace"]


@dataclass(frozen=True, slots=True)
class Happening:
    """One line: seconds since the start, what kind of thing, and the thing."""

    at_s: float
    kind: str
    what: str

    def __str__(self) -> str:
        return f"{self.at_s:10.3f}  {self.kind:8}  {self.what}"


class Trace:
    """Everything that was seen to happen."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._digest = hashlib.blake2b(digest_size=16)
        self.happenings: list[Happening] = []

    def add(self, kind: str, what: str) -> None:
        happening = Happening(round(self._now(), 6), kind, what)
        self.happenings.append(happening)
        self._digest.update(f"{happening.at_s!r} {kind} {what}\n".encode())

    @property
    def digest(self) -> str:
        """Of all that happened so far: the same seed gives the same."""
        return self._digest.hexdigest()

    def lines(self, *about: str) -> list[str]:
        """The lines that name one of ``about``; all without it."""
        return [
            str(one)
            for one in self.happenings
            if not about or any(word in one.what for word in about)
        ]
