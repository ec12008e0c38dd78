"""One HTTP exchange with another company, as it is kept: redacted, never the secret."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Exchange"]


@dataclass(frozen=True, slots=True)
class Exchange:
    """What was said to whom and what came back.

    ``status`` is the HTTP status, ``None`` when no answer was read; ``error`` is then one of the
    few words of ``adapters.http`` (``not_reached``, ``unknown``). ``request`` and ``response``
    are redacted texts, cut at a few KiB. ``took_ms`` is whole milliseconds.
    """

    counterparty: str
    verb: str
    method: str
    path: str
    request: str
    status: int | None
    response: str
    error: str | None
    started_ms: int
    took_ms: int
