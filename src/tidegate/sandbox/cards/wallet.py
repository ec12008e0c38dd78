"""The verbs on customers, payment methods and setup intents."""

from __future__ import annotations

from typing import Any, Final

from tidegate.clock import from_ms
from tidegate.sandbox.cards.catalogue import BY_NUMBER, BY_TOKEN, DECLINES, Behaviour, TestCard
from tidegate.sandbox.cards.events import Events
from tidegate.sandbox.cards.form import Params, metadata, text, whole
from tidegate.sandbox.cards.people import Customer, PaymentMethod, SetupIntent
from tidegate.sandbox.cards.refusals import Refusal, card_error, invalid, not_found
from tidegate.sandbox.cards.store import Store
from tidegate.sandbox.cards.terms import Terms

__all__ = ["Wallet", "refuse_spent"]

_EXPIRES: Final = (12, 2034)


class Wallet:
    """Who pays, and with what."""

    def __init__(self, store: Store, events: Events, terms: Terms) -> None:
        self._store = store
        self._events = events
        self._terms = terms

    def create_customer(self, params: Params) -> Customer:
        customer = Customer(
            id=self._store.new_id("cus"),
            created=self._store.seconds(),
            email=text(params, "email"),
            name=text(params, "name"),
            description=text(params, "description"),
            phone=text(params, "phone"),
            metadata=metadata(params),
        )
        self._store.add(customer)
        self._events.emit("customer.created", customer.json(), customer.email or "")
        return customer

    def create_method(self, params: Params) -> PaymentMethod:
        """From ``card[token]=tok_visa`` or from a test card's number."""
        if text(params, "type", required=True) != "card":
            raise invalid("only cards are played here", "type")
        given = params.get("card")
        if not isinstance(given, dict):
            raise Refusal(
                "Missing required parameter: card", code="parameter_missing", param="card"
            )
        token = text(given, "token")
        if token is not None:
            return self._new_method(_shared(token, "card[token]"), params, token=token)
        number = (text(given, "number", required=True) or "").replace(" ", "").replace("-", "")
        card = BY_NUMBER.get(number)
        if card is None:
            raise card_error(
                "This is no number of a test card.",
                code="incorrect_number",
                decline_code=None,
                param="number",
            )
        month = whole(given, "exp_month", least=1, required=True) or 0
        year = whole(given, "exp_year", least=0, required=True) or 0
        year += 2000 if year < 100 else 0
        self._check_expiry(month, year)
        return self._new_method(card, params, expires=(month, year))

    def method(self, method_id: str, param: str = "") -> PaymentMethod:
        """A payment method by id; a shared one such as ``pm_card_visa`` makes a new one."""
        if method_id in BY_TOKEN:
            return self._new_method(BY_TOKEN[method_id], {}, token=method_id)
        return self._store.find(PaymentMethod, method_id, "payment_method", param)

    def peek(self, method_id: str) -> PaymentMethod | None:
        """A payment method if there is one; nothing is made."""
        return self._store.get(PaymentMethod, method_id)

    def show_method(self, method_id: str) -> PaymentMethod:
        return self._store.find(PaymentMethod, method_id, "payment_method")

    def customers_method(self, customer_id: str, method_id: str) -> PaymentMethod:
        """Under its customer; a method of somebody else is not found there."""
        self.customer(customer_id)
        method = self._store.get(PaymentMethod, method_id)
        if method is None or method.customer != customer_id:
            raise not_found("PaymentMethod", method_id, "customer")
        return method

    def customer(self, customer_id: str, param: str = "") -> Customer:
        return self._store.find(Customer, customer_id, "customer", param)

    def attach(self, method_id: str, params: Params) -> PaymentMethod:
        """To one customer, for good; what was detached or used alone cannot be attached."""
        customer = self.customer(text(params, "customer", required=True) or "", "customer")
        # Found, and if it is a shared one made, only once the customer is known.
        method = self.method(method_id)
        if method.customer == customer.id:
            return method
        if method.customer is not None:
            raise invalid("The payment method is attached to another customer already.")
        refuse_spent(method)
        if self._terms.decline_on_attach and method.behaviour is Behaviour.DECLINES:
            decline = DECLINES[method.card.decline]
            raise card_error(
                decline.message,
                code=decline.code,
                decline_code=decline.decline_code,
                param=decline.param,
                payment_method=method.json(),
            )
        self.join(method, customer)
        return method

    def join(self, method: PaymentMethod, customer: Customer) -> None:
        """The method belongs to the customer from now on."""
        method.customer = customer.id
        customer.payment_methods.append(method)
        names = (method.id, method.token)
        self._events.emit(
            "payment_method.attached", method.json(), customer.email or customer.id, names
        )

    def detach(self, method_id: str) -> PaymentMethod:
        """For good; a second time is an error."""
        method = self.show_method(method_id)
        if method.customer is None:
            raise invalid("The payment method is not attached to a customer: nothing to detach.")
        customer = self.customer(method.customer)
        customer.payment_methods.remove(method)
        method.customer, method.spent = None, True
        names = (method.id, method.token)
        self._events.emit(
            "payment_method.detached", method.json(), customer.email or customer.id, names
        )
        return method

    def setup(self, params: Params) -> SetupIntent:
        """A setup intent that waits for its card."""
        customer = text(params, "customer")
        if customer is not None:
            self.customer(customer, "customer")
        setup_id = self._store.new_id("seti")
        usage = text(params, "usage") or "off_session"
        if usage not in ("off_session", "on_session"):
            raise invalid("usage is off_session or on_session", "usage")
        intent = SetupIntent(
            id=setup_id,
            created=self._store.seconds(),
            client_secret=f"{setup_id}_secret_{self._store.new_id('s')[2:]}",
            customer=customer,
            usage=usage,
            metadata=metadata(params),
        )
        self._store.add(intent)
        self._events.emit("setup_intent.created", intent.json(), customer or "")
        return intent

    def _new_method(
        self,
        card: TestCard,
        params: Params,
        *,
        token: str = "",
        expires: tuple[int, int] = _EXPIRES,
    ) -> PaymentMethod:
        billing: dict[str, Any] = params.get("billing_details") or {}
        return self._store.add(
            PaymentMethod(
                id=self._store.new_id("pm"),
                created=self._store.seconds(),
                card=card,
                exp_month=expires[0],
                exp_year=expires[1],
                # One name for both ways to spell it, so that a fault set on it always strikes.
                token=token.replace("tok_", "pm_card_", 1) if token.startswith("tok_") else token,
                billing_details=billing if isinstance(billing, dict) else {},
                metadata=metadata(params),
            )
        )

    def _check_expiry(self, month: int, year: int) -> None:
        now = from_ms(self._store.clock.now_ms())
        if month > 12:
            raise card_error(
                "The expiry month is no month.",
                code="invalid_expiry_month",
                decline_code=None,
                param="exp_month",
            )
        if (year, month) < (now.year, now.month):
            raise card_error(
                "The expiry year is in the past.",
                code="invalid_expiry_year",
                decline_code=None,
                param="exp_year",
            )


def refuse_spent(method: PaymentMethod) -> None:
    """What was detached, or used without a customer, is used up."""
    if method.spent:
        raise invalid(
            "This payment method was detached from a customer or used without one, and may not "
            "be used again."
        )


def _shared(token: str, param: str) -> TestCard:
    card = BY_TOKEN.get(token)
    if card is None:
        raise not_found("token", token, param, 400)
    return card
