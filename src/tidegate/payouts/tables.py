"""The rows of payouts.

Kept for ever: ``payouts``, ``attempts``, ``payout_events``. Ages out: ``offers``,
``observations``. Personal data stands in the columns marked ``ENCRYPTED`` (and in ``db.exchanges``
and ``db.inbox``), so that it can be erased without touching the books; what a PSP says of a failure
(``reason_text``) may name somebody too, and is erased, but not encrypted (decision 0029).
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    UniqueConstraint,
    text,
)

from tidegate.db.base import (
    Account,
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
from tidegate.db.cipher import ENCRYPTED
from tidegate.payouts.states import CLOSED_ATTEMPT

__all__ = [
    "attempts",
    "bank_lists",
    "found_transfers",
    "observations",
    "offers",
    "payout_events",
    "payouts",
    "psp_balances",
]

payouts = Table(
    "payouts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("order_id", Id, nullable=False, unique=True),
    Column("dialect", Word, nullable=False),
    Column("state", Word, nullable=False),
    Column("round", Integer, nullable=False),
    # The figures of the round, as offered (``amount_text``) and, once usable, in minor units.
    Column("currency", String(16), nullable=False),
    Column("amount_text", LongText, nullable=False),
    Column("amount", Minor, nullable=True),
    Column("institution", String(64), nullable=False),
    Column("exclude_psps", Json, nullable=False),
    Column("recipient", Json, nullable=True, info=ENCRYPTED),
    Column("offered_at", Millis, nullable=False),
    Column("expires_at", Millis, nullable=False),
    # Chosen PSP and what is held on its account for this payout, fee included.
    Column("psp", Word, nullable=True),
    Column("held", Minor, nullable=False, default=0),
    # Holds and attempts made so far, over all rounds: they number references.
    Column("holds", Integer, nullable=False, default=0),
    Column("attempts", Integer, nullable=False, default=0),
    Column("reference", String(32), nullable=False),
    Column("tx_id", String(40), nullable=False),
    # What the aggregator was told in this round.
    Column("accept_first", Boolean, nullable=False, default=False),
    # 0: about to be told *pending*; it may have heard it.
    Column("told_pending_at", Millis, nullable=True),
    Column("told_at", Millis, nullable=True),
    Column("paid_ever", Boolean, nullable=False, default=False),
    Column("psp_id", String(128), nullable=True),
    Column("fault", Word, nullable=True),
    Column("reason_code", Word, nullable=True),
    Column("reason_text", LongText, nullable=True),
    Column("accepted_at", Millis, nullable=True),
    Column("paid_at", Millis, nullable=True),
    Column("ended_at", Millis, nullable=True),
    Column("created_at", Millis, nullable=False),
    *work_columns(),
    Index("ix_payouts_state", "state", "created_at"),
    Index("ix_payouts_created_at", "created_at"),
    info={
        "guards": ("round", "held", "attempts"),
        "names": {"order_id": "order_id", "payout_id": "id"},
    },
)
work_index(payouts)

attempts = Table(
    "attempts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("payout_id", Id, ForeignKey("payouts.id"), nullable=False),
    Column("round", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("psp", Word, nullable=False),
    Column("reference", String(64), nullable=False),
    Column("state", Word, nullable=False),
    Column("currency", String(16), nullable=False),
    Column("amount", Minor, nullable=False),
    # Amount and highest fee: what may leave the float.
    Column("held", Minor, nullable=False),
    Column("fee", Minor, nullable=True),
    # The transfer's body: the very bytes that are sent, and sent again.
    Column("body", LargeBinary, nullable=True, info=ENCRYPTED),
    Column("account_number", Account, nullable=True, info=ENCRYPTED),
    Column("bank_code", String(64), nullable=True),
    Column("psp_id", String(128), nullable=True),
    Column("session_id", String(128), nullable=True),
    Column("raw_status", String(64), nullable=True),
    Column("reason_code", Word, nullable=True),
    Column("reason_text", LongText, nullable=True),
    Column("fault", Word, nullable=True),
    Column("sent_at", Millis, nullable=True),
    Column("sends", Integer, nullable=False, default=0),
    Column("lookups", Integer, nullable=False, default=0),
    Column("not_found", Integer, nullable=False, default=0),
    # An earlier send of these bytes may have arrived.
    Column("maybe_sent", Boolean, nullable=False, default=False),
    Column("cooling_since", Millis, nullable=True),
    # When it became certain, one way or the other; a float band counts it until then.
    Column("final_at", Millis, nullable=True),
    Column("created_at", Millis, nullable=False),
    *work_columns(),
    UniqueConstraint("psp", "reference"),
    UniqueConstraint("payout_id", "number"),
    Index("ix_attempts_final_at", "psp", "currency", "final_at"),
    info={"guards": ("fee",), "names": {"attempt_id": "id", "payout_id": "payout_id"}},
)
work_index(attempts)

_closed = ", ".join(f"'{state}'" for state in sorted(CLOSED_ATTEMPT))
_standing = text(f"state NOT IN ({_closed})")
Index(
    "uq_attempts_standing",
    attempts.c.payout_id,
    unique=True,
    sqlite_where=_standing,
    postgresql_where=_standing,
)

payout_events = Table(
    "payout_events",
    metadata,
    Column("id", Id, primary_key=True),
    Column("payout_id", Id, ForeignKey("payouts.id"), nullable=False),
    Column("at", Millis, nullable=False),
    Column("round", Integer, nullable=False),
    Column("event", Word, nullable=False),
    Column("state", Word, nullable=False),
    Column("detail", Json, nullable=False),
    Index("ix_payout_events_payout_id", "payout_id", "at"),
)

offers = Table(
    "offers",
    metadata,
    Column("id", Id, primary_key=True),
    Column("order_id", Id, nullable=False),
    Column("dialect", Word, nullable=False),
    Column("received_at", Millis, nullable=False),
    Column("meaning", Word, nullable=False),
    Column("body", LongText, nullable=False, info=ENCRYPTED),
    Index("ix_offers_order_id", "order_id"),
    Index("ix_offers_received_at", "received_at"),
)

observations = Table(
    "observations",
    metadata,
    Column("id", Id, primary_key=True),
    Column("attempt_id", Id, ForeignKey("attempts.id"), nullable=False),
    Column("at", Millis, nullable=False),
    Column("source", Word, nullable=False),
    Column("kind", Word, nullable=False),
    Column("detail", Json, nullable=False, info=ENCRYPTED),
    Index("ix_observations_attempt_id", "attempt_id"),
    Index("ix_observations_at", "at"),
)

# Transfers under references of ours that a PSP has and a restored copy did not: facts, each of
# which becomes an attempt of its order as soon as that is known (``payout_id``).
found_transfers = Table(
    "found_transfers",
    metadata,
    Column("id", Id, primary_key=True),
    Column("psp", Word, nullable=False),
    Column("reference", String(64), nullable=False),
    # The order's part of it, which an offer is recognised by, and the attempt's.
    Column("order_reference", String(32), nullable=False),
    Column("number", Integer, nullable=False),
    # What the PSP said; ``certain``: that it failed, and nothing will change that.
    Column("outcome", Word, nullable=False),
    Column("certain", Boolean, nullable=False),
    Column("currency", String(16), nullable=True),
    Column("amount", Minor, nullable=True),
    Column("psp_id", String(128), nullable=True),
    Column("account_number", Account, nullable=True, info=ENCRYPTED),
    Column("bank_code", String(64), nullable=True),
    Column("found_at", Millis, nullable=False),
    Column("payout_id", Id, ForeignKey("payouts.id"), nullable=True),
    UniqueConstraint("psp", "reference"),
    Index("ix_found_transfers_order_reference", "order_reference"),
    # An id that is expected to be empty: it is booked to one order only.
    info={"guards": ("payout_id",)},
)

# One row a PSP and currency: the last bank list that was verified (A12).
bank_lists = Table(
    "bank_lists",
    metadata,
    Column("id", Id, primary_key=True),
    Column("psp", Word, nullable=False),
    Column("currency", String(16), nullable=False),
    Column("banks", Json, nullable=False),
    Column("verified_at", Millis, nullable=False),
)

# One row a PSP and currency: the last reading of its balance and what it was compared with.
psp_balances = Table(
    "psp_balances",
    metadata,
    Column("id", Id, primary_key=True),
    Column("psp", Word, nullable=False),
    Column("currency", String(16), nullable=False),
    Column("reading", Minor, nullable=True),
    Column("read_at", Millis, nullable=True),
    Column("opened_at", Millis, nullable=True),
    # Rises with every entry that changes what should be there outside an order's life: a
    # comparison that began before such an entry is thrown away.
    Column("version", BigInteger, nullable=False, default=0),
    info={"guards": ("version",)},
)
