"""The one place that commits: units are whole or nothing, and harm no other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from tests.support.store import Store, jobs, kept_jobs
from tidegate.clock import SystemClock
from tidegate.db import committer as committers
from tidegate.db.committer import Batch, Committer, Due, Unit
from tidegate.db.engine import Database, open_database
from tidegate.db.rows import Change, Insert, Next
from tidegate.db.url import parse
from tidegate.errors import AlreadyExists, Stale

_POSTGRESQL = pytest.mark.parametrize("databases", ["postgresql"], indirect=True)


async def _together(committer: Committer, *units: Unit) -> list[Any]:
    """Hand units over in one turn of the loop, so that they form one group."""
    waiting = (committer.commit(unit) for unit in units)
    return list(await asyncio.gather(*waiting, return_exceptions=True))


def _job(job_id: str, **values: Any) -> Insert:
    return Insert(jobs, {"id": job_id, **values})


async def test_waiting_units_share_one_commit(store: Store) -> None:
    """What waits is written in one transaction, each unit with its own answers."""
    groups: list[int] = []
    committer = Committer(store.database, on_commit=lambda units, seconds: groups.append(units))
    committer.start()
    answers = await _together(committer, *(Unit([_job(f"j{n}")]) for n in range(20)))
    await committer.stop()
    assert answers == [[None]] * 20
    assert groups == [20]
    assert len(await kept_jobs(store.database)) == 20


async def test_a_refused_unit_harms_no_other(store: Store) -> None:
    """A refusal undoes its whole unit, in the middle of a group that is committed once."""
    groups: list[int] = []
    committer = Committer(store.database, on_commit=lambda units, seconds: groups.append(units))
    committer.start()
    await committer.commit(Unit([_job("a")]))
    answers = await _together(
        committer,
        Unit([_job("b")]),
        Unit([_job("c"), Change(jobs, "a", {"note": "c"}), Change(jobs, "nobody")]),
        Unit([_job("d"), Change(jobs, "a", {"state": "old"}, expect={"note": None})]),
    )
    await committer.stop()
    assert isinstance(answers[1], Stale)
    assert (answers[0], answers[2]) == ([None], [None, None])
    kept = await kept_jobs(store.database)
    assert set(kept) == {"a", "b", "d"}
    assert (kept["a"]["state"], kept["a"]["note"]) == ("old", None)
    assert groups == [1, 3]


async def test_units_of_a_group_are_judged_one_after_the_other(store: Store) -> None:
    """Of two verbs that decided on the same state, one acts."""
    await store.commit(_job("a"))
    answers = await _together(
        store.committer,
        *(Unit([Change(jobs, "a", {"state": f"s{n}"}, expect={"state": "new"})]) for n in range(5)),
    )
    assert [type(answer) for answer in answers] == [list, *[Stale] * 4]
    assert (await kept_jobs(store.database))["a"]["state"] == "s0"


async def test_any_column_can_be_expected(store: Store) -> None:
    """What is expected is read under the lock, also what no guard names."""
    await store.commit(_job("a", note="first"))
    await store.commit(Change(jobs, "a", {"state": "x"}, expect={"note": "first"}))
    with pytest.raises(Stale, match="note is 'first', not 'second'"):
        await store.commit(Change(jobs, "a", {"state": "y"}, expect={"note": "second"}))


async def test_a_duplicate_is_refused_alone(store: Store) -> None:
    """Only the unit that a unique index refuses fails; halving finds it in a few commits."""
    groups: list[int] = []
    committer = Committer(store.database, on_commit=lambda units, seconds: groups.append(units))
    committer.start()
    await committer.commit(Unit([_job("old", note="taken")]))
    units = [Unit([_job(f"j{n}", note="taken" if n == 9 else None)]) for n in range(16)]
    answers = await _together(committer, *units)
    await committer.stop()
    assert [type(answer) for answer in answers] == [*[list] * 9, AlreadyExists, *[list] * 6]
    assert set(await kept_jobs(store.database)) == {"old", *(f"j{n}" for n in range(16) if n != 9)}
    assert sum(groups[1:]) == 15
    assert len(groups[1:]) <= 5


async def test_of_two_equal_keys_in_a_group_the_first_wins(store: Store) -> None:
    """Order of arrival decides."""
    answers = await _together(store.committer, Unit([_job("a", note="1")]), Unit([_job("a")]))
    assert answers[0] == [None]
    assert isinstance(answers[1], AlreadyExists)
    assert (await kept_jobs(store.database))["a"]["note"] == "1"


async def test_a_fault_in_one_unit_harms_no_other(store: Store) -> None:
    """A unit that cannot even be written fails with its own error, and the committer lives on."""
    faulty = Unit([_job("bad", data={"not json": object()})])
    answers = await _together(store.committer, Unit([_job("a")]), faulty, Unit([_job("b")]))
    assert answers[0] == answers[2] == [None]
    assert isinstance(answers[1], Exception)
    assert not isinstance(answers[1], AlreadyExists)
    await store.commit(_job("c"))
    assert set(await kept_jobs(store.database)) == {"a", "b", "c"}


async def test_a_cancelled_verb_harms_nobody(store: Store) -> None:
    """Its unit may be written or not; the units around it are, and the committer lives on."""
    before = asyncio.create_task(store.commit(_job("a")))
    cancelled = asyncio.create_task(store.commit(_job("b", note="x"), _job("b2", note="x")))
    after = asyncio.create_task(store.commit(_job("c")))
    await asyncio.sleep(0)
    cancelled.cancel()
    assert await before == [None]
    assert await after == [None]
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    await store.commit(_job("d"))
    assert {"a", "c", "d"} <= set(await kept_jobs(store.database))


async def test_stopping_writes_what_waits(store: Store) -> None:
    """Nothing handed over before is lost; after it nothing is taken."""
    committer = Committer(store.database)
    committer.start()
    waiting = [asyncio.create_task(committer.commit(Unit([_job(f"j{n}")]))) for n in range(600)]
    await asyncio.sleep(0)
    await committer.stop()
    assert [task.result() for task in waiting] == [[None]] * 600
    assert len(await kept_jobs(store.database)) == 600
    with pytest.raises(RuntimeError, match="stopped"):
        await committer.commit(Unit([_job("late")]))


class _StuckDatabase:
    """Never comes back from a write."""

    dialect = "sqlite"
    writers = 1

    async def write(self, work: Any) -> Any:
        await asyncio.Event().wait()


async def test_nobody_waits_for_a_committer_that_was_ended() -> None:
    """When its task is ended from outside, every waiting verb is told."""
    database: Any = _StuckDatabase()
    committer = Committer(database)
    committer.start()
    written = asyncio.create_task(committer.commit(Unit([_job("a")])))
    await asyncio.sleep(0.01)
    waiting = asyncio.create_task(committer.commit(Unit([_job("b")])))
    await asyncio.sleep(0)
    (task,) = (task for task in asyncio.all_tasks() if task.get_name() == "committer")
    task.cancel()
    for verb in (written, waiting):
        with pytest.raises(RuntimeError, match="ended"):
            await asyncio.wait_for(verb, 60)


async def test_a_listener_that_fails_harms_nobody(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is committed is answered, whatever becomes of the news about it, and of the log."""

    class Closed:
        def exception(self, event: str) -> None:
            raise ValueError("I/O operation on closed file")

    monkeypatch.setattr(committers, "log", Closed())

    def fails(*news: object) -> None:
        raise LookupError("listener")

    committer = Committer(store.database, on_due=fails, on_commit=fails)
    committer.on_written = fails
    committer.start()
    for job_id in ("a", "b"):
        unit = Unit([Insert(jobs, {"id": job_id}, Next("look"))])
        assert await asyncio.wait_for(committer.commit(unit), 60) == [None]
    await committer.stop()


