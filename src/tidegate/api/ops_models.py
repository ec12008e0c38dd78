"""What the operators' routes answer, with examples for ``/docs``."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel, Field

from tidegate.api.endpoints_models import Delivery
from tidegate.api.payment_models import PAYMENT_EXAMPLE, REFUND_EXAMPLE, Instant, Payment, Refund

__all__ = [
    "BALANCES_EXAMPLE",
    "CASE_EXAMPLE",
    "KEPT_EXAMPLE",
    "OPS_PAYMENT_EXAMPLE",
    "ORDER_EXAMPLE",
    "ORDER_STORY_EXAMPLE",
    "PAYMENT_STORY_EXAMPLE",
    "SWITCH_EXAMPLE",
    "Balances",
    "Case",
    "CaseStory",
    "Kept",
    "KeptBody",
    "OpsDelivery",
    "OpsPayment",
    "Order",
    "OrderStory",
    "PaymentStory",
    "Switch",
]

_MOMENT: Final = "2026-11-21T10:00:00.000Z"


class Due(BaseModel):
    """What is done next with a row, and when."""

    kind: str
    at: Instant


class Step(BaseModel):
    """Something that will be done; `now`: somebody is at it."""

    what: str
    kind: str
    row: str
    at: Instant
    now: bool
    late_ms: int = Field(description="For how long it is due and nobody took it.")
    tries: int


class Waiting(BaseModel):
    """On whom or what it waits, why, and what is done next."""

    on: str
    why: str
    next: list[Step]


class Line(BaseModel):
    """One thing that happened; `data` depends on the kind. Amounts in minor units."""

    at: Instant
    kind: str
    what: str
    data: dict[str, Any]


class OpsPayment(Payment):
    """A payment as operators see it."""

    user_id: str
    state: str = Field(description="Finer than `status`; see the state tables.")
    lookups: int = Field(description="How often it was looked up since its last change.")
    due: Due | None


class Dispute(BaseModel):
    """A dispute as it stands."""

    id: str
    state: str
    amount: int | None
    currency: str | None
    reason: str | None
    processor_reference: str
    created_at: Instant
    updated_at: Instant


class PaymentStory(BaseModel):
    """A payment and everything that happened to it, by time."""

    payment: OpsPayment
    refunds: list[Refund]
    disputes: list[Dispute]
    waiting: Waiting
    open_cases: list[int]
    story: list[Line]


class Order(BaseModel):
    """A payout order as operators see it."""

    id: str
    order_id: str = Field(description="The aggregator's id.")
    dialect: str
    state: str
    round: int
    currency: str
    amount: int | None = Field(description="Minor units; null when the offer held no exact amount.")
    amount_text: str
    held: int = Field(description="Minor units set aside for it.")
    institution: str
    psp: str | None
    tx_id: str | None
    reason_code: str | None
    reason_text: str | None
    created_at: Instant
    expires_at: Instant | None
    paid_at: Instant | None
    ended_at: Instant | None
    due: Due | None


class OrderStory(BaseModel):
    """An order and everything that happened to it, by time."""

    order: Order
    recipient: dict[str, str] | None = Field(description="Four digits and initials.")
    waiting: Waiting
    open_cases: list[int]
    story: list[Line]


class Float(BaseModel):
    """The float at a PSP in one currency, in minor units, and the PSP's last word on it."""

    psp: str
    currency: str
    available: int
    reserved: int
    suspense: int
    missing: int
    surplus: int
    total: int = Field(description="What should be there: available, reserved and suspense.")
    reading: int | None
    read_at: Instant | None


class Account(BaseModel):
    """An account of the ledger, in minor units."""

    path: str
    currency: str
    balance: int


class Balances(BaseModel):
    """The float of payouts, and the accounts that payments move through."""

    float: list[Float]
    payments: list[Account]


class Action(BaseModel):
    """A line of the operators' log."""

    at: Instant
    actor: str
    origin: str
    action: str
    subject: str
    reason: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class Case(BaseModel):
    """What a person has to look at."""

    id: int
    kind: str
    subject: str
    state: Literal["open", "closed"]
    severity: Literal["low", "medium", "high"]
    reason: str
    owner: str | None
    data: dict[str, Any]
    times: int
    opened_at: Instant
    last_seen_at: Instant
    closed_at: Instant | None
    closed_by: str | None
    closing_note: str | None


class CaseStory(Case):
    """A case, and what operators did about it and its subject."""

    actions: list[Action]


