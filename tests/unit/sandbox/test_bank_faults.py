"""Each fault of the bank does what its name says, and healing ends it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.unit.sandbox.bank_world import (
    ACCOUNT_ID,
    FEE,
    OPENING,
    TOKEN,
    World,
    open_world,
    settle,
    until,
)
from tidegate.sandbox.bank import Status
from tidegate.sandbox.faults import EVERY, BankFault


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    async with open_world() as opened:
        yield opened


def test_every_fault_of_the_bank_has_a_test() -> None:
    here = Path(__file__).parent
    text = "".join((here / f"test_bank_{name}.py").read_text() for name in ("faults", "webhooks"))
    tested = set(re.findall(r"BankFault\.([A-Z0-9_]+)", text))
    assert {fault.name for fault in BankFault} - tested == set()


@pytest.mark.parametrize(
    ("fault", "paid"), [(BankFault.DROP_BEFORE, False), (BankFault.DROP_AFTER, True)]
)
async def test_a_dropped_answer_leaves_the_transfer_undone_or_done(
    world: World, fault: BankFault, paid: bool
) -> None:
    world.fault(fault)
    with pytest.raises(aiohttp.ClientConnectionError):
        await world.pay()
    await settle()
    assert ("r-1" in world.bank.transfers) is paid
    assert world.bank.times_paid("r-1") == int(paid)
    status, answer = await world.pay()
    assert (status, answer.get("errorCode")) == ((400, "04") if paid else (200, None))
    await settle()
    assert world.bank.times_paid("r-1") == 1


@pytest.mark.parametrize(
    ("fault", "expected", "paid"),
    [
        (BankFault.ERROR_500_BEFORE, 500, False),
        (BankFault.ERROR_503_BEFORE, 503, False),
        (BankFault.ERROR_503_AFTER, 503, True),
        (BankFault.STATUS_FALSE_BEFORE, 200, False),
        (BankFault.STATUS_FALSE_AFTER, 200, True),
        (BankFault.UNAUTHORISED, 401, False),
    ],
)
async def test_a_wrong_answer_leaves_the_transfer_undone_or_done_and_then_passes(
    world: World, fault: BankFault, expected: int, paid: bool
) -> None:
    world.fault(fault)
    status, answer = await world.pay()
    assert (status, answer["status"], answer["data"]) == (expected, False, [])
    await settle()
    assert world.bank.times_paid("r-1") == int(paid)
    status, _ = await world.pay()
    assert status == (400 if paid else 200)


@pytest.mark.parametrize(
    ("fault", "paid"), [(BankFault.HTML_502_BEFORE, False), (BankFault.HTML_502_AFTER, True)]
)
async def test_a_proxy_answers_html(world: World, fault: BankFault, paid: bool) -> None:
    world.fault(fault)
    order = {
        "accountId": ACCOUNT_ID,
        "accountNumber": "8144374977",
        "bankCode": "000014",
        "amount": "2000.00",
        "narration": "payout",
        "reference": "r-1",
    }
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with world.session.post(
        world.base_url + "/transfer", data=json.dumps(order), headers=headers
    ) as response:
        assert (response.status, response.content_type) == (502, "text/html")
        assert (await response.text()).startswith("<html>")
    await settle()
    assert world.bank.times_paid("r-1") == int(paid)


async def test_too_many_requests_say_when_to_come_back(world: World) -> None:
    world.bank.faults.retry_after_s = 7
    world.fault(BankFault.RATE_LIMITED, times=2)
    assert (await world.pay())[0] == 429
    headers = {"Authorization": f"Bearer {TOKEN}"}
    url = world.base_url + "/transfer/by-reference/r-1"
    async with world.session.get(url, headers=headers) as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "7")
    assert (await world.find())[0] == 400
    assert "r-1" not in world.bank.transfers


async def test_a_refused_connection_ends_after_its_time(world: World) -> None:
    world.bank.faults.refuse_s = 30.0
    world.fault(BankFault.REFUSE_CONNECTION)
    with pytest.raises(aiohttp.ClientConnectionError):
        await world.pay()
    with pytest.raises(aiohttp.ClientConnectorError):
        await world.find()
    assert "r-1" not in world.bank.transfers
    await world.pass_time(30.0)
    assert (await world.pay())[0] == 200


async def test_healing_lets_connections_in_again_at_the_same_address(world: World) -> None:
    world.bank.refuse_connections(3600)
    with pytest.raises(aiohttp.ClientConnectorError):
        await world.find()
    world.bank.heal()
    await settle()
    assert (await world.find())[0] == 400


async def test_control_can_close_the_door_for_a_while(world: World) -> None:
    assert (await world.control("POST", "refuse", json={"seconds": 9}))[0] == 200
    await asyncio.sleep(0.1)
    with pytest.raises(aiohttp.ClientConnectionError):
        await world.find()
    await world.pass_time(9.0)
    assert (await world.find())[0] == 400


@pytest.mark.parametrize(("fault", "seconds"), [(BankFault.SLOW, 2.0), (BankFault.TOO_SLOW, 65.0)])
async def test_a_slow_answer_comes_late_and_the_act_at_once(
    world: World, fault: BankFault, seconds: float
) -> None:
    world.fault(fault)
    answered = asyncio.create_task(world.pay())
    await until(lambda: world.bank.times_paid("r-1") == 1)
    await world.pass_time(seconds - 0.1)
    assert not answered.done()
    await world.pass_time(0.2)
    assert (await answered)[0] == 200


async def test_a_late_act_is_not_found_until_the_caller_has_given_up(world: World) -> None:
    world.fault(BankFault.ACT_LATE)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(world.pay(), 0.1)
    assert (await world.find())[0] == 400
    await world.pass_time(65.0)
    assert world.bank.times_paid("r-1") == 1


async def test_a_late_act_that_was_repeated_meanwhile_pays_once(world: World) -> None:
    world.fault(BankFault.ACT_LATE)
    first = asyncio.create_task(world.pay())
    await until(lambda: world.clock.next_wake is not None)
    assert (await world.pay())[0] == 200
    world.bank.heal()
    status, answer = await first
    assert (status, answer["errorCode"]) == (400, "04")
    assert world.bank.times_paid("r-1") == 1


async def test_a_duplicate_may_be_refused_without_a_code(world: World) -> None:
    world.fault(BankFault.DUPLICATE_WITHOUT_CODE)
    await world.pay()
    assert await world.pay() == (
        400,
        {"status": False, "message": "Duplicate client reference", "data": []},
    )


async def test_the_answer_may_be_created_with_its_decided_transaction(world: World) -> None:
    world.fault(BankFault.ANSWER_CREATED)
    _, answer = await world.pay()
    assert answer["data"]["request"]["status"] == "created"
    assert answer["data"]["transaction"]["status"] == "successful"


async def test_the_answer_may_be_created_with_a_pending_transaction(world: World) -> None:
    async with open_world(delay_s=5.0) as slow:
        slow.fault(BankFault.ANSWER_CREATED)
        _, answer = await slow.pay()
        assert answer["data"]["request"]["status"] == "created"
        assert answer["data"]["transaction"]["status"] == "pending"
        await slow.pass_time(5.0)
        assert await slow.status() == "successful"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (BankFault.INSUFFICIENT_FUNDS, "02"),
        (BankFault.LIMIT_EXCEEDED, "03"),
        (BankFault.RECIPIENT_INVALID, "05"),
        (BankFault.ACCOUNT_RESTRICTED, "06"),
    ],
)
async def test_a_refusal_has_its_code_and_lasts(world: World, fault: BankFault, code: str) -> None:
    world.fault(fault)
    for _ in range(2):
        status, answer = await world.pay()
        assert (status, answer["status"], answer["errorCode"]) == (400, False, code)
    assert not world.bank.transfers
    assert world.bank.balance == OPENING


async def test_an_invalid_recipient_is_refused_by_name_enquiry_too(world: World) -> None:
    world.fault(BankFault.RECIPIENT_INVALID, key="8144374977")
    path = "/resolve?accountNumber=8144374977&bankCode=000014"
    status, answer = await world.call("GET", path)
    assert (status, answer["errorCode"]) == (400, "05")
    assert (await world.pay())[1]["errorCode"] == "05"


async def test_a_queued_transfer_has_no_transaction_until_it_is_attempted(world: World) -> None:
    world.bank.faults.queued_s = 60.0
    world.fault(BankFault.QUEUED)
    await world.pay()
    _, answer = await world.find()
    assert answer["data"]["request"]["status"] == "queued"
    assert answer["data"]["transaction"] is None
    assert (await world.call("GET", "/transaction-by-reference/r-1"))[0] == 400
    assert world.bank.balance == OPENING
    assert (await world.pay())[1]["errorCode"] == "04"
    await world.pass_time(60.0)
    assert await world.status() == "successful"
    assert world.bank.times_paid("r-1") == 1


async def test_a_queued_transfer_without_money_at_its_attempt_fails(world: World) -> None:
    world.fault(BankFault.QUEUED)
    await world.pay()
    world.bank.withdraw(OPENING)
    await world.pass_time(5.0)
    transaction = await world.transaction()
    assert transaction["status"] == "failed"
    assert transaction["reasonForFailure"] == "Insufficient Balance in Debit Account"
    assert world.bank.balance == 0


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (BankFault.FAILED_UNSUCCESSFUL, "Transfer Not Successful"),
        (BankFault.FAILED_BANK_UNAVAILABLE, "Beneficiary Bank not Available"),
        (BankFault.FAILED_MALFUNCTION, "System Malfunction"),
        (BankFault.FAILED_TIMEOUT, "Timeout waiting for response from destination bank"),
        (BankFault.FAILED_INSUFFICIENT, "Insufficient Balance in Debit Account"),
    ],
)
async def test_a_transfer_fails_with_each_documented_reason(
    world: World, fault: BankFault, reason: str
) -> None:
    world.fault(fault)
    assert (await world.pay())[0] == 200
    transaction = await world.transaction()
    assert (transaction["status"], transaction["reasonForFailure"]) == ("failed", reason)
    assert world.bank.balance == OPENING
    assert world.bank.times_paid("r-1") == 0


async def test_a_declined_transfer_is_not_paid_and_its_money_stays_away(world: World) -> None:
    world.fault(BankFault.DECLINED)
    await world.pay()
    assert await world.status() == "declined"
    assert world.bank.times_paid("r-1") == 0
    assert world.bank.balance == OPENING - 2000 - FEE
    assert world.inbox == []
    world.bank.decide("r-1", Status.FAILED, "Declined by the bank")
    assert world.bank.balance == OPENING


async def test_a_failed_transfer_may_be_paid_after_all(world: World) -> None:
    world.fault(BankFault.FAILED_THEN_PAID)
    await world.pay()
    assert await world.status() == "failed"
    assert world.bank.balance == OPENING
    await world.pass_time(30.0)
    transaction = await world.transaction()
    assert (transaction["status"], transaction["fee"]) == ("successful", "43.50")
    assert transaction["reasonForFailure"] is None
    assert world.bank.times_paid("r-1") == 1
    assert world.bank.balance == OPENING - 2000 - FEE


async def test_a_success_is_reversed_later(world: World) -> None:
    world.fault(BankFault.REVERSED)
    await world.pay()
    assert await world.status() == "successful"
    await world.pass_time(5.0)
    assert await world.status() == "failed"
    assert world.bank.balance == OPENING - FEE


@pytest.mark.parametrize("fault", [BankFault.REVERSED, BankFault.FAILED_THEN_PAID])
async def test_healing_keeps_a_final_state_final(world: World, fault: BankFault) -> None:
    world.fault(fault)
    await world.pay()
    before = await world.status()
    await until(lambda: world.clock.next_wake is not None)
    world.bank.heal()
    await settle()
    world.clock.advance(3600)
    await settle()
    assert await world.status() == before


async def test_a_transfer_is_not_found_at_first_although_it_is_paid(world: World) -> None:
    world.bank.faults.not_found_s = 20.0
    world.fault(BankFault.NOT_FOUND_AT_FIRST)
    await world.pay()
    assert await world.find() == (
        400,
        {"status": False, "message": "Transaction was not found", "data": []},
    )
    transaction_id = world.bank.transfers["r-1"].id
    assert (await world.call("GET", f"/transaction/{transaction_id}"))[0] == 400
    assert (await world.call("GET", "/transactions"))[1]["data"] == []
    assert world.bank.times_paid("r-1") == 1
    assert (await world.pay())[1]["errorCode"] == "04"
    world.clock.advance(20.0)
    assert await world.status() == "successful"


@pytest.mark.parametrize(
    ("fault", "expected"), [(BankFault.LOOKUP_500, 500), (BankFault.LOOKUP_401, 401)]
)
async def test_a_look_up_fails_as_often_as_it_was_told(
    world: World, fault: BankFault, expected: int
) -> None:
    world.fault(fault, times=2)
    await world.pay()
    assert [(await world.find())[0] for _ in range(3)] == [expected, expected, 200]


async def test_a_look_up_without_an_answer_ends_when_healed(world: World) -> None:
    world.fault(BankFault.LOOKUP_TIMEOUT, times=None)
    await world.pay()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(world.find(), 0.1)
    pending = asyncio.create_task(world.find())
    await settle()
    world.bank.heal()
    assert (await pending)[0] == 200


@pytest.mark.parametrize(
    ("path", "key"),
    [
        (f"/account/{ACCOUNT_ID}/balance", "balance"),
        (f"/account/{ACCOUNT_ID}", "account"),
        ("/accounts", "accounts"),
        ("/banks", "banks"),
        ("/transactions", "transactions"),
        ("/resolve?accountNumber=8144374977&bankCode=000014", "8144374977"),
    ],
)
async def test_other_readings_fail_by_their_name(world: World, path: str, key: str) -> None:
    world.fault(BankFault.LOOKUP_500, key=key)
    assert (await world.call("GET", path))[0] == 500
    assert (await world.call("GET", path))[0] == 200


async def test_a_look_up_may_show_another_amount(world: World) -> None:
    world.fault(BankFault.LOOKUP_OTHER_AMOUNT)
    await world.pay()
    _, answer = await world.find()
    assert answer["data"]["transaction"]["amount"] == "2001.00"
    assert world.bank.balance == OPENING - 2000 - FEE


async def test_healing_sets_right_whatever_was_waiting(world: World) -> None:
    world.bank.faults.queued_s = world.bank.faults.not_found_s = 3600
    world.fault(BankFault.QUEUED, key="r-1")
    world.fault(BankFault.NOT_FOUND_AT_FIRST, key="r-2")
    world.fault(BankFault.TOO_SLOW, key="r-3")
    await world.pay("r-1")
    await world.pay("r-2")
    slow = asyncio.create_task(world.pay("r-3"))
    await settle()
    world.bank.heal()
    assert (await slow)[0] == 200
    await settle()
    assert [await world.status(f"r-{number}") for number in (1, 2, 3)] == ["successful"] * 3
    assert world.bank.books.paid_more_than_once() == []


async def test_faults_of_connection_on_many_references_never_pay_one_twice(world: World) -> None:
    for fault in (BankFault.DROP_AFTER, BankFault.ERROR_503_AFTER, BankFault.DROP_BEFORE):
        world.fault(fault, key=EVERY)

    async def insist(reference: str) -> None:
        for _ in range(6):
            try:
                if (await world.pay(reference, amount="10.00"))[0] in (200, 400):
                    return
            except aiohttp.ClientConnectionError:
                # Sent again blindly, which is what the reference has to survive.
                continue

    await asyncio.gather(*(insist(f"r-{number}") for number in range(20)))
    await settle()
    assert [world.bank.times_paid(f"r-{number}") for number in range(20)] == [1] * 20
