"""Rows are the queue: claims, leases, fences, and wishes made while a row is leased."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import Connection, text

from tests.support.store import Store, jobs, kept_jobs
from tidegate.clock import SystemClock
from tidegate.db.committer import Unit
from tidegate.db.engine import open_database
from tidegate.db.rows import DONE, Change, Insert, Next
from tidegate.db.url import parse
from tidegate.errors import Stale
from tidegate.work.claim import Claim, Claimed, end_leases

_CLOCK = SystemClock()
_LONG_MS = 60_000


async def _claim(store: Store, limit: int = 10, lease_ms: int = _LONG_MS, **more: Any) -> list[Any]:
    (rows,) = await store.commit(Claim(jobs, "look", limit, lease_ms, **more))
    ends_at = _CLOCK.monotonic() + lease_ms / 1000
    return [Claimed(jobs, row, ends_at, _CLOCK) for row in rows]


async def _kept(store: Store, job_id: str) -> dict[str, Any]:
    return (await kept_jobs(store.database))[job_id]


async def test_a_claim_takes_what_is_due_oldest_first(store: Store) -> None:
    """Not what is due later, of another kind, leased, or nothing to do with."""
    await store.commit(Insert(jobs, {"id": "c"}, Next("look")))
    await asyncio.sleep(0.005)
    await store.commit(Insert(jobs, {"id": "b"}, Next("look")))
    await asyncio.sleep(0.005)
    await store.commit(
        Insert(jobs, {"id": "a"}, Next("look")),
        Insert(jobs, {"id": "later"}, Next("look", 60_000)),
        Insert(jobs, {"id": "other"}, Next("report")),
        Insert(jobs, {"id": "none"}),
    )
    assert [each.id for each in await _claim(store, limit=2)] == ["c", "b"]
    (last,) = await _claim(store)
    assert (last.id, last.tries, last.held.fence) == ("a", 1, 1)
    assert await _claim(store) == []


async def test_a_claim_can_be_for_some_ids(store: Store) -> None:
    """Only those, and only if they are due."""
    await store.commit(
        *(Insert(jobs, {"id": each}, Next("look")) for each in "abc"),
        Insert(jobs, {"id": "later"}, Next("look", 60_000)),
    )
    assert {each.id for each in await _claim(store, ids=("a", "c", "later", "x"))} == {"a", "c"}


async def test_a_row_is_claimable_in_the_commit_that_makes_it_due(store: Store) -> None:
    """A claim sees what the other operations of its group wrote."""
    _, (row,) = await store.commit(
        Insert(jobs, {"id": "a"}, Next("look")), Claim(jobs, "look", 5, _LONG_MS)
    )
    assert row["id"] == "a"


async def test_claims_of_two_processes_never_overlap(store: Store) -> None:
    """Every due row is claimed once, whoever asks and however often at once."""
    await store.commit(*(Insert(jobs, {"id": f"j{n:03}"}, Next("look")) for n in range(200)))
    committers = [store.committer, await store.another(), await store.another()]
    claimed: list[str] = []

    async def process(number: int) -> None:
        while True:
            claim = Claim(jobs, "look", 7, _LONG_MS)
            (rows,) = await committers[number].commit(Unit([claim]))
            claimed.extend(row["id"] for row in rows)
            assert len(rows) <= 7
            if not rows:
                # What another process holds locked at this moment is skipped, not absent.
                if len(claimed) >= 200:
                    return
                await asyncio.sleep(0.005)

    await asyncio.wait_for(asyncio.gather(*(process(number) for number in range(3))), 20)
    assert sorted(claimed) == [f"j{n:03}" for n in range(200)]


@pytest.mark.parametrize("databases", ["postgresql"], indirect=True)
async def test_a_claim_waits_for_nobody(store: Store) -> None:
    """A row that another transaction is writing to is left out, and found by the next look."""
    await store.commit(*(Insert(jobs, {"id": each}, Next("look")) for each in "ab"))
    other = open_database(parse(store.url), _CLOCK, pool_size=1)
    loop, locked, go = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()

    def write(connection: Connection) -> None:
        connection.execute(text("UPDATE jobs SET note = 'x' WHERE id = 'a'"))
        loop.call_soon(locked.set)
        while not go.is_set():
            connection.execute(text("SELECT pg_sleep(0.01)"))

    writing = asyncio.create_task(other.write(write))
    await locked.wait()
    try:
        claimed = await asyncio.wait_for(_claim(store), 60)
    finally:
        go.set()
        await writing
        await other.close()
    assert [each.id for each in claimed] == ["b"]
    assert [each.id for each in await _claim(store)] == ["a"]


async def test_a_lease_that_ran_out_is_lost(store: Store) -> None:
    """The next claim has a higher fence, and the first holder can write nothing any more."""
    await store.commit(Insert(jobs, {"id": "a"}, Next("look")))
    (dead,) = await _claim(store)
    assert await _claim(store) == []
    await store.database.write(lambda c: end_leases(c, (jobs,), _CLOCK.now_ms()))
    (alive,) = await _claim(store)
    assert (alive.held.fence, alive.tries) == (dead.held.fence + 1, 2)
    with pytest.raises(Stale, match="lease"):
        await store.commit(Change(jobs, "a", {"state": "dead"}, held=dead.held, next=DONE))
    with pytest.raises(Stale, match="fence"):
        await store.commit(Change(jobs, "a", {"state": "d"}, expect={"fence": dead.held.fence}))
    await store.commit(Change(jobs, "a", {"state": "alive"}, held=alive.held, next=DONE))
    kept = await _kept(store, "a")
    assert (kept["state"], kept["due_at"], kept["kind"]) == ("alive", None, None)
    assert (kept["leased_until"], kept["tries"]) == (None, 0)


async def test_a_holder_whose_lease_ran_out_unclaimed_may_still_end_it(store: Store) -> None:
    """Nobody else took the row, so what the late holder knows is the newest."""
    await store.commit(Insert(jobs, {"id": "a"}, Next("look")))
    (late,) = await _claim(store, lease_ms=1)
    await asyncio.sleep(0.01)
    await store.commit(Change(jobs, "a", {"state": "late"}, held=late.held, next=DONE))
    assert (await _kept(store, "a"))["state"] == "late"


async def test_a_verb_goes_on_under_its_lease_by_its_fence(store: Store) -> None:
    """Expecting the fence writes without ending the lease; holding it ends it, once."""
    await store.commit(Insert(jobs, {"id": "a"}, Next("look")))
    (mine,) = await _claim(store)
    await store.commit(Change(jobs, "a", {"state": "x"}, expect={"fence": mine.held.fence}))
    assert await _claim(store) == []
    assert (await _kept(store, "a"))["leased_until"] is not None
    await store.commit(Change(jobs, "a", {"state": "sent"}, held=mine.held, next=DONE))
    with pytest.raises(Stale, match="ended"):
        await store.commit(Change(jobs, "a", held=mine.held, next=Next("look")))


@pytest.mark.parametrize("ending", [DONE, Next("look", 60_000), None])
@pytest.mark.parametrize("wishes", [1, 2, 3])
async def test_a_wish_made_during_the_lease_stands(store: Store, ending: Any, wishes: int) -> None:
    """Made due while leased, a row is due when the lease ends, whatever its holder thought; also
    when several wishes fall into the millisecond of the claim."""
    told: list[Any] = []
    store.committer.on_due = told.extend
    await store.commit(Insert(jobs, {"id": "a"}, Next("look")))
    (mine,) = await _claim(store)
    told.clear()
    wish = Unit([Change(jobs, "a", next=Next("report"))])
    await asyncio.gather(*(store.committer.commit(wish) for _ in range(wishes)))
    assert told == []  # it is leased: nobody could do anything
    assert await _claim(store) == []
    await store.commit(Change(jobs, "a", {"state": "x"}, held=mine.held, next=ending))
    kept = await _kept(store, "a")
    assert (kept["kind"], kept["state"], kept["woken"]) == ("report", "x", False)
    assert [due.kind for due in told] == ["report"]
    (rows,) = await store.commit(Claim(jobs, "report", 1, _LONG_MS))
    assert len(rows) == 1


async def test_a_wish_made_before_the_lease_does_not_bind_its_holder(store: Store) -> None:
    """The claim answers it: the holder says what comes next."""
    await store.commit(Insert(jobs, {"id": "a"}))
    await store.commit(Change(jobs, "a", next=Next("look")))
    (mine,) = await _claim(store)
    await store.commit(Change(jobs, "a", held=mine.held, next=DONE))
    assert (await _kept(store, "a"))["due_at"] is None


async def test_a_wish_survives_a_holder_that_died(store: Store) -> None:
    """When the lease has run out, the row is claimed for what was wished."""
    await store.commit(Insert(jobs, {"id": "a"}, Next("look")))
    await _claim(store, lease_ms=20)
    await store.commit(Change(jobs, "a", next=Next("report")))
    await asyncio.sleep(0.04)
    (rows,) = await store.commit(Claim(jobs, "report", 1, _LONG_MS))
    assert rows[0]["fence"] == 2
    assert rows[0]["woken"] is False


async def test_nothing_more_to_do_can_be_wished_too(store: Store) -> None:
    """Somebody else finished the row: its holder does not make it due again."""
    await store.commit(Insert(jobs, {"id": "a"}, Next("look")))
    (mine,) = await _claim(store)
    await store.commit(Change(jobs, "a", next=DONE))
    await store.commit(Change(jobs, "a", held=mine.held, next=Next("look")))
    assert (await _kept(store, "a"))["due_at"] is None


async def test_tries_count_until_a_turn_succeeds(store: Store) -> None:
    """``again`` keeps counting, any other end of a lease starts anew."""
    await store.commit(Insert(jobs, {"id": "a"}, Next("look")))
    for tries in (1, 2, 3):
        (mine,) = await _claim(store)
        assert mine.tries == tries
        await store.commit(Change(jobs, "a", held=mine.held, next=Next("look"), again=tries < 3))
    assert (await _claim(store))[0].tries == 1


async def test_a_lease_covers_a_call_only_while_enough_of_it_is_left(store: Store) -> None:
    """A call with a longer time limit than the rest of the lease is not begun."""
    await store.commit(Insert(jobs, {"id": "a"}, Next("look")))
    (mine,) = await _claim(store, lease_ms=5_000)
    assert mine.covers(4.0)
    assert not mine.covers(5.1)
