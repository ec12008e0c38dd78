"""A transfer is made once: each race that would make it twice, put in order by hand."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from tests.integration.payouts.hands import Held, MakeHands
from tidegate.clock import SimulatedClock
from tidegate.db.committer import Unit
from tidegate.db.rows import Insert
from tidegate.errors import AlreadyExists, NotInTable
from tidegate.payouts.states import CLOSED_ATTEMPT, AttemptEvent, AttemptState, State
from tidegate.payouts.store import Journal
from tidegate.payouts.tables import attempts, payouts
from tidegate.sandbox.faults import BankFault

MINUTE = 60.0


# -- one attempt stands ---------------------------------------------------------------------


@pytest.mark.parametrize("state", sorted(AttemptState))
async def test_the_index_refuses_a_second_standing_attempt(
    make_hands: MakeHands, state: AttemptState
) -> None:
    """Whatever code may do wrong: while an attempt stands, paid and reversed included, the
    database takes no other of the same payout; after a certain end it does."""
    hands = await make_hands()
    order_id = await hands.world.offer(bank_faults=[BankFault.DROP_BEFORE])
    first = await hands.sent(order_id, AttemptState.UNKNOWN)

    def change(connection: Any) -> None:
        by_id = attempts.update().where(attempts.c.id == first["id"])
        connection.execute(by_id.values(state=state.value))

    await hands.world.execute(change)
    second = {**first, "id": "att_second", "number": 2, "reference": "tg-second-02"}
    insert = hands.node.app.committer.commit(Unit([Insert(attempts, second)]))
    if state in CLOSED_ATTEMPT:
        await insert
    else:
        with pytest.raises(AlreadyExists):
            await insert


async def test_two_turns_of_one_payout_send_once(make_hands: MakeHands) -> None:
    """Two workers that hold the same row, one under a lease that ran out, make one transfer."""
    hands = await make_hands()
    order_id = await hands.world.offer()
    row = await hands.accepted(order_id)
    one = await hands.claim(payouts, row)
    await hands.world.leases_run_out()
    other = await hands.claim(payouts, await hands.world.payout(order_id))

    ended = await asyncio.gather(hands.run(one), hands.run(other), return_exceptions=True)

    assert sum(isinstance(end, Exception) for end in ended) == 1, ended
    assert hands.posts == 1
    assert len(await hands.world.attempts(order_id)) == 1


# -- sending is a committed state -----------------------------------------------------------


async def test_sending_under_an_expired_lease_is_looked_up(make_hands: MakeHands) -> None:
    """The sender dies between its commit and the bank's answer: whoever comes next asks."""
    hands = await make_hands()
    order_id = await hands.world.offer()
    await hands.accepted(order_id)
    held = Held(hands.bank)
    hands.bank.submit = held  # type: ignore[method-assign]  # the moment is the point
    sender = asyncio.create_task(hands.payout(order_id, "disburse:lenco"))
    await held.acted.wait()
    sender.cancel()
    await asyncio.gather(sender, return_exceptions=True)
    assert (await hands.world.attempts(order_id))[0]["state"] == AttemptState.SENDING

    await hands.world.leases_run_out()
    hands.clock.advance(MINUTE)
    row = await hands.payout(order_id, "disburse:lenco")

    assert hands.posts == 1, "found as sending: not sent"
    assert row["state"] == State.PROCESSING
    one = await hands.attempt(order_id, "confirm:lenco")
    assert one["state"] == AttemptState.PAID
    assert (await hands.world.payout(order_id))["state"] == State.PAID
    assert hands.posts == 1


async def test_a_late_answer_is_kept_as_evidence(make_hands: MakeHands) -> None:
    """The call outlived the attempt's lease and a look-up was quicker than its answer: the answer
    is stored, changes nothing, and what the look-up made due stays due."""
    hands = await make_hands()
    order_id = await hands.world.offer()
    await hands.accepted(order_id)
    held = Held(hands.bank)
    hands.bank.submit = held  # type: ignore[method-assign]  # the moment is the point
    sender = asyncio.create_task(hands.payout(order_id, "disburse:lenco"))
    await held.acted.wait()

    await hands.world.leases_run_out()
    one = await hands.look_up(order_id)
    assert one["state"] == AttemptState.PAID
    held.heard.set()
    await sender

    row = await hands.world.payout(order_id)
    assert (row["state"], row["kind"], row["leased_until"]) == (State.PAID, "report", None)
    assert (await hands.world.attempts(order_id))[0]["state"] == AttemptState.PAID
    assert set(await hands.observed(one["id"])) == {("lookup", "succeeded"), ("submit", "pending")}


