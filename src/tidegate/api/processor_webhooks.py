"""The card processor's events over HTTP (payments.md, "Webhooks in"): verify, keep, answer."""

from __future__ import annotations

import structlog
from fastapi import APIRouter, Request

from tidegate.api.deps import deps, money_in
from tidegate.api.guard import GuardedRoute
from tidegate.api.openapi import answer, problems
from tidegate.errors import BadInput, BodyTooLarge, PaymentsOff
from tidegate.ports.cards import RejectedEvent

__all__ = ["router"]

log = structlog.get_logger()

router = APIRouter(prefix="/api/webhooks", tags=["webhooks"], route_class=GuardedRoute)


@router.post(
    "/stripe",
    summary="Stripe's events",
    responses={
        **answer(200, "Kept, or known already.", {"received": True}),
        **problems(BadInput, BodyTooLarge, PaymentsOff),
    },
    openapi_extra={
        "parameters": [
            {
                "name": "Stripe-Signature",
                "in": "header",
                "required": True,
                "description": "`t=<Unix seconds>,v1=<HMAC-SHA256 in hex>`; several v1 may come.",
                "schema": {"type": "string"},
                "example": "t=1763719200,v1=5257a869e7ecebeda32affa62cdca3fa51cad7e77a0e5",
            }
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["id", "type", "created"],
                        "properties": {
                            "id": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,255}$"},
                            "type": {"type": "string", "pattern": "^[A-Za-z0-9_.]{1,100}$"},
                            "created": {"type": "integer", "minimum": 0, "maximum": 10**11},
                            "livemode": {
                                "description": "`true` for live events only; a node takes those "
                                "of its own environment."
                            },
                            "data": {"description": "`object` is what the event is about."},
                        },
                    },
                    "example": {
                        "id": "evt_1QNcT2Eb1Vd5xKAl",
                        "object": "event",
                        "type": "payment_intent.succeeded",
                        "created": 1_763_719_200,
                        "livemode": False,
                        "data": {"object": {"id": "pi_3QNcT2Eb1Vd5xKAl0aBcDeFg"}},
                    },
                }
            },
        },
    },
)
async def stripe(request: Request) -> dict[str, bool]:
    """Believed by its signature over the raw bytes, kept before it is answered, read afterwards.
    The same event again changes nothing."""
    d, money = deps(request), money_in(request)
    raw = await request.body()
    name = money.cards.name
    event = money.cards.read_event(request.headers, raw, d.app.clock.now_ms())
    if isinstance(event, RejectedEvent):
        d.app.metrics.webhooks.labels(name, "rejected").inc()
        log.warning("webhook.rejected", psp=name, why=event.why)
        # Strangers are not told how near they came.
        raise BadInput(
            f"{event.why[:1].upper()}{event.why[1:]}."
            if event.authentic
            else "The signature is missing or does not fit the body."
        )
    kept = await money.keep(name, event, raw)
    d.app.metrics.webhooks.labels(name, "kept" if kept else "duplicate").inc()
    if kept:
        delay_s = (d.app.clock.now_ms() - event.created_ms) / 1000
        d.app.metrics.webhook_delay.labels(name).observe(max(0.0, delay_s))
    return {"received": True}
