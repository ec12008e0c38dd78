"""Webhook endpoints and deliveries over HTTP (payments.md, "Telling the client")."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response

from tidegate.api.cursors import Cursor, Limit, Page, cut, decode_cursor
from tidegate.api.endpoints_models import (
    DELIVERY_ID,
    ENDPOINT_ID,
    Delivery,
    Endpoint,
    EndpointList,
    EndpointWithSecret,
    NewEndpoint,
    PatchEndpoint,
    Queued,
    Since,
)
from tidegate.api.guard import GuardedRoute
from tidegate.api.identity import IsUser
from tidegate.api.limits import limit_writes
from tidegate.api.openapi import problems
from tidegate.errors import (
    InvalidToken,
    LimitReached,
    NotAuthenticated,
    NotFound,
    ReceiverRefused,
    TooManyRequests,
    ValidationFailed,
)
from tidegate.payments.deliver_again import Again
from tidegate.payments.endpoints import Endpoints

__all__ = ["deliveries_of", "endpoints_of", "router"]

router = APIRouter(prefix="/api", tags=["webhook endpoints"], route_class=GuardedRoute)

_LIST = "deliveries"
_WRITES = [Depends(limit_writes)]
_ALWAYS = (NotAuthenticated, InvalidToken)

_EndpointId = Annotated[str, Path(max_length=64, examples=[ENDPOINT_ID])]
_DeliveryId = Annotated[str, Path(max_length=64, examples=[DELIVERY_ID])]


def endpoints_of(request: Request) -> Endpoints:
    """The verbs of endpoints of the application that got ``request``."""
    found: Endpoints = request.app.state.deps.endpoints
    return found


def deliveries_of(request: Request) -> Again:
    """The verbs of deliveries of the application that got ``request``."""
    found: Again = request.app.state.deps.deliveries
    return found


@router.post(
    "/webhook-endpoints",
    summary="Tell a receiver about events",
    status_code=201,
    dependencies=_WRITES,
    responses=problems(*_ALWAYS, ValidationFailed, ReceiverRefused, LimitReached, TooManyRequests),
)
async def create(request: Request, identity: IsUser, body: NewEndpoint) -> EndpointWithSecret:
    """Messages follow Standard Webhooks: verify `webhook-signature` with the `secret`, which is
    shown only here. Answer 2xx within 15 seconds; the same `webhook-id` may come more than once.
    Events of one payment come in order, and `data.sequence` numbers them."""
    made = await endpoints_of(request).create(identity.user_id, body.url, body.events)
    return EndpointWithSecret.model_validate(made)


@router.get("/webhook-endpoints", summary="List receivers", responses=problems(*_ALWAYS))
async def list_endpoints(request: Request, identity: IsUser) -> EndpointList:
    """At most 16, newest first."""
    found = await endpoints_of(request).all(identity.user_id)
    return EndpointList(data=[Endpoint.model_validate(each) for each in found])


@router.get(
    "/webhook-endpoints/{endpoint_id}",
    summary="Show a receiver",
    responses=problems(*_ALWAYS, NotFound),
)
async def show(request: Request, identity: IsUser, endpoint_id: _EndpointId) -> Endpoint:
    """Without its secret."""
    return Endpoint.model_validate(await endpoints_of(request).show(identity.user_id, endpoint_id))


@router.patch(
    "/webhook-endpoints/{endpoint_id}",
    summary="Change, disable or enable a receiver",
    dependencies=_WRITES,
    responses=problems(*_ALWAYS, NotFound, ValidationFailed, ReceiverRefused, TooManyRequests),
)
async def patch(
    request: Request, identity: IsUser, endpoint_id: _EndpointId, body: PatchEndpoint
) -> Endpoint:
    """Another URL, or `enabled: true`, sends at once what waits. What happens while a receiver is
    disabled does not wait for it: fetch it with a replay."""
    changed = await endpoints_of(request).patch(
        identity.user_id, endpoint_id, url=body.url, events=body.events, enabled=body.enabled
    )
    return Endpoint.model_validate(changed)


@router.delete(
    "/webhook-endpoints/{endpoint_id}",
    summary="Remove a receiver",
    status_code=204,
    dependencies=_WRITES,
    responses=problems(*_ALWAYS, NotFound, TooManyRequests),
)
async def delete(request: Request, identity: IsUser, endpoint_id: _EndpointId) -> Response:
    """Nothing more is sent to it, except what is on its way at this moment."""
    await endpoints_of(request).delete(identity.user_id, endpoint_id)
    return Response(status_code=204)


@router.post(
    "/webhook-endpoints/{endpoint_id}/rotate",
    summary="Get a new secret",
    dependencies=_WRITES,
    responses=problems(*_ALWAYS, NotFound, TooManyRequests),
)
async def rotate(
    request: Request, identity: IsUser, endpoint_id: _EndpointId
) -> EndpointWithSecret:
    """For 24 hours messages carry a signature of the previous secret as well."""
    made = await endpoints_of(request).rotate(identity.user_id, endpoint_id)
    return EndpointWithSecret.model_validate(made)


@router.get(
    "/webhook-endpoints/{endpoint_id}/deliveries",
    summary="List what was and will be sent",
    responses=problems(*_ALWAYS, NotFound, ValidationFailed),
)
async def list_deliveries(
    request: Request,
    identity: IsUser,
    endpoint_id: _EndpointId,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Page[Delivery]:
    """The delivery log, newest event first, with the beginning of each answer."""
    found = await deliveries_of(request).page(
        identity.user_id, endpoint_id, decode_cursor(_LIST, cursor), limit + 1
    )
    page, next_cursor = cut(found, limit, _LIST, lambda each: str(each["event_id"]))
    return Page[Delivery](
        data=[Delivery.model_validate(each) for each in page], next_cursor=next_cursor
    )


@router.post(
    "/webhook-endpoints/{endpoint_id}/replay",
    summary="Send everything since an instant again",
    status_code=202,
    dependencies=_WRITES,
    responses=problems(*_ALWAYS, NotFound, ValidationFailed, TooManyRequests),
)
async def replay(
    request: Request, identity: IsUser, endpoint_id: _EndpointId, body: Since
) -> Queued:
    """In order per payment, with the ids they had; also what happened while the receiver was
    disabled or did not exist, and what was given up."""
    queued = await deliveries_of(request).replay(identity.user_id, endpoint_id, body.since_ms)
    return Queued(queued=queued)


@router.post(
    "/webhook-deliveries/{delivery_id}/redeliver",
    summary="Send one event again",
    status_code=202,
    dependencies=_WRITES,
    responses=problems(*_ALWAYS, NotFound, TooManyRequests),
)
async def redeliver(request: Request, identity: IsUser, delivery_id: _DeliveryId) -> Delivery:
    """It waits until its receiver is enabled, if it is not."""
    return Delivery.model_validate(
        await deliveries_of(request).redeliver(identity.user_id, delivery_id)
    )
