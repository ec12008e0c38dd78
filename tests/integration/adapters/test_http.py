"""The table of foreign errors, proven on real sockets."""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator, Callable

import aiohttp
import aiohttp.abc
import pytest

from tests.integration.adapters.raw import (
    Reader,
    Writer,
    read_request,
    reset,
    scripted_server,
    tcp_server,
)
from tidegate.adapters.http import (
    ANSWER_BYTES_MAX,
    Answer,
    Failure,
    FailureKind,
    HttpClient,
    Method,
)
from tidegate.clock import Randomness, SystemClock

BODY = b'{"reference":"tg-1"}'
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

MakeClient = Callable[[], aiohttp.BaseConnector]


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    async for made in _client(aiohttp.TCPConnector):
        yield made


async def _client(factory: MakeClient) -> AsyncIterator[HttpClient]:
    clock = SystemClock()
    made = HttpClient(clock, Randomness(clock), factory, "bank")
    try:
        yield made
    finally:
        await made.close()


async def post(
    client: HttpClient,
    url: str,
    timeout_s: float = 5.0,
    connect_timeout_s: float = 5.0,
    method: Method = "POST",
) -> Answer | Failure:
    return await client.request(
        method,
        url,
        headers={"Content-Type": "application/json"},
        body=BODY if method == "POST" else None,
        timeout_s=timeout_s,
        connect_timeout_s=connect_timeout_s,
    )


def kind(outcome: Answer | Failure) -> FailureKind:
    assert isinstance(outcome, Failure), outcome
    return outcome.kind


async def test_body_and_url_travel_as_given(client: HttpClient) -> None:
    """The bytes given are the bytes sent, and the spelling of the query is not touched."""
    body = '{"a": "<\u20a6>",  "b":1}\n'.encode()
    async with scripted_server() as server:
        answer = await client.request(
            "POST",
            f"{server.origin}/x%2Fy?b=2&a=%41+%7E",
            headers={"Content-Type": "application/json", "Authorization": "Bearer t"},
            body=body,
            timeout_s=5,
        )
    (heard,) = server.heard
    assert isinstance(answer, Answer)
    assert (heard.body, heard.path, heard.query) == (body, "/x%2Fy", "b=2&a=%41+%7E")
    assert heard.headers["content-length"] == str(len(body))
    assert heard.headers["content-type"] == "application/json"
    assert heard.headers["authorization"] == "Bearer t"
    assert "transfer-encoding" not in heard.headers
    assert answer.took_ms >= 0


async def test_gzip_answer_is_unpacked(client: HttpClient) -> None:
    """``body`` is free of its content encoding; headers are found in any case."""
    async with scripted_server() as server:
        server.replies[0].body = gzip.compress(b'{"status":true}')
        server.replies[0].headers = {"Content-Encoding": "gzip", "Retry-After": "7"}
        answer = await post(client, server.origin)
    assert isinstance(answer, Answer)
    assert answer.body == b'{"status":true}'
    assert answer.headers["retry-after"] == "7"


async def test_nothing_listens_is_not_reached(client: HttpClient) -> None:
    """A refused connection proves that no byte left."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        assert kind(await post(client, url)) is FailureKind.NOT_REACHED


async def test_unknown_name_is_not_reached() -> None:
    """A name without address proves that no byte left."""

    class Nowhere(aiohttp.abc.AbstractResolver):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[aiohttp.abc.ResolveResult]:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        async def close(self) -> None:
            pass

    async for client in _client(lambda: aiohttp.TCPConnector(resolver=Nowhere())):
        outcome = await post(client, "http://bank.example/")
        assert kind(outcome) is FailureKind.NOT_REACHED


async def test_connect_timeout_is_not_reached() -> None:
    """A connection that never comes up proves that no byte left, with much time left or little."""

    class Deaf(aiohttp.TCPConnector):
        async def _create_connection(self, *args: object, **kwargs: object) -> object:  # type: ignore[override]  # never returns
            await asyncio.sleep(60)
            raise AssertionError

    async for client in _client(Deaf):
        outcome = await post(client, "http://127.0.0.1:9/", connect_timeout_s=0.05)
        assert kind(outcome) is FailureKind.NOT_REACHED
        outcome = await post(client, "http://127.0.0.1:9/", timeout_s=1.0)
        assert kind(outcome) is FailureKind.NOT_REACHED


async def test_full_backlog_is_not_reached(client: HttpClient) -> None:
    """A server that accepts no more connections ends in a connect timeout, on a real socket."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        outcome = await post(client, f"http://127.0.0.1:{address[1]}/", connect_timeout_s=0.2)
        for one in waiting:
            one.close()
    assert kind(outcome) is FailureKind.NOT_REACHED


