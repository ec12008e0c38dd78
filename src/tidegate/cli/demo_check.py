"""A check of the demonstration's proof."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

__all__ = ["Check", "listed"]

_SHOWN_MAX = 12


@dataclass(frozen=True, slots=True)
class Check:
    """One sentence that is true or not, its figures, and what speaks against it."""

    name: str
    ok: bool
    figures: str
    lines: Sequence[str] = field(default=())


def listed(lines: Iterable[str]) -> list[str]:
    """The first lines, and how many more there are."""
    found = list(lines)
    more = len(found) - _SHOWN_MAX
    return found if more <= 0 else [*found[:_SHOWN_MAX], f"and {more} more"]
