"""The port through which receivers are told (payments.md, "Telling the client")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Notifier", "Told"]


@dataclass(frozen=True, slots=True)
class Told:
    """How one delivery ended.

    ``status`` is the HTTP status, ``None`` when no answer was read; ``error`` is then a word and
    a sentence for the delivery log (``refused_address: ...``, ``not_reached: ...``, ...).
    ``answer`` is the beginning of the answer's body. ``retry_after_s`` is what the receiver asked.
    """

    status: int | None
    error: str | None
    answer: str
    took_ms: int
    retry_after_s: float | None = None

    @property
    def delivered(self) -> bool:
        """2xx is success; everything else, a redirect too, is failure."""
        return self.status is not None and 200 <= self.status < 300


class Notifier(Protocol):
    """Sends one signed message to a receiver chosen by a user."""

    def check(self, url: str) -> str | None:
        """A sentence when the URL itself cannot be a receiver (scheme, address, user info,
        port), else ``None``. What its name resolves to is judged when it is connected to."""
        ...

    async def tell(self, url: str, headers: Mapping[str, str], body: bytes) -> Told:
        """POST ``body`` once: no redirect is followed, no private address is connected to."""
        ...

    async def close(self) -> None: ...
