"""One hot account with a floor (DESIGN 4): right at every commit, not only at the end."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any

import pytest
from sqlalchemy import Connection, select

from tests.concurrency.crowd import Crowd
from tests.concurrency.hot_account import OPENING, PSPS, available
from tests.integration.ledger.books import audited, kept_balances, record, seal
from tests.support.store import Store
from tidegate.ledger.audit import audit
from tidegate.ledger.chart import account_kind
from tidegate.ledger.entry import transfer
from tidegate.ledger.statements import trial_balance
from tidegate.ledger.tables import accounts, block_entries, legs

OPENED = 300
TURNS = 12
ROUNDS = 25

_all_legs = (
    select(legs, accounts.c.path, accounts.c.grows_by)
    .join(accounts, accounts.c.id == legs.c.account_id)
    .order_by(legs.c.account_id, legs.c.number)
)


async def test_floors_and_totals_hold_at_every_commit(crowd: Crowd, store: Store) -> None:
    """64 tasks reserve, release, pay and move on two hot accounts while all of them seal."""
    await _fight(crowd, store, turns=TURNS, seed=1, pause_ms=6.0)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(ROUNDS))
async def test_again_with_other_pauses(crowd: Crowd, store: Store, seed: int) -> None:
    """The same, longer, and each time at another pace."""
    await _fight(crowd, store, turns=3 * TURNS, seed=seed, pause_ms=float(seed))


async def _fight(crowd: Crowd, store: Store, *, turns: int, seed: int, pause_ms: float) -> None:
    opening = [
        transfer(f"opened:{psp}", "float.opened", "test", (available(psp), OPENING, OPENED))
        for psp in PSPS
    ]
    await record(store, *opening)
    watcher = _Watcher(store)
    watching = asyncio.create_task(watcher.watch())
    try:
        told = await crowd.play("hot account", store.url, seed=seed, pause_ms=pause_ms, turns=turns)
    finally:
        watcher.over.set()
        await watching

    counts: Counter[str] = sum((Counter(each["counts"]) for each in told), Counter())
    assert counts["refused"] > 0, "nobody reached the floor: the test has shown nothing"
    assert counts["sealed"] > 0, "nothing was sealed meanwhile"
    assert watcher.looks >= 3, "the fight was over before anybody looked"
    while await seal(store) is not None:
        continue
    written = counts["entries"] + len(opening)
    await _assert_totals(store, told)
    await _assert_folds(store)
    report = await audited(store, unsealed_after_ms=0, now_ms=2**60)
    assert (report.findings, report.unsealed, report.entries) == ((), 0, written)
    sealed = await store.database.read(lambda c: c.execute(select(block_entries)).all())
    assert len(sealed) == written


async def _assert_totals(store: Store, told: list[dict[str, Any]]) -> None:
    """What the tasks say they moved is what the accounts hold."""
    moved: Counter[str] = Counter()
    for each in told:
        moved.update(each["moved"])
    for psp in PSPS:
        moved.update({available(psp): OPENED, OPENING: -OPENED})
    expected = {
        path: debited if account_kind(path).grows_by == "D" else -debited
        for path, debited in moved.items()
    }
    assert await kept_balances(store) == expected


async def _assert_folds(store: Store) -> None:
    """Fold each account's legs in the order of their commits: their numbers, and so their
    entries' ids. After no entry does an account stand below its floor."""

    def read(connection: Connection) -> list[dict[str, Any]]:
        return [dict(row) for row in connection.execute(_all_legs).mappings()]

    for path, its_legs in groupby(await store.database.read(read), itemgetter("path")):
        number = balance = entry_id = 0
        for entry_id_next, of_entry in groupby(its_legs, itemgetter("entry_id")):
            assert entry_id_next > entry_id, (path, number)
            entry_id = entry_id_next
            for leg in of_entry:
                number += 1
                balance += leg["amount"] if leg["side"] == leg["grows_by"] else -leg["amount"]
                assert (leg["number"], leg["balance_after"]) == (number, balance), leg
            assert not account_kind(path).floor or balance >= 0, (path, number, balance)


@dataclass
class _Watcher:
    """Somebody who looks at the committed state while the others write."""

    store: Store
    over: asyncio.Event = field(default_factory=asyncio.Event)
    looks: int = 0

    async def watch(self) -> None:
        while not self.over.is_set():
            await self.store.database.read(self._look)
            self.looks += 1
            await asyncio.sleep(0.02)

    def _look(self, connection: Connection) -> None:
        """One snapshot: no account below its floor, sides equal, every balance proven."""
        trial = trial_balance(connection)
        assert trial.balanced, trial.totals
        for line in trial.lines:
            assert not account_kind(line.path).floor or line.balance >= 0, line
        report = audit(connection, expect=None, now_ms=0, unsealed_after_ms=0)
        assert report.findings == (), report.findings
