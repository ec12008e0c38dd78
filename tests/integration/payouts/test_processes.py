"""Several processes on PostgreSQL: one answers, two work, and one of these is killed."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from sqlalchemy import text

from tests.support.node import ChildNode, free_port
from tests.support.world import INSTITUTION, OpenWorld, World
from tidegate.payouts.states import State
from tidegate.sandbox.aggregator.orders import PAID, Order

ORDERS = 200
POLL_S = 12.0
# So long nobody calls anybody once the worker that lives has nothing in hand.
STILL_S = 4.0
# Offers that are being answered at one time.
AT_ONCE = 8
# Asked after 30 s at the soonest, as the contract says: who answered *success* before anything was
# reported would be held against the *pending* that follows, which the node cannot know of earlier.
TERMS = {"offers_max": 20, "first_poll_after_s": 30.0, "poll_interval_s": 1.0}


@pytest.mark.parametrize("databases", ["postgresql"], indirect=True)
async def test_two_workers_and_an_api(
    open_world: OpenWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each of 200 orders is paid once, though the process that answers does no work, two do, and
    one of them dies in the middle. Work is handed over by notification, far quicker than by
    polling."""
    world = await open_world(terms=TERMS, env={"WORK_POLL_INTERVAL": str(POLL_S)})
    api = world.child("serve", "--no-worker", port=free_port())
    workers = [world.child("worker", port=free_port()) for _ in range(2)]
    for child in (api, *workers):
        child.start()
    await api.ready()
    world.listen_at(api.url)
    await world.able()
    await _both_work(world)

    first = await _offer(world, ORDERS // 2)
    await world.until(lambda: _ended(world, first, len(first)), 30, "the first half settled")
    _kill_later(workers[0])
    second = await _offer(world, ORDERS // 2)
    orders = [*first, *second]
    await _leases_of_the_dead_run_out(world)
    await world.until(lambda: _ended(world, orders, ORDERS), 30, "all orders settled")
    await world.settle()

    books = await world.assert_right()
    assert {row["state"] for row in books.payouts.values()} == {State.FULFILLED}
    assert len(world.bank.transfers) == ORDERS
    assert all(world.bank.times_paid(reference) == 1 for reference in world.bank.transfers)
    waits = sorted(_wait(order) for order in first)
    # Half of a poll is the median of what only polling finds, however quick the machine is.
    median = waits[len(waits) // 2]
    with capsys.disabled():
        print(f"\noffer to accept across processes: median {median / POLL_S:.3f} of a poll")
    assert median / POLL_S < 0.3, "handed over, not found by polling"


async def _offer(world: World, number: int) -> list[Order]:
    """Offer orders, a few at a time; returns when the node has answered all."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(place: int) -> Order:
        order = world.aggregator.create(
            Decimal(1_000 + place), institution=INSTITUTION, account=world.account()
        )
        async with gate:
            await world.aggregator.send(order)
        return order

    return list(await asyncio.gather(*(one(place) for place in range(number))))


def _kill_later(child: ChildNode) -> None:
    asyncio.get_running_loop().call_later(0.3, child.kill)


async def _both_work(world: World) -> None:
    """Both workers know every institution: each has to take orders from its first claim on."""
    statement = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted")

    async def listening() -> bool:
        return bool(await world.read(lambda c: c.execute(statement).scalar_one()) >= 2)

    await world.until(listening, 20, "both workers listen")


async def _ended(world: World, orders: list[Order], wanted: int) -> bool:
    return sum(order.status in PAID for order in orders) >= wanted


async def _leases_of_the_dead_run_out(world: World) -> None:
    """Once the worker that lives has nothing in hand: what is leased now is the dead one's."""

    def calls() -> dict[str, int]:
        counted = world.aggregator.counters.items()
        return {call: times for call, times in counted if call.startswith(("accept", "fulfill"))}

    async def still() -> bool:
        before = ((await world.books()).leased, calls())
        await asyncio.sleep(STILL_S)  # a slow worker that loses its lease would do work twice
        books = await world.books()
        open_orders = [row for row in books.payouts.values() if row["kind"] is not None]
        quiet = before == (books.leased, calls())
        return quiet and all(row["leased_until"] for row in open_orders)

    await world.until(still, 40, "only dead leases")
    await world.leases_run_out()
    await world.execute(lambda c: c.execute(text("NOTIFY tidegate_work")))  # or wait for the poll


def _wait(order: Order) -> float:
    return order.marks["accept_received"] - order.marks["answered"]
