"""Connections that send too much or too slowly are ended; the others do not notice (uvicorn
itself bounds neither headers nor time)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from tidegate.api.http_protocol import HEAD_BYTES_MAX, BoundedHttp
from tidegate.cli.serve import _server_options
from tidegate.settings import load

_PATIENCE_S = 1.5
_OK, _CLOSE = b"HTTP/1.1 200 ", b"connection: close\r\n"
_HEAD = b"GET /whole HTTP/1.1\r\nHost: node.test\r\n"
_POST = b"POST /whole HTTP/1.1\r\nHost: node.test\r\nContent-Length: 10\r\n\r\n"


class Hasty(BoundedHttp):
    arrival_s = _PATIENCE_S


async def _app(scope: Any, receive: Any, send: Any) -> None:
    """Reads the whole body; or refuses it; or takes longer than a request may take to arrive."""
    request = Request(scope, receive)
    response: Response
    if request.url.path == "/large":
        response = PlainTextResponse("Too much.", 413)
    elif request.url.path == "/early":
        response = PlainTextResponse("Who are you?", 401)
    elif request.url.path == "/stream":
        response = StreamingResponse(_ticks())
    else:
        try:
            body = await request.body()
        except ClientDisconnect:
            body = b"gone"
        if request.url.path == "/slow":
            await asyncio.sleep(_PATIENCE_S * 3)
        response = PlainTextResponse(f"{len(body)} bytes")
    await response(scope, receive, send)


async def _ticks() -> AsyncIterator[bytes]:
    for number in range(6):
        yield b"tick %d\n" % number
        await asyncio.sleep(_PATIENCE_S / 2)


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    """A server with the options of ``tidegate serve``, less patient."""
    env = {"DEBUG": "true", "DATABASE_URL": f"sqlite:///{tmp_path}/unused.db"}
    options = _server_options(load(env, None))
    assert options["http"] is BoundedHttp
    options |= {"http": Hasty, "port": 0, "host": "127.0.0.1", "lifespan": "off"}
    server = uvicorn.Server(uvicorn.Config(_app, **options))
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup()
    ticks = asyncio.create_task(server.main_loop())
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await ticks
    await server.shutdown()


@contextlib.asynccontextmanager
async def _connected(
    port: int,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield reader, writer
        finally:
            writer.close()


async def _answer(port: int, *pieces: bytes) -> bytes:
    """All that comes back until the server closes the connection."""
    async with _connected(port) as (reader, writer):
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(_PATIENCE_S / 50)
        return await reader.read()


@pytest.mark.parametrize(
    "pieces",
    [
        [_HEAD + b"X-Long: " + b"a" * HEAD_BYTES_MAX],
        [_HEAD + b"X-Long: " + b"a" * HEAD_BYTES_MAX + b"\r\n\r\n"],
        [_HEAD, *[b"X-Many: " + b"a" * 8_000 + b"\r\n"] * 9],
        [b"GET /" + b"a" * HEAD_BYTES_MAX],
        # Trailers are headers that come late.
        [b"POST /whole HTTP/1.1\r\nHost: node.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"]
        + [b"X-Many: " + b"a" * 8_000 + b"\r\n"] * 9,
    ],
    ids=["unended", "at once", "in pieces", "address", "trailers"],
)
async def test_headers_are_bounded(port: int, pieces: list[bytes]) -> None:
    """64 KiB, however they come; then 431 and the end of the connection."""
    answer = await _answer(port, *pieces)
    assert answer.startswith(b"HTTP/1.1 431 "), answer
    assert _CLOSE in answer
    assert answer.count(b"HTTP/1.1") == 1


async def test_a_flood_of_headers_reads_its_refusal(port: int) -> None:
    """The caller is still sending when it is refused: it hears so, and is not just cut off."""
    async with _connected(port) as (reader, writer):
        writer.write(_HEAD)
        for _ in range(64):
            writer.write(b"X-Many: " + b"a" * 65_536 + b"\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 431 ")


async def test_large_headers_within_the_bound_are_read(port: int) -> None:
    answer = await _answer(
        port, _HEAD + b"Connection: close\r\nX-Long: " + b"a" * 60_000 + b"\r\n\r\n"
    )
    assert answer.startswith(_OK), answer


async def test_a_body_does_not_count_as_headers(port: int) -> None:
    """Nor do the headers of one request for those of the next on the same connection."""
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        for _ in range(3):
            async with session.post(
                "/whole", data=b"a" * 300_000, headers={"X-Long": "a" * 8_000 + "b"}
            ) as answered:
                assert (answered.status, await answered.text()) == (200, "300000 bytes")


@pytest.mark.parametrize(
    "piece",
    [b"GET /wh", _HEAD + b"X-Ha", _POST + b"half"],
    ids=["request line", "headers", "body"],
)
async def test_half_a_request_is_waited_for_and_then_refused(port: int, piece: bytes) -> None:
    """Byte by byte, too: time counts from the first."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    answer = await _answer(port, *(piece[at : at + 9] for at in range(0, len(piece), 9)))
    assert answer.startswith(b"HTTP/1.1 408 "), answer
    assert _CLOSE in answer
    assert answer.count(b"HTTP/1.1") == 1
    assert _PATIENCE_S * 0.9 < loop.time() - began < _PATIENCE_S + 2


