"""What charges, refunds and disputes do to the balance, and what of it stands in the books.

A charge's balance transaction comes some time after the charge, with the event
``charge.updated`` (processor.md 2); those of refunds and disputes come at once.
"""

from __future__ import annotations

from decimal import Decimal
from functools import partial

from tidegate.sandbox.cards.books import Books, Kind, Line
from tidegate.sandbox.cards.currencies import converted, share
from tidegate.sandbox.cards.events import Events
from tidegate.sandbox.cards.later import Later
from tidegate.sandbox.cards.payments import Charge
from tidegate.sandbox.cards.returns import BalanceTransaction, Dispute, Refund
from tidegate.sandbox.cards.store import Store
from tidegate.sandbox.cards.terms import Terms

__all__ = ["Settlement"]


class Settlement:
    """Writes balance transactions and lines of the books."""

    def __init__(
        self, store: Store, events: Events, books: Books, terms: Terms, *, settle_s: float
    ) -> None:
        self.books = books
        self.later = Later(store.clock, lambda: settle_s)
        self._store = store
        self._events = events
        self._terms = terms

    def captured(self, charge: Charge) -> None:
        """Money was taken; what it brings is known later."""
        self._write(Kind.CHARGED, charge, charge.id, charge.amount_captured)
        self.later.put(partial(self._settle, charge))

    def refunded(self, refund: Refund) -> None:
        """Money goes back; the fees stay."""
        self._write(Kind.REFUNDED, refund.charge, refund.id, refund.amount)
        line = self._move(refund.charge, "refund", "refund", -refund.amount, 0, refund.id)
        refund.balance_transaction = line.id

    def refund_failed(self, refund: Refund) -> None:
        """The money of a refund comes back to us."""
        self._write(Kind.REFUND_RETURNED, refund.charge, refund.id, refund.amount)
        line = self._move(
            refund.charge, "refund_failure", "refund_failure", refund.amount, 0, refund.id
        )
        refund.failure_balance_transaction = line.id

    def disputed(self, dispute: Dispute) -> None:
        """The amount and a fee are taken at once."""
        fee = self._terms.dispute_fee
        self._write(Kind.DISPUTED, dispute.charge, dispute.id, dispute.amount)
        line = self._move(dispute.charge, "adjustment", "dispute", -dispute.amount, fee, dispute.id)
        self._write_fee(Kind.DISPUTE_FEE, dispute.charge, line, fee)
        dispute.balance_transactions.append(line)

    def dispute_won(self, dispute: Dispute) -> None:
        """The amount comes back, and the fee where the terms say so."""
        fee = self._terms.dispute_fee if self._terms.dispute_fee_returned else 0
        self._write(Kind.DISPUTE_WON, dispute.charge, dispute.id, dispute.amount)
        line = self._move(
            dispute.charge, "adjustment", "dispute_reversal", dispute.amount, -fee, dispute.id
        )
        self._write_fee(Kind.DISPUTE_FEE_RETURNED, dispute.charge, line, fee)
        dispute.balance_transactions.append(line)

    def _settle(self, charge: Charge) -> None:
        settled = self._converted(charge, charge.amount_captured)[0]
        fee = min(settled, share(settled, self._terms.fee_percent) + self._terms.fee_fixed)
        line = self._move(charge, "charge", "charge", charge.amount_captured, fee, charge.id)
        self._write_fee(Kind.FEE, charge, line, fee)
        charge.balance_transaction = line.id
        intent = charge.intent
        self._events.emit("charge.updated", charge.json(), intent.payment, intent.names)

    def _move(
        self, charge: Charge, kind: str, category: str, amount: int, fee: int, source: str
    ) -> BalanceTransaction:
        settled, currency, rate = self._converted(charge, amount)
        return self._store.add(
            BalanceTransaction(
                id=self._store.new_id("txn"),
                created=self._store.seconds(),
                kind=kind,
                category=category,
                amount=settled,
                fee=fee,
                currency=currency,
                source=source,
                exchange_rate=None if rate is None else float(rate),
            )
        )

    def _converted(self, charge: Charge, amount: int) -> tuple[int, str, Decimal | None]:
        """Amount, currency and rate at which it reaches the balance."""
        currency = charge.intent.currency
        to = self._terms.settlement_currency
        rate = self._terms.exchange_rates.get(currency)
        if to is None or to == currency or rate is None:
            return amount, currency, None
        return converted(amount, currency, to, rate), to, rate

    def _write(self, kind: Kind, charge: Charge, source: str, amount: int) -> None:
        intent = charge.intent
        now = self._store.clock.now_ms()
        self.books.write(Line(now, kind, intent.payment, source, amount, intent.currency))

    def _write_fee(self, kind: Kind, charge: Charge, line: BalanceTransaction, fee: int) -> None:
        if fee:
            now = self._store.clock.now_ms()
            payment = charge.intent.payment
            self.books.write(Line(now, kind, payment, line.id, fee, line.currency))
