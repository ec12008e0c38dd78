"""One client for every outgoing call, and the one table of foreign errors.

A call ends as an :class:`Answer` (a whole HTTP answer was read, whatever its status) or as a
:class:`Failure`, which is one of two words:

``not_reached``
    Proven that no byte of the request left: the name did not resolve, the connection was refused
    or took too long, the TLS handshake failed, no free connection came up in time.
``unknown``
    Everything else. Some of the request may have arrived and may have been acted on.

The difference decides whether money may be sent again (``contracts/psp.md`` 3.3), so whatever is
not listed as proof is ``unknown``; a kept-alive connection that the other side closed under us is
``unknown`` too, because nobody can tell how much of the request it read.

What aiohttp would do by itself, and why it does not happen here: it repeats an idempotent request
after a lost connection, which :func:`_sent_once` prevents for every method, so that a try is a try
and each is recorded; it follows redirects, which is switched off; it keeps cookies and reads
proxies from the environment, both off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final, Literal

import aiohttp
from yarl import URL

from tidegate import __version__
from tidegate.clock import Clock, Randomness
from tidegate.observability import tracing

__all__ = [
    "ANSWER_BYTES_MAX",
    "Answer",
    "Failure",
    "FailureKind",
    "HttpClient",
    "Method",
]

Method = Literal["GET", "POST"]

ANSWER_BYTES_MAX: Final = 1024 * 1024
_METHODS: Final = frozenset({"GET", "POST"})

# Connecting gets at most this share of the whole time, so that a connection that never comes up
# is seen as such (not reached) even when little time is left altogether.
_CONNECT_SHARE: Final = 0.8


class FailureKind(StrEnum):
    """What a call without an answer proves."""

    NOT_REACHED = "not_reached"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete HTTP answer. ``headers`` compare without regard to case; ``body`` is decoded of
    its content encoding and at most ``ANSWER_BYTES_MAX`` long; ``took_ms`` is whole milliseconds.
    """

    status: int
    body: bytes
    headers: Mapping[str, str]
    took_ms: int


@dataclass(frozen=True, slots=True)
class Failure:
    """No complete answer. ``why`` is for people and holds neither headers nor bodies."""

    kind: FailureKind
    why: str
    took_ms: int


class AnswerTooLarge(Exception):
    """The answer went over ``ANSWER_BYTES_MAX`` and was cut off."""


class ConnectionLost(aiohttp.ClientError):
    """A connection that stood was lost; in a class that aiohttp does not answer with a repeat."""


# Read from the top; the first class that fits decides. Everything in the upper part is raised by
# aiohttp's connector (or before it), which returns before the first byte is written.
_FOREIGN: Final[tuple[tuple[type[BaseException], FailureKind], ...]] = (
    (aiohttp.ClientConnectorError, FailureKind.NOT_REACHED),  # refused, DNS, reset in the handshake
    (aiohttp.ClientSSLError, FailureKind.NOT_REACHED),
    (aiohttp.ClientConnectorCertificateError, FailureKind.NOT_REACHED),
    (aiohttp.ConnectionTimeoutError, FailureKind.NOT_REACHED),  # also: no free connection in time
    (aiohttp.InvalidURL, FailureKind.NOT_REACHED),
    (aiohttp.NonHttpUrlClientError, FailureKind.NOT_REACHED),
    (aiohttp.ClientError, FailureKind.UNKNOWN),  # reset, closed, half an answer, not HTTP
    (TimeoutError, FailureKind.UNKNOWN),  # the whole time is over
    (OSError, FailureKind.UNKNOWN),
    (AnswerTooLarge, FailureKind.UNKNOWN),
)
_FOREIGN_CLASSES: Final = tuple(foreign for foreign, _ in _FOREIGN)


