"""The runner: lanes with slots, rows handed over or found, and an orderly end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.support.store import Store, jobs, kept_jobs
from tidegate.clock import Randomness, SystemClock
from tidegate.db.committer import Committer, Due, Unit
from tidegate.db.rows import DONE, Change, Insert, Next
from tidegate.errors import Stale
from tidegate.work.claim import Claim, Claimed
from tidegate.work.runner import Kind, Runner

_CLOCK = SystemClock()
_NEVER_S = 3_600.0
Start = Callable[..., Runner]


@pytest.fixture
async def start(store: Store) -> AsyncIterator[Start]:
    """Starts a runner on the store's committer, by default without polling; stopped at the end."""
    started: list[Runner] = []

    def make(*kinds: Kind, committer: Committer | None = None, **more: Any) -> Runner:
        committer = committer or store.committer
        runner = Runner(
            committer, _CLOCK, Randomness(_CLOCK, 1), kinds, **{"poll_s": _NEVER_S, **more}
        )
        committer.on_due = runner.hand_over
        runner.start()
        started.append(runner)
        return runner

    yield make
    for runner in started:
        await runner.stop(grace_s=0)


async def _until(holds: Callable[[], Any], within_s: float = 60.0) -> None:
    async with asyncio.timeout(within_s):
        while not holds():  # noqa: ASYNC110  # what is waited for says nothing by itself
            await asyncio.sleep(0.005)


def _new(*ids: str, kind: str = "look") -> list[Any]:
    return [Insert(jobs, {"id": job_id}, Next(kind)) for job_id in ids]


async def test_a_handed_over_row_is_run_at_once(store: Store, start: Start) -> None:
    """Without any poll, and what the verb makes due next is run as well."""
    ran: list[str] = []

    async def look(claimed: Claimed) -> None:
        ran.append(f"look {claimed.id}")
        await store.commit(Change(jobs, claimed.id, held=claimed.held, next=Next("report")))

    async def report(claimed: Claimed) -> None:
        ran.append(f"report {claimed.id}")
        await store.commit(Change(jobs, claimed.id, held=claimed.held, next=DONE))

    start(Kind(jobs, "look", look, 2), Kind(jobs, "report", report, 2))
    await asyncio.sleep(0.05)  # the first look at the database is over
    await store.commit(*_new("a"))
    await _until(lambda: "report a" in ran)
    assert ran == ["look a", "report a"]


async def test_rows_that_nobody_handed_over_are_found_by_polling(
    store: Store, start: Start
) -> None:
    """Also those that become due by the clock alone."""
    ran: list[str] = []

    async def look(claimed: Claimed) -> None:
        ran.append(claimed.id)
        await store.commit(Change(jobs, claimed.id, held=claimed.held, next=DONE))

    start(Kind(jobs, "look", look, 2), poll_s=0.05)
    await asyncio.sleep(0.02)
    other = await store.another()
    await other.commit(Unit([*_new("a"), Insert(jobs, {"id": "later"}, Next("look", 120))]))
    await _until(lambda: len(ran) == 2)
    assert ran == ["a", "later"]


async def test_a_lane_runs_no_more_than_its_slots(store: Store, start: Start) -> None:
    """A crowd in one lane waits for its slots and delays no other lane."""
    running = most = 0
    gate = asyncio.Event()
    quick: list[str] = []
    ended: list[str] = []

    async def slow(claimed: Claimed) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await gate.wait()
        await store.commit(Change(jobs, claimed.id, held=claimed.held, next=DONE))
        running -= 1
        ended.append(claimed.id)

    async def fast(claimed: Claimed) -> None:
        await store.commit(Change(jobs, claimed.id, held=claimed.held, next=DONE))
        quick.append(claimed.id)

    runner = start(Kind(jobs, "slow", slow, 3), Kind(jobs, "fast", fast, 1))
    await store.commit(*_new(*(f"s{n:02}" for n in range(20)), kind="slow"))
    await _until(lambda: running == 3)
    await store.commit(*_new(*(f"f{n}" for n in range(4)), kind="fast"))
    await _until(lambda: len(quick) == 4 and runner.in_flight["fast"] == 0)
    kept = await kept_jobs(store.database)
    assert sum(row["leased_until"] is not None for row in kept.values()) == 3
    assert runner.in_flight == {"slow": 3, "fast": 0}
    gate.set()
    await _until(lambda: len(ended) == 20)
    assert most == 3
    kept = await kept_jobs(store.database)
    assert all(row["due_at"] is None and row["fence"] == 1 for row in kept.values())


