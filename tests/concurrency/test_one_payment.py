"""One payment, 64 requests in four processes (payments.md): one charge, one answer, and never
more given back than was taken."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Table, select

from tests.concurrency.crowd import PROCESSES, TASKS, Crowd
from tests.concurrency.one_payment import AMOUNT, CURRENCY, KEY, USER, Till, Told
from tests.support.databases import Prepare
from tests.support.node import migrate
from tidegate.clock import Randomness, SystemClock
from tidegate.db.idempotency import idempotency_keys
from tidegate.db.rows import FIRST_FENCE
from tidegate.errors import AmountExceedsRefundable, StillRunning, WrongState
from tidegate.ledger.audit import audit
from tidegate.ledger.statements import balances
from tidegate.payments.tables import payment_events, payments, refunds
from tidegate.sandbox.cards import SandboxCards
from tidegate.sandbox.faults import CardFault, CardFaults

EVERYBODY = PROCESSES * TASKS
ROUNDS = 25
# The call of each step that moves money.
CALLS = {"create": "confirm", "capture": "capture", "refund": "refund"}
# The processor takes its time, so that everybody meets the call while it is under way.
DELAY_S = 0.1
# Longer than any test waits: the answer comes when the test lets it.
SLOW_S = 15.0


@dataclass
class Shop:
    """A processor, and the verbs of payments in the test's own process."""

    crowd: Crowd
    url: str
    processor: SandboxCards
    till: Till

    async def method(self) -> str:
        return str((await self.till.money.methods.attach(USER, "pm_card_visa"))["id"])

    async def paid(self, *, manual: bool = False) -> str:
        """The id of a payment that succeeded or, ``manual``, waits to be captured."""
        given = {"method": await self.method(), "manual": manual}
        answer = await self.till.ask("create", "first", given)
        assert answer.status == 201, answer
        return str(answer.body["id"])

    async def everybody(self, *steps: str, seed: int = 1, **given: Any) -> list[Told]:
        """Let 64 ask for ``steps`` by turns; their answers."""
        base = self.processor.base_url
        told = await self.crowd.play(
            "payment", self.url, seed=seed, processor=base, steps=steps, **given
        )
        return [Told(**each) for each in told]

    async def rows(self, table: Table) -> list[dict[str, Any]]:
        return await self.till.desk.database.read(
            lambda c: [dict(row) for row in c.execute(select(table)).mappings()]
        )

    async def assert_books(self) -> None:
        """The audit finds nothing; the user has what was taken less what went back; nothing is
        set aside; the processor moved nothing twice."""
        (payment,) = await self.rows(payments)
        report = await self.till.desk.database.read(
            lambda c: audit(c, expect=None, now_ms=0, unsealed_after_ms=0)
        )
        assert report.findings == ()
        held = {line.path: line.balance for line in await self.till.desk.database.read(balances)}
        left = payment["amount_captured"] - payment["amount_refunded"]
        assert held.get(f"payments:user:{USER}:{CURRENCY}", 0) == left
        assert held.get(f"payments:refunding:{CURRENCY}", 0) == 0
        assert payment["amount_refunding"] == 0
        given_back = sum(each.amount for each in self.processor.refunds_of(payment["id"]))
        assert given_back == payment["amount_refunded"] <= payment["amount_captured"]
        assert self.processor.books.violations == []
        numbers = [event["seq"] for event in await self.rows(payment_events)]
        assert sorted(numbers) == list(range(1, payment["events"] + 1))


@pytest.fixture
async def shop(
    crowd: Crowd, make_template: Callable[[str, Prepare], Callable[[], str]]
) -> AsyncIterator[Shop]:
    clock = SystemClock()
    processor = SandboxCards(
        clock,
        Randomness(clock, 3),
        api_key=KEY,
        webhook_secret="whsec_crowd",
        settle_s=0.0,
        delay_s=DELAY_S,
        faults=CardFaults(slow_s=SLOW_S),
    )
    url = make_template("node", migrate)()
    await processor.start()
    till = Till(url, processor.base_url)
    yield Shop(crowd, url, processor, till)
    await till.close()
    await processor.stop()


async def test_sixty_four_payments_with_one_key_are_one_charge(shop: Shop) -> None:
    """One answer, now or replayed; who comes meanwhile is told that it runs."""
    method = await shop.method()

    told = await shop.everybody("create", key="one", method=method)

    (payment,) = await shop.rows(payments)
    made = [each.body for each in told if each.status == 201 and not each.replayed]
    assert len(made) == 1, Counter((each.status, each.replayed) for each in told)
    assert {each.status for each in told} <= {201, StillRunning.code}
    assert all(each.body == made[0] for each in told if each.status == 201)
    again = await shop.till.ask("create", "one", {"method": method})
    assert (again.status, again.body, again.replayed) == (201, made[0], True)
    assert (payment["state"], payment["step"], payment["sends"]) == ("succeeded", 1, 1)
    assert len(shop.processor.charges_of(payment["id"])) == 1
    assert shop.processor.requests["confirm"] == 1
    (_,) = [key for key in await shop.rows(idempotency_keys) if key["key"] == "one"]
    await shop.assert_books()


@pytest.mark.parametrize("step", CALLS)
async def test_workers_that_take_over_too_early_move_the_money_once(shop: Shop, step: str) -> None:
    """Half ask with one key, the other half take the lease from under whoever has it and go on
    while the processor's answer is late: the money moves once, and there is one answer."""
    await _take_over(shop, step, seed=1)