class HttpClient:
    """The connections to one counterparty; ``name`` is what logs and exchanges call it.

    ``connector_factory`` is called once, inside the running loop, at the first request; it owns
    pool size, resolver and TLS settings (and, in a simulation, the whole network).
    """

    def __init__(
        self,
        clock: Clock,
        randomness: Randomness,
        connector_factory: Callable[[], aiohttp.BaseConnector],
        name: str,
    ) -> None:
        self.name = name
        self.clock = clock
        self.randomness = randomness
        self._connector_factory = connector_factory
        self._session: aiohttp.ClientSession | None = None

    async def request(
        self,
        method: Method,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout_s: float,
        connect_timeout_s: float = 5.0,
    ) -> Answer | Failure:
        """Make one call; ``body`` is sent as the very bytes given, ``url`` as spelt.

        ``timeout_s`` bounds the whole call, reading included. Never raises for what the network
        or the other side does; ``ValueError`` for another method than GET or POST.
        """
        if method not in _METHODS:
            raise ValueError(f"only GET and POST are spoken here, not {method}")
        if timeout_s <= 0:
            # aiohttp reads "no time" as "all the time in the world".
            return Failure(FailureKind.NOT_REACHED, "no time was left for the call", 0)
        with tracing.call(self.name, method) as span:
            ended = await self._call(method, url, headers, body, timeout_s, connect_timeout_s)
            if span is not None and isinstance(ended, Answer):
                span.set_attribute("http.response.status_code", ended.status)
            elif span is not None and isinstance(ended, Failure):
                span.set_attribute("error.type", ended.kind.value)
            return ended

    async def _call(
        self,
        method: Method,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout_s: float,
        connect_timeout_s: float,
    ) -> Answer | Failure:
        session = self._session or self._open()
        began = self.clock.monotonic()
        try:
            async with session.request(
                method,
                URL(url, encoded=True),
                headers=headers,
                data=body,
                allow_redirects=False,
                timeout=_timeout(timeout_s, connect_timeout_s),
            ) as response:
                text = await _read(response)
                return Answer(response.status, text, response.headers, self._since(began))
        except _FOREIGN_CLASSES as error:
            return Failure(_kind(error), _why(error), self._since(began))

    async def close(self) -> None:
        """Close the connections; a later request would open new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        self._session = aiohttp.ClientSession(
            connector=self._connector_factory(),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            middlewares=(_sent_once,),
            headers={"User-Agent": f"tidegate/{__version__}", "Accept": "application/json"},
        )
        return self._session

    def _since(self, began: float) -> int:
        return round((self.clock.monotonic() - began) * 1000)


async def _sent_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    # aiohttp repeats GET, PUT, DELETE and others on exactly these two, new connections included.
    try:
        return await handler(request)
    except (aiohttp.ClientConnectorError, aiohttp.ClientConnectorCertificateError):
        raise  # subclasses of the next, never repeated, and proof that nothing was sent
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise ConnectionLost(_why(error)) from error


@lru_cache(maxsize=256)
def _timeout(timeout_s: float, connect_timeout_s: float) -> aiohttp.ClientTimeout:
    # The threshold keeps aiohttp from rounding long limits up to whole seconds of the loop.
    return aiohttp.ClientTimeout(
        total=timeout_s,
        connect=min(connect_timeout_s, timeout_s * _CONNECT_SHARE),
        ceil_threshold=float("inf"),
    )


async def _read(response: aiohttp.ClientResponse) -> bytes:
    first = await response.content.readany()
    chunks = [first]
    size = len(first)
    while first:
        if size > ANSWER_BYTES_MAX:
            # Closing, not draining: what is still to come is of no use and may never end.
            response.close()
            raise AnswerTooLarge(f"the answer is larger than {ANSWER_BYTES_MAX} bytes")
        first = await response.content.readany()
        chunks.append(first)
        size += len(first)
    return chunks[0] if len(chunks) == 2 else b"".join(chunks)


def _kind(error: BaseException) -> FailureKind:
    return next(kind for foreign, kind in _FOREIGN if isinstance(error, foreign))


def _why(error: BaseException) -> str:
    said = str(error)
    return (f"{type(error).__name__}: {said}" if said else type(error).__name__)[:200]