async def test_hand_over_says_when_others_should_be_told(store: Store, start: Start) -> None:
    """A row of no lane here, or of a lane without a free slot, is for other processes too."""
    gate = asyncio.Event()

    async def look(claimed: Claimed) -> None:
        await gate.wait()

    runner = start(Kind(jobs, "look", look, 1))
    assert runner.hand_over([Due("jobs", "look", "a")])
    assert not runner.hand_over([Due("jobs", "unknown", "a")])
    await store.commit(*_new("busy"))
    await _until(lambda: runner.in_flight["look"] == 1)
    assert not runner.hand_over([Due("jobs", "look", "b")])
    gate.set()
    await runner.stop(grace_s=1)
    assert not runner.hand_over([Due("jobs", "look", "c")])


async def test_a_row_whose_holder_died_is_taken_over(store: Store, start: Start) -> None:
    """When the lease is over the row is run by whoever looks, with the next fence."""
    fences: list[int] = []

    async def look(claimed: Claimed) -> None:
        fences.append(claimed.held.fence)
        await store.commit(Change(jobs, claimed.id, held=claimed.held, next=DONE))

    await store.commit(*_new("a"), Claim(jobs, "look", 1, lease_ms=300))
    start(Kind(jobs, "look", look, 1), poll_s=0.02)
    await asyncio.sleep(0.1)
    assert fences == []
    await _until(lambda: fences)
    assert fences == [2]


async def test_a_row_made_due_during_its_turn_has_another(store: Store, start: Start) -> None:
    """The wish is not lost to the verb's own idea of what comes next."""
    turns = 0

    async def look(claimed: Claimed) -> None:
        nonlocal turns
        turns += 1
        if turns == 1:
            await store.commit(Change(jobs, claimed.id, next=Next("look")))
        await store.commit(Change(jobs, claimed.id, held=claimed.held, next=DONE))

    start(Kind(jobs, "look", look, 1))
    await store.commit(*_new("a"))
    await _until(lambda: turns == 2)
    await asyncio.sleep(0.05)
    assert turns == 2


async def test_a_verb_that_fails_is_tried_again_later(store: Store, start: Start) -> None:
    """The lease ends, the row is due after a wait, the failures are counted."""

    ran: list[str] = []

    async def look(claimed: Claimed) -> None:
        ran.append(claimed.id)
        raise LookupError("no")

    runner = start(Kind(jobs, "look", look, 1))
    await store.commit(*_new("a"))
    await _until(lambda: ran and runner.in_flight["look"] == 0)
    kept = (await kept_jobs(store.database))["a"]
    assert (kept["kind"], kept["leased_until"], kept["tries"]) == ("look", None, 1)
    # The clock that wrote it may be the database's; the wait is 0.5 s give or take a fifth.
    assert 0 < kept["due_at"] - _CLOCK.now_ms() < 700


