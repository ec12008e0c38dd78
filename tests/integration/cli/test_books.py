"""``balances`` and ``ledger``."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from sqlalchemy import Connection, text

from tests.integration.cli.conftest import Command, on_database
from tidegate.db.engine import Database

AVAILABLE = "psp:lenco:available:NGN"


def test_balances_add_up(tidegate: Command, url: str) -> None:
    """Available, reserved and total per PSP; the last reading; what the aggregator was told."""
    found = tidegate("balances", "--json").json
    (psp,) = found["balances"]
    assert (psp["psp"], psp["currency"]) == ("lenco", "NGN")
    assert (psp["available"], psp["reserved"]) == (47_856_50, 1_100_00)
    assert psp["total"] == psp["available"] + psp["reserved"] + psp["suspense"] == 48_956_50
    assert psp["reading"] == 48_956_50
    assert psp["read_at"] is not None
    (naira,) = found["currencies"]
    assert naira["critical_below"] == 1_000_00
    assert (naira["told"]["said"], naira["told"]["available"]) == ("done", 47_856_50)


def test_balances_for_people_are_in_major_units(tidegate: Command, url: str) -> None:
    """One table per question: PSPs, and currencies with what was told."""
    out = tidegate("balances").out
    assert "47,856.50" in out
    assert "48,956.50" in out


def test_the_audit_passes_and_tells_the_head(tidegate: Command, url: str) -> None:
    """Exit code 0, and the head is one that --expect takes; another head is a finding."""
    ran = tidegate("ledger", "audit", "--json")
    assert (ran.code, ran.json["ok"], ran.json["blocks"]) == (0, True, 1)
    assert tidegate("ledger", "audit", "--expect", ran.json["head"]).code == 0
    other = tidegate("ledger", "audit", "--expect", "0" * 64, "--json")
    assert other.code == 1
    assert [finding["code"] for finding in other.json["findings"]] == ["head.missing"]


def test_an_audit_finds_a_changed_balance(tidegate: Command, url: str) -> None:
    """Somebody turned money into more of it: exit code 1, the account is named."""

    def forge(connection: Connection) -> None:
        connection.execute(
            text("UPDATE accounts SET balance = balance + 1 WHERE path = :path"),
            {"path": AVAILABLE},
        )

    async def work(database: Database) -> None:
        await database.write(forge)

    on_database(url, work)
    ran = tidegate("ledger", "audit")
    assert ran.code == 1
    assert AVAILABLE in ran.out
    assert tidegate("ledger", "trial-balance").code == 1


def test_a_head_that_is_none_is_refused(tidegate: Command, url: str) -> None:
    """A cut-off hash would otherwise look like a broken chain."""
    assert tidegate("ledger", "audit", "--expect", "82ee55").code == 2


def test_the_trial_balance_balances(tidegate: Command, url: str) -> None:
    """Debits equal credits, in both renderings."""
    found = tidegate("ledger", "trial-balance", "--json").json
    assert found["balanced"] is True
    assert found["totals"]["NGN"] == {"debit": 50_000_00, "credit": 50_000_00}
    assert "50,000.00" in tidegate("ledger", "trial-balance").out


def test_accounts_are_found_by_prefix(tidegate: Command, url: str) -> None:
    """A prefix is whole parts of a path."""
    found = tidegate("ledger", "accounts", "--prefix", "psp:lenco", "--json").json["accounts"]
    assert {line["account"] for line in found} == {
        AVAILABLE,
        "psp:lenco:reserved:NGN",
        "psp:lenco:fees:NGN",
    }


def test_a_statement_pages(tidegate: Command, url: str) -> None:
    """--limit cuts, next_after goes on, and the last page says so."""
    first = tidegate("ledger", "statement", AVAILABLE, "--limit", "3", "--json").json
    assert [line["number"] for line in first["lines"]] == [1, 2, 3]
    rest = tidegate(
        "ledger", "statement", AVAILABLE, "--after", str(first["next_after"]), "--json"
    ).json
    assert [line["number"] for line in rest["lines"]] == [4]
    assert rest["next_after"] is None
    assert rest["lines"][-1]["balance_after"] == 47_856_50


def test_a_statement_is_csv_and_json_of_the_same_figures(tidegate: Command, url: str) -> None:
    """Both are minor units under the same names."""
    rows = list(csv.DictReader(io.StringIO(_csv(tidegate, AVAILABLE))))
    lines = tidegate("ledger", "statement", AVAILABLE, "--format", "json").json["lines"]
    assert rows == [{name: str(value) for name, value in line.items()} for line in lines]


def _csv(tidegate: Command, account: str) -> str:
    return tidegate("ledger", "statement", account, "--format", "csv").out


@pytest.mark.parametrize(
    ("option", "value", "balance", "legs"),
    [
        ("--as-of-entry", "1", 50_000_00, 1),
        ("--as-of-entry", "2", 48_900_00, 2),
        ("--as-of-block", "1", 48_956_50, 3),
        ("--at", "1d", 0, 0),
        ("--at", "2999-01-01", 47_856_50, 4),
    ],
)
def test_the_past_of_an_account(
    tidegate: Command, url: str, option: str, value: str, balance: int, legs: int
) -> None:
    """The balance after an entry, a block, or at a moment, and the legs up to there."""
    found = tidegate("ledger", "statement", AVAILABLE, option, value, "--json").json
    assert found["as_of"]["balance"] == balance
    assert len(found["lines"]) == legs


def test_one_past_at_a_time(tidegate: Command, url: str) -> None:
    """Two questions about the past in one are refused."""
    both = ("--as-of-entry", "1", "--as-of-block", "1")
    assert tidegate("ledger", "statement", AVAILABLE, *both).code == 2


def test_an_account_that_is_not_there(tidegate: Command, url: str) -> None:
    """Exit code 1 and a sentence."""
    ran = tidegate("ledger", "statement", "psp:nobody:available:NGN")
    assert ran.code == 1
    assert "no account psp:nobody" in ran.err


def test_the_whole_book_is_exported(tidegate: Command, url: str) -> None:
    """A row per leg; CSV and JSON hold the same legs."""
    rows: list[Any] = list(csv.DictReader(io.StringIO(tidegate("ledger", "export").out)))
    legs = json.loads(tidegate("ledger", "export", "--format", "json").out)
    assert [(row["entry"], row["account"], row["amount"]) for row in rows] == [
        (str(leg["entry"]), leg["account"], str(leg["amount"])) for leg in legs
    ]
    assert len(legs) == 10


def test_a_statement_for_people_has_two_sides(tidegate: Command, url: str) -> None:
    """Debit and credit in major units; the past and the next page are sentences below."""
    out = tidegate("ledger", "statement", AVAILABLE, "--limit", "2").out
    assert "50,000.00" in out
    assert "There are more: --after 2." in out
    past = tidegate("ledger", "statement", AVAILABLE, "--as-of-block", "1").out
    assert "Balance then: 48,956.50 NGN after leg 3 (block 1)." in past
    accounts = tidegate("ledger", "accounts").out
    assert AVAILABLE in accounts
