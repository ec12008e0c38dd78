"""What the bank sends by itself, in order and out of it (psp.md 1.4)."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import AsyncIterator

import pytest_asyncio

from tests.unit.sandbox.bank_world import TOKEN, World, open_world, settle, until
from tidegate.sandbox.bank import sign, webhook_key
from tidegate.sandbox.faults import BankFault

PAID = ("r-1", "transaction.successful", "successful")


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    async with open_world() as opened:
        yield opened


async def test_a_webhook_is_sent_at_once_and_signed_over_its_raw_body(world: World) -> None:
    await world.pay()
    (hook,) = await world.webhooks(1)
    key = hashlib.sha256(TOKEN.encode()).hexdigest().encode("ascii")
    assert hook.signature == hmac.new(key, hook.body, hashlib.sha512).hexdigest()
    assert hook.event == "transaction.successful"
    assert hook.data == await world.transaction()


async def test_a_webhook_is_repeated_until_it_is_received(world: World) -> None:
    world.answers = [500, 302]
    await world.pay()
    await world.webhooks(1)
    await world.pass_time(1.0)
    await world.webhooks(2)
    await world.pass_time(5.0)
    hooks = await world.webhooks(3)
    assert len({hook.body for hook in hooks}) == 1
    assert world.bank.courier.counts == {"refused": 2, "delivered": 1}
    assert [delivery.answer for delivery in world.bank.courier.deliveries] == [500, 302, 200]


async def test_a_webhook_that_nobody_receives_is_given_up(world: World) -> None:
    world.answers = [500, 500, 500, 500]
    await world.pay()
    await world.webhooks(1)
    await world.pass_time(1.0)
    await world.pass_time(5.0)
    await world.webhooks(3)
    assert world.bank.courier.counts["given_up"] == 1
    assert world.bank.courier.waiting == 0


async def test_a_webhook_to_a_closed_door_is_repeated(world: World) -> None:
    url = world.bank.courier.url
    world.bank.set_webhook_url("http://127.0.0.1:9/closed")
    await world.pay()
    await until(lambda: len(world.bank.courier.deliveries) == 1)
    assert world.bank.courier.deliveries[0].answer == 0
    world.bank.set_webhook_url(url)
    await world.pass_time(1.0)
    assert [hook.summary for hook in await world.webhooks(1)] == [PAID]


async def test_webhooks_go_out_together_up_to_a_bound(world: World) -> None:
    async with open_world(webhooks_in_flight=3) as narrow:
        narrow.gate.clear()
        for number in range(8):
            await narrow.pay(f"r-{number}")
        await until(lambda: narrow.at_once == 3)
        await settle()
        assert narrow.most_at_once == 3
        narrow.gate.set()
        await narrow.webhooks(8)


async def test_no_webhook_may_come_at_all(world: World) -> None:
    world.fault(BankFault.WEBHOOK_NONE)
    await world.pay()
    await settle()
    assert await world.status() == "successful"
    assert world.inbox == []


async def test_a_webhook_may_come_twice(world: World) -> None:
    world.fault(BankFault.WEBHOOK_DUPLICATE)
    await world.pay()
    first, second = await world.webhooks(2)
    assert (first.body, first.signature) == (second.body, second.signature)


async def test_a_webhook_may_come_late(world: World) -> None:
    world.fault(BankFault.WEBHOOK_LATE)
    await world.pay()
    await world.pass_time(4.9)
    assert world.inbox == []
    await world.pass_time(0.2)
    await world.webhooks(1)


async def test_two_webhooks_may_come_swapped(world: World) -> None:
    world.fault(BankFault.WEBHOOK_SWAPPED)
    await world.pay("r-1")
    await settle()
    assert world.inbox == []
    await world.pay("r-2")
    assert [hook.summary[0] for hook in await world.webhooks(2)] == ["r-2", "r-1"]


async def test_a_swapped_webhook_without_another_goes_late(world: World) -> None:
    world.fault(BankFault.WEBHOOK_SWAPPED)
    await world.pay()
    await world.pass_time(5.0)
    assert [hook.summary for hook in await world.webhooks(1)] == [PAID]


async def test_a_pending_snapshot_may_follow_the_final_one(world: World) -> None:
    world.fault(BankFault.WEBHOOK_STALE)
    await world.pay()
    hooks = await world.webhooks(2)
    assert [hook.data["status"] for hook in hooks] == ["successful", "pending"]
    assert all(hook.authentic for hook in hooks)


async def test_the_success_may_follow_its_reversal(world: World) -> None:
    world.fault(BankFault.WEBHOOK_STALE)
    await world.pay()
    await world.webhooks(2)
    world.bank.reverse("r-1")
    hooks = (await world.webhooks(4))[2:]
    assert [hook.summary for hook in hooks] == [("r-1", "transaction.failed", "failed"), PAID]


async def test_a_webhook_may_have_a_signature_that_does_not_fit(world: World) -> None:
    world.fault(BankFault.WEBHOOK_BAD_SIGNATURE)
    await world.pay()
    (hook,) = await world.webhooks(1)
    assert hook.summary == PAID
    assert not hook.authentic


async def test_a_forged_success_claims_what_was_not_paid(world: World) -> None:
    world.fault(BankFault.WEBHOOK_FORGED_SUCCESS, BankFault.FAILED_UNSUCCESSFUL)
    world.answers = [401, 401]
    await world.pay()
    hooks = await world.webhooks(2)
    forged = [hook for hook in hooks if not hook.authentic]
    assert [hook.summary for hook in forged] == [PAID]
    assert [hook.data["status"] for hook in hooks if hook.authentic] == ["failed"]
    assert world.bank.times_paid("r-1") == 0


async def test_a_forger_does_not_try_again(world: World) -> None:
    world.bank.faults.queued_s = 3600
    world.fault(BankFault.WEBHOOK_FORGED_SUCCESS, BankFault.QUEUED)
    world.answers = [401]
    await world.pay()
    await world.webhooks(1)
    await world.pass_time(60.0)
    assert len(world.inbox) == 1


async def test_a_signature_may_cover_the_serialised_form_instead_of_the_body(
    world: World,
) -> None:
    world.fault(BankFault.WEBHOOK_RESERIALISED)
    await world.pay()
    (hook,) = await world.webhooks(1)
    assert not hook.authentic
    compact = json.dumps(json.loads(hook.body), separators=(",", ":")).encode()
    assert hook.signature == sign(webhook_key(TOKEN), compact)


async def test_a_webhook_may_show_another_amount(world: World) -> None:
    world.fault(BankFault.WEBHOOK_OTHER_AMOUNT)
    await world.pay()
    (hook,) = await world.webhooks(1)
    assert hook.authentic
    assert hook.data["amount"] == "2001.00"
    assert (await world.transaction())["amount"] == "2000.00"


async def test_healing_sends_what_was_held_back(world: World) -> None:
    world.fault(BankFault.WEBHOOK_LATE, key="r-1")
    world.fault(BankFault.WEBHOOK_SWAPPED, key="r-2")
    await world.pay("r-2")
    await settle()
    await world.pay("r-1")
    await settle()
    world.bank.heal()
    hooks = await world.webhooks(2)
    assert {hook.summary[0] for hook in hooks} == {"r-1", "r-2"}