async def test_a_webhook_that_overtakes_the_answer_is_a_wish(make_hands: MakeHands) -> None:
    """While the call is under way nobody else looks; once it is answered, the look is due."""
    hands = await make_hands()
    order_id = await hands.world.offer()
    await hands.accepted(order_id)
    held = Held(hands.bank)
    hands.bank.submit = held  # type: ignore[method-assign]  # the moment is the point
    sender = asyncio.create_task(hands.payout(order_id, "disburse:lenco"))
    await held.acted.wait()
    await hands.webhooks()
    assert (await hands.world.attempts(order_id))[0]["state"] == AttemptState.SENDING
    held.heard.set()
    await sender

    one = (await hands.world.attempts(order_id))[0]
    assert (one["state"], one["due_at"]) == (AttemptState.PENDING, hands.clock.now_ms())
    assert (await hands.attempt(order_id, "confirm:lenco"))["state"] == AttemptState.PAID


async def test_an_answer_after_the_lease_was_lost_is_kept(make_hands: MakeHands) -> None:
    """The call outlived its lease and another worker passed by: its answer is evidence still."""
    hands = await make_hands()
    order_id = await hands.world.offer()
    row = await hands.accepted(order_id)
    held = Held(hands.bank)
    hands.bank.submit = held  # type: ignore[method-assign]  # the moment is the point
    claimed = await hands.claim(payouts, row)
    sender = asyncio.create_task(hands.run(claimed))
    await held.acted.wait()
    await hands.world.leases_run_out()
    await hands.payout(order_id, "disburse:lenco")

    held.heard.set()
    await asyncio.gather(sender, return_exceptions=True)

    one = (await hands.world.attempts(order_id))[0]
    assert one["state"] == AttemptState.SENDING
    assert ("submit", "pending") in await hands.observed(one["id"])
    hands.clock.advance(MINUTE)
    assert (await hands.attempt(order_id, "confirm:lenco"))["state"] == AttemptState.PAID
    assert hands.posts == 1


async def test_a_call_is_not_begun_at_the_end_of_a_lease(make_hands: MakeHands) -> None:
    """With less of the lease left than the call may take, nothing is sent, and that is known."""
    hands = await make_hands()
    order_id = await hands.world.offer()
    claimed = await hands.claim(payouts, await hands.accepted(order_id))
    hands.clock.advance(claimed.ends_at - hands.clock.monotonic() - 29)

    await hands.run(claimed)

    one = (await hands.world.attempts(order_id))[0]
    assert hands.posts == 0
    assert (one["state"], one["kind"]) == (AttemptState.PREPARED, "send:lenco")
    hands.clock.advance(10)
    assert (await hands.attempt(order_id, "send:lenco"))["state"] == AttemptState.PENDING
    assert hands.posts == 1


# -- nothing is sent again on a guess -------------------------------------------------------


async def test_three_not_founds_over_the_window_and_not_before(make_hands: MakeHands) -> None:
    """After a lost answer the same bytes go again only when the bank has not known them three
    times, over fifteen minutes; then the same reference, and paid once."""
    hands = await make_hands()
    order_id = await hands.world.offer(bank_faults=[BankFault.ERROR_503_BEFORE])
    first = await hands.sent(order_id, AttemptState.UNKNOWN)
    for count, minutes in enumerate((0.5, 1, 2, 5, 6), start=1):
        hands.clock.advance(minutes * MINUTE)
        one = await hands.look_up(order_id)
        assert (one["not_found"], one["kind"]) == (count, "confirm:lenco"), f"after {count}"
    assert hands.posts == 1

    hands.clock.advance(MINUTE)
    one = await hands.look_up(order_id)
    assert one["kind"] == "send:lenco", "fifteen minutes and a half, and six times not found"
    sent = await hands.attempt(order_id, "send:lenco")

    assert hands.posts == 2
    assert sent["state"] == AttemptState.PENDING
    assert (sent["reference"], sent["body"]) == (first["reference"], first["body"])
    assert hands.world.bank.times_paid(first["reference"]) == 1


