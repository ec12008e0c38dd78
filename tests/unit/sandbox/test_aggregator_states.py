"""What the sandbox's aggregator does by itself: offers again, asks, settles, refunds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from aiohttp import web

from tests.unit.sandbox.aggregator_world import World, envelope, tx_status, world
from tidegate.sandbox.aggregator import Terms, Wrong

NO_SLEEP = Terms(balance_work_s=0)
STOCK = Terms(reoffer="stock", balance_work_s=0)


def _events(w: World, order_id: str) -> list[str]:
    return [moment.event for moment in w.aggregator.order(order_id).history]


# -- offers again (3.1, 3.6) --------------------------------------------------------------------


async def test_an_offer_lives_its_time_and_is_offered_again_at_once() -> None:
    """Hosted variant: expiry, a new offer, three in all."""
    async with world(NO_SLEEP) as w:
        order_id = await w.aggregator.offer("100")
        await w.pass_time(29.9)
        assert len(w.node.calls("/new_order")) == 1
        await w.pass_time(0.2)
        assert len(w.node.calls("/new_order")) == 2
        await w.pass_time(30.1, step=30.1)
        await w.pass_time(31)
        await w.pass_time(31)
        assert len(w.node.calls("/new_order")) == 3
        assert _events(w, order_id) == ["created", "expired", "expired", "expired"]
        assert w.status(order_id) == "pending"


async def test_on_stock_an_expired_offer_waits_for_the_refund_job() -> None:
    """3.6 note: nobody hears of the expiry; at 300 s the job offers the order again."""
    async with world(STOCK) as w:
        order_id = await w.aggregator.offer("100")
        await w.pass_time(290, step=10)
        assert len(w.node.calls("/new_order")) == 1
        assert str(w.aggregator.balance().reserved) == "100"
        await w.pass_time(20, step=5)
        assert len(w.node.calls("/new_order")) == 2
        assert _events(w, order_id) == ["created", "expired", "requeued"]


async def test_a_declined_offer_comes_again_at_most_three_times() -> None:
    """4.2: declining does not count against the node, but three spoilt offers are enough."""
    async with world(NO_SLEEP) as w:
        order_id = await w.aggregator.offer("100")
        for offers in (2, 3, 3):
            assert (await w.decline(order_id))[0] == 200
            assert str(w.aggregator.balance().reserved) == "0"
            await w.pass_time(0.01)
            assert len(w.node.calls("/new_order")) == offers
        assert w.wrongs == []


async def test_a_node_that_errs_is_called_again_at_once() -> None:
    """3.1: the same node several times in a row; the reservation is rolled back."""
    async with world(NO_SLEEP) as w:
        w.node.always["/new_order"] = lambda: envelope(None, 503)
        order_id = await w.aggregator.offer("100")
        assert len(w.node.calls("/new_order")) == 3
        assert [offer.http_status for offer in w.aggregator.order(order_id).offers] == [503] * 3
        assert str(w.aggregator.balance().reserved) == "0"
        assert w.wrongs == [Wrong.OFFER_REFUSED] * 3
        private = await w.aggregator.offer("100", private=True)
        assert len(w.aggregator.order(private).offers) == 1


async def test_the_second_call_may_succeed() -> None:
    """A passing error costs one offer only; accept then works."""
    async with world(NO_SLEEP) as w:
        w.node.next["/new_order"].append(envelope(None, 500))
        order_id = await w.accepted()
        assert [o.outcome for o in w.aggregator.order(order_id).offers] == ["failed", "accepted"]


async def test_nobody_there_is_a_failed_offer_but_no_mistake() -> None:
    """A refused connection may be the network's fault: it is counted, not judged."""
    async with world(NO_SLEEP) as w:
        w.aggregator.node_url = "http://127.0.0.1:1"
        order_id = await w.aggregator.offer("100")
        assert w.aggregator.counters["offer 0"] == 3
        assert w.status(order_id) == "pending"
        assert w.wrongs == []


