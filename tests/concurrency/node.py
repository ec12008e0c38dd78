"""A node's parts in one process, without a listener or a worker: the scenes are the workers."""

from __future__ import annotations

from collections.abc import Mapping

from tidegate.api.deps import Deps, make_deps
from tidegate.bootstrap import build
from tidegate.settings import load
from tidegate.work.runner import Kind
from tidegate.workers.handlers import kinds_of
from tidegate.workers.main import Worker

__all__ = ["Node"]


class Node:
    """Opened over the environment that a world gives."""

    def __init__(self, deps: Deps, worker: Worker) -> None:
        self.deps = deps
        self.app = deps.app
        self._worker = worker

    @classmethod
    async def open(cls, env: Mapping[str, str]) -> Node:
        app = await build(load(env, env_file=None))
        worker = Worker(app, works=False)
        await app.open(worker.periodic.ids)
        return cls(make_deps(app), worker)

    def kinds(self) -> list[Kind]:
        """Every kind of work, as the worker has it."""
        return kinds_of(self.app, self._worker.periodic)

    async def do(self, *chores: str) -> None:
        """Do these chores once."""
        for chore in self._worker.periodic.table:
            if chore.id in chores:
                await chore.do()

    async def close(self) -> None:
        await self._worker.stop()
        await self.app.close()
