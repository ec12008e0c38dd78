"""What once was refunded twice, booked wrongly or lost: refunds."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.integration.payments.conftest import OpenPayments
from tests.integration.payments.test_books import post
from tests.integration.payments.world import World
from tidegate.db.exchanges import exchanges
from tidegate.errors import AmountExceedsRefundable, Stale
from tidegate.payments import tables
from tidegate.payments.refund_outcome import RefundOutcome
from tidegate.ports.cards import Found
from tidegate.sandbox.faults import CardFault as F

DOLLARS = {"settlement_currency": "usd", "exchange_rates": {"eur": Decimal("1.10")}}


async def _paid(world: World) -> tuple[str, str]:
    """A payment whose fee is booked: our id and the processor's."""
    answer = await world.pay()
    payment = str(answer.body["id"])
    await world.pass_time(30)
    await world.look(payment)
    return payment, str(answer.body["processor_reference"])


@pytest.mark.parametrize("pending", [False, True], ids=["at-once", "pending-first"])
async def test_a_refund_that_fails_leaves_the_books_as_they_were(
    open_payments: OpenPayments, pending: bool
) -> None:
    """In another settlement currency too: the money's going and its coming back are both booked."""
    world = await open_payments(**DOLLARS)
    payment, _ = await _paid(world)
    before = await world.books()
    if pending:
        world.processor.faults.plan.set(payment, F.REFUND_FAILED, F.REFUND_PENDING)
    answer = await world.refund(payment, 400)
    await world.pass_time(6)
    if not pending:
        world.processor.decide_refund(str(answer.body["processor_reference"]), "failed")
    assert (await world.look(str(answer.body["id"])))["state"] == "failed"
    assert await world.books() == before


async def test_a_refund_is_looked_at_until_its_movement_is_booked(
    open_payments: OpenPayments,
) -> None:
    """The processor may book it after it has answered."""
    world = await open_payments(**DOLLARS)
    payment, _ = await _paid(world)
    real = world.money.cards.refund

    async def refund(*given: Any) -> Any:
        ended = await real(*given)
        assert isinstance(ended, Found)
        return Found(replace(ended.value, movement=None), ended.exchange)

    setattr(world.money.cards, "refund", refund)  # noqa: B010 -- mypy forbids the plain form
    row_id = str((await world.refund(payment, 400)).body["id"])
    row = await world.row(tables.refunds, row_id)
    assert (row["state"], row["movement"]) == ("succeeded", None)
    assert row["due_at"] is not None
    await world.look(row_id)
    assert "processor:stripe:balance:EUR" not in await world.books()


async def test_a_gateways_failure_is_no_reason_for_a_new_key(world: World) -> None:
    """Only what the processor itself says is stored: the call behind a 502 may act late."""
    payment, _ = await _paid(world)
    world.processor.faults.plan.set("refund", F.DROP_BEFORE)
    refund = str((await world.refund(payment, 400)).body["id"])
    for wait_s in (5, 15, 30):
        await world.pass_time(wait_s)
        await world.look(refund)
    world.processor.faults.plan.set("refund", F.HTML_502)
    for wait_s in (30, 5, 60, 60):
        await world.pass_time(wait_s)
        await world.look(refund)
    row = await world.row(tables.refunds, refund)
    assert (row["state"], row["step"]) == ("succeeded", 1)
    assert len(world.processor.refunds_of(payment)) == 1


async def test_a_refund_made_elsewhere_waits_for_the_processor(world: World) -> None:
    """It does not answer for an hour: the event is read on, with a case, until it does."""
    _, intent = await _paid(world)
    await post(world, "/v1/refunds", payment_intent=intent, amount="250")
    await world.money.sweep(None)
    world.processor.faults.plan.set("lookup", F.LOOKUP_500, times=None)
    for _ in range(3):
        await world.pass_time(1800)
        await world.read_due()
    assert "event_unread" in await world.cases()
    assert await world.rows(tables.refunds) == []
    world.processor.heal()
    await world.read_due()
    assert len(await world.rows(tables.refunds)) == 1