async def test_accept_may_overtake_the_answer_to_the_offer() -> None:
    """Accept is taken while the node has not answered yet, and an error then changes nothing."""
    async with world(NO_SLEEP) as w:

        async def accept_then_fail(_: bytes) -> web.Response:
            (order_id,) = w.aggregator.orders
            assert (await w.accept(order_id))[0] == 201
            return envelope(None, 500)

        w.node.next["/new_order"].append(accept_then_fail)
        order_id = await w.aggregator.offer("100")
        assert w.status(order_id) == "fulfilling"
        assert len(w.node.calls("/new_order")) == 1


async def test_an_otc_order_is_not_offered_but_listed() -> None:
    """Hazard 20: found by listing, accepted within its own time, no reservation, no polling."""
    async with world(NO_SLEEP) as w:
        order_id = await w.aggregator.offer("100", otc=True)
        assert w.node.received == []
        listed = (await w.get("orders", currency="NGN"))[1]["data"]["orders"]
        assert [(order["id"], order["orderType"]) for order in listed] == [(order_id, "otc")]
        status, body = await w.accept(order_id)
        assert status == 201
        assert "otcFulfillmentExpiry" in body["data"]["metadata"]
        await w.pass_time(120, step=30)
        assert w.node.received == []


async def test_a_private_order_is_accepted_late() -> None:
    """4.1: without the key the provider edge is enough."""
    async with world(NO_SLEEP) as w:
        order_id = await w.aggregator.offer("100", private=True)
        await w.pass_time(40)
        assert (await w.accept(order_id))[0] == 201
        assert len(w.node.calls("/new_order")) == 1


async def test_a_cancelled_order_is_offered_again_by_the_sync_job() -> None:
    """3.6: public, counted less than three, young: at most 32 s later; ours no more till then."""
    async with world(NO_SLEEP) as w:
        order_id = await w.accepted()
        await w.cancel(order_id)
        assert (await w.get(f"orders/{order_id}"))[1]["data"]["status"] == "cancelled"
        await w.pass_time(32)
        assert len(w.node.calls("/new_order")) == 2
        assert (await w.get(f"orders/{order_id}"))[0] == 404
        assert (await w.accept(order_id))[0] == 201
        assert w.wrongs == []


async def test_a_counted_out_order_is_refunded() -> None:
    """4.4: three points, no more offers; refunded on chain once it is old enough."""
    async with world(NO_SLEEP) as w:
        order_id = await w.accepted()
        await w.cancel(order_id, "Invalid recipient bank details")
        await w.pass_time(290, step=10)
        assert w.status(order_id) == "cancelled"
        await w.pass_time(20, step=5)
        assert w.status(order_id) == "refunded"
        assert len(w.node.calls("/new_order")) == 1
        assert (await w.fulfil(order_id, "success"))[1]["message"] == "Order already refunded"


async def test_a_failed_order_is_offered_again_without_its_failed_row() -> None:
    """3.6: the row is deleted, the provider cleared; a new round may use a new txId."""
    async with world(NO_SLEEP) as w:
        order_id = await w.accepted()
        await w.fulfil(order_id, "failed", "tg-1")
        await w.pass_time(32)
        assert w.aggregator.order(order_id).fulfilments == []
        assert (await w.accept(order_id))[0] == 201
        assert (await w.fulfil(order_id, "success", "tg-1-2"))[0] == 200
        assert w.wrongs == []


async def test_an_old_failed_order_is_cleared_then_refunded() -> None:
    """3.6: the refund job passes it over while it is fulfilled; the clean-up frees it at 310 s."""
    terms = Terms(reassign_interval_s=400, refund_interval_s=5, offers_max=1)
    async with world(terms) as w:
        order_id = await w.accepted()
        await w.fulfil(order_id, "failed")
        await w.pass_time(390, step=10)
        assert w.status(order_id) == "fulfilled"
        await w.pass_time(20, step=5)
        assert _events(w, order_id)[-3:] == ["cleared", "refunding", "refunded"]


# -- tx_status (3.2) ----------------------------------------------------------------------------


