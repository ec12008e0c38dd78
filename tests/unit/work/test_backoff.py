"""Waits are numbers, bounded and with jitter."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tidegate.clock import Randomness, SimulatedClock
from tidegate.work.backoff import exponential_ms, scheduled_ms

_CHANCE = Randomness(SimulatedClock(), seed=1)


@given(tries=st.integers(-3, 10_000))
def test_waits_double_up_to_a_bound(tries: int) -> None:
    """The n-th failure waits 0.5 s x 2^(n-1), at most a minute, give or take a fifth."""
    wanted = min(60_000, 500 * 2 ** min(max(tries, 1) - 1, 40))
    assert 0.8 * wanted - 1 <= exponential_ms(tries, _CHANCE) <= 1.2 * wanted + 1


def test_jitter_spreads_waits() -> None:
    """Rows that failed at one moment are not tried at one moment."""
    assert len({exponential_ms(5, _CHANCE) for _ in range(50)}) > 40


def test_look_ups_follow_the_schedule_then_its_last_step_then_hourly() -> None:
    """Steps first; the last step until the thing is a day old; then every hour."""
    schedule, day_ms = (2, 5, 10), 24 * 3_600_000
    for asked, age_ms, seconds in (
        (0, 0, 2),
        (2, 20_000, 10),
        (3, 30_000, 10),
        (900, day_ms - 1, 10),
        (900, day_ms, 3_600),
    ):
        wait_ms = scheduled_ms(asked, age_ms, schedule, _CHANCE)
        assert 0.95 * seconds * 1000 <= wait_ms <= 1.1 * seconds * 1000
