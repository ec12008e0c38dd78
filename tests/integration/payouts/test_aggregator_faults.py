"""Every fault of the aggregator, once, in each dialect that has it, and the end it must come to."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.support.world import OpenWorld, World
from tidegate.payouts.states import State
from tidegate.payouts.tables import offers
from tidegate.sandbox.aggregator.orders import PAID as SETTLING
from tidegate.sandbox.aggregator.orders import Status
from tidegate.sandbox.faults import AggregatorFault, BankFault

F = AggregatorFault
BOTH, LIVE = ("live", "spec"), ("live",)


@dataclass(frozen=True)
class End:
    """How an order ends with us (``None``: never heard of) and how often the bank paid it."""

    state: State | None = State.FULFILLED
    paid: int = 1
    cases: frozenset[str] = frozenset()
    dialects: tuple[str, ...] = BOTH
    offers: int = 1
    cancel_count: int = 0


DECLINED = End(State.DECLINED, 0, dialects=LIVE)
PAID = End()

ENDS: dict[AggregatorFault, End] = {
    F.REFUSE_CONNECTION: PAID,
    F.OFFER_NEVER_SENT: End(None, 0),
    F.OFFER_TWICE: End(offers=2),
    F.OFFER_TWICE_CONCURRENTLY: End(offers=2),
    F.OFFER_OTHER_AMOUNT: End(offers=2),
    # What fails authentication or cannot be read is not kept; it is then offered as it should.
    F.OFFER_STALE_SIGNATURE: PAID,
    F.OFFER_WRONG_TYPES: PAID,
    # What the spec dialect is answered to these is a refusal, which is no fault of the offer.
    F.UNKNOWN_INSTITUTION: DECLINED,
    F.UNKNOWN_CURRENCY: DECLINED,
    F.TOO_LARGE: DECLINED,
    F.REOFFER_AFTER_END: End(cases=frozenset({"paid_order_offered_again"}), offers=2),
    F.REASSIGNED_403: End(State.PAID, cases=frozenset({"order_not_ours"})),
    F.EARLY_TX_STATUS: PAID,
    F.ACCEPT_DROP_BEFORE: PAID,
    F.ACCEPT_DROP_AFTER: PAID,
    F.ACCEPT_500: PAID,
    F.ACCEPT_HTML_502: PAID,
    F.ACCEPT_SLOW: PAID,
    # Only the live accept tells figures and recipient.
    F.ACCEPT_AMOUNT_DIFFERS: End(dialects=LIVE),
    F.ACCEPT_BAD_RECIPIENT: End(State.CANCELLED, 0, dialects=LIVE, cancel_count=3),
    F.FULFIL_DROP_BEFORE: PAID,
    F.FULFIL_DROP_AFTER: PAID,
    F.FULFIL_500: PAID,
    F.FULFIL_SLOW: PAID,
    F.CANCEL_DROP_AFTER: End(State.CANCELLED, 0, cancel_count=3),
    F.DECLINE_500: DECLINED,
    F.ALREADY_REFUNDED: End(State.PAID, cases=frozenset({"order_refunded"})),
    F.RATE_LIMITED_429: PAID,
    F.BALANCES_500: PAID,
}

# What has to go wrong beside it before this fault can show.
BANK: dict[AggregatorFault, tuple[BankFault, ...]] = {
    F.CANCEL_DROP_AFTER: (BankFault.RECIPIENT_INVALID,)
}
BESIDE: dict[AggregatorFault, tuple[AggregatorFault, ...]] = {
    F.DECLINE_500: (F.UNKNOWN_INSTITUTION,)
}

ON_POSTGRESQL = (
    F.OFFER_TWICE_CONCURRENTLY,
    F.OFFER_OTHER_AMOUNT,
    F.OFFER_WRONG_TYPES,
    F.REOFFER_AFTER_END,
    F.REASSIGNED_403,
    F.EARLY_TX_STATUS,
    F.ACCEPT_DROP_AFTER,
    F.FULFIL_DROP_AFTER,
    F.CANCEL_DROP_AFTER,
    F.ALREADY_REFUNDED,
)
EVERY = [
    *(("sqlite", fault, word) for fault in AggregatorFault for word in ENDS[fault].dialects),
    *(("postgresql", fault, "live") for fault in ON_POSTGRESQL),
]

# The aggregator offers once and then leaves the order as it is.
QUIET = {
    "reoffer": "stock",
    "reassign_interval_s": 1e6,
    "refund_interval_s": 1e6,
    "slow_s": 3.0,
    "refuse_s": 1.0,
}


def test_every_fault_has_its_end() -> None:
    """The list of faults is the documentation, and each of them is played here."""
    assert set(ENDS) == set(AggregatorFault)


@pytest.mark.parametrize(("databases", "fault", "dialect"), EVERY, indirect=["databases"])
async def test_the_order_ends_right(
    open_world: OpenWorld, fault: AggregatorFault, dialect: str
) -> None:
    """Whatever the aggregator does, the order ends where it must and is paid at most once."""
    world = await open_world(factor=10, terms=QUIET)
    world.aggregator_faults.set("NGN", *({fault} & {F.BALANCES_500}))
    await world.local()
    end = ENDS[fault]

    order_id = await world.offer(
        fault, *BESIDE.get(fault, ()), bank_faults=BANK.get(fault, ()), dialect=dialect
    )
    if end.state is not None:
        await _arrives(world, order_id, end)
    await world.settle()

    books = await world.assert_right(cases_allowed=end.cases)
    assert set(books.case_kinds) == end.cases
    if end.state is None:
        assert order_id not in books.payouts
        return
    assert books.payouts[order_id]["state"] == end.state
    rows = books.attempts[order_id]
    assert sum(world.bank.times_paid(one["reference"]) for one in rows) == end.paid
    kept = await world.rows(offers, offers.c.order_id == order_id)
    assert len(kept) == end.offers, [one["meaning"] for one in kept]
    _assert_told(world, order_id, fault, end)


async def _arrives(world: World, order_id: str, end: End) -> None:
    """At its end, having been offered as often as it will be."""

    async def there() -> bool:
        books = await world.books()
        row = books.payouts.get(order_id)
        kept = await world.rows(offers, offers.c.order_id == order_id)
        return (
            row is not None
            and row["state"] == end.state
            and end.cases <= books.kinds_of(order_id)
            and len(kept) == end.offers
        )

    await world.until(there, 15, f"{order_id} {end}")


def _assert_told(world: World, order_id: str, fault: AggregatorFault, end: End) -> None:
    """The aggregator's own record of the order."""
    order = world.aggregator.order(order_id)
    match end.state:
        case State.FULFILLED:
            assert order.status in SETTLING
        case State.DECLINED:
            assert order.status is Status.PENDING
            assert fault is F.DECLINE_500 or order.declined_offer == 1
        case State.CANCELLED:
            assert order.status is Status.CANCELLED
            assert order.cancel_count == end.cancel_count, "cancelled once"
        case _:
            assert order.status in {Status.REFUNDED, Status.FULFILLING}
    if fault is F.ACCEPT_AMOUNT_DIFFERS:
        (transfer,) = world.bank.transfers.values()
        assert transfer.amount == (order.accept_amount + 1) * 100, "the accepted amount is paid"
