"""Rows are the queue (DESIGN 3): of many who want a due row one does it, and once."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.concurrency.claims import KIND
from tests.concurrency.crowd import PROCESSES, TASKS, Crowd
from tests.integration.ledger.books import audited, kept_balances
from tests.support.store import Store, jobs, kept_jobs
from tidegate.db.rows import Insert, Next

ROWS = 2_000
ROUNDS = 20


async def test_two_thousand_rows_are_each_done_once(crowd: Crowd, store: Store) -> None:
    """The runners of four processes, sixteen slots each, look for work at the same time."""
    await _are_due(store, ROWS)
    slots = PROCESSES * TASKS if store.dialect == "sqlite" else TASKS

    told = [each for each in await crowd.play("claims", store.url, slots=slots) if each]

    done = Counter(job_id for each in told for job_id in each["done"])
    assert done == Counter(f"j{number:04}" for number in range(ROWS))
    assert max(each["most"] for each in told) <= slots
    kept = (await kept_jobs(store.database)).values()
    assert {(row["state"], row["fence"], row["due_at"]) for row in kept} == {("done", 1, None)}
    if store.dialect == "postgresql":
        assert all(each["done"] for each in told), "a process never got a row"


async def test_who_comes_back_after_the_lease_changes_nothing(crowd: Crowd, store: Store) -> None:
    """A tenth of all turns outlast their lease, and others take the rows: each row is ended by
    one holder, and what that one recorded with it is in the book once."""
    await _oversleep(crowd, store, rows=400, lease_ms=150, seed=1)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(ROUNDS))
async def test_again_with_other_pauses(crowd: Crowd, store: Store, seed: int) -> None:
    """The same with leases that are shorter than many a commit."""
    await _oversleep(crowd, store, rows=800, lease_ms=20 + 15 * (seed % 5), seed=seed)


async def _oversleep(crowd: Crowd, store: Store, *, rows: int, lease_ms: int, seed: int) -> None:
    await _are_due(store, rows)

    told = await crowd.play("oversleepers", store.url, seed=seed, pause_ms=4.0, lease_ms=lease_ms)

    counts: Counter[str] = sum(map(Counter, told), Counter())
    assert counts["ended"] == rows, counts
    assert counts["begun"] == counts["ended"] + counts["stale"]
    assert counts["stale"] > 0, "nobody overslept: the test has shown nothing"
    kept = (await kept_jobs(store.database)).values()
    assert {(row["state"], row["due_at"], row["leased_until"]) for row in kept} == {
        ("done", None, None)
    }
    assert sum(row["fence"] for row in kept) == counts["begun"]
    assert (await kept_balances(store))["psp:lenco:available:NGN"] == rows
    report = await audited(store)
    assert (report.entries, report.findings) == (rows, ())


async def _are_due(store: Store, rows: int) -> None:
    new = [Insert(jobs, {"id": f"j{number:04}"}, Next(KIND)) for number in range(rows)]
    await store.commit(*new)
