"""The port to a card processor. Source: ``contracts/processor.md``.

One vocabulary for every processor; an adapter translates into it and decides nothing else. Each
method is at most one call that changes something, with no retry inside unless the trap's text
says that repeating is safe and the key is ours. Amounts are ISO 4217 minor units; an adapter
converts to and from the processor's own units exactly, and refuses what does not divide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from tidegate.db.exchanges import Exchange
from tidegate.money.amount import Money

__all__ = [
    "Card",
    "CardEvent",
    "Cards",
    "Declined",
    "Dispute",
    "DisputeStatus",
    "Failure",
    "Found",
    "Intent",
    "IntentOrder",
    "IntentStatus",
    "Method",
    "Missing",
    "Movement",
    "NotSent",
    "Refund",
    "RefundStatus",
    "Refused",
    "RejectedEvent",
    "Subject",
    "Unknown",
]


class IntentStatus(StrEnum):
    """Where the processor's payment object stands."""

    REQUIRES_PAYMENT_METHOD = "requires_payment_method"
    REQUIRES_CONFIRMATION = "requires_confirmation"
    REQUIRES_ACTION = "requires_action"
    PROCESSING = "processing"
    REQUIRES_CAPTURE = "requires_capture"
    SUCCEEDED = "succeeded"
    CANCELED = "canceled"


class RefundStatus(StrEnum):
    """Where the processor's refund stands; ``canceled`` and what needs action count as pending or
    failed."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class DisputeStatus(StrEnum):
    """Where a dispute stands."""

    OPEN = "open"  # the money is gone for now, or after a loss for as long as that is fought
    WON = "won"  # it is back
    LOST = "lost"  # it stays gone
    INQUIRY = "inquiry"  # a question; no money moved (Stripe: warning_*)
    CLOSED = "closed"  # the question ended without a dispute


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a card was not charged: the processor's code and sentence, the bank's own code."""

    code: str
    message: str
    decline_code: str | None = None


@dataclass(frozen=True, slots=True)
class Movement:
    """One movement on our balance at the processor, as it states it.

    ``reference`` is the processor's id of the movement. ``amount`` is signed (a charge adds, a
    refund or a dispute takes away) and, like ``fee`` (what it costs us; a returned fee is
    negative), in the currency of the balance, which may differ from the payment's.
    """

    reference: str
    amount: Money
    fee: Money


@dataclass(frozen=True, slots=True)
class Intent:
    """The processor's payment object at one moment.

    ``amount`` is what was asked, ``captured`` what was taken (minor 0 before). ``payment_id`` is
    our id from its metadata. ``next_action`` is what the client must do, ready to be shown to it.
    ``movement`` is ``None`` until the processor booked the charge (processor.md 2).
    """

    reference: str
    status: IntentStatus
    amount: Money
    captured: Money
    payment_id: str | None = None
    client_secret: str | None = None
    next_action: Mapping[str, Any] | None = None
    failure: Failure | None = None
    movement: Movement | None = None
    cancellation_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Refund:
    """The processor's refund. ``refund_id`` is our id from its metadata; ``movement`` the money's
    going, ``returned`` its coming back when the refund failed."""

    reference: str
    status: RefundStatus
    amount: Money
    refund_id: str | None = None
    failure: str | None = None
    movement: Movement | None = None
    returned: Movement | None = None


@dataclass(frozen=True, slots=True)
class Dispute:
    """The processor's dispute about one payment object (``intent``)."""

    reference: str
    intent: str | None
    status: DisputeStatus
    amount: Money
    reason: str
    movements: Sequence[Movement] = ()


@dataclass(frozen=True, slots=True)
class Card:
    """What may be shown of a card."""

    brand: str
    last4: str
    exp_month: int
    exp_year: int


@dataclass(frozen=True, slots=True)
class Method:
    """A stored payment method."""

    reference: str
    type: str
    card: Card | None
    customer: str | None


@dataclass(frozen=True, slots=True)
class IntentOrder:
    """A payment object to be created, unconfirmed. ``return_url`` belongs to confirming it."""

    payment_id: str
    amount: Money
    customer: str
    method: str | None
    manual_capture: bool
    description: str | None = None


# -- how a call ended -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """The processor answered with the object."""

    value: Any
    exchange: Exchange


@dataclass(frozen=True, slots=True)
class Missing:
    """The processor answered: there is no such object."""

    exchange: Exchange


@dataclass(frozen=True, slots=True)
class Declined:
    """The card was declined (``card_error``, HTTP 402). ``intent`` as the answer carried it."""

    failure: Failure
    intent: Intent | None
    exchange: Exchange


@dataclass(frozen=True, slots=True)
class Refused:
    """Refused for certain, nothing happened: bad request, wrong state, no permission.

    ``code`` is the processor's; ``misconfigured`` is a 401/403, our own fault; ``intent`` where
    the answer carried it (a wrong state comes with the object).
    """

    code: str
    message: str
    exchange: Exchange
    misconfigured: bool = False
    intent: Intent | None = None


