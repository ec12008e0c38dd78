"""Every fault of the bank, once, and the end that an order must come to all the same."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.support.world import OpenWorld, World
from tidegate.adapters.lenco import client
from tidegate.payouts.states import AttemptState, State
from tidegate.sandbox.aggregator.orders import Status
from tidegate.sandbox.faults import BankFault

F = BankFault


@dataclass(frozen=True)
class End:
    """How an order ends, how often the bank paid it, and which cases tell of it.

    ``reached`` is where it has to arrive before the fault is healed, if that is another place.
    ``perhaps`` are cases that a reading of the balance opens if it comes first.
    """

    state: State = State.FULFILLED
    paid: int = 1
    cases: frozenset[str] = frozenset()
    reached: State | None = None
    cancel_count: int = 0
    perhaps: frozenset[str] = frozenset()


PAID = End()
OUR_FAULT = End(State.CANCELLED, 0, frozenset({"psp_refuses_us"}), cancel_count=1)
FAILED = End(State.FAILED, 0)
HELD = End(State.HELD, 0, frozenset({"payout_held"}))

ENDS: dict[BankFault, End] = {
    F.REFUSE_CONNECTION: PAID,
    F.DROP_BEFORE: PAID,
    F.DROP_AFTER: PAID,
    F.SLOW: PAID,
    F.TOO_SLOW: PAID,
    F.ACT_LATE: PAID,
    F.ERROR_500_BEFORE: PAID,
    F.ERROR_503_BEFORE: PAID,
    F.ERROR_503_AFTER: PAID,
    F.HTML_502_BEFORE: PAID,
    F.HTML_502_AFTER: PAID,
    F.STATUS_FALSE_BEFORE: PAID,
    F.STATUS_FALSE_AFTER: PAID,
    F.UNAUTHORISED: OUR_FAULT,
    F.RATE_LIMITED: PAID,
    F.DUPLICATE_WITHOUT_CODE: PAID,
    F.ANSWER_CREATED: PAID,
    # The aggregator counts a shortage of ours not at all, a bad recipient thrice (4.4).
    F.INSUFFICIENT_FUNDS: End(State.CANCELLED, 0, frozenset({"psp_refuses_us"}), cancel_count=0),
    F.LIMIT_EXCEEDED: OUR_FAULT,
    F.RECIPIENT_INVALID: End(State.CANCELLED, 0, cancel_count=3),
    F.ACCOUNT_RESTRICTED: OUR_FAULT,
    F.QUEUED: PAID,
    F.FAILED_UNSUCCESSFUL: FAILED,
    F.FAILED_BANK_UNAVAILABLE: FAILED,
    F.FAILED_MALFUNCTION: FAILED,
    F.FAILED_TIMEOUT: FAILED,
    F.FAILED_INSUFFICIENT: End(State.FAILED, 0, frozenset({"psp_refuses_us"})),
    F.DECLINED: HELD,
    F.FAILED_THEN_PAID: PAID,
    F.REVERSED: End(cases=frozenset({"payout_reversed"}), perhaps=frozenset({"float_surplus"})),
    F.NOT_FOUND_AT_FIRST: PAID,
    F.LOOKUP_500: PAID,
    F.LOOKUP_401: End(cases=frozenset({"psp_refuses_us"})),
    F.LOOKUP_TIMEOUT: PAID,
    # The bank shows other figures than ours: a person looks, though the bank corrects itself.
    F.LOOKUP_OTHER_AMOUNT: End(cases=frozenset({"payout_held"}), reached=State.HELD),
    F.WEBHOOK_NONE: PAID,
    F.WEBHOOK_DUPLICATE: PAID,
    F.WEBHOOK_LATE: PAID,
    F.WEBHOOK_SWAPPED: PAID,
    F.WEBHOOK_STALE: PAID,
    F.WEBHOOK_BAD_SIGNATURE: PAID,
    F.WEBHOOK_FORGED_SUCCESS: PAID,
    F.WEBHOOK_RESERIALISED: PAID,
    F.WEBHOOK_OTHER_AMOUNT: PAID,
}

# Faults that show only beside another one.
COMPANY: dict[BankFault, tuple[BankFault, ...]] = {
    # A reference is repeated after an answer was lost and nothing was found.
    F.DUPLICATE_WITHOUT_CODE: (F.ERROR_503_AFTER, F.NOT_FOUND_AT_FIRST),
    F.WEBHOOK_FORGED_SUCCESS: (F.QUEUED,),
}

# Where the database's own behaviour could matter: long waits, races, several commits.
ON_POSTGRESQL = (
    F.DROP_BEFORE,
    F.DROP_AFTER,
    F.ACT_LATE,
    F.UNAUTHORISED,
    F.DUPLICATE_WITHOUT_CODE,
    F.RECIPIENT_INVALID,
    F.FAILED_UNSUCCESSFUL,
    F.FAILED_TIMEOUT,
    F.DECLINED,
    F.REVERSED,
    F.NOT_FOUND_AT_FIRST,
    F.LOOKUP_OTHER_AMOUNT,
    F.WEBHOOK_DUPLICATE,
    F.WEBHOOK_STALE,
)
# What the spec dialect tells otherwise: it knows no pending and no failed.
IN_SPEC = (
    F.DROP_AFTER,
    F.RECIPIENT_INVALID,
    F.FAILED_UNSUCCESSFUL,
    F.FAILED_TIMEOUT,
    F.DECLINED,
    F.REVERSED,
)
EVERY = [
    *(("sqlite", fault, "live") for fault in BankFault),
    *(("sqlite", fault, "spec") for fault in IN_SPEC),
    *(("postgresql", fault, "live") for fault in ON_POSTGRESQL),
]

# The aggregator offers once and then leaves the order as it is.
QUIET = {"reoffer": "stock", "reassign_interval_s": 1e6, "refund_interval_s": 1e6}


def test_every_fault_has_its_end() -> None:
    """The list of faults is the documentation, and each of them is played here."""
    assert set(ENDS) == set(BankFault)


@pytest.mark.parametrize(("databases", "fault", "dialect"), EVERY, indirect=["databases"])
async def test_the_order_ends_right(
    open_world: OpenWorld, fault: BankFault, dialect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the bank does, the order ends where it must and is paid at most once."""
    world = await open_world(factor=10, terms=QUIET)
    _shorten(world, monkeypatch)
    await world.local()
    end = ENDS[fault]

    order_id = await world.offer(
        bank_faults=(fault, *COMPANY.get(fault, ())), dialect=dialect, amount=7_000
    )
    await world.reaches(order_id, end.reached or end.state)
    if fault is F.REVERSED:
        await _reversed(world, order_id)
    world.heal()
    await world.reaches(order_id, end.state)
    await world.settle()

    books = await world.assert_right(cases_allowed=end.cases | end.perhaps)
    assert books.payouts[order_id]["state"] == end.state
    rows = books.attempts[order_id]
    assert sum(world.bank.times_paid(one["reference"]) for one in rows) == end.paid
    assert set(books.case_kinds) - end.perhaps == end.cases
    assert books.balances["surplus"] == 0, "what a reading saw first was explained afterwards"
    assert len(rows) == 1, "one transfer, whatever happened to it"
    _assert_told(world, order_id, end)


