"""The one place that commits (DESIGN 3).

A verb decides in pure code and hands over a *unit*: operations that are written all together or
not at all. The committer takes the units that are waiting, without added delay, and writes them
in one transaction:

1. every kind of operation reads and locks the rows it depends on, in one fixed order;
2. unit after unit is judged on these working copies; a unit that is refused leaves no trace and
   harms no other;
3. what was admitted is written with one statement per shape, and committed once.

Then the verbs are woken. When the group fails because of a unit in it (a unique index that another
process filled first, a value too long), nothing of it was committed; it is halved until only the
guilty unit fails. Serialization failures, deadlocks, statements that a migration made stale and
connections that died before their commit are tried again here.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Protocol

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tidegate.db.engine import Database, is_stale_plan
from tidegate.errors import AlreadyExists, WriteRefused
from tidegate.observability import tracing

__all__ = ["Batch", "Committer", "Due", "Operation", "Unit"]

log = structlog.get_logger()

_GROUP_MAX = 256
_TRIES = 4
# Classes of SQLSTATE: connection, resources, limits, operator's intervention, system.
_MACHINE = frozenset({"08", "53", "54", "57", "58"})


@dataclass(frozen=True, slots=True)
class Due:
    """A row that a commit made due now."""

    table: str
    kind: str
    id: str


class Batch(Protocol):
    """All operations of one kind in one group."""

    rank: ClassVar[int]  # batches lock and write in this order, in every process

    def __init__(self, database: Database, connection: Connection, now_ms: int) -> None: ...

    def lock(self, operations: Sequence[Any]) -> None:
        """Read, and lock where the database has row locks, what ``operations`` depend on."""
        ...

    def mark(self) -> Any:
        """A point that :meth:`rewind` can return to."""
        ...

    def rewind(self, mark: Any) -> None:
        """Forget what was admitted since ``mark``."""
        ...

    def admit(self, operation: Any) -> Any:
        """Judge one operation on the working copies and note it; raise ``WriteRefused``.

        Returns what the operation's owner wants to know (may be completed by ``flush``).
        """
        ...

    def flush(self) -> Sequence[Due]:
        """Write what was admitted; tell which rows became due now."""
        ...


class Operation(Protocol):
    """Something to write; ``batch`` knows how."""

    batch: ClassVar[type[Batch]]


@dataclass(slots=True)
class Unit:
    """What one verb wants written, all or nothing."""

    operations: list[Operation] = field(default_factory=list)

    def add(self, *operations: Operation) -> Unit:
        self.operations.extend(operations)
        return self


@dataclass(slots=True)
class _Waiting:
    unit: Unit
    answer: asyncio.Future[list[Any]]
    # Whoever hears of the commit speaks with the ids of the turn that wanted it.
    context: contextvars.Context


_Outcome = list[Any] | Exception


class Committer:
    """One per process."""

    def __init__(
        self,
        database: Database,
        *,
        on_due: Callable[[Sequence[Due]], object] = lambda due: None,
        on_commit: Callable[[int, float], object] = lambda units, seconds: None,
        on_failure: Callable[[], object] = lambda: None,
    ) -> None:
        self._database = database
        self.on_due = on_due
        self.on_written: Callable[[Unit], None] = lambda unit: None
        self._on_commit = on_commit
        self._on_failure = on_failure
        self._waiting: list[_Waiting] = []
        self._awake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="committer")

    async def stop(self) -> None:
        """Write what is waiting, then stop."""
        self._closed = True
        self._awake.set()
        if self._task is not None:
            await self._task
            self._task = None

    async def commit(self, unit: Unit) -> list[Any]:
        """Commit ``unit``; return what each operation answers, in order.

        Raises ``WriteRefused`` (one of its kinds) when nothing of the unit was written, and the
        database's own error when it could not be reached: then it is not known whether the unit
        was committed, and the row's state will tell.
        """
        if self._closed:
            raise RuntimeError("the committer is stopped")
        with tracing.step("commit"):
            answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
            self._waiting.append(_Waiting(unit, answer, contextvars.copy_context()))
            self._awake.set()
            return await answer

    async def _run(self) -> None:
        free = asyncio.Semaphore(self._database.writers)
        writing: dict[asyncio.Task[None], list[_Waiting]] = {}
        try:
            while not (self._closed and not self._waiting):
                await self._awake.wait()
                self._awake.clear()
                while self._waiting:
                    await free.acquire()
                    group, self._waiting = self._waiting[:_GROUP_MAX], self._waiting[_GROUP_MAX:]
                    task = asyncio.create_task(self._write(group), name="committing")
                    writing[task] = group
                    task.add_done_callback(partial(_let_go, writing, free))
            await asyncio.gather(*writing)
        finally:
            # Only an end from outside leaves somebody waiting; nobody shall wait for ever.
            self._closed = True
            for task in writing:
                task.cancel()
            for waiting in (*(one for group in writing.values() for one in group), *self._waiting):
                if not waiting.answer.done():
                    waiting.answer.set_exception(RuntimeError("the committer was ended"))

    async def _write(self, group: list[_Waiting]) -> None:
        started = asyncio.get_running_loop().time()
        attempt = _Attempt(self._database, [waiting.unit for waiting in group])
        try:
            outcomes, due = await attempt.make()
        except Exception as error:  # handed to every verb: the committer itself lives on
            self._told(self._on_failure)
            if len(group) > 1 and attempt.may_be_split(error):
                # By halves, so that one guilty unit costs a few more commits, not one a unit.
                middle = len(group) // 2
                await self._write(group[:middle])
                await self._write(group[middle:])
                return
            outcomes, due = [_refusal_or(error)] * len(group), ()
        else:
            self._told(self._on_commit, len(group), asyncio.get_running_loop().time() - started)
        for waiting, outcome in zip(group, outcomes, strict=True):
            if not isinstance(outcome, Exception):
                waiting.context.run(self._told, self.on_written, waiting.unit)
            if waiting.answer.done():  # the verb was cancelled; its rows tell the rest
                continue
            if isinstance(outcome, Exception):
                waiting.answer.set_exception(outcome)
            else:
                waiting.answer.set_result(outcome)
        if due:
            self._told(self.on_due, due)

    def _told(self, listener: Callable[..., object], *news: object) -> None:
        try:
            listener(*news)
        except Exception:  # what is committed is committed, whatever a listener makes of it
            with suppress(Exception):  # nor does it hang on a log that cannot be written
                log.exception("committer.listener_failed")


def _let_go(
    writing: dict[asyncio.Task[None], list[_Waiting]],
    free: asyncio.Semaphore,
    done: asyncio.Task[None],
) -> None:
    del writing[done]
    free.release()


class _Attempt:
    """One group's transaction, tried again where that is safe."""

    def __init__(self, database: Database, units: Sequence[Unit]) -> None:
        self._database = database
        self._units = units
        self._written = False

    async def make(self) -> tuple[Sequence[_Outcome], Sequence[Due]]:
        for tries_left in reversed(range(_TRIES)):
            self._written = False
            try:
                return await self._database.write(self._write)
            except DBAPIError as error:
                if not tries_left or not self._may_repeat(error):
                    raise
        raise AssertionError("unreachable: the last try returns or raises")

    def _write(self, connection: Connection) -> tuple[Sequence[_Outcome], Sequence[Due]]:
        result = _write_group(self._database, connection, self._units)
        self._written = True  # from here on an error leaves open whether it was committed
        return result

    def _may_repeat(self, error: DBAPIError) -> bool:
        """Rolled back whole: a conflict between transactions, a statement prepared for another
        schema, or a connection of the pool that turned out to be dead before its commit was
        sent."""
        if _state(error) in {"40001", "40P01"} or is_stale_plan(error):
            return True
        return error.connection_invalidated and not self._written

    def may_be_split(self, error: Exception) -> bool:
        """Is it about some unit of the group, and certain that nothing was committed?

        The machine's own troubles (no connection, no space, locked for too long) would only be
        met again by every part.
        """
        if self._written or isinstance(error, OSError | OperationalError | PoolTimeout):
            return False
        if isinstance(error, DBAPIError):
            return not error.connection_invalidated and _state(error)[:2] not in _MACHINE
        return True


