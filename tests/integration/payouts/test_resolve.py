"""What a person may do about a held payout: nothing that the PSP, asked then, does not allow."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.payouts.hands import Hands, MakeHands
from tidegate.cases.tables import cases, operator_actions
from tidegate.errors import Conflict, NotFound, NotProven, TidegateError, WrongOrderState
from tidegate.ledger.tables import accounts
from tidegate.payouts.resolve import Operator, Ruling
from tidegate.payouts.states import AttemptState, Event, State
from tidegate.payouts.store import Journal
from tidegate.payouts.tables import payouts
from tidegate.sandbox.bank.transactions import Status
from tidegate.sandbox.faults import AggregatorFault, BankFault

BY = Operator("ada", "test", "support says so", "ticket 7")
COOL_OFF, DAY = 1_800.0, 86_400.0
ODD = "The moon was in the wrong quarter"


async def held(hands: Hands, *faults: BankFault, dialect: str = "live") -> tuple[str, str]:
    """An order whose transfer a look-up made a person's; its id and the transfer's reference."""
    order_id = await hands.world.offer(bank_faults=faults, times=None, dialect=dialect)
    await hands.accepted(order_id)
    await hands.payout(order_id, "disburse:lenco")
    one = await hands.look_up(order_id)
    assert one["state"] == AttemptState.HELD, one
    assert (await hands.world.payout(order_id))["state"] == State.HELD
    return order_id, str(one["reference"])


async def resolve(hands: Hands, order_id: str, ruling: Ruling, **more: Any) -> str:
    """Try it; the payout's state, or the refusal's code."""
    try:
        return str((await hands.node.app.resolve.resolve(order_id, ruling, BY, **more))["state"])
    except TidegateError as refused:
        return refused.code


async def balance(hands: Hands, part: str) -> int:
    rows = await hands.world.rows(accounts, accounts.c.path == f"psp:lenco:{part}:NGN")
    return sum(row["balance"] for row in rows)


async def actions(hands: Hands) -> list[dict[str, Any]]:
    return await hands.world.rows(operator_actions)


async def test_a_transfer_that_may_be_paid_is_never_sent_again(make_hands: MakeHands) -> None:
    """The bank paid and shows another amount: neither resumed nor unpaid is taken, whatever a
    person says, and however old it is."""
    hands = await make_hands()
    order_id, reference = await held(hands, BankFault.LOOKUP_OTHER_AMOUNT)
    for wait in (0.0, COOL_OFF, 2 * DAY):
        hands.clock.advance(wait)
        assert await resolve(hands, order_id, Ruling.RESUMED) == "not_proven"
        assert await resolve(hands, order_id, Ruling.UNPAID) == "not_proven"
    assert hands.posts == 1
    assert (await hands.world.payout(order_id))["state"] == State.HELD
    assert hands.world.bank.times_paid(reference) == 1
    assert await actions(hands) == []


async def test_paid_is_recorded_with_the_psps_own_id(make_hands: MakeHands) -> None:
    """Entries, state and report follow; a missing and a foreign id are refused; what was done is
    in the operators' log, and the case is closed with it."""
    hands = await make_hands()
    order_id, reference = await held(hands, BankFault.LOOKUP_OTHER_AMOUNT)
    before = await balance(hands, "reserved")
    assert await resolve(hands, order_id, Ruling.PAID) == "not_proven"
    assert await resolve(hands, order_id, Ruling.PAID, psp_id="another") == "not_proven"
    named = hands.world.bank.transfers[reference].id
    assert await resolve(hands, order_id, Ruling.PAID, psp_id=named) == "paid"

    assert (before, await balance(hands, "reserved")) == (before, 0)
    assert before > 0
    (one,) = await hands.world.attempts(order_id)
    assert (one["state"], one["psp_id"]) == (AttemptState.PAID, named)
    (case,) = await hands.world.rows(cases, cases.c.kind == "payout_held")
    assert (case["state"], case["closed_by"]) == ("closed", "ada")
    (action,) = await actions(hands)
    assert (action["actor"], action["action"]) == ("ada", "order.resolve")
    assert action["before"]["state"] == "held"
    assert (action["after"]["state"], action["after"]["evidence"]) == ("paid", "ticket 7")
    row = await hands.to_its_end(order_id)
    assert row["state"] == State.FULFILLED
    assert hands.posts == 1
    assert await resolve(hands, order_id, Ruling.PAID, psp_id=named) == "order_state"


