"""A connection to a database on another machine is encrypted or it is none."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import asyncpg
import pytest

from tidegate.db.url import parse


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
async def test_a_server_that_offers_no_tls_gets_no_password(mode: str) -> None:
    """Who stands between and answers "no TLS here" sees the question for it and nothing else."""
    heard: list[bytes] = []
    over = asyncio.Event()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(1_000))
        writer.write(b"N")
        heard.append(await reader.read(1_000))
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        over.set()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = parse(f"postgresql://someone:hunter-two@127.0.0.1:{port}/books?sslmode={mode}")
    with pytest.raises((OSError, asyncpg.PostgresError)):
        await asyncpg.connect(**url.asyncpg_args, timeout=30)
    async with asyncio.timeout(60):
        await over.wait()
    server.close()
    await server.wait_closed()
    assert heard[0][4:8] == (80_877_103).to_bytes(4, "big")  # SSLRequest, alone
    assert b"".join(heard[1:]) == b""
