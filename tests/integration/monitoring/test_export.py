"""Traces leave for where OpenTelemetry's own variables say."""

from __future__ import annotations

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tidegate.observability import tracing
from tidegate.observability.logging import clear
from tidegate.observability.subjects import about


def test_spans_arrive_at_the_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the stop everything that waited is sent, with the service's name and version."""
    arrived: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            arrived.append((self.path, body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        tracing.start("a-secret", "1.2.3")
        with tracing.segment("POST", serves=True):
            about(order_id="o-1", payout_id="po_1", born=True)
            with tracing.step("commit"):
                pass
        tracing.stop()
    finally:
        clear()
        server.shutdown()
        thread.join()
        server.server_close()
    ((path, body),) = arrived
    assert path == "/v1/traces"
    (told,) = ExportTraceServiceRequest.FromString(body).resource_spans
    resource = {each.key: each.value.string_value for each in told.resource.attributes}
    assert (resource["service.name"], resource["service.version"]) == ("tidegate", "1.2.3")
    spans = [span for scope in told.scope_spans for span in scope.spans]
    assert {span.name for span in spans} == {"POST", "commit"}
    assert len({span.trace_id for span in spans}) == 1
