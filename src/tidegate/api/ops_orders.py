"""What operators do about payout orders: ask the PSP again, and resolve what is held."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Depends, Request

from tidegate.api.deps import deps
from tidegate.api.guard import GuardedRoute
from tidegate.api.identity import IsOperator
from tidegate.api.limits import limit_writes
from tidegate.api.openapi import answer, problems
from tidegate.api.ops_bodies import Act, ResolveOrder
from tidegate.api.ops_common import ACT, ORIGIN
from tidegate.api.ops_models import ORDER_EXAMPLE, Order
from tidegate.api.ops_node import OrderName, shown
from tidegate.errors import NotProven, WrongOrderState
from tidegate.payouts.readings import find_payout
from tidegate.payouts.resolve import Operator, Ruling

__all__ = ["router"]

router = APIRouter(prefix="/api/ops/orders", tags=["operators"], route_class=GuardedRoute)

_WRITES: Final = [Depends(limit_writes)]
_PAID: Final = {**ORDER_EXAMPLE, "state": "paid", "held": 0, "reason_code": None}


@router.post(
    "/{name}/look",
    summary="Ask the PSP again about an order",
    status_code=202,
    dependencies=_WRITES,
    responses={
        **answer(202, "It is due now.", ORDER_EXAMPLE),
        **problems(*ACT, WrongOrderState),
    },
)
async def look(request: Request, identity: IsOperator, name: OrderName, body: Act) -> Order:
    """At once, about the transfer that may still be paid. It changes nothing by itself: the
    PSP's answer does."""
    operator = Operator(identity.user_id, ORIGIN, body.reason)
    return await _now(request, (await deps(request).app.resolve.look(name, operator))["id"])


@router.post(
    "/{name}/resolve",
    summary="Resolve an order that is held",
    dependencies=_WRITES,
    responses={
        **answer(200, "As it is now.", _PAID),
        **problems(*ACT, WrongOrderState, NotProven),
    },
)
async def resolve(
    request: Request, identity: IsOperator, name: OrderName, body: ResolveOrder
) -> Order:
    """The transfer is looked up at the PSP first, by our reference, and the answer has to allow
    it: `resumed` (another transfer, under a new reference) and `unpaid` need the PSP's word that
    this one failed, `paid` is refused where the PSP says otherwise. What the PSP said is kept in
    any case."""
    operator = Operator(identity.user_id, ORIGIN, body.reason, body.evidence)
    done = await deps(request).app.resolve.resolve(
        name, Ruling(body.ruling), operator, psp_id=body.psp_id
    )
    return await _now(request, done["id"])


async def _now(request: Request, payout_id: str) -> Order:
    row = await deps(request).app.database.fetch(lambda c: find_payout(c, payout_id))
    assert row is not None  # payouts are kept for ever
    return shown(row)
