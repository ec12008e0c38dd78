"""A long book: read a piece at a time, it is the same book; and a block is what its rows are."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from sqlalchemy import bindparam, func, select

from tests.integration.ledger.books import audited, opened, record, reserved, seal, tamper
from tests.support.store import Store
from tidegate.ledger import audit_questions as questions
from tidegate.ledger.audit import AuditReport
from tidegate.ledger.seal import FIRST_PREVIOUS
from tidegate.ledger.tables import entries


@pytest.fixture
def in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two entries, one account and one block at a time."""
    some = select(entries.c.id).where(entries.c.id >= bindparam("low")).order_by(entries.c.id)
    window = select(func.max(some.limit(2).subquery("some").c.id))
    monkeypatch.setattr(questions, "window_end", window)
    monkeypatch.setattr(questions, "account_page", questions.account_page.limit(1))
    monkeypatch.setattr(questions, "block_page", questions.block_page.limit(1))
    monkeypatch.setattr("tidegate.ledger.audit._HASHED_TOGETHER", 1)


def _subjects(report: AuditReport, code: str) -> list[str]:
    return [finding.subject for finding in report.findings if finding.code == code]


@pytest.mark.usefixtures("in_pieces")
async def test_no_piece_is_skipped_and_none_read_twice(book: Store) -> None:
    """Of entries, of accounts and of blocks."""
    assert (await audited(book)).ok
    report = await tamper(
        book,
        "DELETE FROM legs WHERE side = 'C'",
        "UPDATE accounts SET floor = NOT floor",
        "UPDATE blocks SET sealed_at = sealed_at + 1",
    )
    ids = [str(number) for number in range(1, 8)]
    assert _subjects(report, "entry.legs") == ids
    assert _subjects(report, "entry.unbalanced") == ids
    rows = await book.execute("SELECT path FROM accounts ORDER BY id")
    assert _subjects(report, "account.changed") == [path for (path,) in rows]
    assert _subjects(report, "block.hash") == ["1", "2"]


@pytest.mark.parametrize("together", [1, 25, 2_000])
async def test_a_broken_chain_names_fifty_blocks(
    store: Store, monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    """However many are hashed together; then there are more."""
    monkeypatch.setattr("tidegate.ledger.audit._HASHED_TOGETHER", together)
    await record(store, *(opened(f"o{number}", 5) for number in range(53)))
    for _ in range(53):
        await seal(store, limit=1)
    report = await tamper(store, "UPDATE blocks SET sealed_at = sealed_at + 1")
    assert _subjects(report, "block.hash") == [*(str(number) for number in range(1, 51)), "..."]
    assert (report.blocks, report.head_block) == (53, 53)


async def test_an_account_counts_its_legs_to_the_last_one(book: Store) -> None:
    """A number that was left out shows, though there are as many legs as there should be."""
    report = await tamper(book, "UPDATE legs SET number = 9 WHERE entry_id = 7 AND side = 'D'")
    (found,) = [finding for finding in report.findings if finding.code == "account.legs"]
    assert found.detail == "counts 3 legs, has 3, the last is number 9"


async def test_an_account_without_legs_is_right_at_zero(store: Store) -> None:
    """A unit that was refused may have opened it."""
    await record(store, reserved("r", 5))
    report = await audited(store)
    assert report.ok
    assert (report.accounts, report.entries, report.drift) == (2, 0, {"NGN": 0})


async def test_the_hash_of_a_block_is_that_of_its_rows(book: Store) -> None:
    """Made again from the tables, with nothing of ours."""
    previous = FIRST_PREVIOUS
    for number in (1, 2):
        lines: list[list[Any]] = []
        members = await book.execute(
            "SELECT id, reference, kind, subject, recorded_at FROM entries JOIN block_entries "
            "ON entry_id = id WHERE block_id = :n ORDER BY id",
            n=number,
        )
        for entry in members:
            legs = await book.execute(
                "SELECT path, side, amount, number, balance_after FROM legs JOIN accounts "
                "ON accounts.id = account_id WHERE entry_id = :e ORDER BY place",
                e=entry[0],
            )
            lines.append([*entry, [list(leg) for leg in legs]])
        ((sealed_at, count, kept),) = await book.execute(
            "SELECT sealed_at, count, hash FROM blocks WHERE id = :n", n=number
        )
        text = "".join(
            json.dumps(line, separators=(",", ":")) + "\n"
            for line in [[number, previous, sealed_at, count], *lines]
        )
        previous = hashlib.sha256(f"tidegate block 1\n{text}".encode()).hexdigest()
        assert (kept, count) == (previous, 3)
        assert sealed_at >= max(entry[4] for entry in members)
