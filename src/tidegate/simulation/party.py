"""Who runs what: every task, callback and connection belongs to a party, and dies with it.

A party is found through a context variable, which tasks and callbacks inherit from whoever made
them. Killing one drops all that it has scheduled and lets nothing of it run again: no handler, no
``finally``, as ``kill -9`` does.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

__all__ = ["PARTY", "Party", "current", "is_dead"]

T = TypeVar("T")

PARTY: contextvars.ContextVar[Party | None] = contextvars.ContextVar("party", default=None)


@dataclass(eq=False, slots=True)
class Party:
    """One company, one buyer, or one life of the node."""

    name: str
    alive: bool = True
    context: contextvars.Context = field(init=False)
    # What was torn off in the middle is kept, so that nothing unwinds it while the run goes on.
    remains: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.context = contextvars.Context()
        self.context.run(PARTY.set, self)

    def spawn(self, work: Coroutine[Any, Any, T], name: str | None = None) -> asyncio.Task[T]:
        """Run ``work`` as this party's."""
        loop = asyncio.get_running_loop()
        return loop.create_task(work, name=name or self.name, context=self.context.copy())

    def call_at(self, when: float, work: Callable[..., object], *args: Any) -> None:
        """Call ``work`` at the loop's time ``when``, as this party."""
        asyncio.get_running_loop().call_at(when, work, *args, context=self.context)


def current() -> Party | None:
    """The party that is running now."""
    return PARTY.get()


def is_dead(context: contextvars.Context | None) -> bool:
    """Whether what runs in ``context`` (``None``: the present one) must not run any more."""
    party = PARTY.get() if context is None else context.get(PARTY)
    return party is not None and not party.alive
