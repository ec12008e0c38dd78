"""The simulator finds every bug that is planted: the test of the test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from tests.simulation.mutants import MUTANTS
from tests.simulation.planting import Mutant
from tidegate.payouts.states import Event, State, after
from tidegate.simulation.drawing import draw
from tidegate.simulation.run import Outcome, Stage

_SEEDS: Final = range(1, 201)
# These any seed finds that has what they need: a sale, or an order.
_QUICK: Final = {
    "event_number_skipped": 13,
    "fee_booked_twice": 13,
    "new_transaction_id_per_report": 7,
}


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """One place for all runs of this file."""
    made = Stage()
    yield made
    made.close()


def _found(stage: Stage, mutant: Mutant, seeds: range) -> Outcome | None:
    """The first run in which a promise was not kept."""
    for seed in seeds:
        with mutant.planted():
            outcome = stage.run(draw(seed))
        if not outcome.held:
            print(f"{mutant.name}: seed {seed}: {outcome.broken[0]}")
            return outcome
    return None


@pytest.mark.parametrize("mutant", [m for m in MUTANTS if m.name in _QUICK], ids=lambda m: m.name)
def test_a_planted_bug_is_found_at_once(mutant: Mutant, stage: Stage) -> None:
    """A few that strike whenever anything happens at all; without the bug the same run is good."""
    seed = _QUICK[mutant.name]
    assert _found(stage, mutant, range(seed, seed + 1)) is not None, mutant.loss
    assert stage.run(draw(seed)).broken == []


@pytest.mark.long
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_every_planted_bug_is_found(mutant: Mutant, stage: Stage) -> None:
    """By one of two hundred seeds; which seed and which promise is printed (``-rP``)."""
    assert _found(stage, mutant, _SEEDS) is not None, f"not found: {mutant.loss}"


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_every_bug_can_be_planted(mutant: Mutant) -> None:
    """The text that it replaces is still there."""
    with mutant.planted():
        pass


def test_a_bug_is_gone_when_it_is_dug_out() -> None:
    """While it is planted everybody who holds the function has it; afterwards nobody."""
    mutant = Mutant("wrong", "", after, "return TRANSITIONS[state, event]", "return State.HELD")
    with mutant.planted():
        assert after(State.PENDING, Event.RESERVED) is State.HELD
    assert after(State.PENDING, Event.RESERVED) is State.ACCEPTING


def test_a_bug_that_has_no_place_is_an_error() -> None:
    """Product text that has changed must not leave a bug unplanted and seemingly found."""
    mutant = Mutant("gone", "", after, "no such text", "")
    with pytest.raises(ValueError, match="gone: its text stands 0 times"), mutant.planted():
        pass


def test_names_are_unique() -> None:
    """A report names the bug."""
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
