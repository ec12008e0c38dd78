"""The listening side: a port that can be closed for a while, and connections that can be cut."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from tidegate.sandbox.bank.patience import Patience

__all__ = ["Door"]


class Door:
    """Listens with one handler for everything."""

    def __init__(
        self,
        handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        patience: Patience,
    ) -> None:
        self._handle = handle
        self._patience = patience
        self._server: web.Server | None = None
        self._runner: web.ServerRunner | None = None
        self._site: web.TCPSite | None = None
        self._refusing: asyncio.Task[None] | None = None
        self._address = ("127.0.0.1", 0)

    @property
    def origin(self) -> str:
        host, port = self._address
        return f"http://{host}:{port}"

    async def open(self, host: str, port: int) -> str:
        """Listen (port 0: any free one) and return the origin."""
        self._server = web.Server(self._handle, access_log=None)
        self._runner = web.ServerRunner(self._server, shutdown_timeout=1.0)
        await self._runner.setup()
        self._address = (host, port)
        await self._listen()
        return self.origin

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        if self._refusing is not None:
            self._refusing.cancel()
            await asyncio.gather(self._refusing, return_exceptions=True)
            self._refusing = None
        self.hang_up()
        self._patience.end()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = self._server = self._site = None

    def refuse(self, seconds: float) -> None:
        """Drop every connection and let nobody in for a while."""
        self.hang_up()
        if self._site is not None:
            site, self._site = self._site, None
            self._refusing = asyncio.ensure_future(self._stay_closed(site, seconds))

    def hang_up(self) -> None:
        """Cut every connection without a word."""
        for connection in self._server.connections if self._server is not None else ():
            if connection.transport is not None:
                connection.transport.abort()

    async def _listen(self) -> None:
        if self._runner is None:
            return
        host, port = self._address
        self._site = web.TCPSite(self._runner, host, port, reuse_address=True)
        await self._site.start()
        self._address = (host, self._site.port)

    async def _stay_closed(self, site: web.TCPSite, seconds: float) -> None:
        await site.stop()
        self.hang_up()
        await self._patience.pause(seconds)
        await self._listen()
