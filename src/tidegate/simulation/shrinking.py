"""The least of a plan that still fails. Pure but for the question it asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

__all__ = ["shrink"]


def shrink(names: Sequence[str], fails: Callable[[Sequence[str]], bool]) -> list[str]:
    """The fewest of ``names`` that it found with which ``fails`` is still true.

    Half of the parts are left out first, then a quarter, down to single ones, until no single part
    can be left out (delta debugging; A. Zeller, R. Hildebrandt, 2002).
    """
    left = list(names)
    size = max(1, len(left) // 2)
    while left:
        smaller = _without_some(left, size, fails)
        if smaller is not None:
            left = smaller
            size = max(1, min(size, len(left) // 2))
        elif size == 1:
            break
        else:
            size //= 2
    return left


def _without_some(
    names: list[str], size: int, fails: Callable[[Sequence[str]], bool]
) -> list[str] | None:
    for start in range(0, len(names), size):
        rest = names[:start] + names[start + size :]
        # A part goes with what belongs to it: an order without its name has no faults either.
        rest = [name for name in rest if name.split(".")[0] in rest]
        if fails(rest):
            return rest
    return None
