"""A listener for metrics alone, one for each process of a node (D6).

Counters are a process's own. Where several processes share a port, or a worker has none, each
opens one of ``METRICS_PORTS``: the first that is free. A process that finds none works all the
same and tries again: after a restart the port of its predecessor is free some seconds later.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

import structlog
from aiohttp import web

from tidegate.bootstrap import Application
from tidegate.monitoring.access import REFUSAL, may_read
from tidegate.monitoring.readings import exposition
from tidegate.observability.metrics import CONTENT_TYPE

__all__ = ["Listener"]

log = structlog.get_logger()

_AGAIN_S: Final = 5.0
# A scrape has no body, and a few headers.
_BODY_BYTES_MAX: Final = 1024


class Listener:
    """``/metrics`` and ``/health`` of one process. Without ``METRICS_PORTS`` it does nothing."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self.port: int | None = None
        self._runner: web.AppRunner | None = None
        self._opening: asyncio.Task[None] | None = None

    async def start(self) -> None:
        if not self._app.settings.observability.metrics_ports:
            return
        served = web.Application(client_max_size=_BODY_BYTES_MAX)
        served.router.add_get("/metrics", self._metrics)
        served.router.add_get("/health", self._health)
        self._runner = web.AppRunner(served, access_log=None)
        await self._runner.setup()
        if not await self._open():
            log.warning("metrics.no_port", ports=self._ports_told())
            self._opening = asyncio.create_task(self._keep_trying(), name="metrics port")

    async def stop(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
            with suppress(asyncio.CancelledError):
                await self._opening
        if self._runner is not None:
            await self._runner.cleanup()

    async def _open(self) -> bool:
        assert self._runner is not None  # made before this is called
        observability = self._app.settings.observability
        for port in observability.metrics_ports:
            site = web.TCPSite(self._runner, observability.metrics_host, port)
            try:
                await site.start()
            except OSError as error:
                # Taken, as a rule; an address that is not this machine's is told as well.
                log.debug("metrics.port_taken", port=port, error=repr(error))
                continue
            self.port = port
            log.info("metrics.listening", host=observability.metrics_host, port=port)
            return True
        return False

    async def _keep_trying(self) -> None:
        while not await self._open():  # noqa: ASYNC110 -- a port that becomes free wakes nobody
            await asyncio.sleep(_AGAIN_S)

    def _ports_told(self) -> str:
        ports = self._app.settings.observability.metrics_ports
        return f"{ports[0]}-{ports[-1]}"

    async def _metrics(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        if not may_read(self._app.settings, request.remote, headers, public=False):
            return web.Response(status=403, text=f"{REFUSAL}\n")
        body = await exposition(self._app)
        return web.Response(body=body, headers={"content-type": CONTENT_TYPE})

    async def _health(self, _: web.Request) -> web.Response:
        """The loop turns: for who watches a worker, which has no other port."""
        return web.Response(text="ok\n")
