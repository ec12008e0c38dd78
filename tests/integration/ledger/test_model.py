"""The book against a model of it: any order of groups, refusals, seals, audits and readings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.integration.ledger.books import audited, kept_balances, seal
from tests.support.store import Store
from tidegate.clock import SystemClock
from tidegate.db.committer import Committer, Unit
from tidegate.db.engine import open_database
from tidegate.db.url import parse
from tidegate.errors import AlreadyExists, FloorBroken, NotFound
from tidegate.ledger.book import Record
from tidegate.ledger.chart import account_kind
from tidegate.ledger.entry import Entry, transfer
from tidegate.ledger.statements import balance_as_of, statement, trial_balance

# Two with a floor, the others without: what is booked there is a fact.
_PARTS = ("psp:a:available", "psp:a:reserved", "psp:a:suspense", "float:opening")
_CURRENCIES = ("NGN", "XOF-BEN")
_PATHS = tuple(f"{part}:{currency}" for currency in _CURRENCIES for part in _PARTS)
_HOT = "psp:a:available:NGN"

_accounts = st.sampled_from(_PARTS)
_move = st.builds(
    lambda debited, credited, currency, amount: (
        f"{debited}:{currency}",
        f"{credited}:{currency}",
        amount,
    ),
    *(_accounts, _accounts, st.sampled_from(_CURRENCIES), st.integers(1, 20)),
)
_entry = st.builds(
    lambda reference, moves: transfer(f"r{reference}", "k", "s", *moves),
    st.integers(0, 25),
    st.lists(_move, min_size=1, max_size=3),
)
_unit = st.lists(_entry, min_size=1, max_size=3)


class _Model:
    """What a book is, without a database."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    @property
    def references(self) -> set[str]:
        return {entry.reference for entry in self.entries}

    def balances(self, count: int | None = None) -> dict[str, int]:
        """Of every account after the first ``count`` entries, of all without it."""
        return {path: sum(change for _, change in self.changes(path, count)) for path in _PATHS}

    def changes(self, path: str, count: int | None = None) -> list[tuple[str, int]]:
        """The (reference, change) of each leg of an account, in order."""
        grows = account_kind(path).grows_by
        return [
            (entry.reference, leg.amount if leg.side is grows else -leg.amount)
            for entry in self.entries[:count]
            for leg in entry.legs
            if leg.account == path
        ]

    def write(self, unit: list[Entry]) -> type[Exception] | None:
        """All or nothing; the refusal's type."""
        before = len(self.entries)
        for entry in unit:
            refusal: type[Exception] | None = None
            if entry.reference in self.references:
                refusal = AlreadyExists
            else:
                self.entries.append(entry)
                balances = self.balances()
                touched = {leg.account for leg in entry.legs}
                if any(account_kind(path).floor and balances[path] < 0 for path in touched):
                    refusal = FloorBroken
            if refusal is not None:
                del self.entries[before:]
                return refusal
        return None


class _Book(RuleBasedStateMachine):
    fresh: Callable[[], str]

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.model = _Model()
        self.sealed = 0
        self.head: str | None = None
        self.blocks: dict[int, int] = {}  # by block, how many entries were sealed with it
        database = open_database(parse(type(self).fresh()), SystemClock(), pool_size=2)
        self.store = Store("", Committer(database), database)

    @initialize()
    def begin(self) -> None:
        async def begin() -> None:
            self.store.committer.start()

        self.loop.run(begin())

    @rule(units=st.lists(_unit, min_size=1, max_size=4))
    def write(self, units: list[list[Entry]]) -> None:
        """A group of units, judged in order."""

        async def write() -> list[Any]:
            answers: list[Any] = await asyncio.gather(
                *(
                    self.store.committer.commit(Unit([Record(entry) for entry in unit]))
                    for unit in units
                ),
                return_exceptions=True,
            )
            return answers

        answers = self.loop.run(write())
        for unit, answer in zip(units, answers, strict=True):
            refusal = self.model.write(unit)
            assert type(answer) is (refusal or list), (unit, answer)

    @rule(amounts=st.lists(st.integers(-20, 20).filter(bool), min_size=20, max_size=60))
    def crowd(self, amounts: list[int]) -> None:
        """Many at one moment on one account with a floor: each sees what the one before left."""
        there, rest = _HOT, "float:opening:NGN"
        count = len(self.model.entries)
        self.write(
            [
                [
                    transfer(
                        f"hot{count}:{number}",
                        *("k", "s"),
                        (there, rest, amount) if amount > 0 else (rest, there, -amount),
                    )
                ]
                for number, amount in enumerate(amounts)
            ]
        )

    @rule(limit=st.integers(1, 6) | st.just(100))
    def seal(self, limit: int) -> None:
        """As many as there are, up to the limit."""
        left = len(self.model.entries) - self.sealed
        block = self.loop.run(seal(self.store, limit))
        assert (block.count if block else 0) == min(limit, left)
        if block:
            self.sealed += block.count
            self.head = block.hash
            self.blocks[block.id] = self.sealed

    @rule()
    def audit(self) -> None:
        """The book is right, and as long as the model says."""
        report = self.loop.run(audited(self.store, expect=self.head))
        assert report.findings == ()
        assert report.entries == len(self.model.entries)
        assert report.unsealed == report.entries - self.sealed
        assert report.head == self.head

    @rule(path=st.sampled_from(_PATHS))
    def tell(self, path: str) -> None:
        """An account's statement has its legs in order, and the balance after each."""
        changes = self.model.changes(path)
        try:
            lines = self.loop.run(
                self.store.database.read(lambda c: statement(c, path, limit=1000))
            )
        except NotFound:
            assert changes == []
            return
        grows = account_kind(path).grows_by
        told = [
            (line.reference, line.amount if line.side is grows else -line.amount) for line in lines
        ]
        assert told == changes
        balance = 0
        for line, (_, change) in zip(lines, changes, strict=True):
            balance += change
            assert line.balance_after == balance

    @precondition(lambda self: self.blocks)
    @rule(path=st.sampled_from(_PATHS), data=st.data())
    def look_back(self, path: str, data: st.DataObject) -> None:
        """The balance as of a block is the fold of the entries up to it."""
        block_id = data.draw(st.sampled_from(sorted(self.blocks)))
        wanted = self.model.balances(self.blocks[block_id])[path]
        try:
            found = self.loop.run(
                self.store.database.read(lambda c: balance_as_of(c, path, block_id=block_id))
            )
        except NotFound:
            assert wanted == 0
            return
        assert found.balance == wanted

    @invariant()
    def balances_are_the_models(self) -> None:
        """Accounts that a refused unit opened are there and empty."""
        kept = self.loop.run(kept_balances(self.store))
        assert {path: kept.get(path, 0) for path in _PATHS} == self.model.balances()

    @rule()
    def add_up(self) -> None:
        """Debits equal credits, in each currency by itself."""
        found = self.loop.run(self.store.database.read(trial_balance))
        assert found.balanced
        assert set(found.totals) <= set(_CURRENCIES)

    def teardown(self) -> None:
        self.loop.run(self.store.close())
        self.loop.close()


@pytest.mark.parametrize("examples", [12, pytest.param(30, marks=pytest.mark.long)])
def test_the_book_is_what_its_model_is(store_url: Callable[[], str], examples: int) -> None:
    """Balances, refusals, blocks, audits and readings agree after every step."""
    machine = type("_Book", (_Book,), {"fresh": staticmethod(store_url)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=12,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
