"""The drill: the database is lost, the backup is minutes old, and nothing is paid twice."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.support import world as worlds
from tests.support.databases import Databases
from tests.support.node import ChildNode, free_port
from tests.support.programs import postgresql_programs
from tests.support.world import INSTITUTION, OpenWorld, World
from tidegate.cases.tables import operator_actions
from tidegate.db.quarantine import quarantine_orders, quarantines
from tidegate.payouts.references import order_reference
from tidegate.payouts.states import State
from tidegate.payouts.tables import found_transfers, payouts
from tidegate.sandbox.faults import AggregatorFault as A
from tidegate.sandbox.faults import BankFault as B

open_world = worlds.open_world

ENV = {"NOT_FOUND_WINDOW": "2", "COOL_OFF": "1", "LOOKUP_STEADY": "1", "OFFER_TTL": "10"}


async def _command(child: ChildNode, *arguments: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(child.command, *arguments)


def _moved(world: World, url: str) -> None:
    world.url = url


async def _offered_again(world: World, order_id: str) -> None:
    """The aggregator's call once more, whatever it has on record."""
    order = world.aggregator.order(order_id)
    offer = {
        "amount": str(int(order.amount)),
        "currency": "NGN",
        "institution": INSTITUTION,
        "orderId": order_id,
    }
    answer = await world.aggregator._client.post("/new_order", offer)
    assert answer.status == 200


def _times_paid(world: World, reference: str) -> int:
    return sum(world.bank.times_paid(f"{reference}-{number:02d}") for number in range(1, 10))


@pytest.fixture
def fresh(databases: Databases) -> Callable[[], str]:
    return databases.empty


@pytest.mark.long
async def test_the_last_minutes_are_lost_and_nothing_is_paid_twice(
    open_world: OpenWorld, fresh: Callable[[], str], tmp_path: Path
) -> None:
    """Paid, unreported and unfinished orders of the lost minutes are found by their references and
    become rows; offered again they are recognised; every recipient gets the money once."""
    world = await open_world(env={**ENV, "POSTGRESQL_PROGRAMS": postgresql_programs()})
    child = world.child("serve", port=free_port())
    world.listen_at(child.url)
    child.start()
    await child.ready()
    await world.able()
    kept = [await world.offer() for _ in range(2)]
    for order_id in kept:
        await world.reaches(order_id, State.FULFILLED)
    # Under way at the moment of the backup: its end comes in the lost minutes.
    under_way = await world.offer(bank_faults=[B.QUEUED])
    await world.reaches(under_way, State.PROCESSING)

    backup = tmp_path / "nightly.backup"
    taken = await _command(child, "backup", str(backup), "--json")
    assert taken.returncode == 0, taken.stdout + taken.stderr
    node_id = json.loads(taken.stdout)["node_id"]

    lost = [await world.offer() for _ in range(2)]
    unreported = await world.offer(A.FULFIL_500, times=None)
    for order_id in lost:
        await world.reaches(order_id, State.FULFILLED)
    await world.reaches(unreported, State.PAID)
    all_lost = [*lost, unreported]
    child.kill()
    paid_before = {
        one: _times_paid(world, order_reference("sandbox", node_id, one)) for one in all_lost
    }
    assert set(paid_before.values()) == {1}

    # The database is gone; the copy knows nothing of three orders.
    target = fresh()
    restored = await _command(child, "restore", str(backup), "--into", target, "--verify", "--json")
    assert restored.returncode == 0, restored.stdout + restored.stderr
    assert json.loads(restored.stdout)["quarantine"]
    _moved(world, target)
    await world.reconnect()
    assert not [row for row in await world.rows(payouts) if row["order_id"] in all_lost]

    again = world.child("serve", port=free_port())
    world.listen_at(again.url)
    world.heal()
    again.start()
    await again.ready()
    early = await _command(again, "quarantine", "release", "--reason", "too early")
    assert early.returncode == 1, early.stdout
    # The aggregator offers one of the lost orders again, and a new one, meanwhile.
    await _offered_again(world, lost[0])
    fresh_order = await world.offer()
    rows = {row["order_id"]: row for row in await world.rows(payouts)}
    assert rows[fresh_order]["state"] == State.PENDING
    assert rows[lost[0]]["state"] == State.PENDING
    transfers = len(world.bank.transfers)

    checked = await _command(again, "quarantine", "check", "--wait", "--json")
    assert checked.returncode == 0, checked.stdout + checked.stderr + again.tail()
    assert len(world.bank.transfers) == transfers, "a transfer was made in quarantine"
    found = {row["reference"] for row in await world.rows(found_transfers)}
    for order_id in all_lost:
        assert f"{order_reference('sandbox', node_id, order_id)}-01" in found
    assert all(row["state"] == "done" for row in await world.rows(quarantine_orders))

    released = await _command(again, "quarantine", "release", "--reason", "all is found")
    assert released.returncode == 0, released.stdout + released.stderr
    # And once more after it: a repeat of what is paid, and an order of today.
    await _offered_again(world, lost[1])
    today = await world.offer()
    await world.reaches(today, State.FULFILLED)
    await world.settle()
    for order_id in [*kept, under_way, *all_lost, today]:
        reference = order_reference("sandbox", node_id, order_id)
        assert _times_paid(world, reference) == 1, order_id
    assert _times_paid(world, order_reference("sandbox", node_id, fresh_order)) <= 1
    await world.assert_right(
        cases_allowed={"transfer_adopted", "float_surplus", "float_shortfall", "report_not_taken"}
    )
    (row,) = await world.rows(quarantines)
    assert row["released_at"] is not None
    assert not row["forced"]
    actions = await world.read(
        lambda c: c.execute(select(operator_actions.c.action)).scalars().all()
    )
    assert "quarantine.released" in actions
