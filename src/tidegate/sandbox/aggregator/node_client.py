"""Calls to the node: signed bytes out, and what the aggregator makes of the answer (2.4, 3)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from tidegate.sandbox.aggregator.signing import canonical, sign

__all__ = ["Answer", "NodeClient"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. ``status`` is 0 if nothing did; ``error`` is LIVE's error text."""

    status: int
    document: Any
    is_json: bool
    text: str
    error: str

    @property
    def good(self) -> bool:
        """LIVE's success test: below 400, and JSON or empty."""
        return not self.error


class NodeClient:
    """One keep-alive pool to one node. ``secret`` is the shared key's text as bytes."""

    def __init__(
        self,
        *,
        client_id: str,
        secret: bytes,
        node_url: str | None,
        timeout_s: float,
        connector: Callable[[], aiohttp.BaseConnector] | None = None,
    ) -> None:
        self.client_id = client_id
        self.secret = secret
        self.node_url = node_url
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._connector = connector
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Open the pool."""
        connector = self._connector() if self._connector else aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar()
        )

    async def stop(self) -> None:
        """Close the pool; calls under way fail."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def post(
        self, path: str, payload: Mapping[str, Any] | None, *, signature: str | None = None
    ) -> Answer:
        """A LIVE call: canonical bytes under ``X-Request-Signature``, over zero bytes if empty.

        ``signature`` replaces the right one, for faults.
        """
        body = canonical(payload) if payload else b""
        headers = {
            "Content-Type": "application/json",
            "X-Request-Signature": signature or sign(self.secret, body),
        }
        return await self.send("POST", path, body, headers)

    async def post_spec(self, path: str, body: bytes, signature: str) -> Answer:
        """A SPEC call: ``Authorization: HMAC client:signature`` beside the bytes that travel."""
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"HMAC {self.client_id}:{signature}",
        }
        return await self.send("POST", path, body, headers)

    async def get(self, path: str) -> Answer:
        """An unauthenticated call (``/info``, ``/health``)."""
        return await self.send("GET", path, b"", {})

    async def send(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send, and read the answer; network errors come back as an :class:`Answer` too."""
        if self._session is None or self.node_url is None:
            raise RuntimeError("the sandbox aggregator is not started, or knows no node_url")
        # One trailing slash is cut, as LIVE does; a prefix in the address stays.
        url = self.node_url.removesuffix("/") + path
        try:
            async with self._session.request(
                method, url, data=body, headers=headers, allow_redirects=False
            ) as response:
                status, raw = response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # Go names the address in its network errors: the substring trap lives on that (3).
            return Answer(0, None, False, "", f'{method} "{url}": {type(error).__name__}')
        return _read(status, raw)


def _read(status: int, raw: bytes) -> Answer:
    text = raw.decode("utf-8", "replace")
    try:
        document = json.loads(text) if text else None
        is_json = bool(text)
    except ValueError:
        document, is_json = None, False
    if status >= 300:
        return Answer(status, document, is_json, text, str(status))
    if not is_json and raw:
        return Answer(status, None, False, text, f"answer is not JSON: {text[:200]}")
    return Answer(status, document, is_json, text, "")
