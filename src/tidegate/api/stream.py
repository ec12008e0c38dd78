"""A payment's progress as server-sent events (payments.md, "Payments")."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Request
from fastapi.sse import format_sse_event
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from tidegate.api.guard import GuardedRoute
from tidegate.api.identity import IsUser, current_user
from tidegate.api.openapi import bearer, problems
from tidegate.errors import InvalidToken, NotAuthenticated, NotFound, TooManyRequests
from tidegate.payments.deliver_message import payload_of
from tidegate.payments.deliver_store import Row
from tidegate.payments.stream import Beat, Stream

__all__ = ["router", "still_valid_of", "stream_of"]

router = APIRouter(prefix="/api", tags=["payments"], route_class=GuardedRoute)

_PAYMENT_ID = "pay_01jd8m4q6s2v8n1c3x5b7r9w0y"
_EXAMPLE = (
    "event: payment.succeeded\n"
    'data: {"type":"payment.succeeded","timestamp":"2026-11-21T10:00:00.000Z",'
    f'"data":{{"id":"{_PAYMENT_ID}","object":"payment","status":"succeeded","sequence":3}}}}\n'
    "id: evt_01jd8m4r8w6y3p0d5v7c9s1x2z\n\n"
)

# A schema of each event, as OpenAPI 3.2 has it.
_ITEM = {
    "type": "object",
    "required": ["event", "data", "id"],
    "properties": {
        "event": {"type": "string"},
        "data": {"type": "string", "contentMediaType": "application/json"},
        "id": {"type": "string"},
    },
}

StillValid = Callable[[], Awaitable[bool]]


def stream_of(request: Request) -> Stream:
    """The verb of streams of the application that got ``request``."""
    found: Stream = request.app.state.deps.stream
    return found


def still_valid_of(request: Request, token: Annotated[str | None, Depends(bearer)]) -> StillValid:
    """Asks whether the request's token is still good."""

    async def still_valid() -> bool:
        try:
            await current_user(request, token)
        except NotAuthenticated:
            return False
        return True

    return still_valid


@dataclass(frozen=True, slots=True)
class _Begun:
    """A stream that was allowed: from which number on."""

    seq: int


async def _place(request: Request, identity: IsUser) -> AsyncIterator[None]:
    """One of the user's streams; given back when the answer is over, however it ends."""
    with stream_of(request).hub.place(identity.user_id):
        yield


async def _begin(
    request: Request,
    identity: IsUser,
    payment_id: Annotated[str, Path(max_length=64, examples=[_PAYMENT_ID])],
    last_event_id: Annotated[
        str | None,
        Header(max_length=64, description="The id of the last event that arrived, to resume."),
    ] = None,
) -> _Begun:
    # Whatever is refused is refused here, before the answer begins.
    seq = await stream_of(request).begin(identity.user_id, payment_id, last_event_id)
    return _Begun(seq)


class _Events(StreamingResponse):
    """Server-sent events, until the generator or the client ends."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes, None]) -> None:
        # A proxy that gathers an answer before it passes it on would gather for hours.
        super().__init__(events, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            # A client may leave between two events; what is read from is let go at once.
            await self._events.aclose()


@router.get(
    "/payments/{payment_id}/stream",
    summary="Follow a payment",
    status_code=200,
    response_class=_Events,
    responses={
        200: {
            "description": "Server-sent events, one for each event of the payment.",
            "content": {"text/event-stream": {"itemSchema": _ITEM, "example": _EXAMPLE}},
        },
        **problems(NotAuthenticated, InvalidToken, NotFound, TooManyRequests),
    },
)
async def stream(
    request: Request,
    payment_id: str,
    identity: IsUser,
    begun: Annotated[_Begun, Depends(_begin)],
    still_valid: Annotated[StillValid, Depends(still_valid_of)],
    _: Annotated[None, Depends(_place)],
) -> Response:
    """All events of the payment so far, then each as it happens, with the body that a webhook
    would have; `Last-Event-ID` resumes behind the event that arrived last. A comment every 15
    seconds shows that the connection lives.

    The stream stays open after the payment has ended, since refunds and disputes come later; it
    ends with the access token. Ten streams a user may be open (a setting). Use a reader that
    sends the `Authorization` header, built on fetch: tokens never travel in URLs."""
    events = stream_of(request).follow(
        payment_id, begun.seq, identity.token_expires_ms, still_valid
    )
    return _Events(_spelt(events, still_valid))


async def _spelt(
    events: AsyncIterator[Row | Beat], still_valid: StillValid
) -> AsyncGenerator[bytes, None]:
    async for event in events:
        if isinstance(event, Beat):
            yield format_sse_event(comment="still here")
        elif not await still_valid():
            # What happens after a log-out is not told to who had the token before it.
            return
        else:
            payload = json.dumps(payload_of(event), ensure_ascii=False, separators=(",", ":"))
            yield format_sse_event(data_str=payload, event=event["type"], id=event["id"])
