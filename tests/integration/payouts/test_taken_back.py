"""The aggregator takes an order back, or offers it again, while it is being accepted or paid."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import Connection, select

from tests.integration.payouts.hands import Hands, MakeHands
from tidegate.cases.tables import cases
from tidegate.payouts.offer import Receive
from tidegate.payouts.states import AttemptState, State
from tidegate.payouts.tables import offers
from tidegate.ports.aggregator import Listed, Query
from tidegate.sandbox.aggregator.orders import Order
from tidegate.sandbox.aggregator.orders import Status as Aggregated
from tidegate.sandbox.faults import BankFault
from tidegate.wire.canonical import parse_object
from tidegate.wire.inbound import parse_live_offer

MINUTE = 60.0
AGAIN = "paying_order_offered_again"


@pytest.mark.parametrize("told", [False, True], ids=["untold", "told"])
@pytest.mark.parametrize("dialect", ["live", "spec"])
async def test_an_order_that_is_being_paid_is_taken_again(
    make_hands: MakeHands, dialect: Any, told: bool
) -> None:
    """Taken back under our transfer and offered once more, it is accepted so that nobody else pays
    it; the transfer that is under way stays the only one, and its success is taken."""
    hands = await make_hands()
    order_id = await hands.world.offer(dialect=dialect)
    await hands.sent(order_id, AttemptState.PENDING)
    if told and dialect == "live":
        await hands.payout(order_id, "report")
    await _offer_again(hands, _take_back(hands, order_id))

    row = await hands.payout(order_id, "report")
    assert (row["state"], row["accept_first"]) == (State.PROCESSING, False)
    assert hands.world.aggregator.order(order_id).ours
    assert await _cases(hands) == [(AGAIN, "medium")]

    assert (await hands.to_its_end(order_id))["state"] == State.FULFILLED
    assert hands.posts == 1
    await hands.world.assert_right(cases_allowed={AGAIN})


async def test_a_copy_of_the_offer_of_an_order_that_is_being_paid_changes_nothing(
    make_hands: MakeHands,
) -> None:
    """Networks repeat: the order is found to be ours still, is not accepted twice, and no person
    is called."""
    hands = await make_hands()
    order_id = await hands.world.offer()
    await hands.sent(order_id, AttemptState.PENDING)
    await _copy_of_the_offer(hands, order_id)
    accepts = hands.heard(order_id).count("accepted")

    row = await hands.payout(order_id, "report")
    assert (row["kind"], row["accept_first"]) == ("report", False)
    assert (await hands.to_its_end(order_id))["state"] == State.FULFILLED
    assert hands.heard(order_id).count("accepted") == accepts == 1
    assert hands.heard(order_id).count("pending_reported") == 1
    assert await _cases(hands) == []
    await hands.world.assert_right()


async def test_an_order_that_another_has_taken_meanwhile_is_a_case(make_hands: MakeHands) -> None:
    """Too late for accept: a person is told at once that it may be paid twice, and the success is
    not told to an aggregator for which it is somebody else's."""
    hands = await make_hands()
    order_id = await hands.world.offer()
    await hands.sent(order_id, AttemptState.PENDING)
    order = _take_back(hands, order_id)
    await _offer_again(hands, order)
    hands.world.aggregator.book.give_to_another(order)

    row = await hands.payout(order_id, "report")
    assert row["state"] == State.PROCESSING
    assert await _cases(hands) == [(AGAIN, "high")]
    assert (await hands.to_its_end(order_id))["state"] == State.PAID
    assert hands.posts == 1


async def test_an_aggregator_that_cannot_be_asked_is_asked_again(make_hands: MakeHands) -> None:
    """While the offer lives; no accept goes out before the order was fetched."""
    hands = await make_hands()
    order_id = await hands.world.offer()
    await hands.sent(order_id, AttemptState.PENDING)
    await _offer_again(hands, _take_back(hands, order_id))
    client = hands.node.app.aggregator
    order, client.order = client.order, _silent  # type: ignore[method-assign]  # it is away
    row = await hands.payout(order_id, "report")
    client.order = order  # type: ignore[method-assign]  # and is back
    assert (row["kind"], row["accept_first"]) == ("report", True)
    assert hands.heard(order_id).count("accepted") == 1
    hands.clock.advance(2)
    await hands.payout(order_id, "report")
    assert hands.heard(order_id).count("accepted") == 2


