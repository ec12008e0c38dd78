"""The sandbox bank without faults: paths, envelope, errors and books (psp.md 1)."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

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
from tidegate.sandbox.bank import BANKS, MAGIC_ACCOUNTS, Kind, Place, Status, account_name
from tidegate.sandbox.faults import BankFault


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    async with open_world() as opened:
        yield opened


async def test_a_transfer_is_answered_queued_and_found_paid(world: World) -> None:
    status, answer = await world.pay()
    assert status == 200
    assert answer == {
        "status": True,
        "message": "",
        "data": {
            "request": {
                "accountId": ACCOUNT_ID,
                "recipientId": None,
                "accountNumber": "8144374977",
                "bankCode": "000014",
                "amount": "2000.00",
                "narration": "payout",
                "reference": "r-1",
                "status": "queued",
            },
            "transaction": None,
        },
    }
    status, answer = await world.find()
    assert status == 200
    assert answer["data"]["request"]["status"] == "created"
    transaction = answer["data"]["transaction"]
    assert transaction == {
        "id": transaction["id"],
        "amount": "2000.00",
        "fee": "43.50",
        "narration": "payout",
        "type": "debit",
        "initiatedAt": "2024-10-06T08:00:00.000Z",
        "completedAt": "2024-10-06T08:00:00.000Z",
        "accountId": ACCOUNT_ID,
        "details": {
            "accountName": account_name("8144374977"),
            "accountNumber": "8144374977",
            "bank": {"code": "000014", "name": "ACCESS BANK"},
        },
        "status": "successful",
        "failedAt": None,
        "reasonForFailure": None,
        "clientReference": "r-1",
        "transactionReference": transaction["transactionReference"],
        "nipSessionId": transaction["nipSessionId"],
    }
    assert len(transaction["id"]) == 36
    assert re.fullmatch(r"[0-9]{30}", transaction["nipSessionId"])
    assert world.bank.times_paid("r-1") == 1


async def test_a_synchronous_transfer_is_answered_with_its_final_transaction(world: World) -> None:
    status, answer = await world.pay(path="/transactions")
    assert (status, answer["data"]["status"]) == (200, "successful")
    assert answer["data"]["clientReference"] == "r-1"


async def test_a_transaction_is_found_by_id_and_by_both_paths_of_its_reference(
    world: World,
) -> None:
    await world.pay()
    transaction = await world.transaction()
    by_id = await world.call("GET", f"/transaction/{transaction['id']}")
    by_reference = await world.call("GET", "/transaction-by-reference/r-1")
    assert by_id == by_reference
    assert by_id[1]["data"] == transaction


@pytest.mark.parametrize(
    "path", ["/transfer/by-reference/x", "/transaction-by-reference/x", "/transaction/x"]
)
async def test_what_is_not_found_is_http_400_without_a_code(world: World, path: str) -> None:
    assert await world.call("GET", path) == (
        400,
        {"status": False, "message": "Transaction was not found", "data": []},
    )


@pytest.mark.parametrize("path", ["/transactions/x", "/transactions-by-reference/x", "/account"])
async def test_a_path_in_the_wrong_number_is_not_there(world: World, path: str) -> None:
    status, answer = await world.call("GET", path)
    assert (status, answer["status"], answer["data"]) == (404, False, [])


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer other"}, {"Authorization": TOKEN}]
)
async def test_without_the_token_nothing_is_answered_or_done(
    world: World, headers: dict[str, str]
) -> None:
    status, answer = await world.call("POST", "/transfer", headers=headers, data="{}")
    assert (status, answer) == (401, {"status": False, "message": "Unauthorized", "data": []})
    status, _ = await world.call("GET", f"/account/{ACCOUNT_ID}/balance", headers=headers)
    assert status == 401


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": 2000},
        {"amount": "0.00"},
        {"amount": "-5.00"},
        {"amount": "1.005"},
        {"amount": "1e3"},
        {"amount": None},
        {"narration": None},
        {"narration": " "},
        {"reference": None},
        {"accountId": "another"},
        {"accountNumber": "123"},
        {"accountNumber": 8144374977},
        {"bankCode": "044"},
        {"bankCode": None},
    ],
)
async def test_a_malformed_transfer_is_code_01_and_creates_nothing(
    world: World, changes: dict[str, Any]
) -> None:
    status, answer = await world.pay(**changes)
    assert (status, answer["status"], answer["errorCode"]) == (400, False, "01")
    assert not world.bank.transfers
    assert world.bank.balance == OPENING


@pytest.mark.parametrize("body", ["", "[]", "{", "\xff"])
async def test_a_body_that_is_no_json_object_is_code_01(world: World, body: str) -> None:
    status, answer = await world.call("POST", "/transfer", data=body.encode("latin-1"))
    assert (status, answer["errorCode"]) == (400, "01")


async def test_a_reference_with_other_characters_is_code_04(world: World) -> None:
    status, answer = await world.pay("r/1")
    assert (status, answer["errorCode"]) == (400, "04")
    assert answer["errors"]["r/1"]["errorCode"] == "04"


@pytest.mark.parametrize("path", ["/transfer", "/transactions"])
async def test_a_repeated_reference_is_code_04_on_either_path_and_pays_once(
    world: World, path: str
) -> None:
    await world.pay()
    status, answer = await world.pay(path=path, amount="1.00")
    assert (status, answer) == (
        400,
        {
            "status": False,
            "message": "Duplicate client reference",
            "data": [],
            "errorCode": "04",
            "errors": {
                "r-1": {"errorCode": "04", "errorMessage": "Duplicate client reference"},
            },
        },
    )
    assert world.bank.times_paid("r-1") == 1
    assert (await world.transaction())["amount"] == "2000.00"


async def test_a_refused_reference_is_not_used_up(world: World) -> None:
    world.fault(BankFault.INSUFFICIENT_FUNDS)
    await world.pay()
    world.bank.heal()
    status, _ = await world.pay()
    assert status == 200


async def test_more_than_the_balance_with_its_fee_is_code_02(world: World) -> None:
    status, answer = await world.pay(amount="99956.51")
    assert (status, answer["errorCode"]) == (400, "02")
    status, _ = await world.pay(amount="99956.50")
    assert status == 200
    await settle()
    assert world.bank.balance == 0


async def test_transfers_made_at_once_cannot_spend_the_same_money(world: World) -> None:
    async with open_world(opening=Decimal("3000.00"), delay_s=5.0) as poor:
        first, second = await poor.pay("r-1"), await poor.pay("r-2")
        assert (first[0], second[0], second[1]["errorCode"]) == (200, 400, "02")


@pytest.mark.parametrize(
    "changes",
    [
        {"bankCode": "999999"},
        {"accountNumber": None, "bankCode": None, "recipientId": "a-saved-one"},
    ],
)
async def test_an_unknown_bank_or_saved_recipient_is_code_05(
    world: World, changes: dict[str, Any]
) -> None:
    status, answer = await world.pay(**changes)
    assert (status, answer["errorCode"]) == (400, "05")


@pytest.mark.parametrize(("account", "reason"), MAGIC_ACCOUNTS.items())
async def test_a_magic_account_fails_with_its_reason_and_the_money_returns(
    world: World, account: tuple[str, str], reason: str
) -> None:
    status, _ = await world.pay(accountNumber=account[0], bankCode=account[1])
    assert status == 200
    transaction = await world.transaction()
    assert (transaction["status"], transaction["reasonForFailure"]) == ("failed", reason)
    assert transaction["failedAt"] is not None
    assert transaction["completedAt"] is None
    assert transaction["fee"] == "0.00"
    assert world.bank.balance == OPENING
    assert world.bank.times_paid("r-1") == 0
    assert [hook.summary for hook in await world.webhooks(1)] == [
        ("r-1", "transaction.failed", "failed")
    ]


async def test_a_transfer_stays_pending_for_the_decision_delay(world: World) -> None:
    async with open_world(delay_s=10.0) as slow:
        await slow.pay()
        transaction = await slow.transaction()
        assert (transaction["status"], transaction["completedAt"]) == ("pending", None)
        _, answer = await slow.call("GET", f"/account/{ACCOUNT_ID}/balance")
        assert answer["data"] == {
            "availableBalance": "97956.50",
            "currentBalance": "99956.50",
            "currency": "NGN",
        }
        await slow.pass_time(9.9)
        assert await slow.status() == "pending"
        assert slow.inbox == []
        await slow.pass_time(0.2)
        assert await slow.status() == "successful"


async def test_a_synchronous_transfer_is_answered_only_when_it_is_decided(world: World) -> None:
    async with open_world(delay_s=10.0) as slow:
        answered = asyncio.create_task(slow.pay(path="/transactions"))
        await until(lambda: "r-1" in slow.bank.transfers)
        await settle()
        assert not answered.done()
        await slow.pass_time(10.0)
        _, answer = await answered
        assert answer["data"]["status"] == "successful"


async def test_the_delay_may_be_drawn_from_a_range(world: World) -> None:
    world.bank.desk.decision_delay_s = (2.0, 4.0)
    await world.pay()
    await world.pass_time(1.9)
    assert await world.status() == "pending"
    await world.pass_time(2.2)
    assert await world.status() == "successful"


async def test_the_account_is_shown_with_its_balance(world: World) -> None:
    _, one = await world.call("GET", f"/account/{ACCOUNT_ID}")
    _, all_of_them = await world.call("GET", "/accounts?page=1")
    assert all_of_them["data"] == [one["data"]]
    assert all_of_them["meta"] == {"total": 1, "perPage": 50, "currentPage": 1, "pageCount": 1}
    assert one["data"]["id"] == ACCOUNT_ID
    assert one["data"]["status"] == "active"
    assert one["data"]["availableBalance"] == "100000.00"
    assert set(one["data"]) == {
        "id", "name", "bankAccount", "type", "status", "availableBalance", "currentBalance",
        "currency", "createdAt",
    }  # fmt: skip


@pytest.mark.parametrize("path", ["/account/another", "/account/another/balance"])
async def test_an_account_of_somebody_else_is_http_404(world: World, path: str) -> None:
    status, answer = await world.call("GET", path)
    assert (status, answer["status"]) == (404, False)


async def test_banks_are_listed_by_nip_code(world: World) -> None:
    _, answer = await world.call("GET", "/banks")
    assert {"code": "000014", "name": "ACCESS BANK"} in answer["data"]
    assert len(answer["data"]) == len(BANKS)
    assert all(re.fullmatch("[0-9]{6}", bank["code"]) for bank in answer["data"])
    assert all(bank["name"] == bank["name"].upper() for bank in answer["data"])


async def test_a_name_enquiry_names_an_account_the_same_each_time(world: World) -> None:
    path = "/resolve?accountNumber=0123456789&bankCode=000015"
    first, second = await world.call("GET", path), await world.call("GET", path)
    assert first == second
    assert first[1]["data"] == {
        "accountName": account_name("0123456789"),
        "accountNumber": "0123456789",
        "bank": {"code": "000015", "name": "ZENITH BANK"},
    }
    assert account_name("0123456789") != account_name("0123456780")


@pytest.mark.parametrize(
    "query",
    ["accountNumber=012345678&bankCode=000015", "accountNumber=0123456789&bankCode=057", ""],
)
async def test_a_name_enquiry_about_no_account_is_code_05(world: World, query: str) -> None:
    status, answer = await world.call("GET", f"/resolve?{query}")
    assert (status, answer["errorCode"]) == (400, "05")


async def test_transactions_are_listed_newest_first_in_pages(world: World) -> None:
    for number in range(53):
        await world.pay(f"r-{number}", amount="10.00")
    _, first = await world.call("GET", "/transactions")
    _, second = await world.call("GET", "/transactions?page=2")
    assert first["meta"] == {"total": 53, "perPage": 50, "currentPage": 1, "pageCount": 2}
    shown = [item["clientReference"] for item in first["data"] + second["data"]]
    assert shown == [f"r-{number}" for number in reversed(range(53))]
    _, few = await world.call("GET", "/transactions?limit=2&page=3")
    assert [item["clientReference"] for item in few["data"]] == ["r-48", "r-47"]


async def test_a_list_is_filtered_by_type_status_time_and_text(world: World) -> None:
    await world.pay("paid-1")
    await world.pay("lost-1", accountNumber="6257392194", bankCode="000016")
    world.bank.fund(Decimal("10.00"))

    async def listed(query: str) -> list[str | None]:
        _, answer = await world.call("GET", f"/transactions?{query}")
        return [item["clientReference"] for item in answer["data"]]

    assert await listed("type=credit") == [None]
    assert await listed("status=failed") == ["lost-1"]
    assert await listed("type=debit&status=successful") == ["paid-1"]
    assert await listed("search=lost") == ["lost-1"]
    assert await listed("start=2024-10-07") == []
    assert len(await listed("start=2024-10-06&end=2024-10-06")) == 3
    status, _ = await world.call("GET", "/transactions?page=last")
    assert status == 400


async def test_the_books_account_for_every_kobo(world: World) -> None:
    await world.pay("r-1")
    await world.pay("r-2", accountNumber="6257392194", bankCode="000016")
    await settle()
    world.bank.fund(Decimal("500.00"))
    world.bank.withdraw(Decimal("100.25"))
    books = world.bank.books
    assert world.bank.balance == OPENING - 2000 - FEE + 500 - Decimal("100.25")
    assert books.folded_balance() == books.balance()
    assert sum(books.balance(place) for place in Place) == 0
    assert [line.kind for line in books.of("r-2")] == [
        Kind.DEBIT,
        Kind.FEE,
        Kind.REFUND,
        Kind.FEE_REFUND,
    ]
    assert books.paid_more_than_once() == []


async def test_a_deposit_sends_a_credit_webhook_and_a_withdrawal_none(world: World) -> None:
    world.bank.fund(Decimal("500.00"))
    world.bank.withdraw(Decimal("200.00"))
    (hook,) = await world.webhooks(1)
    assert hook.authentic
    assert hook.summary == (None, "transaction.successful", "successful")
    assert (hook.data["type"], hook.data["amount"]) == ("credit", "500.00")
    assert world.bank.balance == OPENING + 300


async def test_a_reversed_transfer_turns_failed_and_its_amount_returns(world: World) -> None:
    await world.pay()
    await world.webhooks(1)
    world.bank.reverse("r-1")
    assert (await world.transaction())["reasonForFailure"] == "Transaction reversed"
    assert [hook.summary for hook in await world.webhooks(2)] == [
        ("r-1", "transaction.successful", "successful"),
        ("r-1", "transaction.failed", "failed"),
    ]
    assert world.bank.balance == OPENING - FEE
    assert world.bank.times_paid("r-1") == 1
    with pytest.raises(ValueError, match="only a success"):
        world.bank.reverse("r-1")


async def test_a_reversal_may_return_the_fee_too(world: World) -> None:
    await world.pay()
    await settle()
    world.bank.reverse("r-1", with_fee=True)
    assert world.bank.balance == OPENING
    assert (await world.transaction())["fee"] == "0.00"


async def test_a_decision_taken_by_hand_is_the_last(world: World) -> None:
    async with open_world(delay_s=10.0) as slow:
        await slow.pay()
        await until(lambda: not slow.bank.transfers["r-1"].queued)
        slow.bank.decide("r-1", Status.FAILED, "Closed account")
        await slow.pass_time(20.0)
        assert await slow.status() == "failed"
        assert slow.bank.balance == OPENING
        with pytest.raises(ValueError, match="cannot turn"):
            slow.bank.decide("r-1", Status.DECLINED)


async def test_requests_are_counted_per_endpoint(world: World) -> None:
    await world.pay()
    await world.pay()
    await world.find()
    await world.call("GET", "/banks")
    await world.call("GET", f"/account/{ACCOUNT_ID}/balance")
    await world.call("GET", "/banks", headers={})
    assert world.bank.requests == {
        "POST /transfer": 2,
        "GET /transfer/by-reference": 1,
        "GET /banks": 1,
        "GET /balance": 1,
        "unauthorized": 1,
    }


async def test_a_bank_started_again_still_has_its_books(world: World) -> None:
    await world.pay()
    await settle()
    await world.bank.stop()
    world.base_url = await world.bank.start()
    assert await world.status() == "successful"


async def test_control_shows_the_insides_to_other_processes(world: World) -> None:
    await world.pay()
    await settle()
    _, state = await world.control("GET", "state")
    assert state["balance"] == "97956.50"
    assert state["totals"]["paid"] == "2000.00"
    assert state["transfers"]["successful"] == 1
    assert state["requests"] == {"POST /transfer": 1}
    assert state["paidMoreThanOnce"] == []
    _, transfers = await world.control("GET", "transfers")
    assert transfers["r-1"]["timesPaid"] == 1
    assert await world.control("GET", "transfers/r-1") == (200, transfers["r-1"])
    _, ledger = await world.control("GET", "ledger")
    assert [line["kind"] for line in ledger] == ["opening", "debit", "fee", "paid"]


async def test_control_moves_money_and_reverses(world: World) -> None:
    await world.pay()
    await settle()
    await world.control("POST", "fund", json={"amount": "100.00"})
    await world.control("POST", "withdraw", json={"amount": "50.00"})
    status, answer = await world.control("POST", "reverse", json={"reference": "r-1"})
    assert (status, answer["status"]) == (200, "failed")
    assert world.bank.balance == OPENING - FEE + 50


async def test_control_changes_faults_and_heals(world: World) -> None:
    order = {"keys": {"r-1": ["insufficient_funds"]}, "seconds": {"slow_s": 0.5}}
    status, _ = await world.control("POST", "faults", json=order)
    assert status == 200
    assert world.bank.faults.slow_s == 0.5
    _, plan = await world.control("GET", "faults")
    assert plan["keys"] == {"r-1": ["insufficient_funds"]}
    assert (await world.pay())[0] == 400
    await world.control("POST", "heal")
    assert (await world.pay())[0] == 200


async def test_control_sets_where_webhooks_go(world: World) -> None:
    await world.control("POST", "webhook-url", json={"url": None})
    await world.pay()
    await settle()
    assert world.inbox == []


async def test_control_decides_by_hand(world: World) -> None:
    world.fault(BankFault.DECLINED)
    await world.pay()
    await settle()
    await world.control("POST", "decide", json={"reference": "r-1", "status": "successful"})
    assert await world.status() == "successful"
    assert world.bank.times_paid("r-1") == 1


@pytest.mark.parametrize(
    ("command", "order", "expected"),
    [
        ("faults", {"keys": {"r-1": ["meteorite"]}}, 400),
        ("faults", {"seconds": {"plan": 1}}, 400),
        ("fund", {"amount": "-1"}, 400),
        ("fund", {"amount": "much"}, 400),
        ("fund", {"amount": "1.005"}, 400),
        ("fund", [], 400),
        ("reverse", {"reference": "none"}, 404),
        ("decide", {"reference": "none", "status": "successful"}, 404),
        ("dance", {}, 404),
    ],
)
async def test_control_refuses_what_makes_no_sense(
    world: World, command: str, order: Any, expected: int
) -> None:
    status, answer = await world.control("POST", command, data=json.dumps(order))
    assert status == expected
    assert answer["error"]


@pytest.mark.parametrize("path", ["transfers/none", "nothing"])
async def test_control_answers_404_for_what_is_not_there(world: World, path: str) -> None:
    assert (await world.control("GET", path))[0] == 404
