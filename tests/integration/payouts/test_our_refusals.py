"""The PSP refuses us: one order's refusal must not cancel its neighbours (psp.md 3.5)."""

from __future__ import annotations

import asyncio

from tests.integration.payouts.hands import Hands, Held, MakeHands
from tidegate.payouts.states import AttemptState, State
from tidegate.payouts.tables import payouts
from tidegate.sandbox.faults import EVERY, BankFault

REST_S, TURN_S = 30, 5


async def _accepted(hands: Hands, count: int) -> list[str]:
    orders = [await hands.world.offer() for _ in range(count)]
    for order_id in orders:
        await hands.accepted(order_id)
    return orders


async def _states(hands: Hands, orders: list[str]) -> list[str]:
    return [(await hands.world.payout(order_id))["state"] for order_id in orders]


async def test_after_a_rest_one_transfer_goes_first(make_hands: MakeHands) -> None:
    """With a bad token four orders cost two cancels, not four; the rest after is twice as long,
    and when the token is good again all that waited are paid."""
    hands = await make_hands()
    first, second, third, fourth = orders = await _accepted(hands, 4)
    hands.world.faults.plan.set(EVERY, BankFault.UNAUTHORISED, times=None)
    await hands.payout(first, "disburse:lenco")
    for order_id in (second, third, fourth):
        await hands.payout(order_id, "disburse:lenco")
    assert await _states(hands, orders) == [State.CANCELLED, *[State.ACCEPTED] * 3]

    hands.clock.advance(REST_S)
    held = Held(hands.bank)
    submit, hands.bank.submit = hands.bank.submit, held  # type: ignore[method-assign]  # the moment is the point
    sender = asyncio.create_task(hands.payout(second, "disburse:lenco"))
    await held.acted.wait()
    for order_id in (third, fourth):
        await hands.payout(order_id, "disburse:lenco")
    held.heard.set()
    await sender
    hands.bank.submit = submit  # type: ignore[method-assign]  # and is itself again
    assert hands.posts == 2
    assert await _states(hands, orders) == [*[State.CANCELLED] * 2, *[State.ACCEPTED] * 2]

    hands.world.faults.plan.heal()
    hands.clock.advance(2 * REST_S - TURN_S)
    await hands.payout(third, "disburse:lenco")
    assert hands.posts == 2, "it rests twice as long"
    hands.clock.advance(TURN_S)
    await hands.payout(third, "disburse:lenco")
    await hands.payout(fourth, "disburse:lenco")
    assert hands.posts == 4
    assert await _states(hands, [third, fourth]) == [State.PROCESSING] * 2
    assert [(await hands.world.attempts(one))[-1]["state"] for one in (third, fourth)] == [
        AttemptState.PENDING
    ] * 2


async def test_what_never_left_waits_for_the_rest(make_hands: MakeHands) -> None:
    """Bytes that are to go again are not sent into the refusal either."""
    hands = await make_hands()
    first, second = await _accepted(hands, 2)
    claimed = await hands.claim(payouts, await hands.world.payout(first))
    hands.clock.advance(claimed.ends_at - hands.clock.monotonic() - 29)
    await hands.run(claimed)  # too late under its lease: provably not sent
    hands.world.faults.plan.set(EVERY, BankFault.UNAUTHORISED)
    await hands.payout(second, "disburse:lenco")
    assert hands.posts == 1
    hands.world.faults.plan.heal()

    hands.clock.advance(TURN_S)
    one = await hands.attempt(first, "send:lenco")
    assert (hands.posts, one["state"], one["kind"]) == (1, AttemptState.PREPARED, "send:lenco")
    hands.clock.advance(REST_S)
    assert (await hands.attempt(first, "send:lenco"))["state"] == AttemptState.PENDING
