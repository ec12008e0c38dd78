"""The pauses between tries, and how long a counterparty asks to be left alone."""

from __future__ import annotations

import pytest

from tidegate.adapters.tries import pause_s, retry_after_s
from tidegate.clock import Randomness, SimulatedClock

# 2024-10-06 08:00:00 UTC
CLOCK = SimulatedClock(1_728_201_600_000)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("12", 12.0),
        (" 12 ", 12.0),
        ("86400", 3600.0),
        ("Sun, 06 Oct 2024 08:00:30 GMT", 30.0),
        ("Sun, 06 Oct 2024 07:59:00 GMT", 0.0),
        ("Sun, 06 Oct 2024 08:00:30 -0000", 30.0),
        ("Mon, 06 Oct 2025 08:00:00 GMT", 3600.0),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("1.5", None),
        ("9" * 40, None),
    ],
)
def test_retry_after(text: str, seconds: float | None) -> None:
    """Seconds or a date, never more than an hour; nonsense is no request."""
    assert retry_after_s({"Retry-After": text}, CLOCK) == seconds


def test_no_retry_after() -> None:
    """Without the header nobody asked for anything."""
    assert retry_after_s({}, CLOCK) is None


def test_pauses_double_and_are_jittered() -> None:
    """From a quarter of a second to five, half of it by chance, and repeatable by seed."""
    randomness = Randomness(CLOCK, seed=7)
    pauses = [pause_s(number, randomness) for number in range(1, 9)]
    for pause, full in zip(pauses, [0.25, 0.5, 1, 2, 4, 5, 5, 5], strict=True):
        assert full / 2 <= pause <= full
    again = Randomness(CLOCK, seed=7)
    assert [pause_s(number, again) for number in range(1, 9)] == pauses
    assert len({pause_s(1, randomness) for _ in range(20)}) > 1
