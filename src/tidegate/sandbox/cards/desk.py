"""The verbs on payment intents: create, update, confirm, capture, cancel.

Every verb refuses first and then acts, without ever waiting in between: two calls are never
inside the same payment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tidegate.sandbox.cards.currencies import amount_and_currency
from tidegate.sandbox.cards.events import Events
from tidegate.sandbox.cards.form import Params, flag, metadata, text, whole
from tidegate.sandbox.cards.network import CardNetwork
from tidegate.sandbox.cards.payments import PaymentIntent, Status
from tidegate.sandbox.cards.people import Customer, PaymentMethod
from tidegate.sandbox.cards.refusals import Refusal, invalid, unexpected_state
from tidegate.sandbox.cards.store import Store
from tidegate.sandbox.cards.terms import Terms
from tidegate.sandbox.cards.wallet import Wallet, refuse_spent

__all__ = ["Desk"]

_CAPTURE_METHODS: Final = ("automatic", "automatic_async", "manual")
_CANCELLATION_REASONS: Final = ("abandoned", "duplicate", "fraudulent", "requested_by_customer")
_OPEN: Final = (
    Status.REQUIRES_PAYMENT_METHOD,
    Status.REQUIRES_CONFIRMATION,
    Status.REQUIRES_ACTION,
)


class Desk:
    """Payment intents and what callers may do with them."""

    def __init__(
        self, store: Store, events: Events, wallet: Wallet, network: CardNetwork, terms: Terms
    ) -> None:
        self._store = store
        self._events = events
        self._wallet = wallet
        self._network = network
        self._terms = terms

    def find(self, intent_id: str, param: str = "") -> PaymentIntent:
        return self._store.find(PaymentIntent, intent_id, "payment_intent", param)

    def create(self, params: Params) -> PaymentIntent:
        """Unconfirmed nothing moves; with ``confirm=true`` it goes on as :meth:`confirm` does."""
        amount, currency = amount_and_currency(params, self._terms.minimums)
        customer = self._customer(params)
        capture_method = text(params, "capture_method") or "automatic_async"
        if capture_method not in _CAPTURE_METHODS:
            raise invalid(f"capture_method is one of {', '.join(_CAPTURE_METHODS)}")
        types, allow_redirects = _method_types(params)
        given = metadata(params)
        confirm = flag(params, "confirm")
        if confirm:
            _check_return_url(types, allow_redirects, text(params, "return_url"))
        method = self._method(params, customer)
        intent_id = self._store.new_id("pi")
        intent = PaymentIntent(
            id=intent_id,
            created=self._store.seconds(),
            amount=amount,
            currency=currency,
            client_secret=f"{intent_id}_secret_{self._store.new_id('s')[2:]}",
            capture_method=capture_method,
            customer=None if customer is None else customer.id,
            email=None if customer is None else customer.email,
            description=text(params, "description"),
            metadata=given,
            payment_method=method,
            allowed_types=types,
            allow_redirects=allow_redirects,
            setup_future_usage=text(params, "setup_future_usage"),
            receipt_email=text(params, "receipt_email"),
            statement_descriptor=text(params, "statement_descriptor"),
            return_url=text(params, "return_url"),
        )
        if method is not None:
            intent.status = Status.REQUIRES_CONFIRMATION
        self._store.add(intent)
        if customer is not None:
            customer.payment_intents.append(intent.id)
        self._network.tell("payment_intent.created", intent)
        return self._confirm(intent, params) if confirm else intent

    def update(self, intent: PaymentIntent, params: Params) -> PaymentIntent:
        """Words at any time; amount and means only while nothing has been taken."""
        given = metadata(params, intent.metadata)
        moving = {"amount", "currency", "customer", "payment_method", "setup_future_usage"}
        if moving & params.keys() and intent.status not in _OPEN:
            raise unexpected_state(
                f"The payment intent is {intent.status}: this cannot be changed any more.",
                intent.json(),
            )
        figures = {"amount": str(intent.amount), "currency": intent.currency, **params}
        amount, currency = amount_and_currency(figures, self._terms.minimums)
        customer = self._customer(params)
        if customer is not None and intent.customer not in (None, customer.id):
            raise invalid("The payment intent is another customer's.", "customer")
        owner = self._store.get(Customer, intent.customer) or customer
        method = self._method(params, owner)

        intent.amount, intent.currency = amount, currency
        if customer is not None and intent.customer is None:
            intent.customer, intent.email = customer.id, customer.email
            customer.payment_intents.append(intent.id)
        if method is not None:
            intent.payment_method, intent.status = method, Status.REQUIRES_CONFIRMATION
            intent.next_action = None
        intent.metadata = given
        intent.description = text(params, "description") or intent.description
        return intent

    def confirm(self, intent: PaymentIntent, params: Params) -> PaymentIntent:
        """Charge the card, or say what the customer has to do first; a decline is raised."""
        if intent.status not in _OPEN:
            raise unexpected_state(
                f"The payment intent cannot be confirmed: it is {intent.status}.", intent.json()
            )
        owner = self._store.get(Customer, intent.customer)
        return_url = text(params, "return_url") or intent.return_url
        _check_return_url(intent.allowed_types, intent.allow_redirects, return_url)
        method = self._method(params, owner)
        if method is not None:
            intent.payment_method = method
        intent.return_url = return_url
        return self._confirm(intent, params)

    def capture(self, intent: PaymentIntent, params: Params) -> PaymentIntent:
        """Take what was authorised, or a part of it; the rest is let go."""
        amount = whole(params, "amount_to_capture", least=1)
        if intent.status is not Status.REQUIRES_CAPTURE:
            raise unexpected_state(
                f"The payment intent cannot be captured: it is {intent.status}.", intent.json()
            )
        if amount is not None and amount > intent.amount_capturable:
            raise Refusal(
                f"At most {intent.amount_capturable} can be captured.",
                code="amount_too_large",
                param="amount_to_capture",
                stored=True,
            )
        self._network.capture(intent, amount or intent.amount_capturable)
        return intent

    def cancel(self, intent: PaymentIntent, params: Params) -> PaymentIntent:
        """End it; an authorisation is let go."""
        reason = text(params, "cancellation_reason")
        if reason is not None and reason not in _CANCELLATION_REASONS:
            raise invalid(
                f"cancellation_reason is one of {', '.join(_CANCELLATION_REASONS)}",
                "cancellation_reason",
            )
        if intent.status not in (*_OPEN, Status.REQUIRES_CAPTURE):
            raise unexpected_state(
                f"The payment intent cannot be canceled: it is {intent.status}.", intent.json()
            )
        self._network.cancel(intent, reason)
        return intent

    def of_customer(self, params: Params) -> list[PaymentIntent]:
        """The intents a list is made of, oldest first."""
        customer = text(params, "customer")
        if customer is None:
            return self._store.all(PaymentIntent)
        known = self._store.get(Customer, customer)
        ids = () if known is None else known.payment_intents
        return [self.find(intent_id) for intent_id in ids]

    def _confirm(self, intent: PaymentIntent, params: Params) -> PaymentIntent:
        method = intent.payment_method
        if method is None:
            raise unexpected_state(
                "The payment intent has no payment method: it cannot be confirmed.", intent.json()
            )
        refuse_spent(method)
        decline = self._network.attempt(
            intent, method, off_session=text(params, "off_session") == "true"
        )
        if decline is not None:
            raise decline
        return intent

    def _customer(self, params: Params) -> Customer | None:
        customer = text(params, "customer")
        return None if customer is None else self._wallet.customer(customer, "customer")

    def _method(self, params: Params, customer: Customer | None) -> PaymentMethod | None:
        """The payment method that a call names, if this customer may pay with it."""
        data = params.get("payment_method_data")
        if isinstance(data, Mapping):
            return self._wallet.create_method(data)
        method_id = text(params, "payment_method")
        if method_id is None:
            return None
        method = self._wallet.method(method_id, "payment_method")
        refuse_spent(method)
        if method.customer is not None and (customer is None or method.customer != customer.id):
            raise invalid(
                "The payment method belongs to a customer: name that customer.", "payment_method"
            )
        return method


def _method_types(params: Params) -> tuple[list[str] | None, str]:
    """The types that are listed, and ``automatic_payment_methods[allow_redirects]``.

    ``allowed_payment_method_types`` lists them, in older versions ``payment_method_types``.
    """
    automatic: dict[str, Any] = params.get("automatic_payment_methods") or {}
    for name in ("allowed_payment_method_types", "payment_method_types"):
        types = params.get(name)
        if types is None:
            continue
        if automatic.get("enabled") == "true":
            raise invalid(f"either automatic_payment_methods or {name}", name)
        if types != ["card"]:
            raise invalid("only cards are played here", name)
        return ["card"], "always"
    if automatic.get("enabled") == "false":
        return ["card"], "always"
    return None, str(automatic.get("allow_redirects", "always"))


def _check_return_url(
    types: list[str] | None, allow_redirects: str, return_url: str | None
) -> None:
    """Whatever the account accepts may redirect, so it has to be known where back to."""
    if types is None and allow_redirects != "never" and return_url is None:
        raise invalid(
            "This payment intent accepts payment methods that may redirect: give a return_url, or "
            "set automatic_payment_methods[allow_redirects] to never."
        )
