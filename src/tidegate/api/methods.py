"""Stored payment methods over HTTP (payments.md, "Payment methods")."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Path, Request

from tidegate.api.deps import money_in
from tidegate.api.guard import CardGuardedRoute
from tidegate.api.identity import IsUser
from tidegate.api.limits import LimitedWrites
from tidegate.api.openapi import answer, problems
from tidegate.api.payment_models import METHOD_EXAMPLE, Attach, MethodList, PaymentMethod, SetUp
from tidegate.errors import (
    CardDeclined,
    CardNumberRefused,
    Conflict,
    InvalidToken,
    LimitReached,
    NotAuthenticated,
    NotFound,
    PaymentsOff,
    ProcessorFailed,
    ProcessorUnreachable,
    TooManyRequests,
    UnreadableBody,
    UnsupportedMediaType,
    ValidationFailed,
)
from tidegate.payments.view import card_view

__all__ = ["router"]

router = APIRouter(
    prefix="/api/payment-methods", tags=["payment methods"], route_class=CardGuardedRoute
)

MethodId = Annotated[
    str,
    Path(
        max_length=64,
        examples=[METHOD_EXAMPLE["id"]],
        description="The id of a stored payment method.",
    ),
]
_ALL: Final = (NotAuthenticated, InvalidToken, ValidationFailed, PaymentsOff)
_WRITE: Final = (*_ALL, ProcessorFailed, ProcessorUnreachable, TooManyRequests)


@router.post(
    "",
    summary="Store a payment method",
    status_code=201,
    responses={
        **answer(201, "Stored; the first one is the default.", METHOD_EXAMPLE),
        **problems(
            *_WRITE,
            UnreadableBody,
            UnsupportedMediaType,
            CardNumberRefused,
            CardDeclined,
            Conflict,
            LimitReached,
        ),
    },
)
async def attach(request: Request, body: Attach, user: IsUser, _: LimitedWrites) -> PaymentMethod:
    """Take a token that the processor gave the client's page. The same token again is the same
    method."""
    row = await money_in(request).methods.attach(user.user_id, body.token)
    return PaymentMethod.model_validate(card_view(row))


@router.post(
    "/setup",
    summary="Begin to store a card in the browser",
    responses={
        **answer(
            200,
            "With these the processor's script stores a card, so that it never comes here.",
            {"client_secret": "seti_1QNc_secret_9xYz", "publishable_key": "pk_test_51QNc"},
        ),
        **problems(*_WRITE),
    },
)
async def set_up(request: Request, user: IsUser, _: LimitedWrites) -> SetUp:
    """A set-up intent of the processor, for the user's own customer there."""
    money = money_in(request)
    secret = await money.methods.set_up(user.user_id)
    return SetUp(client_secret=secret, publishable_key=money.cards.publishable_key)


@router.get(
    "",
    summary="List stored payment methods",
    responses={**answer(200, "Newest first.", {"data": [METHOD_EXAMPLE]}), **problems(*_ALL)},
)
async def methods(request: Request, user: IsUser) -> MethodList:
    """The user's own, at most 50."""
    rows = await money_in(request).methods.stored(user.user_id)
    return MethodList(data=[PaymentMethod.model_validate(card_view(row)) for row in rows])


@router.post(
    "/{method_id}/default",
    summary="Make a payment method the default",
    responses={
        **answer(200, "The default now.", METHOD_EXAMPLE),
        **problems(*_ALL, NotFound, Conflict, TooManyRequests),
    },
)
async def make_default(
    request: Request, method_id: MethodId, user: IsUser, _: LimitedWrites
) -> PaymentMethod:
    """The one that was the default before is it no longer."""
    row = await money_in(request).methods.make_default(user.user_id, method_id)
    return PaymentMethod.model_validate(card_view(row))


@router.delete(
    "/{method_id}",
    summary="Remove a payment method",
    status_code=204,
    responses=problems(*_WRITE, NotFound),
)
async def detach(request: Request, method_id: MethodId, user: IsUser, _: LimitedWrites) -> None:
    """It can be charged no more; payments made with it keep showing it."""
    await money_in(request).methods.detach(user.user_id, method_id)
