"""Requests that no library sends: refused in our own words, never an error of ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from tests.integration.api.ops_world import Ops, ops, prepare
from tests.support.databases import Prepare


@pytest.fixture
async def node(
    make_template: Callable[[str, Prepare], Callable[[], str]],
) -> AsyncIterator[Ops]:
    async with ops(make_template("api_ops", prepare)()) as made:
        yield made


async def _send(node: Ops, raw: bytes) -> bytes:
    """What comes back for these very bytes, on a connection of its own."""
    async with asyncio.timeout(60):
        async with node.session.get("/health") as alive:
            host, port = alive.url.host, alive.url.port
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(raw)
        try:
            return await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()


@pytest.mark.parametrize(
    ("length", "status"), [("0" * 5000 + "2", b"422"), ("9" * 18, b"413"), ("65537", b"413")]
)
async def test_a_length_of_many_digits_is_read_as_the_number_it_is(
    node: Ops, length: str, status: bytes
) -> None:
    """Neither leading zeros nor size make announcing a body an error of ours."""
    answer = await _send(
        node,
        b"POST /api/auth/login HTTP/1.1\r\nHost: node.test\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nContent-Length: " + length.encode() + b"\r\n\r\n{}",
    )
    assert answer.startswith(b"HTTP/1.1 " + status), answer


async def test_a_path_that_no_database_stores_is_not_found(node: Ops) -> None:
    """U+0000 in the id of a stream, too: PostgreSQL would refuse it, not miss it."""
    token = await node.log_in("nul@example.com", "operator")
    for path in (
        "/api/payments/pay%00/stream",
        "/api/webhook-endpoints/we%00",
        "/api/auth/sessions/ses%00",
        "/api/ops/inbox/evt%00",
    ):
        answer = await _send(
            node,
            f"GET {path} HTTP/1.1\r\nHost: node.test\r\nConnection: close\r\n"
            f"Authorization: Bearer {token}\r\n\r\n".encode(),
        )
        assert answer.split(b" ")[1] in (b"404", b"405"), (path, answer)


@pytest.mark.parametrize("path", ["/api/payments/", "/docs/assets", "/health/"])
async def test_nobody_is_sent_to_where_the_host_header_says(node: Ops, path: str) -> None:
    """A redirect would repeat it, with the scheme of our side of a proxy: a client that follows
    sends its token there, in the clear."""
    answer = await _send(
        node, f"GET {path} HTTP/1.1\r\nHost: elsewhere.test\r\nConnection: close\r\n\r\n".encode()
    )
    assert answer.startswith(b"HTTP/1.1 404"), answer
    assert b"elsewhere.test" not in answer


async def test_the_catalogue_of_errors_is_found_with_and_without_its_slash(node: Ops) -> None:
    for path in ("/docs/errors", "/docs/errors/"):
        async with node.session.get(path, allow_redirects=False) as answered:
            assert answered.status == 200
