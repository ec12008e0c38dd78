"""Sealing: every committed entry gets into exactly one block, in a chain of hashes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import Connection, text

from tests.integration.ledger.books import audited, opened, record, seal
from tests.support.store import Store
from tidegate.clock import SystemClock
from tidegate.db.committer import Unit
from tidegate.db.engine import Database, open_database
from tidegate.db.url import parse
from tidegate.ledger.book import Record
from tidegate.ledger.seal import FIRST_PREVIOUS, Seal, _searched

_POSTGRESQL = pytest.mark.parametrize("databases", ["postgresql"], indirect=True)


async def _members(store: Store) -> list[tuple[int, int]]:
    rows = await store.execute("SELECT block_id, entry_id FROM block_entries ORDER BY entry_id")
    return [(block_id, entry_id) for block_id, entry_id in rows]


async def test_an_empty_book_has_nothing_to_seal(store: Store) -> None:
    """No block without entries, and none twice; what comes first later is not taken for old."""
    for _ in range(3):
        assert await seal(store) is None
    await record(store, opened("a", 1))
    assert await seal(store) is not None
    assert await seal(store) is None


async def test_blocks_form_a_chain(store: Store) -> None:
    """Each names the hash before it; a block is as full as its limit while there are more."""
    await record(store, *(opened(f"o{n}", n + 1) for n in range(7)))
    blocks = [await seal(store, limit=3) for _ in range(4)]
    assert [block and block.count for block in blocks] == [3, 3, 1, None]
    previous = FIRST_PREVIOUS
    for number, block in enumerate(blocks[:3], start=1):
        assert block is not None
        assert (block.id, block.previous) == (number, previous)
        previous = block.hash
    assert await _members(store) == [(1, 1), (1, 2), (1, 3), (2, 4), (2, 5), (2, 6), (3, 7)]
    assert (await audited(store, expect=previous)).ok


async def test_the_first_seal_of_a_group_seals(store: Store) -> None:
    """Entries handed over together with a seal wait for the next one."""
    await record(store, opened("a", 1))
    answers: list[Any] = await asyncio.gather(
        store.committer.commit(Unit([Record(opened("b", 1))])),
        store.committer.commit(Unit([Seal()])),
        store.committer.commit(Unit([Seal()])),
    )
    assert answers[1][0].count == 1
    assert answers[2] == [None]
    block = await seal(store)
    assert block is not None
    assert (block.id, block.count) == (2, 1)


async def test_a_refused_unit_seals_nothing(store: Store) -> None:
    """The entries are sealed by a later call, though this process had seen them."""
    await record(store, opened("a", 1), opened("b", 1))
    with pytest.raises(Exception, match="entry a"):
        await store.commit(Seal(), Record(opened("a", 1)))
    assert await _members(store) == []
    block = await seal(store)
    assert block is not None
    assert block.count == 2


async def test_blocks_never_run_backwards_in_time(store: Store) -> None:
    """A clock that was set back does not mix up which block was the last before a moment."""
    await record(store, opened("a", 1))
    first = await seal(store)
    assert first is not None
    future = first.sealed_at + 10**9
    for statement in _without_triggers(store, "blocks"):
        await store.execute(statement)
    await store.execute("UPDATE blocks SET sealed_at = :future", future=future)
    await record(store, opened("b", 1))
    second = await seal(store)
    assert second is not None
    assert second.sealed_at == future


def _without_triggers(store: Store, table: str) -> list[str]:
    if store.dialect == "postgresql":
        return [f"DROP TRIGGER {table}_append_only ON {table}"]
    return [f"DROP TRIGGER {table}_no_{action}" for action in ("update", "delete")]


class _HalfWay:
    """A foreign transaction on PostgreSQL that has taken an entry's id and not committed yet."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.has_id = asyncio.Event()
        self.go = asyncio.Event()

    async def record(self, reference: str) -> int:
        loop = asyncio.get_running_loop()

        def work(connection: Connection) -> int:
            connection.execute(text("SELECT pg_current_xact_id()"))
            entry_id = connection.execute(text("SELECT nextval('entry_ids')")).scalar_one()
            connection.execute(
                text("INSERT INTO entries VALUES (:id, :reference, 'k', 's', 0)"),
                {"id": entry_id, "reference": reference},
            )
            loop.call_soon(self.has_id.set)
            while not self.go.is_set():
                connection.execute(text("SELECT pg_sleep(0.01)"))
            return int(entry_id)

        return await self._database.write(work)


@_POSTGRESQL
async def test_an_entry_that_commits_late_is_sealed_all_the_same(store: Store) -> None:
    """Its id is below those of many sealed entries: a seal of "every id above" would miss it."""
    slow_database = open_database(parse(store.url), SystemClock(), pool_size=1)
    half_way = _HalfWay(slow_database)
    await record(store, opened("a", 1))
    slow = asyncio.create_task(half_way.record("slow"))
    await half_way.has_id.wait()
    for turn in range(5):  # long enough for any memory of what is sealed to move on
        await record(store, opened(f"o{turn}", 1))
        assert await seal(store) is not None
    half_way.go.set()
    late_id = await slow
    await record(store, opened("z", 1))
    block = await seal(store)
    assert block is not None
    assert block.count == 2
    members = await _members(store)
    assert (block.id, late_id) in members
    assert len(members) == 8
    await slow_database.close()


@_POSTGRESQL
async def test_two_processes_do_not_seal_the_same(store: Store) -> None:
    """Whoever comes second at one moment has nothing to do, and the chain stays one."""
    await record(store, *(opened(f"o{n}", 1) for n in range(60)))
    committers = [store.committer, await store.another(), await store.another()]
    while True:
        answers = await asyncio.gather(*(each.commit(Unit([Seal(4)])) for each in committers))
        if not any(block for (block,) in answers):
            break
    assert len(await _members(store)) == 60
    assert (await audited(store)).ok


async def test_sealing_goes_on_after_a_restart(store: Store) -> None:
    """A process that knows nothing of earlier seals finds what is left, and only that."""
    await record(store, *(opened(f"o{n}", 1) for n in range(5)))
    await seal(store, limit=2)
    database = open_database(parse(store.url), SystemClock())
    fresh = Store(store.url, type(store.committer)(database), database)
    fresh.committer.start()
    block = await seal(fresh)
    assert block is not None
    assert (block.id, block.count) == (2, 3)
    await fresh.close()


async def test_what_is_sealed_is_not_searched_again(store: Store) -> None:
    """The search for unsealed entries begins after those that are known to be sealed."""
    sealed = 0
    for turn in range(100):
        await record(store, *(opened(f"o{turn}.{n}", 1) for n in range(5)))
        await seal(store)
        sealed += 5
        # At least one turn behind: what a call saw for the first time is proven by a later one,
        # once every transaction of the whole server that ran then has ended.
        if turn >= 3 and _searched[store.database].floor:
            break
        await asyncio.sleep(0.05)
    assert 0 < _searched[store.database].floor < sealed
