"""What follows a charge: refunds, asked for or made at the processor's page, and disputes."""

from __future__ import annotations

from tests.acceptance.processor.events import Events
from tests.acceptance.processor.form import Form
from tests.acceptance.processor.judge import Judge, our_id
from tests.acceptance.processor.objects import Objects, Refusal, Thing

__all__ = ["DISPUTE_FEE", "Afterwards"]

DISPUTE_FEE = 1500


class Afterwards:
    """The verbs. ``pending``: refunds wait before they succeed."""

    def __init__(self, objects: Objects, events: Events, judge: Judge) -> None:
        self.pending = False
        self._objects = objects
        self._events = events
        self._judge = judge

    # -- refunds

    def refund(self, form: Form) -> Thing:
        """What the service asks for."""
        charge = self._charge_of(form)
        left = charge["amount_captured"] - charge["amount_refunded"]
        amount = int(form.get("amount", left))
        if our_id(form.get("metadata"), "re_") is None:
            self._judge.says("a refund was asked for without our id in its metadata")
        if not 1 <= amount <= left:
            self._judge.says(f"asked to refund {amount} of {left} of {charge['payment_intent']}")
            raise Refusal(
                400,
                "invalid_request_error",
                "The amount is greater than what is left of the charge.",
                code="charge_already_refunded" if left == 0 else "amount_too_large",
            )
        return self._refunded(charge, amount, form.get("reason"), dict(form.get("metadata") or {}))

    def refund_at_the_page(self, intent: Thing, amount: int) -> Thing:
        """Somebody refunds without us."""
        charge = self._objects.get("charge", intent["latest_charge"])
        return self._refunded(charge, amount, "requested_by_customer", {})

    def succeed(self, refund: Thing) -> None:
        """A pending refund gets through."""
        assert refund["status"] == "pending"
        refund["status"] = "succeeded"
        self._book(refund, -refund["amount"], "balance_transaction")
        self._events.happen("refund.updated", refund)
        self._events.happen("charge.refund.updated", refund)

    def fail(self, refund: Thing) -> None:
        """It comes back, at once or days after it had succeeded (processor.md 8)."""
        left_before = refund["balance_transaction"] is not None
        refund.update(status="failed", failure_reason="expired_or_canceled_card")
        if left_before:
            self._book(refund, refund["amount"], "failure_balance_transaction")
        charge = self._objects.get("charge", refund["charge"])
        charge["amount_refunded"] -= refund["amount"]
        charge["refunded"] = False
        self._events.happen("refund.updated", refund)
        self._events.happen("charge.refund.updated", refund)
        self._events.happen("refund.failed", refund)

    # -- disputes

    def dispute(self, intent: Thing) -> Thing:
        """The cardholder disputes: the money is gone at once, with a fee (processor.md 6)."""
        charge = self._objects.get("charge", intent["latest_charge"])
        charge["disputed"] = True
        amount = charge["amount_captured"]
        dispute = self._objects.new(
            "du",
            "dispute",
            amount=amount,
            balance_transactions=[],
            charge=charge["id"],
            currency=charge["currency"],
            is_charge_refundable=False,
            metadata={},
            payment_intent=intent["id"],
            reason="fraudulent",
            status="needs_response",
        )
        self._move(dispute, -amount, DISPUTE_FEE)
        self._events.happen("charge.dispute.created", dispute)
        self._events.happen("charge.dispute.funds_withdrawn", dispute)
        return dispute

    def win(self, dispute: Thing) -> None:
        """The money comes back; the fee does not."""
        dispute["status"] = "won"
        self._move(dispute, dispute["amount"], 0)
        self._events.happen("charge.dispute.funds_reinstated", dispute)
        self._events.happen("charge.dispute.closed", dispute)

    def lose(self, dispute: Thing) -> None:
        dispute["status"] = "lost"
        self._events.happen("charge.dispute.closed", dispute)

    # -- helpers

    def _charge_of(self, form: Form) -> Thing:
        if "charge" in form:
            charge = self._objects.get("charge", form["charge"])
        else:
            intent = self._objects.get("payment_intent", form.get("payment_intent"))
            if intent["latest_charge"] is None:
                raise Refusal(400, "invalid_request_error", "There is no charge to refund.")
            charge = self._objects.get("charge", intent["latest_charge"])
        if charge["disputed"]:
            raise Refusal(
                400, "invalid_request_error", "The charge is disputed.", code="charge_disputed"
            )
        return charge

    def _refunded(
        self, charge: Thing, amount: int, reason: str | None, metadata: dict[str, str]
    ) -> Thing:
        refund = self._objects.new(
            "re",
            "refund",
            amount=amount,
            balance_transaction=None,
            charge=charge["id"],
            currency=charge["currency"],
            failure_balance_transaction=None,
            metadata=metadata,
            payment_intent=charge["payment_intent"],
            reason=reason,
            status="pending" if self.pending else "succeeded",
        )
        if not self.pending:
            self._book(refund, -amount, "balance_transaction")
        charge["amount_refunded"] += amount
        charge["refunded"] = charge["amount_refunded"] == charge["amount_captured"]
        self._events.happen("refund.created", refund)
        self._events.happen("charge.refunded", charge)
        return refund

    def _book(self, refund: Thing, amount: int, field: str) -> None:
        refund[field] = self._transaction(refund, amount, 0, "refund")["id"]

    def _move(self, dispute: Thing, amount: int, fee: int) -> None:
        moved = self._transaction(dispute, amount, fee, "adjustment")
        dispute["balance_transactions"].append(moved)

    def _transaction(self, source: Thing, amount: int, fee: int, type_: str) -> Thing:
        return self._objects.new(
            "txn",
            "balance_transaction",
            amount=amount,
            currency=source["currency"],
            exchange_rate=None,
            fee=fee,
            net=amount - fee,
            source=source["id"],
            status="available",
            type=type_,
        )
