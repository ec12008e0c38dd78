"""What the stories of orders and of payments have in common on a screen."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from tidegate.cli.output import age, instant, pairs
from tidegate.work.story import Line
from tidegate.work.waiting import Step, Waiting, step_of

__all__ = ["due_shown", "print_waiting", "said"]


def due_shown(row: Mapping[str, Any], now_ms: int, *, kinds: bool) -> str:
    """When something is to be done on a row, with its kind of work if ``kinds``."""
    step = step_of(row, now_ms)
    if step is None:
        return ""
    when = "now" if step.now else "late" if step.late_ms else age(step.at, now_ms)
    return f"{step.kind} {when}" if kinds else when


def print_waiting(state: Waiting, now_ms: int) -> None:
    """For whom it waits, why, and what happens next."""
    pairs(
        [
            ("waits for", state.on),
            ("why", state.why),
            *(
                ("next" if not place else "", _next(step, now_ms))
                for place, step in enumerate(state.steps)
            ),
        ]
    )


def _next(step: Step, now_ms: int) -> str:
    when = "now" if step.now else age(step.at, now_ms)
    if step.late_ms:
        when = f"due since {instant(step.at)}"
    return f"{step.what}: {when}"


def said(line: Line, bodies: Collection[str]) -> list[tuple[str, str]]:
    """What was said in an exchange: those of ``bodies`` that are there, with their text."""
    texts = [(name, line.data[name]) for name in bodies if line.data.get(name)]
    return [
        (name, text if isinstance(text, str) else json.dumps(text, ensure_ascii=False))
        for name, text in texts
    ]