async def test_the_window_begins_where_the_call_ended(make_hands: MakeHands) -> None:
    """A call may take half a minute before its answer is lost: the fifteen minutes come after."""
    hands = await make_hands()
    order_id = await hands.world.offer(bank_faults=[BankFault.ERROR_503_BEFORE])
    await hands.accepted(order_id)
    held = Held(hands.bank)
    hands.bank.submit = held  # type: ignore[method-assign]  # the moment is the point
    sender = asyncio.create_task(hands.payout(order_id, "disburse:lenco"))
    await held.acted.wait()
    hands.clock.advance(29)
    held.heard.set()
    await sender
    assert (await hands.world.attempts(order_id))[0]["state"] == AttemptState.UNKNOWN

    for wait in (1, 1, 15 * MINUTE - 3):
        hands.clock.advance(wait)
        assert (await hands.look_up(order_id))["kind"] == "confirm:lenco"
    hands.clock.advance(1)
    assert (await hands.look_up(order_id))["kind"] == "send:lenco"


async def test_the_window_of_a_dead_sender(make_hands: MakeHands) -> None:
    """When the call of a killed sender ended nobody knows: it had when its lease could be taken."""
    hands = await make_hands()
    order_id = await hands.world.offer(bank_faults=[BankFault.ERROR_503_BEFORE])
    await hands.accepted(order_id)
    held = Held(hands.bank)
    hands.bank.submit = held  # type: ignore[method-assign]  # the moment is the point
    sender = asyncio.create_task(hands.payout(order_id, "disburse:lenco"))
    await held.acted.wait()
    sender.cancel()
    await asyncio.gather(sender, return_exceptions=True)
    await hands.world.leases_run_out()
    hands.clock.advance(35)

    for wait in (0, 1, 15 * MINUTE - 2):
        hands.clock.advance(wait)
        one = await hands.look_up(order_id)
        assert (one["state"], one["kind"]) == (AttemptState.UNKNOWN, "confirm:lenco")
    hands.clock.advance(1)
    assert (await hands.look_up(order_id))["kind"] == "send:lenco"


async def test_fifteen_minutes_without_three_answers_are_not_enough(make_hands: MakeHands) -> None:
    """A bank that could not be asked has not said that it does not know."""
    hands = await make_hands()
    order_id = await hands.world.offer(bank_faults=[BankFault.ERROR_503_BEFORE])
    await hands.sent(order_id, AttemptState.UNKNOWN)
    hands.clock.advance(20 * MINUTE)
    for count in (1, 2):
        one = await hands.look_up(order_id)
        assert (one["not_found"], one["kind"]) == (count, "confirm:lenco")
        hands.clock.advance(MINUTE)
    assert hands.posts == 1
    assert (await hands.look_up(order_id))["kind"] == "send:lenco"


async def test_the_bank_knew_it_after_all(make_hands: MakeHands) -> None:
    """Sent again after the window, the reference is taken at the bank: adopted, paid once."""
    hands = await make_hands()
    hands.world.faults.not_found_s = 30 * MINUTE
    order_id = await hands.world.offer(
        bank_faults=[BankFault.ERROR_503_AFTER, BankFault.NOT_FOUND_AT_FIRST]
    )
    await hands.sent(order_id, AttemptState.UNKNOWN)
    for _ in range(3):
        hands.clock.advance(6 * MINUTE)
        one = await hands.look_up(order_id)
    one = await hands.attempt(order_id, "send:lenco")
    assert one["state"] == AttemptState.UNKNOWN, "a taken reference is looked up, no refusal"
    hands.clock.advance(30 * MINUTE)
    one = await hands.look_up(order_id)
    assert one["state"] == AttemptState.PAID
    assert hands.world.bank.books.paid_more_than_once() == []


