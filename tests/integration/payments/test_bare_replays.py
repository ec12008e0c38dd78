"""A stored failure that comes back without a word that it is a stored one.

Any 5xx is stored under its key (processor.md 1). Whether the processor says so when it answers with
it again must not decide whether a payment ends.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.payments.conftest import OpenPayments
from tests.integration.payments.world import USER, World
from tidegate.payments import tables
from tidegate.ports.cards import Found, Refused
from tidegate.sandbox.faults import CardFault as F


@pytest.fixture
async def world(open_payments: OpenPayments) -> World:
    """A processor whose stored answers look like new ones."""
    return await open_payments(says_replayed=False)


async def _settled(world: World, row_id: str, *waits_s: float) -> str:
    for wait_s in waits_s:
        await world.pass_time(wait_s)
        await world.look(row_id)
    return str((await world.row_of(row_id))["state"])


async def test_a_create_that_fails_for_ever_is_made_under_the_next_key(world: World) -> None:
    """The list shows no object: the card is charged in the first minute, not a day later."""
    world.processor.faults.plan.set("create", F.ERROR_500_BEFORE)
    payment = str((await world.pay()).body["id"])
    assert await _settled(world, payment, 5) == "succeeded"
    assert len(world.processor.charges_of(payment)) == 1
    assert world.processor.books.violations == []


async def test_a_create_that_failed_once_is_made_again_with_its_key(world: World) -> None:
    """A first 5xx proves nothing, even if the tries before it did not begin."""
    world.processor.faults.plan.set("create", F.RATE_LIMITED)
    payment = str((await world.pay()).body["id"])
    world.processor.faults.plan.set("create", F.ERROR_503)
    assert await _settled(world, payment, 5) == "created"
    assert (await world.row_of(payment))["step"] == 1
    assert await _settled(world, payment, 5) == "succeeded"
    assert (await world.row_of(payment))["step"] == 1
    assert len(world.processor.charges_of(payment)) == 1


async def test_a_create_that_acted_is_found_whatever_it_answers(world: World) -> None:
    """Its object is the payment's: there is no second one."""
    world.processor.faults.plan.set("create", F.ERROR_500_AFTER)
    payment = str((await world.pay()).body["id"])
    assert await _settled(world, payment, 5) == "succeeded"
    row = await world.row_of(payment)
    there = world.processor.intent(payment)
    assert there is not None
    assert (row["step"], row["processor_reference"]) == (1, there.id)
    assert len(world.processor.charges_of(payment)) == 1


@pytest.mark.parametrize("step", ["confirm", "capture", "cancel"])
async def test_a_step_that_fails_for_ever_is_taken_under_the_next_key(
    world: World, step: str
) -> None:
    """Twice with its key, the object showing no trace after each, then once with the next."""
    world.processor.faults.plan.set(step, F.ERROR_500_BEFORE)
    payment = str((await world.pay(manual_capture=step != "confirm")).body["id"])
    if step == "capture":
        await world.capture(payment, 700)
    if step == "cancel":
        await world.money.cancel(USER, payment)
    assert (await world.row_of(payment))["step"] == 1
    ended = await _settled(world, payment, 25, 25)
    assert ended == ("canceled" if step == "cancel" else "succeeded")
    assert (await world.row_of(payment))["step"] == 2
    assert len(world.processor.charges_of(payment)) == (0 if step == "cancel" else 1)
    assert await world.cases() == set()
    assert world.processor.books.violations == []


@pytest.mark.parametrize("step", ["confirm", "capture"])
async def test_a_step_that_acted_is_not_taken_again(world: World, step: str) -> None:
    """The object shows it: no further call is made."""
    world.processor.faults.plan.set(step, F.ERROR_500_AFTER)
    payment = str((await world.pay(manual_capture=step == "capture")).body["id"])
    if step == "capture":
        await world.capture(payment, 700)
    assert await _settled(world, payment, 25) == "succeeded"
    row = await world.row_of(payment)
    assert (row["step"], row["sends"]) == (1, 1)
    assert len(world.processor.charges_of(payment)) == 1


async def test_what_fails_for_ever_does_not_keep_a_failed_payments_object_open(
    world: World,
) -> None:
    """The cancel that closes it met a 500."""
    answer = await world.pay("pm_card_authenticationRequired")
    payment = str(answer.body["id"])
    world.processor.authenticate(payment, approve=False)
    world.processor.faults.plan.set("cancel", F.ERROR_500_BEFORE)
    for _ in range(3):
        row = await world.look(payment)
    assert (row["state"], row["due_at"]) == ("failed", None)
    intent = world.processor.intent(payment)
    assert intent is not None
    assert intent.status == "canceled"


async def test_a_refusal_under_the_next_key_says_nothing_of_the_call_before(world: World) -> None:
    """Nobody said that the 500s were stored ones, and the call behind them acts after all: what is
    refused then must not make the payment fail."""
    world.processor.faults.plan.set("confirm", F.ERROR_500_BEFORE)
    payment = str((await world.pay()).body["id"])
    assert await _settled(world, payment, 25) == "confirming"
    cards = world.money.cards
    confirm = cards.confirm

    async def acts_and_is_refused(*given: Any) -> Refused:
        ended = await confirm(*given)
        assert isinstance(ended, Found)
        return Refused("api_key_expired", "Expired API key.", ended.exchange, misconfigured=True)

    _replace(cards, "confirm", acts_and_is_refused)
    assert await _settled(world, payment, 25) == "succeeded"
    _replace(cards, "confirm", confirm)
    assert len(world.processor.charges_of(payment)) == 1
    told = [str(event["type"]) for event in await world.rows(tables.payment_events)]
    assert "payment.failed" not in told


async def test_a_refund_keeps_its_key(world: World) -> None:
    """Two refunds of one payment are both possible, so nothing guards a second key: it stays
    unknown, and a person is told."""
    payment = str((await world.pay()).body["id"])
    world.processor.faults.plan.set("refund", F.ERROR_500_BEFORE)
    refund = str((await world.refund(payment, 400)).body["id"])
    for _ in range(6):
        await world.pass_time(60)
        row = await world.look(refund)
    assert (row["state"], row["step"]) == ("asking", 1)
    assert row["sends"] > 1
    await world.pass_time(86_400)
    await world.look(refund)
    assert "refund_unknown" in await world.cases()
    assert world.processor.refunds_of(payment) == []


def _replace(owner: object, name: str, by: object) -> None:
    setattr(owner, name, by)
