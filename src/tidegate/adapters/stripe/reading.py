"""From Stripe's objects to those of the port. Pure. Source: ``contracts/processor.md`` 2, 6 to 8.

A word or figure that decides about money and cannot be read raises :class:`Unreadable`, which
makes the call's outcome unknown: an invented state would be acted on, an unknown one is asked
about again. What only adds to the object (a fee, a failure's sentence) is left out instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from tidegate.adapters.exchanges import storable
from tidegate.adapters.stripe.actions import next_action_for
from tidegate.adapters.stripe.amounts import from_stripe
from tidegate.errors import BadInput, UnsupportedCurrency
from tidegate.money.amount import Money
from tidegate.observability import get_logger
from tidegate.ports.cards import (
    Card,
    Dispute,
    DisputeStatus,
    Failure,
    Intent,
    IntentStatus,
    Method,
    Movement,
    Refund,
    RefundStatus,
)

__all__ = [
    "Unreadable",
    "amount_if_readable",
    "identity",
    "our_id",
    "read_dispute",
    "read_failure",
    "read_intent",
    "read_method",
    "read_refund",
    "reference_of",
    "text",
]

# Ids go into addresses: nothing that could lead to another one.
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,255}")
_OUR_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LAST4: Final = re.compile(r"[0-9]{4}")

_INTENTS: Final[Mapping[str, IntentStatus]] = {status.value: status for status in IntentStatus}
_REFUNDS: Final[Mapping[str, RefundStatus]] = {
    "pending": RefundStatus.PENDING,
    "requires_action": RefundStatus.PENDING,  # the customer is asked where to; it may yet end
    "succeeded": RefundStatus.SUCCEEDED,
    "failed": RefundStatus.FAILED,
    "canceled": RefundStatus.FAILED,
}
_DISPUTES: Final[Mapping[str, DisputeStatus]] = {
    "needs_response": DisputeStatus.OPEN,
    "under_review": DisputeStatus.OPEN,
    "won": DisputeStatus.WON,
    "lost": DisputeStatus.LOST,
    "warning_needs_response": DisputeStatus.INQUIRY,
    "warning_under_review": DisputeStatus.INQUIRY,
    "warning_closed": DisputeStatus.CLOSED,
    # The decision is fought; until that is decided the money is where the dispute left it.
    "appeal_needs_response": DisputeStatus.OPEN,
    "appeal_under_review": DisputeStatus.OPEN,
    "prevented": DisputeStatus.CLOSED,  # settled before it became a dispute
}

_log = get_logger()


class Unreadable(ValueError):
    """An answer that is not the object it should be; the sentence names the field only."""


def read_intent(tree: object, publishable_key: str | None) -> Intent:
    """Read a PaymentIntent; its charge and movement when they are expanded."""
    fields = _object(tree, "payment_intent")
    word = fields.get("status")
    status = _INTENTS.get(word) if isinstance(word, str) else None
    if status is None:
        raise Unreadable("the intent's status is not one that is known")
    secret = text(fields.get("client_secret"), 512)
    action = None
    if status is IntentStatus.REQUIRES_ACTION:
        action = next_action_for(fields.get("next_action"), secret, publishable_key)
    charge = fields.get("latest_charge")
    charge = charge if isinstance(charge, dict) else {}
    return Intent(
        reference=identity(fields),
        status=status,
        amount=_money(fields, "amount"),
        captured=_captured(fields, charge, status),
        payment_id=our_id(fields, "tidegate_payment"),
        client_secret=secret,
        next_action=action,
        failure=read_failure(fields.get("last_payment_error")),
        movement=_movement_if_booked(charge.get("balance_transaction")),
        cancellation_reason=text(fields.get("cancellation_reason"), 64),
    )


def read_refund(tree: object) -> Refund:
    """Read a Refund; its movements where they are expanded."""
    fields = _object(tree, "refund")
    word = fields.get("status")
    status = _REFUNDS.get(word) if isinstance(word, str) else None
    if status is None:
        raise Unreadable("the refund's status is not one that is known")
    return Refund(
        reference=identity(fields),
        status=status,
        amount=_money(fields, "amount"),
        refund_id=our_id(fields, "tidegate_refund"),
        failure=text(fields.get("failure_reason"), 128),
        movement=_movement_if_booked(fields.get("balance_transaction")),
        returned=_movement_if_booked(fields.get("failure_balance_transaction")),
    )


def read_dispute(tree: object) -> Dispute:
    """Read a Dispute. Its movements are facts of the ledger: one unreadable, all unreadable.

    An unknown status is not taken for an open dispute: whether the money is gone is the very
    thing that the word would say.
    """
    fields = _object(tree, "dispute")
    word = fields.get("status")
    status = _DISPUTES.get(word) if isinstance(word, str) else None
    if status is None:
        raise Unreadable("the dispute's status is not one that is known")
    moved = fields.get("balance_transactions")
    if moved is None:
        moved = []
    if not isinstance(moved, list):
        raise Unreadable("the dispute's movements are not a list")
    return Dispute(
        reference=identity(fields),
        intent=reference_of(fields.get("payment_intent")),
        status=status,
        amount=_money(fields, "amount"),
        reason=text(fields.get("reason"), 64) or "unstated",
        movements=tuple(_movement(one) for one in moved),
    )


def read_method(tree: object) -> Method:
    """Read a PaymentMethod; ``card`` only when all that may be shown of it is there."""
    fields = _object(tree, "payment_method")
    kind = text(fields.get("type"), 64)
    if kind is None:
        raise Unreadable("the payment method has no type")
    return Method(
        reference=identity(fields),
        type=kind,
        card=_card(fields.get("card")),
        customer=reference_of(fields.get("customer")),
    )


def read_failure(error: object) -> Failure | None:
    """Read an error object (``error`` of an answer, ``last_payment_error`` of an intent)."""
    if not isinstance(error, dict):
        return None
    code = text(error.get("code"), 128) or text(error.get("type"), 128) or "card_error"
    message = text(error.get("message"), 1024) or "The card was not charged."
    return Failure(code, message, text(error.get("decline_code"), 128))


def identity(fields: Mapping[str, Any]) -> str:
    """The object's id; :class:`Unreadable` without one."""
    found = reference_of(fields.get("id"))
    if found is None:
        raise Unreadable("the object has no id")
    return found


