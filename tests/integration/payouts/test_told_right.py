"""What is accepted, promised and told, and in which order, when things go wrong."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from tests.integration.payouts.conftest import QUIET
from tests.integration.payouts.hands import Hands, MakeHands
from tests.support.world import OpenWorld
from tidegate.cases.switches import SwitchOff, SwitchOn
from tidegate.db.committer import Unit
from tidegate.payouts.states import AttemptState, State
from tidegate.payouts.tables import payouts
from tidegate.ports.aggregator import AcceptAnswer, Said, SayAnswer, Validation
from tidegate.sandbox.aggregator.orders import Status as Aggregated
from tidegate.sandbox.bank.transactions import Status
from tidegate.sandbox.faults import AggregatorFault, BankFault

MINUTE = 60.0


# -- accept ---------------------------------------------------------------------------------


async def test_accept_is_not_sent_when_the_time_is_over(make_hands: MakeHands) -> None:
    """Claimed too late, the offer lapses: nothing reserved, nothing said."""
    hands = await make_hands()
    order_id = await hands.world.offer()
    hands.clock.advance(19.5)
    row = await hands.payout(order_id, "accept")
    assert row["state"] == State.EXPIRED
    assert _calls(hands, "accept") == 0
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
    world = await open_world(factor=10, terms=QUIET, opening=Decimal(20_000))
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


async def test_a_success_that_was_known_before_pending_was_heard_asks_first(
    make_hands: MakeHands,
) -> None:
    """*Pending* hangs, the order is paid meanwhile, and the aggregator may have been told so when
    it asked: it is fetched before *success* is said."""
    hands = await make_hands()
    order_id = await hands.world.offer()
    await hands.sent(order_id, AttemptState.PENDING)
    client = hands.node.app.aggregator
    fulfil = client.fulfil_live

    async def hangs(order_id: str, **report: Any) -> SayAnswer:
        hands.clock.advance(1)
        await hands.look_up(order_id)
        hands.clock.advance(1)
        return await fulfil(order_id, **report)

    client.fulfil_live = hangs  # type: ignore[method-assign]  # the moment is the point
    await hands.payout(order_id, "report")
    client.fulfil_live = fulfil  # type: ignore[method-assign]
    row = await hands.world.payout(order_id)
    assert (row["state"], row["told_pending_at"] > row["paid_at"]) == (State.PAID, True)
    asked = _calls(hands, "order ")
    assert (await hands.to_its_end(order_id))["state"] == State.FULFILLED
    assert _calls(hands, "order ") == asked + 1
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


async def test_that_pending_may_have_been_told_is_written_down_first(
    make_hands: MakeHands,
) -> None:
    """The process died after the aggregator heard *pending*: no cancel may follow (4.4)."""
    hands = await make_hands()
    order_id = await hands.world.offer()
    await hands.sent(order_id, AttemptState.PENDING)
    tell = hands.node.app.aggregator.fulfil_live

    async def heard_and_died(*args: Any, **named: Any) -> Any:
        await tell(*args, **named)
        raise asyncio.CancelledError

    hands.node.app.aggregator.fulfil_live = heard_and_died  # type: ignore[method-assign]  # it dies
    with pytest.raises(asyncio.CancelledError):
        await hands.payout(order_id, "report")
    hands.node.app.aggregator.fulfil_live = tell  # type: ignore[method-assign]  # and is back
    assert (await hands.world.payout(order_id))["told_pending_at"] == 0
    await hands.world.leases_run_out()
    hands.clock.advance(MINUTE)
    row = await hands.payout(order_id, "report")
    assert row["told_pending_at"] > 0
    assert "cancelled" not in hands.heard(order_id)


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


async def test_pending_is_not_told_after_a_success(make_hands: MakeHands) -> None:
    """Pending and success were told, and the process died before it heard either answer; the order
    is found settled, and offered again. The success is told again, and not *pending* before it."""
    hands = await make_hands()
    order_id = await hands.world.offer(AggregatorFault.REOFFER_AFTER_END)
    await hands.sent(order_id, AttemptState.PENDING)
    await hands.look_up(order_id)
    client = hands.node.app.aggregator
    fulfil = client.fulfil_live

    async def dies(order_id: str, **report: Any) -> SayAnswer:
        answer = await fulfil(order_id, **report)
        if report["validation"] == Validation.SUCCESS:
            raise asyncio.CancelledError
        return answer

    client.fulfil_live = dies  # type: ignore[method-assign]  # the process dies here
    with pytest.raises(asyncio.CancelledError):
        await hands.payout(order_id, "report")
    client.fulfil_live = fulfil  # type: ignore[method-assign]  # and is back
    await hands.world.leases_run_out()
    assert (await hands.payout(order_id, "report"))["state"] == State.FULFILLED
    hands.clock.advance(5)
    await asyncio.sleep(0.05)
    hands.clock.advance(5)
    await _offered(hands, order_id, 2)
    assert (await hands.to_its_end(order_id))["state"] == State.FULFILLED
    heard = hands.heard(order_id)
    assert (heard.count("pending_reported"), heard.count("success_reported")) == (1, 2)


async def test_a_paid_order_is_not_accepted_when_its_second_offer_is_over(
    make_hands: MakeHands,
) -> None:
    """The report comes to it only then: it asks whose the order is, and a person is told."""
    hands = await make_hands()
    order_id = await hands.world.offer(AggregatorFault.REOFFER_AFTER_END)
    await hands.accepted(order_id)
    assert (await hands.to_its_end(order_id))["state"] == State.FULFILLED
    accepts = _calls(hands, "accept")
    hands.clock.advance(5)
    await asyncio.sleep(0.05)
    hands.clock.advance(5)
    await _offered(hands, order_id, 2)
    hands.clock.advance(MINUTE)
    row = await hands.to_its_end(order_id)
    assert _calls(hands, "accept") == accepts
    assert row["state"] == State.PAID
    kinds = (await hands.world.books()).kinds_of(order_id)
    assert kinds == {"paid_order_offered_again", "order_not_ours"}
    assert hands.posts == 1


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


async def test_an_earlier_pending_that_stands_forbids_another_round(
    make_hands: MakeHands,
) -> None:
    """The aggregator took the order back under our *pending* and refused its failure. What a new
    round paid could never be settled beside that transaction: it is declined, and not paid."""
    hands = await make_hands()
    order_id = await hands.world.offer(bank_faults=[BankFault.FAILED_UNSUCCESSFUL])
    await hands.sent(order_id, AttemptState.PENDING)
    row = await hands.payout(order_id, "report")
    assert row["told_pending_at"] > 0
    book = hands.world.aggregator.book
    order = book.orders[order_id]
    book.give_to_another(order)
    assert (await hands.to_its_end(order_id))["state"] == State.FAILED
    hands.world.heal()
    for number in (2, 3):
        book.move(order, Aggregated.PENDING, "cleared")
        book.offer_again(order)
        await _offered(hands, order_id, number)
        row = await hands.to_its_end(order_id)
        assert (row["state"], row["reason_code"]) == (State.DECLINED, "REPORT_STANDS")
    assert hands.posts == 1
    await hands.world.assert_right()


async def test_a_decline_does_not_end_the_offer_after_it(make_hands: MakeHands) -> None:
    """The order is offered again before the decline of the first offer is said. It names no offer
    and would end the second: it stays unsaid, and the second offer is judged and paid."""
    hands = await make_hands()
    await hands.node.app.committer.commit(Unit([SwitchOff("psp:lenco", "a test", "ada")]))
    order_id = await hands.world.offer()
    row = await hands.payout(order_id, "accept")
    assert (row["state"], row["kind"]) == (State.DECLINED, "report")
    await hands.node.app.committer.commit(Unit([SwitchOn("psp:lenco")]))
    claimed = await hands.claim(payouts, row)
    book = hands.world.aggregator.book
    book.orders[order_id].key_expires = None  # the first offer's time is over
    book.offer_again(book.orders[order_id])
    await _offered(hands, order_id, 2)
    await hands.run(claimed)
    row = await hands.to_its_end(order_id)
    assert (row["state"], row["round"]) == (State.FULFILLED, 2)
    assert _calls(hands, "decline") == 0
    assert hands.posts == 1
    await hands.world.assert_right()


async def test_a_decline_that_may_be_lost_is_said_once_more(make_hands: MakeHands) -> None:
    """By a later turn; after that the offer lapses by itself."""
    hands = await make_hands()
    await hands.node.app.committer.commit(Unit([SwitchOff("psp:lenco", "a test", "ada")]))
    order_id = await hands.world.offer(AggregatorFault.DECLINE_500, times=None)
    await hands.payout(order_id, "accept")
    assert (await hands.payout(order_id, "report"))["kind"] == "report"
    hands.clock.advance(MINUTE)
    row = await hands.payout(order_id, "report")
    assert (row["state"], row["kind"]) == (State.DECLINED, None)
    assert row["told_at"] is not None
    assert _calls(hands, "decline") == 2


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


async def test_a_refund_that_is_found_by_asking_is_called_one(make_hands: MakeHands) -> None:
    """The sender has the money back, and the order is paid: the case says which loss it is, as when
    the aggregator answers so; success is not said."""
    hands = await make_hands()
    order_id = await hands.world.offer()
    await hands.sent(order_id, AttemptState.PENDING)
    await hands.payout(order_id, "report")
    await hands.look_up(order_id)
    book = hands.world.aggregator.book
    book.move(book.orders[order_id], Aggregated.REFUNDED, "refunded")
    told = _calls(hands, "fulfill")
    hands.clock.advance(2 * MINUTE)
    row = await hands.payout(order_id, "report")
    assert row["state"] == State.PAID
    assert _calls(hands, "fulfill") == told
    assert (await hands.world.books()).kinds_of(order_id) == {"order_refunded"}


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


def _calls(hands: Hands, verb: str) -> int:
    """How often the aggregator was called with it."""
    counters = hands.world.aggregator.counters
    return sum(count for call, count in counters.items() if call.startswith(verb))


async def _offered(hands: Hands, order_id: str, times: int) -> None:
    """Wait, in real time, for the aggregator's own call."""
    async with asyncio.timeout(60):
        while hands.world.aggregator.order(order_id).offer_number < times:
            hands.clock.advance(0.5)
            await asyncio.sleep(0.01)
        while hands.world.aggregator.busy:  # noqa: ASYNC110 -- the sandbox tells nobody
            await asyncio.sleep(0.01)