async def test_no_free_connection_is_not_reached() -> None:
    """Waiting in vain for a place in the pool sends nothing."""
    entered, tried = asyncio.Event(), asyncio.Event()

    async def slow(reader: Reader, writer: Writer) -> None:
        await read_request(reader)
        entered.set()
        await tried.wait()
        writer.write(OK)

    async with tcp_server(slow) as origin:
        async for client in _client(lambda: aiohttp.TCPConnector(limit=1)):
            first = asyncio.create_task(post(client, origin))
            await entered.wait()
            outcome = await post(client, origin, connect_timeout_s=0.05)
            assert kind(outcome) is FailureKind.NOT_REACHED
            tried.set()
            assert isinstance(await first, Answer)


@pytest.mark.parametrize("how", ["plain_text", "closes", "resets"])
async def test_broken_handshake_is_not_reached(client: HttpClient, how: str) -> None:
    """TLS that does not come up proves that no byte of the request left."""

    async def no_tls(reader: Reader, writer: Writer) -> None:
        await reader.read(64)
        if how == "plain_text":
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await writer.drain()
        elif how == "resets":
            reset(writer)

    async with tcp_server(no_tls) as origin:
        outcome = await post(client, origin.replace("http:", "https:"))
    assert kind(outcome) is FailureKind.NOT_REACHED


async def test_no_time_left_is_not_reached(client: HttpClient) -> None:
    """A call without time is not made; aiohttp alone would wait for ever."""
    async with scripted_server() as server:
        assert kind(await post(client, server.origin, timeout_s=0)) is FailureKind.NOT_REACHED
        assert kind(await post(client, server.origin, timeout_s=-1)) is FailureKind.NOT_REACHED
    assert server.heard == []


async def test_unusable_url_is_not_reached(client: HttpClient) -> None:
    """An address that cannot be called is our own mistake; nothing was sent."""
    for url in ("ftp://127.0.0.1/", "http:///path"):
        assert kind(await post(client, url)) is FailureKind.NOT_REACHED


async def _accept_and_close(reader: Reader, writer: Writer) -> None:
    pass


async def _read_and_close(reader: Reader, writer: Writer) -> None:
    await read_request(reader)


async def _read_and_reset(reader: Reader, writer: Writer) -> None:
    await read_request(reader)
    reset(writer)


async def _half_head(reader: Reader, writer: Writer) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Le")
    await writer.drain()


