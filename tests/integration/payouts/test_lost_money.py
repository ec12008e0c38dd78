"""First principles, each as the race that would lose money if it did not hold."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest

from tests.integration.payouts.hands import Hands, Held
from tests.support.world import OpenWorld
from tidegate.clock import SimulatedClock
from tidegate.db.committer import Unit
from tidegate.db.rows import Insert
from tidegate.errors import AlreadyExists, NotInTable
from tidegate.payouts.states import CLOSED_ATTEMPT, AttemptEvent, AttemptState, State
from tidegate.payouts.store import Journal
from tidegate.payouts.tables import attempts, payouts
from tidegate.ports.aggregator import AcceptAnswer, Said
from tidegate.sandbox.aggregator.orders import Status as Aggregated
from tidegate.sandbox.bank.transactions import Status
from tidegate.sandbox.faults import AggregatorFault, BankFault

MINUTE = 60.0
SLOW_TERMS = {"reoffer": "stock", "reassign_interval_s": 1e6, "refund_interval_s": 1e6}
# The windows of the contract, in full: the clock stands until it is moved.
FULL = {
    "LOOKUP_SCHEDULE": "5,15,30,60,120,300,600",
    "LOOKUP_STEADY": "900",
    "NOT_FOUND_WINDOW": "900",
    "COOL_OFF": "1800",
    "HOLD_LIMIT": "1200",
}

MakeHands = Callable[..., Awaitable[Hands]]


@pytest.fixture
def make_hands(open_world: OpenWorld) -> MakeHands:
    async def make(**fields: Any) -> Hands:
        fields.setdefault("terms", SLOW_TERMS)
        world = await open_world(simulated=SimulatedClock(), env=FULL, **fields)
        return await Hands.open(world)

    return make


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


# -- accept ---------------------------------------------------------------------------------


async def test_accept_is_not_sent_when_the_time_is_over(make_hands: MakeHands) -> None:
    """Claimed too late, the offer lapses: nothing reserved, nothing said."""
    hands = await make_hands()
    order_id = await hands.world.offer()
    hands.clock.advance(19.5)
    row = await hands.payout(order_id, "accept")
    assert row["state"] == State.EXPIRED
    assert not any(call.startswith("accept") for call in hands.world.aggregator.counters)
    await hands.world.assert_right()


async def test_an_accepting_order_is_never_ended_by_the_clock(make_hands: MakeHands) -> None:
    """Accept took effect and its answer was lost with the process: found by asking, and paid."""
    hands = await make_hands()
    order_id = await hands.world.offer()
    accept = hands.node.app.aggregator.accept

    async def lost(*args: Any) -> AcceptAnswer:
        await accept(*args)
        raise asyncio.CancelledError

    hands.node.app.aggregator.accept = lost  # type: ignore[method-assign, assignment]  # the process dies here
    with pytest.raises(asyncio.CancelledError):
        await hands.payout(order_id, "accept")
    hands.node.app.aggregator.accept = accept  # type: ignore[method-assign]  # and is back
    await hands.world.leases_run_out()
    hands.clock.advance(10 * MINUTE)
    assert (await hands.world.payout(order_id))["state"] == State.ACCEPTING

    assert (await hands.payout(order_id, "accept"))["state"] == State.ACCEPTED
    assert (await hands.to_its_end(order_id))["state"] == State.FULFILLED
    await hands.world.assert_right()


async def test_a_lost_accept_that_never_arrived_frees_the_float(make_hands: MakeHands) -> None:
    """Reserved, then the process died before accept left: not ours, nothing held, nothing paid."""
    hands = await make_hands()
    order_id = await hands.world.offer()

    async def dies(*args: Any) -> AcceptAnswer:
        raise asyncio.CancelledError

    accept, hands.node.app.aggregator.accept = hands.node.app.aggregator.accept, dies  # type: ignore[method-assign, assignment]  # the process dies here
    with pytest.raises(asyncio.CancelledError):
        await hands.payout(order_id, "accept")
    hands.node.app.aggregator.accept = accept  # type: ignore[method-assign]  # and is back
    assert (await hands.world.books()).balances["reserved"] > 0
    await hands.world.leases_run_out()
    hands.clock.advance(MINUTE)

    row = await hands.payout(order_id, "accept")
    assert (row["state"], row["held"]) == (State.EXPIRED, 0)
    books = await hands.world.assert_right()
    assert books.balances["reserved"] == 0
    assert hands.posts == 0


@pytest.mark.parametrize(("proven", "state"), [(True, State.ACCEPTED), (False, State.HELD)])
async def test_what_cannot_be_proven_is_held(
    make_hands: MakeHands, proven: bool, state: State
) -> None:
    """Ours by the aggregator's list, but accept will not tell the recipient again: paid to the
    one it shows if amount x rate is the offer, else held for a person."""
    hands = await make_hands()
    order_id = await hands.world.offer(amount=7_500)
    order = hands.world.aggregator.order(order_id)
    accept = hands.node.app.aggregator.accept

    async def forgets(*args: Any) -> AcceptAnswer:
        answer = await accept(*args)
        return AcceptAnswer(Said.GONE, "Order request not found", answer.exchanges)

    hands.node.app.aggregator.accept = forgets  # type: ignore[method-assign, assignment]  # as FORK answers
    if not proven:
        order.token_amount += 1
    row = await hands.payout(order_id, "accept")
    assert row["state"] == state
    if proven:
        assert row["recipient"]["account_identifier"] == order.account
    else:
        assert "payout_held" in (await hands.world.books()).kinds_of(order_id)
        assert row["kind"] is None, "nothing is paid by machine"


async def test_the_last_float_is_promised_once(open_world: OpenWorld) -> None:
    """More orders than float, all at once: as many as it covers are paid, the rest declined."""
    world = await open_world(factor=10, terms=SLOW_TERMS, opening=Decimal(20_000))
    await world.local()
    ids = await asyncio.gather(*(world.offer(amount=5_000) for _ in range(6)))
    ends = [(await world.reaches(one, {State.FULFILLED, State.DECLINED}))["state"] for one in ids]
    assert ends.count(State.FULFILLED) == 3, "each 5,000 and at most 100 of fee"
    await world.settle()
    books = await world.assert_right()
    assert min(books.balances.values()) >= 0


# -- what is told ---------------------------------------------------------------------------


async def test_pending_is_told_before_success(make_hands: MakeHands) -> None:
    """Found paid before anything was told: the aggregator still hears pending first (4.3)."""
    hands = await make_hands()
    order_id = await hands.world.offer()
    await hands.sent(order_id, AttemptState.PENDING)
    await hands.look_up(order_id)
    row = await hands.payout(order_id, "report")
    assert row["state"] == State.FULFILLED
    told = hands.heard(order_id)
    assert told.index("pending_reported") < told.index("success_reported")


async def test_success_is_never_repeated_blindly(make_hands: MakeHands) -> None:
    """The answer to fulfil is lost: the order is fetched, and that is enough (4.3)."""
    hands = await make_hands()
    order_id = await hands.world.offer()
    await hands.sent(order_id, AttemptState.PENDING)
    await hands.payout(order_id, "report")
    await hands.look_up(order_id)
    hands.world.aggregator_faults.set(order_id, AggregatorFault.FULFIL_DROP_AFTER)
    row = await hands.payout(order_id, "report")
    assert row["state"] == State.PAID, "nobody knows yet"
    hands.clock.advance(5)
    row = await hands.payout(order_id, "report")
    assert row["state"] == State.FULFILLED
    calls = hands.world.aggregator.counters
    assert (calls["fulfill 200"], calls["fulfill 200 lost"], calls["order 200"]) == (1, 1, 1)
    await hands.world.assert_right()


@pytest.mark.parametrize(
    ("fault", "state", "told"),
    [
        (BankFault.RECIPIENT_INVALID, State.CANCELLED, "cancelled"),
        (BankFault.FAILED_UNSUCCESSFUL, State.FAILED, "failed_reported"),
    ],
)
async def test_cancel_is_for_what_was_never_created(
    make_hands: MakeHands, fault: BankFault, state: State, told: str
) -> None:
    """Refused before creation: cancel. Created and failed: fulfil(failed), and no cancel."""
    hands = await make_hands()
    order_id = await hands.world.offer(bank_faults=[fault])
    await hands.accepted(order_id)
    row = await hands.to_its_end(order_id)
    assert row["state"] == state
    assert hands.heard(order_id)[-1] == told
    assert ("cancelled" in hands.heard(order_id)) == (state is State.CANCELLED)
    await hands.world.assert_right()


# -- rounds ---------------------------------------------------------------------------------


async def test_a_paid_order_is_not_paid_again(make_hands: MakeHands) -> None:
    """Offered again after its end it is accepted first and its success told again; a case."""
    hands = await make_hands()
    order_id = await hands.world.offer(AggregatorFault.REOFFER_AFTER_END)
    await hands.accepted(order_id)
    assert (await hands.to_its_end(order_id))["state"] == State.FULFILLED
    hands.clock.advance(5)
    await asyncio.sleep(0.05)
    hands.clock.advance(5)
    await _offered(hands, order_id, 2)
    row = await hands.to_its_end(order_id)
    assert row["state"] == State.FULFILLED
    assert hands.posts == 1
    assert hands.heard(order_id).count("success_reported") == 2
    assert (await hands.world.books()).kinds_of(order_id) == {"paid_order_offered_again"}


async def test_a_new_round_has_a_reference_of_its_own(make_hands: MakeHands) -> None:
    """After a certain failure the order comes again: attempt 2, another txId, paid once."""
    hands = await make_hands()
    order_id = await hands.world.offer(bank_faults=[BankFault.FAILED_UNSUCCESSFUL])
    await hands.accepted(order_id)
    assert (await hands.to_its_end(order_id))["state"] == State.FAILED
    hands.world.heal()
    hands.world.aggregator.book.reassign()
    await _offered(hands, order_id, 2)
    row = await hands.to_its_end(order_id)
    assert (row["state"], row["round"]) == (State.FULFILLED, 2)
    first, second = await hands.world.attempts(order_id)
    assert first["reference"][:-2] == second["reference"][:-2]
    assert (first["number"], second["number"]) == (1, 2)
    assert row["tx_id"].endswith("-r2")
    await hands.world.assert_right()


async def test_paid_late_is_never_called_failed(make_hands: MakeHands) -> None:
    """Round one failed and was paid after all while round two was under way: when round two
    fails for certain, the order is reported as what it is, paid."""
    hands = await make_hands()
    order_id = await hands.world.offer(bank_faults=[BankFault.FAILED_UNSUCCESSFUL])
    await hands.accepted(order_id)
    assert (await hands.to_its_end(order_id))["state"] == State.FAILED
    hands.world.aggregator.book.reassign()
    await _offered(hands, order_id, 2)
    await hands.sent(order_id, AttemptState.PENDING)
    first, _ = await hands.world.attempts(order_id)

    hands.world.bank.decide(first["reference"], Status.SUCCESSFUL)
    await hands.look_up(order_id, 0)
    assert (await hands.world.payout(order_id))["state"] == State.HELD
    assert "paid_after_failure" in (await hands.world.books()).kinds_of(order_id)
    await hands.look_up(order_id, 1)
    row = await hands.to_its_end(order_id)

    assert row["state"] in {State.PAID, State.FULFILLED}
    assert "failed_reported" not in hands.heard(order_id)[-3:]
    assert "cancelled" not in hands.heard(order_id)
    books = await hands.world.books()
    assert books.balances["reserved"] == 0
    assert (
        sum(hands.world.bank.times_paid(one["reference"]) for one in books.attempts[order_id]) == 1
    )
    assert books.findings == ()


async def test_a_late_success_asks_before_it_tells(make_hands: MakeHands) -> None:
    """Failed was reported and the order given to another; then our transfer is paid after all.
    No fulfil goes out that would block the other provider; a person is told (4.3)."""
    hands = await make_hands()
    order_id = await hands.world.offer(bank_faults=[BankFault.FAILED_UNSUCCESSFUL])
    await hands.accepted(order_id)
    assert (await hands.to_its_end(order_id))["state"] == State.FAILED
    order = hands.world.aggregator.order(order_id)
    hands.world.aggregator.book.give_to_another(order)
    told = hands.world.aggregator.counters.get("fulfill 200", 0)

    hands.world.bank.decide(
        (await hands.world.attempts(order_id))[0]["reference"], Status.SUCCESSFUL
    )
    row = await hands.to_its_end(order_id)

    assert row["state"] == State.PAID
    assert hands.world.aggregator.counters.get("fulfill 200", 0) == told
    assert hands.world.aggregator.counters.get("fulfill 403", 0) == 0
    kinds = (await hands.world.books()).kinds_of(order_id)
    assert kinds >= {"paid_after_failure", "order_not_ours"}
    assert (await hands.world.books()).findings == ()


async def test_a_reversal_is_a_debt_and_not_a_failure(make_hands: MakeHands) -> None:
    """Whatever its reason says, a paid transfer that came back is booked, shown to a person, and
    neither reported as failed nor paid again."""
    hands = await make_hands()
    order_id = await hands.world.offer(amount=9_000)
    await hands.accepted(order_id)
    assert (await hands.to_its_end(order_id))["state"] == State.FULFILLED
    one = (await hands.world.attempts(order_id))[0]
    hands.world.bank.reverse(one["reference"])
    row = await hands.to_its_end(order_id)
    assert row["state"] == State.FULFILLED
    assert (await hands.world.attempts(order_id))[0]["state"] == AttemptState.REVERSED
    books = await hands.world.assert_right()
    assert books.balances["suspense"] == 900_000
    assert hands.posts == 1
    assert hands.heard(order_id)[-1] in {"success_reported", "settling", "settled"}
    assert hands.world.aggregator.order(order_id).status is not Aggregated.FULFILLED


async def _offered(hands: Hands, order_id: str, times: int) -> None:
    """Wait, in real time, for the aggregator's own call."""
    async with asyncio.timeout(5):
        while hands.world.aggregator.order(order_id).offer_number < times:
            hands.clock.advance(0.5)
            await asyncio.sleep(0.01)
        while hands.world.aggregator.busy:  # noqa: ASYNC110 -- the sandbox tells nobody
            await asyncio.sleep(0.01)
