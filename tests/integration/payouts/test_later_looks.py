"""When the PSP is asked again: after what is over, too (psp.md 3.7), and as it asked us to wait."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.payouts.hands import Hands, MakeHands
from tidegate.payouts.states import AttemptState
from tidegate.sandbox.faults import EVERY, BankFault

MINUTE, HOUR = 60, 3_600


async def _due_in_s(hands: Hands, order_id: str) -> float | None:
    """In how many seconds the order's transfer is looked up; ``None`` for never."""
    one = (await hands.world.attempts(order_id))[-1]
    assert one["kind"] in {None, "confirm:lenco"}
    return None if one["due_at"] is None else (one["due_at"] - hands.clock.now_ms()) / 1_000


async def test_an_hour_and_a_day_after_it_was_paid(make_hands: MakeHands) -> None:
    """However long the transfer took: counted from its success, and a reversal is seen."""
    hands = await make_hands()
    hands.world.faults.queued_s = 30 * HOUR
    hands.world.bank.set_webhook_url(None)
    order_id = await hands.world.offer(bank_faults=[BankFault.QUEUED])
    await hands.sent(order_id, AttemptState.PENDING)
    hands.clock.advance(30 * HOUR + MINUTE)
    async with asyncio.timeout(60):
        while (await hands.look_up(order_id))["state"] != AttemptState.PAID:  # noqa: ASYNC110 -- the bank tells nobody
            await asyncio.sleep(0.01)

    assert await _due_in_s(hands, order_id) == pytest.approx(HOUR, abs=5)
    hands.clock.advance(HOUR + 5)
    await hands.attempt(order_id, "confirm:lenco")
    assert await _due_in_s(hands, order_id) == pytest.approx(23 * HOUR, abs=10)
    hands.world.bank.reverse((await hands.world.attempts(order_id))[0]["reference"])
    hands.clock.advance(23 * HOUR)
    assert (await hands.attempt(order_id, "confirm:lenco"))["state"] == AttemptState.REVERSED
    assert await _due_in_s(hands, order_id) is None


async def test_the_last_look_is_the_last(make_hands: MakeHands) -> None:
    """Twice, and no more."""
    hands = await make_hands()
    hands.world.bank.set_webhook_url(None)
    order_id = await hands.world.offer()
    await hands.sent(order_id, AttemptState.PENDING)
    assert (await hands.look_up(order_id))["state"] == AttemptState.PAID
    for _ in range(2):
        hands.clock.advance(await _due_in_s(hands, order_id) or 0)
        await hands.attempt(order_id, "confirm:lenco")
    assert await _due_in_s(hands, order_id) is None


async def test_a_reversal_is_asked_after_until_the_bank_answers(make_hands: MakeHands) -> None:
    """The webhook comes once; the bank is away for a day then. Nothing but an answer ends it."""
    hands = await make_hands()
    order_id = await hands.world.offer()
    await hands.sent(order_id, AttemptState.PENDING)
    await hands.look_up(order_id)
    hands.clock.advance(25 * HOUR)
    await hands.attempt(order_id, "confirm:lenco")
    assert await _due_in_s(hands, order_id) is None

    hands.world.faults.plan.set(EVERY, BankFault.LOOKUP_401, times=None)
    hands.world.bank.reverse((await hands.world.attempts(order_id))[0]["reference"])
    await hands.webhooks()
    for number in range(30):
        wait = await _due_in_s(hands, order_id)
        assert wait is not None, f"given up after {number} tries"
        assert wait <= HOUR
        hands.clock.advance(wait)
        await hands.attempt(order_id, "confirm:lenco")
    hands.world.faults.plan.heal()
    hands.clock.advance(HOUR)
    assert (await hands.attempt(order_id, "confirm:lenco"))["state"] == AttemptState.REVERSED


async def test_a_late_success_is_asked_after_as_well(make_hands: MakeHands) -> None:
    """A prompt about a transfer that had failed: one question without an answer drops nothing."""
    hands = await make_hands()
    hands.world.bank.set_webhook_url(None)
    order_id = await hands.world.offer(bank_faults=[BankFault.FAILED_UNSUCCESSFUL])
    await hands.sent(order_id, AttemptState.PENDING)
    assert (await hands.look_up(order_id))["state"] == AttemptState.FAILED
    hands.world.faults.plan.set(EVERY, BankFault.LOOKUP_401, times=None)
    await hands.look_up(order_id)
    wait = await _due_in_s(hands, order_id)
    assert wait is not None
    hands.world.faults.plan.heal()
    hands.clock.advance(wait)
    await hands.attempt(order_id, "confirm:lenco")
    assert await _due_in_s(hands, order_id) is None


@pytest.mark.parametrize(("asked_s", "wait_s"), [(600, 600), (90_000, HOUR)])
async def test_the_bank_may_ask_for_patience(
    make_hands: MakeHands, asked_s: int, wait_s: int
) -> None:
    """``Retry-After`` lengthens the wait before the next look-up, to an hour at most; a prompt
    ends it all the same."""
    hands = await make_hands()
    hands.world.faults.retry_after_s = asked_s
    hands.world.bank.set_webhook_url(None)
    order_id = await hands.world.offer()
    await hands.sent(order_id, AttemptState.PENDING)
    hands.world.faults.plan.set(EVERY, BankFault.RATE_LIMITED, times=None)
    one = await hands.look_up(order_id)
    assert one["state"] == AttemptState.PENDING
    assert await _due_in_s(hands, order_id) == pytest.approx(wait_s, rel=0.1)
    hands.world.faults.plan.heal()
    assert (await hands.look_up(order_id))["state"] == AttemptState.PAID