async def test_what_failed_is_paid_once_by_another_transfer(make_hands: MakeHands) -> None:
    """The bank says failed for a reason nobody knows: after the cool-off, with the debit back, a
    person lets the order go on, under a new reference; the old one stays unpaid."""
    hands = await make_hands()
    order_id, reference = await held(hands, BankFault.DECLINED)
    hands.world.bank.decide(reference, Status.FAILED, ODD)
    assert await resolve(hands, order_id, Ruling.RESUMED) == "not_proven", "not cooled off"
    hands.clock.advance(COOL_OFF + 1)
    hands.world.heal()
    assert await resolve(hands, order_id, Ruling.RESUMED) == "accepted"
    row = await hands.to_its_end(order_id)
    first, second = await hands.world.attempts(order_id)
    assert first["state"] == AttemptState.FAILED
    assert second["reference"] != reference
    assert row["state"] == State.FULFILLED
    paid = [hands.world.bank.times_paid(one["reference"]) for one in (first, second)]
    assert paid == [0, 1]


@pytest.mark.parametrize("dialect", ["live", "spec"])
async def test_what_failed_is_ended_unpaid(make_hands: MakeHands, dialect: str) -> None:
    """The reservation is given back, and the aggregator hears it: *failed* in the live dialect
    (a transfer existed, so never a cancel), cancel in the other."""
    hands = await make_hands()
    order_id, reference = await held(hands, BankFault.DECLINED, dialect=dialect)
    hands.clock.advance(COOL_OFF + 1)
    assert await resolve(hands, order_id, Ruling.UNPAID) == "not_proven", "the debit is out"
    hands.world.bank.decide(reference, Status.FAILED, ODD)
    assert await resolve(hands, order_id, Ruling.PAID, psp_id="x") == "not_proven"
    assert await resolve(hands, order_id, Ruling.UNPAID) == "failed"
    assert await balance(hands, "reserved") == 0
    await hands.to_its_end(order_id)
    order = hands.world.aggregator.order(order_id)
    assert (order.failed_fulfilment() is not None) == (dialect == "live")
    assert (order.cancel_count > 0) == (dialect == "spec")
    assert hands.posts == 1


async def test_not_found_never_lets_it_be_sent_again(make_hands: MakeHands) -> None:
    """A bank that swallowed what it was sent three times proves nothing: only after a day, and
    only as unpaid, may a person close it."""
    hands = await make_hands()
    order_id = await hands.world.offer(bank_faults=[BankFault.ERROR_503_BEFORE], times=None)
    await hands.accepted(order_id)
    await hands.payout(order_id, "disburse:lenco")
    for _ in range(40):
        one = (await hands.world.attempts(order_id))[-1]
        if one["state"] == AttemptState.HELD:
            break
        hands.clock.advance(max(0, one["due_at"] - hands.clock.now_ms()) / 1000 + 1)
        await hands.attempt(order_id)
    assert one["state"] == AttemptState.HELD
    assert await resolve(hands, order_id, Ruling.UNPAID) == "not_proven"
    hands.clock.advance(DAY)
    assert await resolve(hands, order_id, Ruling.RESUMED) == "not_proven"
    assert await resolve(hands, order_id, Ruling.UNPAID) == "failed"
    assert len(await hands.world.attempts(order_id)) == 1


async def test_a_psp_that_cannot_be_asked_allows_nothing(make_hands: MakeHands) -> None:
    """No answer is no proof, for any ruling."""
    hands = await make_hands()
    order_id, reference = await held(hands, BankFault.DECLINED)
    hands.world.faults.plan.set(reference, BankFault.LOOKUP_401)
    hands.clock.advance(2 * DAY)
    for ruling in Ruling:
        assert await resolve(hands, order_id, ruling, psp_id="x") == "not_proven"
    assert (await hands.world.payout(order_id))["state"] == State.HELD


