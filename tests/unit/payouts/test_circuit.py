"""A PSP that fails again and again rests, and is tried again."""

from __future__ import annotations

from tidegate.clock import SimulatedClock
from tidegate.payouts.circuit import Circuits


def test_five_failures_in_a_row_rest_a_psp() -> None:
    """Four say nothing yet; the fifth does, once."""
    circuits = Circuits(SimulatedClock())
    assert [circuits.failed("lenco") for _ in range(5)] == [False] * 4 + [True]
    assert circuits.resting() == {"lenco"}


def test_an_answer_in_between_begins_anew() -> None:
    """Only failures in a row count."""
    circuits = Circuits(SimulatedClock())
    for _ in range(4):
        circuits.failed("lenco")
    circuits.worked("lenco")
    assert not any(circuits.failed("lenco") for _ in range(4))
    assert circuits.resting() == frozenset()


def test_after_the_rest_one_failure_is_enough() -> None:
    """Half a minute later it is tried again, with little patience."""
    clock = SimulatedClock()
    circuits = Circuits(clock)
    for _ in range(5):
        circuits.failed("lenco")
    clock.advance(29)
    assert circuits.resting() == {"lenco"}
    clock.advance(2)
    assert circuits.resting() == frozenset()
    assert circuits.failed("lenco")
    assert circuits.resting() == {"lenco"}


def test_a_success_closes_what_failures_opened_and_nothing_else() -> None:
    """A look-up that works says the PSP is back, not that it takes our transfers again."""
    clock = SimulatedClock()
    circuits = Circuits(clock)
    for _ in range(5):
        circuits.failed("lenco")
    circuits.worked("lenco")
    assert circuits.resting() == frozenset()
    circuits.rest("lenco")
    circuits.worked("lenco")
    assert circuits.resting() == {"lenco"}
    clock.advance(31)
    assert circuits.resting() == frozenset()


def test_psps_rest_apart() -> None:
    """One PSP's trouble is not another's."""
    circuits = Circuits(SimulatedClock())
    circuits.rest("lenco")
    assert not circuits.failed("other")
    assert circuits.resting() == {"lenco"}


def test_resting_again_is_no_news() -> None:
    """Whoever hears ``True`` may tell somebody; the second refusal tells nobody."""
    circuits = Circuits(SimulatedClock())
    assert circuits.rest("lenco")
    assert not circuits.rest("lenco")