async def _half_body(reader: Reader, writer: Writer) -> None:
    await read_request(reader)
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n{"status":tr')
    await writer.drain()


async def _half_chunks(reader: Reader, writer: Writer) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}{}{\r\n")
    await writer.drain()


async def _reset_in_body(reader: Reader, writer: Writer) -> None:
    await _half_body(reader, writer)
    await asyncio.sleep(0.02)
    reset(writer)


async def _never_answers(reader: Reader, writer: Writer) -> None:
    await read_request(reader)
    await reader.read()


async def _stalls_in_body(reader: Reader, writer: Writer) -> None:
    await _half_body(reader, writer)
    await reader.read()


async def _not_http(reader: Reader, writer: Writer) -> None:
    await read_request(reader)
    writer.write(b"SSH-2.0-hello\r\n\r\n")
    await writer.drain()


async def _not_gzip(reader: Reader, writer: Writer) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\noops")
    await writer.drain()


UNKNOWN_BEHAVIOURS = [
    _accept_and_close,
    _read_and_close,
    _read_and_reset,
    _half_head,
    _half_body,
    _half_chunks,
    _reset_in_body,
    _never_answers,
    _stalls_in_body,
    _not_http,
    _not_gzip,
]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("behave", UNKNOWN_BEHAVIOURS, ids=lambda f: f.__name__.strip("_"))
async def test_after_the_connection_stands_all_is_unknown(
    client: HttpClient, behave: Callable[[Reader, Writer], object], method: Method
) -> None:
    """Whatever goes wrong once connected is unknown, and nothing is sent a second time."""
    connections = 0

    async def counted(reader: Reader, writer: Writer) -> None:
        nonlocal connections
        connections += 1
        await behave(reader, writer)  # type: ignore[misc]  # all of them are coroutines

    async with tcp_server(counted) as origin:
        outcome = await post(client, origin, timeout_s=0.4, method=method)
        await asyncio.sleep(0.02)
    assert kind(outcome) is FailureKind.UNKNOWN
    assert connections == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("rude", [False, True], ids=["closed", "reset"])
async def test_reused_connection_closed_by_server_is_unknown(
    client: HttpClient, rude: bool, method: Method
) -> None:
    """Writing into a kept-alive connection that the server gives up is unknown, and sent once."""
    connections = 0
    requests = 0

    async def once(reader: Reader, writer: Writer) -> None:
        nonlocal connections, requests
        connections += 1
        await read_request(reader)
        requests += 1
        writer.write(OK)
        await writer.drain()
        # Wait for the second request's first bytes: the race of a closing idle connection.
        await reader.read(1)
        requests += 1
        if rude:
            reset(writer)

    async with tcp_server(once) as origin:
        assert isinstance(await post(client, origin), Answer)
        outcome = await post(client, origin, method=method)
        await asyncio.sleep(0.02)
    assert kind(outcome) is FailureKind.UNKNOWN
    assert (connections, requests) == (1, 2)


async def test_idle_connection_closed_while_nobody_looked(client: HttpClient) -> None:
    """A connection closed while idle is either noticed and replaced, or unknown: never two sends.

    The close is on its way when we write: the loop has not yet told the pool.
    """
    requests = 0
    answered = asyncio.Event()
    closers: list[Writer] = []

    async def idle(reader: Reader, writer: Writer) -> None:
        nonlocal requests
        closers.append(writer)
        while True:
            await read_request(reader)
            requests += 1
            writer.write(OK)
            await writer.drain()
            answered.set()

    async with tcp_server(idle) as origin:
        assert isinstance(await post(client, origin), Answer)
        await answered.wait()
        reset(closers[0])
        outcome = await post(client, origin)
        await asyncio.sleep(0.02)
        if isinstance(outcome, Failure):
            assert outcome.kind is FailureKind.UNKNOWN
            assert requests == 1
        else:
            assert requests == 2


async def test_other_methods_are_not_spoken(client: HttpClient) -> None:
    """No counterparty needs them, and each has rules of its own."""
    for method in ("PUT", "DELETE", "PATCH", "HEAD", "post"):
        with pytest.raises(ValueError, match="only GET and POST"):
            await client.request(
                method,  # type: ignore[arg-type]  # the point of the test
                "http://127.0.0.1:9/",
                headers={},
                body=None,
                timeout_s=1,
            )


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
async def test_too_large_answer_is_cut_and_unknown(client: HttpClient, declared: bool) -> None:
    """At most 1 MiB is read, whether the length was declared or not."""

    async def flood(reader: Reader, writer: Writer) -> None:
        await read_request(reader)
        size = 64 * 1024 * 1024
        head = f"Content-Length: {size}" if declared else "Connection: close"
        writer.write(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode())
        for _ in range(size // 65536):
            writer.write(b"x" * 65536)
            await writer.drain()

    async with tcp_server(flood) as origin:
        outcome = await post(client, origin)
    assert kind(outcome) is FailureKind.UNKNOWN
    assert isinstance(outcome, Failure)
    assert "larger than" in outcome.why


async def test_gzip_bomb_is_cut(client: HttpClient) -> None:
    """The limit is on what comes out of the decompression."""
    async with scripted_server() as server:
        server.replies[0].body = gzip.compress(b"0" * (8 * ANSWER_BYTES_MAX))
        server.replies[0].headers = {"Content-Encoding": "gzip"}
        assert kind(await post(client, server.origin)) is FailureKind.UNKNOWN


async def test_answer_of_exactly_the_limit_is_read(client: HttpClient) -> None:
    """1 MiB is still an answer."""
    async with scripted_server() as server:
        server.replies[0].body = b"0" * ANSWER_BYTES_MAX
        answer = await post(client, server.origin)
    assert isinstance(answer, Answer)
    assert len(answer.body) == ANSWER_BYTES_MAX


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_redirects_are_answers(client: HttpClient, method: Method, status: int) -> None:
    """A redirect is handed back as it is, for every method."""
    async with scripted_server() as server:
        server.replies[0].status = status
        server.replies[0].headers = {"Location": server.origin + "/elsewhere"}
        answer = await client.request(
            method, server.origin + "/here", headers={}, body=None, timeout_s=5
        )
    assert isinstance(answer, Answer)
    assert answer.status == status
    assert [heard.path for heard in server.heard] == ["/here"]


async def test_no_cookies_and_no_proxy(client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cookies are forgotten; proxies of the environment are not asked."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with scripted_server() as server:
        server.replies[0].headers = {"Set-Cookie": "session=1; Path=/"}
        assert isinstance(await post(client, server.origin), Answer)
        assert isinstance(await post(client, server.origin), Answer)
    assert all("cookie" not in heard.headers for heard in server.heard)


async def test_cancelling_is_not_swallowed(client: HttpClient) -> None:
    """A cancelled caller is cancelled; it is not told a failure."""
    async with tcp_server(_never_answers) as origin:
        call = asyncio.create_task(post(client, origin))
        await asyncio.sleep(0.05)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_one_session_serves_many_calls() -> None:
    """The connector is made once and the connection is kept."""
    made = 0
    connections = 0

    def factory() -> aiohttp.BaseConnector:
        nonlocal made
        made += 1
        return aiohttp.TCPConnector()

    async def keep(reader: Reader, writer: Writer) -> None:
        nonlocal connections
        connections += 1
        while True:
            await read_request(reader)
            writer.write(OK)
            await writer.drain()

    async with tcp_server(keep) as origin:
        async for client in _client(factory):
            for _ in range(5):
                assert isinstance(await post(client, origin), Answer)
    assert (made, connections) == (1, 1)