async def test_a_row_that_keeps_failing_is_shown(store: Store, start: Start) -> None:
    """From the eighth failure in a row on, with the error; a listener that fails harms nobody."""
    shown: list[tuple[str, str, str]] = []

    async def look(claimed: Claimed) -> None:
        raise LookupError("no")

    async def stuck(claimed: Claimed, kind: str, error: BaseException) -> None:
        shown.append((claimed.id, kind, str(error)))
        raise RuntimeError("nobody listens")

    runner = start(Kind(jobs, "look", look, 2), on_stuck=stuck)
    await store.commit(
        Insert(jobs, {"id": "seventh", "tries": 6}, Next("look")),
        Insert(jobs, {"id": "eighth", "tries": 7}, Next("look")),
    )
    await _until(lambda: shown and runner.in_flight["look"] == 0)
    assert shown == [("eighth", "look", "no")]
    kept = await kept_jobs(store.database)
    assert {row["leased_until"] for row in kept.values()} == {None}


async def test_a_verb_that_is_too_late_is_no_failure(store: Store, start: Start) -> None:
    """A stale decision frees the row for a later turn and shows nothing to anybody."""
    shown: list[str] = []
    ran: list[str] = []

    async def look(claimed: Claimed) -> None:
        ran.append(claimed.id)
        raise Stale("somebody was quicker")

    async def stuck(claimed: Claimed, kind: str, error: BaseException) -> None:
        shown.append(claimed.id)

    runner = start(Kind(jobs, "look", look, 1), on_stuck=stuck)
    await store.commit(Insert(jobs, {"id": "a", "tries": 20}, Next("look")))
    await _until(lambda: ran and runner.in_flight["look"] == 0)
    kept = (await kept_jobs(store.database))["a"]
    assert kept["leased_until"] is None
    assert kept["due_at"] > _CLOCK.now_ms()
    assert shown == []


async def test_a_failure_after_the_end_of_the_lease_changes_nothing(
    store: Store, start: Start
) -> None:
    """What the verb committed last stands, even if it fails afterwards."""

    ran: list[str] = []

    async def look(claimed: Claimed) -> None:
        ran.append(claimed.id)
        await store.commit(Change(jobs, claimed.id, {"state": "x"}, held=claimed.held, next=DONE))
        raise LookupError("too late to matter")

    runner = start(Kind(jobs, "look", look, 1))
    await store.commit(*_new("a"))
    await _until(lambda: ran and runner.in_flight["look"] == 0)
    kept = (await kept_jobs(store.database))["a"]
    assert (kept["state"], kept["due_at"], kept["kind"]) == ("x", None, None)


class _Gated(Committer):
    """Holds the answer to claims back until told, as a slow database would."""

    def __init__(self, inner: Committer) -> None:
        self._inner = inner
        self.claimed = asyncio.Event()
        self.gate = asyncio.Event()
        self.on_due = lambda due: None

    async def commit(self, unit: Unit) -> list[Any]:
        answers = await self._inner.commit(unit)
        if isinstance(unit.operations[0], Claim):
            self.claimed.set()
            await self.gate.wait()
        return answers


async def test_stopping_gives_back_what_was_claimed_meanwhile(store: Store, start: Start) -> None:
    """Rows of a claim that was under way are due for other processes at once, as if untried."""

    async def look(claimed: Claimed) -> None:
        raise AssertionError("nothing is begun any more")

    await store.commit(*_new("a", "b"))
    committer = _Gated(store.committer)
    runner = start(Kind(jobs, "look", look, 5), committer=committer)
    await committer.claimed.wait()
    assert {row["tries"] for row in (await kept_jobs(store.database)).values()} == {1}
    stopping = asyncio.create_task(runner.stop(grace_s=1))
    await asyncio.sleep(0.02)
    committer.gate.set()
    await asyncio.wait_for(stopping, 60)
    for row in (await kept_jobs(store.database)).values():
        assert (row["kind"], row["leased_until"], row["tries"]) == ("look", None, 0)
        assert row["due_at"] <= _CLOCK.now_ms() + 50


