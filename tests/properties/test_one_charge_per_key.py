"""POST /payments under any interleaving: one charge a key, one answer, a conflict otherwise.

The verbs run against the played processor; requests repeat, meet and contradict each other,
calls fail before and after they acted, and time passes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.integration.payments.test_lost_answers import moving
from tests.integration.payments.world import KEY, SECRET, World
from tests.support.databases import Prepare
from tests.support.node import migrate
from tidegate.clock import Randomness, SimulatedClock
from tidegate.db.engine import open_database
from tidegate.db.url import parse
from tidegate.errors import IdempotencyKeyReused, StillRunning
from tidegate.payments import tables
from tidegate.payments.answers import Answer
from tidegate.payments.create import NewPayment
from tidegate.payments.states import ENDED, State
from tidegate.sandbox.cards import SandboxCards
from tidegate.sandbox.faults import CardFault as F
from tidegate.sandbox.faults import CardFaults

T = TypeVar("T")

_KEYS = st.sampled_from(["first", "second"])
_AMOUNTS = st.sampled_from([1000, 2000])
_STEPS = st.sampled_from(["create", "confirm", "lookup"])
_FAULTS = st.sampled_from(
    [
        *(F.DROP_BEFORE, F.DROP_AFTER, F.ERROR_500_BEFORE, F.ERROR_500_AFTER, F.ERROR_503),
        *(F.HTML_502, F.HTML_502_AFTER, F.RATE_LIMITED, F.LOCK_TIMEOUT),
        *(F.DECLINED, F.PROCESSING),
    ]
)
_FINAL = frozenset({201, 402, 424})

Heard = Answer | StillRunning | IdempotencyKeyReused


class _Shop(RuleBasedStateMachine):
    fresh: Callable[[], str]

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.amount_of: dict[str, int] = {}  # what each key was first used for
        self.payment_of: dict[str, str] = {}
        self.final_of: dict[str, tuple[object, ...]] = {}  # the answer that every repeat gets

    @initialize()
    def open(self) -> None:
        async def open_() -> None:
            clock = SimulatedClock()
            self.processor = SandboxCards(
                clock,
                Randomness(clock, 3),
                api_key=KEY,
                webhook_secret=SECRET,
                faults=CardFaults(refuse_s=0.0),
            )
            await self.processor.start()
            database = open_database(parse(type(self).fresh()), clock, pool_size=4)
            self.world = World(database, clock, self.processor)
            self.method = await self.world.method()

        self.loop.run(open_())

    @rule(key=_KEYS, amounts=st.lists(_AMOUNTS, min_size=1, max_size=4))
    def ask(self, key: str, amounts: list[int]) -> None:
        """One request, or several with one key at one moment, alike or not."""
        self._judge(key, amounts, self.loop.run(self._ask(key, amounts)))

    @rule(step=_STEPS, fault=_FAULTS)
    def hurt(self, step: str, fault: F) -> None:
        """The next such call of each payment goes wrong once."""
        self.processor.faults.plan.set(step, fault)

    @rule(seconds=st.sampled_from([1, 5, 25, 600]))
    def wait(self, seconds: int) -> None:
        """Time passes and a worker looks at every payment."""
        self.loop.run(self._look(seconds))

    @invariant()
    def no_key_charges_twice(self) -> None:
        for payment in self.payment_of.values():
            assert len(self.processor.charges_of(payment)) <= 1

    def teardown(self) -> None:
        """Nothing fails any more: each key is settled, and charged if and only if it succeeded."""
        try:
            self.loop.run(self._settle())
            for key, amount in self.amount_of.items():
                (heard,) = self.loop.run(self._ask(key, [amount]))
                self._judge(key, [amount], [heard])
                assert isinstance(heard, Answer)
                assert heard.status in _FINAL
        finally:
            self.loop.run(self.world.close())
            self.loop.run(self.processor.stop())
            self.loop.close()

    async def _ask(self, key: str, amounts: Sequence[int]) -> list[Heard]:
        async def once(amount: int) -> Heard:
            asked = self.world.asked("create", key, print_=f"for {amount}")
            try:
                return await self.world.money.create(asked, NewPayment(amount, "EUR", self.method))
            except (StillRunning, IdempotencyKeyReused) as refused:
                return refused

        return await self._while_time_goes_on(asyncio.gather(*map(once, amounts)))

    def _judge(self, key: str, amounts: Sequence[int], heard: Sequence[Heard]) -> None:
        answers = [(amount, each) for amount, each in zip(amounts, heard, strict=True)]
        taken = {amount for amount, each in answers if not isinstance(each, IdempotencyKeyReused)}
        assert len(taken) <= 1, answers
        if taken:
            assert taken == {self.amount_of.setdefault(key, *taken)}
        assert key in self.amount_of
        for amount, each in answers:
            # Whoever asks for something else is told so, at once and always.
            assert isinstance(each, IdempotencyKeyReused) == (amount != self.amount_of[key])
            if isinstance(each, Answer):
                self._judge_answer(key, each)

    def _judge_answer(self, key: str, answer: Answer) -> None:
        assert answer.status in {*_FINAL, 202}, answer
        payment = str(answer.body["id"])
        assert self.payment_of.setdefault(key, payment) == payment
        assert answer.body["amount"] == self.amount_of[key]
        said = (answer.status, answer.code, dict(answer.body))
        if key in self.final_of or answer.status in _FINAL:
            assert self.final_of.setdefault(key, said) == said

    async def _look(self, seconds: float) -> None:
        await self.world.pass_time(seconds)
        for row in await self.world.rows(tables.payments):
            await self._while_time_goes_on(self.world.look(str(row["id"])))

    async def _while_time_goes_on(self, work: Awaitable[T]) -> T:
        """A verb may pause between two calls, on a clock that nobody else moves."""
        clock = moving(self.world)
        try:
            return await work
        finally:
            clock.cancel()

    async def _settle(self) -> None:
        self.processor.heal()
        rows = await self.world.rows(tables.payments)
        for _ in range(8):
            if all(row["state"] in ENDED for row in rows):
                break
            await self._look(60)
            rows = await self.world.rows(tables.payments)
        assert len(rows) == len(self.amount_of)
        taken = 0
        for row in rows:
            assert row["state"] in ENDED
            charges = self.processor.charges_of(str(row["id"]))
            assert len(charges) == (row["state"] == State.SUCCEEDED)
            taken += row["amount"] * len(charges)
        assert self.processor.books.violations == []
        books = await self.world.books()
        assert sum(books[path] for path in books if path.startswith("payments:")) == taken


@pytest.mark.parametrize("examples", [5, pytest.param(30, marks=pytest.mark.long)])
def test_a_key_is_one_wish(
    make_template: Callable[[str, Prepare], Callable[[], str]], examples: int
) -> None:
    """Whatever fails and whoever repeats."""
    fresh = make_template("node", migrate)
    machine = type("_Shop", (_Shop,), {"fresh": staticmethod(fresh)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=10,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
