"""Customers, their payment methods and setup intents: the objects and their JSON."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from tidegate.sandbox.cards.catalogue import Behaviour, TestCard

__all__ = ["Customer", "PaymentMethod", "SetupIntent"]


@dataclass(slots=True)
class Customer:
    """Who pays; ``created`` is in Unix seconds, here and everywhere in this package."""

    id: str
    created: int
    email: str | None = None
    name: str | None = None
    description: str | None = None
    phone: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    payment_methods: list[PaymentMethod] = field(default_factory=list)
    payment_intents: list[str] = field(default_factory=list)

    def json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "customer",
            "address": None,
            "balance": 0,
            "created": self.created,
            "currency": None,
            "default_source": None,
            "delinquent": False,
            "description": self.description,
            "discount": None,
            "email": self.email,
            "invoice_prefix": self.id[-8:].upper(),
            "invoice_settings": {
                "custom_fields": None,
                "default_payment_method": None,
                "footer": None,
                "rendering_options": None,
            },
            "livemode": False,
            "metadata": self.metadata,
            "name": self.name,
            "phone": self.phone,
            "preferred_locales": [],
            "shipping": None,
            "tax_exempt": "none",
            "test_clock": None,
        }


@dataclass(slots=True)
class PaymentMethod:
    """A card; ``customer`` while attached, ``spent`` once it may not be used any more."""

    id: str
    created: int
    card: TestCard
    exp_month: int
    exp_year: int
    # The shared name it was made from, such as ``pm_card_visa``: a key of the fault plan.
    token: str = ""
    customer: str | None = None
    spent: bool = False
    billing_details: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def behaviour(self) -> Behaviour:
        return self.card.behaviour

    def json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "payment_method",
            "allow_redisplay": "unspecified",
            "billing_details": self.billing_json(),
            "card": {
                "brand": self.card.brand,
                "checks": {
                    "address_line1_check": None,
                    "address_postal_code_check": None,
                    "cvc_check": "pass" if self.customer else "unchecked",
                },
                "country": "US",
                "display_brand": self.card.brand,
                "exp_month": self.exp_month,
                "exp_year": self.exp_year,
                "fingerprint": self.fingerprint,
                "funding": self.card.funding,
                "generated_from": None,
                "last4": self.card.last4,
                "networks": {"available": [self.card.brand], "preferred": None},
                "regulated_status": "unregulated",
                "three_d_secure_usage": {"supported": True},
                "wallet": None,
            },
            "created": self.created,
            "customer": self.customer,
            "livemode": False,
            "metadata": self.metadata,
            "type": "card",
        }

    @property
    def fingerprint(self) -> str:
        """The same for the same card number."""
        return hashlib.sha256(self.card.number.encode()).hexdigest()[:16]

    def billing_json(self) -> dict[str, Any]:
        address = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))
        return {"address": address, "email": None, "name": None, "phone": None, "tax_id": None} | (
            self.billing_details
        )

    def details_json(self) -> dict[str, Any]:
        """``payment_method_details`` of a charge."""
        return {
            "card": {
                "amount_authorized": None,
                "brand": self.card.brand,
                "checks": {
                    "address_line1_check": None,
                    "address_postal_code_check": None,
                    "cvc_check": None,
                },
                "country": "US",
                "exp_month": self.exp_month,
                "exp_year": self.exp_year,
                "fingerprint": self.fingerprint,
                "funding": self.card.funding,
                "last4": self.card.last4,
                "network": self.card.brand,
                "three_d_secure": None,
                "wallet": None,
            },
            "type": "card",
        }


@dataclass(slots=True)
class SetupIntent:
    """A promise to set a card up; the sandbox creates and shows it, no more."""

    id: str
    created: int
    client_secret: str
    customer: str | None
    usage: str
    metadata: dict[str, str]

    def json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "setup_intent",
            "application": None,
            "automatic_payment_methods": None,
            "cancellation_reason": None,
            "client_secret": self.client_secret,
            "created": self.created,
            "customer": self.customer,
            "description": None,
            "last_setup_error": None,
            "latest_attempt": None,
            "livemode": False,
            "mandate": None,
            "metadata": self.metadata,
            "next_action": None,
            "on_behalf_of": None,
            "payment_method": None,
            "payment_method_options": {},
            "payment_method_types": ["card"],
            "single_use_mandate": None,
            "status": "requires_payment_method",
            "usage": self.usage,
        }
