"""Around every request: its id, headers that protect, counts and times, CORS, the last resort.

From the outside in: :class:`Requests`, :class:`ListedOrigins`, :class:`LastResort`, then the
framework. So the answer to a preflight and the answer to a crash carry the request id too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import structlog
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidegate.api.deps import Deps
from tidegate.api.problems import error_envelope, problem_response
from tidegate.errors import TidegateError, Unavailable
from tidegate.observability import tracing
from tidegate.observability.cards import holds_card_number
from tidegate.observability.logging import bound
from tidegate.observability.metrics import Metrics

__all__ = ["LastResort", "ListedOrigins", "Requests", "database_is_away", "in_api", "render"]

log = structlog.get_logger()

_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})

_PROTECTING: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
# For what is no page; pages bring their own.
_NO_PAGE = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_NO_STORE = (b"cache-control", b"no-store")

_ALLOWED_METHODS = ("GET", "POST", "PATCH", "DELETE")
_ALLOWED_HEADERS = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "Last-Event-ID",
    "X-Request-ID",
)
_EXPOSED_HEADERS = (
    "X-Request-ID",
    "Retry-After",
    "Idempotent-Replayed",
    "RateLimit",
    "RateLimit-Policy",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
)

_UNTRACED = frozenset({"/health", "/ready", "/metrics", "/info"})

# SQLSTATE classes of a server that cannot be talked to now: connection, resources, shutdown.
_AWAY_STATES = ("08", "53", "57")


_CLOSE = (b"connection", b"close")


def in_api(path: str) -> bool:
    """Whether a path belongs to the payment API, whose errors are problem details."""
    return path == "/api" or path.startswith("/api/")


def render(request: Request, error: TidegateError, status: int | None = None) -> Response:
    """The answer to an error, in the form of the face that was asked."""
    if in_api(request.url.path):
        return problem_response(request, error, status)
    return error_envelope(error, status)


class Requests:
    """A request id on every answer and in every log line; counts and times by route."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        d: Deps = scope["app"].state.deps
        request_id = _given_id(scope) or d.app.randomness.new_id("req")
        scope.setdefault("state", {})["request_id"] = request_id
        began = d.app.clock.monotonic()
        status = 500
        id_header = (b"x-request-id", request_id.encode())

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message["headers"],
                    id_header,
                    *_protecting(scope["path"], message["headers"]),
                    *_limits(scope, message["headers"]),
                    # A caller that keeps its connection comes back to this process; soon it ends.
                    *((_CLOSE,) if d.stopping else ()),
                ]
            await send(message)

        with bound(request_id=request_id), tracing.segment(scope["method"], serves=True) as segment:
            if segment is not None:
                _trace(segment, scope, request_id)
            try:
                await self._app(scope, receive, answer)
            finally:
                took = d.app.clock.monotonic() - began
                _count(d.app.metrics, scope, status, took)
                if segment is not None:
                    _traced(segment, scope, status)


def _given_id(scope: Scope) -> str | None:
    """The caller's id if it is sane; a card number is no id."""
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    text: str = given.decode("latin-1")
    return text if _SANE_ID.fullmatch(text) and not holds_card_number(text) else None


def _protecting(path: str, present: Sequence[tuple[bytes, bytes]]) -> Sequence[tuple[bytes, bytes]]:
    names = {name for name, _ in present}
    added = [*_PROTECTING]
    if _NO_PAGE[0] not in names:
        added.append(_NO_PAGE)
    if _NO_STORE[0] not in names and in_api(path):
        added.append(_NO_STORE)
    return added


def _limits(scope: Scope, present: Sequence[tuple[bytes, bytes]]) -> Sequence[tuple[bytes, bytes]]:
    """What the rate limits that were counted say, on errors too; a 429 tells its own."""
    names = {name for name, _ in present}
    told: dict[str, str] = scope["state"].get("limits", {})
    pairs = [(name.lower().encode(), value.encode()) for name, value in told.items()]
    return [pair for pair in pairs if pair[0] not in names]


def _trace(segment: tracing.Segment, scope: Scope, request_id: str) -> None:
    segment.tell(request_id=request_id)
    for name, value in scope["headers"]:
        if name == b"traceparent":
            segment.linked(value.decode("latin-1"))


def _traced(segment: tracing.Segment, scope: Scope, status: int) -> None:
    route = getattr(scope.get("route"), "path", "unmatched")
    method = scope["method"] if scope["method"] in _METHODS else "other"
    segment.name = f"{method} {route}"
    # Asked again and again by machines, and about nothing.
    segment.wanted = route not in _UNTRACED
    segment.tell(http__request__method=method, http__route=route)
    segment.tell(http__response__status_code=status)


def _count(metrics: Metrics, scope: Scope, status: int, took: float) -> None:
    route = scope.get("route")
    path = getattr(route, "path", "unmatched")
    method = scope["method"] if scope["method"] in _METHODS else "other"
    metrics.requests.labels(method, path, str(status)).inc()
    metrics.request_duration.labels(method, path).observe(took)


class ListedOrigins:
    """CORS for the payment API and the origins of ``CORS_ORIGINS``; to others it is silent.

    A page of a listed origin may send the session cookie; no answer to any other origin carries
    a CORS header, so browsers keep it from the page.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._origins = frozenset(origins)
        self._listed = CORSMiddleware(
            app,
            allow_origins=tuple(origins),
            allow_credentials=True,
            allow_methods=_ALLOWED_METHODS,
            allow_headers=_ALLOWED_HEADERS,
            expose_headers=_EXPOSED_HEADERS,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        listed = (
            scope["type"] == "http"
            and in_api(scope["path"])
            and Headers(scope=scope).get("origin") in self._origins
        )
        await (self._listed if listed else self._app)(scope, receive, send)


class LastResort:
    """What nobody expected becomes a 500 that tells nothing, or a 503 if the database is away."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def answer(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, answer)
        except Exception as error:
            if begun or scope["type"] != "http":
                raise  # half an answer is out: all that is left is to break the connection
            log.exception("request.failed", path=scope["path"])
            response = _last_answer(Request(scope, receive), error)
            await response(scope, receive, send)


def _last_answer(request: Request, error: Exception) -> Response:
    if in_api(request.url.path) and database_is_away(error):
        return problem_response(request, Unavailable())
    return render(request, TidegateError(), 500)


def database_is_away(error: Exception) -> bool:
    """Whether the database could not be reached or spoken to, so that a retry may work."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    if isinstance(error, OperationalError | InterfaceError | PoolTimeout):
        return True
    # While connecting the PostgreSQL driver's own errors come through as they are.
    state = getattr(error, "sqlstate", None) or ""
    return isinstance(error, ConnectionError | TimeoutError) or state.startswith(_AWAY_STATES)
