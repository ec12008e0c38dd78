"""The application on a free port, with a router that stands for the payment API's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Annotated, Any, Literal, cast

import aiohttp
import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request
from fastapi.security import OAuth2PasswordRequestForm
from multidict import CIMultiDictProxy
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import OperationalError
from starlette.responses import StreamingResponse

from tidegate.api.app import make_app
from tidegate.api.body import read_body
from tidegate.api.cursors import Cursor, Limit, Page, cut, decode_cursor
from tidegate.api.deps import Deps
from tidegate.api.guard import CardGuardedRoute, GuardedRoute
from tidegate.api.openapi import answer, problems
from tidegate.clock import Randomness, SystemClock
from tidegate.errors import (
    CardDeclined,
    FloorBroken,
    InvalidSignature,
    InvalidToken,
    NotAuthenticated,
    NotFound,
    PaymentsOff,
    StillRunning,
    TidegateError,
    TooManyRequests,
    ValidationFailed,
)
from tidegate.observability.metrics import Metrics

__all__ = ["Face", "make_face", "opened"]


class Wish(BaseModel):
    """A body as the payment API's are."""

    model_config = ConfigDict(extra="forbid")

    amount: int = Field(ge=1, examples=[1999])
    currency: str = Field(min_length=3, max_length=3, examples=["NGN"])
    capture_method: Literal["automatic", "manual"] = Field("automatic", examples=["manual"])
    description: str | None = Field(None, max_length=500, examples=["Order 7"])
    metadata: dict[str, str] = Field(default_factory=dict, examples=[{"order": "7"}])
    lines: list[dict[str, Any]] = Field(default_factory=list, examples=[[{"sku": "a"}]])


class Answer(BaseModel):
    id: str = Field(examples=["pay_01jd8m3q7v5x2n9c4t6b8r0w1z"])
    parsed: dict[str, Any] | None = Field(None, examples=[{"amount": 1}])


FAULTS: dict[str, Any] = {
    "declined": lambda: CardDeclined(
        "Not enough money.", members={"payment": {"id": "pay_1"}, "code": 7}
    ),
    "limited": lambda: TooManyRequests(retry_after_s=7, headers={"RateLimit": '"auth";r=0;t=7'}),
    "running": StillRunning,
    "off": PaymentsOff,
    "anonymous": NotAuthenticated,
    "expired": InvalidToken,
    "floor": lambda: FloorBroken("account psp:lenco:NGN:available would fall to -17"),
    "bug": lambda: RuntimeError("SELECT secret FROM users; sk_live_do_not_tell"),
    "database": lambda: OperationalError("SELECT 1", {}, Exception("password=hunter2")),
    "refused-connection": lambda: ConnectionRefusedError("10.1.2.3"),
    "invalid": lambda: ValidationFailed(
        [{"field": "url", "code": "scheme", "message": "Write https"}]
    ),
    "unsigned": InvalidSignature,
    "missing": NotFound,
    "ours": TidegateError,
}


def _router() -> APIRouter:
    cards = APIRouter(prefix="/api/samples", route_class=CardGuardedRoute, tags=["payments"])
    plain = APIRouter(prefix="/api/samples-open", route_class=GuardedRoute, tags=["operators"])
    bare = APIRouter(include_in_schema=False)
    all_ = APIRouter()

    @cards.post(
        "",
        status_code=201,
        summary="Create",
        description="Creates.",
        responses={
            **answer(201, "Created", {"id": "pay_1", "parsed": None}),
            **problems(ValidationFailed, NotAuthenticated),
        },
    )
    async def create(
        wish: Wish,
        request: Request,
        idempotency_key: Annotated[str | None, Header(max_length=255)] = None,
    ) -> Answer:
        return Answer(id="pay_1", parsed=request.state.parsed)

    @cards.get(
        "",
        summary="List",
        description="Lists.",
        responses={
            **answer(200, "A page", {"data": ["pay_1"], "next_cursor": None}),
            **problems(NotAuthenticated),
        },
    )
    async def list_(limit: Limit = 20, cursor: Cursor = None) -> Page[str]:
        after = decode_cursor("payments", cursor)
        everything = [f"pay_{number:026}" for number in range(50, 0, -1)]
        rows = [each for each in everything if after is None or each < after][: limit + 1]
        page, next_cursor = cut(rows, limit, "payments", lambda row: row)
        return Page(data=list(page), next_cursor=next_cursor)

    @cards.post(
        "/{payment_id}/cancel",
        summary="Cancel",
        description="Cancels.",
        responses={
            **answer(200, "Canceled", {"id": "pay_1", "parsed": None}),
            **problems(NotFound, StillRunning),
        },
    )
    async def cancel(payment_id: str, request: Request) -> Answer:
        return Answer(id=payment_id, parsed=request.state.parsed)

    @cards.get("/{payment_id}/stream", include_in_schema=False)
    async def stream(payment_id: str) -> StreamingResponse:
        async def events() -> AsyncIterator[bytes]:
            yield b"data: 1\n\n"
            await asyncio.sleep(0.05)
            yield b"data: 2\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    @plain.post("/notes", include_in_schema=False)
    async def note(wish: Wish) -> dict[str, Any]:
        return wish.model_dump()

    @plain.post("/token", include_in_schema=False)
    async def token(form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> dict[str, str]:
        return {"username": form.username}

    @plain.post("/raw", include_in_schema=False)
    async def raw(request: Request) -> dict[str, str]:
        return {"hex": (await read_body(request)).hex()}

    @bare.get("/api/faults/{name}")
    @bare.get("/faults/{name}")
    async def fault(name: str, since: Annotated[int, Query(ge=0)] = 0) -> None:
        raise FAULTS[name]()

    for part in (cards, plain, bare):
        all_.include_router(part)
    return all_


def make_face(cors_origins: Sequence[str] = ()) -> FastAPI:
    """The application with the router; what it needs of a process, without a database."""
    clock = SystemClock()
    parts = SimpleNamespace(clock=clock, randomness=Randomness(clock), metrics=Metrics())
    kept = cast(Deps, SimpleNamespace(app=parts, stopping=False))

    async def start() -> Deps:
        return kept

    async def stop(deps: Deps) -> None:
        return None

    app = make_app(start, stop, cors_origins)
    app.include_router(_router())
    return app


class Face:
    """A client of the application."""

    def __init__(self, session: aiohttp.ClientSession, app: FastAPI) -> None:
        self.session = session
        self.app = app

    async def ask(
        self, method: str, path: str, **given: Any
    ) -> tuple[int, Any, CIMultiDictProxy[str]]:
        """(status, body as JSON or text, headers)."""
        async with self.session.request(method, path, allow_redirects=False, **given) as answered:
            if "json" in answered.content_type:
                return answered.status, await answered.json(content_type=None), answered.headers
            return answered.status, await answered.text(errors="replace"), answered.headers

    async def post(self, path: str, body: bytes | str, kind: str = "application/json") -> Any:
        """As :meth:`ask`, with a body of ``kind``."""
        data = body.encode() if isinstance(body, str) else body
        return await self.ask("POST", path, data=data, headers={"Content-Type": kind})


@asynccontextmanager
async def opened(cors_origins: Sequence[str] = ()) -> AsyncIterator[Face]:
    """The application, listening on a free port of this machine while the block runs."""
    app = make_face(cors_origins)
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_config=None, access_log=False, lifespan="on", ws="none"
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    assert server.started
    ticks = asyncio.create_task(server.main_loop())
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            yield Face(session, app)
    finally:
        server.should_exit = True
        await ticks
        await server.shutdown()
