"""A9 under continuous load: readings that say nothing, and three that have to say something."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from itertools import count

import pytest
from sqlalchemy import select

from tests.support.node import LocalNode
from tests.support.world import INSTITUTION, OpenWorld, World
from tidegate.ledger.tables import accounts
from tidegate.payouts import balances
from tidegate.payouts.balances import Compared
from tidegate.payouts.states import AttemptState, State
from tidegate.sandbox.aggregator import orders
from tidegate.sandbox.bank.transactions import Status

PAID = 60
FUNDED, WITHDRAWN = Decimal(250_000), Decimal(400_000)
# An order every so many seconds of the machine, as long as not more than so many are open; each is
# undecided at the bank for some of the swift clock's.
PAUSE_S = 0.08
OPEN_MAX = 30
UNDER_WAY_S = (0.5, 4.0)
READINGS_PAUSE_S = 0.05
# How long what has ended still counts as under way; with one clock and a bank that returns a
# debit at once that may be short.
SKEW_S = 5
_ENDED = orders.PAID | orders.CLOSED | {orders.Status.CANCELLED}


async def test_the_band_under_load(open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """While orders flow, readings find nothing; a funding, a withdrawal by somebody else and a
    late reversal are each booked as what they are, and in the end the books equal the bank's."""
    monkeypatch.setattr(balances, "_SKEW_MS", SKEW_S * 1000)
    monkeypatch.setattr(balances, "_RETURNING_MS", SKEW_S * 1000)
    world = await open_world(
        factor=10,
        env={"BALANCE_SYNC_INTERVAL": "3600", "LOOKUP_SCHEDULE": "1,1,2"},
    )
    node = await world.local()
    world.bank.desk.decision_delay_s = UNDER_WAY_S
    async with _load(world), _readings(node) as readings:
        await _paid(world, 15)
        assert [one for one in readings if one.off_by] == [], "nothing strange happened yet"
        assert len(readings) > 5, "and yet it was looked at again and again"
        await world.until(lambda: _under_way(world), 20, "transfers under way")

        world.bank.fund(FUNDED)
        await world.until(lambda: _balance_is(world, "float:funding:NGN", FUNDED), 40, "funding")
        await _paid(world, 30)
        assert (await world.books()).balances["surplus"] == 0, "seen first or not: explained"

        world.bank.withdraw(WITHDRAWN)
        await _case(world, "float_shortfall")
        await _paid(world, 45)

        reference = next(
            one.reference
            for one in world.bank.transfers.values()
            if one.status is Status.SUCCESSFUL
        )
        returned = world.bank.reverse(reference).amount
        await _case(world, "payout_reversed")
        await _paid(world, PAID)
    await world.settle()
    # What ended a moment ago still counts as under way.
    await world.clock.sleep(SKEW_S + 1)
    await _read(node)

    books = await world.assert_right(cases_allowed={"float_shortfall", "float_surplus"})
    assert books.total == world.bank.books.balance()
    assert books.balances["missing"] == WITHDRAWN * 100, "all of it, and nothing else"
    assert books.balances["surplus"] == 0
    assert books.balances["suspense"] == returned, "owed to a recipient, not to be promised"
    assert await _balance(world, "float:funding:NGN") == FUNDED * 100
    assert await _balance(world, "payouts:returned:NGN") == returned
    assert await _balance(world, "suspense:outflow:NGN") == 0
    (last,) = [one for one in await _read(node) if one is not None]
    assert last.off_by == 0
    # A machine that stalls may let an offer expire: then it is paid at neither side, which the
    # judges above have seen to.
    ends = [State(row["state"]) for row in books.payouts.values()]
    assert ends.count(State.FULFILLED) >= PAID, ends


@asynccontextmanager
async def _load(world: World) -> AsyncIterator[None]:
    async def offer() -> None:
        for number in count(1):
            while _open(world) >= OPEN_MAX:  # noqa: ASYNC110 -- the sandbox tells nobody
                await asyncio.sleep(PAUSE_S)
            order = world.aggregator.create(
                Decimal(3_000 + number), institution=INSTITUTION, account=world.account()
            )
            world.aggregator.send_soon(order)
            await asyncio.sleep(PAUSE_S)

    task = asyncio.create_task(offer())
    try:
        yield
    finally:
        task.cancel()


def _open(world: World) -> int:
    """How many orders are neither paid nor given up."""
    return sum(order.status not in _ENDED for order in world.aggregator.orders.values())


@asynccontextmanager
async def _readings(node: LocalNode) -> AsyncIterator[list[Compared]]:
    found: list[Compared] = []

    async def read() -> None:
        while True:
            found.extend(one for one in await _read(node) if one is not None)
            await asyncio.sleep(READINGS_PAUSE_S)

    task = asyncio.create_task(read())
    try:
        yield found
        assert not task.done(), task
    finally:
        task.cancel()


async def _read(node: LocalNode) -> list[Compared | None]:
    return [await node.app.float_.compare(bank, "NGN") for bank in node.app.banks.values()]


async def _paid(world: World, wanted: int) -> None:
    """Go on once so many transfers were found paid."""

    async def enough() -> bool:
        books = await world.books()
        states = [one["state"] for rows in books.attempts.values() for one in rows]
        return states.count(AttemptState.PAID) >= wanted

    await world.until(enough, 60, f"{wanted} paid")


async def _under_way(world: World) -> bool:
    return (await world.books()).in_flight > 0


async def _case(world: World, kind: str) -> None:
    async def opened() -> bool:
        return kind in (await world.books()).case_kinds

    await world.until(opened, 40, kind)


async def _balance(world: World, path: str) -> int:
    statement = select(accounts.c.balance).where(accounts.c.path == path)
    found = await world.read(lambda c: c.execute(statement).scalar_one_or_none())
    return int(found or 0)


async def _balance_is(world: World, path: str, major: Decimal) -> bool:
    return await _balance(world, path) == major * 100