async def test_shape_1_asks_about_an_accept_without_fulfil() -> None:
    """A04: currency and reference only, once the accept is 30 s old."""
    async with world(NO_SLEEP) as w:
        order_id = await w.accepted()
        await w.aggregator.poll()
        assert w.node.calls("/tx_status") == []
        await w.pass_time(32)
        (call,) = w.node.calls("/tx_status")
        assert call.document == {"currency": "NGN", "reference": order_id}
        assert w.status(order_id) == "fulfilling"
        assert w.wrongs == []


async def test_shape_1_success_validates_but_settles_late_and_keeps_the_reservation() -> None:
    """3.2: a success fulfilment is made of the answer; the reservation leaks."""
    async with world(NO_SLEEP) as w:
        order_id = await w.accepted("100")
        w.node.always["/tx_status"] = lambda: tx_status("success", "tg-1")
        await w.pass_time(32)
        order = w.aggregator.order(order_id)
        assert order.status == "validated"
        assert (order.fulfilments[0].tx_id, order.fulfilments[0].status) == ("tg-1", "success")
        assert str(w.aggregator.balance().reserved) == "100"
        await w.pass_time(290, step=29)
        assert w.status(order_id) == "validated"
        await w.pass_time(11)
        assert w.status(order_id) == "settling"


async def test_shape_1_failed_makes_a_failed_row_and_a_new_offer() -> None:
    """3.2: fulfilled now, given out again by the next run of the sync job."""
    async with world(Terms(poll_interval_s=31)) as w:
        order_id = await w.accepted()
        w.node.next["/tx_status"].append(tx_status("failed", "tg-1", error="closed"))
        await w.pass_time(31)
        assert w.status(order_id) == "fulfilled"
        await w.pass_time(1)
        assert len(w.node.calls("/new_order")) == 2


async def test_shape_1_answered_400_resets_the_order() -> None:
    """3.2: pending with provider and reservation kept, and still acceptable; a grave mistake."""
    async with world(NO_SLEEP) as w:
        order_id = await w.accepted()
        w.node.next["/tx_status"].append(envelope(None, 400))
        await w.pass_time(32)
        assert w.status(order_id) == "pending"
        assert w.wrongs == [Wrong.TX_STATUS_400]
        assert (await w.accept(order_id))[0] == 201


@pytest.mark.parametrize("status", [401, 404, 409, 500, 503])
async def test_any_other_error_changes_nothing(status: int) -> None:
    """3.2: logged and asked again next time."""
    async with world(NO_SLEEP) as w:
        order_id = await w.accepted()
        w.node.next["/tx_status"].append(envelope(None, status))
        await w.pass_time(64, step=32)
        assert w.status(order_id) == "fulfilling"
        assert len(w.node.calls("/tx_status")) == 2
        assert w.wrongs == []


async def test_shape_2_asks_about_a_pending_fulfilment() -> None:
    """A05: with psp and txId, once the row is 60 s old; success validates."""
    async with world(NO_SLEEP) as w:
        order_id = await w.accepted()
        await w.fulfil(order_id, "pending")
        await w.pass_time(50)
        assert w.node.calls("/tx_status") == []
        w.node.always["/tx_status"] = lambda: tx_status("success", "tg-1")
        await w.pass_time(50)
        (call,) = w.node.calls("/tx_status")
        assert call.document == {
            "currency": "NGN",
            "psp": "lenco",
            "reference": order_id,
            "txId": "tg-1",
        }
        assert w.status(order_id) == "validated"


