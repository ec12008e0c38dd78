"""Errors reach Sentry with their ids, and with nothing that is secret or somebody's own."""

from __future__ import annotations

import gzip
import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import structlog

from tidegate.observability import sentry
from tidegate.observability.logging import bound, configure, get_logger

_ACCOUNT, _KEY, _EMAIL = "0123456789", "sk_live_a1b2c3d4e5f6a7b8", "ada@example.com"


class _Sink(BaseHTTPRequestHandler):
    """Takes envelopes as Sentry does."""

    kept: list[bytes]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self.kept.append(body)
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture
def envelopes() -> Iterator[list[bytes]]:
    """What arrived at the host of the DSN; Sentry is on, and the log is written like a node's."""
    kept: list[bytes] = []
    sink = type("Sink", (_Sink,), {"kept": kept})
    server = ThreadingHTTPServer(("127.0.0.1", 0), sink)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    before = structlog.get_config()
    configure(stream=io.StringIO())
    sentry.start(f"http://public@127.0.0.1:{server.server_port}/7", "sandbox", "1.2.3")
    yield kept
    sentry.stop()
    structlog.configure(**before)
    server.shutdown()
    thread.join()
    server.server_close()


def _events(kept: list[bytes]) -> list[dict[str, Any]]:
    """The events of the envelopes: a line each for header, item header and item."""
    return [json.loads(body.split(b"\n")[2]) for body in kept]


def _fails(recipient: str) -> None:
    api_key = _KEY  # a local variable, as any frame has them
    raise RuntimeError(
        f"account {recipient} refused, key {api_key}, for {_EMAIL} "
        f"[parameters: ('{recipient}', 'ADA OBI')]"
    )


def test_an_error_arrives_with_ids_and_without_secrets(envelopes: list[bytes]) -> None:
    """Class, place and ids are there; account, key, address and name are in no byte of it."""
    log = get_logger()
    with bound(request_id="req_1", order_id="o-1", payout_id="po_1"):
        try:
            _fails(_ACCOUNT)
        except RuntimeError:
            log.exception("work.failed", kind="disburse:lenco", id="po_1", body={"a": _ACCOUNT})
    sentry.stop()
    (event,) = _events(envelopes)
    assert event["environment"] == "sandbox"
    assert event["release"] == "tidegate@1.2.3"
    tags = event["tags"]
    assert tags["event"] == "work.failed"
    assert (tags["request_id"], tags["order_id"], tags["payout_id"]) == ("req_1", "o-1", "po_1")
    (raised,) = event["exception"]["values"]
    assert raised["type"] == "RuntimeError"
    assert "refused" in raised["value"]
    assert raised["stacktrace"]["frames"][-1]["function"] == "_fails"
    sent = b"".join(envelopes)
    for secret in (_ACCOUNT, _KEY, _EMAIL, "ADA OBI", "recipient", "api_key = "):
        assert secret.encode() not in sent, secret
    assert set(raised["stacktrace"]["frames"][-1]) == {
        *("filename", "function", "lineno", "module", "in_app"),
    }
    assert not {"server_name", "modules", "user", "request", "extra", "contexts"} & set(event)


def test_a_line_without_an_exception_arrives_as_its_word(envelopes: list[bytes]) -> None:
    """An error that was logged by its word is told by it; warnings are not told."""
    log = get_logger()
    log.warning("sweep.woke", id="po_1")
    log.error("request.failed", code="internal", path=f"/x/{_ACCOUNT}")
    sentry.stop()
    (event,) = _events(envelopes)
    assert event["message"] == "request.failed"
    assert event["tags"] == {"event": "request.failed", "code": "internal"}
    assert _ACCOUNT.encode() not in b"".join(envelopes)


def test_off_nothing_is_sent(envelopes: list[bytes]) -> None:
    """Without a DSN the log alone has the error."""
    sentry.stop()
    get_logger().error("request.failed")
    assert envelopes == []


def test_what_is_no_dsn_is_refused() -> None:
    """With a sentence at the start, not silently."""
    with pytest.raises(ValueError, match=r"."):
        sentry.start("not a dsn", "sandbox", "1")
