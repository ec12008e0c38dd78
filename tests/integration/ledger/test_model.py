"""The book against a model of it: any order of groups, refusals, seals and audits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.integration.ledger.books import audited, kept_balances, seal
from tests.support.store import Store
from tidegate.clock import SystemClock
from tidegate.db.committer import Committer, Unit
from tidegate.db.engine import open_database
from tidegate.db.url import parse
from tidegate.errors import AlreadyExists, FloorBroken
from tidegate.ledger.book import Record
from tidegate.ledger.chart import account_kind
from tidegate.ledger.entry import Entry, transfer

_PATHS = (
    "psp:a:available:NGN",
    "psp:a:reserved:NGN",
    "psp:a:suspense:NGN",
    "float:opening:NGN",
)
_move = st.tuples(st.sampled_from(_PATHS), st.sampled_from(_PATHS), st.integers(1, 20))
_entry = st.builds(
    lambda reference, moves: transfer(f"r{reference}", "k", "s", *moves),
    st.integers(0, 25),
    st.lists(_move, min_size=1, max_size=3),
)
_unit = st.lists(_entry, min_size=1, max_size=3)


class _Model:
    """What a book is, without a database."""

    def __init__(self) -> None:
        self.balances: dict[str, int] = {}
        self.references: set[str] = set()

    def write(self, unit: list[Entry]) -> type[Exception] | None:
        """All or nothing; the refusal's type."""
        balances, references = dict(self.balances), set(self.references)
        for entry in unit:
            if entry.reference in references:
                return AlreadyExists
            for leg in entry.legs:
                grows = account_kind(leg.account).grows_by
                change = leg.amount if leg.side is grows else -leg.amount
                balances[leg.account] = balances.get(leg.account, 0) + change
            for leg in entry.legs:
                if account_kind(leg.account).floor and balances[leg.account] < 0:
                    return FloorBroken
            references.add(entry.reference)
        self.balances, self.references = balances, references
        return None


class _Book(RuleBasedStateMachine):
    fresh: Callable[[], str]

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.model = _Model()
        self.sealed = 0
        self.head: str | None = None
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

    @rule(limit=st.integers(1, 6))
    def seal(self, limit: int) -> None:
        """As many as there are, up to the limit."""
        left = len(self.model.references) - self.sealed
        block = self.loop.run(seal(self.store, limit))
        assert (block.count if block else 0) == min(limit, left)
        if block:
            self.sealed += block.count
            self.head = block.hash

    @rule()
    def audit(self) -> None:
        """The book is right, and as long as the model says."""
        report = self.loop.run(audited(self.store, expect=self.head))
        assert report.findings == ()
        assert report.entries == len(self.model.references)
        assert report.unsealed == report.entries - self.sealed
        assert report.head == self.head

    @invariant()
    def balances_are_the_models(self) -> None:
        """Accounts that a refused unit opened are there and empty."""
        kept = self.loop.run(kept_balances(self.store))
        assert {path: kept.get(path, 0) for path in _PATHS} == {
            path: self.model.balances.get(path, 0) for path in _PATHS
        }

    def teardown(self) -> None:
        self.loop.run(self.store.close())
        self.loop.close()


def test_the_book_is_what_its_model_is(store_url: Callable[[], str]) -> None:
    """Balances, refusals, blocks and audits agree after every step."""
    machine = type("_Book", (_Book,), {"fresh": staticmethod(store_url)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=12,
            stateful_step_count=12,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