async def test_a_look_that_overtakes_the_person_wins(make_hands: MakeHands) -> None:
    """Between our question and our commit the node learns that it was paid: the person's ruling
    is refused whole, and the payment stands."""
    hands = await make_hands()
    order_id, reference = await held(hands, BankFault.DECLINED)
    hands.world.bank.decide(reference, Status.FAILED, ODD)
    hands.clock.advance(COOL_OFF + 1)
    lookup = hands.bank.lookup

    async def overtaken(reference: str) -> Any:
        answer = await lookup(reference)
        hands.bank.lookup = lookup  # type: ignore[method-assign]
        hands.world.bank.decide(reference, Status.SUCCESSFUL)
        await hands.look_up(order_id)
        return answer

    hands.bank.lookup = overtaken  # type: ignore[method-assign]  # the moment is the point
    assert await resolve(hands, order_id, Ruling.RESUMED) in {"conflict", "not_proven"}
    assert (await hands.world.payout(order_id))["state"] == State.PAID
    assert hands.posts == 1
    assert await actions(hands) == []


async def test_look_again_lets_the_psp_decide(make_hands: MakeHands) -> None:
    """The order is due for a look-up at once; what the bank says by then is applied."""
    hands = await make_hands()
    order_id, reference = await held(hands, BankFault.DECLINED)
    hands.world.bank.decide(reference, Status.SUCCESSFUL)
    await hands.node.app.resolve.look(order_id, BY)
    await hands.attempt(order_id, "confirm:lenco")
    assert (await hands.world.payout(order_id))["state"] == State.PAID
    (action,) = await actions(hands)
    assert action["action"] == "order.look"


async def unproven(hands: Hands, *faults: AggregatorFault, take: bool) -> str:
    """An order of which nobody knows whose it is, held before anything was paid."""
    order_id = await hands.world.offer(*faults)
    if take:
        await hands.accepted(order_id)
    row = await hands.world.payout(order_id)
    journal = Journal(row, hands.clock, hands.node.app.randomness)
    if not take:
        journal.move(Event.RESERVED)
    journal.move(Event.HELD, reason_code="UNPROVEN", accepted_at=None)
    await hands.node.app.committer.commit(journal.unit)
    return order_id


@pytest.mark.parametrize(("take", "ended"), [(True, "cancelled"), (False, "expired")])
async def test_an_unproven_order_is_never_paid_and_can_be_closed(
    make_hands: MakeHands, take: bool, ended: str
) -> None:
    """Whose it is, is asked right then: ours is cancelled, another's is let go; nothing is sent."""
    hands = await make_hands()
    order_id = await unproven(hands, take=take)
    for ruling in (Ruling.RESUMED, Ruling.PAID):
        assert await resolve(hands, order_id, ruling, psp_id="x") == "order_state"
    with pytest.raises(WrongOrderState):
        await hands.node.app.resolve.look(order_id, BY)
    assert await resolve(hands, order_id, Ruling.UNPAID) == ended
    assert await balance(hands, "reserved") == 0
    assert hands.posts == 0


async def test_only_what_is_held_is_resolved(make_hands: MakeHands) -> None:
    """An order under way is the node's, and a name that nobody has is said to be one."""
    hands = await make_hands()
    order_id = await hands.world.offer(bank_faults=[BankFault.DROP_BEFORE])
    await hands.sent(order_id, AttemptState.UNKNOWN)
    for ruling in Ruling:
        assert await resolve(hands, order_id, ruling, psp_id="x") == "order_state"
    with pytest.raises(NotFound):
        await hands.node.app.resolve.resolve("nobody", Ruling.UNPAID, BY)


async def test_nobody_resolves_what_somebody_works_on(make_hands: MakeHands) -> None:
    """Under a worker's lease the person waits."""
    hands = await make_hands()
    order_id, _ = await held(hands, BankFault.DECLINED)
    row = await hands.world.payout(order_id)

    def lease(connection: Any) -> None:
        until = hands.clock.now_ms() + 1_000
        one = payouts.update().where(payouts.c.id == row["id"])
        connection.execute(one.values(leased_until=until))

    await hands.world.execute(lease)
    with pytest.raises(Conflict) as refused:
        await hands.node.app.resolve.resolve(order_id, Ruling.UNPAID, BY)
    assert not isinstance(refused.value, NotProven | WrongOrderState)
