"""The routes of endpoints and streams over HTTP on 127.0.0.1, for users known by their token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import aiohttp
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError

from tests.integration.payments_out.world import USER, World
from tidegate.api import endpoints, stream
from tidegate.api.limits import limit_writes
from tidegate.api.problems import error_of_validation, problem_response
from tidegate.clock import SystemClock
from tidegate.errors import InvalidToken, TidegateError
from tidegate.payments.stream import Stream
from tidegate.users.identify import Identity

__all__ = ["Face", "face_of"]


@dataclass
class Face:
    """The token of a user is the user's id; ``void`` are tokens that are no good any more."""

    world: World
    app: FastAPI = field(default_factory=FastAPI)
    origin: str = ""
    void: set[str] = field(default_factory=set)
    expires_in_s: float = 600.0
    http: aiohttp.ClientSession = field(init=False)

    async def identify(self, token: str) -> Identity:
        if token in self.void:
            raise InvalidToken()
        expires_ms = SystemClock().now_ms() + round(self.expires_in_s * 1000)
        return Identity(token, "ses_1", "user", expires_ms)

    def call(
        self, method: str, path: str, token: str | None = USER, **given: Any
    ) -> aiohttp.client._RequestContextManager:
        headers = dict(given.pop("headers", {}))
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        url = f"{self.origin}/api{path}"
        return self.http.request(method, url, headers=headers, **given)


@asynccontextmanager
async def face_of(world: World, *, beat_s: float = 0.2) -> AsyncIterator[Face]:
    """Served until the end of the block."""
    face = Face(world)
    face.app.include_router(endpoints.router)
    face.app.include_router(stream.router)
    face.app.dependency_overrides[limit_writes] = lambda: None
    face.app.add_exception_handler(TidegateError, _known)
    face.app.add_exception_handler(RequestValidationError, _invalid)
    face.app.state.deps = SimpleNamespace(
        users=SimpleNamespace(identify=face.identify),
        endpoints=world.endpoints,
        deliveries=world.again,
        stream=Stream(world.database, SystemClock(), world.hub, beat_s=beat_s),
    )
    config = uvicorn.Config(
        face.app, host="127.0.0.1", port=0, log_config=None, timeout_graceful_shutdown=1
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    assert server.started
    ticks = asyncio.create_task(server.main_loop())
    face.origin = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        async with aiohttp.ClientSession() as face.http:
            yield face
    finally:
        world.hub.close()
        server.should_exit = True
        await ticks
        await server.shutdown()


async def _known(request: Request, error: Exception) -> Response:
    assert isinstance(error, TidegateError)  # by registration
    return problem_response(request, error)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # by registration
    return problem_response(request, error_of_validation(error))
