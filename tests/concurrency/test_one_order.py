"""One order, 64 workers (promise 1): one payout, one attempt, one transfer, told in its order."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from tests.concurrency.crowd import PROCESSES, TASKS, Crowd
from tests.concurrency.node import Node
from tests.support.world import INSTITUTION, OpenWorld, World
from tidegate.ledger.tables import entries
from tidegate.payouts.meaning import Meaning
from tidegate.payouts.states import AttemptState, State
from tidegate.payouts.tables import attempts, observations, offers, payout_events, payouts
from tidegate.sandbox.faults import AggregatorFault, BankFault

AMOUNT = 5_000
SLOW_S = 0.4
ROUNDS = 50
# Nothing is sent again within a test: the window in which the bank may be asked is the contract's.
ENV = {"NOT_FOUND_WINDOW": "900", "COOL_OFF": "1800", "HOLD_LIMIT": "1200", "OFFER_TTL": "60"}
TERMS = {
    "reoffer": "stock",
    "offer_ttl_s": 60.0,
    "poll_interval_s": 1e6,
    "reassign_interval_s": 1e6,
    "refund_interval_s": 1e6,
    "settling_after_s": 0.05,
    "settled_after_s": 0.05,
    "slow_s": SLOW_S,
}


async def test_sixty_four_workers_pay_one_order_once(crowd: Crowd, open_world: OpenWorld) -> None:
    """Each of them is offered it, and does whatever is due: every step is made by one of them."""
    world = await open_world(env=ENV, terms=TERMS)

    told = await _work(crowd, world, seed=1, pause_ms=2.0)

    await _assert_paid_once(world, told)
    counters = world.aggregator.counters
    assert (counters["accept 201"], counters["fulfill 200"]) == (1, 2), counters
    turns = _turns(told)
    assert (turns["stale"], turns["accept"], turns["disburse:lenco"]) == (0, 1, 1), turns


async def test_leases_that_run_out_under_their_turns(crowd: Crowd, open_world: OpenWorld) -> None:
    """Accept and transfer answer late, and again and again all leases are over: several hold
    the order at a time, and come back with what they know. Fences let one of them act."""
    world = await open_world(env=ENV, terms=TERMS)

    told = await _work(crowd, world, BankFault.SLOW, seed=1, pause_ms=2.0, leases_run_out=True)

    await _assert_paid_once(world, told)
    assert _turns(told)["stale"] > 0, "no turn lost its lease: the test has shown nothing"


@pytest.mark.long
@pytest.mark.parametrize("seed", range(ROUNDS))
async def test_again_with_other_pauses(crowd: Crowd, open_world: OpenWorld, seed: int) -> None:
    """The same at other paces, with every way in which an answer can be late or lost."""
    world = await open_world(env=ENV, terms=TERMS)
    faults = [BankFault.SLOW, BankFault.ACT_LATE, BankFault.DROP_AFTER, BankFault.ERROR_503_AFTER]

    told = await _work(
        crowd,
        world,
        faults[seed % len(faults)],
        seed=seed,
        pause_ms=seed / 2,
        leases_run_out=True,
    )

    await _assert_paid_once(world, told)


async def _work(
    crowd: Crowd,
    world: World,
    *faults: BankFault,
    seed: int,
    pause_ms: float,
    leases_run_out: bool = False,
) -> list[dict[str, Any]]:
    """Let the crowd be offered one order, and work until it is told of as paid."""
    world.faults.slow_s = world.faults.too_slow_s = SLOW_S
    account = world.account()
    world.faults.plan.set(account, *faults)
    order = world.aggregator.create(Decimal(AMOUNT), institution=INSTITUTION, account=account)
    if leases_run_out:
        world.aggregator_faults.set(order.id, AggregatorFault.ACCEPT_SLOW)
    world.aggregator.book.open_offer(order)
    offer = {
        "amount": order.wire_amount,
        "currency": order.currency,
        "institution": order.institution,
        "orderId": order.id,
    }
    env = world.environment()
    node = await Node.open(env)
    await node.do("banks", "balances")
    await node.close()
    return await crowd.play(
        "order",
        world.url,
        seed=seed,
        pause_ms=pause_ms,
        env=env,
        offer=json.dumps(offer),
        everybody=PROCESSES * TASKS,
        leases_run_out=leases_run_out,
    )


def _turns(told: list[dict[str, Any]]) -> Counter[str]:
    return sum((Counter(each["counts"]) for each in told), Counter())


async def _assert_paid_once(world: World, told: list[dict[str, Any]]) -> None:
    everybody = PROCESSES * TASKS
    meanings = Counter(each["meaning"] for each in told)
    assert meanings == {Meaning.NEW: 1, Meaning.REPEAT: everybody - 1}
    assert len(await world.rows(offers)) == everybody
    (payout,) = await world.rows(payouts)
    (attempt,) = await world.rows(attempts)
    assert (payout["state"], payout["held"], payout["attempts"]) == (State.FULFILLED, 0, 1)
    assert attempt["state"] == AttemptState.PAID

    # The bank counts what it was asked for; the aggregator judges what it was told.
    assert world.bank.requests["POST /transfer"] == 1
    assert world.bank.times_paid(attempt["reference"]) == 1
    story = Counter(row["event"] for row in await world.rows(payout_events))
    steps = ("offered", "reserved", "accepted", "dispatched", "paid", "reported")
    assert {step: story[step] for step in steps} == dict.fromkeys(steps, 1), story
    booked = await world.rows(entries, entries.c.subject == payout["id"])
    assert sorted(row["kind"] for row in booked) == ["payout.paid", "payout.reserved"]
    evidence = Counter(row["source"] for row in await world.rows(observations))
    assert evidence["submit"] == 1, "what the transfer was answered is kept, however late"
    await world.settle()
    await world.assert_right()
