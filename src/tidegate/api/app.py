"""The ASGI application: routers, middleware, and the life of the process around them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidegate import __version__
from tidegate.api import node, operations
from tidegate.api.deps import Deps
from tidegate.api.problems import error_envelope, json_response
from tidegate.errors import TidegateError
from tidegate.observability.logging import bound
from tidegate.observability.metrics import Metrics
from tidegate.wire.replies import envelope

__all__ = ["make_app"]

log = structlog.get_logger()

_SANE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")

Life = Callable[[], Awaitable[Deps]]


def make_app(start: Life, stop: Callable[[Deps], Awaitable[None]]) -> FastAPI:
    """Build the application; ``start`` runs before the first request, ``stop`` after the last."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.deps = await start()
        try:
            yield
        finally:
            app.state.deps.stopping = True
            await stop(app.state.deps)

    app = FastAPI(
        title="Tidegate",
        version=__version__,
        description="Money out and money in, on one ledger.",
        lifespan=lifespan,
    )
    app.include_router(node.router)
    app.include_router(operations.router)
    app.add_exception_handler(TidegateError, _known)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unknown)
    app.add_middleware(_Requests)
    return app


async def _known(request: Request, error: Exception) -> Response:
    assert isinstance(error, TidegateError)  # by registration
    return error_envelope(error)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # by registration
    body = envelope("error", str(error.detail), None)
    response = json_response(body, error.status_code)
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    return response


async def _unknown(request: Request, error: Exception) -> Response:
    log.exception("request.failed", path=request.url.path)
    return error_envelope(TidegateError(), 500)


class _Requests:
    """A request id on every answer and in every log line; counts and times by route."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        d: Deps = scope["app"].state.deps
        given = next(
            (value for name, value in scope["headers"] if name == b"x-request-id"), b""
        ).decode("latin-1")
        request_id = given if _SANE_ID.fullmatch(given) else d.app.randomness.new_id("req")
        began = d.app.clock.monotonic()
        status = 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", request_id.encode()),
                ]
            await send(message)

        with bound(request_id=request_id):
            try:
                await self._app(scope, receive, answer)
            finally:
                took = d.app.clock.monotonic() - began
                _count(d.app.metrics, scope, status, took)


def _count(metrics: Metrics, scope: Scope, status: int, took: float) -> None:
    route = scope.get("route")
    path = getattr(route, "path", "unmatched")
    method = scope["method"] if scope["method"] in _METHODS else "other"
    metrics.requests.labels(method, path, str(status)).inc()
    metrics.request_duration.labels(method, path).observe(took)


_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
