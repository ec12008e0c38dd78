"""Tells receivers over HTTPS; the addresses are chosen by users, so nothing about them is trusted.

An address is judged where it is used: every address that a name resolves to when it is resolved,
and the very address of each socket before it connects. The latter also meets addresses that stand
in a URL as such, which aiohttp hands to no resolver, and leaves a name that is answered
differently the second time nothing to gain. No redirect is followed, no proxy is read from the
environment, no cookie is kept, certificates are verified, and of an answer no more is read than
the delivery log shows.

aiohttp sends a POST once: it repeats only methods that are idempotent.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ssl import SSLContext
from typing import Any, Final, Literal

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from tidegate import __version__
from tidegate.adapters.addresses import refusal, url_refusal
from tidegate.clock import Clock
from tidegate.observability import tracing
from tidegate.ports.notifier import Told

__all__ = ["ANSWER_BYTES_MAX", "ConnectorFactory", "Guard", "HttpNotifier", "guarded_connector"]

ANSWER_BYTES_MAX: Final = 1024
TIME_S: Final = 15.0
_CONNECT_S: Final = 10.0
_RETRY_AFTER_S_MAX: Final = 24 * 3600.0
_CONNECTIONS_MAX: Final = 64
_KEEP_ALIVE_S: Final = 2.0

_SECONDS = re.compile(r"[0-9]{1,9}")


class RefusedAddress(OSError):
    """A receiver's address is none that we send to."""


class Guard:
    """Judges addresses as they are used; with ``debug`` the machine's own are allowed."""

    def __init__(self, *, debug: bool) -> None:
        self._debug = debug

    def judge(self, address: str) -> None:
        """Raises :class:`RefusedAddress`."""
        why = refusal(address, loopback=self._debug)
        if why is not None:
            raise RefusedAddress(f"the address {address} is {why}")

    def socket(self, address_info: Any) -> socket.socket:
        """A socket for an address that is connected to next (aiohttp's ``socket_factory``)."""
        family, kind, protocol, _, address = address_info
        self.judge(str(address[0]))
        return socket.socket(family=family, type=kind, proto=protocol)

    def resolver(self, inner: AbstractResolver) -> AbstractResolver:
        """``inner``, but a name with any address that is refused is refused whole."""
        return _GuardedResolver(self, inner)


class _GuardedResolver(AbstractResolver):
    def __init__(self, guard: Guard, inner: AbstractResolver) -> None:
        self._guard = guard
        self._inner = inner

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        for each in found:
            self._guard.judge(each["host"])
        return found

    async def close(self) -> None:
        await self._inner.close()


ConnectorFactory = Callable[[Guard], aiohttp.BaseConnector]
"""Makes the connections; called once, inside the running loop. What it makes asks the guard."""


def guarded_connector(
    guard: Guard,
    resolver: Callable[[], AbstractResolver] = aiohttp.ThreadedResolver,
    ssl: SSLContext | Literal[True] = True,
) -> aiohttp.TCPConnector:
    """The connector for the real network."""
    return aiohttp.TCPConnector(
        resolver=guard.resolver(resolver()),
        socket_factory=guard.socket,
        ssl=ssl,
        use_dns_cache=False,
        # Long enough for a backlog; idle connections are closed before receivers close them.
        keepalive_timeout=_KEEP_ALIVE_S,
        limit=_CONNECTIONS_MAX,
    )


class HttpNotifier:
    """The notifier over HTTP. ``debug`` allows this machine as a receiver, also without TLS."""

    def __init__(
        self,
        clock: Clock,
        *,
        debug: bool,
        time_s: float = TIME_S,
        connector_factory: ConnectorFactory = guarded_connector,
    ) -> None:
        self._clock = clock
        self._debug = debug
        self._time_s = time_s
        self._connector_factory = connector_factory
        self._session: aiohttp.ClientSession | None = None

    def check(self, url: str) -> str | None:
        """Judge the URL by itself; see the port."""
        return url_refusal(url, debug=self._debug)

    async def tell(self, url: str, headers: Mapping[str, str], body: bytes) -> Told:
        """POST once; never raises for what the network or the receiver does."""
        if (why := self.check(url)) is not None:
            return Told(None, f"refused_address: {why}", "", 0)
        with tracing.call("receiver", "POST") as span:
            told = await self._post(url, headers, body)
            if span is not None and told.status is not None:
                span.set_attribute("http.response.status_code", told.status)
            return told

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> Told:
        session = self._session or self._open()
        began = self._clock.monotonic()
        try:
            async with session.post(
                URL(url, encoded=True), headers=headers, data=body, allow_redirects=False
            ) as response:
                # The status is the answer: what follows it is for the log.
                answer = await _beginning(response)
                retry_after_s = self._asked_s(response.headers.get("Retry-After", ""))
                took_ms = self._since(began)
                return Told(response.status, None, answer, took_ms, retry_after_s)
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            return Told(None, _why(error), "", self._since(began))

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        self._session = aiohttp.ClientSession(
            connector=self._connector_factory(Guard(debug=self._debug)),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            # Nothing is unpacked, so a small answer cannot become a large one.
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(
                total=self._time_s, connect=_CONNECT_S, ceil_threshold=float("inf")
            ),
            headers={
                "User-Agent": f"tidegate/{__version__}",
                "Accept": "*/*",
                "Accept-Encoding": "identity",
            },
        )
        return self._session

    def _asked_s(self, header: str) -> float | None:
        """Read ``Retry-After`` (RFC 9110 10.2.3: seconds or a date), at most a day."""
        text = header.strip()
        if _SECONDS.fullmatch(text):
            return min(float(text), _RETRY_AFTER_S_MAX)
        try:
            when = parsedate_to_datetime(text)
        except (ValueError, OverflowError):  # the second for a year or a zone beyond all numbers
            return None
        until = when if when.tzinfo else when.replace(tzinfo=UTC)
        now = datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC)
        return min(max(0.0, (until - now).total_seconds()), _RETRY_AFTER_S_MAX)

    def _since(self, began: float) -> int:
        return round((self._clock.monotonic() - began) * 1000)


async def _beginning(response: aiohttp.ClientResponse) -> str:
    """The first KiB of the body as text; what is longer ends the connection unread."""
    read = b""
    # A receiver that stops in the middle of its answer has answered all the same.
    with suppress(aiohttp.ClientError, OSError):
        while len(read) <= ANSWER_BYTES_MAX:
            chunk = await response.content.read(ANSWER_BYTES_MAX + 1 - len(read))
            if not chunk:
                break
            read += chunk
    if not response.content.at_eof():
        response.close()
    # PostgreSQL stores no U+0000.
    return read[:ANSWER_BYTES_MAX].decode("utf-8", "replace").replace("\0", "\ufffd")


def _why(error: BaseException) -> str:
    """A word and a sentence for the delivery log."""
    refused = next((each for each in _causes(error) if isinstance(each, RefusedAddress)), None)
    if refused is not None:
        return f"refused_address: {refused}"
    reached = not isinstance(
        error,
        aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError | aiohttp.ClientSSLError,
    )
    word = "unknown" if reached else "not_reached"
    if isinstance(error, TimeoutError):
        return f"{word}: no answer in time"
    said = " ".join(str(error).replace("\0", "").split())
    return f"{word}: {type(error).__name__}: {said}"[:300]


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    each: BaseException | None = error
    while each is not None and each not in found:
        found.append(each)
        inner = getattr(each, "os_error", None)
        each = inner if isinstance(inner, BaseException) else (each.__cause__ or each.__context__)
    return found