async def test_stopping_waits_for_verbs_and_then_ends_them(store: Store, start: Start) -> None:
    """Within the grace a verb finishes; a later one is cancelled, and its lease ends in seconds,
    not in the minute for which it was given: others need not wait for the one that stopped."""
    finished: list[str] = []

    async def quick(claimed: Claimed) -> None:
        await asyncio.sleep(0.1)
        await store.commit(Change(jobs, claimed.id, held=claimed.held, next=DONE))
        finished.append(claimed.id)

    async def endless(claimed: Claimed) -> None:
        await asyncio.Event().wait()

    runner = start(Kind(jobs, "quick", quick, 1), Kind(jobs, "endless", endless, 1))
    await store.commit(*_new("q", kind="quick"), *_new("e", kind="endless"))
    await _until(lambda: runner.in_flight == {"quick": 1, "endless": 1})
    await asyncio.wait_for(runner.stop(grace_s=1), 60)
    stopped_ms = _CLOCK.now_ms()
    assert finished == ["q"]
    kept = await kept_jobs(store.database)
    assert kept["q"]["due_at"] is None
    left_ms = kept["e"]["leased_until"] - stopped_ms
    assert 0 < left_ms <= 6_000, "its call may still be under way, but not for long"
    assert (kept["e"]["kind"], kept["e"]["fence"]) == ("endless", 1), "as a killed holder leaves it"


async def test_a_claim_that_fails_is_tried_by_the_next_poll(store: Store, start: Start) -> None:
    """A database that is away for a moment stops no lane for good."""
    ran: list[str] = []

    async def look(claimed: Claimed) -> None:
        ran.append(claimed.id)
        await store.commit(Change(jobs, claimed.id, held=claimed.held, next=DONE))

    class Failing(_Gated):
        failures = 2

        async def commit(self, unit: Unit) -> list[Any]:
            if isinstance(unit.operations[0], Claim) and self.failures:
                self.failures -= 1
                raise OSError("away")
            return await self._inner.commit(unit)

    await store.commit(*_new("a"))
    start(Kind(jobs, "look", look, 1), committer=Failing(store.committer), poll_s=0.03)
    await _until(lambda: ran == ["a"])


async def test_a_retired_runner_begins_nothing_and_ends_nothing(store: Store, start: Start) -> None:
    """From the stop signal on no row is claimed, while what runs goes on to its end."""
    gate = asyncio.Event()
    ended: list[str] = []

    async def look(claimed: Claimed) -> None:
        await gate.wait()
        await store.commit(Change(jobs, claimed.id, held=claimed.held, next=DONE))
        ended.append(claimed.id)

    runner = start(Kind(jobs, "look", look, 2), poll_s=0.02)
    await store.commit(*_new("a"))
    await _until(lambda: runner.in_flight["look"] == 1)
    runner.retire()
    await store.commit(*_new("b"))
    assert not runner.hand_over([Due("jobs", "look", "b")]), "others have to be told"
    await asyncio.sleep(0.1)
    assert runner.in_flight["look"] == 1
    gate.set()
    await _until(lambda: ended == ["a"])
    await runner.stop(grace_s=60)
    kept = (await kept_jobs(store.database))["b"]
    assert (kept["fence"], kept["leased_until"]) == (0, None)


async def test_a_turn_that_ended_its_lease_is_not_leased_again(store: Store, start: Start) -> None:
    """Cancelled after its last commit, a verb leaves what it committed as it is."""

    async def look(claimed: Claimed) -> None:
        await store.commit(Change(jobs, claimed.id, {"state": "x"}, held=claimed.held, next=DONE))
        await asyncio.Event().wait()

    runner = start(Kind(jobs, "look", look, 1))
    await store.commit(*_new("a"))

    async def committed() -> bool:
        return bool((await kept_jobs(store.database))["a"]["state"] == "x")

    async with asyncio.timeout(60):
        while not await committed():  # noqa: ASYNC110  # a row of a database wakes nobody
            await asyncio.sleep(0.005)
    await runner.stop(grace_s=0)
    kept = (await kept_jobs(store.database))["a"]
    assert (kept["leased_until"], kept["due_at"], kept["kind"]) == (None, None, None)