async def test_rows_made_due_are_told_after_the_commit(store: Store) -> None:
    """Due now is told with kind and id; due later, refused or finished is not."""
    told: list[Due] = []
    seen: list[set[str]] = []
    store.committer.on_due = told.extend
    await store.commit(
        Insert(jobs, {"id": "now"}, Next("look")),
        Insert(jobs, {"id": "later"}, Next("look", 60_000)),
        Insert(jobs, {"id": "never"}),
    )
    assert told == [Due("jobs", "look", "now")]
    seen.append(set(await kept_jobs(store.database)))
    await _together(
        store.committer,
        Unit([Change(jobs, "later", next=Next("look"))]),
        Unit([Change(jobs, "never", next=Next("look")), Change(jobs, "nobody")]),
    )
    assert told[1:] == [Due("jobs", "look", "later")]


@dataclass(frozen=True)
class _Cross:
    """Update two rows in a given order, with a pause between: the way into a deadlock."""

    batch: ClassVar[type[Batch]]
    first: str
    second: str


class _CrossBatch:
    rank: ClassVar[int] = 50
    runs: ClassVar[int] = 0

    def __init__(self, database: Database, connection: Connection, now_ms: int) -> None:
        self._connection = connection

    def lock(self, operations: Sequence[_Cross]) -> None:
        return None

    def mark(self) -> None:
        return None

    def rewind(self, mark: None) -> None:
        return None

    def admit(self, operation: _Cross) -> None:
        type(self).runs += 1
        for job_id in (operation.first, operation.second):
            change = text("UPDATE jobs SET fence = fence + 1 WHERE id = :id")
            self._connection.execute(change, {"id": job_id})
            self._connection.execute(text("SELECT pg_sleep(0.1)"))

    def flush(self) -> Sequence[Due]:
        return ()


