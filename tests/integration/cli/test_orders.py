"""``orders list`` and ``orders show``."""

from __future__ import annotations

import pytest

from tests.integration.cli.conftest import Command
from tests.integration.cli.world import ACCOUNT, DECLINED, FULFILLED, HELD, NAME


def test_orders_are_listed_newest_first(tidegate: Command, url: str) -> None:
    """All orders, the newest at the top; amounts are minor units for machines."""
    ran = tidegate("orders", "list", "--json")
    assert ran.code == 0
    orders = ran.json["orders"]
    assert [order["order_id"] for order in orders] == [DECLINED, HELD, FULFILLED]
    assert orders[2]["amount"] == 100_000
    assert orders[0]["reason_code"] == "SWITCHED_OFF"


def test_orders_are_filtered_by_state_moment_and_number(tidegate: Command, url: str) -> None:
    """--state may be repeated; --since and --limit cut."""

    def listed(*options: str) -> list[str]:
        orders = tidegate("orders", "list", "--json", *options).json["orders"]
        return [order["order_id"] for order in orders]

    assert listed("--state", "held", "--state", "declined") == [DECLINED, HELD]
    assert listed("--limit", "1") == [DECLINED]
    assert listed("--since", "1s") == []
    assert len(listed("--since", "1d")) == 3
    assert len(listed("--since", "2020-01-01")) == 3


def test_the_table_shows_major_units(tidegate: Command, url: str) -> None:
    """People read naira, not kobo, and every line is whole in a pipe."""
    ran = tidegate("orders", "list")
    line = next(line for line in ran.out.splitlines() if HELD in line)
    assert "1,000.00" in line
    assert "held" in line


def test_a_moment_that_is_none_is_refused(tidegate: Command, url: str) -> None:
    """Exit code 2, and the sentence says what to write instead."""
    ran = tidegate("orders", "list", "--since", "yesterday")
    assert ran.code == 2
    assert "30m" in ran.err


@pytest.mark.parametrize("name", [HELD, "po_2", "att_2", "tg-order-2-01", "tg-order-2", "psp-2"])
def test_an_order_is_found_by_every_name_it_has(tidegate: Command, url: str, name: str) -> None:
    """The aggregator's id, ours, an attempt's, the references, the PSP's id."""
    assert tidegate("orders", "show", name, "--json").json["order"]["order_id"] == HELD


def test_a_story_holds_everything_about_the_order_in_its_order(tidegate: Command, url: str) -> None:
    """Offer, event, attempt, webhook, exchange, observation, entries and case, by time."""
    story = tidegate("orders", "show", HELD, "--json").json["story"]
    assert {line["kind"] for line in story} == {
        "offer",
        "event",
        "attempt",
        "exchange",
        "webhook",
        "observation",
        "entry",
        "case",
    }
    assert [line["at"] for line in story] == sorted(line["at"] for line in story)
    # The other order's webhook is not in it.
    assert [line["data"]["id"] for line in story if line["kind"] == "webhook"] == ["inb_2"]
    (entry,) = [line for line in story if line["kind"] == "entry"]
    assert sum(leg["amount"] for leg in entry["data"]["legs"] if leg["side"] == "debit") == 110_000


def test_a_held_order_waits_for_a_person_and_says_why(tidegate: Command, url: str) -> None:
    """What it waits for, the reason, the open case, and when the PSP is asked again."""
    ran = tidegate("orders", "show", HELD, "--json")
    assert ran.json["waiting"]["on"] == "a person"
    assert "Refused" in ran.json["waiting"]["why"]
    assert "tg-order-2-01 at lenco" in ran.json["waiting"]["why"]
    assert ran.json["open_cases"] == [1]
    (step,) = ran.json["waiting"]["next"]
    assert step["kind"] == "confirm:lenco"
    assert step["now"] is False


def test_a_finished_order_waits_for_nothing(tidegate: Command, url: str) -> None:
    """And still tells that the PSP is looked at again."""
    waiting = tidegate("orders", "show", FULFILLED, "--json").json["waiting"]
    assert waiting["on"] == "nothing"
    assert [step["kind"] for step in waiting["next"]] == ["confirm:lenco"]


@pytest.mark.parametrize("options", [(), ("--full",), ("--json",)])
def test_a_story_tells_no_personal_data(
    tidegate: Command, url: str, options: tuple[str, ...]
) -> None:
    """Offers and webhooks are kept whole and shown with four digits and initials."""
    out = tidegate("orders", "show", HELD, *options).out
    assert ACCOUNT not in out
    assert NAME not in out
    assert "***6789" in out
    assert "A. O." in out


def test_what_others_wrote_does_not_move_the_cursor(tidegate: Command, url: str) -> None:
    """Escape sequences are spelled out, and brackets are no markup."""
    out = tidegate("orders", "show", HELD).out
    assert "\x1b" not in out
    assert "\\x1b[2J [bold]for now[/bold]" in out


def test_an_unknown_order_is_a_no_with_a_next_step(tidegate: Command, url: str) -> None:
    """Exit code 1, nothing on standard output."""
    ran = tidegate("orders", "show", "order-nobody-knows")
    assert (ran.code, ran.out) == (1, "")
    assert "tidegate orders list" in ran.err


def test_an_order_is_looked_up_at_once(
    tidegate: Command, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its transfer is due, the story says so, and an order without one is told from it."""
    assert tidegate("orders", "look", HELD, "--reason", "the bank works again").code == 0
    shown = tidegate("orders", "show", HELD, "--json").json
    assert [step["kind"] for step in shown["waiting"]["next"]] == ["confirm:lenco"]
    none = tidegate("orders", "look", DECLINED, "--reason", "x")
    assert none.code == 1
    assert "nothing to look up" in none.err


def test_an_order_is_not_resolved_without_its_psp(
    tidegate: Command, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A PSP that cannot be reached proves nothing; what cannot be read is a fault of use."""
    monkeypatch.setenv("LENCO_BASE_URL", "http://127.0.0.1:1")
    words = ("orders", "resolve", HELD, "--as", "unpaid", "--evidence", "letter", "--reason", "r")
    ran = tidegate(*words)
    assert ran.code == 1
    assert "cannot be asked now" in ran.err
    assert tidegate("orders", "show", HELD, "--json").json["order"]["state"] == "held"
    assert tidegate("orders", "resolve", HELD, "--as", "unpaid", "--reason", "r").code == 2
    assert tidegate(*words[:6], " ", "--reason", "r").code == 2
