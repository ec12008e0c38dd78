"""Which path asks for what: writes become a :class:`Task`, reads an answer at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from tidegate.sandbox.cards.answers import encoded
from tidegate.sandbox.cards.desk import Desk
from tidegate.sandbox.cards.events import Events
from tidegate.sandbox.cards.form import Params, text
from tidegate.sandbox.cards.payments import Charge, PaymentIntent, ours
from tidegate.sandbox.cards.people import Customer, SetupIntent
from tidegate.sandbox.cards.refunds import Refunds
from tidegate.sandbox.cards.refusals import Refusal
from tidegate.sandbox.cards.returns import BalanceTransaction, Dispute, Refund
from tidegate.sandbox.cards.store import Store, Thing, page
from tidegate.sandbox.cards.wallet import Wallet

__all__ = ["Routes", "Task"]


@dataclass(frozen=True, slots=True)
class Task:
    """A write that was understood: ``act`` does it, ``step`` and the names are for the faults.

    ``asks_network`` tells whether the card network is asked, which takes its time.
    """

    step: str
    act: Callable[[], Thing]
    payment: str
    names: tuple[str, ...] = ()
    asks_network: bool = False


class Routes:
    """The part of API v1 that is played."""

    def __init__(
        self, store: Store, events: Events, wallet: Wallet, desk: Desk, refunds: Refunds
    ) -> None:
        self._store = store
        self._events = events
        self._wallet = wallet
        self._desk = desk
        self._refunds = refunds

    def write(self, path: Sequence[str], params: Params, key: str) -> Task:
        """What a POST asks for; 404 for a path or an object that is not there.

        ``key`` names what nothing else names: the idempotency key.
        """
        wallet = self._wallet
        match path:
            case ["customers"]:
                email = text(params, "email") or key
                return Task("customer", partial(wallet.create_customer, params), email)
            case ["payment_methods"]:
                return Task("method", partial(wallet.create_method, params), key)
            case ["payment_methods", method_id, "attach"]:
                names = self._customer_names(params)
                act = partial(wallet.attach, method_id, params)
                return Task("attach", act, method_id, names, asks_network=True)
            case ["payment_methods", method_id, "detach"]:
                method = wallet.show_method(method_id)
                act = partial(wallet.detach, method_id)
                return Task("detach", act, method_id, (method.token,))
            case ["setup_intents"]:
                names = self._customer_names(params)
                return Task("setup", partial(wallet.setup, params), key, names)
            case ["payment_intents"]:
                return self._create(params, key)
            case ["payment_intents", intent_id]:
                return self._step("update", intent_id, params, self._desk.update)
            case ["payment_intents", intent_id, "confirm"]:
                return self._step("confirm", intent_id, params, self._desk.confirm)
            case ["payment_intents", intent_id, "capture"]:
                return self._step("capture", intent_id, params, self._desk.capture)
            case ["payment_intents", intent_id, "cancel"]:
                return self._step("cancel", intent_id, params, self._desk.cancel)
            case ["refunds"]:
                return self._refund(params, key)
        raise _unknown("POST", path)

    def read(self, path: Sequence[str], params: Params) -> bytes:
        """The JSON of what a GET asks for."""
        match path:
            case ["events"]:
                return self._events.page(params)
            case ["events", event_id]:
                return self._events.find(event_id)
        return encoded(self._store.expanded(self._read(path, params), params))

    def names(self, path: Sequence[str]) -> tuple[str, tuple[str, ...]]:
        """What the fault plan may call the object of a GET."""
        intent = self._store.get(PaymentIntent, path[1]) if len(path) > 1 else None
        if intent is None:
            return path[-1], (path[0],)
        return intent.payment, (path[0], *intent.names)

    def _read(self, path: Sequence[str], params: Params) -> dict[str, Any]:
        store, url = self._store, "/v1/" + "/".join(path)
        match path:
            case ["customers"]:
                return page(store.all(Customer), params, url, partial(_has_email, params))
            case ["customers", customer_id]:
                return self._wallet.customer(customer_id).json()
            case ["customers", customer_id, "payment_methods"]:
                return page(self._wallet.customer(customer_id).payment_methods, params, url)
            case ["customers", customer_id, "payment_methods", method_id]:
                return self._wallet.customers_method(customer_id, method_id).json()
            case ["payment_methods"]:
                customer = store.get(Customer, text(params, "customer"))
                return page([] if customer is None else customer.payment_methods, params, url)
            case ["payment_methods", method_id]:
                return self._wallet.show_method(method_id).json()
            case ["setup_intents", setup_id]:
                return store.find(SetupIntent, setup_id, "setup_intent").json()
            case ["payment_intents"]:
                return page(self._desk.of_customer(params), params, url)
            case ["payment_intents", intent_id]:
                return self._desk.find(intent_id).json()
            case ["charges"]:
                return page(self._charges(params), params, url)
            case ["charges", charge_id]:
                return store.find(Charge, charge_id, "charge").json()
            case ["refunds"]:
                return page(store.all(Refund), params, url, partial(_is_about, params))
            case ["refunds", refund_id]:
                return store.find(Refund, refund_id, "refund").json()
            case ["disputes"]:
                return page(store.all(Dispute), params, url, partial(_is_about, params))
            case ["disputes", dispute_id]:
                return store.find(Dispute, dispute_id, "dispute").json()
            case ["balance_transactions"]:
                return page(store.all(BalanceTransaction), params, url, partial(_is_kind, params))
            case ["balance_transactions", line_id]:
                return store.find(BalanceTransaction, line_id, "balance_transaction").json()
        raise _unknown("GET", path)

    def _create(self, params: Params, key: str) -> Task:
        given = params.get("metadata") or {}
        given = given if isinstance(given, dict) else {}
        method_id = text(params, "payment_method") or ""
        method = self._wallet.peek(method_id)
        names = (
            *ours(given),
            *self._customer_names(params),
            method_id,
            "" if method is None else method.token,
        )
        return Task(
            "create",
            partial(self._desk.create, params),
            given.get("tidegate_payment") or key,
            names,
            asks_network=params.get("confirm") == "true",
        )

    def _step(
        self,
        step: str,
        intent_id: str,
        params: Params,
        act: Callable[[PaymentIntent, Params], PaymentIntent],
    ) -> Task:
        intent = self._desk.find(intent_id)
        names = (*intent.names, text(params, "payment_method") or "")
        asks = step != "update"
        return Task(step, partial(act, intent, params), intent.payment, names, asks_network=asks)

    def _refund(self, params: Params, key: str) -> Task:
        charge = self._store.get(Charge, text(params, "charge"))
        intent = self._store.get(PaymentIntent, text(params, "payment_intent"))
        if intent is None and charge is not None:
            intent = charge.intent
        given = params.get("metadata") or {}
        names = ours(given) if isinstance(given, dict) else ()
        payment = key if intent is None else intent.payment
        names = names if intent is None else (*names, *intent.names)
        act = partial(self._refunds.create, params)
        return Task("refund", act, payment, names, asks_network=True)

    def _customer_names(self, params: Params) -> tuple[str, ...]:
        customer = self._store.get(Customer, text(params, "customer"))
        if customer is None:
            return ()
        return (customer.id, customer.email) if customer.email else (customer.id,)

    def _charges(self, params: Params) -> list[Charge]:
        intent = text(params, "payment_intent")
        if intent is not None:
            return self._desk.find(intent, "payment_intent").charges
        customer = text(params, "customer")
        charges = self._store.all(Charge)
        if customer is None:
            return charges
        return [charge for charge in charges if charge.intent.customer == customer]


def _has_email(params: Params, customer: Customer) -> bool:
    """``email`` as a filter, case and all."""
    return text(params, "email") in (None, customer.email)


def _is_about(params: Params, thing: Refund | Dispute) -> bool:
    """``payment_intent`` and ``charge`` as filters."""
    intent, charge = text(params, "payment_intent"), text(params, "charge")
    return intent in (None, thing.charge.intent.id) and charge in (None, thing.charge.id)


def _is_kind(params: Params, line: BalanceTransaction) -> bool:
    """``type``, ``source`` and ``currency`` as filters."""
    return (
        text(params, "type") in (None, line.kind)
        and text(params, "source") in (None, line.source)
        and text(params, "currency") in (None, line.currency)
    )


def _unknown(method: str, path: Sequence[str]) -> Refusal:
    return Refusal(f"Unrecognized request URL ({method}: /v1/{'/'.join(path)}).", status=404)
