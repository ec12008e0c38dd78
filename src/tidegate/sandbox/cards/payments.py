"""Payment intents and charges: the objects, their statuses and their JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tidegate.sandbox.cards.people import PaymentMethod

__all__ = ["Charge", "PaymentIntent", "Status", "ours"]


class Status(StrEnum):
    """Of a payment intent. ``canceled`` and ``succeeded`` are final."""

    REQUIRES_PAYMENT_METHOD = "requires_payment_method"
    REQUIRES_CONFIRMATION = "requires_confirmation"
    REQUIRES_ACTION = "requires_action"
    PROCESSING = "processing"
    REQUIRES_CAPTURE = "requires_capture"
    CANCELED = "canceled"
    SUCCEEDED = "succeeded"


def ours(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """The names by which we know an object: what is in its metadata under ``tidegate_...``."""
    return tuple(value for key, value in metadata.items() if key.startswith("tidegate_"))


@dataclass(slots=True)
class PaymentIntent:
    """One payment; amounts in Stripe's minor unit of ``currency``.

    ``payment`` names it in the books: the metadata ``tidegate_payment``, or else the id.
    """

    id: str
    created: int
    amount: int
    currency: str
    client_secret: str
    capture_method: str
    customer: str | None = None
    email: str | None = None
    description: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    payment_method: PaymentMethod | None = None
    # ``None``: whatever the account accepts, redirects included unless they are ruled out.
    allowed_types: list[str] | None = None
    allow_redirects: str = "always"
    setup_future_usage: str | None = None
    receipt_email: str | None = None
    statement_descriptor: str | None = None
    status: Status = Status.REQUIRES_PAYMENT_METHOD
    amount_capturable: int = 0
    amount_received: int = 0
    charges: list[Charge] = field(default_factory=list)
    next_action: dict[str, Any] | None = None
    return_url: str | None = None
    last_payment_error: dict[str, Any] | None = None
    canceled_at: int | None = None
    cancellation_reason: str | None = None

    @property
    def payment(self) -> str:
        return self.metadata.get("tidegate_payment") or self.id

    @property
    def latest_charge(self) -> Charge | None:
        return self.charges[-1] if self.charges else None

    @property
    def names(self) -> tuple[str, ...]:
        """Everything the fault plan may call it by, besides :attr:`payment`."""
        names = [self.id, *ours(self.metadata)]
        if self.payment_method is not None:
            names += [self.payment_method.id, self.payment_method.token]
        if self.email:
            names.append(self.email)
        return tuple(names)

    def json(self) -> dict[str, Any]:
        latest = self.latest_charge
        automatic = self.allowed_types is None
        return {
            "id": self.id,
            "object": "payment_intent",
            "allowed_payment_method_types": self.allowed_types,
            "amount": self.amount,
            "amount_capturable": self.amount_capturable,
            "amount_details": {"tip": {}},
            "amount_received": self.amount_received,
            "application": None,
            "application_fee_amount": None,
            "automatic_payment_methods": (
                {"allow_redirects": self.allow_redirects, "enabled": True} if automatic else None
            ),
            "canceled_at": self.canceled_at,
            "cancellation_reason": self.cancellation_reason,
            "capture_method": self.capture_method,
            "client_secret": self.client_secret,
            "confirmation_method": "automatic",
            "created": self.created,
            "currency": self.currency,
            "customer": self.customer,
            "description": self.description,
            "last_payment_error": self.last_payment_error,
            "latest_charge": None if latest is None else latest.id,
            "livemode": False,
            "metadata": self.metadata,
            "next_action": self.next_action,
            "on_behalf_of": None,
            "payment_method": None if self.payment_method is None else self.payment_method.id,
            "payment_method_options": {
                "card": {
                    "installments": None,
                    "mandate_options": None,
                    "network": None,
                    "request_three_d_secure": "automatic",
                }
            },
            "payment_method_types": self.allowed_types or ["card"],
            "processing": None,
            "receipt_email": self.receipt_email,
            "review": None,
            "setup_future_usage": self.setup_future_usage,
            "shipping": None,
            "statement_descriptor": self.statement_descriptor,
            "statement_descriptor_suffix": None,
            "status": self.status.value,
            "transfer_data": None,
            "transfer_group": None,
        }


@dataclass(slots=True)
class Charge:
    """One try at the card: failed, authorised, or captured."""

    id: str
    created: int
    intent: PaymentIntent
    method: PaymentMethod
    amount: int
    status: str = "succeeded"
    captured: bool = False
    amount_captured: int = 0
    amount_refunded: int = 0
    disputed: bool = False
    balance_transaction: str | None = None
    failure_code: str | None = None
    failure_message: str | None = None
    decline_code: str | None = None
    capture_before: int | None = None

    @property
    def rest(self) -> int:
        """What can still be refunded."""
        return self.amount_captured - self.amount_refunded

    @property
    def paid(self) -> bool:
        return self.status == "succeeded"

    def json(self) -> dict[str, Any]:
        intent = self.intent
        details = self.method.details_json()
        if self.paid:
            details["card"] |= {"amount_authorized": self.amount}
        if self.capture_before is not None:
            details["card"] |= {"capture_before": self.capture_before}
        return {
            "id": self.id,
            "object": "charge",
            "amount": self.amount,
            "amount_captured": self.amount_captured,
            "amount_refunded": self.amount_refunded,
            "application": None,
            "application_fee": None,
            "application_fee_amount": None,
            "balance_transaction": self.balance_transaction,
            "billing_details": self.method.billing_json(),
            "calculated_statement_descriptor": "TIDEGATE SANDBOX",
            "captured": self.captured,
            "created": self.created,
            "currency": intent.currency,
            "customer": intent.customer,
            "description": intent.description,
            "disputed": self.disputed,
            "failure_balance_transaction": None,
            "failure_code": self.failure_code,
            "failure_message": self.failure_message,
            "fraud_details": {},
            "livemode": False,
            "metadata": intent.metadata,
            "on_behalf_of": None,
            "outcome": self._outcome(),
            "paid": self.paid,
            "payment_intent": intent.id,
            "payment_method": self.method.id,
            "payment_method_details": details,
            "receipt_email": intent.receipt_email,
            "receipt_number": None,
            "receipt_url": None,
            "refunded": self.captured and self.rest == 0,
            "review": None,
            "shipping": None,
            "source_transfer": None,
            "statement_descriptor": intent.statement_descriptor,
            "statement_descriptor_suffix": None,
            "status": self.status,
            "transfer_data": None,
            "transfer_group": None,
        }

    def _outcome(self) -> dict[str, Any]:
        if self.paid:
            return {
                "network_status": "approved_by_network",
                "reason": None,
                "risk_level": "normal",
                "seller_message": "Payment complete.",
                "type": "authorized",
            }
        return {
            "network_status": "declined_by_network",
            "reason": self.decline_code,
            "risk_level": "normal",
            "seller_message": "The bank did not approve this payment.",
            "type": "issuer_declined",
        }
