"""Many seeds, on several processes.

A run must not depend on the process that plays it; the order of sets does, so each process is told
the same start of its hashing (``PYTHONHASHSEED``), and so is the one that plays a single seed.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from multiprocessing.util import Finalize
from types import TracebackType

from tidegate.simulation.drawing import draw
from tidegate.simulation.run import Outcome, Stage
from tidegate.simulation.shrinking import shrink

__all__ = ["Players"]

_HASHING = "PYTHONHASHSEED"
# A process is replaced after so many, so that none grows without end.
_RUNS_MAX = 200
_AHEAD = 3


@dataclass(slots=True)
class _Place:
    stage: Stage | None = None


_place = _Place()


def _play(seed: int, names: Collection[str] | None) -> Outcome:
    if _place.stage is None:
        _place.stage = Stage()
        # The only kind of end that a process of a pool hears of.
        Finalize(None, _place.stage.close, exitpriority=0)
    plan = draw(seed)
    outcome = _place.stage.run(plan if names is None else plan.only(names))
    if outcome.held:
        # Only a failing run is read by somebody.
        outcome.trace, outcome.log = [], ""
    return outcome


class Players:
    """``jobs`` processes that play; to be used in a ``with``."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._before = os.environ.get(_HASHING)
        os.environ[_HASHING] = "0"
        self._pool = ProcessPoolExecutor(
            jobs,
            mp_context=multiprocessing.get_context("spawn"),
            max_tasks_per_child=_RUNS_MAX,
        )

    def __enter__(self) -> Players:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        if self._before is None:
            del os.environ[_HASHING]
        else:
            os.environ[_HASHING] = self._before

    def play(self, seed: int, names: Collection[str] | None = None) -> Outcome:
        """One seed; of its plan the parts of ``names`` only. Raises ``ValueError`` for a name that
        is not there."""
        return self._pool.submit(_play, seed, names).result()

    def play_all(self, seeds: Iterable[int]) -> Iterator[Outcome]:
        """Every seed, in their order."""
        waiting: list[Future[Outcome]] = []
        rest = iter(seeds)
        while True:
            for seed in islice(rest, self._jobs * _AHEAD - len(waiting)):
                waiting.append(self._pool.submit(_play, seed, None))
            if not waiting:
                return
            yield waiting.pop(0).result()

    def shrink(self, seed: int) -> list[str]:
        """The names of the least part of a failing seed's plan that still fails."""

        def fails(names: Sequence[str]) -> bool:
            return not self.play(seed, names).held

        return shrink(draw(seed).names, fails)
