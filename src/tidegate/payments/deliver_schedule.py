"""When a receiver is tried again (payments.md, "Telling the client"). Pure."""

from __future__ import annotations

import math
from typing import Final

from tidegate.clock import Randomness

__all__ = ["GIVE_UP_MS", "SCHEDULE_S", "wait_ms"]

_MINUTE, _HOUR = 60, 3_600

SCHEDULE_S: Final = (
    5,
    5 * _MINUTE,
    30 * _MINUTE,
    2 * _HOUR,
    5 * _HOUR,
    10 * _HOUR,
    14 * _HOUR,
    20 * _HOUR,
    24 * _HOUR,
)
"""Seconds after the first, second, ... failure in a row; the last step is repeated."""

GIVE_UP_MS: Final = 5 * 24 * _HOUR * 1000
"""An event is given up when it has failed for so long."""

_JITTER = 0.1
_ASKED_S_MAX = 24 * _HOUR


def wait_ms(failures: int, randomness: Randomness, asked_s: float | None = None) -> int:
    """The wait after the ``failures``-th failure in a row (from 1), with 10 % jitter.

    ``asked_s`` is the receiver's ``Retry-After``: never sooner than that, up to a day.
    """
    step_s = SCHEDULE_S[min(failures, len(SCHEDULE_S)) - 1]
    wait = round(step_s * 1000 * randomness.uniform(1 - _JITTER, 1 + _JITTER))
    if asked_s is None:
        return wait
    return max(wait, math.ceil(min(asked_s, _ASKED_S_MAX) * 1000))
