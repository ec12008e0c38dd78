"""The book takes entries once, whole, and never below a floor."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from tests.integration.ledger.books import (
    AVAILABLE,
    OPENING,
    RESERVED,
    audited,
    kept_balances,
    opened,
    record,
    reserved,
    seal,
)
from tests.support.store import Store, jobs, kept_jobs
from tidegate.clock import SystemClock
from tidegate.db.committer import Unit
from tidegate.db.rows import Insert
from tidegate.errors import AlreadyExists, FloorBroken
from tidegate.ledger.book import Record
from tidegate.ledger.entry import transfer
from tidegate.ledger.tables import immutable_tables


async def test_an_entry_moves_balances(store: Store) -> None:
    """Accounts are opened by their first entry and grow by their side."""
    assert await record(store, opened("o", 500), reserved("r", 200)) == [[None], [None]]
    assert await kept_balances(store) == {AVAILABLE: 300, RESERVED: 200, OPENING: 500}
    assert (await audited(store)).ok


async def test_an_entry_that_breaks_a_floor_is_refused_alone(store: Store) -> None:
    """In a group: what fits before and after it is recorded, and its unit leaves nothing."""
    await record(store, opened("o", 500))
    big = Unit([Insert(jobs, {"id": "big"}), Record(reserved("r2", 400))])
    small = Unit([Insert(jobs, {"id": "small"}), Record(reserved("r3", 300))])
    answers: list[Any] = await asyncio.gather(
        store.committer.commit(Unit([Record(reserved("r1", 200))])),
        store.committer.commit(big),
        store.committer.commit(small),
        return_exceptions=True,
    )
    assert isinstance(answers[1], FloorBroken)
    assert answers[0] == [None]
    assert answers[2] == [None, None]
    assert await kept_balances(store) == {AVAILABLE: 0, RESERVED: 500, OPENING: 500}
    assert set(await kept_jobs(store.database)) == {"small"}
    assert (await audited(store)).ok


async def test_the_floor_binds_the_entry_as_a_whole(store: Store) -> None:
    """An account may dip within an entry that fills it again."""
    entry = transfer("r", "k", "s", (RESERVED, AVAILABLE, 300), (AVAILABLE, OPENING, 300))
    assert await record(store, entry) == [[None]]
    assert await kept_balances(store) == {AVAILABLE: 0, RESERVED: 300, OPENING: 300}
    assert (await audited(store)).ok


async def test_facts_find_an_account_without_a_floor(store: Store) -> None:
    """Suspense may fall below zero."""
    suspense = "psp:lenco:suspense:NGN"
    fact = transfer("f", "payout.paid_late", "s", ("psp:lenco:fees:NGN", suspense, 7))
    assert await record(store, fact) == [[None]]
    assert (await kept_balances(store))[suspense] == -7
    assert (await audited(store)).ok


async def test_a_reference_is_taken_once(store: Store) -> None:
    """Within a group and later, also with other figures; balances move once."""
    first = await record(store, opened("o", 500), opened("o", 900), opened("p", 1))
    assert [type(answer) for answer in first] == [list, AlreadyExists, list]
    assert isinstance((await record(store, opened("o", 500)))[0], AlreadyExists)
    assert (await kept_balances(store))[AVAILABLE] == 501


async def test_a_refused_reference_may_come_again(store: Store) -> None:
    """A refusal is no record."""
    answers = await record(store, reserved("r", 5), opened("o", 5), reserved("r", 5))
    assert [type(answer) for answer in answers] == [FloorBroken, list, list]


async def test_a_refused_unit_gives_its_references_back(store: Store) -> None:
    """An entry that was admitted before its unit was refused is no record either."""
    answers: list[Any] = await asyncio.gather(
        store.committer.commit(Unit([Record(opened("a", 5)), Record(reserved("r", 900))])),
        store.committer.commit(Unit([Record(opened("a", 7)), Record(reserved("r", 3))])),
        return_exceptions=True,
    )
    assert isinstance(answers[0], FloorBroken)
    assert answers[1] == [None, None]
    assert await kept_balances(store) == {AVAILABLE: 4, RESERVED: 3, OPENING: 7}
    assert (await audited(store)).ok


async def test_an_entry_is_kept_as_it_was_given(store: Store) -> None:
    """Its name, its moment, its legs in their order; numbers and balances are the book's."""
    before = SystemClock().now_ms()
    await record(store, opened("o", 500), reserved("r", 200))
    rows = await store.execute("SELECT id, reference, kind, subject FROM entries ORDER BY id")
    assert rows == [
        (1, "o", "float.opened", "reading"),
        (2, "r", "payout.reserved", "payout"),
    ]
    moments = await store.execute("SELECT recorded_at FROM entries")
    assert all(before <= moment <= SystemClock().now_ms() for (moment,) in moments)
    legs = await store.execute(
        "SELECT entry_id, place, path, side, amount, number, balance_after FROM legs "
        "JOIN accounts ON accounts.id = account_id ORDER BY entry_id, place"
    )
    assert legs == [
        (1, 0, AVAILABLE, "D", 500, 1, 500),
        (1, 1, OPENING, "C", 500, 1, 500),
        (2, 0, RESERVED, "D", 200, 1, 200),
        (2, 1, AVAILABLE, "C", 200, 2, 300),
    ]
    accounts = await store.execute(
        "SELECT path, currency, grows_by, floor, balance, legs FROM accounts ORDER BY path"
    )
    assert accounts == [
        (OPENING, "NGN", "C", False, 500, 1),
        (AVAILABLE, "NGN", "D", True, 300, 2),
        (RESERVED, "NGN", "D", True, 200, 1),
    ]


