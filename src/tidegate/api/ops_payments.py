"""Payments for operators: everybody's, with their stories, and what to do about an unknown one."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request

from tidegate.api.cursors import Cursor, Limit, Page, cut, decode_cursor
from tidegate.api.deps import deps, money_in
from tidegate.api.guard import CardGuardedRoute
from tidegate.api.identity import IsOperator
from tidegate.api.limits import limit_writes
from tidegate.api.openapi import answer, problems
from tidegate.api.ops_bodies import Act, Resolve
from tidegate.api.ops_common import ACT, LIST, ORIGIN, SHOW, act, due_of
from tidegate.api.ops_models import (
    OPS_PAYMENT_EXAMPLE,
    PAYMENT_STORY_EXAMPLE,
    OpsPayment,
    PaymentStory,
)
from tidegate.api.payment_models import Status
from tidegate.api.payments import PaymentId
from tidegate.clock import rfc3339
from tidegate.errors import CardNumberRefused, NotFound, PaymentsOff, WrongState
from tidegate.observability.redaction import redact_exchange
from tidegate.payments.readings import PaymentFilter, list_payments
from tidegate.payments.resolve import close_as_failed, look_again, read_doubt
from tidegate.payments.store import Row, payment_by_id
from tidegate.payments.story import Story, read_story
from tidegate.payments.view import payment_view, refund_view
from tidegate.payments.waiting import waiting
from tidegate.work.story import lines_shown
from tidegate.work.waiting import waiting_shown

__all__ = ["router"]

router = APIRouter(prefix="/api/ops/payments", tags=["operators"], route_class=CardGuardedRoute)

_LIST: Final = "ops_payments"
_DISPUTE: Final = ("id", "state", "amount", "currency", "reason", "processor_reference")
_WRITES: Final = [Depends(limit_writes)]
_ACT: Final = (*ACT, WrongState, PaymentsOff, CardNumberRefused)


@router.get(
    "",
    summary="List everybody's payments",
    responses={
        **answer(200, "Newest first.", {"data": [OPS_PAYMENT_EXAMPLE], "next_cursor": None}),
        **problems(*LIST, CardNumberRefused),
    },
)
async def payments(
    request: Request,
    identity: IsOperator,
    limit: Limit = 20,
    cursor: Cursor = None,
    status: Status | None = None,
    user_id: Annotated[str | None, Query(max_length=64)] = None,
) -> Page[OpsPayment]:
    """Of all users, or of one."""
    after, wanted = decode_cursor(_LIST, cursor), PaymentFilter(user_id, status)
    rows = await deps(request).app.database.fetch(
        lambda c: list_payments(c, wanted, after, limit + 1)
    )
    page, next_cursor = cut(rows, limit, _LIST, lambda row: str(row["id"]))
    return Page[OpsPayment](data=[_shown(row) for row in page], next_cursor=next_cursor)


@router.get(
    "/{payment_id}",
    summary="A payment's whole story",
    responses={
        **answer(200, "By time.", PAYMENT_STORY_EXAMPLE),
        **problems(*SHOW, CardNumberRefused),
    },
)
async def payment(request: Request, identity: IsOperator, payment_id: PaymentId) -> PaymentStory:
    """What was asked, said, booked and told, why it waits, and what is done next. What other
    companies wrote is redacted."""
    app = deps(request).app

    def read(connection: Any) -> Story:
        row = payment_by_id(connection, payment_id)
        if row is None:
            raise NotFound("There is no such payment.")
        return read_story(connection, row)

    story = await app.database.read(read)
    state = waiting(
        story.payment, story.refunds, story.disputes, story.open_cases, app.clock.now_ms()
    )
    return PaymentStory.model_validate(
        {
            "payment": _shown(story.payment),
            "refunds": [refund_view(row) for row in story.refunds],
            "disputes": [
                {
                    **{name: row[name] for name in _DISPUTE},
                    "created_at": rfc3339(row["created_at"]),
                    "updated_at": rfc3339(row["updated_at"]),
                }
                for row in story.disputes
            ],
            "waiting": waiting_shown(state),
            "open_cases": [case["id"] for case in story.open_cases],
            "story": lines_shown(story.lines),
        }
    )


@router.post(
    "/{payment_id}/look",
    summary="Ask the processor again",
    status_code=202,
    dependencies=_WRITES,
    responses={
        **answer(202, "It is due now.", OPS_PAYMENT_EXAMPLE),
        **problems(*_ACT),
    },
)
async def look(
    request: Request, identity: IsOperator, payment_id: PaymentId, body: Act
) -> OpsPayment:
    """At once, for the payment and its refunds that have not ended. It changes nothing by
    itself: the processor's answer does."""
    money_in(request)
    app = deps(request).app
    doubt = await app.database.read(lambda c: read_doubt(c, payment_id))
    unit = look_again(doubt, by=identity.user_id, origin=ORIGIN, reason=body.reason)
    await act(request, unit)
    return await _now(request, payment_id)


@router.post(
    "/{payment_id}/resolve",
    summary="Close a payment whose outcome is unknown",
    dependencies=_WRITES,
    responses={
        **answer(
            200,
            "It is failed, and its client is told.",
            {**OPS_PAYMENT_EXAMPLE, "status": "failed", "state": "failed"},
        ),
        **problems(*_ACT),
    },
)
async def resolve(
    request: Request, identity: IsOperator, payment_id: PaymentId, body: Resolve
) -> OpsPayment:
    """As failed, never as succeeded; only one that the processor does not know or has told
    nothing of for a day. An object that may be there is canceled at the processor. Should the
    money have been taken after all, that is booked and a case tells of it."""
    money_in(request)
    app = deps(request).app
    doubt = await app.database.read(lambda c: read_doubt(c, payment_id))
    unit = close_as_failed(
        doubt,
        app.clock,
        app.randomness,
        by=identity.user_id,
        origin=ORIGIN,
        reason=body.reason,
        evidence=body.evidence,
    )
    await act(request, unit)
    return await _now(request, payment_id)


async def _now(request: Request, payment_id: str) -> OpsPayment:
    row = await deps(request).app.database.fetch(lambda c: payment_by_id(c, payment_id))
    assert row is not None  # payments are kept for ever
    return _shown(row)


def _shown(row: Row) -> OpsPayment:
    view = payment_view(row)
    return OpsPayment.model_validate(
        {
            **view,
            # With the client's secret an operator could act in the client's place.
            "next_action": redact_exchange(view["next_action"]),
            "user_id": row["user_id"],
            "state": row["state"],
            "lookups": row["lookups"],
            "due": due_of(row),
        }
    )
