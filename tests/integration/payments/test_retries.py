"""The same request again while its outcome is unknown: what it is told, what it leaves alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from tests.integration.payments.world import USER, World
from tidegate.payments import tables
from tidegate.payments.answers import Answer
from tidegate.payments.create import NewPayment
from tidegate.sandbox.faults import CardFault as F

Ask = Callable[[], Awaitable[Answer]]


async def _asking(world: World, step: str) -> Ask:
    """The request of a step, the same each time it is called."""
    money, asked = world.money, world.asked(step, "k")
    if step in {"create", "confirm"}:
        wish = NewPayment(1000, "EUR", await world.method())
        return lambda: money.create(asked, wish)
    payment = str((await world.pay(manual_capture=step != "refund")).body["id"])
    if step == "capture":
        return lambda: money.capture(asked, payment, 700)
    if step == "cancel":
        return lambda: money.cancel(USER, payment, asked)
    return lambda: money.refund(asked, payment, 400, None)


@pytest.mark.parametrize("step", ["create", "confirm", "capture", "cancel", "refund"])
async def test_a_retry_says_that_it_is_one_and_leaves_the_schedule_alone(
    world: World, step: str
) -> None:
    """However often a client asks, the workers look when they would have; and whichever of the
    two finds the outcome, the client's request is a repeated one."""
    ask = await _asking(world, step)
    fault = F.DROP_BEFORE if step == "create" else F.DROP_AFTER
    world.processor.faults.plan.set(step, fault, times=None if step == "create" else 1)
    first = await ask()
    assert (first.status, first.replayed, first.body["outcome"]) == (202, False, "unknown")
    world.processor.faults.plan.set("lookup", F.LOOKUP_500, times=None)
    table = tables.refunds if step == "refund" else tables.payments
    before = await world.row(table, str(first.body["id"]))
    for _ in range(3):
        again = await ask()
        assert (again.status, again.replayed, again.body["outcome"]) == (202, True, "unknown")
        row = await world.row(table, before["id"])
        assert row["lookups"] == before["lookups"]
        assert abs(row["due_at"] - before["due_at"]) < 1_000

    world.processor.heal()
    ended = await ask()

    assert (ended.status, ended.replayed) == ((200 if step in {"capture", "cancel"} else 201), True)
