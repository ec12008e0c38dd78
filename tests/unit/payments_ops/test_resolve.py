"""Closing an unknown payment: what allows it, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.cases.store import CloseCase, NoteAction
from tidegate.clock import Randomness, SimulatedClock
from tidegate.db.committer import Unit
from tidegate.db.rows import DONE, Change, Next
from tidegate.errors import Conflict, WrongState
from tidegate.payments.agenda import KIND
from tidegate.payments.resolve import Doubt, close_as_failed, look_again
from tidegate.payments.states import State
from tidegate.payments.tables import payments, refunds

NOW_MS = 1_800_000_000_000
DAY_MS = 86_400_000


def _row(**more: Any) -> dict[str, Any]:
    row = dict.fromkeys((column.name for column in payments.c), None)
    return {
        **row,
        "id": "pay_1",
        "user_id": "usr_1",
        "state": "confirming",
        "amount": 100,
        "currency": "EUR",
        "metadata": {},
        "processor": "stripe",
        "processor_reference": "pi_1",
        "manual_capture": False,
        "step": 1,
        "events": 1,
        "fence": 4,
        "sent_at": NOW_MS - 2 * DAY_MS,
        "created_at": NOW_MS - 2 * DAY_MS,
        "updated_at": NOW_MS - 2 * DAY_MS,
        **more,
    }


def _case(kind: str, seen_ms: int) -> dict[str, Any]:
    return {"id": 5, "kind": kind, "last_seen_at": seen_ms}


def _close(row: dict[str, Any], *cases: dict[str, Any]) -> Unit:
    clock = SimulatedClock(NOW_MS)
    return close_as_failed(
        Doubt(row, (), cases),
        clock,
        Randomness(clock, 1),
        by="ada",
        origin="cli",
        reason="why",
        evidence="what was found",
    )


def _change(unit: Unit) -> Change:
    (found,) = [
        each for each in unit.operations if isinstance(each, Change) and each.table is payments
    ]
    return found


@pytest.mark.parametrize("state", list(State))
def test_only_what_the_table_lets_end_as_refused_is_closed(state: State) -> None:
    """Before anything was confirmed, and while that is unknown; nothing else, however old."""
    row = _row(state=state.value)
    if state in {State.CREATED, State.CONFIRMING}:
        assert _change(_close(row)).values["state"] == "failed"
        return
    with pytest.raises(WrongState):
        _close(row)


def test_a_young_payment_is_closed_only_when_its_object_is_missing() -> None:
    """And the processor must have said so after the last call was made."""
    young = _row(updated_at=NOW_MS - 60_000, sent_at=NOW_MS - 30_000)
    missing = "payment_object_missing"
    for cases in ((), (_case("payment_unknown", NOW_MS),), (_case(missing, NOW_MS - 31_000),)):
        with pytest.raises(WrongState):
            _close(young, *cases)
    assert _change(_close(young, _case(missing, NOW_MS - 1_000))).values["state"] == "failed"


def test_the_object_is_canceled_next_unless_there_is_none() -> None:
    """Nobody shall bring it to success after the client was told that it failed."""
    assert _change(_close(_row())).next == Next(KIND)
    assert _change(_close(_row(), _case("payment_object_missing", NOW_MS))).next is DONE
    assert _change(_close(_row(state="created", processor_reference=None))).next is DONE


def test_nobody_is_overtaken() -> None:
    """Refused under a lease; a lease that is taken later, or any event, makes the unit stale."""
    with pytest.raises(Conflict):
        _close(_row(leased_until=NOW_MS + 1))
    change = _change(_close(_row(leased_until=NOW_MS - 1)))
    assert change.expect == {"state": "confirming", "events": 1, "fence": 4}


def test_case_and_log_are_part_of_the_unit() -> None:
    """With the evidence, and the operator's name on both."""
    operations = _close(_row(), _case("payment_unknown", NOW_MS)).operations
    assert CloseCase(5, "ada", "why") in operations
    (note,) = [each for each in operations if isinstance(each, NoteAction)]
    assert note.after == {"state": "failed", "evidence": "what was found"}


def test_a_look_takes_the_open_refunds_along() -> None:
    """All are due at once, and no column of theirs is set."""
    unit = look_again(Doubt(_row(), ({"id": "re_1"},), ()), by="ada", origin="cli", reason="why")
    changes = [each for each in unit.operations if isinstance(each, Change)]
    assert [(each.table, each.id, each.next) for each in changes] == [
        (payments, "pay_1", Next("pay")),
        (refunds, "re_1", Next("refund")),
    ]
    assert all(not each.values and each.held is None for each in changes)


def test_there_must_be_something_to_look_at() -> None:
    """A payment that was refused before the processor had an object has none there."""
    row = _row(state="failed", processor_reference=None)
    with pytest.raises(WrongState):
        look_again(Doubt(row, (), ()), by="ada", origin="cli", reason="why")
    created = _row(state="created", processor_reference=None)
    assert look_again(Doubt(created, (), ()), by="ada", origin="cli", reason="why").operations
