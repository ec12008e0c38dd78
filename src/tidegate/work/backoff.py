"""When to try again. Pure: a decision is a number that somebody else acts on."""

from __future__ import annotations

from collections.abc import Sequence

from tidegate.clock import Randomness

__all__ = ["aged_ms", "exponential_ms", "scheduled_ms"]

_JITTER = 0.2


def exponential_ms(
    tries: int, randomness: Randomness, *, first_ms: int = 500, most_ms: int = 60_000
) -> int:
    """The wait after the ``tries``-th failure (from 1): doubling, bounded, with 20 % jitter."""
    wait = min(most_ms, first_ms << min(max(tries, 1) - 1, 30))
    return round(wait * randomness.uniform(1 - _JITTER, 1 + _JITTER))


def scheduled_ms(asked: int, age_ms: int, schedule_s: Sequence[int], randomness: Randomness) -> int:
    """The wait before the next look-up (psp.md 3.4).

    ``asked`` look-ups were made so far of something that is ``age_ms`` old. The schedule's steps
    come first; then its last step up to a day; then hourly. Jitter of 10 % keeps a recovering
    PSP from being asked everything at one moment.
    """
    if asked < len(schedule_s):
        wait_s = schedule_s[asked]
    elif age_ms < 24 * 3_600_000:
        wait_s = schedule_s[-1]
    else:
        wait_s = 3_600
    return round(wait_s * 1000 * randomness.uniform(0.95, 1.1))


def aged_ms(age_ms: int, randomness: Randomness, *, first_ms: int, most_ms: int) -> int:
    """The wait before the next look at something that is ``age_ms`` old: as long again, within
    bounds. Looks that somebody prompts in between do not postpone the next one."""
    return round(min(max(age_ms, first_ms), most_ms) * randomness.uniform(0.95, 1.1))