@dataclass(frozen=True, slots=True)
class NotSent:
    """Certain that it did not begin: not reached, 429, lock timeout, key in use.

    Safe to repeat with the same key (processor.md 9).
    """

    exchange: Exchange
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may or may not have happened: no readable answer, 5xx. ``replayed``: the processor says
    that this answer is the stored one of an earlier request with the same key (processor.md 1)."""

    exchange: Exchange
    replayed: bool = False


class Subject(StrEnum):
    """What an event is about."""

    PAYMENT = "payment"
    REFUND = "refund"
    DISPUTE = "dispute"
    OTHER = "other"  # kept and ignored


@dataclass(frozen=True, slots=True)
class CardEvent:
    """An authentic event, read: a prompt to look, never a verdict.

    ``intent`` is the processor's id of the payment object, ``payment_id`` and ``refund_id`` our
    ids where the object's metadata has them, ``reference`` the id of the object itself. ``status``
    and ``amount`` are what it says of the payment object: nobody acts on them, but an event that
    says what is known already needs no look, and one that says another amount is shown to a person.
    """

    id: str
    type: str
    created_ms: int
    subject: Subject
    reference: str | None = None
    intent: str | None = None
    payment_id: str | None = None
    refund_id: str | None = None
    status: IntentStatus | None = None
    amount: Money | None = None


@dataclass(frozen=True, slots=True)
class RejectedEvent:
    """An event that is not taken: a bad signature (``authentic`` is false), or an authentic one
    that is not for us, such as one of the other environment (``livemode``)."""

    why: str
    authentic: bool = False


class Cards(Protocol):
    """A card processor. The time limit of every call is ``timeout_s``."""

    @property
    def name(self) -> str: ...

    @property
    def timeout_s(self) -> float: ...

    @property
    def publishable_key(self) -> str | None: ...

    def check_amount(self, amount: Money) -> str | None:
        """A sentence when the processor cannot take this amount: not its currency, below its
        minimum, not divisible into its units; else ``None``. Called before anything is stored."""
        ...

    async def create_customer(self, user_id: str, key: str) -> Found | Refused | NotSent | Unknown:
        """``Found.value`` is the id (``str``) of a customer that carries our user id."""
        ...

    async def attach(
        self, token: str, customer: str, key: str
    ) -> Found | Declined | Refused | NotSent | Unknown:
        """``Found.value`` is a :class:`Method`. A token that is attached there already is found."""
        ...

    async def detach(self, method: str) -> Found | Refused | NotSent | Unknown:
        """``Found.value`` is a :class:`Method`; one that is detached already is found as well."""
        ...

    async def set_up(self, customer: str, key: str) -> Found | Refused | NotSent | Unknown:
        """``Found.value`` is the client secret (``str``) with which a browser stores a card."""
        ...

    async def create(self, order: IntentOrder, key: str) -> Found | Refused | NotSent | Unknown:
        """Create the payment object, unconfirmed: no money moves. ``Found.value``: Intent."""
        ...

    async def confirm(
        self, intent: str, key: str, return_url: str | None
    ) -> Found | Declined | Refused | NotSent | Unknown:
        """Charge or authorise. ``Found.value``: Intent."""
        ...

    async def capture(
        self, intent: str, amount: Money, key: str
    ) -> Found | Declined | Refused | NotSent | Unknown:
        """Take what was authorised, or less. ``Found.value``: Intent."""
        ...

    async def cancel(self, intent: str, key: str) -> Found | Refused | NotSent | Unknown:
        """Give it up for ever. ``Found.value``: Intent. One canceled already is found as well."""
        ...

    async def fetch(self, intent: str) -> Found | Missing | Refused | NotSent | Unknown:
        """The object now, with its movement where it is booked. ``Found.value``: Intent."""
        ...

    async def find(
        self, customer: str, payment_id: str
    ) -> Found | Missing | Refused | NotSent | Unknown:
        """The customer's object that carries our id, by listing (never by search)."""
        ...

    async def intents_since(
        self, created_ms: int, after: str | None
    ) -> Found | Refused | NotSent | Unknown:
        """A page of the objects that this node made, newest first: ``Found.value`` is ``(list of
        :class:`Intent`, id to continue behind or None)``."""
        ...

    async def refund(
        self, intent: str, amount: Money, refund_id: str, reason: str | None, key: str
    ) -> Found | Refused | NotSent | Unknown:
        """Give back. ``Found.value``: :class:`Refund`."""
        ...

    async def find_refund(
        self, intent: str, refund_id: str, reference: str | None
    ) -> Found | Missing | Refused | NotSent | Unknown:
        """The refund by its own id (``reference``), else among the payment's refunds by ours."""
        ...

    async def fetch_dispute(self, reference: str) -> Found | Missing | Refused | NotSent | Unknown:
        """``Found.value``: :class:`Dispute`, its movements included."""
        ...

    async def events_since(
        self, created_ms: int, after: str | None
    ) -> Found | Refused | NotSent | Unknown:
        """A page of the processor's own list of events, newest first: ``Found.value`` is
        ``(list of (event id, raw bytes), more: bool)``; ``after`` continues behind that id."""
        ...

    def read_event(
        self, headers: Mapping[str, str], raw: bytes, now_ms: int
    ) -> CardEvent | RejectedEvent:
        """Authenticate and read a webhook: signature over the raw bytes, tolerance, livemode."""
        ...

    def parse_event(self, raw: bytes) -> CardEvent | RejectedEvent:
        """Read an event that was authenticated before (from the inbox, or listed by us)."""
        ...

    async def close(self) -> None: ...
