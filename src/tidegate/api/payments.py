"""Payments over HTTP (payments.md, "Payments"): thin, the verbs decide."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request
from pydantic import BeforeValidator
from starlette.responses import Response

from tidegate.api.cursors import Cursor, Limit, Page, cut, decode_cursor
from tidegate.api.deps import MovesMoney, deps, money_in
from tidegate.api.guard import CardGuardedRoute
from tidegate.api.idempotent import (
    KEY_OPTIONAL,
    KEY_REQUIRED,
    REPLAYED,
    answered,
    asked,
    asked_if_given,
)
from tidegate.api.identity import IsUser
from tidegate.api.limits import LimitedWrites
from tidegate.api.openapi import answer, problems
from tidegate.api.payment_models import (
    PAYMENT_EXAMPLE,
    PAYMENT_ID,
    REFUND_EXAMPLE,
    CaptureOrder,
    Event,
    NewPaymentBody,
    Payment,
    Refund,
    RefundOrder,
    Status,
)
from tidegate.errors import (
    AmountExceedsRefundable,
    AmountNotAllowed,
    CardDeclined,
    CardNumberRefused,
    CurrencyNotEnabled,
    IdempotencyKeyRequired,
    IdempotencyKeyReused,
    InvalidToken,
    NotAuthenticated,
    NotFound,
    PaymentsOff,
    ProcessorFailed,
    Quarantined,
    StillRunning,
    TooManyRequests,
    UnreadableBody,
    UnsupportedMediaType,
    ValidationFailed,
    WrongState,
)
from tidegate.payments.create import NewPayment
from tidegate.payments.readings import PaymentFilter, list_events, list_payments, list_refunds
from tidegate.payments.store import Row, payment_of_user
from tidegate.payments.view import payment_view, refund_view

__all__ = ["PaymentId", "router"]

router = APIRouter(prefix="/api/payments", tags=["payments"], route_class=CardGuardedRoute)

PaymentId = Annotated[
    str,
    # No pattern: an id that cannot be one is that of no payment, so 404 as for any other.
    Path(max_length=64, examples=[PAYMENT_ID], description="The id of a payment."),
]
_REPLAYED: Final = {REPLAYED: "`true` when this is the stored answer of an earlier request."}
_READ: Final = (NotAuthenticated, InvalidToken, NotFound, ValidationFailed)
_WRITE: Final = (
    UnreadableBody,
    IdempotencyKeyRequired,
    NotAuthenticated,
    InvalidToken,
    StillRunning,
    UnsupportedMediaType,
    ValidationFailed,
    IdempotencyKeyReused,
    CardNumberRefused,
    ProcessorFailed,
    TooManyRequests,
    PaymentsOff,
    Quarantined,
)
_UNKNOWN: Final = {**PAYMENT_EXAMPLE, "status": "processing", "outcome": "unknown"}
_LATER: Final = "The processor has not answered so far; it is asked until the outcome is known."


def _spelt(value: Any) -> Any:
    # A number would be read as Unix seconds or milliseconds, by its size.
    if not isinstance(value, str) or "T" not in value.upper():
        raise ValueError("Input should be an RFC 3339 time, such as 2026-11-21T10:00:00Z")
    return value


_Moment = Annotated[
    datetime | None,
    BeforeValidator(_spelt),
    Query(description="RFC 3339, with a time zone."),
]


@router.post(
    "",
    summary="Make a payment",
    status_code=201,
    response_model=Payment,
    openapi_extra=KEY_REQUIRED,
    responses={
        **answer(201, "The payment; its status says what comes next.", PAYMENT_EXAMPLE, _REPLAYED),
        **answer(202, _LATER, _UNKNOWN, _REPLAYED),
        **problems(*_WRITE, CardDeclined, AmountNotAllowed, CurrencyNotEnabled),
    },
)
async def create_payment(
    request: Request, body: NewPaymentBody, user: IsUser, _: LimitedWrites, moves: MovesMoney
) -> Response:
    """Charge or authorise a stored method. Without one the payment waits for a method that the
    client brings to the processor with the client secret in `next_action`."""
    key = asked(request, user.user_id)
    wish = NewPayment(
        amount=body.amount,
        currency=body.currency.upper(),
        payment_method_id=body.payment_method_id,
        manual_capture=body.capture_method == "manual",
        description=body.description,
        metadata=body.metadata,
        return_url=body.return_url,
    )
    return answered(await money_in(request).create(key, wish))


@router.get(
    "",
    summary="List payments",
    responses={
        **answer(200, "Newest first.", {"data": [PAYMENT_EXAMPLE], "next_cursor": None}),
        **problems(NotAuthenticated, InvalidToken, ValidationFailed),
    },
)
async def payments(
    request: Request,
    user: IsUser,
    limit: Limit = 20,
    cursor: Cursor = None,
    status: Status | None = None,
    created_gte: _Moment = None,
    created_lt: _Moment = None,
) -> Page[Payment]:
    """The user's own payments."""
    after = decode_cursor("payments", cursor)
    wanted = PaymentFilter(
        user.user_id, status, _ms("created_gte", created_gte), _ms("created_lt", created_lt)
    )
    rows = await deps(request).app.database.fetch(
        lambda c: list_payments(c, wanted, after, limit + 1)
    )
    page: Page[Payment] = _page(rows, limit, "payments", Payment, payment_view)
    return page


