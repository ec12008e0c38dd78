"""What ages out, and what each kind of it must wait for: the one table of retention.

Kept for ever, and not named here: entries, payouts and their events, attempts, payments, refunds,
disputes and their timeline, cases, the operators' log. Nothing that a payout or a payment may
still need goes, however old it is: its row must have ended, nothing may be due for it, and no case
about it may be open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement, Table, and_, exists, or_, select

from tidegate.cases.tables import cases
from tidegate.db.exchanges import exchanges
from tidegate.db.idempotency import idempotency_keys
from tidegate.db.inbox import inbox
from tidegate.payments.states import ENDED as PAYMENT_ENDED
from tidegate.payments.states import DisputeState, RefundState
from tidegate.payments.tables import (
    deliveries,
    delivery_attempts,
    disputes,
    payments,
    refunds,
    webhook_endpoints,
)
from tidegate.payouts.states import CLOSED_ATTEMPT, AttemptState
from tidegate.payouts.states import ENDED as PAYOUT_ENDED
from tidegate.payouts.tables import attempts, observations, offers, payouts
from tidegate.users.tables import rate_limits, refresh_tokens, sessions

__all__ = [
    "DISPUTE_OPEN",
    "KINDS",
    "REFUND_OPEN",
    "Kind",
    "payment_over",
    "payout_over",
]

REFUND_OPEN = (RefundState.ASKING.value, RefundState.PENDING.value)
DISPUTE_OPEN = (DisputeState.NEW.value, DisputeState.INQUIRY.value, DisputeState.OPEN.value)

_ATTEMPT_OVER = sorted({*CLOSED_ATTEMPT, AttemptState.PAID, AttemptState.REVERSED})


@dataclass(frozen=True, slots=True)
class Kind:
    """Rows of one table that go by their age.

    ``age`` is the instant that is counted from, ``may_go`` what must be true besides, ``parts``
    the columns of other tables whose rows belong to one of these and go with it.
    """

    name: str
    table: Table
    age: ColumnElement[Any]
    may_go: ColumnElement[bool]
    parts: tuple[Column[Any], ...] = ()


def _open_case(*subjects: ColumnElement[Any]) -> ColumnElement[bool]:
    about = or_(*(cases.c.subject == subject for subject in subjects))
    return exists(select(cases.c.id).where(cases.c.state == "open", about))


def payout_over() -> ColumnElement[bool]:
    """Nothing more is expected of a row of ``payouts``, and nobody asks about it."""
    its_attempts = attempts.c.payout_id == payouts.c.id
    return and_(
        payouts.c.state.in_(sorted(PAYOUT_ENDED)),
        payouts.c.due_at.is_(None),
        ~exists(
            select(attempts.c.id).where(
                its_attempts,
                or_(attempts.c.state.not_in(_ATTEMPT_OVER), attempts.c.due_at.is_not(None)),
            )
        ),
        ~_open_case(payouts.c.id, payouts.c.order_id),
        ~exists(
            select(attempts.c.id)
            .join(cases, cases.c.subject == attempts.c.id)
            .where(its_attempts, cases.c.state == "open")
        ),
    )


def payment_over() -> ColumnElement[bool]:
    """The same of a row of ``payments``, with its refunds and disputes."""
    its_refunds = refunds.c.payment_id == payments.c.id
    its_disputes = disputes.c.payment_id == payments.c.id
    return and_(
        payments.c.state.in_(sorted(PAYMENT_ENDED)),
        payments.c.due_at.is_(None),
        ~exists(
            select(refunds.c.id).where(
                its_refunds, or_(refunds.c.state.in_(REFUND_OPEN), refunds.c.due_at.is_not(None))
            )
        ),
        ~exists(
            select(disputes.c.id).where(
                its_disputes,
                or_(disputes.c.state.in_(DISPUTE_OPEN), disputes.c.due_at.is_not(None)),
            )
        ),
        ~_open_case(payments.c.id),
        ~exists(
            select(refunds.c.id)
            .join(cases, cases.c.subject == refunds.c.id)
            .where(its_refunds, cases.c.state == "open")
        ),
        ~exists(
            select(disputes.c.id)
            .join(cases, cases.c.subject == disputes.c.id)
            .where(its_disputes, cases.c.state == "open")
        ),
    )


def _payout_open(which: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists(select(payouts.c.id).where(which, ~payout_over()))


def _payment_open(which: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists(select(payments.c.id).where(which, ~payment_over()))


def _parent(part: Table, subject: Column[Any]) -> Any:
    """The payment of the refund or dispute that ``subject`` names."""
    of_it = select(part.c.payment_id).where(part.c.id == subject)
    # Two levels up: left to itself, the table would be joined whole.
    return of_it.correlate(subject.table).scalar_subquery()


def _exchange_may_go() -> ColumnElement[bool]:
    about = exchanges.c.subject
    return and_(
        ~_payout_open(payouts.c.id == about),
        ~_payment_open(payments.c.id == about),
        ~_payment_open(payments.c.id == _parent(refunds, about)),
        ~_payment_open(payments.c.id == _parent(disputes, about)),
        ~_open_case(about),
    )


def _key_may_go() -> ColumnElement[bool]:
    """Answered, and its payment can move no money any more: not captured, or refunded whole.

    A key that went would let the same request charge or refund once more (payments.md,
    "Idempotency"), so as long as anything may move it stays.
    """
    about = idempotency_keys.c.subject
    spent = exists(
        select(payments.c.id).where(
            or_(payments.c.id == about, payments.c.id == _parent(refunds, about)),
            payments.c.amount_captured == payments.c.amount_refunded,
            payment_over(),
        )
    )
    return and_(idempotency_keys.c.status.is_not(None), spent)


KINDS: tuple[Kind, ...] = (
    Kind(
        "offers",
        offers,
        offers.c.received_at,
        ~_payout_open(payouts.c.order_id == offers.c.order_id),
    ),
    Kind(
        "inbox",
        inbox,
        inbox.c.received_at,
        and_(inbox.c.state == "read", inbox.c.due_at.is_(None), ~_open_case(inbox.c.id)),
    ),
    Kind("exchanges", exchanges, exchanges.c.at, _exchange_may_go()),
    Kind(
        "observations",
        observations,
        observations.c.at,
        ~_payout_open(
            payouts.c.id
            == select(attempts.c.payout_id)
            .where(attempts.c.id == observations.c.attempt_id)
            .correlate(observations)
            .scalar_subquery()
        ),
    ),
    Kind(
        "deliveries",
        deliveries,
        deliveries.c.created_at,
        or_(
            deliveries.c.state != "waiting",
            exists(
                select(webhook_endpoints.c.id).where(
                    webhook_endpoints.c.id == deliveries.c.endpoint_id,
                    webhook_endpoints.c.state == "deleted",
                )
            ),
        ),
        (delivery_attempts.c.delivery_id,),
    ),
    # A used refresh token lives as long as its session: shown again, it voids the family.
    Kind(
        "sessions",
        sessions,
        sessions.c.expires_at,
        sessions.c.id.is_not(None),
        (refresh_tokens.c.session_id,),
    ),
    Kind(
        "idempotency_keys",
        idempotency_keys,
        idempotency_keys.c.created_at,
        _key_may_go(),
    ),
    Kind(
        "rate_limits",
        rate_limits,
        rate_limits.c.window_started_at,
        rate_limits.c.id.is_not(None),
    ),
)
