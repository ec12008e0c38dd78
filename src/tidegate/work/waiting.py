"""What is due on rows of the queue, in words. Pure: rows in, values out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.clock import rfc3339

__all__ = ["Step", "Waiting", "step_of", "steps_of", "waiting_shown"]

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """Something that will be done. ``at`` is Unix milliseconds; ``now``: a worker is at it.

    ``late_ms`` is for how long it has been due without anybody at it (0: it is not due yet).
    """

    row: str
    kind: str
    what: str
    at: int
    now: bool = False
    late_ms: int = 0
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Waiting:
    """``on`` is who or what is waited for, ``nothing`` included. ``why`` is one or more sentences;
    ``steps`` are in the order of their moments."""

    on: str
    why: str
    steps: tuple[Step, ...]


def step_of(row: Row, now_ms: int, what: Callable[[str], str] = str) -> Step | None:
    """What is due on a row, ``None`` if nothing is; ``what`` says a kind of work in words."""
    if row["due_at"] is None:
        return None
    kind, due_at, leased_until = str(row["kind"]), int(row["due_at"]), row["leased_until"]
    if leased_until is not None and leased_until > now_ms:
        return Step(row["id"], kind, what(kind), due_at, now=True, tries=row["tries"])
    # A lease that ran out: its worker died, and whoever looks next takes the row.
    late_ms = max(0, now_ms - max(due_at, leased_until or 0))
    return Step(row["id"], kind, what(kind), due_at, late_ms=late_ms, tries=row["tries"])


def steps_of(rows: Iterable[Row], now_ms: int, what: Callable[[str], str]) -> tuple[Step, ...]:
    """All that is due on ``rows``, the earliest first."""
    due = (step_of(row, now_ms, what) for row in rows)
    return tuple(sorted((step for step in due if step is not None), key=lambda step: step.at))


def waiting_shown(state: Waiting) -> dict[str, Any]:
    """As JSON, instants as RFC 3339 in UTC."""
    return {
        "on": state.on,
        "why": state.why,
        "next": [
            {
                "what": step.what,
                "kind": step.kind,
                "row": step.row,
                "at": rfc3339(step.at),
                "now": step.now,
                "late_ms": step.late_ms,
                "tries": step.tries,
            }
            for step in state.steps
        ],
    }
