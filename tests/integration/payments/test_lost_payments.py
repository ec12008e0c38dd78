"""Card payments that a restored copy does not know are named, each with what to do."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from tests.integration.payments.world import World
from tidegate.bootstrap import Application
from tidegate.cases.tables import cases
from tidegate.money.amount import Money
from tidegate.money.currency import parse_currency
from tidegate.payments import tables
from tidegate.ports.cards import Found, IntentOrder
from tidegate.recovery.cards import look_for_payments


async def test_a_charge_that_no_row_knows_is_a_case(world: World) -> None:
    """The processor has a payment of ours beside one that the copy knows: only the lost one is
    named, as one whose client may be charged again; its list is read whole, and so are events."""
    known = (await world.pay()).body["id"]
    (customer,) = {row["reference"] for row in await world.rows(tables.card_customers)}
    (method,) = {row["reference"] for row in await world.rows(tables.payment_methods)}
    order = IntentOrder(
        payment_id="pay_lost",
        amount=Money(2_500, parse_currency("EUR")),
        customer=customer,
        method=method,
        manual_capture=False,
        description=None,
    )
    made = await world.money.cards.create(order, "lost-key")
    assert isinstance(made, Found)
    await world.money.cards.confirm(made.value.reference, "lost-confirm", None)

    app = SimpleNamespace(database=world.database, committer=world.committer, money_in=world.money)
    quarantine: dict[str, Any] = {"backup": {"taken_ms": world.clock.now_ms()}, "since_at": 0}
    unread: list[str] = []
    unknown: list[str] = []
    await look_for_payments(cast(Application, app), quarantine, unread, unknown)
    assert (unread, unknown) == ([], [made.value.reference])
    (case,) = [row for row in await world.rows(cases) if row["kind"] == "payment_unknown_here"]
    assert (case["subject"], case["severity"]) == ("pay_lost", "high")
    assert case["subject"] != known

    await world.processor.stop()
    await look_for_payments(cast(Application, app), quarantine, unread, unknown)
    assert unread, "a processor that does not answer counted as read"