@router.get(
    "/{payment_id}",
    summary="Show a payment",
    responses={**answer(200, "As it stands.", PAYMENT_EXAMPLE), **problems(*_READ)},
)
async def payment(request: Request, payment_id: PaymentId, user: IsUser) -> Payment:
    """Somebody else's payment is not found."""
    return Payment.model_validate(payment_view(await _own(request, user.user_id, payment_id)))


@router.post(
    "/{payment_id}/capture",
    summary="Capture an authorised payment",
    response_model=Payment,
    openapi_extra=KEY_REQUIRED,
    responses={
        **answer(200, "Captured.", PAYMENT_EXAMPLE, _REPLAYED),
        **answer(202, _LATER, _UNKNOWN, _REPLAYED),
        **problems(*_WRITE, NotFound, WrongState, AmountNotAllowed, CardDeclined),
    },
)
async def capture(
    request: Request,
    payment_id: PaymentId,
    user: IsUser,
    _: LimitedWrites,
    moves: MovesMoney,
    body: CaptureOrder | None = None,
) -> Response:
    """Take what was authorised, or less; the rest is let go."""
    key = asked(request, user.user_id)
    amount = body.amount if body is not None else None
    return answered(await money_in(request).capture(key, payment_id, amount))


@router.post(
    "/{payment_id}/cancel",
    summary="Give a payment up",
    response_model=Payment,
    openapi_extra=KEY_OPTIONAL,
    responses={
        **answer(
            200, "Nothing can be charged any more.", {**PAYMENT_EXAMPLE, "status": "canceled"}
        ),
        **answer(202, _LATER, _UNKNOWN, _REPLAYED),
        **problems(*_WRITE, NotFound, WrongState),
    },
)
async def cancel(
    request: Request, payment_id: PaymentId, user: IsUser, _: LimitedWrites, moves: MovesMoney
) -> Response:
    """Possible until the money is taken. A payment that is canceled already stays so."""
    key = asked_if_given(request, user.user_id)
    return answered(await money_in(request).cancel(user.user_id, payment_id, key))


@router.post(
    "/{payment_id}/refunds",
    summary="Refund a payment",
    status_code=201,
    response_model=Refund,
    openapi_extra=KEY_REQUIRED,
    responses={
        **answer(201, "The refund; it may be pending.", REFUND_EXAMPLE, _REPLAYED),
        **answer(
            202, _LATER, {**REFUND_EXAMPLE, "status": "pending", "outcome": "unknown"}, _REPLAYED
        ),
        **problems(*_WRITE, NotFound, WrongState, AmountExceedsRefundable),
    },
)
async def refund(
    request: Request,
    payment_id: PaymentId,
    user: IsUser,
    _: LimitedWrites,
    moves: MovesMoney,
    body: RefundOrder | None = None,
) -> Response:
    """Give back a part or all of what was captured and is not given back yet."""
    key = asked(request, user.user_id)
    amount, reason = (body.amount, body.reason) if body is not None else (None, None)
    return answered(await money_in(request).refund(key, payment_id, amount, reason))


@router.get(
    "/{payment_id}/refunds",
    summary="List a payment's refunds",
    responses={
        **answer(200, "Newest first.", {"data": [REFUND_EXAMPLE], "next_cursor": None}),
        **problems(*_READ),
    },
)
async def refunds(
    request: Request,
    payment_id: PaymentId,
    user: IsUser,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Page[Refund]:
    """All of them, those that failed too."""
    after = decode_cursor("refunds", cursor)
    await _own(request, user.user_id, payment_id)
    rows = await deps(request).app.database.fetch(
        lambda c: list_refunds(c, payment_id, after, limit + 1)
    )
    page: Page[Refund] = _page(rows, limit, "refunds", Refund, refund_view)
    return page


@router.get(
    "/{payment_id}/events",
    summary="A payment's timeline",
    responses={
        **answer(
            200,
            "Oldest first.",
            {
                "data": [
                    {
                        "id": "evt_01jd8m3q8a1b2c3d4e5f6g7h8j",
                        "type": "payment.succeeded",
                        "sequence": 2,
                        "created_at": PAYMENT_EXAMPLE["created_at"],
                        "data": PAYMENT_EXAMPLE,
                    }
                ],
                "next_cursor": None,
            },
        ),
        **problems(*_READ),
    },
)
async def events(
    request: Request,
    payment_id: PaymentId,
    user: IsUser,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Page[Event]:
    """What happened, in order: the same events that webhook endpoints and the stream are told."""
    after = decode_cursor("events", cursor)
    await _own(request, user.user_id, payment_id)
    rows = await deps(request).app.database.fetch(
        lambda c: list_events(c, payment_id, after, limit + 1)
    )
    page: Page[Event] = _page(rows, limit, "events", Event, dict)
    return page


async def _own(request: Request, user_id: str, payment_id: str) -> Row:
    row = await deps(request).app.database.fetch(lambda c: payment_of_user(c, user_id, payment_id))
    if row is None:
        raise NotFound("There is no such payment.")
    return row


def _page(rows: Any, limit: int, list_: str, model: Any, view: Any) -> Any:
    page, next_cursor = cut(rows, limit, list_, lambda row: str(row["id"]))
    shown = [model.model_validate(view(row)) for row in page]
    return Page[model](data=shown, next_cursor=next_cursor)


def _ms(name: str, moment: datetime | None) -> int | None:
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise ValidationFailed(
            [
                {
                    "field": f"query.{name}",
                    "code": "timezone_missing",
                    "message": "Say the time zone, such as Z",
                }
            ]
        )
    return round((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)
