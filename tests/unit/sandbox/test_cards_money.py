"""Fees, refunds, disputes and the books: every movement, and nothing twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
import pytest_asyncio
import stripe

from tests.unit.sandbox.cards_world import World, open_world, settle
from tidegate.sandbox.cards import Kind, Terms


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    async with open_world() as opened:
        yield opened


async def line_of(world: World, intent: stripe.PaymentIntent) -> stripe.BalanceTransaction | None:
    """The balance transaction of the newest charge."""
    found = await world.read(intent, "latest_charge.balance_transaction")
    assert isinstance(found.latest_charge, stripe.Charge)
    line = found.latest_charge.balance_transaction
    assert line is None or isinstance(line, stripe.BalanceTransaction)
    return line


async def test_the_fee_is_known_later_and_told_by_charge_updated(world: World) -> None:
    intent = await world.pay()
    assert await line_of(world, intent) is None
    await world.pass_time(1.0)
    line = await line_of(world, intent)
    assert line is not None
    assert (line.amount, line.fee, line.net, line.type) == (2000, 88, 1912, "charge")
    assert line.currency == "usd"
    (hook,) = await world.webhook("charge.updated")
    assert hook.object["balance_transaction"] == line.id
    (before,) = await world.webhook("charge.succeeded")
    assert before.object["balance_transaction"] is None
    assert world.cards.books.total(Kind.FEE, "usd") == 88
    again = await world.client.v1.balance_transactions.retrieve_async(line.id)
    assert again.source == hook.object["id"]


async def test_a_charge_may_settle_in_another_currency() -> None:
    terms = Terms(
        settlement_currency="usd",
        exchange_rates={"eur": Decimal("1.1"), "jpy": Decimal("0.0067")},
    )
    async with open_world(terms=terms, settle_s=0.0) as world:
        euro = await world.pay("pay_1", amount=1000, currency="eur")
        yen = await world.pay("pay_2", amount=1000, currency="jpy")
        await settle()
        line = await line_of(world, euro)
        assert line is not None
        assert (line.amount, line.currency, line.exchange_rate) == (1100, "usd", 1.1)
        assert (line.fee, line.net) == (62, 1038)
        line = await line_of(world, yen)
        assert line is not None
        assert (line.amount, line.currency) == (670, "usd")
        assert world.cards.books.totals() == {
            "eur": {"charged": 1000},
            "jpy": {"charged": 1000},
            "usd": {"fees": 62 + 49},
        }


async def test_refunds_add_up_to_what_was_captured_and_never_more(world: World) -> None:
    intent = await world.pay()
    first = await world.refund(intent, amount=1500, metadata={"tidegate_refund": "re_1"})
    assert (first.status, first.amount) == ("succeeded", 1500)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await world.refund(intent, amount=501)
    assert (refused.value.code, refused.value.param) == (None, "amount")
    rest = await world.refund(intent, reason="requested_by_customer")
    assert (rest.amount, rest.reason) == (500, "requested_by_customer")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await world.refund(intent)
    assert refused.value.code == "charge_already_refunded"
    listed = await world.client.v1.refunds.list_async({"payment_intent": intent.id})
    assert [refund.id for refund in listed.data] == [rest.id, first.id]
    assert listed.data[1].metadata is not None
    assert listed.data[1].metadata["tidegate_refund"] == "re_1"
    found = await world.read(intent, "latest_charge")
    assert isinstance(found.latest_charge, stripe.Charge)
    assert (found.latest_charge.amount_refunded, found.latest_charge.refunded) == (2000, True)
    assert (await world.types_of_events())[-2:] == ["refund.created", "charge.refunded"]
    line = await world.client.v1.balance_transactions.retrieve_async(str(first.balance_transaction))
    assert (line.amount, line.fee, line.type, line.source) == (-1500, 0, "refund", first.id)


async def test_what_was_not_captured_cannot_be_refunded(world: World) -> None:
    held = await world.pay("pay_1", capture_method="manual")
    unpaid = await world.create("pay_2")
    for intent in (held, unpaid):
        with pytest.raises(stripe.InvalidRequestError):
            await world.refund(intent)
    with pytest.raises(stripe.InvalidRequestError) as missing:
        await world.client.v1.refunds.create_async({"payment_intent": "pi_nothing"})
    assert (missing.value.code, missing.value.param) == ("resource_missing", "payment_intent")
    assert world.cards.books.total(Kind.REFUNDED, "usd") == 0


async def test_a_refund_may_be_pending_and_succeed_later(world: World) -> None:
    intent = await world.pay(card="pm_card_pendingRefund")
    refund = await world.refund(intent)
    assert refund.status == "pending"
    await world.pass_time(5.0)
    found = await world.client.v1.refunds.retrieve_async(refund.id)
    assert found.status == "succeeded"
    for kind in ("refund.updated", "charge.refund.updated"):
        (hook,) = await world.webhook(kind)
        assert hook.object["status"] == "succeeded"


async def test_a_refund_may_fail_later_and_its_amount_is_free_again(world: World) -> None:
    intent = await world.pay(card="pm_card_refundFail")
    refund = await world.refund(
        intent, metadata={"tidegate_refund": "re_1"}, expand=["failure_balance_transaction"]
    )
    assert refund.status == "succeeded"
    await world.pass_time(5.0)
    found = await world.client.v1.refunds.retrieve_async(
        refund.id, {"expand": ["failure_balance_transaction"]}
    )
    assert (found.status, found.failure_reason) == ("failed", "lost_or_stolen_card")
    line = found.failure_balance_transaction
    assert isinstance(line, stripe.BalanceTransaction)
    assert (line.amount, line.type) == (2000, "refund_failure")
    await world.webhook("refund.failed")
    assert (await world.refund(intent, metadata={"tidegate_refund": "re_1"})).amount == 2000
    books = world.cards.books
    assert (books.total(Kind.REFUNDED, "usd"), books.total(Kind.REFUND_RETURNED, "usd")) == (
        4000,
        2000,
    )
    assert books.violations == []


async def test_a_dispute_takes_the_money_and_a_fee_at_once(world: World) -> None:
    intent = await world.pay(card="pm_card_createDispute")
    (hook,) = await world.webhook("charge.dispute.created")
    assert (hook.object["amount"], hook.object["status"]) == (2000, "needs_response")
    assert hook.object["balance_transactions"] == []
    (taken,) = await world.webhook("charge.dispute.funds_withdrawn")
    (line,) = taken.object["balance_transactions"]
    assert (line["amount"], line["fee"], line["net"]) == (-2000, 1500, -3500)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await world.refund(intent)
    assert refused.value.code == "charge_disputed"
    found = await world.client.v1.disputes.retrieve_async(hook.object["id"])
    assert found.payment_intent == intent.id


@pytest.mark.parametrize("won", [True, False])
async def test_a_dispute_is_won_or_lost(world: World, won: bool) -> None:
    intent = await world.pay()
    status, dispute = await world.control("dispute", {"payment": "pay_1", "amount": 1200})
    assert status == 200
    order = {"dispute": dispute["id"], "won": won}
    status, closed = await world.control("close-dispute", order)
    assert (status, closed["status"]) == (200, "won" if won else "lost")
    assert (await world.control("close-dispute", order))[0] == 400
    await world.webhook("charge.dispute.closed")
    await world.webhook("charge.dispute.funds_reinstated", int(won))
    lines = [line["net"] for line in closed["balance_transactions"]]
    assert lines == ([-2700, 1200] if won else [-2700])
    books = world.cards.books
    assert books.total(Kind.DISPUTED, "usd") == 1200
    assert books.total(Kind.DISPUTE_WON, "usd") == (1200 if won else 0)
    assert books.total(Kind.DISPUTE_FEE, "usd") == 1500
    assert intent.status == "succeeded"


async def test_two_charges_of_one_payment_are_a_violation(world: World) -> None:
    await world.pay("pay_1")
    await world.pay("pay_2")
    assert world.cards.books.violations == []
    await world.pay("pay_1")
    (violation,) = world.cards.books.violations
    assert violation.startswith("charge 2 of pay_1")
    _, state = await world.control("state")
    assert state["violations"] == [violation]
    assert len(world.cards.charges_of("pay_1")) == 2


async def test_a_second_authorisation_counts_unless_the_first_was_let_go(world: World) -> None:
    first = await world.pay("pay_1", capture_method="manual")
    await world.client.v1.payment_intents.cancel_async(first.id)
    await world.pay("pay_1", capture_method="manual")
    assert world.cards.books.violations == []
    await world.pay("pay_1", capture_method="manual")
    assert len(world.cards.books.violations) == 1


async def test_two_refunds_of_one_name_are_a_violation(world: World) -> None:
    intent = await world.pay()
    for _ in range(2):
        await world.refund(intent, amount=100, metadata={"tidegate_refund": "re_1"})
    (violation,) = world.cards.books.violations
    assert violation.startswith("refund 2 of re_1")


async def test_the_books_can_be_read_from_another_process(world: World) -> None:
    intent = await world.pay()
    await world.refund(intent, amount=500)
    await world.pass_time(1.0)
    _, state = await world.control("state")
    assert state["totals"] == {"usd": {"charged": 2000, "refunded": 500, "fees": 88}}
    assert state["payment_intents"] == {"succeeded": 1}
    assert state["refunds"] == {"succeeded": 1}
    _, lines = await world.control("charges/pay_1")
    assert [(line["kind"], line["amount"]) for line in lines] == [("charged", 2000)]
    _, ledger = await world.control("ledger")
    assert [line["kind"] for line in ledger] == ["charged", "refunded", "fees"]
    assert (await world.control("nothing"))[0] == 404
    assert (await world.control("expire", {"payment": "pay_9"}))[0] == 404
    assert (await world.control("authenticate", {"payment": "pay_1"}))[0] == 400


async def test_only_what_can_be_expanded_is(world: World) -> None:
    intent = await world.pay()
    await world.refund(intent)
    found = await world.read(intent, "customer", "payment_method", "latest_charge.customer")
    assert isinstance(found.customer, stripe.Customer)
    assert isinstance(found.payment_method, stripe.PaymentMethod)
    listed = await world.client.v1.refunds.list_async(
        {"payment_intent": intent.id, "expand": ["data.balance_transaction", "data.charge"]}
    )
    assert isinstance(listed.data[0].balance_transaction, stripe.BalanceTransaction)
    assert isinstance(listed.data[0].charge, stripe.Charge)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await world.read(intent, "amount")
    assert refused.value.param == "expand"


async def test_charges_disputes_and_balance_transactions_are_listed(world: World) -> None:
    first, second = await world.pay("pay_1"), await world.pay("pay_2")
    world.cards.settle()
    dispute = world.cards.dispute("pay_1")
    api = world.client.v1
    charges = await api.charges.list_async({"payment_intent": second.id})
    assert [charge.id for charge in charges.data] == [second.latest_charge]
    of_customer = await api.charges.list_async({"customer": world.customer})
    assert [charge.payment_intent for charge in of_customer.data] == [second.id, first.id]
    assert (await api.charges.retrieve_async(charges.data[0].id)).amount == 2000
    for intent, found in ((first, [dispute.id]), (second, [])):
        listed = await api.disputes.list_async({"payment_intent": intent.id})
        assert [one.id for one in listed.data] == found
    lines = await api.balance_transactions.list_async()
    assert [line.type for line in lines.data] == ["adjustment", "charge", "charge"]
    assert len((await api.balance_transactions.list_async({"type": "charge"})).data) == 2
    with pytest.raises(stripe.InvalidRequestError):
        await api.charges.list_async({"limit": 101})


async def test_refunds_are_decided_and_authorisations_expire_by_hand(world: World) -> None:
    held = await world.pay("pay_1", capture_method="manual")
    assert (await world.control("expire", {"payment": "pay_1"}))[0] == 200
    assert (await world.read(held)).status == "canceled"
    refund = await world.refund(await world.pay("pay_2", "pm_card_pendingRefund"))
    order = {"refund": refund.id, "status": "failed"}
    status, decided = await world.control("decide-refund", order)
    assert (status, decided["status"]) == (200, "failed")
    assert (await world.control("decide-refund", order))[0] == 400
    assert (await world.control("decide-refund", {"refund": "re_9", "status": "failed"}))[0] == 404
    assert (await world.control("dispute", {"payment": "pay_1"}))[0] == 400
    assert (await world.control("webhook-url", {"url": None}))[0] == 200
    assert world.cards.courier.url is None


async def test_settling_by_hand_waits_for_nobody(world: World) -> None:
    intent = await world.pay()
    await world.control("settle", {})
    assert await line_of(world, intent) is not None
