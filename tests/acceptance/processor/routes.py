"""Which call a request is, whose it is, and who answers it."""

from __future__ import annotations

import re
from typing import Any

from tests.acceptance.processor.afterwards import Afterwards
from tests.acceptance.processor.events import Events
from tests.acceptance.processor.form import Form
from tests.acceptance.processor.intents import Intents
from tests.acceptance.processor.judge import our_id
from tests.acceptance.processor.objects import Objects, Refusal, Thing, page

__all__ = ["Routes"]

_TABLE = tuple(
    (method, re.compile(f"/v1/{path}"), name)
    for method, path, name in (
        ("POST", "customers", "customer"),
        ("GET", "customers", "list_customers"),
        ("GET", "customers/([^/]+)", "fetch_customer"),
        ("GET", "customers/([^/]+)/payment_methods", "list_methods"),
        ("POST", "setup_intents", "setup"),
        ("POST", "payment_methods/([^/]+)/attach", "attach"),
        ("POST", "payment_methods/([^/]+)/detach", "detach"),
        ("GET", "payment_methods/([^/]+)", "fetch_method"),
        ("POST", "payment_intents", "create"),
        ("GET", "payment_intents", "list"),
        ("GET", "payment_intents/([^/]+)", "fetch"),
        ("POST", "payment_intents/([^/]+)/confirm", "confirm"),
        ("POST", "payment_intents/([^/]+)/capture", "capture"),
        ("POST", "payment_intents/([^/]+)/cancel", "cancel"),
        ("GET", "charges/([^/]+)", "fetch_charge"),
        ("POST", "refunds", "refund"),
        ("GET", "refunds", "list_refunds"),
        ("GET", "refunds/([^/]+)", "fetch_refund"),
        ("GET", "disputes/([^/]+)", "fetch_dispute"),
        ("GET", "balance_transactions/([^/]+)", "fetch_transaction"),
        ("GET", "events", "list_events"),
        ("GET", "events/([^/]+)", "fetch_event"),
    )
)
_KINDS = {
    "fetch_customer": "customer",
    "fetch_method": "payment_method",
    "fetch": "payment_intent",
    "fetch_charge": "charge",
    "fetch_refund": "refund",
    "fetch_dispute": "dispute",
    "fetch_transaction": "balance_transaction",
}


class Routes:
    """The processor's reference, as far as it is here."""

    def __init__(
        self, objects: Objects, events: Events, intents: Intents, afterwards: Afterwards
    ) -> None:
        self._objects = objects
        self._events = events
        self._intents = intents
        self._afterwards = afterwards

    def name_of(self, method: str, path: str) -> str | None:
        """The call's name; ``None`` for a request that no reference page shows."""
        return next(
            (name for asked, where, name in _TABLE if asked == method and where.fullmatch(path)),
            None,
        )

    def ours(self, call: str, path: str, form: Form) -> tuple[str | None, str | None]:
        """Our payment's id, and our refund's where there is one."""
        if call == "create":
            return our_id(form.get("metadata"), "pay_"), None
        refund = None
        id_ = path.split("/")[3] if path.count("/") > 2 else None
        if call == "refund":
            id_, refund = form.get("payment_intent"), our_id(form.get("metadata"), "re_")
            if id_ is None and form.get("charge") in self._objects.by_id:
                id_ = self._objects.by_id[form["charge"]]["payment_intent"]
        intent = self._objects.by_id.get(id_ or "")
        return (our_id(intent.get("metadata"), "pay_") if intent else None), refund

    def shown_payment(self, body: Thing) -> str | None:
        """The payment that an answer tells of; ``None``: perhaps several."""
        if body["object"] == "list":
            return None
        metadata = body.get("metadata")
        if body["object"] != "payment_intent" and body.get("payment_intent"):
            metadata = self._objects.by_id[_id_of(body["payment_intent"])]["metadata"]
        return our_id(metadata, "pay_") or "nobody's"

    def read(self, call: str, path: str, form: Form) -> Thing:
        expand = form.get("expand") or ()
        if call in _KINDS:
            return self._objects.shown(self._objects.get(_KINDS[call], path.split("/")[3]), expand)
        if call == "fetch_event":
            return next(each for each in self._events.all if each["id"] == path.split("/")[3])
        return self._objects.shown(self._list(call, path, form), expand)

    def write(self, call: str, path: str, form: Form) -> Thing:
        expand = form.get("expand") or ()
        return self._objects.shown(self._done(call, path, form), expand)

    def _list(self, call: str, path: str, form: Form) -> Thing:
        if call == "list_events":
            return page(self._events.all[::-1] if self._events.listed else [], form, path)
        filters: dict[str, Any] = {}
        if call == "list":
            filters = {name: form[name] for name in ("customer",) if name in form}
            return page(self._objects.all("payment_intent", **filters), form, path)
        if call == "list_refunds":
            filters = {name: form[name] for name in ("payment_intent", "charge") if name in form}
            return page(self._objects.all("refund", **filters), form, path)
        if call == "list_methods":
            filters = {"customer": path.split("/")[3]}
            return page(self._objects.all("payment_method", **filters), form, path)
        return page(self._objects.all("customer"), form, path)

    def _done(self, call: str, path: str, form: Form) -> Thing:
        id_ = path.split("/")[3] if path.count("/") > 2 else ""
        if call in {"confirm", "capture", "cancel"}:
            intent = self._objects.get("payment_intent", id_)
            done: Thing = getattr(self._intents, call)(intent, form)
            return done
        match call:
            case "create":
                return self._intents.create(form)
            case "refund":
                return self._afterwards.refund(form)
            case "customer":
                fields = {name: form.get(name) for name in ("email", "name", "description")}
                metadata = dict(form.get("metadata") or {})
                return self._objects.new("cus", "customer", **fields, metadata=metadata)
            case "attach":
                return self._attach(id_, form)
            case "detach":
                method = self._objects.get("payment_method", id_)
                method["customer"] = None
                return method
            case _:
                return self._objects.new(
                    "seti",
                    "setup_intent",
                    client_secret="seti_secret",
                    customer=form.get("customer"),
                    status="requires_payment_method",
                )

    def _attach(self, token: str, form: Form) -> Thing:
        customer = self._objects.get("customer", form.get("customer"))
        if token in self._objects.by_id:
            method = self._objects.get("payment_method", token)
            method["customer"] = customer["id"]
            return method
        if token not in self._objects.behaviour:
            raise Refusal(
                400,
                "invalid_request_error",
                f"No such PaymentMethod: '{token}'",
                code="resource_missing",
                param="payment_method",
                kept=False,
            )
        method = self._objects.new(
            "pm",
            "payment_method",
            type="card",
            customer=customer["id"],
            card={
                "brand": "visa",
                "last4": "4242",
                "exp_month": 12,
                "exp_year": 2034,
                "funding": "credit",
                "country": "US",
            },
            billing_details={"name": None, "email": None},
            metadata={},
        )
        self._objects.behaviour[method["id"]] = self._objects.behaviour[token]
        return method


def _id_of(reference: Any) -> str:
    return str(reference["id"] if isinstance(reference, dict) else reference)