async def test_a_second_send_that_died_is_looked_up(make_hands: MakeHands) -> None:
    """Killed while the same bytes went again: found as sending under its own lease, it is asked
    after, and a third send is as far away as the second was."""
    hands = await make_hands()
    hands.world.bank.set_webhook_url(None)
    order_id = await hands.world.offer(bank_faults=[BankFault.ERROR_503_BEFORE])
    await hands.sent(order_id, AttemptState.UNKNOWN)
    for _ in range(3):
        hands.clock.advance(6 * MINUTE)
        await hands.look_up(order_id)
    held = Held(hands.bank)
    hands.bank.submit = held  # type: ignore[method-assign]  # the moment is the point
    sender = asyncio.create_task(hands.attempt(order_id, "send:lenco"))
    await held.acted.wait()
    sender.cancel()
    await asyncio.gather(sender, return_exceptions=True)
    await hands.world.leases_run_out()
    assert hands.posts == 2

    one = await hands.attempt(order_id, "send:lenco")

    assert hands.posts == 2, "found as sending: not sent"
    assert (one["state"], one["kind"]) == (AttemptState.SENDING, "confirm:lenco")
    hands.clock.advance(MINUTE)
    assert (await hands.attempt(order_id, "confirm:lenco"))["state"] == AttemptState.PAID


async def test_a_refusal_after_doubt_proves_nothing(make_hands: MakeHands) -> None:
    """401 to the second send says nothing about the first: held for a person, hold and all."""
    hands = await make_hands()
    order_id = await hands.world.offer(bank_faults=[BankFault.ERROR_503_BEFORE])
    await hands.sent(order_id, AttemptState.UNKNOWN)
    for _ in range(3):
        hands.clock.advance(6 * MINUTE)
        await hands.look_up(order_id)
    account = hands.world.aggregator.order(order_id).account
    hands.world.faults.plan.set(account, BankFault.UNAUTHORISED)
    one = await hands.attempt(order_id, "send:lenco")
    assert one["state"] == AttemptState.HELD
    row = await hands.world.payout(order_id)
    assert (row["state"], row["held"] > 0) == (State.HELD, True)
    assert "payout_held" in (await hands.world.books()).kinds_of(order_id)


async def test_an_ambiguous_failure_waits_for_its_debit(make_hands: MakeHands) -> None:
    """A NIP time-out is reported as failed only when it cooled off, is failed still, and the
    debit is back; until then nobody is told and nothing is given back."""
    hands = await make_hands()
    order_id = await hands.world.offer(amount=7_000, bank_faults=[BankFault.FAILED_TIMEOUT])
    await hands.sent(order_id, AttemptState.PENDING)
    one = await hands.look_up(order_id)
    assert one["state"] == AttemptState.COOLING
    hands.clock.advance(29 * MINUTE)
    assert (await hands.look_up(order_id))["state"] == AttemptState.COOLING, "too early"

    hands.world.bank.withdraw(Decimal(7_000))  # as if the debit were out
    hands.clock.advance(2 * MINUTE)
    assert (await hands.look_up(order_id))["state"] == AttemptState.COOLING, "no proof"
    assert (await hands.world.payout(order_id))["held"] > 0
    hands.world.bank.fund(Decimal(7_000))
    hands.clock.advance(2 * MINUTE)
    assert (await hands.look_up(order_id))["state"] == AttemptState.FAILED
    assert (await hands.world.payout(order_id))["state"] == State.FAILED


def test_a_sent_attempt_cannot_be_withdrawn() -> None:
    """The journal refuses before anything is written."""
    clock = SimulatedClock()
    journal = Journal({"id": "po", "round": 1, "state": "processing"}, clock, None)  # type: ignore[arg-type]  # no id is made
    for state in (AttemptState.SENDING, AttemptState.UNKNOWN, AttemptState.PENDING):
        with pytest.raises(NotInTable):
            journal.attempt({"id": "a", "state": state.value}, AttemptEvent.WITHDRAWN)
    assert journal.unit.operations == []
