"""What once got stuck, was answered twice, or was lost: payments and their keys."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.integration.payments.test_books import post
from tests.integration.payments.test_lost_answers import moving
from tests.integration.payments.world import RULES, USER, World
from tidegate.clock import Randomness
from tidegate.db.committer import Committer
from tidegate.errors import StillRunning
from tidegate.payments import prompts, tables
from tidegate.payments.create import NewPayment
from tidegate.payments.make import make_money_in
from tidegate.sandbox.faults import CardFault as F


async def _reference(world: World, method: str) -> str:
    return str((await world.row(tables.payment_methods, method))["reference"])


async def test_a_failed_payment_that_is_paid_at_the_processor_is_always_heard_of(
    world: World,
) -> None:
    """The cancel is refused while the client's second card is processing; a stored refusal of it
    must not hide the success that follows."""
    answer = await world.pay("pm_card_authenticationRequired")
    payment, intent = str(answer.body["id"]), str(answer.body["processor_reference"])
    world.processor.authenticate(payment, approve=False)
    other = await _reference(world, await world.method())
    assert (await world.look(payment))["state"] == "failed"
    world.processor.faults.plan.set(payment, F.PROCESSING)
    await post(world, f"/v1/payment_intents/{intent}/confirm", payment_method=other)
    assert (await world.look(payment))["due_at"] is not None
    await world.pass_time(30)
    assert (await world.look(payment))["state"] == "succeeded"
    assert "payment_late_success" in await world.cases()


async def test_a_stored_failure_does_not_keep_a_failed_payments_object_open(world: World) -> None:
    """The cancel that closes it met a 500, which the processor answers that key with for a day."""
    answer = await world.pay("pm_card_authenticationRequired")
    payment = str(answer.body["id"])
    world.processor.authenticate(payment, approve=False)
    world.processor.faults.plan.set("cancel", F.ERROR_500_BEFORE)
    assert (await world.look(payment))["state"] == "failed"
    for _ in range(3):
        row = await world.look(payment)
    assert row["due_at"] is None
    intent = world.processor.intent(payment)
    assert intent is not None
    assert intent.status == "canceled"


async def test_a_key_is_answered_once_whoever_answers_it(world: World) -> None:
    """The retry has read the key, a worker stores the outcome, then the retry reads the payment."""
    method = await world.method()
    wish = NewPayment(1000, "EUR", method)
    world.processor.faults.plan.set("create", F.ERROR_503)
    first = await world.money.create(world.asked("create", "k"), wish)
    payment = str(first.body["id"])
    await post(world, f"/v1/payment_methods/{await _reference(world, method)}/detach")
    real, reads = world.database.fetch, 0

    async def fetch(work: Any) -> Any:
        nonlocal reads
        result = await real(work)
        reads += 1
        if reads == 1:
            setattr(world.database, "fetch", real)  # noqa: B010 -- mypy forbids the plain form
            await world.look(payment)
        return result

    setattr(world.database, "fetch", fetch)  # noqa: B010 -- likewise
    second = await world.money.create(world.asked("create", "k"), wish)
    third = await world.money.create(world.asked("create", "k"), wish)
    assert (second.status, second.code) == (third.status, third.code) == (424, "processor_failed")


async def test_a_customer_whose_creation_failed_is_asked_for_anew(world: World) -> None:
    """The stored 500 of a key does not keep a user from storing a card."""
    world.processor.faults.plan.set("customer", F.ERROR_500_BEFORE)
    with pytest.raises(Exception, match="cannot be reached"):
        await world.method()
    assert await world.method()


async def test_a_look_at_a_payment_that_failed_without_an_object_does_nothing(
    world: World,
) -> None:
    """An operator made it due while it was being created, and then it was refused."""
    method = await world.method()
    world.processor.faults.plan.set("create", F.ERROR_503)
    wish = NewPayment(1000, "EUR", method)
    first = await world.money.create(world.asked("create", "k"), wish)
    payment = str(first.body["id"])
    await post(world, f"/v1/payment_methods/{await _reference(world, method)}/detach")
    assert (await world.look(payment))["state"] == "failed"
    assert (await world.look(payment))["due_at"] is None
    assert await world.cases() == set()


async def test_a_sweep_that_is_not_finished_is_gone_on_with(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More events than one sweep reads: the next goes on behind the last one, to the oldest."""
    monkeypatch.setattr(prompts, "_PAGES_MAX", 1)
    for _ in range(30):
        await world.pay()
    result = await world.money.sweep(None)
    sweeps = 1
    while "began" in result:
        assert result["until_ms"] is None
        result = await world.money.sweep(result)
        sweeps += 1
    assert sweeps > 1
    assert result["until_ms"] is not None