_Cross.batch = _CrossBatch


@_POSTGRESQL
async def test_a_deadlock_is_tried_again(store: Store) -> None:
    """The transaction that PostgreSQL gives up is written in a second try; nobody is told."""
    await store.commit(_job("a"), _job("b"))
    other = await store.another()
    _CrossBatch.runs = 0
    await asyncio.gather(store.commit(_Cross("a", "b")), other.commit(Unit([_Cross("b", "a")])))
    assert _CrossBatch.runs == 3
    kept = await kept_jobs(store.database)
    assert {row["fence"] for row in kept.values()} == {2}


@_POSTGRESQL
async def test_dead_connections_of_the_pool_are_replaced(store: Store) -> None:
    """A server that restarted between two commits costs no verb anything."""
    await store.commit(_job("a"))
    outside = open_database(parse(store.url), SystemClock(), pool_size=1)
    kill = text(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    assert await outside.write(lambda c: c.execute(kill).scalar_one()) >= 1
    await outside.close()
    await asyncio.sleep(0.05)
    answers = await _together(store.committer, Unit([_job("b")]), Unit([_job("c")]))
    assert answers == [[None], [None]]
    assert set(await kept_jobs(store.database)) == {"a", "b", "c"}


async def test_an_unreachable_database_is_every_units_error(store_url: Any) -> None:
    """The error reaches each verb once, without a try for each of them."""
    url = store_url()
    if url.startswith("sqlite"):
        url = "sqlite:////nowhere/at/all.db"
    else:
        url = "postgresql://nobody@127.0.0.1:1/nothing"
    database = open_database(parse(url), SystemClock())
    tries = 0
    write = database.write

    async def counted(work: Any) -> Any:
        nonlocal tries
        tries += 1
        return await write(work)

    database.write = counted  # type: ignore[method-assign]  # the test listens in
    committer = Committer(database)
    committer.start()
    answers = await _together(committer, *(Unit([_job(f"j{n}")]) for n in range(8)))
    await committer.stop()
    await database.close()
    assert all(isinstance(answer, OSError | DBAPIError) for answer in answers)
    assert tries == 1
