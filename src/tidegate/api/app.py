"""The ASGI application: routers, middleware, and the life of the process around them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import structlog
from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from tidegate.api import (
    auth,
    catalogue,
    endpoints,
    methods,
    node,
    operations,
    ops,
    payments,
    processor_webhooks,
    stream,
)
from tidegate.api.deps import Deps
from tidegate.api.middleware import LastResort, ListedOrigins, Requests, in_api, render
from tidegate.api.openapi import Application
from tidegate.api.problems import (
    error_of_http,
    error_of_validation,
    json_response,
    problem_response,
)
from tidegate.errors import NotAuthenticated, TidegateError
from tidegate.wire.replies import envelope

__all__ = ["make_app"]

log = structlog.get_logger()

Life = Callable[[], Awaitable[Deps]]

_ROUTERS: Final[tuple[APIRouter, ...]] = (
    node.router,
    operations.router,
    catalogue.router,
    auth.router,
    methods.router,
    payments.router,
    stream.router,
    endpoints.router,
    processor_webhooks.router,
    ops.router,
)


def make_app(
    start: Life, stop: Callable[[Deps], Awaitable[None]], cors_origins: Sequence[str] = ()
) -> FastAPI:
    """Build the application; ``start`` runs before the first request, ``stop`` after the last.

    Pages of ``cors_origins`` may call the payment API from a browser; none when empty.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.deps = await start()
        try:
            yield
        finally:
            app.state.deps.stopping = True
            await stop(app.state.deps)

    # A redirect to the path with or without its slash would go to whatever ``Host`` says, with our
    # side's scheme: behind a proxy that ends TLS a client would repeat its token in the clear.
    app = Application(lifespan=lifespan, redirect_slashes=False)
    for router in _ROUTERS:
        app.include_router(router)
    app.add_exception_handler(TidegateError, _known)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    # The last one added is the outermost.
    app.add_middleware(LastResort)
    if cors_origins:
        app.add_middleware(ListedOrigins, origins=cors_origins)
    app.add_middleware(Requests)
    return app


async def _known(request: Request, error: Exception) -> Response:
    assert isinstance(error, TidegateError)  # by registration
    return _refuse(request, error)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # by registration
    if in_api(request.url.path):
        response = _refuse(request, error_of_http(error), error.status_code)
    else:
        response = json_response(envelope("error", str(error.detail), None), error.status_code)
    response.headers.update(error.headers or {})
    if error.status_code == 405 and (methods := _methods_at(request)):
        response.headers["Allow"] = ", ".join(sorted(methods))
    return response


def _methods_at(request: Request) -> set[str]:
    """All that the address takes; the framework names the methods of one of its routes only."""
    path = getattr(request.scope.get("route"), "path", "")
    return {method.upper() for method in request.app.openapi()["paths"].get(path, ())}


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # by registration
    return _refuse(request, error_of_validation(error))


def _refuse(request: Request, error: TidegateError, status: int | None = None) -> Response:
    if not in_api(request.url.path):
        return render(request, error, status)
    response = problem_response(request, error, status)
    metrics = request.app.state.deps.app.metrics
    if isinstance(error, NotAuthenticated):
        metrics.authentication_failures.labels("api", error.code).inc()
    if response.status_code >= 500 and response.status_code != 503:
        log.error("request.failed", path=request.url.path, code=error.code, why=error.detail)
    else:
        log.info(
            "request.refused", path=request.url.path, code=error.code, status=response.status_code
        )
    return response
