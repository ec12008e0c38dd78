"""What the routes of payments take and answer, with examples for ``/docs``."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from tidegate.money.amount import MINOR_MAX

__all__ = [
    "METHOD_EXAMPLE",
    "PAYMENT_EXAMPLE",
    "PAYMENT_ID",
    "REFUND_EXAMPLE",
    "Attach",
    "CaptureOrder",
    "Event",
    "MethodList",
    "NewPaymentBody",
    "Payment",
    "PaymentMethod",
    "Refund",
    "RefundOrder",
    "SetUp",
    "Status",
]

PAYMENT_ID: Final = "pay_01jd8m3q7v5x2n9c4t6b8r0w1z"
_METHOD_ID: Final = "pm_01jd8m1h2k3n4p5q6r7s8t9v0w"
_MOMENT: Final = "2026-11-21T10:00:00.000Z"

Status = Literal[
    "requires_payment_method",
    "requires_action",
    "processing",
    "requires_capture",
    "succeeded",
    "failed",
    "canceled",
]
Amount = Annotated[int, Field(ge=1, le=MINOR_MAX, description="Minor units, such as cents.")]
Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
_Name = Annotated[str, StringConstraints(min_length=1, max_length=40)]
_Value = Annotated[str, StringConstraints(max_length=500)]


class _Taken(BaseModel):
    """What is sent to us: no field but these, each of its own type."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class NewPaymentBody(_Taken):
    """A payment to be made."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "amount": 2500,
                    "currency": "EUR",
                    "payment_method_id": _METHOD_ID,
                    "capture_method": "automatic",
                    "description": "Order 1042",
                    "metadata": {"order": "1042"},
                    "return_url": "https://shop.example.com/done",
                }
            ]
        }
    )
    amount: Amount
    currency: Annotated[
        str,
        StringConstraints(pattern=r"^[A-Za-z]{3}$"),
        Field(description="ISO 4217, in any case; one of those that are switched on."),
    ]
    payment_method_id: Annotated[str, StringConstraints(max_length=64)] | None = None
    capture_method: Literal["automatic", "manual"] = "automatic"
    description: Annotated[str, StringConstraints(max_length=1_000)] | None = None
    metadata: Annotated[dict[_Name, _Value], Field(max_length=50)] | None = None
    return_url: (
        Annotated[
            str,
            StringConstraints(max_length=2_048, pattern=r"^https?://[^\s/]+[^\s]*$"),
            Field(description="Where the cardholder comes back to after an authentication."),
        ]
        | None
    ) = None


class CaptureOrder(_Taken):
    """How much to take of what was authorised; all of it when left out."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"amount": 2000}]})
    amount: Amount | None = None


class RefundOrder(_Taken):
    """How much to give back; all that is left when left out."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"amount": 500, "reason": "requested_by_customer"}]}
    )
    amount: Amount | None = None
    reason: Annotated[str, StringConstraints(max_length=500)] | None = None


class Attach(_Taken):
    """A processor's token of a payment method."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"token": "pm_card_visa"}]})
    token: Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,8}_[A-Za-z0-9_-]{1,200}$")]


class Failure(BaseModel):
    """Why a payment failed."""

    code: str
    message: str | None
    decline_code: str | None


class Payment(BaseModel):
    """A payment as it stands."""

    id: str
    object: Literal["payment"]
    status: Status
    amount: int
    amount_captured: int
    amount_refunded: int
    currency: str
    capture_method: Literal["automatic", "manual"]
    payment_method_id: str | None
    description: str | None
    metadata: dict[str, str]
    processor: str
    processor_reference: str | None
    next_action: dict[str, Any] | None = Field(
        description="What the client must do: `type`, and what it needs for that."
    )
    failure: Failure | None
    created_at: Instant
    updated_at: Instant
    outcome: Literal["unknown"] | None = Field(
        description="`unknown` while nothing is known of the last step; it is being asked for."
    )


class Refund(BaseModel):
    """A refund as it stands."""

    id: str
    object: Literal["refund"]
    payment_id: str
    status: Literal["pending", "succeeded", "failed"]
    amount: int
    currency: str
    reason: str | None
    processor_reference: str | None
    failure: str | None
    created_at: Instant
    updated_at: Instant
    outcome: Literal["unknown"] | None = Field(
        description="`unknown` while it is not known whether the processor has it."
    )


class Event(BaseModel):
    """A line of a payment's timeline."""

    id: str
    type: str
    sequence: int = Field(description="Counts the payment's events from 1.")
    created_at: Instant
    data: dict[str, Any] = Field(description="The payment or refund as it was then.")


class Card(BaseModel):
    """What may be shown of a card."""

    brand: str
    last4: str
    exp_month: int
    exp_year: int


class PaymentMethod(BaseModel):
    """A stored payment method."""

    id: str
    object: Literal["payment_method"]
    type: str
    card: Card | None
    is_default: bool
    created_at: Instant


class MethodList(BaseModel):
    """The stored methods, newest first."""

    data: list[PaymentMethod]


class SetUp(BaseModel):
    """With these a page stores a card at the processor itself."""

    client_secret: str
    publishable_key: str | None


PAYMENT_EXAMPLE: Final[dict[str, Any]] = {
    "id": PAYMENT_ID,
    "object": "payment",
    "status": "succeeded",
    "amount": 2500,
    "amount_captured": 2500,
    "amount_refunded": 0,
    "currency": "EUR",
    "capture_method": "automatic",
    "payment_method_id": _METHOD_ID,
    "description": "Order 1042",
    "metadata": {"order": "1042"},
    "processor": "stripe",
    "processor_reference": "pi_3QNcT2Eb1Vd5xKAl0aBcDeFg",
    "next_action": None,
    "failure": None,
    "created_at": _MOMENT,
    "updated_at": _MOMENT,
    "outcome": None,
}
REFUND_EXAMPLE: Final[dict[str, Any]] = {
    "id": "re_01jd8m9z8y7x6w5v4t3s2r1q0p",
    "object": "refund",
    "payment_id": PAYMENT_ID,
    "status": "succeeded",
    "amount": 500,
    "currency": "EUR",
    "reason": "requested_by_customer",
    "processor_reference": "re_3QNcT2Eb1Vd5xKAl0hIjKlMn",
    "failure": None,
    "created_at": _MOMENT,
    "updated_at": _MOMENT,
    "outcome": None,
}
METHOD_EXAMPLE: Final[dict[str, Any]] = {
    "id": _METHOD_ID,
    "object": "payment_method",
    "type": "card",
    "card": {"brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2030},
    "is_default": True,
    "created_at": _MOMENT,
}