@pytest.mark.parametrize("pieces", [[], [b"\r\n"]], ids=["silent", "blank line"])
async def test_a_connection_without_a_request_is_closed(port: int, pieces: list[bytes]) -> None:
    """Nothing was asked, so nothing is answered."""
    assert await _answer(port, *pieces) == b""


async def test_the_second_request_has_its_time_too(port: int) -> None:
    """On a connection that was good once."""
    answer = await _answer(port, _HEAD + b"\r\n", b"\r\n", _HEAD)
    assert answer.startswith(_OK)
    assert b"HTTP/1.1 408 " in answer


async def test_what_was_refused_before_its_body_came_is_answered_once(port: int) -> None:
    answer = await _answer(port, _POST.replace(b"/whole", b"/early") + b"half")
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("path", ["/slow", "/stream"])
async def test_neither_work_nor_a_stream_counts(port: int, path: str) -> None:
    """The time is the request's, not the answer's; then half a request behind it has its own."""
    asked = _HEAD.replace(b"/whole", path.encode()) + b"\r\n"
    answer = await _answer(port, asked, _HEAD)
    good, _, late = answer.partition(b"HTTP/1.1 408 ")
    assert good.startswith(_OK)
    assert b"0 bytes" in good or b"tick 5\n" in good
    assert late


async def test_an_idle_connection_is_kept(port: int) -> None:
    """Between two requests uvicorn's own time rules, which is longer."""
    async with _connected(port) as (reader, writer):
        for _ in range(2):
            writer.write(_HEAD + b"\r\n")
            answer = await reader.readuntil(b"0 bytes")
            assert answer.startswith(_OK)
            assert _CLOSE not in answer
            await asyncio.sleep(_PATIENCE_S * 2)


async def test_pipelined_requests_are_all_answered(port: int) -> None:
    answer = await _answer(
        port, (_HEAD + b"\r\n") * 3 + _POST + b"0123456789" + _HEAD + b"Connection: close\r\n\r\n"
    )
    assert answer.count(_OK) == 5, answer


async def test_too_large_a_body_ends_its_connection(port: int) -> None:
    """The caller reads the whole answer though it is still sending."""
    head = b"POST /large HTTP/1.1\r\nHost: node.test\r\nContent-Length: 5000000\r\n\r\n"
    answer = await _answer(port, head + b"a" * 2_500_000, b"a" * 2_500_000)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.lower().count(_CLOSE) == 1
    assert answer.endswith(b"Too much.")


async def test_an_upgrade_is_not_offered(port: int) -> None:
    """A web socket is asked for in vain: the request is answered as any other."""
    asked = _HEAD + b"Connection: close, Upgrade\r\nUpgrade: websocket\r\n"
    asked += b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
    assert (await _answer(port, asked)).startswith(_OK)


async def test_what_is_no_http_is_refused(port: int) -> None:
    answer = await _answer(port, b"\x16\x03\x01\x02\x00 hello\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
