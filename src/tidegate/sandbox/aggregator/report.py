"""Fulfil and cancel: what the node reports after accepting (4.3, 4.4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from tidegate.sandbox.aggregator.book import Book
from tidegate.sandbox.aggregator.envelope import EMPTY_500, Reply, field_errors, refused, success
from tidegate.sandbox.aggregator.judgement import Wrong
from tidegate.sandbox.aggregator.orders import PAID, Fulfilment, Order, Status
from tidegate.sandbox.faults import AggregatorFault

__all__ = ["cancel", "fulfil"]

_DONE = success("Order fulfilled successfully")
_NOT_OURS = refused(403, "Order does not belong to provider")
_NO_UPDATE = refused(500, "Failed to update order status")
_CANCELLED = success("Order cancelled successfully")

_REASON_WEIGHTS = {"Invalid recipient bank details": 3, "Insufficient funds": 0}


def fulfil(book: Book, order_id: str, body: Mapping[str, Any]) -> Reply:
    """Record what became of the payout, under its txId.

    The txId is looked up over all orders and its row is made *before* ownership is checked, so a
    stray call leaves an orphan that blocks the next provider, as in LIVE.
    """
    order = book.orders.get(order_id)
    if order is not None and order.dialect == "spec":
        return _fulfil_spec(book, order, body)
    read = _read_live(book, order_id, body)
    if isinstance(read, Reply):
        return read
    psp, tx_id, word, error = read
    if order is None:
        return _NO_UPDATE
    return _apply(book, order, psp=psp, tx_id=tx_id, word=word, error=error)


def _read_live(
    book: Book, order_id: str, body: Mapping[str, Any]
) -> Reply | tuple[str, str, str, str]:
    fields = ("psp", "txId", "validationStatus", "validationError")
    values = [body.get(name) for name in fields]
    for name, value in zip(fields, values, strict=True):
        if value is not None and not isinstance(value, str):
            book.judge.record(Wrong.JSON_TYPE, order_id, f"{name} is {type(value).__name__}")
            return EMPTY_500
    psp, tx_id, word, error = (value or "" for value in values)
    missing = [go for go, value in (("PSP", psp), ("TxID", tx_id)) if not value]
    if missing:
        kind = Wrong.FULFIL_DIALECT if "transactionHash" in body else Wrong.FIELD_MISSING
        book.judge.record(kind, order_id, ", ".join(missing))
        return field_errors(*missing)
    return psp, tx_id, word, error


def _fulfil_spec(book: Book, order: Order, body: Mapping[str, Any]) -> Reply:
    """SPEC knows success only, under the PSP's own transaction id."""
    tx_id = body.get("transactionHash")
    if tx_id is None or tx_id == "":
        kind = Wrong.FULFIL_DIALECT if "txId" in body else Wrong.FIELD_MISSING
        book.judge.record(kind, order.id, "transactionHash")
        return field_errors("TransactionHash")
    if not isinstance(tx_id, str):
        book.judge.record(Wrong.JSON_TYPE, order.id, "transactionHash")
        return EMPTY_500
    return _apply(book, order, psp="", tx_id=tx_id, word="success", error="")


def _apply(book: Book, order: Order, *, psp: str, tx_id: str, word: str, error: str) -> Reply:
    status = _status_of(word)
    book.mark(order, f"{status}_received")
    faults = book.faults.for_key(order.id)
    if faults:
        _change_owner(book, order, faults)
    if status != word:
        book.judge.record(Wrong.VALIDATION_STATUS, order.id, repr(word))
    row = book.by_tx.get(tx_id)
    _judge_fulfil(book, order, row, tx_id, status)
    if row is None:
        standing = order.open_fulfilment()
        if standing is not None:
            return refused(
                400,
                f"Order already has a fulfillment (Status: {standing.status}, "
                f"TxID: {standing.tx_id})",
            )
        row = Fulfilment(
            tx_id,
            order.id,
            psp,
            "pending",
            book.clock.monotonic(),
            offer_number=order.accepted_offer,
        )
        book.by_tx[tx_id] = row
        order.fulfilments.append(row)
    if not order.ours:
        return _NOT_OURS
    if order.status in (Status.VALIDATED, Status.SETTLED, Status.REFUNDED):
        return success(f"Order already {order.status.value}")
    if status == "success":
        return _succeed(book, order, row)
    if status == "failed":
        return _fail(book, order, row, error)
    # LIVE: pending moves the order that the txId belongs to, whatever the path says.
    target = book.orders[row.order_id]
    if target.status is Status.FULFILLING:
        book.move(target, Status.FULFILLED, "pending_reported")
    return _DONE


def _status_of(word: str) -> Literal["pending", "success", "failed"]:
    """Anything unknown, also an absent or upper-case word, acts as pending."""
    match word:
        case "success":
            return "success"
        case "failed":
            return "failed"
        case _:
            return "pending"


