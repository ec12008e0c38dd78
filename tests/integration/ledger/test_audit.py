"""The audit: a right book passes, and every kind of edit behind its back shows."""

from __future__ import annotations

import pytest

from tests.integration.ledger.books import audited, opened, record, tamper
from tests.support.store import Store
from tidegate.cases import tables as case_tables
from tidegate.ledger import immutable
from tidegate.ledger.audit import AuditReport

_BALANCE = "UPDATE accounts SET balance = balance"


def _codes(report: AuditReport) -> set[str]:
    return {finding.code for finding in report.findings}


async def test_a_right_book_passes(book: Store) -> None:
    """With its figures, and with the head to be noted elsewhere."""
    report = await audited(book)
    assert report.ok
    assert (report.accounts, report.entries, report.legs) == (3, 7, 14)
    assert (report.blocks, report.head_block, report.unsealed) == (2, 2, 1)
    assert report.drift == {"NGN": 0}
    rows = await book.execute("SELECT hash FROM blocks WHERE id = 2")
    assert rows == [(report.head,)]


async def test_an_empty_book_passes(store: Store) -> None:
    """Nothing is nothing."""
    report = await audited(store)
    assert report.ok
    assert (report.entries, report.head, report.head_block, report.drift) == (0, None, 0, {})


async def test_a_head_noted_before_must_be_in_the_chain(book: Store) -> None:
    """The newest block or an earlier one; a chain that was cut and grown again has it not."""
    for (head,) in await book.execute("SELECT hash FROM blocks"):
        assert (await audited(book, expect=head)).ok
    assert _codes(await audited(book, expect="f" * 64)) == {"head.missing"}
    report = await audited(book)
    cut = await tamper(
        book, "DELETE FROM block_entries WHERE block_id = 2", "DELETE FROM blocks WHERE id = 2"
    )
    assert cut.ok
    assert _codes(await audited(book, expect=report.head)) == {"head.missing"}


async def test_entries_are_sealed_in_time(book: Store) -> None:
    """An entry in no block is a finding once it is old."""
    ((recorded_at,),) = await book.execute("SELECT recorded_at FROM entries WHERE id = 7")
    young = await audited(book, now_ms=recorded_at + 1_000, unsealed_after_ms=1_000)
    assert young.ok
    old = await audited(book, now_ms=recorded_at + 1_001, unsealed_after_ms=1_000)
    assert [(f.code, f.subject) for f in old.findings] == [("entry.unsealed", "7")]


