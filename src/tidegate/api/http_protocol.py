"""The HTTP server's connections, bounded: a request's size on the wire and the time it may take.

Uvicorn bounds neither, so one caller could fill the memory with headers or hold connections for
ever. Bounds here, before the application is asked:

==============================================  =====================================
64 KiB of headers (or of trailers)              431, and the connection is closed
20 s from a request's first byte to its last    408, and the connection is closed
20 s from connecting to the first byte          closed without a word
==============================================  =====================================

Neither the work on an answer nor an open stream counts: the time ends with the request's last
byte. A connection between two requests keeps uvicorn's own time (``timeout_keep_alive``). The
bound of the body is the application's (``api/body.py``); a 413 ends its connection.

Source: RFC 9110, 15.5.9 and 15.5.14; RFC 6585, 5.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tidegate.observability import get_logger

__all__ = ["ARRIVAL_S", "HEAD_BYTES_MAX", "BoundedHttp"]

HEAD_BYTES_MAX: Final = 64 * 1024
ARRIVAL_S: Final = 20.0

# A connection that is closed over unread bytes is reset, and the caller never sees the answer.
_LINGER_S: Final = 2.0
_CLOSE: Final = (b"connection", b"close")

_log = get_logger()


class _TooLarge(Exception):
    """Leaves the parser's callback; the parser reports it as a fault of the request."""


class BoundedHttp(HttpToolsProtocol):
    """One connection. For ``uvicorn.Config(http=BoundedHttp)``; takes what its base takes."""

    arrival_s = ARRIVAL_S
    """Seconds; a subclass may be less patient."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.app = _ClosingAfterTooLarge(self.app, lambda: self._begun)
        self._arrival: asyncio.TimerHandle | None = None
        self._begun = False  # a request was begun and has not arrived whole
        self._headed = False  # its headers have, and it is ``self.cycle``
        self._whole = False  # this piece of data ended a request
        self._bytes = 0  # since headers, a piece of a body or a request ended
        self._too_large = False
        self._refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the base does
        super().connection_made(transport)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._whole = False
        self._bytes += len(data)
        super().data_received(data)
        if self._refused or self.transport.is_closing():
            return
        if self._bytes > HEAD_BYTES_MAX:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif self._whole:
            self._expect_no_more()
        elif self._arrival is None:
            self._expect()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begun, self._headed, self._whole = True, False, False

    def on_headers_complete(self) -> None:
        self._bytes = 0
        # Exact where one piece of data held all of them, and maybe a body behind them.
        named = sum(len(name) + len(value) for name, value in self.headers)
        if len(self.url) + named > HEAD_BYTES_MAX:
            self._too_large = True
            raise _TooLarge
        super().on_headers_complete()
        self._headed = True

    def on_body(self, body: bytes) -> None:
        self._bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._bytes = 0
        self._begun, self._whole = False, True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """What the base calls when the parser could not go on, for whatever reason."""
        too_large = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        self._refuse(too_large if self._too_large else HTTPStatus.BAD_REQUEST)

    def _unsupported_upgrade_warning(self) -> None:
        """The base advises to install a library; web sockets are not wanted here."""

    def shutdown(self) -> None:
        if self._refused:
            self.transport.close()
        super().shutdown()

    def _expect(self) -> None:
        self._arrival = self.loop.call_later(self.arrival_s, self._late)

    def _expect_no_more(self) -> None:
        if self._arrival is not None:
            self._arrival.cancel()
            self._arrival = None

    def _late(self) -> None:
        self._arrival = None
        if self.transport.is_closing():
            return
        if self.flow.read_paused or self._answers():
            # It is we who do not read; or more came while an earlier request is worked on.
            self._expect()
        elif self._begun:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        else:
            # Nothing was asked, so nobody waits for an answer (a browser's spare connection).
            self.transport.close()

    def _answers(self) -> bool:
        """Whether a request that arrived whole waits for the end of its answer."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            return False
        return bool(self.pipeline) or not cycle.more_body

    def _refuse(self, status: HTTPStatus) -> None:
        """Answer unless an answer has been begun, and hear no more of this caller."""
        self._refused = True
        self._expect_no_more()
        _log.info("request_refused_unread", status=status.value, client=str(self.client))
        cycle = self.cycle
        running = cycle is not None and not cycle.response_complete
        if self.pipeline or (running and (cycle.response_started or not cycle.more_body)):
            self.transport.close()
            return
        if running:
            # The application waits for the rest of the body; what it says now comes too late.
            cycle.disconnected = True
            cycle.message_event.set()
        elif self._begun and self._headed:
            # An answer is out: it was refused early, and its body never ended.
            self.transport.close()
            return
        self.flow.resume_reading()
        self.transport.write(self._short_answer(status))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(_LINGER_S, self.transport.close)

    def _short_answer(self, status: HTTPStatus) -> bytes:
        text = status.phrase.encode()
        headers = [
            *self.server_state.default_headers,
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(text)).encode()),
            _CLOSE,
        ]
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        return b"HTTP/1.1 %d %s\r\n%s\r\n%s" % (status.value, text, lines, text)


class _ClosingAfterTooLarge:
    """Ends the connection after a 413: what is left of the body is nobody's to read."""

    def __init__(self, app: Any, arrives: Callable[[], bool]) -> None:
        self._app = app
        self._arrives = arrives

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        too_large = False

        async def answer(message: Any) -> None:
            nonlocal too_large
            if message["type"] == "http.response.start" and message["status"] == 413:
                too_large = True
                message = {**message, "headers": [*message["headers"], _CLOSE]}
            elif too_large and not message.get("more_body", False):
                # The answer is whole; then a moment for the caller to stop sending and read it.
                await send({**message, "more_body": True})
                await self._drain(receive)
                message = {"type": "http.response.body", "body": b"", "more_body": False}
            await send(message)

        await self._app(scope, receive, answer)

    async def _drain(self, receive: Any) -> None:
        try:
            async with asyncio.timeout(_LINGER_S):
                while self._arrives() and (await receive()).get("more_body", False):
                    pass
        except TimeoutError:
            return  # still sending: the connection is closed over it
