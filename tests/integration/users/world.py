"""Accounts and sessions served over HTTP on 127.0.0.1, on a clock that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import Morsel, SimpleCookie
from types import SimpleNamespace
from typing import Any

import aiohttp
import uvicorn
from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy import Connection, text

from tidegate.api import auth
from tidegate.api.identity import IsOperator
from tidegate.api.limits import limit_writes
from tidegate.api.middleware import Requests
from tidegate.api.problems import error_of_validation, problem_response
from tidegate.clock import Randomness, SimulatedClock
from tidegate.db.committer import Committer
from tidegate.db.engine import Database, open_database
from tidegate.db.url import parse
from tidegate.errors import TidegateError
from tidegate.observability.metrics import Metrics
from tidegate.users.make import Users, make_users
from tidegate.users.rules import UserRules

__all__ = ["EMAIL", "PASSWORD", "SECRET", "Answer", "World", "rules", "serve"]

EMAIL, PASSWORD = "Ada@Example.com", "seven purple tractors"
SECRET = "a-secret-for-tests-of-at-least-32-characters"


def rules(**more: Any) -> UserRules:
    """The usual settings, with limits out of the way of tests about other things."""
    given: dict[str, Any] = {"secret_keys": (SECRET,), "auth_per_minute": 1_000, **more}
    return UserRules(**given)


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: Any
    set_cookie: Morsel[str] | None

    @property
    def code(self) -> str:
        return str(self.body["code"])

    @property
    def token(self) -> str:
        return str(self.body["access_token"])

    @property
    def cookie(self) -> str:
        """The refresh token that was set."""
        assert self.set_cookie is not None, "no cookie was set"
        return self.set_cookie.value


@dataclass
class World:
    """One process's worth of objects, and the way to it."""

    url: str
    clock: SimulatedClock
    rules: UserRules
    database: Database = field(init=False)
    committer: Committer = field(init=False)
    deps: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(stopping=False))
    hashed: list[str] = field(default_factory=list)
    base: str = ""

    async def open(self) -> None:
        self.database = open_database(parse(self.url), self.clock, pool_size=4)
        self.committer = Committer(self.database)
        self.committer.start()
        # What the middleware that tells of limits needs.
        self.deps.app = SimpleNamespace(
            clock=self.clock, randomness=Randomness(self.clock), metrics=Metrics(process=False)
        )
        self.use(self.rules)

    def use(self, rules: UserRules) -> None:
        """Go on under these settings, as after a restart."""
        self.rules = rules
        self.deps.users = make_users(
            self.database,
            self.committer,
            self.clock,
            Randomness(self.clock),
            rules,
            on_hash=self.hashed.append,
        )

    @property
    def users(self) -> Users:
        found: Users = self.deps.users
        return found

    async def close(self) -> None:
        await self.committer.stop()
        await self.database.close()

    async def execute(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """SQL past all of our code."""

        def run(connection: Connection) -> list[tuple[Any, ...]]:
            result = connection.execute(text(statement), parameters)
            return [tuple(row) for row in result] if result.returns_rows else []

        return await self.database.write(run)

    async def call(
        self,
        method: str,
        path: str,
        json: Any = None,
        *,
        token: str | None = None,
        cookie: str | None = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request without any memory of the ones before."""
        given = dict(headers or {})
        if token is not None:
            given["Authorization"] = f"Bearer {token}"
        if cookie is not None:
            given["Cookie"] = f"refresh_token={cookie}"
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.request(
                method, self.base + path, json=json, data=form, headers=given
            ) as response,
        ):
            cookies = SimpleCookie()
            for line in response.headers.getall("Set-Cookie", []):
                cookies.load(line)
            body = await response.json(content_type=None) if response.status != 204 else None
            return Answer(response.status, response.headers, body, cookies.get("refresh_token"))

    async def register(self, email: str = EMAIL, password: str = PASSWORD) -> Answer:
        return await self.call("POST", "/api/auth/register", {"email": email, "password": password})

    async def log_in(self, email: str = EMAIL, password: str = PASSWORD) -> Answer:
        return await self.call("POST", "/api/auth/login", {"email": email, "password": password})

    async def refresh(self, cookie: str) -> Answer:
        return await self.call("POST", "/api/auth/refresh", cookie=cookie)

    async def me(self, token: str) -> Answer:
        return await self.call("GET", "/api/auth/me", token=token)

    async def known(self) -> Answer:
        """A registered user's log-in."""
        assert (await self.register()).status == 201
        answer = await self.log_in()
        assert answer.status == 200
        return answer


class serve:
    """``async with serve(world):`` listens on a free port, with the server's own ``options``."""

    def __init__(self, world: World, **options: Any) -> None:
        self._world = world
        config = uvicorn.Config(
            _app(world),
            host="127.0.0.1",
            port=0,
            log_config=None,
            access_log=False,
            ws="none",
            timeout_graceful_shutdown=2,
            **options,
        )
        config.load()
        self._server = uvicorn.Server(config)
        self._server.lifespan = config.lifespan_class(config)

    async def __aenter__(self) -> World:
        await self._server.startup()
        self._ticks = asyncio.create_task(self._server.main_loop())
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self._world.base = f"http://127.0.0.1:{port}"
        return self._world

    async def __aexit__(self, *_: object) -> None:
        self._server.should_exit = True
        await self._ticks
        await self._server.shutdown()


def _app(world: World) -> FastAPI:
    app = FastAPI()
    app.add_middleware(Requests)
    app.include_router(auth.router)
    app.state.deps = world.deps

    @app.get("/api/ops/anything")
    async def anything(identity: IsOperator) -> dict[str, str]:
        return {"role": identity.role}

    @app.post("/api/writes", dependencies=[Depends(limit_writes)])
    async def write() -> dict[str, str]:
        return {}

    @app.get("/api/peer")
    async def peer(request: Request) -> dict[str, str]:
        return {"host": request.client.host if request.client is not None else ""}

    @app.exception_handler(TidegateError)
    async def refuse(request: Request, error: TidegateError) -> Response:
        return problem_response(request, error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return problem_response(request, error_of_validation(error))

    return app