def _change_owner(book: Book, order: Order, faults: frozenset[AggregatorFault]) -> None:
    reassigned, refunded = AggregatorFault.REASSIGNED_403, AggregatorFault.ALREADY_REFUNDED
    if reassigned in faults and book.strikes(reassigned, order.id):
        book.give_to_another(order)
    if refunded in faults and book.strikes(refunded, order.id):
        book.release(order)
        book.move(order, Status.REFUNDED, "refunded")


def _succeed(book: Book, order: Order, row: Fulfilment) -> Reply:
    row.status = "success"
    row.error = ""
    row.offer_number = order.accepted_offer
    order.success_unseen = True
    book.release(order)
    book.move(order, Status.VALIDATED, "success_reported")
    book.settle_later(order, book.terms.settling_after_s)
    return _DONE


def _fail(book: Book, order: Order, row: Fulfilment, error: str) -> Reply:
    if row.status == "failed":
        return success("Order already failed")
    if order.status not in (Status.FULFILLING, Status.FULFILLED):
        return _NO_UPDATE
    row.status = "failed"
    row.error = error
    order.exclusions += 1
    book.release(order)
    book.move(order, Status.FULFILLED, "failed_reported")
    return _DONE


def _judge_fulfil(
    book: Book, order: Order, row: Fulfilment | None, tx_id: str, status: str
) -> None:
    """Hold the mistakes of one fulfil against the node, before anything is changed by it."""
    record = book.judge.record
    told = f"{status} {tx_id}"
    if order.accepted_offer == 0:
        record(Wrong.FULFIL_WITHOUT_ACCEPT, order.id, told)
    elif order.cancelled_offer == order.accepted_offer and status != "failed":
        record(Wrong.FULFIL_AFTER_CANCEL, order.id, told)
    if row is not None and row.order_id != order.id:
        record(Wrong.TX_OF_ANOTHER_ORDER, order.id, f"{tx_id} belongs to {row.order_id}")
        return
    standing = order.open_fulfilment()
    if row is None and standing is not None:
        twice = standing.status == "success" and status != "failed"
        kind = Wrong.PAID_TWICE if twice else Wrong.FULFIL_OTHER_TX
        record(kind, order.id, f"{told} beside {standing.status} {standing.tx_id}")
        return
    failed = order.failed_fulfilment()
    if failed is not None and status != "failed" and failed.offer_number == order.accepted_offer:
        record(Wrong.FULFIL_AFTER_FAILED, order.id, told)
    if row is None or row.status != "success":
        return
    if order.status is Status.SETTLING and status == "success":
        record(Wrong.SUCCESS_WHILE_SETTLING, order.id, told)
    elif status == "success" and row.offer_number == order.accepted_offer:
        if "success_reported" in order.marks and order.status is not Status.FULFILLING:
            seen = "not looked at since" if order.success_unseen else "looked at since"
            record(Wrong.SUCCESS_REPEATED, order.id, f"order is {order.status}, {seen}")
    elif status == "pending":
        record(Wrong.PENDING_AFTER_SUCCESS, order.id, told)
    elif status == "failed":
        record(Wrong.FAILED_AFTER_SUCCESS, order.id, told)


def cancel(book: Book, order_id: str, body: Mapping[str, Any]) -> Reply:
    """Give an accepted order back. No status is checked, as in LIVE: even paid orders re-open."""
    reason = body.get("reason")
    if reason is not None and not isinstance(reason, str):
        book.judge.record(Wrong.JSON_TYPE, order_id, "reason")
        return EMPTY_500
    if not reason:
        book.judge.record(Wrong.FIELD_MISSING, order_id, "reason")
        return field_errors("Reason")
    order = book.orders.get(order_id)
    if order is None or not order.ours:
        # Repeated blindly, a cancel can arrive after the order was taken off the node.
        kind = Wrong.CANCEL_REPEATED if order and order.cancelled_offer else None
        book.judge.record(kind or Wrong.CANCEL_WITHOUT_ACCEPT, order_id, reason)
        return refused(404, "Could not find payment order")
    book.mark(order, "cancel_received")
    _judge_cancel(book, order, reason)
    weight = 3 if order.private else _REASON_WEIGHTS.get(reason, 1)
    order.cancel_count += weight
    if reason != "Insufficient funds":
        order.cancel_reasons.append(reason)
    order.exclusions += 1
    order.cancelled_offer = order.accepted_offer
    order.key_expires = None
    book.release(order)
    book.move(order, Status.CANCELLED, "cancelled")
    return _CANCELLED


def _judge_cancel(book: Book, order: Order, reason: str) -> None:
    reported = any(row.offer_number == order.accepted_offer for row in order.fulfilments)
    if order.accepted_offer == 0:
        book.judge.record(Wrong.CANCEL_WITHOUT_ACCEPT, order.id, reason)
    elif order.cancelled_offer == order.accepted_offer:
        book.judge.record(Wrong.CANCEL_REPEATED, order.id, reason)
    elif reported or order.status in PAID:
        book.judge.record(Wrong.CANCEL_AFTER_FULFIL, order.id, f"order is {order.status}")
