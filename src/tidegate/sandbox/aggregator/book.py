"""The order book: every order, every txId, every balance, and how an order changes state.

Memory only. The verbs that the node calls are in ``accept`` and ``report``; here is what they
share. No lock is needed: nothing in the book waits.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tidegate.clock import Clock, rfc3339
from tidegate.sandbox.aggregator.events import Events
from tidegate.sandbox.aggregator.judgement import Judge
from tidegate.sandbox.aggregator.orders import CLOSED, Fulfilment, Moment, Offer, Order, Status
from tidegate.sandbox.aggregator.terms import Terms
from tidegate.sandbox.aggregator.timetable import Timetable
from tidegate.sandbox.faults import AggregatorFault, FaultPlan

__all__ = ["Book", "Float"]


@dataclass(slots=True)
class Float:
    """What the aggregator believes about one currency. Decimals are major units (4.5)."""

    currency: str
    reported_available: str = ""
    reported_total: str = ""
    reported_reserved: str = ""
    available: Decimal = Decimal(0)
    total: Decimal = Decimal(0)
    reserved: Decimal = Decimal(0)
    updated_ms: int = 0
    pushes: int = 0
    in_flight: int = 0

    def as_json(self) -> dict[str, Any]:
        """The balance as ``/_sandbox/balances`` shows it."""
        return {
            "currency": self.currency,
            "reported": {
                "available": self.reported_available,
                "total": self.reported_total,
                "reserved": self.reported_reserved,
            },
            "available": str(self.available),
            "total": str(self.total),
            "reserved": str(self.reserved),
            "pushes": self.pushes,
            "updatedAt": rfc3339(self.updated_ms) if self.updated_ms else None,
        }


def _nobody(order: Order) -> None:
    """Stands in until somebody is there to offer orders again."""


class Book:
    """Orders and their moves. ``offer_again`` is called when an order is to be offered anew."""

    def __init__(
        self, clock: Clock, terms: Terms, faults: FaultPlan[AggregatorFault], timetable: Timetable
    ) -> None:
        self.clock = clock
        self.terms = terms
        self.faults = faults
        self.timetable = timetable
        self.judge = Judge(clock)
        self.events = Events()
        self.orders: dict[str, Order] = {}
        self.unfinished: dict[str, Order] = {}
        self.by_tx: dict[str, Fulfilment] = {}
        self.floats: dict[str, Float] = {}
        self.counters: Counter[str] = Counter()
        self.offers_in_flight: defaultdict[str, int] = defaultdict(int)
        self.offer_again: Callable[[Order], None] = _nobody

    # -- entries --------------------------------------------------------------------------------

    def add(self, order: Order) -> None:
        """Enter a new order; private and OTC orders are the node's from the start (3.1)."""
        order.updated_ms, order.updated = order.created_ms, order.created
        order.ours = order.private or order.otc
        self.orders[order.id] = order
        self.unfinished[order.id] = order
        order.history.append(Moment(order.created_ms, "created", order.status))
        self.mark(order, "created")

    def mark(self, order: Order, name: str) -> None:
        """Note the first time of an event, and tell whoever listens."""
        now = self.clock.monotonic()
        order.marks.setdefault(name, now)
        self.events.publish(order.id, name, now)

    def move(self, order: Order, status: Status, event: str) -> None:
        """Put the order into a state, write its history, wake who waits for it."""
        order.status = status
        order.updated_ms, order.updated = self.clock.now_ms(), self.clock.monotonic()
        order.history.append(Moment(order.updated_ms, event, status))
        if status in CLOSED:
            self.unfinished.pop(order.id, None)
            if self.strikes(AggregatorFault.REOFFER_AFTER_END, order.id):
                self.timetable.after(self.terms.reoffer_delay_s, lambda: self._reopen(order))
        else:
            self.unfinished[order.id] = order
        for waiter in order.waiters:
            if not waiter.done():
                waiter.set_result(None)
        order.waiters.clear()
        self.mark(order, event)

    def strikes(self, fault: AggregatorFault, order_id: str) -> bool:
        """Whether a passing fault happens to this order now."""
        return self.faults.strike(fault, order_id)

    # -- reservations ---------------------------------------------------------------------------

    def float_of(self, currency: str) -> Float:
        """The balance row of a currency, made when first needed."""
        row = self.floats.get(currency)
        if row is None:
            row = self.floats[currency] = Float(currency)
        return row

    def reserve(self, order: Order) -> None:
        """Move the order's amount from available to reserved, once."""
        if not order.reserved:
            row = self.float_of(order.currency)
            order.reserved = order.amount
            row.available -= order.amount
            row.reserved += order.amount

    def release(self, order: Order) -> None:
        """Give the reservation back; total is never lowered, as in LIVE (4.5)."""
        if order.reserved:
            row = self.float_of(order.currency)
            row.available += order.reserved
            row.reserved -= order.reserved
            order.reserved = Decimal(0)

    # -- offers ---------------------------------------------------------------------------------

    def open_offer(self, order: Order) -> Offer:
        """Set the offer key; its life begins now, before the node is called (3.1)."""
        ttl_s = self.terms.otc_ttl_s if order.otc else self.terms.offer_ttl_s
        now = self.clock.monotonic()
        offer = Offer(len(order.offers) + 1, sent=now, expires=now + ttl_s)
        order.offers.append(offer)
        order.key_expires = offer.expires
        if not order.otc:
            self.reserve(order)
        self.timetable.after(ttl_s, lambda: self._expire(order, offer))
        self.mark(order, "offered")
        return offer

    def has_key(self, order: Order) -> bool:
        """Whether an offer of this order is still open."""
        return order.key_expires is not None and self.clock.monotonic() < order.key_expires

    def _expire(self, order: Order, offer: Offer) -> None:
        if offer.outcome != "open" or order.offers[-1] is not offer:
            return
        offer.outcome = "expired"
        order.key_expires = None
        if order.status is not Status.PENDING:
            return
        order.exclusions += 1
        self.move(order, Status.PENDING, "expired")
        # Stock: nobody hears of the expiry, so the reservation stays as well (3.6, note).
        if self.terms.reoffer == "hosted":
            self.release(order)
            self.offer_soon(order)

    def offer_soon(self, order: Order) -> None:
        """Offer again in a moment, unless the node spoilt the order too often already."""
        if order.private or order.otc or order.exclusions >= self.terms.offers_max:
            return

        def again() -> None:
            if order.status is Status.PENDING and not self.has_key(order):
                self.offer_again(order)

        self.timetable.after(self.terms.reoffer_delay_s, again)

    def _reopen(self, order: Order) -> None:
        """Offer an order that has ended once more (the fault ``reoffer_after_end``)."""
        order.ours = order.private
        order.exclusions = 0
        self.move(order, Status.PENDING, "reopened")
        self.offer_again(order)

    # -- settlement -----------------------------------------------------------------------------

    def settle_later(self, order: Order, after_s: float) -> None:
        """Begin the way from validated over settling to settled."""
        order.settlement += 1
        settlement = order.settlement

        def settling() -> None:
            if order.settlement == settlement and order.status is Status.VALIDATED:
                self.move(order, Status.SETTLING, "settling")
                self.timetable.after(self.terms.settled_after_s, settled)

        def settled() -> None:
            if order.settlement == settlement and order.status is Status.SETTLING:
                self.move(order, Status.SETTLED, "settled")

        self.timetable.after(after_s, settling)

    # -- the two jobs of section 3.6 --------------------------------------------------------------

    def reassign(self) -> None:
        """Offer cancelled and failed orders again: public, not counted out, young enough."""
        for order in list(self.unfinished.values()):
            failed = order.status is Status.FULFILLED and order.failed_fulfilment() is not None
            if not failed and order.status is not Status.CANCELLED:
                continue
            age_s = self.clock.monotonic() - order.created
            if order.private or order.otc or order.cancel_count >= self.terms.cancellations_max:
                continue
            if age_s >= self.terms.refund_timeout_s + 10:
                if failed:
                    self._clear(order)
                    self.move(order, Status.PENDING, "cleared")
                continue
            if order.exclusions >= self.terms.offers_max:
                continue
            self._clear(order)
            self.move(order, Status.PENDING, "reassigned")
            self.offer_again(order)

    def refund(self) -> None:
        """Offer what is too old once more, or pay it back to the sender on chain."""
        for order in list(self.unfinished.values()):
            failed = order.status is Status.FULFILLED and order.failed_fulfilment() is not None
            if not failed and order.status not in (Status.PENDING, Status.CANCELLED):
                continue
            if self.clock.monotonic() - order.created < self.terms.refund_timeout_s:
                continue
            if self.has_key(order):
                continue
            counted_out = order.cancel_count >= self.terms.cancellations_max
            if failed and not counted_out:
                continue  # LIVE's silent no-op: only the clean-up above moves such an order
            again = not (counted_out or order.private or order.otc)
            if again and order.exclusions < self.terms.offers_max:
                self._clear(order)
                self.move(order, Status.PENDING, "requeued")
                self.offer_again(order)
            else:
                self.give_back(order)

    def give_back(self, order: Order) -> None:
        """Refund on chain: refunding now, refunded a moment later."""
        self.release(order)
        self.move(order, Status.REFUNDING, "refunding")

        def refunded() -> None:
            if order.status is Status.REFUNDING:
                self.move(order, Status.REFUNDED, "refunded")

        self.timetable.after(self.terms.refunding_s, refunded)

    def _clear(self, order: Order) -> None:
        """Take the provider off the order and delete its failed rows (3.6)."""
        self.release(order)
        order.ours = order.private
        for row in order.fulfilments:
            if row.status == "failed":
                self.by_tx.pop(row.tx_id, None)
        order.fulfilments = [row for row in order.fulfilments if row.status != "failed"]

    def give_to_another(self, order: Order) -> None:
        """The order went to another provider: every call about it is refused from now on."""
        self.release(order)
        order.ours = False
        order.key_expires = None
        self.move(order, order.status, "given_to_another")
