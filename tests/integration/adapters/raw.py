"""A TCP server that misbehaves on purpose, and an aiohttp server that answers by a script."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tidegate.clock import SystemClock

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter
Behaviour = Callable[[Reader, Writer], Awaitable[None]]


class Hasty(SystemClock):
    """Real time, but every pause between tries is noted and not waited for."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)


async def read_request(reader: Reader) -> bytes:
    """One whole HTTP/1.1 request with a Content-Length, or what came before the end."""
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            return head + await reader.readexactly(int(line.split(b":")[1]))
    return head


def reset(writer: Writer) -> None:
    """Close with RST instead of FIN."""
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@asynccontextmanager
async def tcp_server(behave: Behaviour) -> AsyncIterator[str]:
    """Serve ``behave`` once a connection; gives the origin ``http://127.0.0.1:<port>``."""

    async def on_connection(reader: Reader, writer: Writer) -> None:
        try:
            # The client leaving first is part of what is tested.
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await behave(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(on_connection, "127.0.0.1", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.close()


@dataclass
class Heard:
    """One request as the scripted server got it."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Reply:
    """What the scripted server answers; ``drop`` closes without an answer instead."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    drop: bool = False
    delay_s: float = 0.0


def reply(data: object, status: int = 200, **headers: str) -> Reply:
    """A JSON answer; underscores in header names become hyphens."""
    spelt = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, json.dumps(data).encode(), spelt)


class Scripted:
    """Answers with the replies in order, the last for ever; keeps what it heard."""

    def __init__(self) -> None:
        self.origin = ""
        self.heard: list[Heard] = []
        self.replies: list[Reply] = [Reply()]

    def script(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.heard.clear()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        self.heard.append(
            Heard(
                request.method,
                request.rel_url.raw_path,
                request.rel_url.raw_query_string,
                {name.lower(): value for name, value in request.headers.items()},
                body,
            )
        )
        now = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if now.delay_s:
            await asyncio.sleep(now.delay_s)
        if now.drop:
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=now.status, body=now.body, headers=now.headers)


@asynccontextmanager
async def scripted_server() -> AsyncIterator[Scripted]:
    """A :class:`Scripted` counterparty on its own port."""
    script = Scripted()
    runner = web.ServerRunner(web.Server(script), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]  # not in the stub
    script.origin = f"http://127.0.0.1:{port}"
    try:
        yield script
    finally:
        await runner.cleanup()
