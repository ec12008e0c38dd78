"""Answers that never come: one charge, one refund, and nothing decided by time alone.

Each of these lost money in some system once: the processor acted and its answer was lost, or it
never heard of the call, and somebody guessed which.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.integration.payments.world import World
from tidegate.payments import tables
from tidegate.payments.create import NewPayment
from tidegate.ports.cards import Found, Refused
from tidegate.sandbox.faults import CardFault as F

UNHEARD = [F.DROP_BEFORE, F.HTML_502, F.ERROR_503]
ACTED = [F.DROP_AFTER, F.ERROR_500_AFTER, F.HTML_502_AFTER]
ids = str


def _charges(world: World, payment: str) -> int:
    return len(world.processor.charges_of(payment))


async def _settled(world: World, row_id: str, *waits_s: float) -> str:
    for wait_s in waits_s:
        await world.pass_time(wait_s)
        await world.look(row_id)
    return str((await world.look(row_id))["state"])


@pytest.mark.parametrize("fault", ACTED, ids=ids)
async def test_a_charge_whose_answer_was_lost_is_found_by_its_id(world: World, fault: F) -> None:
    """202 and unknown; the look-up finds it; the same key then gets the 201."""
    world.processor.faults.plan.set("confirm", fault)
    first = await world.pay(key="k")
    assert (first.status, first.body["status"], first.body["outcome"]) == (
        202,
        "processing",
        "unknown",
    )
    payment = str(first.body["id"])
    await world.pass_time(5)
    assert (await world.look(payment))["state"] == "succeeded"
    assert _charges(world, payment) == 1
    again = await world.money.create(world.asked("create", "k"), _same(first.body))
    assert (again.status, again.replayed, again.body["status"]) == (201, True, "succeeded")


@pytest.mark.parametrize("fault", UNHEARD, ids=ids)
async def test_a_confirm_that_never_arrived_is_made_again_with_its_key(
    world: World, fault: F
) -> None:
    """Not at once: first the object must show no trace of it for a while."""
    world.processor.faults.plan.set("confirm", fault)
    answer = await world.pay()
    payment = str(answer.body["id"])
    assert answer.status == 202
    await world.pass_time(5)
    assert (await world.look(payment))["state"] == "confirming"
    assert _charges(world, payment) == 0
    await world.pass_time(20)
    assert (await world.look(payment))["state"] == "succeeded"
    assert _charges(world, payment) == 1
    assert world.processor.books.violations == []


async def test_time_alone_never_fails_a_payment(world: World) -> None:
    """A processor that is silent for two days: unknown, asked again and again, and a case."""
    world.processor.faults.plan.set("confirm", F.DROP_AFTER)
    answer = await world.pay()
    payment = str(answer.body["id"])
    world.processor.faults.plan.set("lookup", F.LOOKUP_500, times=None)
    for wait_s in (5, 900, 86_400, 86_400):
        await world.pass_time(wait_s)
        assert (await world.look(payment))["state"] == "confirming"
    assert "payment_unknown" in await world.cases()
    world.processor.heal()
    assert (await world.look(payment))["state"] == "succeeded"
    assert _charges(world, payment) == 1


async def test_a_refusal_of_the_second_call_says_nothing_of_the_first(world: World) -> None:
    """The first confirm took the money and we do not see it yet; the repeat is refused, as it is
    with a key that was withdrawn meanwhile. That refusal must not make the payment fail."""
    world.processor.faults.plan.set("confirm", F.DROP_BEFORE)
    payment = str((await world.pay()).body["id"])
    cards = world.money.cards
    confirm, fetch = cards.confirm, cards.fetch

    async def acts_and_is_refused(*given: Any) -> Refused:
        ended = await confirm(*given)
        assert isinstance(ended, Found)
        return Refused("api_key_expired", "Expired API key.", ended.exchange, misconfigured=True)

    async def refused(*given: Any) -> Refused:
        ended = await fetch(*given)
        return Refused("api_key_expired", "Expired API key.", ended.exchange, misconfigured=True)

    async def sees_nothing_then_is_refused(*given: Any) -> Any:
        _replace(cards, "fetch", refused)
        return await fetch(*given)

    _replace(cards, "confirm", acts_and_is_refused)
    _replace(cards, "fetch", sees_nothing_then_is_refused)
    await world.pass_time(25)
    assert (await world.look(payment))["state"] == "confirming"
    assert _charges(world, payment) == 1
    assert "processor_misconfigured" in await world.cases()
    _replace(cards, "fetch", fetch)
    assert (await world.look(payment))["state"] == "succeeded"
    told = [str(event["type"]) for event in await world.rows(tables.payment_events)]
    assert "payment.failed" not in told


async def test_what_was_not_begun_the_second_time_may_have_been_the_first(world: World) -> None:
    """A repeat that is turned away at the door proves nothing of the call before it."""
    world.processor.faults.plan.set("confirm", F.DROP_BEFORE)
    payment = str((await world.pay()).body["id"])
    world.processor.faults.retry_after_s = 1
    world.processor.faults.plan.set("confirm", F.RATE_LIMITED)
    await world.pass_time(25)
    row = await world.look(payment)
    assert (row["state"], row["sends"]) == ("confirming", 1)
    assert row["sent_at"] is not None


async def test_after_a_day_a_lost_confirm_is_not_made_again(world: World) -> None:
    """The key may be forgotten by then (processor.md 1): the object alone is asked."""
    world.processor.faults.plan.set("confirm", F.DROP_BEFORE)
    answer = await world.pay()
    payment = str(answer.body["id"])
    await world.pass_time(86_400)
    assert (await world.look(payment))["state"] == "confirming"
    assert _charges(world, payment) == 0
    assert "payment_unknown" in await world.cases()


async def test_a_create_that_always_answers_500_is_looked_for_in_the_list(world: World) -> None:
    """The stored 500 would come back for ever; proven absent, a new number makes a new try."""
    world.processor.faults.plan.set("create", F.ERROR_500_BEFORE)
    answer = await world.pay()
    payment = str(answer.body["id"])
    assert (answer.status, answer.body["status"]) == (202, "processing")
    assert await _settled(world, payment, 5, 15) == "succeeded"
    assert _charges(world, payment) == 1


async def test_a_create_that_acted_and_answered_500_is_found_in_the_list(world: World) -> None:
    """The object with our id in its metadata is adopted: no second one is confirmed."""
    world.processor.faults.plan.set("create", F.ERROR_500_AFTER)
    answer = await world.pay()
    payment = str(answer.body["id"])
    assert await _settled(world, payment, 5, 15) == "succeeded"
    assert _charges(world, payment) == 1
    assert world.processor.books.violations == []


@pytest.mark.parametrize("fault", [F.RATE_LIMITED, F.LOCK_TIMEOUT], ids=ids)
async def test_what_certainly_did_not_begin_is_repeated_at_once(world: World, fault: F) -> None:
    """429 and a lock timeout are safe to repeat with the same key (processor.md 9)."""
    world.processor.faults.retry_after_s = 0
    world.processor.faults.plan.set("confirm", fault)
    clock = moving(world)
    answer = await world.pay()
    clock.cancel()
    assert (answer.status, answer.body["status"]) == (201, "succeeded")
    assert _charges(world, str(answer.body["id"])) == 1


@pytest.mark.parametrize("fault", [*ACTED, *UNHEARD], ids=ids)
async def test_a_capture_is_made_once(world: World, fault: F) -> None:
    """Whether it acted or not: in the end the authorised amount is taken once."""
    payment = str((await world.pay(manual_capture=True)).body["id"])
    world.processor.faults.plan.set("capture", fault)
    answer = await world.capture(payment, 700)
    assert (answer.status, answer.body["status"]) == (202, "processing")
    assert await _settled(world, payment, 5, 25) == "succeeded"
    row = await world.row_of(payment)
    assert row["amount_captured"] == 700
    assert world.processor.books.violations == []


@pytest.mark.parametrize("fault", [*ACTED, *UNHEARD], ids=ids)
async def test_a_cancel_is_certain_in_the_end(world: World, fault: F) -> None:
    """Until the processor says canceled, the payment does not."""
    payment = str((await world.pay(manual_capture=True)).body["id"])
    world.processor.faults.plan.set("cancel", fault)
    answer = await world.money.cancel("usr_01test", payment)
    assert answer.status == 202
    assert await _settled(world, payment, 5, 25) == "canceled"
    assert await world.books() == {}


@pytest.mark.parametrize("fault", ACTED, ids=ids)
async def test_a_refund_whose_answer_was_lost_is_found_among_the_payments(
    world: World, fault: F
) -> None:
    """By our id in its metadata: it is never asked for twice."""
    payment = str((await world.pay()).body["id"])
    world.processor.faults.plan.set("refund", fault)
    answer = await world.refund(payment, 400)
    assert (answer.status, answer.body["status"], answer.body["outcome"]) == (
        202,
        "pending",
        "unknown",
    )
    assert await _settled(world, str(answer.body["id"]), 5) == "succeeded"
    assert len(world.processor.refunds_of(payment)) == 1
    assert (await world.row_of(payment))["amount_refunded"] == 400


@pytest.mark.parametrize("fault", UNHEARD, ids=ids)
async def test_a_refund_that_never_arrived_is_asked_for_again_only_after_a_while(
    world: World, fault: F
) -> None:
    """Looked for twice, a minute apart at least, then the same request with the same key."""
    payment = str((await world.pay()).body["id"])
    world.processor.faults.plan.set("refund", fault)
    refund = str((await world.refund(payment, 400)).body["id"])
    for wait_s in (5, 15, 30):
        await world.pass_time(wait_s)
        assert (await world.look(refund))["state"] == "asking"
        assert world.processor.refunds_of(payment) == []
    await world.pass_time(30)
    assert (await world.look(refund))["state"] == "succeeded"
    assert len(world.processor.refunds_of(payment)) == 1
    assert world.processor.books.violations == []


def _replace(owner: object, name: str, by: object) -> None:
    setattr(owner, name, by)


def _same(body: object) -> NewPayment:
    assert isinstance(body, dict)
    return NewPayment(body["amount"], body["currency"], body["payment_method_id"])


def moving(world: World) -> asyncio.Task[None]:
    """The clock goes on by itself, for pauses inside a request."""

    async def move() -> None:
        while True:
            await asyncio.sleep(0.01)
            world.clock.advance(0.2)

    return asyncio.create_task(move())


async def test_a_question_that_an_event_prompted_is_asked_until_it_is_answered(
    world: World,
) -> None:
    """Earlier looks for the fee have used up its schedule; its event comes while the processor is
    away: the next question follows in a second, not in an hour."""
    answer = await world.pay()
    payment = str(answer.body["id"])
    for _ in range(4):
        assert (await world.look(payment))["movement"] is None
    world.processor.faults.plan.set("lookup", F.LOOKUP_500)
    silent = await world.look(payment)
    assert silent["due_at"] - await world.database.fetch(world.database.now_ms) < 2_000
    await world.pass_time(60)
    booked = await world.look(payment)
    assert booked["movement"] is not None
    assert booked["due_at"] is None
