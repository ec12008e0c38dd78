"""``cases`` and ``switches``: what operators do, and what is written down of it."""

from __future__ import annotations

import os
import pwd
from typing import Any

from sqlalchemy import Connection, select

from tests.integration.cli.conftest import Command, on_database
from tidegate.cases.switches import switches
from tidegate.cases.tables import operator_actions
from tidegate.db.engine import Database

# What PAYMENT_CURRENCIES is when nobody sets it.
CURRENCIES = ("USD", "EUR", "GBP", "CAD", "AUD", "JPY", "NGN", "KES", "ZAR")

ME = pwd.getpwuid(os.getuid()).pw_name


def _rows(url: str, table: Any) -> list[dict[str, Any]]:
    def read(connection: Connection) -> list[dict[str, Any]]:
        return [dict(row) for row in connection.execute(select(table)).mappings()]

    async def work(database: Database) -> list[dict[str, Any]]:
        return await database.read(read)

    found: list[dict[str, Any]] = on_database(url, work)
    return found


def test_open_cases_are_listed_and_found_by_kind(tidegate: Command, url: str) -> None:
    """Closed ones need --all; an unknown kind is an empty list, no error."""
    (case,) = tidegate("cases", "list", "--json").json["cases"]
    assert (case["kind"], case["subject"], case["severity"]) == ("payout_held", "po_2", "high")
    none = tidegate("cases", "list", "--kind", "nothing_like_it", "--json")
    assert (none.code, none.json["cases"]) == (0, [])


def test_a_case_shows_where_to_go_on(tidegate: Command, url: str) -> None:
    """Its reason, its data, and the commands that follow."""
    out = tidegate("cases", "show", "1").out
    assert "Find it at the PSP." in out
    assert "tidegate orders show po_2" in out
    assert "tidegate cases close 1" in out


def test_closing_a_case_is_written_down(tidegate: Command, url: str) -> None:
    """Case and operators' log change together; the actor is the user of the process."""
    assert tidegate("cases", "close", "1", "--note", " found at the bank ").code == 0
    shown = tidegate("cases", "show", "1", "--json").json
    assert (shown["state"], shown["closed_by"]) == ("closed", ME)
    assert shown["closing_note"] == "found at the bank"
    (action,) = _rows(url, operator_actions)
    assert (action["actor"], action["origin"], action["action"]) == (ME, "cli", "case.close")
    assert (action["subject"], action["after"]) == ("case:1", {"state": "closed"})
    assert tidegate("cases", "list", "--json").json["cases"] == []
    assert len(tidegate("cases", "list", "--all", "--json").json["cases"]) == 1


def test_a_case_is_closed_once(tidegate: Command, url: str) -> None:
    """The second closer learns who was first, and leaves no trace."""
    tidegate("cases", "close", "1", "--note", "done")
    again = tidegate("cases", "close", "1", "--note", "done as well")
    assert again.code == 1
    assert f"closed before, by {ME}" in again.err
    assert len(_rows(url, operator_actions)) == 1


def test_a_case_is_closed_with_a_note_or_not_at_all(tidegate: Command, url: str) -> None:
    """Blanks are no note; a case that is not there is a no."""
    assert tidegate("cases", "close", "1", "--note", "  ").code == 2
    assert tidegate("cases", "close", "1").code == 2
    missing = tidegate("cases", "close", "77", "--note", "x")
    assert missing.code == 1
    assert "cases list --all" in missing.err
    assert _rows(url, operator_actions) == []


def test_a_switch_goes_off_and_on(tidegate: Command, url: str) -> None:
    """The row says off, with reason and user; both turns are in the operators' log."""
    assert tidegate("switches", "off", "psp", "lenco", "--reason", "fees doubled").code == 0
    (row,) = _rows(url, switches)
    assert (row["id"], row["reason"], row["switched_by"]) == ("psp:lenco", "fees doubled", ME)
    listed = {
        one["id"]: one["off"] for one in tidegate("switches", "list", "--json").json["switches"]
    }
    payments = {f"payments:{code}": False for code in CURRENCIES}
    assert listed == {
        "currency:NGN": False,
        "psp:lenco": True,
        "processor:stripe": False,
        **payments,
    }
    assert tidegate("switches", "on", "psp", "lenco", "--reason", "settled").code == 0
    assert _rows(url, switches) == []
    assert [
        (row["action"], row["subject"], row["reason"]) for row in _rows(url, operator_actions)
    ] == [
        ("switch.off", "switch:psp:lenco", "fees doubled"),
        ("switch.on", "switch:psp:lenco", "settled"),
    ]


def test_switching_twice_changes_nothing(tidegate: Command, url: str) -> None:
    """In an emergency two people do the same: the second is no error and leaves no trace."""
    tidegate("switches", "off", "currency", "NGN", "--reason", "first")
    again = tidegate("switches", "off", "currency", "NGN", "--reason", "second")
    assert again.code == 0
    assert "was off already" in again.out
    (row,) = _rows(url, switches)
    assert row["reason"] == "first"
    assert len(_rows(url, operator_actions)) == 1
    on = tidegate("switches", "on", "psp", "lenco", "--reason", "never was off")
    assert (on.code, len(_rows(url, operator_actions))) == (0, 1)


def test_a_misspelt_switch_is_refused(tidegate: Command, url: str) -> None:
    """It would switch nothing off and look as if it had."""
    ran = tidegate("switches", "off", "psp", "lenko", "--reason", "x")
    assert ran.code == 2
    assert "lenco" in ran.err
    assert _rows(url, switches) == []


def test_the_tables_for_people(tidegate: Command, url: str) -> None:
    """Open cases with their reason; what is off, since when, by whom and why."""
    assert "Find it at the PSP." in tidegate("cases", "list").out
    tidegate("switches", "off", "psp", "lenco", "--reason", "fees doubled")
    (line,) = [row for row in tidegate("switches", "list").out.splitlines() if "psp:lenco" in row]
    assert "OFF" in line
    assert "fees doubled" in line
    tidegate("cases", "close", "1", "--note", "found at the bank")
    assert "found at the bank" in tidegate("cases", "show", "1").out
    assert "No case is open." in tidegate("cases", "list").out
