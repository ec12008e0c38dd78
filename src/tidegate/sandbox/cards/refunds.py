"""Refunds: at once, or pending first; some fail afterwards (processor.md 8)."""

from __future__ import annotations

from functools import partial
from typing import Final

from tidegate.sandbox.cards.catalogue import Behaviour
from tidegate.sandbox.cards.events import Events
from tidegate.sandbox.cards.form import Params, metadata, text, whole
from tidegate.sandbox.cards.later import Later
from tidegate.sandbox.cards.payments import Charge, PaymentIntent, ours
from tidegate.sandbox.cards.refusals import Refusal, invalid
from tidegate.sandbox.cards.returns import Refund
from tidegate.sandbox.cards.settlement import Settlement
from tidegate.sandbox.cards.store import Store
from tidegate.sandbox.cards.terms import Terms
from tidegate.sandbox.faults import CardFault, CardFaults

__all__ = ["Refunds"]

_REASONS: Final = ("duplicate", "fraudulent", "requested_by_customer")
_OURS: Final = "tidegate_refund"


class Refunds:
    """Gives money back, never more than was captured."""

    def __init__(
        self,
        store: Store,
        events: Events,
        settlement: Settlement,
        faults: CardFaults,
        terms: Terms,
    ) -> None:
        self.later = Later(store.clock, lambda: terms.refund_s)
        self._store = store
        self._events = events
        self._settlement = settlement
        self._faults = faults

    def create(self, params: Params) -> Refund:
        """``payment_intent`` or ``charge``, ``amount`` (the rest), ``reason``, ``metadata``."""
        amount = whole(params, "amount", least=1)
        reason = text(params, "reason")
        if reason is not None and reason not in _REASONS:
            raise invalid(f"reason is one of {', '.join(_REASONS)}", "reason")
        given = metadata(params)
        charge = self._charge(params)
        if charge.disputed:
            raise Refusal(f"{charge.id} is disputed.", code="charge_disputed", stored=True)
        if charge.rest == 0:
            raise Refusal(
                f"{charge.id} has been refunded already.",
                code="charge_already_refunded",
                stored=True,
            )
        if amount is not None and amount > charge.rest:
            raise Refusal(
                f"{amount} is more than the {charge.rest} that is left of {charge.id}.",
                param="amount",
                stored=True,
            )
        refund = Refund(
            id=self._store.new_id("re"),
            created=self._store.seconds(),
            charge=charge,
            amount=amount or charge.rest,
            reason=reason,
            metadata=given,
        )
        self._begin(refund)
        return refund

    def decide(self, refund: Refund, status: str) -> None:
        """End a refund by hand; raises ``ValueError`` for a step that is not possible."""
        if status not in ("succeeded", "failed") or refund.status in (status, "failed"):
            raise ValueError(f"{refund.id} cannot turn from {refund.status} to {status}")
        refund.status = status
        charge = refund.charge
        if status == "failed":
            charge.amount_refunded -= refund.amount
            refund.failure_reason = "lost_or_stolen_card"
            self._settlement.refund_failed(refund)
            if _OURS in refund.metadata:
                self._settlement.books.refund_failed(refund.metadata[_OURS], refund.id)
            self._tell("refund.failed", refund)
        self._tell("refund.updated", refund)
        self._tell("charge.refund.updated", refund)

    def _begin(self, refund: Refund) -> None:
        charge = refund.charge
        intent = charge.intent
        faults = self._faults.plan.for_key(intent.payment, *ours(refund.metadata), *intent.names)
        behaviour = charge.method.behaviour
        fails = behaviour is Behaviour.REFUND_FAILS or CardFault.REFUND_FAILED in faults
        if behaviour is Behaviour.REFUNDS_LATE or CardFault.REFUND_PENDING in faults:
            refund.status = "pending"
        charge.amount_refunded += refund.amount
        self._store.add(refund)
        self._settlement.refunded(refund)
        if _OURS in refund.metadata:
            self._settlement.books.refund_named(refund.metadata[_OURS], refund.id)
        self._tell("refund.created", refund)
        self._events.emit("charge.refunded", charge.json(), intent.payment, intent.names)
        if fails or refund.status == "pending":
            ending = "failed" if fails else "succeeded"
            self.later.put(partial(self._end, refund, ending))

    def _end(self, refund: Refund, status: str) -> None:
        if refund.status not in (status, "failed"):
            self.decide(refund, status)

    def _charge(self, params: Params) -> Charge:
        intent_id, charge_id = text(params, "payment_intent"), text(params, "charge")
        if intent_id is not None:
            intent = self._store.find(PaymentIntent, intent_id, "payment_intent", "payment_intent")
            charge = intent.latest_charge
        elif charge_id is not None:
            charge = self._store.find(Charge, charge_id, "charge", "charge")
        else:
            raise Refusal(
                "Missing required parameter: charge", code="parameter_missing", param="charge"
            )
        if charge is None or not charge.paid:
            raise Refusal("There is no successful charge to refund.", stored=True)
        if not charge.captured:
            raise Refusal("Nothing was captured: cancel the payment intent.", stored=True)
        return charge

    def _tell(self, event: str, refund: Refund) -> None:
        intent = refund.charge.intent
        names = (*ours(refund.metadata), *intent.names)
        self._events.emit(event, refund.json(), intent.payment, names)
