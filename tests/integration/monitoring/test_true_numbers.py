"""The metrics after a known set of orders with known faults: each number is the companies' own."""

from __future__ import annotations

from tests.integration.monitoring.scrape import scrape
from tests.integration.monitoring.shop import opened_shop, shopper
from tests.support.world import OpenWorld
from tidegate.payments.tables import payments
from tidegate.payouts.states import State
from tidegate.sandbox.faults import BankFault

_AMOUNT = 5_000_00


async def test_the_numbers_are_true(open_world: OpenWorld) -> None:
    """Two orders are paid, one after a lost answer, one is refused by the bank: outcomes, float,
    calls, webhooks, requests and the ledger's own balances say exactly that."""
    world = await open_world(terms={"reoffer": "stock"})
    node = await world.local()
    before = await scrape(node.url)
    assert before.sum("tidegate_orders") == 0
    assert before.sum("tidegate_database_gauges_read") == 1

    paid = [await world.offer(), await world.offer()]
    lost = await world.offer(bank_faults=[BankFault.DROP_AFTER])
    refused = await world.offer(bank_faults=[BankFault.RECIPIENT_INVALID])
    for order in (*paid, lost):
        await world.reaches(order, State.FULFILLED, 60)
    await world.reaches(refused, {State.CANCELLED, State.FAILED}, 60)
    books = await world.settle()
    await world.reading_again()

    now = await scrape(node.url)
    states = {row["state"] for row in books.payouts.values()}
    ended = now.by("tidegate_orders", "state")
    assert ended == {
        state: sum(row["state"] == state for row in books.payouts.values()) for state in states
    }
    assert ended["fulfilled"] == 3
    assert now.by("tidegate_orders_finished_total", "outcome") == ended
    assert now.sum("tidegate_fulfilment_duration_seconds_count", currency="NGN") == 3
    assert now.sum("tidegate_offers_received_total", dialect="live") == len(books.payouts)

    # Money: what the bank's own books say, and what our entries say.
    bank = world.bank.books.balance()
    assert now.sum("tidegate_balance_minor_units", part="total", psp="lenco") == bank
    assert now.sum("tidegate_balance_minor_units", part="reserved") == 0
    assert now.sum("tidegate_float_reading_minor_units", psp="lenco") == bank
    owed = now.sum("tidegate_account_balance_minor_units", account="aggregator:owed")
    assert owed == 3 * _AMOUNT
    fees = now.sum("tidegate_account_balance_minor_units", account="psp:fees")
    opened = now.sum("tidegate_account_balance_minor_units", account="float:opening")
    assert opened - owed - fees == bank
    assert now.sum("tidegate_ledger_drift_minor_units") == 0
    assert now.has("tidegate_ledger_drift_minor_units")

    # Calls: the bank counted each request for a transfer that it read.
    submits = now.sum("tidegate_psp_call_duration_seconds_count", operation="submit")
    assert submits == world.bank.requests["POST /transfer"]
    unclear = now.sum(
        "tidegate_psp_call_duration_seconds_count", operation="submit", outcome="unknown"
    )
    assert unclear == 1
    assert now.by("tidegate_attempts", "state")["paid"] == 3
    assert now.sum("tidegate_oldest_unknown_age_seconds") == 0
    assert now.sum("tidegate_aggregator_call_duration_seconds_count", verb="fulfil") >= 3

    # Nothing is due for long, and every kind of work is there to be watched.
    kinds = {labels["kind"] for name, labels, _ in now.samples if "oldest_due_row_age" in name}
    assert {"accept", "disburse:lenco", "confirm:lenco", "report", "deliver"} <= kinds
    assert now.sum("tidegate_turn_duration_seconds_count", kind="accept", result="done") >= 4
    assert now.sum("tidegate_http_requests_total", route="/new_order", status="200") == len(
        books.payouts
    )
    assert now.sum("tidegate_webhooks_received_total", source="lenco", result="rejected") == 0
    kept = now.sum("tidegate_webhooks_received_total", source="lenco", result="kept")
    assert now.sum("tidegate_webhook_delay_seconds_count", source="lenco") <= kept


async def test_the_numbers_of_payments_are_true(open_world: OpenWorld) -> None:
    """Two cards are charged and one is declined: outcomes, calls, webhooks and the users' balance
    say exactly that, and orders are not mixed up with them."""
    world = await open_world()
    async with opened_shop(world) as (node, cards), shopper(node.url) as pay:
        for card in ("pm_card_visa", "pm_card_mastercard", "pm_card_chargeCustomerFail"):
            await pay(card)

        async def quiet() -> bool:
            rows = await world.rows(payments)
            moving = [row for row in rows if row["due_at"] or row["leased_until"]]
            return len(rows) == 3 and not moving and not cards.courier.waiting

        await world.until(quiet, 20, "every fee is booked and every webhook is in")
        rows = await world.rows(payments)
        now = await scrape(node.url)

    captured = sum(row["amount_captured"] for row in rows)
    assert captured == 2 * 1999
    outcomes = now.by("tidegate_payments", "state")
    assert outcomes == {"succeeded": 2, "failed": 1}
    assert now.by("tidegate_payments_finished_total", "status") == outcomes
    assert now.sum("tidegate_payments_without_fee") == 0
    assert now.sum("tidegate_oldest_unknown_payment_age_seconds") == 0
    held = now.sum("tidegate_account_balance_minor_units", account="payments:user", currency="USD")
    assert held == captured
    charged = now.sum("tidegate_account_balance_minor_units", account="processor:balance")
    fees = now.sum("tidegate_account_balance_minor_units", account="processor:fees")
    assert charged + fees == captured
    assert fees > 0
    name = "tidegate_processor_call_duration_seconds_count"
    assert now.sum(name, processor="stripe", outcome="2xx") > 0
    assert now.sum(name, operation="confirm") == 3
    assert now.sum(name, outcome="4xx") == 1  # the declined card
    assert now.sum("tidegate_psp_call_duration_seconds_count", psp="stripe") == 0
    kept = now.sum("tidegate_webhooks_received_total", source="stripe", result="kept")
    assert now.sum("tidegate_webhook_delay_seconds_count", source="stripe") == kept > 0
    assert now.sum("tidegate_orders") == 0
