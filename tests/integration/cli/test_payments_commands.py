"""``payments``: lists, the whole story, looking again, and closing what nobody knows of."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable

import pytest

from tests.integration.cli.conftest import Command
from tests.integration.cli.payments_world import (
    ANOTHER,
    FRESH,
    MISSING,
    OWNER,
    PAID,
    SEALED,
    SECRET,
    UNKNOWN,
    prepare_payments,
    rows,
)
from tests.support.databases import Prepare
from tidegate.cases.tables import cases, operator_actions
from tidegate.clock import SystemClock
from tidegate.db.idempotency import idempotency_keys
from tidegate.payments.tables import payment_events, payments

ME = pwd.getpwuid(os.getuid()).pw_name
WHY = ("--reason", "support confirmed it")
CLOSE = ("--as", "failed", "--evidence", "no object in the dashboard", *WHY)


@pytest.fixture
def paid(
    monkeypatch: pytest.MonkeyPatch,
    environment: None,
    make_template: Callable[[str, Prepare], Callable[[], str]],
) -> str:
    """A migrated database with the payments; ``DATABASE_URL`` points at it."""
    found = make_template("cli_payments", prepare_payments)()
    monkeypatch.setenv("DATABASE_URL", found)
    monkeypatch.setenv("STRIPE_API_KEY", "sk_test_0123456789")
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", "whsec_0123456789")
    return found


def test_payments_are_listed_newest_first(tidegate: Command, paid: str) -> None:
    """All of them, of one user, with one status, and as many as asked for."""

    def listed(*options: str) -> list[str]:
        found = tidegate("payments", "list", "--json", *options).json["payments"]
        return [row["id"] for row in found]

    assert listed() == [MISSING, FRESH, UNKNOWN, PAID]
    assert listed("--user", OWNER) == [PAID]
    assert listed("--status", "processing", "--user", ANOTHER) == [MISSING, FRESH, UNKNOWN]
    assert listed("--status", "succeeded") == [PAID]
    assert listed("--limit", "1") == [MISSING]
    line = next(line for line in tidegate("payments", "list").out.splitlines() if PAID in line)
    assert "25.00" in line
    assert "5.00" in line


def test_a_story_holds_everything_about_the_payment_in_its_order(
    tidegate: Command, paid: str
) -> None:
    """Its own rows and those of its refunds and disputes, and nobody else's webhook."""
    told = tidegate("payments", "show", PAID, "--json").json
    story = told["story"]
    assert {line["kind"] for line in story} == {
        "key",
        "event",
        "refund",
        "dispute",
        "entry",
        "exchange",
        "webhook",
        "delivery",
    }
    assert [line["at"] for line in story] == sorted(line["at"] for line in story)
    by_kind = {
        kind: [line["data"].get("id") for line in story if line["kind"] == kind]
        for kind in ("event", "webhook", "exchange")
    }
    assert by_kind["event"] == ["evt_11", "evt_12", "evt_13"]
    assert by_kind["webhook"] == ["inb_p1"]
    assert by_kind["exchange"] == ["exc_p1", "exc_p2"]
    entries = [line["data"]["kind"] for line in story if line["kind"] == "entry"]
    assert entries == ["payment.captured", "refund.reserved", "refund.succeeded"]
    assert [refund["id"] for refund in told["refunds"]] == ["re_1"]
    assert told["waiting"]["on"] == "nothing"


@pytest.mark.parametrize("options", [(), ("--full",), ("--json",)])
def test_a_story_tells_no_secret(tidegate: Command, paid: str, options: tuple[str, ...]) -> None:
    """Neither the client's secret nor the endpoint's."""
    ran = tidegate("payments", "show", PAID, *options)
    assert ran.code == 0
    assert "payment.requires_action" in ran.out
    assert SECRET not in ran.out
    assert SEALED not in ran.out


def test_an_unknown_payment_says_on_whom_it_waits(tidegate: Command, paid: str) -> None:
    """The processor, why, the case, and when it is asked again; a missing object: a person."""
    told = tidegate("payments", "show", UNKNOWN, "--json").json
    assert told["waiting"]["on"] == "stripe"
    assert "unknown" in told["waiting"]["why"]
    assert told["open_cases"] == [1]
    (step,) = told["waiting"]["next"]
    assert (step["kind"], step["now"], step["late_ms"]) == ("pay", False, 0)
    missing = tidegate("payments", "show", MISSING, "--json").json
    assert missing["waiting"]["on"] == "a person"


def test_refunds_and_disputes_are_listed(tidegate: Command, paid: str) -> None:
    """Refunds of one payment, disputes of all."""
    (refund,) = tidegate("payments", "refunds", PAID, "--json").json["refunds"]
    assert (refund["id"], refund["amount"], refund["state"]) == ("re_1", 500, "succeeded")
    (dispute,) = tidegate("payments", "disputes", "--json").json["disputes"]
    assert (dispute["payment_id"], dispute["processor_reference"]) == (PAID, "du_1")
    assert "needs_response" in tidegate("payments", "disputes").out
    assert "no refunds" in tidegate("payments", "refunds", UNKNOWN).out


