"""Transfers that a restored copy lost: whoever offers their order again, it is paid once."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from sqlalchemy import insert

from tests.support import world as worlds
from tests.support.node import LocalNode
from tests.support.world import INSTITUTION, OpenWorld, World
from tidegate.db.committer import Unit
from tidegate.db.quarantine import quarantines
from tidegate.ledger.book import Record
from tidegate.ledger.tables import accounts
from tidegate.payouts.adopt import Adopt
from tidegate.payouts.postings import FloatAccounts, reserved
from tidegate.payouts.references import order_reference
from tidegate.payouts.states import AttemptState, State
from tidegate.payouts.tables import attempts, found_transfers, payouts
from tidegate.recovery.check import Check
from tidegate.recovery.release import still_missing
from tidegate.sandbox.faults import BankFault as B

open_world = worlds.open_world

ENV = {"NOT_FOUND_WINDOW": "1", "COOL_OFF": "1", "ORDER_POLL_INTERVAL": "300"}


async def _quarantine(world: World, node: LocalNode) -> None:
    now_ms = world.clock.now_ms()
    row = {
        "id": "qua_test",
        "began_at": now_ms,
        "reason": "a test",
        "since_at": now_ms - 86_400_000,
        "backup": {"environment": "sandbox", "taken_ms": now_ms},
    }
    await world.execute(lambda c: c.execute(insert(quarantines).values(**row)))


async def _release(world: World) -> None:
    released = quarantines.update().values(released_at=1)
    await world.execute(lambda c: c.execute(released))


async def _sent_by_the_lost_node(
    world: World,
    node: LocalNode,
    order_id: str,
    number: int,
    *faults: B,
    amount: str = "5000.00",
) -> str:
    """A transfer at the bank that no row of ours knows."""
    bank = node.app.banks["lenco"]
    rules = node.app.rules
    reference = f"{order_reference('sandbox', rules.node_id, order_id)}-{number:02d}"
    code = node.app.directory.routes["lenco", INSTITUTION]
    account = world.account()
    world.faults.plan.set(account, *faults)
    body: dict[str, Any] = {
        "accountId": world.account_id,
        "accountNumber": account,
        "amount": amount,
        "bankCode": code,
        "narration": "lost",
        "reference": reference,
    }
    headers = {"Authorization": f"Bearer {node.settings.lenco.api_keys[0]}"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{world.bank.base_url}/transfer", json=body, headers=headers) as answer,
    ):
        assert answer.status == 200, await answer.text()
    assert bank.name == "lenco"
    return reference


def _paid(world: World, references: Iterable[str]) -> int:
    return sum(world.bank.times_paid(one) for one in references)


async def test_an_order_that_nobody_named_is_recognised_when_it_is_offered(
    open_world: OpenWorld,
) -> None:
    """The lost node's first attempt was refused and left no trace, its second paid. Neither copy
    nor aggregator names the order; offered after the release, no first attempt is sent for it."""
    world = await open_world(env=ENV)
    node = await world.local()
    order_id = "5b0e3a61-6a8f-4f4a-9d9a-0123456789ab"
    reference = await _sent_by_the_lost_node(world, node, order_id, 2)
    await _quarantine(world, node)

    checked = await Check(node.app)()
    assert checked.unknown == [reference]
    assert checked.found == [reference]
    assert await world.rows(payouts) == []
    await _release(world)

    await world.offer(order_id=order_id)
    await world.reaches(order_id, {State.PAID, State.FULFILLED})
    rows = await world.attempts(order_id)
    assert [row["reference"] for row in rows] == [reference]
    assert set(world.bank.transfers) == {reference}
    assert _paid(world, world.bank.transfers) == 1
    await world.reaches(order_id, State.FULFILLED)


async def test_a_transfer_that_failed_only_uses_its_number_up(open_world: OpenWorld) -> None:
    """The lost node's attempt failed for certain: the order offered again is paid, under the next
    number."""
    world = await open_world(env=ENV)
    node = await world.local()
    order_id = "5b0e3a61-6a8f-4f4a-9d9a-0123456789ac"
    first = await _sent_by_the_lost_node(world, node, order_id, 1, B.FAILED_INSUFFICIENT)

    async def failed() -> bool:
        return bool(world.bank.transfers[first].status.value == "failed")

    await world.until(failed, 10, "the first transfer failed")
    await _quarantine(world, node)
    await Check(node.app)()
    (transfer,) = await world.rows(found_transfers)
    assert transfer["certain"]
    await _release(world)

    await world.offer(order_id=order_id)
    await world.reaches(order_id, State.FULFILLED)
    rows = await world.attempts(order_id)
    assert [(row["number"], row["state"]) for row in rows] == [
        (1, AttemptState.FAILED),
        (2, AttemptState.PAID),
    ]
    assert _paid(world, world.bank.transfers) == 1


async def test_another_amount_is_held_for_a_person(open_world: OpenWorld) -> None:
    """What the PSP paid is not what the order says: nothing more is sent, a case names it."""
    world = await open_world(env=ENV)
    node = await world.local()
    order_id = "5b0e3a61-6a8f-4f4a-9d9a-0123456789ad"
    reference = await _sent_by_the_lost_node(world, node, order_id, 1, amount="4999.00")
    await _quarantine(world, node)
    await Check(node.app)()
    await _release(world)
    await world.offer(order_id=order_id)

    async def told() -> bool:
        payout = await world.payout(order_id)
        return bool(payout["state"] in {State.HELD, State.PAID, State.FULFILLED})

    await world.until(told, 15, "an end or a hold")
    assert set(world.bank.transfers) == {reference}
    assert "payout_held" in (await world.books()).kinds_of(order_id)


@pytest.mark.parametrize("lost_state", [State.PENDING, State.ACCEPTED, State.FAILED])
async def test_a_copy_that_stands_behind_is_led_to_the_payment(
    open_world: OpenWorld, lost_state: State
) -> None:
    """The copy has the order as offered, accepted or failed; the PSP has paid it since. It becomes
    paid along its table, whatever the float in the copy says."""
    world = await open_world(env=ENV)
    node = await world.local()
    await _quarantine(world, node)
    order_id = "5b0e3a61-6a8f-4f4a-9d9a-0123456789ae"
    await world.offer(order_id=order_id)
    payout = await world.payout(order_id)
    assert payout["state"] == State.PENDING
    state = payouts.update().values(state=lost_state.value, psp="lenco", due_at=None)
    await world.execute(lambda c: c.execute(state))
    reference = await _sent_by_the_lost_node(world, node, order_id, 1)

    await Check(node.app)()
    await world.reaches(order_id, State.PAID)
    (attempt,) = await world.rows(attempts)
    assert (attempt["reference"], attempt["state"]) == (reference, AttemptState.PAID)
    books = await world.books()
    assert not books.findings
    assert set(world.bank.transfers) == {reference}


async def test_what_the_copys_float_does_not_cover_is_a_fact_all_the_same(
    open_world: OpenWorld,
) -> None:
    """The copy's books set more aside than the bank still has. The found transfer is led to its end
    without a hold, and what it cost is in the books: total and bank agree in the end."""
    world = await open_world(env=ENV, opening=Decimal(6_000))
    node = await world.local()
    await world.able()
    order_id = "5b0e3a61-6a8f-4f4a-9d9a-0123456789af"
    await _quarantine(world, node)
    await world.offer(order_id=order_id)
    reference = await _sent_by_the_lost_node(world, node, order_id, 1)
    # Another order of the copy has nearly all of its float.
    at = FloatAccounts("lenco", "NGN")
    await node.app.committer.commit(Unit([Record(reserved(at, "po_other", 1, 590_000))]))

    await Check(node.app)()
    await world.reaches(order_id, State.PAID)
    (attempt,) = await world.rows(attempts)
    assert (attempt["reference"], attempt["state"], attempt["held"]) == (
        reference,
        AttemptState.PAID,
        0,
    )

    async def agrees() -> bool:
        balances = {row["path"]: row["balance"] for row in await world.rows(accounts)}
        assert balances["psp:lenco:reserved:NGN"] == 590_000
        parts = ("available", "reserved", "suspense")
        total = sum(balances[f"psp:lenco:{part}:NGN"] for part in parts)
        return bool(total == world.bank.books.balance())

    await world.until(agrees, 15, "our total is the bank's balance")
    assert not (await world.books()).findings
    assert set(world.bank.transfers) == {reference}


async def test_a_check_that_dies_goes_on_where_the_rows_say(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torn off between keeping what it found and taking it into the books: the next check does it,
    and the quarantine may not end before."""
    world = await open_world(env=ENV)
    node = await world.local()
    await _quarantine(world, node)
    order_id = "5b0e3a61-6a8f-4f4a-9d9a-0123456789af"
    await world.offer(order_id=order_id)
    reference = await _sent_by_the_lost_node(world, node, order_id, 1)

    async def dies(*_: object) -> bool:
        raise RuntimeError("torn off")

    with monkeypatch.context() as patched:
        patched.setattr(Adopt, "adopt", dies)
        with pytest.raises(RuntimeError):
            await Check(node.app)()
    assert (await world.payout(order_id))["state"] == State.PENDING
    assert await world.read(lambda c: still_missing(c, 0))
    await Check(node.app)()
    await world.reaches(order_id, State.PAID)
    assert set(world.bank.transfers) == {reference}
