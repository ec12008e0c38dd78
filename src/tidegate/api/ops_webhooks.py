"""Webhooks for operators: what came in, and what goes out to everybody's receivers."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Path, Query, Request

from tidegate.api.cursors import Cursor, Limit, Page, cut, decode_cursor
from tidegate.api.deps import deps
from tidegate.api.endpoints_models import DELIVERY_ID, ENDPOINT_ID
from tidegate.api.guard import GuardedRoute
from tidegate.api.identity import IsOperator
from tidegate.api.limits import limit_writes
from tidegate.api.openapi import answer, problems
from tidegate.api.ops_bodies import Act
from tidegate.api.ops_common import ACT, LIST, ORIGIN, SHOW, Row, act, due_of, instant
from tidegate.api.ops_models import KEPT_EXAMPLE, Kept, KeptBody, OpsDelivery
from tidegate.cases.inbox import list_inbox, read_again, show_inbox
from tidegate.errors import NotFound
from tidegate.observability.redaction import redact_exchange
from tidegate.payments.deliver_again import delivery_view
from tidegate.payments.deliver_operate import OperateDeliveries, delivery_by_id, list_deliveries
from tidegate.payments.deliver_store import attempts_of

__all__ = ["router"]

router = APIRouter(prefix="/api/ops", tags=["operators"], route_class=GuardedRoute)

_INBOX: Final = "ops_inbox"
_DELIVERIES: Final = "ops_deliveries"
_WRITES: Final = [Depends(limit_writes)]
_MOMENT: Final = KEPT_EXAMPLE["received_at"]
_DELIVERY: Final[dict[str, Any]] = {
    "id": DELIVERY_ID,
    "object": "webhook_delivery",
    "user_id": "usr_01jd8m0a1b2c3d4e5f6g7h8j9k",
    "endpoint_id": ENDPOINT_ID,
    "event_id": "evt_01jd8m4r8w6y3p0d5v7c9s1x2z",
    "event_type": "payment.succeeded",
    "payment_id": "pay_01jd8m4q6s2v8n1c3x5b7r9w0y",
    "sequence": 3,
    "state": "waiting",
    "tries": 0,
    "next_try_at": None,
    "last_status": 500,
    "last_error": None,
    "delivered_at": None,
    "created_at": _MOMENT,
    "attempts": [{"at": _MOMENT, "status": 500, "error": None, "answer": "", "took_ms": 48}],
}
_KeptId = Annotated[str, Path(max_length=64, examples=[KEPT_EXAMPLE["id"]])]
_DeliveryId = Annotated[str, Path(max_length=64, examples=[DELIVERY_ID])]
_Filter = Annotated[str | None, Query(max_length=64)]


@router.get(
    "/inbox",
    summary="List webhooks that came in",
    responses={
        **answer(200, "Newest first.", {"data": [KEPT_EXAMPLE], "next_cursor": None}),
        **problems(*LIST),
    },
)
async def inbox(
    request: Request,
    identity: IsOperator,
    limit: Limit = 20,
    cursor: Cursor = None,
    source: _Filter = None,
    state: Literal["kept", "read"] | None = None,
) -> Page[Kept]:
    """Of all PSPs and processors; each was kept before it was answered."""
    after = decode_cursor(_INBOX, cursor)
    rows = await deps(request).app.database.fetch(
        lambda c: list_inbox(c, source=source, state=state, after=after, limit=limit + 1)
    )
    page, next_cursor = cut(rows, limit, _INBOX, lambda row: str(row["id"]))
    return Page[Kept](
        data=[Kept.model_validate(_kept(row)) for row in page], next_cursor=next_cursor
    )


@router.get(
    "/inbox/{row_id}",
    summary="Show a webhook that came in",
    responses={
        **answer(200, "Redacted.", {**KEPT_EXAMPLE, "body": '{"type": "charge.updated"}'}),
        **problems(*SHOW),
    },
)
async def shown(request: Request, identity: IsOperator, row_id: _KeptId) -> KeptBody:
    """With what it said: account numbers keep four digits, names their initials."""
    return _with_body(await _row(request, row_id))


@router.post(
    "/inbox/{row_id}/read-again",
    summary="Read a webhook again",
    status_code=202,
    dependencies=_WRITES,
    responses={
        **answer(202, "It is due now.", {**KEPT_EXAMPLE, "state": "kept", "outcome": None}),
        **problems(*ACT),
    },
)
async def read_kept_again(
    request: Request, identity: IsOperator, row_id: _KeptId, body: Act
) -> Kept:
    """It prompts a look at what it is about, and decides nothing."""
    app = deps(request).app
    row = await _row(request, row_id)
    cards = set() if app.money_in is None else {app.money_in.cards.name}
    unit = read_again(
        row,
        {*app.banks, *cards},
        app.clock.now_ms(),
        by=identity.user_id,
        origin=ORIGIN,
        reason=body.reason,
    )
    await act(request, unit)
    return Kept.model_validate(_kept(await _row(request, row_id)))


@router.get(
    "/deliveries",
    summary="List everybody's deliveries",
    responses={
        **answer(200, "Newest event first.", {"data": [_DELIVERY], "next_cursor": None}),
        **problems(*LIST),
    },
)
async def deliveries(
    request: Request,
    identity: IsOperator,
    limit: Limit = 20,
    cursor: Cursor = None,
    endpoint_id: _Filter = None,
    payment_id: _Filter = None,
    state: Literal["waiting", "delivered", "given_up"] | None = None,
) -> Page[OpsDelivery]:
    """Events on their way to receivers, with their latest tries."""
    after = decode_cursor(_DELIVERIES, cursor)

    def read(connection: Any) -> list[tuple[Row, list[Row]]]:
        rows = list_deliveries(
            connection,
            endpoint_id=endpoint_id,
            payment_id=payment_id,
            state=state,
            after=after,
            limit=limit + 1,
        )
        tries = attempts_of(connection, [row["id"] for row in rows])
        return [(row, list(tries.get(row["id"], ()))) for row in rows]

    found = await deps(request).app.database.read(read)
    page, next_cursor = cut(found, limit, _DELIVERIES, lambda each: str(each[0]["id"]))
    data = [
        OpsDelivery.model_validate({**delivery_view(row, tries), "user_id": row["user_id"]})
        for row, tries in page
    ]
    return Page[OpsDelivery](data=data, next_cursor=next_cursor)


@router.post(
    "/deliveries/{delivery_id}/redeliver",
    summary="Send an event again",
    status_code=202,
    dependencies=_WRITES,
    responses={**answer(202, "It waits to be sent.", _DELIVERY), **problems(*ACT)},
)
async def redeliver(
    request: Request, identity: IsOperator, delivery_id: _DeliveryId, body: Act
) -> OpsDelivery:
    """It waits until its receiver is enabled, if it is not."""
    d = deps(request)
    verb = OperateDeliveries(d.app.database, d.app.committer, d.deliveries)
    told = await verb.redeliver(delivery_id, by=identity.user_id, origin=ORIGIN, reason=body.reason)
    row = await d.app.database.fetch(lambda c: delivery_by_id(c, delivery_id))
    return OpsDelivery.model_validate({**told, "user_id": row["user_id"]})


async def _row(request: Request, row_id: str) -> Row:
    row = await deps(request).app.database.fetch(lambda c: show_inbox(c, row_id))
    if row is None:
        raise NotFound("There is no such webhook.")
    return row


def _kept(row: Row) -> dict[str, Any]:
    return {
        **{name: row[name] for name in ("id", "source", "state", "outcome")},
        "event": row["dedupe_key"],
        "received_at": instant(row["received_at"]),
        "due": due_of(row),
    }


def _with_body(row: Row) -> KeptBody:
    said = redact_exchange(bytes(row["body"]).decode("utf-8", "replace"))
    return KeptBody.model_validate({**_kept(row), "body": said})
