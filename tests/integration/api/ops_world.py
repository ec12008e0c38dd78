"""A whole process on a free port, over a database with orders and payments, and its callers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import uvicorn
from sqlalchemy import Connection, select, update

from tests.integration.cli.payments_world import fill_payments
from tests.integration.cli.world import ENVIRONMENT, fill
from tidegate import migrations
from tidegate.cli.serve import serve_app
from tidegate.clock import SystemClock
from tidegate.db.engine import Database, open_database
from tidegate.db.url import parse
from tidegate.settings import load
from tidegate.users.tables import users

__all__ = ["STRIPE_KEY", "WEBHOOK_SECRET", "Ops", "ops", "prepare"]

STRIPE_KEY, WEBHOOK_SECRET = "sk_test_0123456789", "whsec_0123456789"
_PASSWORD = "seven purple tractors"


def prepare(url: str) -> None:
    """Migrate and fill a database; for a template."""

    async def go() -> None:
        database = open_database(parse(url), SystemClock())
        await migrations.upgrade(database)
        await fill(database)
        await fill_payments(database)
        await database.close()

    asyncio.run(go())


@dataclass
class Ops:
    """A client of the process, and a look past it into the database."""

    session: aiohttp.ClientSession
    database: Database

    async def ask(
        self, method: str, path: str, json: Any = None, token: str | None = None, **headers: str
    ) -> tuple[int, Any]:
        """(status, body)."""
        given: dict[str, str] = {name.replace("_", "-"): text for name, text in headers.items()}
        if token is not None:
            given["Authorization"] = f"Bearer {token}"
        async with self.session.request(method, path, json=json, headers=given) as answered:
            return answered.status, await answered.json(content_type=None)

    async def log_in(self, email: str, role: str = "user") -> str:
        """A new user's access token, whose role is then set in the database."""
        body = {"email": email, "password": _PASSWORD}
        assert (await self.ask("POST", "/api/auth/register", body))[0] == 201
        status, grant = await self.ask("POST", "/api/auth/login", body)
        assert status == 200
        await self.set_role(email, role)
        return str(grant["access_token"])

    async def set_role(self, email: str, role: str) -> None:
        """Past all of our code, so that the token stays what it was."""
        change = update(users).where(users.c.email == email).values(role=role)

        def write(connection: Connection) -> None:
            assert connection.execute(change).rowcount == 1

        await self.database.write(write)

    async def rows(self, table: Any, **where: Any) -> list[dict[str, Any]]:
        """The rows of a table, by id."""
        wanted = select(table).filter_by(**where).order_by(table.c.id)
        return await self.database.read(
            lambda c: [dict(row) for row in c.execute(wanted).mappings()]
        )


@asynccontextmanager
async def ops(
    url: str, *, works: bool = False, env: Mapping[str, str] | None = None
) -> AsyncIterator[Ops]:
    """The process while the block runs; with ``works`` its worker too."""
    given = {
        **ENVIRONMENT,
        "DATABASE_URL": url,
        "AUTH_RATE_LIMIT": "1000",
        "LOG_LEVEL": "CRITICAL",
        "LENCO_BASE_URL": "http://127.0.0.1:1",  # nobody is there
        "STRIPE_API_KEY": STRIPE_KEY,
        "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
        **(env or {}),
    }
    app = serve_app(load(given, None), works=works)
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        log_config=None,
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=2,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    assert server.started
    ticks = asyncio.create_task(server.main_loop())
    port = server.servers[0].sockets[0].getsockname()[1]
    database = open_database(parse(url), SystemClock(), pool_size=2)
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            yield Ops(session, database)
    finally:
        await database.close()
        server.should_exit = True
        await ticks
        await server.shutdown()