async def test_an_offer_that_is_repeated_lives_anew(make_hands: MakeHands) -> None:
    """The aggregator did not hear our answer and offered at once again: its second offer is as good
    as its first, and lives on when the first one's time is over."""
    hands = await make_hands()
    order_id = await hands.world.offer()
    first = await hands.world.payout(order_id)
    hands.clock.advance(5)
    await _copy_of_the_offer(hands, order_id, excludePsps=["other"])
    row = await hands.world.payout(order_id)
    assert row["expires_at"] == first["expires_at"] + 5_000
    assert (row["exclude_psps"], row["kind"]) == (["other"], "accept")
    assert row["round"] == 1


@pytest.mark.parametrize("failed", [False, True], ids=["pending", "failed"])
async def test_a_first_report_that_comes_late_asks_first(
    make_hands: MakeHands, failed: bool
) -> None:
    """The node was away, the order went to another provider: no call goes out that would leave a
    transaction there which blocks the other's (4.3)."""
    hands = await make_hands()
    faults = [BankFault.FAILED_UNSUCCESSFUL] if failed else []
    order_id = await hands.world.offer(bank_faults=faults)
    await hands.sent(order_id, AttemptState.PENDING)
    if failed:
        await hands.look_up(order_id)
    hands.world.aggregator.book.give_to_another(hands.world.aggregator.order(order_id))
    hands.clock.advance(2 * MINUTE)
    await hands.payout(order_id, "report")
    assert not [name for name in hands.world.aggregator.counters if name.startswith("fulfill")]


async def test_a_late_success_of_an_order_that_is_not_ours_is_not_told(
    make_hands: MakeHands,
) -> None:
    """*Pending* was told in time and the bank took an hour: the order is fetched before success."""
    hands = await make_hands()
    order_id = await hands.world.offer()
    await hands.sent(order_id, AttemptState.PENDING)
    await hands.payout(order_id, "report")
    hands.clock.advance(60 * MINUTE)
    hands.world.aggregator.book.give_to_another(hands.world.aggregator.order(order_id))
    await hands.look_up(order_id)
    await hands.payout(order_id, "report")
    assert hands.world.aggregator.counters.get("fulfill 403", 0) == 0
    assert "order_not_ours" in (await hands.world.books()).kinds_of(order_id)


# -- what the aggregator and the network do -------------------------------------------------


async def _silent(order_id: str) -> Query:
    return Query(Listed.UNAVAILABLE, ())


def _take_back(hands: Hands, order_id: str) -> Order:
    book = hands.world.aggregator.book
    order = book.orders[order_id]
    order.ours = False
    book.move(order, Aggregated.PENDING, "taken_back")
    return order


async def _offer_again(hands: Hands, order: Order) -> None:
    number = order.offer_number
    hands.world.aggregator.book.offer_again(order)
    async with asyncio.timeout(60):
        while order.offer_number == number or hands.world.aggregator.busy:  # noqa: ASYNC110 -- the sandbox tells nobody
            await asyncio.sleep(0.01)


async def _copy_of_the_offer(hands: Hands, order_id: str, **changed: Any) -> None:
    """The offer's own body once more."""
    (kept,) = await hands.world.rows(offers, offers.c.order_id == order_id)
    body = {**parse_object(str(kept["body"]).encode()), **changed}
    app = hands.node.app
    receive = Receive(app.database, app.committer, app.clock, app.randomness, app.rules, app.facts)
    await receive(parse_live_offer(body), str(kept["body"]), app.clock.now_ms())


async def _cases(hands: Hands) -> list[tuple[str, str]]:
    def read(connection: Connection) -> list[tuple[str, str]]:
        rows = connection.execute(select(cases.c.kind, cases.c.severity)).all()
        return [(row.kind, row.severity) for row in rows]

    return list(await hands.world.read(read))
