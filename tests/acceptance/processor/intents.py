"""Payment intents: created unconfirmed, confirmed, authenticated, captured, cancelled, expired."""

from __future__ import annotations

import time
from typing import Any

from tests.acceptance.processor.events import Events
from tests.acceptance.processor.form import Form
from tests.acceptance.processor.judge import Judge, our_id
from tests.acceptance.processor.objects import Objects, Refusal, Thing

__all__ = ["FEE", "Intents"]

# What the processor keeps of every charge, in minor units.
FEE = 59

_KNOWN = frozenset(
    {
        "amount",
        "automatic_payment_methods",
        "capture_method",
        "confirm",
        "confirmation_method",
        "currency",
        "customer",
        "description",
        "expand",
        "metadata",
        "off_session",
        "payment_method",
        "payment_method_options",
        "payment_method_types",
        "receipt_email",
        "return_url",
        "setup_future_usage",
        "statement_descriptor",
        "statement_descriptor_suffix",
    }
)
_LEAST = {"usd": 50, "eur": 50, "gbp": 30, "jpy": 50}
_CANCELABLE = frozenset(
    {
        "requires_payment_method",
        "requires_confirmation",
        "requires_action",
        "requires_capture",
        "processing",
    }
)
_DECLINED = {
    "generic_decline": "Your card was declined.",
    "insufficient_funds": "Your card has insufficient funds.",
}


