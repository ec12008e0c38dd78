"""Accept and decline: what happens to an offer (4.1, 4.2)."""

from __future__ import annotations

from typing import Any

from tidegate.clock import rfc3339
from tidegate.sandbox.aggregator.book import Book
from tidegate.sandbox.aggregator.envelope import Reply, refused, success
from tidegate.sandbox.aggregator.judgement import Wrong
from tidegate.sandbox.aggregator.orders import Order, Status
from tidegate.sandbox.faults import AggregatorFault

__all__ = ["accept", "decline"]

_GONE = refused(404, "Order request not found or is expired")
_DECLINED = success("Order request declined successfully")


def accept(book: Book, order_id: str) -> Reply:
    """Compare-and-set from pending to fulfilling; repeated while fulfilling it is a 201 again.

    Without the offer key an order is still accepted if the provider edge is the node's.
    """
    order = book.orders.get(order_id)
    if order is None:
        book.judge.record(Wrong.ACCEPT_WITHOUT_OFFER, order_id, "unknown order")
        return _GONE
    book.mark(order, "accept_received")
    keyed = book.has_key(order)
    if not keyed and not order.ours:
        _judge_late(book, order)
        return _GONE
    if order.status is Status.FULFILLING and order.ours:
        return success("Order request accepted successfully", _details(book, order), 201)
    if order.status is not Status.PENDING:
        if keyed:
            return refused(400, f"Order cannot be accepted: order is already {order.status.value}")
        return _GONE
    order.ours = True
    order.key_expires = None
    if order.offers:
        order.offers[-1].outcome = "accepted"
    order.accepted_offer = order.offer_number
    book.move(order, Status.FULFILLING, "accepted")
    return success("Order request accepted successfully", _details(book, order), 201)


def _judge_late(book: Book, order: Order) -> None:
    if not order.offers:
        book.judge.record(Wrong.ACCEPT_WITHOUT_OFFER, order.id, "never offered")
        return
    offer = order.offers[-1]
    late_s = book.clock.monotonic() - offer.expires
    if order.declined_offer == offer.number:
        book.judge.record(Wrong.ACCEPT_AFTER_DECLINE, order.id, f"offer {offer.number}")
    elif offer.outcome == "expired" and late_s > (offer.expires - offer.sent) / 10:
        # A tenth of the life is left to calls that were under way when the time was over.
        book.judge.record(Wrong.ACCEPT_AFTER_EXPIRY, order.id, f"{late_s:.2f} s late")


def _details(book: Book, order: Order) -> dict[str, Any]:
    data: dict[str, Any] = {
        "id": order.id,
        "direction": "payout",
        "amount": str(order.accept_amount),
        "institution": order.institution,
        "accountIdentifier": order.account,
        "accountName": order.account_name,
    }
    if order.memo:
        data["memo"] = order.memo
    if order.otc:
        expiry_ms = book.clock.now_ms() + 1_800_000
        data["metadata"] = {"otcFulfillmentExpiry": rfc3339(expiry_ms)}
    faults = book.faults.for_key(order.id)
    if AggregatorFault.ACCEPT_AMOUNT_DIFFERS in faults:
        data["amount"] = str(order.accept_amount + 1)
    if AggregatorFault.ACCEPT_BAD_RECIPIENT in faults:
        data["accountIdentifier"] = "12"
        data["accountName"] = ""
    return data


def decline(book: Book, order_id: str) -> Reply:
    """Give an open offer back; without its key there is nothing to decline."""
    order = book.orders.get(order_id)
    if order is None:
        return _GONE
    book.mark(order, "decline_received")
    if not book.has_key(order) or order.status is not Status.PENDING:
        if order.ours and order.accepted_offer == order.offer_number > 0:
            book.judge.record(Wrong.DECLINE_AFTER_ACCEPT, order.id, f"order is {order.status}")
        return _GONE
    order.key_expires = None
    order.declined_offer = order.offer_number
    order.offers[-1].outcome = "declined"
    order.exclusions += 1
    book.release(order)
    book.move(order, Status.PENDING, "declined")
    if book.terms.reoffer == "hosted":
        book.offer_soon(order)
    return _DECLINED
