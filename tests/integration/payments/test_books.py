"""The books of payments: what the processor did, in whatever order it became known (B15)."""

from __future__ import annotations

from decimal import Decimal

import aiohttp
import pytest

from tests.integration.payments.conftest import OpenPayments
from tests.integration.payments.world import KEY, USER, World
from tidegate.payments import tables
from tidegate.sandbox.faults import CardFault as F

OURS = f"payments:user:{USER}:EUR"
BALANCE = "processor:stripe:balance:EUR"
FEES = "processor:stripe:fees:EUR"


async def test_a_capture_and_its_fee_are_entries(world: World) -> None:
    """The fee comes later (processor.md 2): until then the balance is the whole amount."""
    payment = str((await world.pay()).body["id"])
    assert await world.books() == {OURS: 1000, BALANCE: 1000}
    await world.pass_time(30)
    await world.look(payment)
    assert await world.books() == {OURS: 1000, BALANCE: 941, FEES: 59}
    await world.look(payment)
    assert await world.books() == {OURS: 1000, BALANCE: 941, FEES: 59}


async def test_a_refund_is_set_aside_and_then_leaves(world: World) -> None:
    """While it is pending, the amount is neither the user's nor gone."""
    payment = str((await world.pay()).body["id"])
    world.processor.faults.plan.set(payment, F.REFUND_PENDING)
    answer = await world.refund(payment, 400)
    assert (answer.status, answer.body["status"]) == (201, "pending")
    assert await world.books() == {OURS: 600, "payments:refunding:EUR": 400, BALANCE: 1000}
    await world.pass_time(6)
    await world.look(str(answer.body["id"]))
    assert await world.books() == {OURS: 600, BALANCE: 600}


async def test_a_refund_that_fails_later_can_be_made_again(world: World) -> None:
    """Its reservation is released (processor.md 8)."""
    payment = str((await world.pay()).body["id"])
    world.processor.faults.plan.set(payment, F.REFUND_FAILED, F.REFUND_PENDING)
    refund = str((await world.refund(payment)).body["id"])
    await world.pass_time(6)
    assert (await world.look(refund))["state"] == "failed"
    assert (await world.row_of(payment))["amount_refunding"] == 0
    assert await world.books() == {OURS: 1000, BALANCE: 1000}
    again = await world.refund(payment)
    assert (again.status, again.body["amount"]) == (201, 1000)


async def test_a_refund_that_succeeded_and_came_back_is_returned(world: World) -> None:
    """The recipient's bank sent it back: the money is on the balance again."""
    payment = str((await world.pay()).body["id"])
    answer = await world.refund(payment, 400)
    refund = str(answer.body["id"])
    assert answer.body["status"] == "succeeded"
    world.processor.decide_refund(str(answer.body["processor_reference"]), "failed")
    assert (await world.look(refund))["state"] == "failed"
    assert (await world.row_of(payment))["amount_refunded"] == 0
    assert await world.books() == {OURS: 1000, BALANCE: 1000}


async def test_refunds_never_add_up_to_more_than_was_captured(world: World) -> None:
    """Pending ones count."""
    payment = str((await world.pay(manual_capture=True)).body["id"])
    await world.capture(payment, 800)
    world.processor.faults.plan.set(payment, F.REFUND_PENDING)
    assert (await world.refund(payment, 500)).status == 201
    with pytest.raises(Exception, match="300 minor units can still be refunded"):
        await world.refund(payment, 301)
    assert (await world.refund(payment)).body["amount"] == 300
    row = await world.row_of(payment)
    assert row["amount_refunded"] + row["amount_refunding"] == row["amount_captured"] == 800


@pytest.mark.parametrize("won", [True, False], ids=["won", "lost"])
async def test_a_dispute_takes_the_money_and_may_give_it_back(world: World, won: bool) -> None:
    """Both are facts; its fee stays either way, and what is lost is the user's no longer."""
    payment = str((await world.pay()).body["id"])
    await world.pass_time(30)
    await world.look(payment)
    dispute = world.processor.dispute(payment)
    await world.hear()
    (row,) = await world.rows(tables.disputes)
    await world.look(str(row["id"]))
    fees = 59 + 1500
    assert await world.books() == {
        OURS: 1000,
        "payments:disputed:EUR": 1000,
        BALANCE: -fees,
        FEES: fees,
    }
    assert "payment_disputed" in await world.cases()
    world.processor.close_dispute(dispute.id, won=won)
    await world.look(str(row["id"]))
    if won:
        assert await world.books() == {OURS: 1000, BALANCE: 1000 - fees, FEES: fees}
    else:
        assert await world.books() == {BALANCE: -fees, FEES: fees}


