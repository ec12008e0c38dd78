"""What the sandbox's aggregator holds against a node, and what it does not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from tests.unit.sandbox.aggregator_world import (
    CLIENT_ID,
    ORDER_ID,
    World,
    envelope,
    signature,
    world,
)
from tidegate.sandbox.aggregator import Terms, Wrong

NO_SLEEP = Terms(balance_work_s=0)
Misdeed = Callable[[World], Awaitable[object]]
MISDEEDS: list[tuple[Wrong, Misdeed]] = []


def misdeed(wrong: Wrong) -> Callable[[Misdeed], Misdeed]:
    """Register what a node does wrong; the judge has to name exactly that."""

    def register(act: Misdeed) -> Misdeed:
        MISDEEDS.append((wrong, act))
        return act

    return register


async def test_a_good_order_is_held_against_nobody() -> None:
    """Accept, pending, success, a look, a balance: no violation in either dialect."""
    async with world(NO_SLEEP) as w:
        order_id = await w.accepted()
        await w.fulfil(order_id, "pending")
        await w.fulfil(order_id, "success")
        await w.get(f"orders/{order_id}")
        await w.balance("5.00", "10.00")
        spec = await w.accepted(dialect="spec")
        await w.post(f"orders/{spec}/fulfill", {"transactionHash": "lenco-1"})
        declined = await w.aggregator.offer("1")
        await w.decline(declined)
        assert w.aggregator.judge() == []


@misdeed(Wrong.CANCEL_AFTER_FULFIL)
async def _(w: World) -> None:
    order_id = await w.accepted()
    await w.fulfil(order_id, "pending")
    await w.cancel(order_id)


@misdeed(Wrong.CANCEL_REPEATED)
async def _(w: World) -> None:
    order_id = await w.accepted()
    await w.cancel(order_id)
    await w.cancel(order_id)


@misdeed(Wrong.CANCEL_REPEATED)
async def _(w: World) -> None:
    order_id = await w.accepted()
    await w.cancel(order_id)
    await w.pass_time(32)
    assert (await w.cancel(order_id))[0] == 404


@misdeed(Wrong.CANCEL_WITHOUT_ACCEPT)
async def _(w: World) -> None:
    await w.cancel(await w.aggregator.offer("100", private=True))


@misdeed(Wrong.FULFIL_OTHER_TX)
async def _(w: World) -> None:
    order_id = await w.accepted()
    await w.fulfil(order_id, "pending", "tg-1")
    await w.fulfil(order_id, "success", "tg-2")


@misdeed(Wrong.PAID_TWICE)
async def _(w: World) -> None:
    order_id = await w.accepted()
    await w.fulfil(order_id, "success", "tg-1")
    await w.fulfil(order_id, "success", "tg-2")


@misdeed(Wrong.FULFIL_WITHOUT_ACCEPT)
async def _(w: World) -> None:
    await w.fulfil(await w.aggregator.offer("100"), "success")


@misdeed(Wrong.FULFIL_AFTER_FAILED)
async def _(w: World) -> None:
    order_id = await w.accepted()
    await w.fulfil(order_id, "failed", "tg-1")
    await w.fulfil(order_id, "success", "tg-1")


@misdeed(Wrong.SUCCESS_REPEATED)
async def _(w: World) -> None:
    order_id = await w.accepted()
    await w.fulfil(order_id, "success")
    await w.fulfil(order_id, "success")


@misdeed(Wrong.PENDING_AFTER_SUCCESS)
async def _(w: World) -> None:
    order_id = await w.accepted()
    await w.fulfil(order_id, "success")
    await w.fulfil(order_id, "pending")


@misdeed(Wrong.FAILED_AFTER_SUCCESS)
async def _(w: World) -> None:
    order_id = await w.accepted()
    await w.fulfil(order_id, "success")
    await w.fulfil(order_id, "failed")


@misdeed(Wrong.VALIDATION_STATUS)
async def _(w: World) -> None:
    order_id = await w.accepted()
    await w.fulfil(order_id, "SUCCESS")
    assert w.status(order_id) == "fulfilled"


@misdeed(Wrong.VALIDATION_STATUS)
async def _(w: World) -> None:
    order_id = await w.accepted()
    await w.post(f"orders/{order_id}/fulfill", {"psp": "lenco", "txId": "tg-1"})


@misdeed(Wrong.TIMESTAMP_MISSING)
async def _(w: World) -> None:
    raw = b'{"reason":"x"}'
    headers = {"Authorization": f"HMAC {CLIENT_ID}:{signature(raw)}"}
    await w.raw("POST", f"orders/{ORDER_ID}/decline", raw, headers)


@misdeed(Wrong.TIMESTAMP_NOT_SECONDS)
async def _(w: World) -> None:
    await w.post(f"orders/{ORDER_ID}/decline", {"timestamp": w.clock.now_ms()})


@misdeed(Wrong.TIMESTAMP_FUTURE)
async def _(w: World) -> None:
    await w.post(f"orders/{ORDER_ID}/decline", {"timestamp": w.now_s + 61})


@misdeed(Wrong.TIMESTAMP_TEXT)
async def _(w: World) -> None:
    await w.post(f"orders/{ORDER_ID}/decline", {"timestamp": str(w.now_s)})


@misdeed(Wrong.CLIENT_TYPE_WEB)
async def _(w: World) -> None:
    await w.post(f"orders/{ORDER_ID}/decline", None, **{"Client-Type": "web"})


@misdeed(Wrong.ROUTE)
async def _(w: World) -> None:
    await w.post(f"orders/{ORDER_ID}/fulfil")


@misdeed(Wrong.DECLINE_AFTER_ACCEPT)
async def _(w: World) -> None:
    await w.decline(await w.accepted())


@misdeed(Wrong.ACCEPT_AFTER_EXPIRY)
async def _(w: World) -> None:
    order_id = await w.aggregator.offer("100")
    await w.pass_time(34)
    assert (await w.accept(order_id))[0] == 404


@misdeed(Wrong.ACCEPT_AFTER_DECLINE)
async def _(w: World) -> None:
    order_id = await w.aggregator.offer("100")
    await w.decline(order_id)
    await w.accept(order_id)


@misdeed(Wrong.ACCEPT_WITHOUT_OFFER)
async def _(w: World) -> None:
    await w.accept(w.aggregator.create("100").id)


@misdeed(Wrong.BALANCE_OVER_TOTAL)
async def _(w: World) -> None:
    await w.balance("11.00", "10.00")


@misdeed(Wrong.OFFER_NOT_JSON)
async def _(w: World) -> None:
    w.node.next["/new_order"].append(web.Response(text=""))
    await w.aggregator.offer("100")


@misdeed(Wrong.OFFER_REDIRECTED)
async def _(w: World) -> None:
    w.node.next["/new_order"].append(web.Response(status=302, headers={"Location": "/x"}))
    await w.aggregator.offer("100", private=True)


@misdeed(Wrong.OFFER_SLOW)
async def _(w: World) -> None:
    async def think(_: bytes) -> web.Response:
        w.clock.advance(1.1)
        return envelope({})

    w.node.next["/new_order"].append(think)
    await w.aggregator.offer("100")


@pytest.mark.parametrize(
    ("wrong", "act"), MISDEEDS, ids=[f"{w}-{i}" for i, (w, _) in enumerate(MISDEEDS)]
)
async def test_a_misdeed_is_named(wrong: Wrong, act: Misdeed) -> None:
    """Exactly one violation, of the right kind, with its rule."""
    async with world(Terms(balance_work_s=0, reoffer="stock")) as w:
        await act(w)
        assert w.wrongs == [wrong]
        (violation,) = w.aggregator.judge()
        assert wrong.rule in str(violation)


async def test_an_accept_just_after_expiry_is_no_misdeed() -> None:
    """A tenth of the offer's life is left to calls under way; the answer is 404 all the same."""
    async with world(Terms(reoffer="stock")) as w:
        order_id = await w.aggregator.offer("100")
        await w.pass_time(31)
        assert (await w.accept(order_id))[0] == 404
        assert w.wrongs == []


async def test_overlapping_pushes_of_one_currency_are_seen() -> None:
    """4.5: two in flight for one currency is a mistake, one after the other is not."""
    async with world(Terms(balance_work_s=0.01)) as w:

        async def push(*bodies: str) -> None:
            calls = [asyncio.ensure_future(w.balance(body, "9")) for body in bodies]
            # The clock stands until all have arrived.
            while w.aggregator.balance("NGN").in_flight < len(bodies):  # noqa: ASYNC110 -- seen only
                await asyncio.sleep(0.005)
            while not all(call.done() for call in calls):
                await asyncio.sleep(0.005)
                w.clock.advance(0.01)

        await push("1")
        await push("2")
        assert w.wrongs == []
        await push("3", "4")
        assert w.wrongs == [Wrong.BALANCE_OVERLAP]


async def test_only_the_first_ten_thousand_of_a_kind_keep_their_details() -> None:
    """A node that errs a million times must not fill the memory; the count goes on."""
    async with world(NO_SLEEP) as w:
        judge = w.aggregator.book.judge
        for _ in range(10_500):
            judge.record(Wrong.ROUTE, "x")
        assert len(w.aggregator.judge()) == 10_000
        assert judge.counts[Wrong.ROUTE] == 10_500
