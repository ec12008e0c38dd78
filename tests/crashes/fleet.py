"""The node's processes: killed at any moment, and started again at once."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.node import ChildNode
from tests.support.world import World

__all__ = ["Fleet", "MakeChild", "Member"]

MakeChild = Callable[[Mapping[str, str], Path, Sequence[str]], ChildNode]
"""From environment, log and arguments."""

_UP_S = 150.0
# What a process says once it answers, or works. Asking it would take as long as it is busy.
_UP_SAYS = {"serve": "Application startup complete", "worker": "worker.started"}
_PAUSE_S = 0.1
_AGAIN_S = 0.5
# One in so many is killed while it starts.
_EARLY = 0.15


@dataclass(slots=True, eq=False)
class Member:
    """A process. ``starting`` ends when it says that it answers, or works."""

    child: ChildNode
    kind: str
    starting: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        return self.child.running and (self.starting is None or self.starting.done())


class Fleet:
    """Processes of the program with their supervisor.

    ``fell`` counts what ended without being killed, as a process may whose database is away.
    """

    def __init__(
        self,
        world: World,
        ports: Sequence[int],
        commands: Sequence[str],
        make_child: MakeChild = ChildNode,
    ) -> None:
        self.members = []
        for port, command in zip(ports, commands, strict=True):
            arguments = command.split()
            log = world.directory / f"{arguments[0]}-{port}.log"
            env = world.environment(SERVER_PORT=str(port))
            child = make_child(env, log, arguments)
            self.members.append(Member(child, arguments[0]))
        self.stops: list[tuple[str, int | None]] = []
        self.kills: Counter[str] = Counter()
        self.fell: Counter[str] = Counter()
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start all of them; return when all are up."""
        for member in self.members:
            self._start(member)
        self._watching = asyncio.create_task(self._watch())
        await self.up()

    async def up(self) -> None:
        """Return when all are up. Raises what keeps one from it."""
        await asyncio.gather(*(each.starting for each in self.members if each.starting is not None))

    async def stop(self) -> None:
        """Kill all of them, for good."""
        await self._rest()

    async def kill_one(self, chance: random.Random) -> Member:
        """Kill one, most often one that is up, and start it again; wait until there is one."""
        early = chance.random() < _EARLY
        able: list[Member] = []
        while not able:
            await asyncio.sleep(_PAUSE_S)
            able = [each for each in self.members if self._is_able(each, early)]
        member = chance.choice(able)
        self.kills[member.kind] += 1
        await self._end(member)
        self._start(member)
        return member

    async def restart(self, member: Member) -> None:
        """As a rollout does it: ask it to stop, let it end in its own time, start it anew, and go
        on when it is up. ``stops`` notes its exit code."""
        if member.starting is not None:
            await member.starting
        # From here on its end is no surprise to the supervisor.
        member.starting = None
        code = await asyncio.to_thread(member.child.stop)
        self.stops.append((member.kind, code))
        await self._start(member)

    async def kill(self, member: Member) -> None:
        """Kill this one and start it again; return when it is up."""
        if member.starting is not None:
            await member.starting
        self.kills[member.kind] += 1
        await self._end(member)
        await self._start(member)

    async def power_cut(self) -> None:
        """Kill all of them at once; nobody starts any until :meth:`start`."""
        self.kills.update(each.kind for each in self.members)
        await self._rest()

    @property
    def logs(self) -> list[Path]:
        return [each.child.log for each in self.members]

    def _is_able(self, member: Member, early: bool) -> bool:
        if member.ready and member.starting is not None:
            member.starting.result()  # raises what keeps it from coming up
        return member.ready or (early and member.child.running)

    async def _rest(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        for member in self.members:
            await self._end(member)

    async def _end(self, member: Member) -> None:
        if member.starting is not None:
            member.starting.cancel()
            await asyncio.gather(member.starting, return_exceptions=True)
        member.child.kill()

    def _start(self, member: Member) -> asyncio.Task[None]:
        member.starting = asyncio.create_task(self._bring_up(member))
        return member.starting

    async def _bring_up(self, member: Member) -> None:
        until = time.monotonic() + _UP_S
        while time.monotonic() < until:
            member.child.start()
            while member.child.running and time.monotonic() < until:
                if member.child.said(_UP_SAYS[member.kind]):
                    return
                await asyncio.sleep(_PAUSE_S)
            self.fell[member.kind] += 1  # its database is away, perhaps
            member.child.kill()
            await asyncio.sleep(_AGAIN_S)
        raise AssertionError(f"a {member.kind} does not come up:\n{member.child.tail()}")

    async def _watch(self) -> None:
        """Start again what ended by itself, as a supervisor does."""
        while True:
            await asyncio.sleep(_AGAIN_S)
            for member in self.members:
                up = member.starting is not None and member.starting.done()
                if up and not member.child.running:
                    self.fell[member.kind] += 1
                    self._start(member)
