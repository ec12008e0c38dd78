"""Why an order waits, in words, from its rows."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.payouts.rules import Rules
from tidegate.payouts.states import ENDED, AttemptState, State
from tidegate.payouts.waiting import waiting
from tidegate.work.waiting import Waiting, step_of

NOW = 1_800_000_000_000
RULES = Rules(
    environment="sandbox",
    node_id="n",
    currencies=frozenset({"NGN"}),
    psps=("lenco",),
    fee_max={},
    amount_max={},
    amount_min={},
    critical_balance={},
    not_found_window_ms=900_000,
    cool_off_ms=1_800_000,
)


def row(kind: str | None = None, in_ms: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "id": "po_1",
        "state": "pending",
        "reason_code": None,
        "reason_text": None,
        "kind": kind,
        "due_at": None if kind is None else NOW + in_ms,
        "leased_until": None,
        "tries": 0,
        **more,
    }


def attempt(state: str, kind: str | None = None, in_ms: int = 0, **more: Any) -> dict[str, Any]:
    return row(
        kind,
        in_ms,
        **{
            "id": "att_1",
            "state": state,
            "psp": "lenco",
            "reference": "tg-x-01",
            "raw_status": None,
            "lookups": 4,
            "not_found": 0,
            "sent_at": NOW - 60_000,
            "created_at": NOW - 60_000,
            "cooling_since": None,
            **more,
        },
    )


def tell(payout: dict[str, Any], *attempts: dict[str, Any], cases: int = 0) -> Waiting:
    return waiting(payout, attempts, [{"id": n + 1} for n in range(cases)], RULES, NOW)


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_something_to_say(state: State) -> None:
    """No state of the table is forgotten, and only ended ones wait for nothing."""
    said = tell(row(state=state.value))
    assert said.why.endswith((".", "?"))
    assert (said.on == "nothing") == (state in ENDED)


@pytest.mark.parametrize("state", list(AttemptState))
def test_every_state_of_an_attempt_has_something_to_say(state: AttemptState) -> None:
    """A payout in processing is explained by the transfer it stands on."""
    said = tell(row(state="processing"), attempt(state.value, "confirm:lenco", 5_000))
    assert said.on in {"lenco", "the node", "time", "a person"}
    assert said.why


def test_an_unknown_transfer_says_what_may_be_done_with_it() -> None:
    """How often it was asked and not found, and how long before the same bytes may go again."""
    said = tell(row(state="processing"), attempt("unknown", "confirm:lenco", 30_000, not_found=2))
    assert said.on == "lenco"
    assert "It said 2 times that it does not know it" in said.why
    assert "(14 min left)" in said.why
    assert "same reference" in said.why
    assert [(step.kind, step.at - NOW) for step in said.steps] == [("confirm:lenco", 30_000)]


def test_a_cooling_transfer_waits_for_time() -> None:
    """The ambiguous reason is named, and how long it is not believed."""
    cooling = attempt(
        "cooling", "confirm:lenco", 600_000, cooling_since=NOW - 600_000, reason_text="NIP timeout"
    )
    said = tell(row(state="processing"), cooling)
    assert said.on == "time"
    assert "NIP timeout" in said.why
    assert "20 min left" in said.why


def test_a_paid_order_waits_for_the_aggregator_until_it_refuses() -> None:
    """With a report due it is told; without one a person settles it, and the case is named."""
    assert tell(row("report", 2_000, state="paid")).on == "the aggregator"
    refused = tell(row(state="paid"), cases=2)
    assert refused.on == "a person"
    assert "Cases are open: 1, 2." in refused.why


def test_a_declined_order_whose_report_is_due_is_not_finished() -> None:
    """The aggregator is still to be told."""
    declined = row("report", 1_000, state="declined", reason_text="The float does not cover it.")
    said = tell(declined)
    assert said.on == "the aggregator"
    assert "(The float does not cover it)" in said.why


def test_the_last_answer_of_who_is_waited_for_is_told() -> None:
    """Of the aggregator while it is told, not of the PSP."""
    said = waiting(
        row("report", 0, state="paid"),
        [],
        [],
        RULES,
        NOW,
        last_answers={"aggregator": "HTTP 503", "lenco": "HTTP 200"},
    )
    assert "Last answer: HTTP 503." in said.why
    assert "200" not in said.why


def test_an_overdue_step_asks_whether_anybody_works() -> None:
    """Long overdue and nobody at it: the likeliest reason is that nothing runs."""
    said = tell(row("accept", -60_000, state="pending"))
    assert said.steps[0].late_ms == 60_000
    assert "`tidegate serve`" in said.why


def test_a_leased_step_is_being_done() -> None:
    """A lease that runs is a worker; one that ran out is none, and late since its end."""
    running = step_of(row("accept", -60_000, leased_until=NOW + 5_000), NOW)
    assert running is not None
    assert (running.now, running.late_ms) == (True, 0)
    dead = step_of(row("accept", -60_000, leased_until=NOW - 5_000), NOW)
    assert dead is not None
    assert (dead.now, dead.late_ms) == (False, 5_000)


def test_tries_in_vain_are_counted() -> None:
    """So that a person sees it is not merely slow."""
    said = tell(row("report", 1_000, state="paid", tries=5))
    assert "tried 5 times in a row" in said.why


def test_an_order_that_stands_still_is_called_so() -> None:
    """Neither ended nor held, and nothing due: that should not be."""
    assert "should not be" in tell(row(state="accepted")).why
    assert "should not be" not in tell(row(state="held")).why