def reference_of(value: object) -> str | None:
    """An id, whether it stands alone or in the object that it names."""
    if isinstance(value, dict):
        value = value.get("id")
    return value if isinstance(value, str) and _ID.fullmatch(value) else None


def our_id(fields: Mapping[str, Any], key: str) -> str | None:
    """Our own id under ``key`` of the object's metadata."""
    metadata = fields.get("metadata")
    value = metadata.get(key) if isinstance(metadata, dict) else None
    return value if isinstance(value, str) and _OUR_ID.fullmatch(value) else None


def text(value: object, longest: int) -> str | None:
    """A text that every database can hold, cut to ``longest``; ``None`` for anything else."""
    return storable(value)[:longest] if isinstance(value, str) and value else None


def _object(tree: object, kind: str) -> Mapping[str, Any]:
    if not isinstance(tree, dict) or tree.get("object") != kind:
        raise Unreadable(f"the answer is no {kind}")
    return tree


def _money(fields: Mapping[str, Any], key: str) -> Money:
    units, currency = fields.get(key), fields.get("currency")
    if type(units) is not int or not isinstance(currency, str):
        raise Unreadable(f"{key} is not an amount")
    try:
        return from_stripe(units, currency)
    except (BadInput, UnsupportedCurrency) as error:
        raise Unreadable(f"{key}: {error}") from error


def amount_if_readable(fields: Mapping[str, Any]) -> Money | None:
    """The amount of a payment object in an event; ``None`` when it has none that can be read."""
    try:
        return _money(fields, "amount")
    except Unreadable:
        return None


def _captured(fields: Mapping[str, Any], charge: Mapping[str, Any], status: IntentStatus) -> Money:
    if "amount_received" in fields:
        return _money(fields, "amount_received")
    # Stripe always sends it; a double may not, and then the charge knows.
    if status is not IntentStatus.SUCCEEDED:
        return Money(0, _money(fields, "amount").currency)
    if "amount_captured" in charge:
        return _money({**charge, "currency": fields.get("currency")}, "amount_captured")
    if charge.get("captured") is True:
        return _money({**charge, "currency": fields.get("currency")}, "amount")
    raise Unreadable("it succeeded, and nothing says how much was taken")


def _movement_if_booked(booked: object) -> Movement | None:
    if not isinstance(booked, dict):
        return None  # not booked yet, or not expanded
    try:
        return _movement(booked)
    except Unreadable as unreadable:
        # The payment must not wait for its fee: the clearing of fees shows what is missing.
        _log.warning("card_movement_unreadable", processor="stripe", why=str(unreadable))
        return None


def _movement(booked: object) -> Movement:
    fields = _object(booked, "balance_transaction")
    return Movement(identity(fields), _money(fields, "amount"), _money(fields, "fee"))


def _card(value: object) -> Card | None:
    if not isinstance(value, dict):
        return None
    brand, last4 = text(value.get("brand"), 64), value.get("last4")
    month, year = value.get("exp_month"), value.get("exp_year")
    if brand is None or not isinstance(last4, str) or _LAST4.fullmatch(last4) is None:
        return None
    if type(month) is not int or type(year) is not int:
        return None
    if not (1 <= month <= 12 and 2000 <= year < 10_000):
        return None
    return Card(brand, last4, month, year)
