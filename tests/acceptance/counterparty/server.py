"""A small threaded HTTP/1.1 server and a client, both from the standard library."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.acceptance.counterparty.script import Step

__all__ = ["Answer", "Call", "Double", "Reply", "send"]


@dataclass(frozen=True, slots=True)
class Call:
    """A request that arrived; ``began`` and the rest of the times are ``time.monotonic``."""

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes
    began: float

    @property
    def json(self) -> Any:
        """The body as JSON; ``None`` where there is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back: ``bytes`` as they are, anything else as JSON."""

    status: int
    body: Any


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said to :func:`send`; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    took_s: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    double: Double


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # One small write a reply; waiting for the acknowledgement of the last costs 40 ms a call.
    disable_nagle_algorithm = True
    server: _Server

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        split = urlsplit(self.path)
        call = Call(
            self.command,
            split.path,
            dict(parse_qsl(split.query, keep_blank_values=True)),
            {name.lower(): value for name, value in self.headers.items()},
            self.rfile.read(length),
            time.monotonic(),
        )
        reply = self.server.double.handle(call)
        if reply is None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        html = isinstance(reply.body, bytes)
        body = reply.body if html else json.dumps(reply.body).encode()
        head = (
            f"HTTP/1.1 {reply.status} Said\r\nContent-Length: {len(body)}\r\n"
            f"Content-Type: {'text/html' if html else 'application/json'}\r\n\r\n"
        )
        try:
            self.wfile.write(head.encode() + body)
        except OSError:
            # The node was killed or gave up waiting; both are scenarios.
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the doubles keep records of their own."""


class Double(ABC):
    """A company on 127.0.0.1; ``faults`` are the sentences in which it complains of the node."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.faults: list[str] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.double = self
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def fault(self, sentence: str) -> None:
        with self.lock:
            self.faults.append(sentence)

    @abstractmethod
    def handle(self, call: Call) -> Reply | None:
        """Answer a call; ``None`` hangs up."""

    def follow(self, step: Step, do: Callable[[], Reply]) -> Reply | None:
        """Run a step around what the endpoint truly does."""
        if step.hook is not None:
            step.hook()
        if step.delay_s:
            time.sleep(step.delay_s)
        reply = do() if step.act else Reply(500, {"status": "error", "message": "no", "data": None})
        if step.after is not None:
            step.after()
        if step.late_s:
            time.sleep(step.late_s)
        if not step.answers:
            return None
        return reply if step.status is None else Reply(step.status, step.body)


def send(
    method: str,
    url: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    timeout_s: float = 10.0,
) -> Answer:
    """One request on a connection of its own; raises ``OSError`` where none answers."""
    split = urlsplit(url)
    assert split.hostname is not None
    connection = http.client.HTTPConnection(split.hostname, split.port, timeout=timeout_s)
    began = time.monotonic()
    try:
        path = split.path + (f"?{split.query}" if split.query else "")
        connection.request(method, path, body or None, dict(headers or {}))
        response = connection.getresponse()
        told = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, told, response.read(), time.monotonic() - began)
    finally:
        connection.close()
