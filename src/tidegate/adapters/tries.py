"""Trying again: the one loop that does it, for calls whose table says they may be repeated.

How often and after what is the caller's table; here are only the pauses. They double from a
quarter of a second and are jittered, so that many callers of a recovering counterparty do not
arrive together, and never shorter than what the counterparty asked for.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from tidegate.adapters.http import Answer, Failure
from tidegate.clock import Clock, Randomness

__all__ = ["pause_s", "retry_after_s", "with_tries"]

_FIRST_PAUSE_S: Final = 0.25
_PAUSE_S_MAX: Final = 5.0
_RETRY_AFTER_S_MAX: Final = 3600.0
_SECONDS = re.compile(r"[0-9]{1,9}")

Call = Callable[[float], Awaitable[Answer | Failure]]


async def with_tries(
    call: Call,
    *,
    budget_s: float,
    again: Callable[[Answer | Failure, int], bool],
    asked_s: Callable[[Answer | Failure], float | None],
    clock: Clock,
    randomness: Randomness,
) -> Answer | Failure:
    """Call until ``again`` says no or ``budget_s`` would be overrun.

    ``call`` gets the seconds that are left; ``again`` how the call ended and its number, from 1;
    ``asked_s`` reads how long the counterparty wants to
    be left alone. A pause that does not fit the budget is not begun: the last end is returned.
    """
    deadline = clock.monotonic() + budget_s
    number = 1
    while True:
        ended = await call(deadline - clock.monotonic())
        if not again(ended, number):
            return ended
        pause = max(pause_s(number, randomness), asked_s(ended) or 0.0)
        if pause >= deadline - clock.monotonic():
            return ended
        await clock.sleep(pause)
        number += 1


def pause_s(number: int, randomness: Randomness) -> float:
    """The pause after try ``number`` (1-based): half to all of 0.25 s, 0.5 s, 1 s, ... 5 s."""
    full = min(_PAUSE_S_MAX, _FIRST_PAUSE_S * 2.0 ** (number - 1))
    return randomness.uniform(full / 2, full)


def retry_after_s(headers: Mapping[str, str], clock: Clock) -> float | None:
    """Read ``Retry-After`` (RFC 9110 10.2.3: seconds or a date), at most an hour."""
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    if _SECONDS.fullmatch(text):
        return min(float(text), _RETRY_AFTER_S_MAX)
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # the second for a year or a zone beyond all numbers
        return None
    until = when if when.tzinfo else when.replace(tzinfo=UTC)
    now = datetime.fromtimestamp(clock.now_ms() / 1000, UTC)
    return min(max(0.0, (until - now).total_seconds()), _RETRY_AFTER_S_MAX)
