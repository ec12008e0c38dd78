"""What a simulation leaves behind in the process that played it: nothing."""

from __future__ import annotations

import gc
import sys
from asyncio import Task

import pytest

from tidegate.simulation.drawing import draw
from tidegate.simulation.run import Stage

# Has kills of the node: each leaves coroutines that were torn off in the middle.
_SEED = 2


def test_what_runs_tore_off_is_gone_when_the_stage_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody after it is blamed for clients that a killed node never closed."""
    heard: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: heard.append(unraisable.object))
    stage = Stage()
    outcome = stage.run(draw(_SEED))
    stage.close()
    assert outcome.figures["lives"] > 1
    gc.collect()
    assert heard == []
    tasks = [one for one in gc.get_objects() if isinstance(one, Task)]
    assert [task for task in tasks if not task.done()] == []