def _shorten(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits of a few seconds of the swift clock, and time limits of the machine's."""
    monkeypatch.setattr(client, "SUBMIT_TIMEOUT_S", 0.4)
    monkeypatch.setattr(client, "_TRY_TIMEOUT_S", 0.3)
    world.faults.refuse_s = 1.0
    world.faults.slow_s = 1.0
    world.faults.too_slow_s = 8.0
    world.faults.queued_s = 2.0
    world.faults.not_found_s = 6.0
    world.faults.failed_then_paid_s = 1.5
    world.faults.reversed_s = 3.0
    world.faults.webhook_late_s = 2.0


async def _reversed(world: World, order_id: str) -> None:
    async def seen() -> bool:
        return bool((await world.attempts(order_id))[0]["state"] == AttemptState.REVERSED)

    await world.until(seen, 10, "the reversal")


def _assert_told(world: World, order_id: str, end: End) -> None:
    """The aggregator heard the end, in its own words."""
    order = world.aggregator.order(order_id)
    match end.state:
        case State.FULFILLED:
            assert order.status in {Status.VALIDATED, Status.SETTLING, Status.SETTLED}
        case State.CANCELLED:
            assert order.status is Status.CANCELLED
            assert order.cancel_count == end.cancel_count
            assert order.fulfilments == [], "cancelled, and nothing else was reported"
        case State.FAILED if order.dialect == "spec":
            assert order.status is Status.CANCELLED, "after the tombstone"
        case State.FAILED:
            failed = order.failed_fulfilment()
            assert failed is not None
            assert failed.error, "failed comes with its reason"
        case _:
            assert order.status in {Status.FULFILLING, Status.FULFILLED}