def _write_group(
    database: Database, connection: Connection, units: Sequence[Unit]
) -> tuple[list[_Outcome], Sequence[Due]]:
    """Write ``units`` in the transaction of ``connection``; answers and refusals, one a unit."""
    now_ms = database.now_ms(connection)
    by_batch: dict[type[Batch], list[Operation]] = {}
    for unit in units:
        for operation in unit.operations:
            by_batch.setdefault(operation.batch, []).append(operation)
    batches = {
        kind: kind(database, connection, now_ms)
        for kind in sorted(by_batch, key=lambda kind: kind.rank)
    }
    for kind, batch in batches.items():
        batch.lock(by_batch[kind])

    outcomes: list[_Outcome] = []
    for unit in units:
        marks = {
            kind: batches[kind].mark()
            for kind in {operation.batch for operation in unit.operations}
        }
        try:
            outcomes.append([batches[op.batch].admit(op) for op in unit.operations])
        except WriteRefused as refusal:
            for kind, mark in marks.items():
                batches[kind].rewind(mark)
            outcomes.append(refusal)

    due: list[Due] = []
    for batch in batches.values():
        due.extend(batch.flush())
    return outcomes, due


def _refusal_or(error: Exception) -> Exception:
    """A unique index that says no is a refusal; any other error of the database is a fault."""
    if isinstance(error, IntegrityError) and (
        _state(error) == "23505" or "UNIQUE constraint failed" in str(error.orig)
    ):
        refusal = AlreadyExists()
        refusal.__cause__ = error
        return refusal
    return error


def _state(error: DBAPIError) -> str:
    """PostgreSQL's SQLSTATE, else nothing."""
    return getattr(error.orig, "sqlstate", None) or ""