class Intents:
    """The verbs. ``fee_later``: charges come without their balance transaction at first."""

    def __init__(self, objects: Objects, events: Events, judge: Judge) -> None:
        self.fee_later = False
        self._objects = objects
        self._events = events
        self._judge = judge

    # -- what the service asks for

    def create(self, form: Form) -> Thing:
        if form.get("confirm") == "true":
            self._judge.says("a payment was confirmed when it was created")
        amount, currency = self._checked(form)
        payment = our_id(form.get("metadata"), "pay_")
        if payment is None:
            self._judge.says("a payment was created without our id in its metadata")
        for other in self._objects.all("payment_intent"):
            if payment and our_id(other["metadata"], "pay_") == payment:
                self._judge.says(f"two objects for {payment}: {other['id']} and another")
        method = form.get("payment_method")
        if method is not None:
            attached = self._objects.get("payment_method", method)
            if attached["customer"] != form.get("customer"):
                raise Refusal(400, "invalid_request_error", "The method is not this customer's.")
        intent = self._objects.new(
            "pi",
            "payment_intent",
            amount=amount,
            amount_capturable=0,
            amount_received=0,
            automatic_payment_methods=_automatic(form),
            cancellation_reason=None,
            canceled_at=None,
            capture_method=form.get("capture_method", "automatic_async"),
            client_secret=f"pi_secret_{time.time_ns():x}",
            confirmation_method=form.get("confirmation_method", "automatic"),
            currency=currency,
            customer=form.get("customer"),
            description=form.get("description"),
            last_payment_error=None,
            latest_charge=None,
            metadata=dict(form.get("metadata") or {}),
            next_action=None,
            payment_method=method,
            payment_method_types=form.get("payment_method_types") or ["card"],
            status="requires_payment_method" if method is None else "requires_confirmation",
        )
        self._events.happen("payment_intent.created", intent)
        return intent

    def confirm(self, intent: Thing, form: Form) -> Thing:
        method = form.get("payment_method") or intent["payment_method"]
        ready = {"requires_confirmation", "requires_payment_method", "requires_action"}
        if intent["status"] not in ready or method is None:
            raise self._unexpected(intent, "confirm")
        redirects = (intent["automatic_payment_methods"] or {}).get("allow_redirects") == "always"
        if redirects and not form.get("return_url"):
            raise Refusal(
                400,
                "invalid_request_error",
                "This PaymentIntent may redirect: a return_url is needed.",
                param="return_url",
            )
        intent["payment_method"] = method
        behaviour = self._objects.behaviour[method]
        if behaviour in _DECLINED:
            raise self._decline(intent, "card_declined", behaviour, _DECLINED[behaviour])
        if behaviour == "authenticate":
            intent["status"] = "requires_action"
            intent["next_action"] = _redirect(intent, form.get("return_url"))
            self._events.happen("payment_intent.requires_action", intent)
            return intent
        return self._authorize(intent)

    def capture(self, intent: Thing, form: Form) -> Thing:
        if intent["status"] != "requires_capture":
            raise self._unexpected(intent, "capture")
        amount = int(form.get("amount_to_capture") or intent["amount_capturable"])
        if not 1 <= amount <= intent["amount_capturable"]:
            self._judge.says(f"asked to capture {amount} of {intent['amount_capturable']}")
            raise Refusal(
                400, "invalid_request_error", "Too much to capture.", code="amount_too_large"
            )
        return self._taken(intent, amount)

    def cancel(self, intent: Thing, form: Form) -> Thing:
        if intent["status"] not in _CANCELABLE:
            raise self._unexpected(intent, "cancel")
        return self._canceled(intent, form.get("cancellation_reason"))

    # -- what happens elsewhere

    def authenticate(self, intent: Thing, *, passes: bool) -> None:
        """The cardholder answers the bank's question, or fails to."""
        assert intent["status"] == "requires_action", intent["status"]
        intent["next_action"] = None
        if passes:
            self._authorize(intent)
        else:
            self._decline(
                intent,
                "payment_intent_authentication_failure",
                None,
                "We are unable to authenticate your payment method.",
            )

    def expire(self, intent: Thing) -> None:
        """The authorisation lapses (processor.md 4)."""
        assert intent["status"] == "requires_capture", intent["status"]
        charge = self._objects.get("charge", intent["latest_charge"])
        self._canceled(intent, "automatic")
        self._events.happen("charge.expired", charge)

    def fee_known(self, intent: Thing) -> None:
        """The balance transaction comes later, with ``charge.updated`` (processor.md 2)."""
        charge = self._objects.get("charge", intent["latest_charge"])
        assert charge["balance_transaction"] is None
        self._book(charge)
        self._events.happen("charge.updated", charge)

    # -- helpers

    def _checked(self, form: Form) -> tuple[int, str]:
        unknown = sorted(set(form) - _KNOWN)
        if unknown:
            raise Refusal(
                400,
                "invalid_request_error",
                f"Received unknown parameter: {unknown[0]}",
                code="parameter_unknown",
                param=unknown[0],
                kept=False,
            )
        text, currency = str(form.get("amount", "")), str(form.get("currency", ""))
        if not text.isdigit() or int(text) < _LEAST.get(currency, 1) or not currency.islower():
            raise Refusal(
                400,
                "invalid_request_error",
                "Invalid amount or currency",
                kept=False,
                param="amount",
            )
        return int(text), currency

    def _authorize(self, intent: Thing) -> Thing:
        amount = intent["amount"]
        charge = self._charge(intent, paid=True)
        payment = our_id(intent["metadata"], "pay_")
        self._judge.charged(payment or intent["id"], charge["id"])
        if intent["capture_method"] == "manual":
            intent.update(status="requires_capture", amount_capturable=amount, next_action=None)
            self._events.happen("charge.succeeded", charge)
            self._events.happen("payment_intent.amount_capturable_updated", intent)
            return intent
        return self._taken(intent, amount)

    def _taken(self, intent: Thing, amount: int) -> Thing:
        charge = self._objects.get("charge", intent["latest_charge"])
        manual = intent["capture_method"] == "manual"
        charge.update(captured=True, amount_captured=amount)
        intent.update(
            status="succeeded",
            amount_received=amount,
            amount_capturable=0,
            next_action=None,
            last_payment_error=None,
        )
        if not self.fee_later:
            self._book(charge)
        self._events.happen("charge.captured" if manual else "charge.succeeded", charge)
        self._events.happen("payment_intent.succeeded", intent)
        return intent

    def _book(self, charge: Thing) -> None:
        booked = self._objects.new(
            "txn",
            "balance_transaction",
            amount=charge["amount_captured"],
            currency=charge["currency"],
            exchange_rate=None,
            fee=FEE,
            net=charge["amount_captured"] - FEE,
            reporting_category="charge",
            source=charge["id"],
            status="pending",
            type="charge",
        )
        charge["balance_transaction"] = booked["id"]

    def _charge(self, intent: Thing, *, paid: bool, **fields: Any) -> Thing:
        charge = self._objects.new(
            "ch",
            "charge",
            amount=intent["amount"],
            amount_captured=0,
            amount_refunded=0,
            balance_transaction=None,
            captured=False,
            currency=intent["currency"],
            customer=intent["customer"],
            disputed=False,
            metadata=dict(intent["metadata"]),
            paid=paid,
            payment_intent=intent["id"],
            payment_method=intent["payment_method"],
            refunded=False,
            status="succeeded" if paid else "failed",
            **fields,
        )
        intent["latest_charge"] = charge["id"]
        return charge

    def _decline(self, intent: Thing, code: str, decline_code: str | None, message: str) -> Refusal:
        # A client may bring a test card by its name; it has no object then.
        method = self._objects.shown(self._objects.by_id.get(intent["payment_method"], {}), ())
        failed = self._charge(intent, paid=False, failure_code=code, failure_message=message)
        error: dict[str, Any] = {"code": code, "payment_method": method, "charge": failed["id"]}
        if decline_code is not None:
            error["decline_code"] = decline_code
        intent.update(
            status="requires_payment_method",
            payment_method=None,
            last_payment_error={"type": "card_error", "message": message, **error},
        )
        self._events.happen("charge.failed", failed)
        self._events.happen("payment_intent.payment_failed", intent)
        shown = self._objects.shown(intent, ())
        return Refusal(402, "card_error", message, payment_intent=shown, **error)

    def _canceled(self, intent: Thing, reason: str | None) -> Thing:
        if intent["status"] == "requires_capture":
            charge = self._objects.get("charge", intent["latest_charge"])
            charge.update(refunded=True, amount_refunded=charge["amount"])
            self._events.happen("charge.refunded", charge)
        intent.update(
            status="canceled",
            amount_capturable=0,
            next_action=None,
            cancellation_reason=reason,
            canceled_at=int(time.time()),
        )
        self._events.happen("payment_intent.canceled", intent)
        return intent

    def _unexpected(self, intent: Thing, what: str) -> Refusal:
        return Refusal(
            400,
            "invalid_request_error",
            f"You cannot {what} this PaymentIntent because it has a status of {intent['status']}.",
            code="payment_intent_unexpected_state",
            payment_intent=self._objects.shown(intent, ()),
        )


def _automatic(form: Form) -> Thing | None:
    """On by default since 2023-08-16, with redirects, unless the types are named."""
    if form.get("payment_method_types"):
        return None
    told = form.get("automatic_payment_methods") or {}
    return {
        "enabled": told.get("enabled", "true") == "true",
        "allow_redirects": told.get("allow_redirects", "always"),
    }


def _redirect(intent: Thing, return_url: str | None) -> Thing:
    if return_url is None:
        return {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}
    url = f"https://hooks.example.com/3d_secure/{intent['id']}"
    return {"type": "redirect_to_url", "redirect_to_url": {"url": url, "return_url": return_url}}
