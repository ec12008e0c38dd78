"""The rows of payments.

Kept for ever: ``payments``, ``refunds``, ``disputes``, ``payment_events``. Ages out:
``deliveries``, ``delivery_attempts``. Free text that a user may have put personal data into
stands in ``payments.description`` and ``payments.metadata``, and in the events' ``data``.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    UniqueConstraint,
    text,
)

from tidegate.db.base import (
    Id,
    Json,
    LongText,
    Millis,
    Minor,
    Word,
    metadata,
    work_columns,
    work_index,
)

__all__ = [
    "card_customers",
    "deliveries",
    "delivery_attempts",
    "disputes",
    "payment_events",
    "payment_methods",
    "payments",
    "refunds",
    "webhook_endpoints",
]

# A user at a processor. Without a reference: about to be created, or not known whether it was.
card_customers = Table(
    "card_customers",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", Id, nullable=False),
    Column("processor", Word, nullable=False),
    Column("reference", String(255), nullable=True),
    # The number in the key that it is asked for with.
    Column("number", Integer, nullable=False, default=1),
    Column("created_at", Millis, nullable=False),
    UniqueConstraint("user_id", "processor"),
    info={"guards": ("reference", "number")},
)

payment_methods = Table(
    "payment_methods",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", Id, nullable=False),
    Column("processor", Word, nullable=False),
    Column("reference", String(255), nullable=False),
    Column("state", Word, nullable=False),
    Column("type", Word, nullable=False),
    Column("brand", Word, nullable=True),
    Column("last4", String(4), nullable=True),
    Column("exp_month", Integer, nullable=True),
    Column("exp_year", Integer, nullable=True),
    Column("is_default", Boolean, nullable=False),
    Column("created_at", Millis, nullable=False),
    Column("detached_at", Millis, nullable=True),
    UniqueConstraint("processor", "reference"),
    CheckConstraint("state IN ('attached', 'detached')", name="state"),
    Index("ix_payment_methods_user_id", "user_id", "id"),
    info={"guards": ("is_default",)},
)
Index(
    "uq_payment_methods_default",
    payment_methods.c.user_id,
    unique=True,
    sqlite_where=text("is_default"),
    postgresql_where=text("is_default"),
)

payments = Table(
    "payments",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", Id, nullable=False),
    Column("state", Word, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("amount", Minor, nullable=False),
    # What capture was asked for (all of it when automatic) and what was taken.
    Column("amount_to_capture", Minor, nullable=False),
    Column("amount_captured", Minor, nullable=False, default=0),
    # Refunds that succeeded, and refunds that may yet.
    Column("amount_refunded", Minor, nullable=False, default=0),
    Column("amount_refunding", Minor, nullable=False, default=0),
    Column("manual_capture", Boolean, nullable=False),
    Column("payment_method_id", Id, ForeignKey("payment_methods.id"), nullable=True),
    Column("description", LongText, nullable=True),
    Column("metadata", Json, nullable=False),
    Column("return_url", LongText, nullable=True),
    Column("processor", Word, nullable=False),
    Column("processor_reference", String(255), nullable=True),
    Column("next_action", Json, nullable=True),
    Column("failure_code", String(128), nullable=True),
    Column("failure_message", LongText, nullable=True),
    Column("decline_code", String(128), nullable=True),
    # The processor's id of the movement on its balance; none: its fee is not booked yet.
    Column("movement", String(255), nullable=True),
    # The call under way: its key's number, when and how often it was sent with that key, whether
    # the key only brings back a failure by now, how often it was looked up since, and the
    # idempotency key that waits for the answer.
    Column("step", Integer, nullable=False, default=1),
    Column("sent_at", Millis, nullable=True),
    Column("sends", Integer, nullable=False, default=0),
    Column("spent", Boolean, nullable=False, default=False),
    Column("lookups", Integer, nullable=False, default=0),
    Column("asked_by", Id, nullable=True),
    # Events so far: every change expects the number it was decided on.
    Column("events", Integer, nullable=False, default=0),
    Column("created_at", Millis, nullable=False),
    Column("updated_at", Millis, nullable=False),
    *work_columns(),
    UniqueConstraint("processor", "processor_reference"),
    CheckConstraint("amount > 0 AND amount_captured <= amount", name="captured"),
    CheckConstraint("amount_refunded >= 0 AND amount_refunding >= 0", name="refunds"),
    CheckConstraint("amount_captured >= amount_refunded + amount_refunding", name="refundable"),
    Index("ix_payments_user_id", "user_id", "id"),
    Index("ix_payments_state", "state", "created_at"),
    Index("ix_payments_created_at", "created_at"),
    info={"guards": ("events",), "names": {"payment_id": "id"}},
)
work_index(payments)

refunds = Table(
    "refunds",
    metadata,
    Column("id", Id, primary_key=True),
    Column("payment_id", Id, ForeignKey("payments.id"), nullable=False),
    Column("user_id", Id, nullable=False),
    Column("state", Word, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("amount", Minor, nullable=False),
    Column("reason", LongText, nullable=True),
    Column("processor", Word, nullable=False),
    Column("processor_reference", String(255), nullable=True),
    Column("failure", LongText, nullable=True),
    # The processor's ids of the movements that are booked: the money's going, and its coming back.
    Column("movement", String(255), nullable=True),
    Column("returned", String(255), nullable=True),
    # As in ``payments``.
    Column("step", Integer, nullable=False, default=1),
    Column("sent_at", Millis, nullable=True),
    Column("sends", Integer, nullable=False, default=0),
    Column("spent", Boolean, nullable=False, default=False),
    Column("lookups", Integer, nullable=False, default=0),
    Column("not_found", Integer, nullable=False, default=0),
    Column("asked_by", Id, nullable=True),
    Column("created_at", Millis, nullable=False),
    Column("updated_at", Millis, nullable=False),
    *work_columns(),
    UniqueConstraint("processor", "processor_reference"),
    CheckConstraint("amount > 0", name="amount"),
    Index("ix_refunds_payment_id", "payment_id", "id"),
    info={"names": {"refund_id": "id", "payment_id": "payment_id"}},
)
work_index(refunds)

disputes = Table(
    "disputes",
    metadata,
    Column("id", Id, primary_key=True),
    Column("processor", Word, nullable=False),
    Column("processor_reference", String(255), nullable=False),
    # None until its payment is known.
    Column("payment_id", Id, ForeignKey("payments.id"), nullable=True),
    Column("state", Word, nullable=False),
    Column("currency", String(3), nullable=True),
    Column("amount", Minor, nullable=True),
    Column("reason", LongText, nullable=True),
    # Ids of the movements that are posted.
    Column("posted", Json, nullable=False),
    Column("lookups", Integer, nullable=False, default=0),
    Column("created_at", Millis, nullable=False),
    Column("updated_at", Millis, nullable=False),
    *work_columns(),
    Index("ix_disputes_payment_id", "payment_id"),
    info={"names": {"dispute_id": "id", "payment_id": "payment_id"}},
)
work_index(disputes)

# The timeline: what happened, numbered per payment, as the receivers and the stream are told it.
payment_events = Table(
    "payment_events",
    metadata,
    Column("id", Id, primary_key=True),
    Column("payment_id", Id, ForeignKey("payments.id"), nullable=False),
    Column("user_id", Id, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("type", Word, nullable=False),
    Column("at", Millis, nullable=False),
    Column("data", Json, nullable=False),
    UniqueConstraint("payment_id", "seq"),
    Index("ix_payment_events_user_id", "user_id", "at"),
)

# A receiver of a user's events. The row is due when something waits for it: back-off is its own.
webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", Id, nullable=False),
    Column("url", LongText, nullable=False),
    Column("events", Json, nullable=False),
    Column("state", Word, nullable=False),
    Column("disabled_why", Word, nullable=True),
    # Encrypted under SECRET_KEY.
    Column("secret", LongText, nullable=False),
    Column("secret_previous", LongText, nullable=True),
    Column("previous_until", Millis, nullable=True),
    # Turns in a row in which nothing could be delivered.
    Column("failures", Integer, nullable=False, default=0),
    Column("created_at", Millis, nullable=False),
    Column("updated_at", Millis, nullable=False),
    *work_columns(),
    CheckConstraint("state IN ('enabled', 'disabled', 'deleted')", name="state"),
    Index("ix_webhook_endpoints_user_id", "user_id", "id"),
    info={"guards": ("failures",), "names": {"endpoint_id": "id"}},
)
work_index(webhook_endpoints)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Id, primary_key=True),
    Column("endpoint_id", Id, ForeignKey("webhook_endpoints.id"), nullable=False),
    Column("event_id", Id, ForeignKey("payment_events.id"), nullable=False),
    Column("payment_id", Id, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("state", Word, nullable=False),
    Column("tries", Integer, nullable=False, default=0),
    # Not before this, when it failed by itself while others were delivered.
    Column("next_at", Millis, nullable=True),
    Column("first_failed_at", Millis, nullable=True),
    Column("last_status", Integer, nullable=True),
    Column("last_error", LongText, nullable=True),
    Column("delivered_at", Millis, nullable=True),
    Column("created_at", Millis, nullable=False),
    UniqueConstraint("endpoint_id", "event_id"),
    CheckConstraint("state IN ('waiting', 'delivered', 'given_up')", name="state"),
    Index("ix_deliveries_endpoint_id", "endpoint_id", "state", "payment_id", "seq"),
    Index("ix_deliveries_created_at", "created_at"),
)

delivery_attempts = Table(
    "delivery_attempts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("delivery_id", Id, ForeignKey("deliveries.id"), nullable=False),
    Column("at", Millis, nullable=False),
    Column("status", Integer, nullable=True),
    Column("error", LongText, nullable=True),
    Column("answer", LongText, nullable=False),
    Column("took_ms", Integer, nullable=False),
    Index("ix_delivery_attempts_delivery_id", "delivery_id", "at"),
)