@pytest.mark.parametrize("command", [("show",), ("refunds",), ("look", *WHY), ("resolve", *CLOSE)])
def test_an_unknown_id_is_a_no(tidegate: Command, paid: str, command: tuple[str, ...]) -> None:
    """Exit code 1, nothing on standard output, nothing in the log."""
    name, *options = command
    ran = tidegate("payments", name, "pay_nobody", *options)
    assert (ran.code, ran.out) == (1, "")
    assert "pay_nobody" in ran.err
    assert rows(paid, operator_actions) == []


def test_looking_makes_the_payment_due_now_and_changes_nothing_else(
    tidegate: Command, paid: str
) -> None:
    """It was due in ten minutes; its state stays, and the log names who and why."""
    (before,) = rows(paid, payments, id=UNKNOWN)
    assert tidegate("payments", "look", UNKNOWN, *WHY).code == 0
    (after,) = rows(paid, payments, id=UNKNOWN)
    assert (after["state"], after["kind"]) == ("confirming", "pay")
    assert after["due_at"] <= SystemClock().now_ms() + 5_000 < before["due_at"]
    (action,) = rows(paid, operator_actions)
    assert (action["actor"], action["origin"], action["action"]) == (ME, "cli", "payment.look")
    assert (action["subject"], action["reason"]) == (UNKNOWN, "support confirmed it")
    assert action["before"]["due_at"] == before["due_at"]


def test_a_payment_unknown_for_a_day_can_be_closed_as_failed(tidegate: Command, paid: str) -> None:
    """Its client is told, its key answered, its case closed, its object canceled next."""
    assert tidegate("payments", "resolve", UNKNOWN, *CLOSE).code == 0
    (row,) = rows(paid, payments, id=UNKNOWN)
    assert (row["state"], row["failure_code"]) == ("failed", "closed_by_operator")
    assert (row["kind"], row["due_at"] is None) == ("pay", False)
    (key,) = rows(paid, idempotency_keys, id="idk_2")
    assert (key["status"], key["code"]) == (424, "processor_failed")
    last = max(rows(paid, payment_events, payment_id=UNKNOWN), key=lambda row: int(row["seq"]))
    assert (last["type"], last["seq"]) == ("payment.failed", 2)
    (case,) = rows(paid, cases, subject=UNKNOWN)
    assert (case["state"], case["closed_by"]) == ("closed", ME)
    (action,) = rows(paid, operator_actions)
    assert (action["action"], action["before"]) == ("payment.close", {"state": "confirming"})
    assert action["after"] == {"state": "failed", "evidence": "no object in the dashboard"}


def test_a_payment_whose_object_is_missing_can_be_closed_at_once(
    tidegate: Command, paid: str
) -> None:
    """There is nothing to cancel at the processor, so nothing more is done."""
    assert tidegate("payments", "resolve", MISSING, *CLOSE).code == 0
    (row,) = rows(paid, payments, id=MISSING)
    assert (row["state"], row["due_at"]) == ("failed", None)


@pytest.mark.parametrize(
    ("payment", "says"),
    [(PAID, "cannot be closed"), (FRESH, "look again instead")],
)
def test_what_the_state_table_or_the_facts_forbid_is_refused(
    tidegate: Command, paid: str, payment: str, says: str
) -> None:
    """A payment that succeeded, and one that is merely young: neither row nor log changes."""
    before = rows(paid, payments)
    ran = tidegate("payments", "resolve", payment, *CLOSE)
    assert (ran.code, ran.out) == (1, "")
    assert says in ran.err
    assert rows(paid, payments) == before
    assert rows(paid, operator_actions) == []


def test_a_payment_is_closed_once(tidegate: Command, paid: str) -> None:
    """Failed already is no state to close."""
    tidegate("payments", "resolve", UNKNOWN, *CLOSE)
    assert tidegate("payments", "resolve", UNKNOWN, *CLOSE).code == 1
    assert len(rows(paid, operator_actions)) == 1


def test_nobody_can_say_that_a_payment_succeeded(tidegate: Command, paid: str) -> None:
    """The command has no such word; nor may reason or evidence be blank."""
    ran = tidegate("payments", "resolve", UNKNOWN, "--as", "succeeded", *CLOSE[2:])
    assert ran.code == 2
    blank = tidegate("payments", "resolve", UNKNOWN, *CLOSE[:-1], "  ")
    assert blank.code == 2
    (row,) = rows(paid, payments, id=UNKNOWN)
    assert row["state"] == "confirming"


def test_without_a_processor_nobody_would_look(
    tidegate: Command, paid: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row would be due for ever."""
    monkeypatch.delenv("STRIPE_API_KEY")
    monkeypatch.delenv("STRIPE_WEBHOOK_SECRET")
    ran = tidegate("payments", "look", UNKNOWN, *WHY)
    assert (ran.code, "STRIPE_API_KEY" in ran.err) == (1, True)
    assert rows(paid, operator_actions) == []
