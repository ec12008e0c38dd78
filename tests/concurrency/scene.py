"""What many tasks do at once, and how it is played: a scene, its actors, and one process of them.

A scene is opened once a process, over connections of its own; then every actor acts at the same
moment. What an actor returns travels as JSON.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["Actor", "OpenScene", "Scene", "cast", "play"]


@dataclass
class Actor:
    """One task. ``number`` counts over all processes; ``random`` is its own, from the seed.

    ``pause`` lasts up to ``pause_ms``, so that the tasks of a round meet at other places each time.
    """

    number: int
    random: random.Random
    pause_ms: float

    async def pause(self) -> None:
        await asyncio.sleep(self.random.uniform(0, self.pause_ms) / 1000)


class Scene(Protocol):
    """What the actors of one process share."""

    async def act(self, actor: Actor) -> Any: ...

    async def close(self) -> None: ...


OpenScene = Callable[[str, Mapping[str, Any]], Awaitable[Scene]]
"""Opens a scene on the database with this URL, with what the test has given it."""


def cast(numbers: Sequence[int], seed: int, pause_ms: float) -> list[Actor]:
    """The actors with these numbers."""
    # Chance of a test, not of a key.
    chances = [random.Random(f"{seed}:{number}") for number in numbers]  # noqa: S311
    return [
        Actor(number, chance, pause_ms) for number, chance in zip(numbers, chances, strict=True)
    ]


async def play(scene: Scene, actors: Sequence[Actor]) -> list[Any]:
    """Let all act at once; what they returned. The first that fails ends the others."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(scene.act(actor)) for actor in actors]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None  # the others say the same, or nothing
    return [task.result() for task in tasks]