async def test_a_dispute_that_was_lost_and_then_won_is_whole_again(world: World) -> None:
    """The card's bank reverses itself: what the processor gives back is the user's again."""
    payment = str((await world.pay()).body["id"])
    await world.pass_time(30)
    await world.look(payment)
    dispute = world.processor.dispute(payment)
    await world.hear()
    (row,) = await world.rows(tables.disputes)
    world.processor.close_dispute(dispute.id, won=False)
    assert (await world.look(str(row["id"])))["state"] == "lost"
    dispute.status = "needs_response"
    world.processor.close_dispute(dispute.id, won=True)
    assert (await world.look(str(row["id"])))["state"] == "won"
    fees = 59 + 1500
    assert await world.books() == {OURS: 1000, BALANCE: 1000 - fees, FEES: fees}


async def test_a_refund_made_at_the_processors_page_becomes_ours(world: World) -> None:
    """A fact: heard of by its event, booked once, shown to the user."""
    answer = await world.pay()
    payment, intent = str(answer.body["id"]), str(answer.body["processor_reference"])
    await post(world, "/v1/refunds", payment_intent=intent, amount="250")
    assert await world.hear() > 0
    (refund,) = await world.rows(tables.refunds)
    assert (await world.look(str(refund["id"])))["state"] == "succeeded"
    await world.hear()
    assert len(await world.rows(tables.refunds)) == 1
    assert (await world.row_of(payment))["amount_refunded"] == 250
    assert await world.books() == {OURS: 750, BALANCE: 750}


async def test_another_settlement_currency_balances_in_both(open_payments: OpenPayments) -> None:
    """The processor changes euros into dollars: no euro stays there, and the fee is in dollars."""
    world = await open_payments(settlement_currency="usd", exchange_rates={"eur": Decimal("1.10")})
    payment = str((await world.pay()).body["id"])
    await world.pass_time(30)
    await world.look(payment)
    books = await world.books()
    assert books[OURS] == 1000
    assert BALANCE not in books
    assert books["processor:stripe:conversion:EUR"] == -1000
    assert books["processor:stripe:conversion:USD"] == 1100
    fee = books["processor:stripe:fees:USD"]
    assert books["processor:stripe:balance:USD"] == 1100 - fee
    assert fee > 0


async def test_money_taken_after_all_is_booked_and_shown_to_a_person(world: World) -> None:
    """The client was told "failed" and brought another card to the processor by itself."""
    answer = await world.pay("pm_card_authenticationRequired")
    payment, intent = str(answer.body["id"]), str(answer.body["processor_reference"])
    assert answer.body["status"] == "requires_action"
    world.processor.authenticate(payment, approve=False)
    world.processor.faults.plan.set("cancel", F.RATE_LIMITED, times=3)
    assert (await world.look(payment))["state"] == "failed"
    other = await world.method()
    reference = (await world.row(tables.payment_methods, other))["reference"]
    await post(world, f"/v1/payment_intents/{intent}/confirm", payment_method=reference)
    await world.look(payment)
    await world.look(payment)
    await world.look(payment)
    assert (await world.look(payment))["state"] == "succeeded"
    assert "payment_late_success" in await world.cases()
    assert await world.books() == {OURS: 1000, BALANCE: 1000}


async def test_a_failed_payment_is_closed_at_the_processor(world: World) -> None:
    """So that nobody who holds its client secret can bring it to success later."""
    answer = await world.pay("pm_card_authenticationRequired")
    payment = str(answer.body["id"])
    world.processor.authenticate(payment, approve=False)
    assert (await world.look(payment))["state"] == "failed"
    assert (await world.look(payment))["due_at"] is None
    intent = world.processor.intent(payment)
    assert intent is not None
    assert intent.status == "canceled"


async def test_an_authorisation_that_expires_ends_the_payment(world: World) -> None:
    """After seven days, by the processor's word (processor.md 4)."""
    payment = str((await world.pay(manual_capture=True)).body["id"])
    world.processor.expire(payment)
    assert (await world.look(payment))["state"] == "canceled"
    assert await world.books() == {}


async def test_a_payment_that_nobody_goes_on_with_is_given_up_at_the_processor(
    world: World,
) -> None:
    """A week without the client: cancelled there first, then here."""
    payment = str((await world.pay(None)).body["id"])
    await world.pass_time(6 * 86_400)
    assert (await world.look(payment))["state"] == "requires_payment_method"
    await world.pass_time(86_400)
    assert (await world.look(payment))["state"] == "canceled"
    intent = world.processor.intent(payment)
    assert intent is not None
    assert intent.status == "canceled"


async def post(world: World, path: str, **form: str) -> None:
    """What somebody else does at the processor."""
    headers = {"Authorization": f"Bearer {KEY}"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(world.processor.base_url + path, data=form, headers=headers) as answer,
    ):
        assert answer.status == 200, await answer.text()
