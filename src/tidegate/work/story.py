"""The lines of a story: what happened to one piece of work, from its first arrival on. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tidegate.clock import rfc3339

__all__ = ["Line", "lines_shown"]


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened. ``at`` is Unix milliseconds, ``kind`` one of key, offer, event,
    attempt, refund, dispute, entry, exchange, webhook, delivery, observation, case, action;
    ``data`` holds JSON types only, amounts in minor units."""

    at: int
    kind: str
    what: str
    data: Mapping[str, Any] = field(default_factory=dict)


def lines_shown(lines: Iterable[Line]) -> list[dict[str, Any]]:
    """As JSON, instants as RFC 3339 in UTC."""
    return [
        {"at": rfc3339(line.at), "kind": line.kind, "what": line.what, "data": dict(line.data)}
        for line in lines
    ]
