"""One account that everybody books on: reserve, release, pay, move, add, and seal meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from tests.concurrency.desk import Desk
from tests.concurrency.scene import Actor, Scene
from tidegate.errors import FloorBroken
from tidegate.ledger.book import Record
from tidegate.ledger.entry import Entry, transfer
from tidegate.ledger.seal import Seal

__all__ = ["OPENING", "PSPS", "available", "open_scene", "reserved"]

PSPS = ("a", "b")
OPENING = "float:opening:NGN"
_OWED = "aggregator:owed:NGN"
_MOST = 40
_SEALED_AT_ONCE = 50

Moves = tuple[tuple[str, str, int], ...]


def available(psp: str) -> str:
    """A hot account with a floor."""
    return f"psp:{psp}:available:NGN"


def reserved(psp: str) -> str:
    """What was promised from it."""
    return f"psp:{psp}:reserved:NGN"


async def open_scene(url: str, given: Mapping[str, Any]) -> Scene:
    return _HotAccount(Desk(url), given["turns"])


class _HotAccount:
    def __init__(self, desk: Desk, turns: int) -> None:
        self._desk = desk
        self._turns = turns

    async def act(self, actor: Actor) -> Any:
        """By account what this task has debited less what it has credited, and counts."""
        task = _Task(actor)
        for turn in range(self._turns):
            await actor.pause()
            if actor.random.random() < 0.25:
                (block,) = await self._desk.commit(Seal(actor.random.randint(1, _SEALED_AT_ONCE)))
                task.counts["sealed"] += block.count if block else 0
            wishes = task.wishes()
            entries = [
                transfer(f"t{actor.number}.{turn}.{place}", "test.moved", "test", *moves)
                for place, moves in enumerate(wishes)
            ]
            try:
                await self._desk.commit(*map(Record, entries))
            except FloorBroken:
                task.counts["refused"] += 1
            else:
                task.done(wishes, entries)
        return {"moved": task.moved, "counts": task.counts}

    async def close(self) -> None:
        await self._desk.close()


class _Task:
    """What one task holds and has moved, by its own account of it."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self._holds: dict[str, int] = dict.fromkeys(PSPS, 0)
        self.moved: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()

    def wishes(self) -> list[Moves]:
        """The moves of one unit's entries; more than one entry are all or nothing."""
        chance = self._actor.random
        psp, other = chance.sample(PSPS, 2)
        amount = chance.randint(1, _MOST)
        match chance.choice(("reserve", "reserve", "both", "end", "move", "add")):
            case "reserve":
                return [((reserved(psp), available(psp), amount),)]
            case "both":
                return [((reserved(each), available(each), amount),) for each in (psp, other)]
            case "end" if self._holds[psp]:
                amount = chance.randint(1, self._holds[psp])
                ended = chance.choice((available(psp), _OWED))
                return [((ended, reserved(psp), amount),)]
            case "move":
                # Two hot accounts in one entry, in either order: locks that could cross.
                return [((available(psp), available(other), amount),)]
            case _:
                return [((available(psp), OPENING, amount // 4 + 1),)]

    def done(self, wishes: Iterable[Moves], entries: Iterable[Entry]) -> None:
        for moves in wishes:
            for debited, credited, amount in moves:
                self.moved[debited] += amount
                self.moved[credited] -= amount
                for psp in PSPS:
                    self._holds[psp] += amount * (debited == reserved(psp))
                    self._holds[psp] -= amount * (credited == reserved(psp))
        self.counts["entries"] += sum(1 for _ in entries)
