"""Cases: one open case for one trouble, however often and wherever it is seen."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from tests.support.store import Store, jobs, kept_jobs
from tidegate.cases.readings import actions_on, list_cases, open_cases, show_case
from tidegate.cases.store import AssignCase, CloseCase, NoteAction, OpenCase, OpenedCase
from tidegate.db.committer import Unit
from tidegate.db.rows import Change, Insert
from tidegate.errors import Stale


def _open(subject: str = "po_1", kind: str = "payout_held", **more: Any) -> OpenCase:
    return OpenCase(kind, subject, more.pop("reason", "Look at it."), **more)


async def _show(store: Store, case_id: int) -> dict[str, Any]:
    case = await store.database.read(lambda c: show_case(c, case_id))
    assert case is not None
    return dict(case)


async def _all(store: Store) -> list[Any]:
    return await store.database.read(lambda c: list_cases(c, state=None))


async def test_a_case_is_opened_with_its_reason(store: Store) -> None:
    """The answer says that it is new, and which it is."""
    (answer,) = await store.commit(_open(severity="high", data={"order_id": "o"}))
    assert answer.new
    case = await _show(store, answer.id)
    assert (case["kind"], case["subject"], case["state"]) == ("payout_held", "po_1", "open")
    assert (case["severity"], case["reason"]) == ("high", "Look at it.")
    assert (case["data"], case["times"]) == ({"order_id": "o"}, 1)
    assert case["opened_at"] == case["last_seen_at"]


async def test_an_open_case_is_seen_again(store: Store) -> None:
    """It counts, takes the newest reason and keeps the worst severity and the first moment."""
    (first,) = await store.commit(_open(severity="high"))
    await asyncio.sleep(0.005)
    (again,) = await store.commit(_open(severity="low", reason="Newer.", data={"n": 2}))
    assert again == OpenedCase(first.id, new=False)
    case = await _show(store, first.id)
    assert (case["times"], case["severity"], case["reason"]) == (2, "high", "Newer.")
    assert case["data"] == {"n": 2}
    assert case["last_seen_at"] > case["opened_at"]


async def test_kind_and_subject_tell_cases_apart(store: Store) -> None:
    """In one group too."""
    answers = await store.commit(
        _open("a"), _open("b"), _open("a", kind="float_short"), _open("a"), _open("b")
    )
    assert [answer.new for answer in answers] == [True, True, True, False, False]
    assert len({answer.id for answer in answers}) == 3
    assert [case["times"] for case in await _all(store)].count(2) == 2


async def test_a_refused_unit_opens_nothing(store: Store) -> None:
    """Nor does it count, close, assign or note anything; the units beside it do."""
    (standing,) = await store.commit(_open("kept"))
    answers = await asyncio.gather(
        store.committer.commit(Unit([_open("x"), _open("kept"), Change(jobs, "nobody")])),
        store.committer.commit(
            Unit(
                [
                    CloseCase(standing.id, "ops", "no"),
                    NoteAction("ops", "cli", "case.close", "kept", "no"),
                    Change(jobs, "nobody"),
                ]
            )
        ),
        store.committer.commit(Unit([_open("y"), AssignCase(standing.id, "ops")])),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers] == [Stale, Stale, list]
    found = {case["subject"]: case for case in await _all(store)}
    assert set(found) == {"kept", "y"}
    assert (found["kept"]["times"], found["kept"]["state"]) == (1, "open")
    assert found["kept"]["owner"] == "ops"
    assert await store.database.read(lambda c: actions_on(c, "kept")) == []


async def test_a_case_is_opened_with_the_change_that_found_it(store: Store) -> None:
    """One unit, one transaction."""
    await store.commit(Insert(jobs, {"id": "a"}), _open("a"))
    assert "a" in await kept_jobs(store.database)
    assert len(await _all(store)) == 1


async def test_many_processes_open_one_case(store: Store) -> None:
    """Exactly one of them opened it, and every sight is counted."""
    committers = [store.committer, await store.another(), await store.another()]
    for turn in range(5):
        subject = f"s{turn}"
        answers = await asyncio.gather(
            *(committers[n % 3].commit(Unit([_open(subject)])) for n in range(12))
        )
        flat = [answer for (answer,) in answers]
        assert [answer.new for answer in flat].count(True) == 1
        assert len({answer.id for answer in flat}) == 1
        assert (await _show(store, flat[0].id))["times"] == 12


async def test_the_worst_severity_wins_between_processes(store: Store) -> None:
    """Also when the one that opens does not see the other yet."""
    await store.commit(_open("a", severity="medium"))
    other = await store.another()
    await asyncio.gather(
        store.commit(_open("a", severity="high")), other.commit(Unit([_open("a", severity="low")]))
    )
    (case,) = await _all(store)
    assert (case["severity"], case["times"]) == ("high", 3)


async def test_a_closed_case_stays_closed(store: Store) -> None:
    """The same trouble later is a new case; closing twice is refused."""
    (first,) = await store.commit(_open())
    await store.commit(CloseCase(first.id, "ops", "Paid by hand."))
    closed = await _show(store, first.id)
    assert (closed["state"], closed["closed_by"]) == ("closed", "ops")
    assert closed["closing_note"] == "Paid by hand."
    assert closed["closed_at"] >= closed["opened_at"]
    with pytest.raises(Stale):
        await store.commit(CloseCase(first.id, "ops", "again"))
    with pytest.raises(Stale):
        await store.commit(AssignCase(first.id, "ops"))
    with pytest.raises(Stale):
        await store.commit(CloseCase(999, "ops", "nobody"))
    (second,) = await store.commit(_open())
    assert second.new
    assert second.id != first.id
    assert (await _show(store, first.id))["times"] == 1


async def test_closing_and_opening_in_one_group(store: Store) -> None:
    """In the order in which they came."""
    (first,) = await store.commit(_open())
    answers: list[Any] = await asyncio.gather(
        store.commit(_open()),
        store.commit(CloseCase(first.id, "ops", "done")),
        store.commit(_open(reason="It is back.")),
        store.commit(CloseCase(first.id, "ops", "twice")),
        return_exceptions=True,
    )
    assert (answers[0][0].id, answers[0][0].new) == (first.id, False)
    assert answers[2][0].new
    assert isinstance(answers[3], Stale)
    found = {case["id"]: case for case in await _all(store)}
    assert (found[first.id]["state"], found[first.id]["times"]) == ("closed", 2)
    assert found[answers[2][0].id]["reason"] == "It is back."


async def test_the_database_knows_one_open_case(store: Store) -> None:
    """Past all of our code, an index refuses the second."""
    await store.commit(_open())
    copy = (
        "INSERT INTO cases (kind, subject, state, severity, reason, data, opened_at, last_seen_at,"
        " times) SELECT kind, subject, state, severity, reason, data, 0, 0, 1 FROM cases"
    )
    with pytest.raises(DBAPIError, match=r"unique|UNIQUE"):
        await store.execute(copy)


async def test_cases_are_listed_newest_first(store: Store) -> None:
    """By state and kind, in pages; and counted by kind and severity."""
    ids: list[int] = []
    for n in range(5):
        (answer,) = await store.commit(_open(f"s{n}", kind="a" if n % 2 else "b", severity="low"))
        ids.append(answer.id)
    await store.commit(CloseCase(ids[0], "ops", "x"))

    async def listed(**wanted: Any) -> list[int]:
        def read(connection: Connection) -> list[int]:
            return [case["id"] for case in list_cases(connection, **wanted)]

        return await store.database.read(read)

    assert await listed() == ids[:0:-1]
    assert await listed(state="closed") == ids[:1]
    assert await listed(state=None, kind="b") == [ids[4], ids[2], ids[0]]
    assert await listed(limit=2, before_id=ids[4]) == [ids[3], ids[2]]
    assert await store.database.read(open_cases) == {("a", "low"): 2, ("b", "low"): 2}
    assert await store.database.read(lambda c: show_case(c, 999)) is None


async def test_what_operators_do_is_written_down_for_good(store: Store) -> None:
    """With who, where, why, before and after; the log refuses edits."""
    await store.commit(
        NoteAction(
            "ops", "console", "payout.approve", "po_1", "Called.", {"state": "held"}, {"n": 1}
        ),
        NoteAction("ops", "cli", "psp.off", "po_1", "Down."),
    )
    first, second = await store.database.read(lambda c: actions_on(c, "po_1"))
    assert (first["actor"], first["origin"], first["action"]) == (
        "ops",
        "console",
        "payout.approve",
    )
    assert (first["before"], first["after"]) == ({"state": "held"}, {"n": 1})
    assert (second["before"], second["after"]) == (None, None)
    assert first["at"] <= second["at"]
    for statement in ("UPDATE operator_actions SET actor = 'x'", "DELETE FROM operator_actions"):
        with pytest.raises(DBAPIError, match="only grows"):
            await store.execute(statement)
