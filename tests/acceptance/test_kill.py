"""``kill -9`` at any moment loses nothing (DESIGN, promise 6), with the real program."""

from __future__ import annotations

import asyncio
import os
import random
from decimal import Decimal
from itertools import count

import pytest

from tests.support import world as worlds
from tests.support.node import free_port
from tests.support.world import INSTITUTION, OpenWorld, World
from tidegate.payouts.states import State
from tidegate.sandbox.faults import AggregatorFault as A
from tidegate.sandbox.faults import BankFault as B

open_world = worlds.open_world

# Each kill takes a start of the program; the long run makes as many as the promise is known for.
KILLS, KILLS_LONG = 4, 20
# Offers, roughly, in the second that a process lives and in the one it takes to start.
PAUSE_S = 0.06
# How long after it answers a process may live.
LIVES_S = (0.02, 0.7)
SETTLES_S = 45.0  # on a quiet machine

TERMS = {
    "offer_ttl_s": 12.0,
    "offers_max": 12,
    "reoffer_delay_s": 0.3,
    "reassign_interval_s": 2.0,
    "refund_interval_s": 3.0,
    "refund_timeout_s": 25.0,
    "poll_interval_s": 1.0,
    "settling_after_s": 0.2,
    "settled_after_s": 0.2,
    "slow_s": 0.7,
    "refuse_s": 0.2,
}
ENV = {"OFFER_TTL": "10", "NOT_FOUND_WINDOW": "2", "COOL_OFF": "2", "LOOKUP_STEADY": "2"}

# All that a run may meet, but what rests the PSP for half a minute (faults that are ours), and
# `declined`, whose debit stays out for ever and hides whether another's has come back.
BANK_RATES = dict.fromkeys(
    (
        B.DROP_BEFORE,
        B.DROP_AFTER,
        B.SLOW,
        B.ACT_LATE,
        B.ERROR_500_BEFORE,
        B.ERROR_503_AFTER,
        B.HTML_502_BEFORE,
        B.STATUS_FALSE_AFTER,
        B.RATE_LIMITED,
        B.DUPLICATE_WITHOUT_CODE,
        B.RECIPIENT_INVALID,
        B.QUEUED,
        B.FAILED_UNSUCCESSFUL,
        B.FAILED_TIMEOUT,
        B.FAILED_THEN_PAID,
        B.REVERSED,
        B.NOT_FOUND_AT_FIRST,
        B.LOOKUP_500,
        B.LOOKUP_OTHER_AMOUNT,
        B.WEBHOOK_NONE,
        B.WEBHOOK_DUPLICATE,
        B.WEBHOOK_STALE,
    ),
    0.03,
)
AGGREGATOR_RATES = dict.fromkeys(
    (
        A.OFFER_TWICE_CONCURRENTLY,
        A.OFFER_OTHER_AMOUNT,
        A.UNKNOWN_INSTITUTION,
        A.REOFFER_AFTER_END,
        A.EARLY_TX_STATUS,
        A.ACCEPT_DROP_BEFORE,
        A.ACCEPT_DROP_AFTER,
        A.ACCEPT_500,
        A.ACCEPT_SLOW,
        A.ACCEPT_AMOUNT_DIFFERS,
        A.ACCEPT_BAD_RECIPIENT,
        A.FULFIL_DROP_BEFORE,
        A.FULFIL_DROP_AFTER,
        A.FULFIL_500,
        A.CANCEL_DROP_AFTER,
        A.DECLINE_500,
        A.RATE_LIMITED_429,
    ),
    0.03,
)
# A reversal whose webhook found nobody is seen by the next reading, as money unexplained.
CASES = frozenset({"float_surplus", "report_not_taken"})


@pytest.mark.parametrize(
    "kills", [KILLS, pytest.param(KILLS_LONG, marks=pytest.mark.long)], ids="{}-times".format
)
async def test_kills_lose_nothing(
    open_world: OpenWorld, capsys: pytest.CaptureFixture[str], kills: int
) -> None:
    """Killed again and again in the midst of work and started again, every order reaches its right
    end, and none is paid twice."""
    seed = int(os.environ.get("TIDEGATE_TEST_SEED", random.SystemRandom().randrange(10**9)))
    print(f"seed {seed}: repeat with TIDEGATE_TEST_SEED={seed}")
    chance = random.Random(seed)  # noqa: S311 -- a run that can be repeated
    world = await open_world(terms=TERMS, env=ENV)
    _set_faults(world, seed)
    child = world.child("serve", port=free_port())
    world.listen_at(child.url)

    child.start()
    await child.ready()
    await world.able()
    offering = asyncio.create_task(_keep_offering(world, chance))
    for _ in range(kills):
        await asyncio.sleep(chance.uniform(*LIVES_S))
        child.kill()
        if chance.random() < 0.5:
            await world.leases_run_out()
        child.start()
        await child.ready()
    offering.cancel()
    child.kill()
    await world.leases_run_out()
    child.start()
    await child.ready()
    await world.settle(SETTLES_S)
    await world.reading_again()

    books = await world.assert_right(cases_allowed=CASES)
    ends = [State(row["state"]) for row in books.payouts.values()]
    fulfilled = ends.count(State.FULFILLED)
    with capsys.disabled():
        print(f"\n{len(ends)} orders, {fulfilled} fulfilled, {dict(books.case_kinds)}, seed {seed}")
    assert fulfilled > kills, "the run did work between the kills"


def _set_faults(world: World, seed: int) -> None:
    world.faults.plan.seed = world.aggregator_faults.seed = seed
    world.faults.plan.set_rates(BANK_RATES)
    world.aggregator_faults.set_rates(AGGREGATOR_RATES)
    world.faults.slow_s = 0.7
    world.faults.too_slow_s = 3.0  # acts when the node may be another process already
    world.faults.queued_s = 1.0
    world.faults.not_found_s = 3.0
    world.faults.failed_then_paid_s = 0.5
    world.faults.reversed_s = 1.5


async def _keep_offering(world: World, chance: random.Random) -> None:
    for number in count(1):
        order = world.aggregator.create(
            Decimal(1_000 + number),
            institution=INSTITUTION,
            account=world.account(),
            dialect="spec" if chance.random() < 0.2 else "live",
        )
        world.aggregator.send_soon(order)
        await asyncio.sleep(PAUSE_S)
