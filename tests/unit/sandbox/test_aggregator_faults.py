"""Each fault of the sandbox's aggregator happens as its line in the list says, and passes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from tests.unit.sandbox.aggregator_world import ORDER_ID, World, world
from tidegate.sandbox.aggregator import Terms, Wrong
from tidegate.sandbox.faults import EVERY
from tidegate.sandbox.faults import AggregatorFault as F

NO_SLEEP = Terms(balance_work_s=0)
Proof = Callable[[World], Awaitable[None]]
PROOFS: dict[F, Proof] = {}


def proves(fault: F) -> Callable[[Proof], Proof]:
    """Register the proof of one fault; it runs with the fault set for :data:`ORDER_ID`."""

    def register(proof: Proof) -> Proof:
        PROOFS[fault] = proof
        return proof

    return register


@pytest.mark.parametrize("fault", list(F))
async def test_the_fault_happens_as_listed(fault: F) -> None:
    """One proof per fault; a fault without one fails here."""
    async with world(NO_SLEEP) as w:
        w.faults.set(ORDER_ID, fault)
        await PROOFS[fault](w)


async def _offered(w: World) -> None:
    await w.aggregator.offer("75375", order_id=ORDER_ID)
    await w.settle()


async def _accepted(w: World) -> None:
    await _offered(w)
    assert (await w.accept(ORDER_ID))[0] == 201


async def _dropped(call: Awaitable[object]) -> None:
    with pytest.raises(aiohttp.ClientError):
        await call


@proves(F.REFUSE_CONNECTION)
async def _(w: World) -> None:
    await _offered(w)
    await _dropped(w.accept(ORDER_ID))
    with pytest.raises(aiohttp.ClientConnectorError):
        await w.accept(ORDER_ID)
    await w.pass_time(1)
    assert (await w.accept(ORDER_ID))[0] == 201


@proves(F.OFFER_NEVER_SENT)
async def _(w: World) -> None:
    await _offered(w)
    assert w.node.received == []
    assert w.aggregator.book.has_key(w.aggregator.order(ORDER_ID))


@proves(F.OFFER_TWICE)
async def _(w: World) -> None:
    await _offered(w)
    first, second = w.node.calls("/new_order")
    assert first.body == second.body


@proves(F.OFFER_TWICE_CONCURRENTLY)
async def _(w: World) -> None:
    arrived = asyncio.Barrier(2)

    async def both(_: bytes) -> aiohttp.web.Response:
        async with asyncio.timeout(5):
            await arrived.wait()
        return aiohttp.web.json_response({})

    w.node.next["/new_order"].extend([both, both])
    await _offered(w)
    assert len(w.node.calls("/new_order")) == 2


@proves(F.OFFER_OTHER_AMOUNT)
async def _(w: World) -> None:
    await _offered(w)
    assert [call.document["amount"] for call in w.node.received] == ["75375", "75376"]
    assert (await w.accept(ORDER_ID))[1]["data"]["amount"] == "75375"


@proves(F.OFFER_STALE_SIGNATURE)
async def _(w: World) -> None:
    w.node.next["/new_order"].append(aiohttp.web.json_response({}, status=401))
    await _offered(w)
    bad, good = w.node.calls("/new_order")
    assert bad.body == good.body
    assert bad.headers["X-Request-Signature"] != good.headers["X-Request-Signature"]
    assert w.wrongs == []


@proves(F.OFFER_WRONG_TYPES)
async def _(w: World) -> None:
    await _offered(w)
    assert w.node.received[0].document["amount"] == 75375
    assert w.node.received[0].document["institution"] == ["?"]


@proves(F.UNKNOWN_INSTITUTION)
async def _(w: World) -> None:
    await _offered(w)
    assert w.node.received[0].document["institution"] == "ZZZZZZZZ"


@proves(F.UNKNOWN_CURRENCY)
async def _(w: World) -> None:
    await _offered(w)
    assert w.node.received[0].document["currency"] == "XTS"


@proves(F.TOO_LARGE)
async def _(w: World) -> None:
    await _offered(w)
    assert w.node.received[0].document["amount"] == "1000000000000"


@proves(F.REOFFER_AFTER_END)
async def _(w: World) -> None:
    await _accepted(w)
    await w.fulfil(ORDER_ID, "success", "tg-1")
    await w.pass_time(2.1, step=0.5)
    assert len(w.node.calls("/new_order")) == 2
    assert (await w.accept(ORDER_ID))[0] == 201
    assert (await w.fulfil(ORDER_ID, "success", "tg-1"))[0] == 200
    assert w.wrongs == []


@proves(F.REASSIGNED_403)
async def _(w: World) -> None:
    await _accepted(w)
    assert (await w.fulfil(ORDER_ID, "success"))[0] == 403
    assert (await w.get(f"orders/{ORDER_ID}"))[0] == 404


@proves(F.EARLY_TX_STATUS)
async def _(w: World) -> None:
    await _accepted(w)
    paths = [call.path for call in w.node.received]
    assert sorted(paths) == ["/new_order", "/tx_status", "/tx_status"]
    assert w.node.calls("/tx_status")[0].document == {"currency": "NGN", "reference": ORDER_ID}


@proves(F.ACCEPT_DROP_BEFORE)
async def _(w: World) -> None:
    await _offered(w)
    await _dropped(w.accept(ORDER_ID))
    assert w.status(ORDER_ID) == "pending"
    assert (await w.accept(ORDER_ID))[0] == 201


@proves(F.ACCEPT_DROP_AFTER)
async def _(w: World) -> None:
    await _offered(w)
    await _dropped(w.accept(ORDER_ID))
    assert w.status(ORDER_ID) == "fulfilling"
    assert (await w.accept(ORDER_ID))[0] == 201


@proves(F.ACCEPT_500)
async def _(w: World) -> None:
    await _offered(w)
    assert (await w.accept(ORDER_ID))[0] == 500
    assert w.status(ORDER_ID) == "pending"
    assert (await w.accept(ORDER_ID))[0] == 201


@proves(F.ACCEPT_HTML_502)
async def _(w: World) -> None:
    await _offered(w)
    assert await w.accept(ORDER_ID) == (502, {})
    assert (await w.accept(ORDER_ID))[0] == 201


async def _answered_late(
    w: World, call: Awaitable[tuple[int, object]], acted: str, status: int
) -> None:
    late = asyncio.ensure_future(call)
    await w.aggregator.wait_for(ORDER_ID, acted)
    await asyncio.sleep(0.02)
    assert not late.done()
    w.clock.advance(5)
    assert (await late)[0] == status


@proves(F.ACCEPT_SLOW)
async def _(w: World) -> None:
    await _offered(w)
    await _answered_late(w, w.accept(ORDER_ID), "fulfilling", 201)


@proves(F.ACCEPT_AMOUNT_DIFFERS)
async def _(w: World) -> None:
    await _offered(w)
    assert (await w.accept(ORDER_ID))[1]["data"]["amount"] == "75376"


@proves(F.ACCEPT_BAD_RECIPIENT)
async def _(w: World) -> None:
    await _offered(w)
    data = (await w.accept(ORDER_ID))[1]["data"]
    assert (data["accountIdentifier"], data["accountName"]) == ("12", "")


@proves(F.FULFIL_DROP_BEFORE)
async def _(w: World) -> None:
    await _accepted(w)
    await _dropped(w.fulfil(ORDER_ID, "success"))
    assert w.status(ORDER_ID) == "fulfilling"
    assert (await w.fulfil(ORDER_ID, "success"))[0] == 200
    assert w.wrongs == []


@proves(F.FULFIL_DROP_AFTER)
async def _(w: World) -> None:
    await _accepted(w)
    await _dropped(w.fulfil(ORDER_ID, "success"))
    assert w.status(ORDER_ID) == "validated"


@proves(F.FULFIL_500)
async def _(w: World) -> None:
    await _accepted(w)
    assert (await w.fulfil(ORDER_ID, "success"))[0] == 500
    assert w.status(ORDER_ID) == "fulfilling"


@proves(F.FULFIL_SLOW)
async def _(w: World) -> None:
    await _accepted(w)
    await _answered_late(w, w.fulfil(ORDER_ID, "success"), "validated", 200)


@proves(F.CANCEL_DROP_AFTER)
async def _(w: World) -> None:
    await _accepted(w)
    await _dropped(w.cancel(ORDER_ID))
    assert w.status(ORDER_ID) == "cancelled"


@proves(F.DECLINE_500)
async def _(w: World) -> None:
    await _offered(w)
    assert (await w.decline(ORDER_ID))[0] == 500
    assert (await w.decline(ORDER_ID))[0] == 200


@proves(F.ALREADY_REFUNDED)
async def _(w: World) -> None:
    await _accepted(w)
    got = await w.fulfil(ORDER_ID, "success")
    assert (got[0], got[1]["message"]) == (200, "Order already refunded")


@proves(F.RATE_LIMITED_429)
async def _(w: World) -> None:
    await _offered(w)
    status, body = await w.accept(ORDER_ID)
    assert (status, body["data"]) == (429, {"retry_after": 1, "limit": 500})
    assert (await w.accept(ORDER_ID))[0] == 201


@proves(F.BALANCES_500)
async def _(w: World) -> None:
    w.faults.set("NGN", F.BALANCES_500)
    assert (await w.balance("1", "1"))[0] == 500
    assert w.aggregator.balance().pushes == 0
    assert (await w.balance("1", "1"))[0] == 200


async def test_a_fault_for_everybody_strikes_each_order_once() -> None:
    """EVERY with the default of one strike: each order's first accept is lost."""
    async with world(NO_SLEEP) as w:
        w.faults.set(EVERY, F.ACCEPT_500)
        for _ in range(2):
            order_id = await w.aggregator.offer("100")
            assert (await w.accept(order_id))[0] == 500
            assert (await w.accept(order_id))[0] == 201


async def test_a_forged_spec_offer_is_old_but_well_signed() -> None:
    """SPEC carries a timestamp: stale by an hour; taking it is held against the node."""
    async with world(NO_SLEEP, dialect="spec") as w:
        w.faults.set(ORDER_ID, F.OFFER_STALE_SIGNATURE)
        await _offered(w)
        assert w.node.received[0].document["timestamp"] == w.now_s - 3600
        assert w.wrongs == [Wrong.FORGED_OFFER_TAKEN]


async def test_wrong_types_in_a_spec_offer_may_be_refused() -> None:
    """SPEC answers 400 to a body it cannot read; that is no mistake of the node."""
    async with world(NO_SLEEP, dialect="spec") as w:
        w.faults.set(ORDER_ID, F.OFFER_WRONG_TYPES)
        w.node.next["/orders"].append(aiohttp.web.json_response({}, status=400))
        await _offered(w)
        assert w.node.received[0].document["recipient"] == "somebody"
        assert w.wrongs == []
