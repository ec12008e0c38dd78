"""Stories of a payment whose news come from the processor, step by step.

A story is a generator: it does one thing and yields, so that whoever plays it can tell some of
the events that came of it, or none, before the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tests.acceptance.processor.shopper import Shopper
from tests.acceptance.processor.world import PaymentWorld

__all__ = ["ENDS", "STORIES", "Story"]

Story = Callable[[PaymentWorld, Shopper], Iterator[str]]
"""Yields the payment's id after each step."""

AMOUNT = 10_000


def fee_later(world: PaymentWorld, shopper: Shopper) -> Iterator[str]:
    """Captured at once; what the processor keeps is known later."""
    world.processor.intents.fee_later = True
    id_ = shopper.pay(AMOUNT)["id"]
    world.processor.intents.fee_later = False
    yield id_
    world.processor.intents.fee_known(world.processor.intent(id_))
    yield id_


def manual_capture(world: PaymentWorld, shopper: Shopper) -> Iterator[str]:
    """Authorised, then a part is captured."""
    id_ = shopper.pay(AMOUNT, capture_method="manual")["id"]
    yield id_
    done = shopper.post(f"/api/payments/{id_}/capture", {"amount": 7_500}, shopper.new_key())
    assert done.status == 200, done.body
    yield id_


def refund_pending(world: PaymentWorld, shopper: Shopper) -> Iterator[str]:
    """The refund takes its time and gets through."""
    yield from _pending(world, shopper, world.processor.afterwards.succeed)


def refund_pending_fails(world: PaymentWorld, shopper: Shopper) -> Iterator[str]:
    """The refund takes its time and fails."""
    yield from _pending(world, shopper, world.processor.afterwards.fail)


def refund_fails_late(world: PaymentWorld, shopper: Shopper) -> Iterator[str]:
    """The refund had succeeded; days later its money comes back."""
    id_ = shopper.pay(AMOUNT)["id"]
    yield id_
    shopper.refund(id_, 2_500)
    yield id_
    world.processor.afterwards.fail(world.processor.refunds(id_)[0])
    yield id_


def authenticated(world: PaymentWorld, shopper: Shopper) -> Iterator[str]:
    """The cardholder passes 3-D Secure."""
    yield from _authentication(world, shopper, passes=True)


def not_authenticated(world: PaymentWorld, shopper: Shopper) -> Iterator[str]:
    """The cardholder fails 3-D Secure."""
    yield from _authentication(world, shopper, passes=False)


def declined(world: PaymentWorld, shopper: Shopper) -> Iterator[str]:
    """The card is declined; nothing moves."""
    order = shopper.order(AMOUNT, "pm_card_chargeCustomerFail")
    answer = shopper.post("/api/payments", order, shopper.new_key())
    assert answer.status == 402, answer.body
    yield answer.json["payment"]["id"]


def dispute_won(world: PaymentWorld, shopper: Shopper) -> Iterator[str]:
    """The money goes and comes back; the fee does not."""
    yield from _dispute(world, shopper, world.processor.afterwards.win)


def dispute_lost(world: PaymentWorld, shopper: Shopper) -> Iterator[str]:
    """The cardholder keeps it."""
    yield from _dispute(world, shopper, world.processor.afterwards.lose)


def authorisation_expires(world: PaymentWorld, shopper: Shopper) -> Iterator[str]:
    """Nobody captures it in time."""
    id_ = shopper.pay(AMOUNT, capture_method="manual")["id"]
    yield id_
    world.processor.intents.expire(world.processor.intent(id_))
    yield id_


def refunded_at_the_page(world: PaymentWorld, shopper: Shopper) -> Iterator[str]:
    """Somebody refunds a part at the processor's own page, after we refunded another."""
    id_ = shopper.pay(AMOUNT)["id"]
    shopper.refund(id_, 1_000)
    yield id_
    intent = world.processor.intent(id_)
    world.processor.afterwards.refund_at_the_page(intent, 2_000)
    yield id_
    world.processor.afterwards.refund_at_the_page(intent, 3_000)
    yield id_


def refund_at_the_page_fails(world: PaymentWorld, shopper: Shopper) -> Iterator[str]:
    """A refund that is not ours comes back."""
    id_ = shopper.pay(AMOUNT)["id"]
    yield id_
    refund = world.processor.afterwards.refund_at_the_page(world.processor.intent(id_), 2_000)
    yield id_
    world.processor.afterwards.fail(refund)
    yield id_


def _pending(world: PaymentWorld, shopper: Shopper, ends: Callable[[Any], None]) -> Iterator[str]:
    id_ = shopper.pay(AMOUNT)["id"]
    yield id_
    world.processor.afterwards.pending = True
    assert shopper.refund(id_, 4_000)["status"] == "pending"
    world.processor.afterwards.pending = False
    yield id_
    ends(world.processor.refunds(id_)[0])
    yield id_


def _authentication(world: PaymentWorld, shopper: Shopper, *, passes: bool) -> Iterator[str]:
    payment = shopper.pay(
        AMOUNT, "pm_card_authenticationRequired", return_url="http://127.0.0.1/back"
    )
    assert payment["status"] == "requires_action"
    yield payment["id"]
    intent = world.processor.intent(payment["id"])
    world.processor.intents.authenticate(intent, passes=passes)
    yield payment["id"]


def _dispute(world: PaymentWorld, shopper: Shopper, ends: Callable[[Any], None]) -> Iterator[str]:
    id_ = shopper.pay(AMOUNT)["id"]
    yield id_
    dispute = world.processor.afterwards.dispute(world.processor.intent(id_))
    yield id_
    ends(dispute)
    yield id_


STORIES: dict[str, Story] = {
    story.__name__: story
    for story in (
        fee_later,
        manual_capture,
        refund_pending,
        refund_pending_fails,
        refund_fails_late,
        authenticated,
        not_authenticated,
        declined,
        dispute_won,
        dispute_lost,
        authorisation_expires,
        refunded_at_the_page,
        refund_at_the_page_fails,
    )
}

# How each ends: the payment's status, what was captured, what was refunded, what the books say
# the user paid.
ENDS: dict[str, tuple[str, int, int, int]] = {
    "fee_later": ("succeeded", AMOUNT, 0, AMOUNT),
    "manual_capture": ("succeeded", 7_500, 0, 7_500),
    "refund_pending": ("succeeded", AMOUNT, 4_000, 6_000),
    "refund_pending_fails": ("succeeded", AMOUNT, 0, AMOUNT),
    "refund_fails_late": ("succeeded", AMOUNT, 0, AMOUNT),
    "authenticated": ("succeeded", AMOUNT, 0, AMOUNT),
    "not_authenticated": ("failed", 0, 0, 0),
    "declined": ("failed", 0, 0, 0),
    "dispute_won": ("succeeded", AMOUNT, 0, AMOUNT),
    "dispute_lost": ("succeeded", AMOUNT, 0, 0),
    "authorisation_expires": ("canceled", 0, 0, 0),
    "refunded_at_the_page": ("succeeded", AMOUNT, 6_000, 4_000),
    "refund_at_the_page_fails": ("succeeded", AMOUNT, 0, AMOUNT),
}