@pytest.mark.parametrize(
    ("edits", "wanted"),
    [
        # Of a sealed entry: any column shows in the block's hash.
        (["UPDATE entries SET recorded_at = recorded_at - 1 WHERE id = 2"], {"block.hash"}),
        (["UPDATE entries SET subject = 'other' WHERE id = 2"], {"block.hash"}),
        # Both legs and all that follows from them, done with care: only the block knows.
        (
            [
                "UPDATE legs SET amount = amount + 5 WHERE entry_id = 1",
                "UPDATE legs SET balance_after = balance_after + 5 "
                "WHERE account_id IN (SELECT id FROM accounts WHERE path NOT LIKE '%reserved%')",
                f"{_BALANCE} + 5 WHERE path NOT LIKE '%reserved%'",
            ],
            {"block.hash"},
        ),
        # One leg only.
        (
            ["UPDATE legs SET amount = amount + 5 WHERE entry_id = 7 AND side = 'D'"],
            {"entry.unbalanced", "leg.balance_after", "account.balance"},
        ),
        (
            ["UPDATE legs SET amount = 4000000000000000000 WHERE entry_id = 7"],
            {"leg.balance_after", "account.balance"},
        ),
        (["UPDATE legs SET balance_after = 0 WHERE entry_id = 7"], {"leg.balance_after"}),
        ([f"{_BALANCE} + 1 WHERE path LIKE '%available%'"], {"account.balance"}),
        (["UPDATE accounts SET legs = legs + 1 WHERE path LIKE '%reserved%'"], {"account.legs"}),
        (["UPDATE accounts SET floor = NOT floor WHERE path LIKE 'psp%'"], {"account.changed"}),
        (
            ["UPDATE accounts SET path = 'nobody' WHERE path LIKE '%reserved%'"],
            {"account.unknown", "block.hash"},
        ),
        (
            [
                "DELETE FROM legs WHERE entry_id = 7",
            ],
            {"entry.legs", "account.balance", "account.legs"},
        ),
        (["DELETE FROM entries WHERE id = 7"], {"leg.orphan"}),
        (
            ["DELETE FROM entries WHERE id = 2"],
            {"leg.orphan", "member.stranger", "member.missing", "block.hash"},
        ),
        (
            ["DELETE FROM block_entries WHERE entry_id = 2"],
            {"member.missing", "block.hash"},
        ),
        (
            ["INSERT INTO block_entries (entry_id, block_id) VALUES (7, 1)"],
            {"member.foreign", "block.hash"},
        ),
        (
            ["INSERT INTO block_entries (entry_id, block_id) VALUES (7, 9)"],
            {"member.stranger"},
        ),
        (["UPDATE blocks SET sealed_at = sealed_at + 1 WHERE id = 1"], {"block.hash"}),
        (["UPDATE blocks SET previous = hash WHERE id = 2"], {"block.previous", "block.hash"}),
        (
            [
                "DELETE FROM blocks WHERE id = 1",
                "DELETE FROM block_entries WHERE block_id = 1",
            ],
            {"block.missing", "block.previous"},
        ),
        (
            ["INSERT INTO entries VALUES (9223372036854775800, 'far', 'k', 's', 0)"],
            {"entry.legs"},
        ),
        # Two entries changed places: every sum is right, the order is not.
        (
            [
                "UPDATE legs SET entry_id = 100 WHERE entry_id = 5",
                "UPDATE legs SET entry_id = 5 WHERE entry_id = 6",
                "UPDATE legs SET entry_id = 6 WHERE entry_id = 100",
            ],
            {"leg.balance_after", "block.hash"},
        ),
        # A floor that was broken in the past, and mended since.
        (
            [
                "UPDATE legs SET amount = amount + 1400 WHERE entry_id = 3",
                "UPDATE legs SET balance_after = balance_after - 1400 WHERE account_id = "
                "(SELECT id FROM accounts WHERE path LIKE '%available%') AND entry_id >= 3",
                "UPDATE legs SET balance_after = balance_after + 1400 WHERE account_id = "
                "(SELECT id FROM accounts WHERE path LIKE '%reserved%') AND entry_id >= 3",
                f"{_BALANCE} - 1400 WHERE path LIKE '%available%'",
                f"{_BALANCE} + 1400 WHERE path LIKE '%reserved%'",
            ],
            {"floor.broken", "block.hash"},
        ),
    ],
)
async def test_edits_show(book: Store, edits: list[str], wanted: set[str]) -> None:
    """Each is found by the checks that name what is wrong, and by no other."""
    assert _codes(await tamper(book, *edits)) == wanted


async def test_a_membership_that_was_deleted_shows_as_unsealed_too(book: Store) -> None:
    """The entry is sealed a second time or found to be old."""
    await tamper(book, "DELETE FROM block_entries WHERE entry_id = 2")
    late = (await audited(book, now_ms=10**15)).findings
    assert {f.subject for f in late if f.code == "entry.unsealed"} == {"2", "7"}


async def test_drift_is_told_per_currency(book: Store) -> None:
    """As the sum of what accounts differ from their legs."""
    report = await tamper(
        book,
        f"{_BALANCE} + 5 WHERE path LIKE '%available%'",
        f"{_BALANCE} - 2 WHERE path LIKE '%reserved%'",
    )
    assert report.drift == {"NGN": 7}


async def test_many_findings_are_named_and_cut(store: Store) -> None:
    """A thousand of one kind are fifty and a word that there are more."""
    await record(store, *(opened(f"o{n}", 5) for n in range(80)))
    report = await tamper(store, "UPDATE legs SET balance_after = -1")
    broken = [finding for finding in report.findings if finding.code == "leg.balance_after"]
    assert len(broken) == 51
    assert broken[-1].detail == "there are more"


async def test_a_long_book_is_audited_in_pieces(
    book: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bundled block by block the report is the same."""
    whole = await audited(book)
    monkeypatch.setattr("tidegate.ledger.audit._HASHED_TOGETHER", 1)
    assert await audited(book) == whole


def test_ddl_can_be_taken_back() -> None:
    """For each statement that makes something, one drops it, in both packages."""
    for dialect in ("sqlite", "postgresql"):
        for module in (immutable, case_tables):
            made = [statement.split()[1:3] for statement in module.create_ddl(dialect)]
            dropped = [statement.split()[1:3] for statement in module.drop_ddl(dialect)]
            assert sorted(made) == sorted(dropped)