async def test_the_same_reference_from_two_processes_is_taken_once(store: Store) -> None:
    """Whoever commits first has it, and the other is refused, not failed."""
    committers = [store.committer, await store.another(), await store.another()]
    answers: list[Any] = await asyncio.gather(
        *(committers[n % 3].commit(Unit([Record(opened(f"o{n // 3}", 10))])) for n in range(30)),
        return_exceptions=True,
    )
    kinds = [type(answer) for answer in answers]
    assert kinds.count(list) == 10
    assert kinds.count(AlreadyExists) == 20
    assert (await kept_balances(store))[AVAILABLE] == 100
    assert (await audited(store)).ok


async def test_floors_hold_under_any_concurrency(store: Store) -> None:
    """64 tasks over four committers promise what is there, and not one unit more."""
    await record(store, opened("o", 1_000))
    committers = [store.committer, *[await store.another() for _ in range(3)]]
    taken = 0

    async def promise(task: int) -> None:
        nonlocal taken
        for turn in range(6):
            amount = 1 + (task * 7 + turn * 3) % 11
            try:
                await committers[task % 4].commit(
                    Unit([Record(reserved(f"r{task}.{turn}", amount))])
                )
                taken += amount
            except FloorBroken:
                continue
            if (task + turn) % 3 == 0:
                back = transfer(f"b{task}.{turn}", "k", "s", (AVAILABLE, RESERVED, amount))
                await committers[(task + 1) % 4].commit(Unit([Record(back)]))
                taken -= amount

    await asyncio.wait_for(asyncio.gather(*(promise(task) for task in range(64))), 60)
    kept = await kept_balances(store)
    assert kept == {AVAILABLE: 1_000 - taken, RESERVED: taken, OPENING: 1_000}
    assert kept[AVAILABLE] <= 11  # it was fought for to the end
    report = await audited(store)
    assert report.findings == ()


async def test_new_accounts_may_be_opened_by_several_at_once(store: Store) -> None:
    """Two processes whose first entries touch the same new accounts both succeed."""
    committers = [store.committer, await store.another(), await store.another()]
    for psp in range(8):
        accounts = [f"psp:p{psp}:{part}:NGN" for part in ("suspense", "missing", "fees")]
        await asyncio.gather(
            *(
                committers[n].commit(
                    Unit(
                        [
                            Record(
                                transfer(
                                    f"e{psp}.{n}",
                                    "k",
                                    "s",
                                    (accounts[n], accounts[(n + 1) % 3], 5),
                                )
                            )
                        ]
                    )
                )
                for n in range(3)
            )
        )
    assert set((await kept_balances(store)).values()) == {0}
    assert (await audited(store)).ok


async def test_the_database_itself_refuses_a_broken_floor(store: Store) -> None:
    """Past all of our code, a constraint holds the floor."""
    await record(store, opened("o", 5))
    with pytest.raises(DBAPIError, match="floor"):
        await store.execute("UPDATE accounts SET balance = -1 WHERE path = :p", p=AVAILABLE)


@pytest.mark.parametrize("table", [table.name for table in immutable_tables])
async def test_what_is_written_cannot_be_changed(store: Store, table: str) -> None:
    """UPDATE, DELETE and TRUNCATE are refused by the database, also for the owner of the tables."""
    await record(store, opened("o", 5))
    assert await seal(store) is not None
    column = {"block_entries": "block_id"}.get(table, "id" if table != "legs" else "amount")
    statements = ["UPDATE tab SET col = col", "DELETE FROM tab"]
    if store.dialect == "postgresql":
        statements.append("TRUNCATE tab CASCADE")
    else:
        statements.append("REPLACE INTO tab SELECT * FROM tab")
    for statement in statements:
        with pytest.raises(DBAPIError, match="only grows"):
            await store.execute(statement.replace("tab", table).replace("col", column))
    assert (await audited(store)).ok
