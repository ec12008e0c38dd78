"""``webhooks``: what came in and is read again, what goes out and is sent again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.integration.cli.conftest import Command
from tests.integration.cli.payments_world import OWNER, PAID, SEALED, prepare_payments, rows
from tests.support.databases import Prepare
from tidegate.cases.tables import operator_actions
from tidegate.clock import SystemClock
from tidegate.db.inbox import inbox
from tidegate.payments.tables import deliveries, delivery_attempts, webhook_endpoints

WHY = ("--reason", "the shop was down")


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


def test_kept_webhooks_are_listed_and_shown(tidegate: Command, paid: str) -> None:
    """Newest first, by source and state; one with what it said."""

    def listed(*options: str) -> list[str]:
        found = tidegate("webhooks", "inbox", "list", "--json", *options).json["inbox"]
        return [row["id"] for row in found]

    assert listed() == ["inb_p2", "inb_p1"]
    assert listed("--source", "lenco") == []
    assert listed("--state", "kept") == []
    assert listed("--state", "read", "--limit", "1") == ["inb_p2"]
    assert "look-up prompted" in tidegate("webhooks", "inbox", "list").out
    shown = tidegate("webhooks", "inbox", "show", "inb_p1", "--json").json
    assert "pi_pay_1" in shown["body"]
    assert tidegate("webhooks", "inbox", "show", "inb_9").code == 1


def test_a_webhook_is_read_again_by_the_worker_of_its_source(tidegate: Command, paid: str) -> None:
    """The row is due now for its source, and the log tells what it had come to before."""
    assert tidegate("webhooks", "inbox", "read-again", "inb_p1", *WHY).code == 0
    (row,) = rows(paid, inbox, id="inb_p1")
    assert (row["state"], row["outcome"], row["kind"]) == ("kept", None, "read:stripe")
    assert row["due_at"] <= SystemClock().now_ms() + 5_000
    (action,) = rows(paid, operator_actions)
    assert (action["action"], action["subject"]) == ("inbox.read_again", "inb_p1")
    assert action["before"] == {"state": "read", "outcome": "look-up prompted"}


def test_a_webhook_of_a_source_that_nobody_reads_stays(
    tidegate: Command, paid: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a key no worker reads the processor's events: it would be due for ever."""
    monkeypatch.delenv("STRIPE_API_KEY")
    monkeypatch.delenv("STRIPE_WEBHOOK_SECRET")
    ran = tidegate("webhooks", "inbox", "read-again", "inb_p1", *WHY)
    assert (ran.code, "not configured" in ran.err) == (1, True)
    (row,) = rows(paid, inbox, id="inb_p1")
    assert (row["state"], row["due_at"]) == ("read", None)
    assert rows(paid, operator_actions) == []


def test_endpoints_are_listed_without_their_secrets(tidegate: Command, paid: str) -> None:
    """Of all users, or of one."""
    ran = tidegate("webhooks", "endpoints", "list", "--json")
    (endpoint,) = ran.json["endpoints"]
    assert (endpoint["id"], endpoint["user_id"], endpoint["enabled"]) == ("we_1", OWNER, True)
    assert SEALED not in ran.out
    assert "shop.example.com" in tidegate("webhooks", "endpoints", "list").out
    none = tidegate("webhooks", "endpoints", "list", "--user", "usr_9", "--json")
    assert none.json["endpoints"] == []


def test_deliveries_are_listed_and_shown_with_their_tries(tidegate: Command, paid: str) -> None:
    """By endpoint, payment and state; a try tells status and answer."""

    def listed(*options: str) -> list[str]:
        found = tidegate("webhooks", "deliveries", "list", "--json", *options).json["deliveries"]
        return [row["id"] for row in found]

    assert listed("--endpoint", "we_1", "--payment", PAID, "--state", "given_up") == ["dlv_1"]
    assert listed("--state", "waiting") == []
    assert listed("--payment", "pay_2") == []
    assert "given_up" in tidegate("webhooks", "deliveries", "list").out
    shown = tidegate("webhooks", "deliveries", "show", "dlv_1", "--json").json
    assert [(each["status"], each["answer"]) for each in shown["attempts"]] == [(500, "no")]
    assert "HTTP 500 after 8 ms: no" in tidegate("webhooks", "deliveries", "show", "dlv_1").out
    assert tidegate("webhooks", "deliveries", "show", "dlv_9").code == 1


def test_a_delivery_is_sent_again_as_if_never_tried(tidegate: Command, paid: str) -> None:
    """It waits, its endpoint is due, its tries stay in the log, and the deed is written down."""
    assert tidegate("webhooks", "deliveries", "redeliver", "dlv_1", *WHY).code == 0
    (row,) = rows(paid, deliveries)
    assert (row["state"], row["tries"]) == ("waiting", 0)
    (endpoint,) = rows(paid, webhook_endpoints)
    assert endpoint["kind"] == "deliver"
    assert endpoint["due_at"] <= SystemClock().now_ms() + 5_000
    assert len(rows(paid, delivery_attempts)) == 1
    (action,) = rows(paid, operator_actions)
    assert (action["action"], action["subject"]) == ("delivery.redeliver", "dlv_1")
    assert action["before"] == {"state": "given_up", "tries": 9}


def test_a_replay_sends_everything_since_a_moment_again(tidegate: Command, paid: str) -> None:
    """Also what was never waiting there; of the endpoint's own user only."""
    ran = tidegate("webhooks", "replay", "we_1", "--since", "1h", *WHY)
    assert (ran.code, ran.out.split()[0]) == (0, "3")
    assert [(row["event_id"], row["state"]) for row in rows(paid, deliveries)].count(
        ("evt_13", "waiting")
    ) == 1
    assert {row["event_id"] for row in rows(paid, deliveries)} == {"evt_11", "evt_12", "evt_13"}
    (action,) = rows(paid, operator_actions)
    assert (action["action"], action["subject"]) == ("endpoint.replay", "we_1")


@pytest.mark.parametrize(
    "command",
    [
        ("deliveries", "redeliver", "dlv_9"),
        ("replay", "we_9", "--since", "1h"),
        ("inbox", "read-again", "inb_9"),
    ],
)
def test_what_is_not_there_leaves_no_trace(
    tidegate: Command, paid: str, command: tuple[str, ...]
) -> None:
    """Exit code 1, and no line in the log."""
    ran = tidegate("webhooks", *command, *WHY)
    assert (ran.code, ran.out) == (1, "")
    assert rows(paid, operator_actions) == []
