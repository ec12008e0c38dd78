"""The shop's own address: the page for a browser, and the door for the node's webhooks.

GET  /             the page; /shop.js, /shop.css
GET  /config.json  where the node is, and the buyer the page offers to log in as
POST /hooks/{name} a webhook endpoint of the buyer ``name``
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Final

from aiohttp import web

from tidegate.clock import Clock
from tidegate.sandbox.shop.receiver import Receiver

__all__ = ["Shop"]

_FILES: Final[Mapping[str, tuple[str, str]]] = {
    "/": ("page.html", "text/html"),
    "/shop.js": ("shop.js", "text/javascript"),
    "/shop.css": ("shop.css", "text/css"),
}


class Shop:
    """Serves the page and takes webhooks; ``node_url`` and ``buyer`` are set before people come.

    ``buyer`` is what the page offers: ``{"email": ..., "password": ...}``, of a played person.
    """

    def __init__(self, clock: Clock) -> None:
        self.receiver = Receiver(clock)
        self.node_url = ""
        self.buyer: Mapping[str, str] = {}
        self._runner: web.AppRunner | None = None
        self._port = 0

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def start(self, port: int = 0) -> str:
        """Listen on 127.0.0.1 (port 0: any free one); the origin."""
        app = web.Application()
        app.router.add_post("/hooks/{name}", self._hook)
        app.router.add_get("/config.json", self._config)
        for path in _FILES:
            app.router.add_get(path, self._file)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port, reuse_address=True)
        await site.start()
        self._port = site.port
        return self.origin

    async def stop(self) -> None:
        """Stop listening; what arrived stays."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def hook_url(self, name: str) -> str:
        """Where the node sends the events of the buyer ``name``."""
        return f"{self.origin}/hooks/{name}"

    async def _hook(self, request: web.Request) -> web.Response:
        body = await request.read()
        name = request.match_info["name"]
        return web.Response(status=self.receiver.take(name, request.headers, body))

    async def _config(self, _: web.Request) -> web.Response:
        content = {"node": self.node_url, **self.buyer}
        return web.json_response(content, headers=self._headers())

    async def _file(self, request: web.Request) -> web.Response:
        name, content_type = _FILES[request.path]
        text = files(__package__).joinpath(name).read_text(encoding="utf-8")
        return web.Response(text=text, content_type=content_type, headers=self._headers())

    def _headers(self) -> dict[str, str]:
        """Scripts and styles from here alone, calls to the node alone, and no way out for what
        stands in the address after a redirect."""
        policy = (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "
            f"connect-src 'self' {self.node_url}; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'"
        )
        return {
            "Content-Security-Policy": policy,
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        }
