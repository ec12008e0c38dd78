"""The card network behind the desk: it charges, asks the cardholder, captures, lets go, expires.

What it decides becomes charges, statuses and events; a decline is returned as the refusal that
the caller of a confirm is given.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from tidegate.sandbox.cards.catalogue import DECLINES, Behaviour
from tidegate.sandbox.cards.disputes import Disputes
from tidegate.sandbox.cards.events import Events
from tidegate.sandbox.cards.later import Later
from tidegate.sandbox.cards.payments import Charge, PaymentIntent, Status
from tidegate.sandbox.cards.people import Customer, PaymentMethod
from tidegate.sandbox.cards.refusals import Refusal, card_error
from tidegate.sandbox.cards.settlement import Settlement
from tidegate.sandbox.cards.store import Store
from tidegate.sandbox.cards.terms import Terms
from tidegate.sandbox.cards.wallet import Wallet
from tidegate.sandbox.faults import CardFault, CardFaults

__all__ = ["CardNetwork"]

_NOT_AUTHENTICATED: Final = "payment_intent_authentication_failure"


class CardNetwork:
    """Turns a confirmed payment intent into money, or into the reason why not.

    ``origin`` is where the pages for cardholders are, known once the server listens.
    """

    def __init__(
        self,
        store: Store,
        events: Events,
        wallet: Wallet,
        settlement: Settlement,
        disputes: Disputes,
        faults: CardFaults,
        terms: Terms,
    ) -> None:
        self.origin = ""
        self.expiring = Later(store.clock, lambda: terms.authorisation_s)
        self.processing = Later(store.clock, lambda: faults.processing_s)
        self._store = store
        self._events = events
        self._wallet = wallet
        self._settlement = settlement
        self._disputes = disputes
        self._faults = faults
        self._terms = terms

    def tell(self, event: str, intent: PaymentIntent) -> None:
        """An event about the payment intent."""
        self._events.emit(event, intent.json(), intent.payment, intent.names)

    def attempt(
        self, intent: PaymentIntent, method: PaymentMethod, *, off_session: bool
    ) -> Refusal | None:
        """Ask the card; ``None`` unless it said no at once."""
        intent.next_action = None
        if method.behaviour is Behaviour.ASKS:
            if off_session:
                return self._decline(intent, method, "authentication_required")
            intent.status = Status.REQUIRES_ACTION
            intent.next_action = self._next_action(intent)
            self.tell("payment_intent.requires_action", intent)
            return None
        if CardFault.PROCESSING in self._faults_of(intent):
            intent.status = Status.PROCESSING
            self.tell("payment_intent.processing", intent)
            self.processing.put(partial(self._finish, intent, method))
            return None
        return self._charge(intent, method)

    def authenticate(self, intent: PaymentIntent, *, approve: bool) -> None:
        """The cardholder has answered; raises ``ValueError`` when nobody asked."""
        method = intent.payment_method
        if intent.status is not Status.REQUIRES_ACTION or method is None:
            raise ValueError(f"{intent.id} is {intent.status}: it waits for no cardholder")
        intent.next_action = None
        if approve:
            self._charge(intent, method)
            return
        intent.status, intent.payment_method = Status.REQUIRES_PAYMENT_METHOD, None
        intent.last_payment_error = {
            "type": "invalid_request_error",
            "code": _NOT_AUTHENTICATED,
            "message": "The cardholder was not authenticated.",
            "payment_method": method.json(),
        }
        names = (*intent.names, method.id, method.token)
        self._events.emit("payment_intent.payment_failed", intent.json(), intent.payment, names)

    def capture(self, intent: PaymentIntent, amount: int) -> None:
        """Take ``amount`` of what is authorised."""
        charge = intent.latest_charge
        assert charge is not None
        self._take(charge, amount)
        self._events.emit("charge.captured", charge.json(), intent.payment, intent.names)
        self.tell("payment_intent.succeeded", intent)
        self._after(charge)

    def cancel(self, intent: PaymentIntent, reason: str | None) -> None:
        """End it. No refund comes of an authorisation that is let go: no money moved."""
        self._end(intent, reason)

    def expire(self, intent: PaymentIntent) -> None:
        """The authorisation has run out, unless it was captured or let go before."""
        if intent.status is Status.REQUIRES_CAPTURE:
            charge = intent.latest_charge
            assert charge is not None
            self._events.emit("charge.expired", charge.json(), intent.payment, intent.names)
            self._end(intent, self._terms.expiry_reason)

    def _end(self, intent: PaymentIntent, reason: str | None) -> None:
        charge = intent.latest_charge
        authorised = intent.status is Status.REQUIRES_CAPTURE
        intent.status = Status.CANCELED
        intent.cancellation_reason = reason
        intent.canceled_at = self._store.seconds()
        intent.amount_capturable = 0
        intent.next_action = None
        if authorised and charge is not None:
            self._settlement.books.let_go(intent.payment, charge.id)
        self.tell("payment_intent.canceled", intent)

    def _finish(self, intent: PaymentIntent, method: PaymentMethod) -> None:
        if intent.status is Status.PROCESSING:
            self._charge(intent, method)

    def _charge(self, intent: PaymentIntent, method: PaymentMethod) -> Refusal | None:
        if method.behaviour in (Behaviour.DECLINES, Behaviour.DECLINES_LATER):
            return self._decline(intent, method, method.card.decline)
        if CardFault.DECLINED in self._faults_of(intent):
            return self._decline(intent, method, "generic_decline")
        charge = self._new_charge(intent, method)
        self._settlement.books.authorised(intent.payment, charge.id)
        intent.last_payment_error = None
        self._keep(intent, method)
        if intent.capture_method == "manual":
            charge.capture_before = charge.created + round(self._terms.authorisation_s)
            intent.status = Status.REQUIRES_CAPTURE
            intent.amount_capturable = intent.amount
            self._events.emit("charge.succeeded", charge.json(), intent.payment, intent.names)
            self.tell("payment_intent.amount_capturable_updated", intent)
            self.expiring.put(partial(self.expire, intent))
        else:
            self._take(charge, intent.amount)
            self._events.emit("charge.succeeded", charge.json(), intent.payment, intent.names)
            self.tell("payment_intent.succeeded", intent)
            self._after(charge)
        return None

    def _decline(self, intent: PaymentIntent, method: PaymentMethod, why: str) -> Refusal:
        decline = DECLINES[why]
        charge = self._new_charge(intent, method)
        charge.status = "failed"
        charge.failure_code, charge.failure_message = decline.code, decline.message
        charge.decline_code = decline.decline_code
        error: dict[str, Any] = {
            "advice_code": decline.advice,
            "charge": charge.id,
            "code": decline.code,
            "decline_code": decline.decline_code,
            "message": decline.message,
            "param": decline.param,
            "payment_method": method.json(),
            "type": "card_error",
        }
        intent.last_payment_error = {
            key: value for key, value in error.items() if value is not None
        }
        intent.status, intent.payment_method = Status.REQUIRES_PAYMENT_METHOD, None
        names = (*intent.names, method.id, method.token)
        self._events.emit("charge.failed", charge.json(), intent.payment, names)
        self._events.emit("payment_intent.payment_failed", intent.json(), intent.payment, names)
        return card_error(
            decline.message,
            code=decline.code,
            decline_code=decline.decline_code,
            param=decline.param,
            advice_code=decline.advice,
            charge=charge.id,
            payment_intent=intent.json(),
            payment_method=method.json(),
        )

    def _new_charge(self, intent: PaymentIntent, method: PaymentMethod) -> Charge:
        charge = Charge(
            id=self._store.new_id("ch"),
            created=self._store.seconds(),
            intent=intent,
            method=method,
            amount=intent.amount,
        )
        intent.charges.append(charge)
        return self._store.add(charge)

    def _take(self, charge: Charge, amount: int) -> None:
        intent = charge.intent
        charge.captured, charge.amount_captured = True, amount
        intent.amount_received, intent.amount_capturable = amount, 0
        intent.status = Status.SUCCEEDED
        self._settlement.captured(charge)

    def _after(self, charge: Charge) -> None:
        intent = charge.intent
        disputed = charge.method.behaviour is Behaviour.IS_DISPUTED
        if disputed or CardFault.DISPUTED in self._faults_of(intent):
            self._disputes.soon(charge)

    def _keep(self, intent: PaymentIntent, method: PaymentMethod) -> None:
        """A method without a customer is used up, unless it is to be kept for one."""
        if method.customer is not None:
            return
        owner = self._store.get(Customer, intent.customer)
        if intent.setup_future_usage is not None and owner is not None:
            self._wallet.join(method, owner)
        else:
            method.spent = True

    def _next_action(self, intent: PaymentIntent) -> dict[str, Any]:
        url = f"{self.origin}/_sandbox/3ds/{intent.id}"
        if intent.return_url is not None:
            return {
                "redirect_to_url": {"return_url": intent.return_url, "url": url},
                "type": "redirect_to_url",
            }
        return {
            "type": "use_stripe_sdk",
            "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": url},
        }

    def _faults_of(self, intent: PaymentIntent) -> frozenset[CardFault]:
        return self._faults.plan.for_key(intent.payment, *intent.names)