async def test_shape_3_asks_again_after_giving_up() -> None:
    """3.2: 400 at more than five minutes gives up; the windows use orderId, no reference."""
    terms = Terms(poll_interval_s=60, refund_timeout_s=1, reassign_interval_s=10_000)
    async with world(terms) as w:
        order_id = await w.accepted()
        await w.fulfil(order_id, "pending")
        w.node.always["/tx_status"] = lambda: envelope(None, 400)
        await w.pass_time(240, step=60)
        assert w.aggregator.order(order_id).fulfilments[0].status == "pending"
        await w.pass_time(120, step=60)
        row = w.aggregator.order(order_id).fulfilments[0]
        assert (row.status, row.error) == (
            "failed",
            "Failed to get transaction status after 5 minutes",
        )
        w.node.received.clear()
        w.node.always["/tx_status"] = lambda: tx_status("success", "tg-1")
        await w.pass_time(180, step=60)
        assert w.node.received == []
        await w.pass_time(120, step=60)
        (call,) = w.node.calls("/tx_status")
        assert call.document == {
            "currency": "NGN",
            "orderId": order_id,
            "psp": "lenco",
            "txId": "tg-1",
        }
        assert w.status(order_id) == "validated"


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        (lambda: envelope(None), Wrong.TX_STATUS_FIELDS),
        (lambda: envelope("pending"), Wrong.TX_STATUS_FIELDS),
        (lambda: envelope({"status": "pending", "psp": None, "txId": ""}), Wrong.TX_STATUS_FIELDS),
        (lambda: envelope({"status": "pending", "psp": "lenco"}), Wrong.TX_STATUS_FIELDS),
        (lambda: envelope({"status": 1, "psp": "", "txId": ""}), Wrong.TX_STATUS_FIELDS),
        (
            lambda: envelope({"status": "failed", "psp": "a", "txId": "b"}),
            Wrong.TX_STATUS_FIELDS,
        ),
        (lambda: web.json_response([]), Wrong.TX_STATUS_FIELDS),
        (lambda: web.Response(status=204), Wrong.TX_STATUS_NOT_JSON),
        (lambda: web.Response(text="OK"), Wrong.TX_STATUS_NOT_JSON),
        (lambda: tx_status("processing"), Wrong.TX_STATUS_UNKNOWN_WORD),
        (lambda: tx_status("failed", error="x"), Wrong.TX_STATUS_FAILED_BARE),
    ],
)
async def test_an_answer_that_would_crash_or_mislead_is_recorded(
    answer: Callable[[], web.Response], wrong: Wrong
) -> None:
    """3.2: three strings always; LIVE's process would die of the rest, this one goes on."""
    async with world(NO_SLEEP) as w:
        order_id = await w.accepted()
        w.node.always["/tx_status"] = answer
        await w.aggregator.ask(order_id)
        assert wrong in w.wrongs
        assert w.status(order_id) in ("fulfilling", "fulfilled")


async def test_another_tx_id_in_tx_status_is_recorded() -> None:
    """4.3: the same txId in fulfil and tx_status."""
    async with world(NO_SLEEP) as w:
        order_id = await w.accepted()
        await w.fulfil(order_id, "pending", "tg-1")
        w.node.always["/tx_status"] = lambda: tx_status("pending", "tg-2")
        await w.aggregator.ask(order_id)
        assert w.wrongs == [Wrong.TX_STATUS_OTHER_TX]


async def test_the_substring_trap_can_be_switched_on() -> None:
    """Section 3: a non-JSON page that holds "400" is taken for a 400."""
    async with world(Terms(substring_trap=True)) as w:
        order_id = await w.accepted()
        w.node.always["/tx_status"] = lambda: web.Response(text="retry in 400 ms")
        await w.aggregator.ask(order_id)
        assert w.status(order_id) == "pending"


async def test_the_row_lock_holds_declines_and_balances_back() -> None:
    """3.1: while an offer is unanswered, the node's balance row is locked; accept is free."""
    async with world(Terms(row_lock=True, balance_work_s=0, reoffer="stock")) as w:
        first, second = await w.aggregator.offer("100"), await w.aggregator.offer("100")
        asked, answer = asyncio.Event(), asyncio.Event()

        async def think(_: bytes) -> web.Response:
            asked.set()
            await answer.wait()
            return envelope({})

        w.node.next["/new_order"].append(think)
        offer = asyncio.ensure_future(w.aggregator.offer("100"))
        await asked.wait()
        locked = [
            asyncio.ensure_future(w.decline(first)),
            asyncio.ensure_future(w.balance("1", "1")),
        ]
        assert (await w.accept(second))[0] == 201
        await asyncio.sleep(0.02)
        w.clock.advance(1)
        await asyncio.sleep(0.02)
        assert not any(call.done() for call in locked)
        answer.set()
        await offer
        while not all(call.done() for call in locked):
            w.clock.advance(0.01)
            await asyncio.sleep(0.001)
        assert [call.result()[0] for call in locked] == [200, 200]