async def test_a_refund_that_does_not_fit_yet_waits_too(world: World) -> None:
    """600 of ours is set aside and never arrived; 600 is refunded at the processor's page."""
    payment, intent = await _paid(world)
    world.processor.faults.plan.set("refund", F.DROP_BEFORE)
    ours = str((await world.refund(payment, 600)).body["id"])
    await post(world, "/v1/refunds", payment_intent=intent, amount="600")
    await world.hear()
    assert len(await world.rows(tables.refunds)) == 1
    for wait_s in (5, 15, 60):
        await world.pass_time(wait_s)
        await world.look(ours)
    assert (await world.row(tables.refunds, ours))["state"] == "failed"
    await world.read_due()
    assert len(await world.rows(tables.refunds)) == 2
    books = await world.books()
    assert books["payments:refunding:EUR"] == 600


async def test_our_own_refund_that_we_do_not_know_is_shown_to_a_person(world: World) -> None:
    """After a restore from a backup: its money is booked, and somebody is told."""
    _, intent = await _paid(world)
    form = {"payment_intent": intent, "amount": "250", "metadata[tidegate_refund]": "re_lost"}
    await post(world, "/v1/refunds", **form)
    await world.hear()
    assert "refund_twice" in await world.cases()
    (refund,) = await world.rows(tables.refunds)
    assert (await world.look(str(refund["id"])))["state"] == "succeeded"


async def test_the_same_key_gets_the_same_refusal(world: World) -> None:
    """All was set aside then; what came free later is for a new wish, with a new key."""
    payment, _ = await _paid(world)
    world.processor.faults.plan.set(payment, F.REFUND_FAILED, F.REFUND_PENDING)
    refund = str((await world.refund(payment, 1000)).body["id"])
    with pytest.raises(AmountExceedsRefundable):
        await world.refund(payment, 500, key="same")
    await world.pass_time(6)
    await world.look(refund)
    again = await world.refund(payment, 500, key="same")
    assert (again.status, again.code, again.replayed) == (409, "amount_exceeds_refundable", True)


async def test_a_pending_refund_that_nobody_can_find_is_shown_to_a_person(world: World) -> None:
    """A day without an answer."""
    payment, _ = await _paid(world)
    world.processor.faults.plan.set(payment, F.REFUND_PENDING)
    refund = str((await world.refund(payment, 400)).body["id"])
    world.processor.faults.plan.set("lookup", F.LOOKUP_500, times=None)
    await world.pass_time(86_400)
    await world.look(refund)
    assert "refund_unknown" in await world.cases()


async def test_an_answer_that_could_not_be_written_is_kept_and_asked_for_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many others were at the payment: the evidence stays, and nobody waits for a lease."""
    payment, _ = await _paid(world)

    async def crowded(*_: Any) -> None:
        raise Stale()

    with monkeypatch.context() as patch:
        patch.setattr(RefundOutcome, "_on_payment", crowded)
        answer = await world.refund(payment, 400)
    assert (answer.status, answer.body["outcome"]) == (202, "unknown")
    refund = str(answer.body["id"])
    row = await world.row(tables.refunds, refund)
    assert (row["state"], row["leased_until"]) == ("asking", None)
    assert row["due_at"] <= await world.database.read(world.database.now_ms)
    heard = [one for one in await world.rows(exchanges) if one["subject"] == refund]
    assert [one["status"] for one in heard] == [200]
    assert (await world.look(refund))["state"] == "succeeded"
    assert len(world.processor.refunds_of(payment)) == 1


async def test_prompted_looks_do_not_postpone_the_fee(world: World) -> None:
    """However often somebody asks in the first seconds, it is looked for again within a minute."""
    payment = str((await world.pay()).body["id"])
    for _ in range(6):
        row = await world.look(payment)
    assert row["movement"] is None
    assert row["due_at"] - await world.database.read(world.database.now_ms) <= 60_000
