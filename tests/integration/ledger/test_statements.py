"""Readings of the book: now, in the past, line by line, and the whole of it."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from functools import partial

import pytest

from tests.integration.ledger.books import (
    AVAILABLE,
    OPENING,
    OWED,
    RESERVED,
    opened,
    record,
    reserved,
    seal,
)
from tests.support.store import Store
from tidegate.errors import NotFound
from tidegate.ledger.chart import Side
from tidegate.ledger.entry import transfer
from tidegate.ledger.export import COLUMNS, as_csv, as_json, export_legs
from tidegate.ledger.statements import (
    balance_as_of,
    balance_at,
    balances,
    statement,
    trial_balance,
)

_SUSPENSE = "psp:lenco:suspense:NGN"


@pytest.fixture
async def book(store: Store) -> Store:
    """Available goes 1000, 700, 500, 530, 430; blocks end after the second and fourth entry."""
    await record(store, opened("e1", 1_000), reserved("e2", 300))
    await seal(store)
    await record(store, reserved("e3", 200), opened("e4", 30))
    await seal(store)
    await record(store, reserved("e5", 100))
    return store


async def test_the_trial_balance_adds_up(book: Store) -> None:
    """Debits equal credits per currency; a balance on the wrong side stands in the other column."""
    await record(
        book,
        transfer("k", "k", "s", ("psp:lenco:available:KES", "float:opening:KES", 7)),
        transfer("f", "k", "s", ("psp:lenco:fees:NGN", _SUSPENSE, 40)),
    )
    trial = await book.database.read(trial_balance)
    assert trial.balanced
    assert trial.totals == {"NGN": (1_070, 1_070), "KES": (7, 7)}
    columns = {line.path: (line.debit, line.credit) for line in trial.lines}
    assert columns[_SUSPENSE] == (0, 40)
    assert columns[OPENING] == (0, 1_030)
    assert columns[AVAILABLE] == (430, 0)


async def test_balances_can_be_chosen(book: Store) -> None:
    """By path, or by the first parts of the path; what never moved is in no answer."""

    async def paths(*names: str, prefix: str = "") -> list[str]:
        chosen = names or None
        found = await book.database.read(lambda c: balances(c, chosen, prefix=prefix))
        return [line.path for line in found]

    assert await paths() == [OPENING, AVAILABLE, RESERVED]
    assert await paths(RESERVED, OWED) == [RESERVED]
    assert await paths(prefix="psp:lenco") == [AVAILABLE, RESERVED]
    assert await paths(prefix="psp:len") == []
    assert await paths(prefix="psp:%") == []


async def test_a_statement_tells_every_leg_in_pages(book: Store) -> None:
    """Each with its entry and the balance after it."""
    first = await book.database.read(lambda c: statement(c, AVAILABLE, limit=2))
    rest = await book.database.read(lambda c: statement(c, AVAILABLE, first[-1].number))
    lines = [*first, *rest]
    assert [line.number for line in lines] == [1, 2, 3, 4, 5]
    assert [line.reference for line in lines] == ["e1", "e2", "e3", "e4", "e5"]
    assert [line.balance_after for line in lines] == [1_000, 700, 500, 530, 430]
    assert (lines[1].side, lines[1].amount, lines[1].kind) == (
        Side.CREDIT,
        300,
        "payout.reserved",
    )
    with pytest.raises(NotFound):
        await book.database.read(lambda c: statement(c, OWED))


async def test_the_balance_as_of_an_entry(book: Store) -> None:
    """Before the first it is zero; an entry that did not touch the account changes nothing."""
    found = {
        number: await book.database.read(partial(balance_as_of, path=RESERVED, entry_id=number))
        for number in (0, 1, 2, 3, 4, 5, 99)
    }
    assert [found[n].balance for n in (0, 1, 2, 3, 4, 5, 99)] == [0, 0, 300, 500, 500, 600, 600]
    assert (found[4].number, found[4].tail) == (2, 0)


async def test_the_balance_as_of_a_block(book: Store) -> None:
    """All entries of the block and of those before it, and none after."""
    for block_id, balance in ((1, 700), (2, 530)):
        found = await book.database.read(partial(balance_as_of, path=AVAILABLE, block_id=block_id))
        assert (found.balance, found.block_id) == (balance, block_id)
    with pytest.raises(NotFound):
        await book.database.read(lambda c: balance_as_of(c, AVAILABLE, block_id=3))
    with pytest.raises(ValueError, match="entry or a block"):
        await book.database.read(lambda c: balance_as_of(c, AVAILABLE))


async def test_the_balance_at_a_moment(store: Store) -> None:
    """The last block sealed before the moment, plus the tail recorded up to it."""

    async def now() -> int:
        await asyncio.sleep(0.003)  # so that no two moments fall into one millisecond
        instant = await store.database.read(store.database.now_ms)
        await asyncio.sleep(0.003)
        return instant

    moments: list[int] = []
    for turn in range(6):
        moments.append(await now())
        await record(store, opened(f"o{turn}", 10**turn))
        if turn in {1, 3}:
            await seal(store)
    moments.append(await now())
    found = [
        await store.database.read(partial(balance_at, path=AVAILABLE, moment_ms=moment))
        for moment in moments
    ]
    assert [each.balance for each in found] == [0, 1, 11, 111, 1_111, 11_111, 111_111]
    assert [each.block_id for each in found] == [None, None, 1, 1, 2, 2, 2]
    assert [each.tail for each in found] == [0, 1, 0, 1, 0, 1, 2]


async def test_the_export_has_every_leg(book: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """As CSV and as JSON, in pages of any size, sealed or not."""
    monkeypatch.setattr("tidegate.ledger.export._PAGE", 3)
    text = await book.database.read(lambda c: "".join(as_csv(export_legs(c))))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert tuple(rows[0]) == COLUMNS
    assert [row["entry"] for row in rows] == [str(n) for n in (1, 1, 2, 2, 3, 3, 4, 4, 5, 5)]
    assert [row["block"] for row in rows[::2]] == ["1", "1", "2", "2", ""]
    listed = json.loads(await book.database.read(lambda c: "".join(as_json(export_legs(c)))))
    assert listed[3] == {
        "entry": 2,
        "recorded_at": rows[3]["recorded_at"],
        "reference": "e2",
        "kind": "payout.reserved",
        "subject": "payout",
        "account": AVAILABLE,
        "currency": "NGN",
        "side": "credit",
        "amount": 300,
        "balance_after": 700,
        "block": 1,
    }
    assert len(listed) == 10
    later = await book.database.read(lambda c: [*export_legs(c, after_entry=4)])
    assert [row["reference"] for row in later] == ["e5", "e5"]


async def test_the_export_of_an_empty_book(store: Store) -> None:
    """A header, and an empty array."""
    text = await store.database.read(lambda c: "".join(as_csv(export_legs(c))))
    assert text == ",".join(COLUMNS) + "\r\n"
    assert json.loads(await store.database.read(lambda c: "".join(as_json(export_legs(c))))) == []