async def test_sixty_four_captures_take_the_money_once(shop: Shop) -> None:
    """Each with a key of its own: one is done, the others come too late or too early."""
    payment = await shop.paid(manual=True)

    told = await shop.everybody("capture", payment=payment, amount=7_000)

    statuses = Counter(each.status for each in told)
    assert statuses[200] == 1, statuses
    assert set(statuses) <= {200, WrongState.code, StillRunning.code}, statuses
    intent = shop.processor.intent(payment)
    assert intent is not None
    assert intent.amount_received == 7_000
    assert shop.processor.requests["capture"] == 1
    await shop.assert_books()


async def test_captures_against_cancels(shop: Shop) -> None:
    """One of the two comes first; the payment ends as that one wanted, here and there."""
    await _against(shop, seed=1)


async def test_of_sixty_four_refunds_of_sixty_percent_one_is_made(shop: Shop) -> None:
    """Each is a wish of its own, and only one fits."""
    payment = await shop.paid()

    told = await shop.everybody("refund", payment=payment, amount=6_000)

    statuses = Counter(each.status for each in told)
    assert statuses[201] == 1, statuses
    assert set(statuses) <= {201, AmountExceedsRefundable.code, StillRunning.code}, statuses
    assert [row["amount"] for row in await shop.rows(refunds)] == [6_000]
    assert shop.processor.requests["refund"] == 1
    await shop.assert_books()


@pytest.mark.long
@pytest.mark.parametrize("seed", range(ROUNDS))
@pytest.mark.parametrize("step", CALLS)
async def test_takeovers_again(shop: Shop, step: str, seed: int) -> None:
    """At other paces."""
    await _take_over(shop, step, seed=seed, pause_ms=seed * 4.0)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(ROUNDS))
async def test_captures_against_cancels_again(shop: Shop, seed: int) -> None:
    """At other paces, which of the two wins differs."""
    await _against(shop, seed=seed, pause_ms=seed * 2.0)


@pytest.mark.long
@pytest.mark.parametrize("amount", [700, 3_000, 3_334, 6_000])
async def test_as_many_refunds_as_fit(shop: Shop, amount: int) -> None:
    """Of 64, as many as the captured amount covers, for any amount."""
    payment = await shop.paid()

    told = await shop.everybody("refund", payment=payment, amount=amount)

    # 202: it was asked for, and those around it were quicker to write down what came of theirs.
    made = [each.status for each in told if each.status in {201, 202}]
    assert len(made) == AMOUNT // amount, Counter(each.status for each in told)
    async with asyncio.timeout(30):
        while {row["state"] for row in await shop.rows(refunds)} != {"succeeded"}:
            await shop.till.take_over()
    assert [row["amount"] for row in await shop.rows(refunds)] == [amount] * len(made)
    await shop.assert_books()


async def _take_over(shop: Shop, step: str, *, seed: int, pause_ms: float = 20.0) -> None:
    given: dict[str, Any] = {}
    match step:
        case "create":
            given = {"method": await shop.method()}
        case "capture":
            given = {"payment": await shop.paid(manual=True)}
        case _:
            given = {"payment": await shop.paid(), "amount": 6_000}

    shop.processor.faults.plan.set(CALLS[step], CardFault.SLOW)
    answered = asyncio.create_task(_answer_late(shop, step))
    try:
        told = await shop.everybody(step, "work", key="one", seed=seed, pause_ms=pause_ms, **given)
        assert answered.done(), "nobody took it over: the test has shown nothing"
    finally:
        answered.cancel()
    async with asyncio.timeout(10):
        # Whoever had it last may have lost it to nobody.
        while (again := await shop.till.ask(step, "one", given)).status == 202:
            await shop.till.take_over()
    assert (again.status, again.replayed) == (200 if step == "capture" else 201, True)
    assert all(each.body == again.body for each in told if each.status == again.status)
    (payment,) = await shop.rows(payments)
    assert payment["state"] == "succeeded"
    assert len(shop.processor.charges_of(payment["id"])) == 1
    refunded = [row["amount"] for row in await shop.rows(refunds)]
    assert refunded == ([6_000] if step == "refund" else [])
    await shop.assert_books()


async def _answer_late(shop: Shop, step: str) -> None:
    """Let the processor's answer go once the row is under another lease than its request's."""
    table, asked_under = {
        "create": (payments, FIRST_FENCE),
        "capture": (payments, FIRST_FENCE + 1),
        "refund": (refunds, FIRST_FENCE),
    }[step]
    # A row of a database wakes nobody.
    while all(row["fence"] <= asked_under for row in await shop.rows(table)):  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    shop.processor.heal()


async def _against(shop: Shop, *, seed: int, pause_ms: float = 2.0) -> None:
    payment = await shop.paid(manual=True)

    told = await shop.everybody("capture", "cancel", payment=payment, seed=seed, pause_ms=pause_ms)

    done = Counter(each.step for each in told if each.status == 200)
    intent = shop.processor.intent(payment)
    (row,) = await shop.rows(payments)
    assert intent is not None
    assert row["state"] == intent.status.value
    if row["state"] == "succeeded":
        # Everybody who comes later is refused; a cancel of what is cancelled is not.
        assert done == {"capture": 1}, done
    else:
        assert row["state"] == "canceled"
        assert set(done) == {"cancel"}, done
    await shop.assert_books()