class Kept(BaseModel):
    """A webhook of a PSP or processor as it was kept."""

    id: str
    source: str
    event: str
    state: str
    outcome: str | None
    received_at: Instant
    due: Due | None


class KeptBody(Kept):
    """With what it said, redacted."""

    body: str


class OpsDelivery(Delivery):
    """A delivery, and whose it is."""

    user_id: str


class Switch(BaseModel):
    """A kill switch."""

    id: str
    off: bool
    reason: str | None
    switched_by: str | None
    switched_at: Instant | None


_STEP: Final[dict[str, Any]] = {
    "what": "go on with the payment at the processor",
    "kind": "pay",
    "row": PAYMENT_EXAMPLE["id"],
    "at": _MOMENT,
    "now": False,
    "late_ms": 0,
    "tries": 0,
}
OPS_PAYMENT_EXAMPLE: Final[dict[str, Any]] = {
    **PAYMENT_EXAMPLE,
    "user_id": "usr_01jd8m0a1b2c3d4e5f6g7h8j9k",
    "state": "succeeded",
    "lookups": 0,
    "due": None,
}
PAYMENT_STORY_EXAMPLE: Final[dict[str, Any]] = {
    "payment": OPS_PAYMENT_EXAMPLE,
    "refunds": [REFUND_EXAMPLE],
    "disputes": [],
    "waiting": {"on": "nothing", "why": "Succeeded, and its fee is booked.", "next": []},
    "open_cases": [],
    "story": [{"at": _MOMENT, "kind": "event", "what": "2: payment.succeeded", "data": {}}],
}
ORDER_EXAMPLE: Final[dict[str, Any]] = {
    "id": "po_01jd8m3q7v5x2n9c4t6b8r0w1z",
    "order_id": "550e8400-e29b-41d4-a716-446655440000",
    "dialect": "live",
    "state": "held",
    "round": 1,
    "currency": "NGN",
    "amount": 100_000,
    "amount_text": "1000",
    "held": 110_000,
    "institution": "GTBINGLA",
    "psp": "lenco",
    "tx_id": None,
    "reason_code": "HELD",
    "reason_text": "The look-up and the webhook disagree.",
    "created_at": _MOMENT,
    "expires_at": _MOMENT,
    "paid_at": None,
    "ended_at": None,
    "due": None,
}
ORDER_STORY_EXAMPLE: Final[dict[str, Any]] = {
    "order": ORDER_EXAMPLE,
    "recipient": {"institution": "GTBINGLA", "account": "***6789", "name": "A. O."},
    "waiting": {"on": "a person", "why": "The look-up and the webhook disagree.", "next": [_STEP]},
    "open_cases": [7],
    "story": [{"at": _MOMENT, "kind": "event", "what": "offered: now pending", "data": {}}],
}
BALANCES_EXAMPLE: Final[dict[str, Any]] = {
    "float": [
        {
            "psp": "lenco",
            "currency": "NGN",
            "available": 4_785_650,
            "reserved": 110_000,
            "suspense": 0,
            "missing": 0,
            "surplus": 0,
            "total": 4_895_650,
            "reading": 4_895_650,
            "read_at": _MOMENT,
        }
    ],
    "payments": [{"path": "processor:stripe:balance:EUR", "currency": "EUR", "balance": 2_440}],
}
CASE_EXAMPLE: Final[dict[str, Any]] = {
    "id": 7,
    "kind": "payment_unknown",
    "subject": PAYMENT_EXAMPLE["id"],
    "state": "open",
    "severity": "high",
    "reason": "The processor has not told for a day what became of this payment.",
    "owner": None,
    "data": {},
    "times": 3,
    "opened_at": _MOMENT,
    "last_seen_at": _MOMENT,
    "closed_at": None,
    "closed_by": None,
    "closing_note": None,
}
KEPT_EXAMPLE: Final[dict[str, Any]] = {
    "id": "inb_01jd8m3q7v5x2n9c4t6b8r0w1z",
    "source": "stripe",
    "event": "evt_1QNcT2Eb1Vd5xKAl",
    "state": "read",
    "outcome": "look-up prompted",
    "received_at": _MOMENT,
    "due": None,
}
SWITCH_EXAMPLE: Final[dict[str, Any]] = {
    "id": "psp:lenco",
    "off": True,
    "reason": "Fees doubled",
    "switched_by": "usr_01jd8m0a1b2c3d4e5f6g7h8j9k",
    "switched_at": _MOMENT,
}
