"""Playing a story with its events told well, badly, or not at all, and what it came to."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

from tests.acceptance.processor.events import Event
from tests.acceptance.processor.scenarios import Story
from tests.acceptance.processor.shopper import Shopper
from tests.acceptance.processor.world import PaymentWorld

__all__ = ["Outcome", "ends_as", "play", "play_in_order"]

# What tells one run of a story from another.
_OWN = (
    "id",
    "created_at",
    "updated_at",
    "processor_reference",
    "payment_id",
    "payment_method_id",
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The payment and its refunds without their ids and times, what each account has more than
    before, and the kinds of cases about them."""

    payment: dict[str, Any]
    refunds: list[dict[str, Any]]
    books: dict[str, int]
    cases: Counter[str]

    @property
    def end(self) -> tuple[str, int, int, int]:
        """As in :data:`tests.acceptance.processor.scenarios.ENDS`."""
        payment = self.payment
        sums = payment["amount_captured"], payment["amount_refunded"]
        return payment["status"], *sums, self.books.get("user:USD", 0)


class _Run:
    """One run of a story by one shopper."""

    def __init__(self, world: PaymentWorld, shopper: Shopper) -> None:
        self.world = world
        self.shopper = shopper
        self.payment_id = ""
        self._before = world.balances()

    def outcome(self) -> Outcome:
        shopper, id_ = self.shopper, self.payment_id
        payment, refunds = shopper.payment(id_), shopper.refunds(id_)
        subjects = {id_, *(each["id"] for each in refunds)}
        return Outcome(
            payment=_plain(payment),
            refunds=sorted(map(_plain, refunds), key=repr),
            books=self._moved(),
            cases=Counter(kind for kind, subject, _ in self.world.cases() if subject in subjects),
        )

    def _moved(self) -> dict[str, int]:
        moved = Counter(self.world.balances())
        moved.subtract(self._before)
        user = f"payments:user:{self.shopper.id}"
        return {path.replace(user, "user"): more for path, more in moved.items() if more}


def play_in_order(world: PaymentWorld, shopper: Shopper, story: Story) -> Outcome:
    """Every event once, as soon as it happens, in order; the outcome when all is at rest."""
    run = _Run(world, shopper)
    world.processor.events.take()
    for payment_id in story(world, shopper):
        run.payment_id = payment_id
        for event in world.processor.events.take():
            _tell(world, event)
        _at_rest(world)
    return run.outcome()


def play(
    world: PaymentWorld,
    shopper: Shopper,
    story: Story,
    chance: random.Random,
    *,
    told: float = 1.0,
    twice: float = 0.4,
) -> _Run:
    """Tell each event with the chance ``told``, and again with ``twice``, in any order: some of
    them between the steps, the others at the end."""
    run = _Run(world, shopper)
    waiting: list[Event] = []
    world.processor.events.take()
    for payment_id in story(world, shopper):
        run.payment_id = payment_id
        for event in world.processor.events.take():
            if chance.random() < told:
                waiting += [event] * (2 if chance.random() < twice else 1)
        chance.shuffle(waiting)
        early = chance.randint(0, len(waiting))
        for event in waiting[:early]:
            _tell(world, event)
        waiting = waiting[early:]
    for event in waiting:
        _tell(world, event)
    return run


def ends_as(run: _Run, expected: Outcome, wait_s: float = 15.0) -> None:
    """Wait until the run came to what is expected and rests there."""
    wait_until = run.world.until
    try:
        wait_until(lambda: run.outcome() == expected, "the same end", wait_s)
    except AssertionError:
        # The difference says more than the log.
        assert run.outcome() == expected, run.payment_id
        raise
    _at_rest(run.world)
    assert run.outcome() == expected


def _plain(thing: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in thing.items() if name not in _OWN}


def _tell(world: PaymentWorld, event: Event) -> None:
    answer = world.processor.events.tell(event)
    assert answer.status == 200, (event["type"], answer.status, answer.body)


def _at_rest(world: PaymentWorld) -> None:
    """Every kept event is read, and nothing it prompted is under way."""
    now_due = "SELECT COUNT(*) FROM {} WHERE due_at IS NOT NULL"

    def resting() -> bool:
        if world.rows(now_due.format("inbox"))[0][0]:
            return False
        return not any(
            world.rows(f"SELECT 1 FROM {table} WHERE leased_until IS NOT NULL")  # noqa: S608 -- ours
            or world.rows(
                f"SELECT 1 FROM {table} WHERE due_at <= ?",  # noqa: S608 -- our words
                world.now_ms(),
            )
            for table in ("payments", "refunds", "disputes")
        )

    world.until(resting, "rest")
