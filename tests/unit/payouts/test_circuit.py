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


def _refused(circuits: Circuits, clock: SimulatedClock, times: int) -> None:
    """Refused, rested, tried once, refused again."""
    for _ in range(times):
        assert circuits.admits("lenco", 35)
        circuits.rest("lenco")
        while "lenco" in circuits.resting():
            clock.advance(1)


def test_after_a_refusal_of_ours_one_goes_first() -> None:
    """The others see it rest until that one's answer; then they go too."""
    clock = SimulatedClock()
    circuits = Circuits(clock)
    assert circuits.admits("lenco", 35)
    assert circuits.admits("lenco", 35), "nothing was refused: as many as like"
    circuits.rest("lenco")
    assert not circuits.admits("lenco", 35)
    clock.advance(30)
    assert circuits.resting() == frozenset()
    assert circuits.admits("lenco", 35)
    assert not circuits.admits("lenco", 35)
    assert circuits.resting() == {"lenco"}
    circuits.worked("lenco")
    assert not circuits.admits("lenco", 35), "a look-up proves nothing"
    circuits.took("lenco")
    assert circuits.resting() == frozenset()
    assert circuits.admits("lenco", 35)
    assert circuits.admits("lenco", 35)


def test_a_trial_may_end_without_a_verdict() -> None:
    """Unknown, another one tries, again alone; so it does after a process error, in time."""
    clock = SimulatedClock()
    circuits = Circuits(clock)
    _refused(circuits, clock, 1)
    assert circuits.admits("lenco", 35)
    circuits.failed("lenco")
    assert not circuits.admits("lenco", 35), "a look-up that failed, perhaps"
    circuits.tried("lenco")
    assert circuits.admits("lenco", 35)
    clock.advance(34.9)
    assert not circuits.admits("lenco", 35)
    clock.advance(0.2)
    assert circuits.admits("lenco", 35)
    assert not circuits.admits("lenco", 35)


def test_each_refusal_doubles_the_rest() -> None:
    """Up to a quarter of an hour; a transfer that is taken begins anew."""
    clock = SimulatedClock()
    circuits = Circuits(clock)
    rests = []
    for _ in range(8):
        began = clock.monotonic()
        _refused(circuits, clock, 1)
        rests.append(round(clock.monotonic() - began))
    assert rests == [30, 60, 120, 240, 480, 900, 900, 900]
    assert circuits.admits("lenco", 35)
    circuits.took("lenco")
    began = clock.monotonic()
    _refused(circuits, clock, 1)
    assert round(clock.monotonic() - began) == 30


def test_refusals_that_were_under_way_together_are_one() -> None:
    """As many as were on their way are refused within a moment: that is no second one, and what
    was asked for before the refusal and is taken says nothing of afterwards."""
    clock = SimulatedClock()
    circuits = Circuits(clock)
    for _ in range(8):
        circuits.rest("lenco")
    circuits.took("lenco")
    clock.advance(29.9)
    assert circuits.resting() == {"lenco"}
    clock.advance(0.2)
    assert circuits.admits("lenco", 35)
    assert not circuits.admits("lenco", 35)


def test_a_longer_rest_that_was_asked_for_stays() -> None:
    """``PSP_REST`` beyond a quarter of an hour is not cut."""
    clock = SimulatedClock()
    circuits = Circuits(clock, 3_600.0)
    circuits.rest("lenco")
    clock.advance(3_599)
    assert circuits.resting() == {"lenco"}