async def test_a_payment_without_an_object_can_be_given_up(world: World) -> None:
    """The processor is away, the client changes its mind: it is never charged afterwards."""
    method = await world.method()
    world.processor.faults.plan.set("create", F.ERROR_503, times=None)
    wish = NewPayment(1000, "EUR", method)
    first = await world.money.create(world.asked("create", "k"), wish)
    payment = str(first.body["id"])
    canceled = await world.money.cancel(USER, payment, world.asked("cancel", "c"))
    assert (canceled.status, canceled.body["status"]) == (200, "canceled")
    world.processor.heal()
    assert (await world.look(payment))["state"] == "canceled"
    again = await world.money.create(world.asked("create", "k"), wish)
    assert (again.status, again.replayed, again.body["status"]) == (201, True, "canceled")
    assert world.processor.charges_of(payment) == []


async def test_a_charge_that_could_not_be_begun_for_a_day_is_given_up(world: World) -> None:
    """Nobody is charged days later, when the processor is back."""
    world.processor.faults.plan.set("create", F.ERROR_503, times=None)
    payment = str((await world.pay()).body["id"])
    await world.pass_time(86_400)
    world.processor.heal()
    assert (await world.look(payment))["state"] == "canceled"
    assert world.processor.charges_of(payment) == []


async def test_processing_for_days_is_no_unknown_outcome(world: World) -> None:
    """The processor answers each look: nobody needs to be called."""
    world.processor.faults.plan.set("*", F.PROCESSING)
    world.processor.faults.processing_s = 10 * 86_400
    payment = str((await world.pay()).body["id"])
    await world.pass_time(2 * 86_400)
    assert (await world.look(payment))["state"] == "processing"
    assert await world.cases() == set()


async def test_two_processes_agree(world: World) -> None:
    """Equal requests, refunds, captures and cancels from two committers over one database."""
    other = Committer(world.database)
    other.start()
    chance = Randomness(world.clock, 99)
    second = make_money_in(world.database, other, world.clock, chance, RULES, world.money.cards)
    both = (world.money, second)
    clock = moving(world)
    try:
        method = await world.method()
        wish = NewPayment(1000, "EUR", method)
        asked = world.asked("create", "same")
        said = await asyncio.gather(
            *(both[turn % 2].create(asked, wish) for turn in range(30)), return_exceptions=True
        )
        refused = [each for each in said if isinstance(each, BaseException)]
        assert {type(each) for each in refused} <= {StillRunning}
        assert {each.status for each in said if not isinstance(each, BaseException)} == {201}
        (row,) = await world.rows(tables.payments)
        payment = str(row["id"])
        assert len(world.processor.charges_of(payment)) == 1
        await asyncio.gather(
            *(
                both[turn % 2].refund(world.asked("refund", f"r{turn // 2}"), payment, 100, None)
                for turn in range(48)
            ),
            return_exceptions=True,
        )
        assert len(world.processor.refunds_of(payment)) == 10
        row = await world.row_of(payment)
        assert (row["amount_refunded"], row["amount_refunding"]) == (1000, 0)
        numbers = sorted(each["seq"] for each in await world.rows(tables.payment_events))
        assert numbers == list(range(1, len(numbers) + 1))
        for _ in range(4):
            manual = await second.create(
                world.asked("create"), NewPayment(1000, "EUR", method, manual_capture=True)
            )
            held = str(manual.body["id"])
            await asyncio.gather(
                world.money.capture(world.asked("capture"), held, 700),
                second.cancel(USER, held),
                second.capture(world.asked("capture"), held, 300),
                world.money.cancel(USER, held, world.asked("cancel")),
                return_exceptions=True,
            )
            row = await world.row_of(held)
            there = world.processor.intent(held)
            assert row["state"] in ("succeeded", "canceled")
            assert there is not None
            assert there.amount_received == row["amount_captured"]
        await world.books()
    finally:
        clock.cancel()
        await other.stop()
