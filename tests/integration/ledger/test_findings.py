"""What a finding says: the row that is wrong, and how."""

from __future__ import annotations

import pytest

from tests.integration.ledger.books import audited, opened, record, tamper
from tests.support.store import Store

_AVAILABLE, _RESERVED = "psp:lenco:available:NGN", "psp:lenco:reserved:NGN"
_BALANCE = "UPDATE accounts SET balance = balance"


@pytest.mark.parametrize(
    ("edits", "wanted"),
    [
        (
            ["UPDATE accounts SET path = 'nobody' WHERE path LIKE '%reserved%'"],
            [("account.unknown", "nobody", "The chart has no account 'nobody'.")],
        ),
        (
            ["UPDATE accounts SET floor = false WHERE path LIKE '%reserved%'"],
            [
                (
                    "account.changed",
                    _RESERVED,
                    "is NGN, D, floor False; the chart says NGN, D, floor True",
                )
            ],
        ),
        (
            ["UPDATE accounts SET grows_by = 'D' WHERE path = 'float:opening:NGN'"],
            [
                (
                    "account.changed",
                    "float:opening:NGN",
                    "is NGN, D, floor False; the chart says NGN, C, floor False",
                )
            ],
        ),
        (
            ["DELETE FROM entries WHERE id = 7"],
            [("leg.orphan", "7", "its entry or account does not exist")] * 2,
        ),
        (
            ["DELETE FROM legs WHERE entry_id = 7 AND side = 'C'"],
            [
                ("entry.legs", "7", "has 1 legs"),
                ("entry.unbalanced", "7", "debits less credits are 10 NGN"),
            ],
        ),
        (
            ["UPDATE legs SET balance_after = 7 WHERE entry_id = 7 AND side = 'D'"],
            [
                (
                    "leg.balance_after",
                    f"{_RESERVED} 3",
                    "entry 7: 7 does not follow from the leg before",
                )
            ],
        ),
        (
            [
                "UPDATE legs SET amount = amount + 1400 WHERE entry_id = 7",
                "UPDATE legs SET balance_after = balance_after - 1400 "
                "WHERE entry_id = 7 AND side = 'C'",
                "UPDATE legs SET balance_after = balance_after + 1400 "
                "WHERE entry_id = 7 AND side = 'D'",
                f"{_BALANCE} - 1400 WHERE path = '{_AVAILABLE}'",
                f"{_BALANCE} + 1400 WHERE path = '{_RESERVED}'",
            ],
            [("floor.broken", f"{_AVAILABLE} 7", "entry 7 left the account at -300")],
        ),
        (
            [f"{_BALANCE} + 1 WHERE path = '{_RESERVED}'"],
            [("account.balance", _RESERVED, "is 511, its legs say 510")],
        ),
        (
            ["UPDATE accounts SET legs = legs + 1 WHERE path LIKE '%reserved%'"],
            [("account.legs", _RESERVED, "counts 4 legs, has 3, the last is number 3")],
        ),
        (
            ["UPDATE blocks SET previous = hash WHERE id = 1"],
            [
                ("block.previous", "1", "does not name the hash before it"),
                ("block.hash", "1", "entries 1 to 3 are not what was sealed"),
            ],
        ),
        (
            ["DELETE FROM block_entries WHERE entry_id = 4"],
            [
                ("member.missing", "2", "the block counts 3 entries and has 2"),
                ("block.hash", "2", "entries 5 to 6 are not what was sealed"),
            ],
        ),
        (
            ["DELETE FROM block_entries WHERE block_id = 2"],
            [
                ("member.missing", "2", "the block counts 3 entries and has 0"),
                ("block.hash", "2", "no entries are not what was sealed"),
            ],
        ),
        (
            ["INSERT INTO block_entries (entry_id, block_id) VALUES (7, 2)"],
            [
                ("member.foreign", "2", "the block counts 3 entries and has 4"),
                ("block.hash", "2", "entries 4 to 7 are not what was sealed"),
            ],
        ),
        (
            ["INSERT INTO block_entries (entry_id, block_id) VALUES (7, 9)"],
            [
                (
                    "member.stranger",
                    "7",
                    "is a member of block 9; entry or block does not exist",
                )
            ],
        ),
        (
            [
                "DELETE FROM blocks WHERE id = 1",
                "DELETE FROM block_entries WHERE block_id = 1",
            ],
            [
                ("block.missing", "1", "the next block is 2"),
                ("block.previous", "2", "does not name the hash before it"),
            ],
        ),
    ],
)
async def test_a_finding_names_the_row_and_what_is_wrong(
    book: Store, edits: list[str], wanted: list[tuple[str, str, str]]
) -> None:
    """In the order of the checks; what follows from it may be named after it."""
    report = await tamper(book, *edits)
    found = [(finding.code, finding.subject, finding.detail) for finding in report.findings]
    assert found[: len(wanted)] == wanted
    assert not report.ok


async def test_what_was_noted_and_is_not_there_is_named(book: Store) -> None:
    """By the hash that was expected."""
    report = await audited(book, expect="f" * 64)
    assert [(finding.code, finding.subject, finding.detail) for finding in report.findings] == [
        ("head.missing", "f" * 64, "no block has the hash that was noted before")
    ]


async def test_an_entry_that_was_never_sealed_is_named(book: Store) -> None:
    """With the word that it is late."""
    report = await audited(book, now_ms=10**15)
    assert [(finding.code, finding.subject, finding.detail) for finding in report.findings] == [
        ("entry.unsealed", "7", "has been in no block for too long")
    ]


async def test_drift_adds_up_by_currency_and_without_sign(store: Store) -> None:
    """What is too much on one account does not hide what is missing on another."""
    await record(store, opened("o1", 500))
    report = await tamper(
        store,
        f"{_BALANCE} - 5 WHERE path = '{_AVAILABLE}'",
        f"{_BALANCE} + 2 WHERE path = 'float:opening:NGN'",
        "INSERT INTO accounts (path, currency, grows_by, floor, balance, legs) "
        "VALUES ('float:opening:KES', 'KES', 'C', false, -3, 0)",
    )
    assert report.drift == {"NGN": 7, "KES": 3}
    assert report.accounts == 3


@pytest.mark.parametrize(("entries", "named"), [(25, 50), (26, 51)])
async def test_fifty_findings_of_a_check_are_named(store: Store, entries: int, named: int) -> None:
    """The fifty-first is a word that there are more."""
    await record(store, *(opened(f"o{number}", 5) for number in range(entries)))
    report = await tamper(store, "UPDATE legs SET balance_after = -1")
    broken = [finding for finding in report.findings if finding.code == "leg.balance_after"]
    assert len(broken) == named
    more = [(finding.subject, finding.detail) for finding in broken if finding.subject == "..."]
    assert more == [("...", "there are more")] * (named - 50)
