"""Traces: off they cost nothing, on every process puts a row into the same one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tidegate.observability import tracing
from tidegate.observability.logging import clear
from tidegate.observability.subjects import about, turn

_NAMES = {"payout_id": "id", "order_id": "order_id"}
_ROW = {"id": "po_1", "order_id": "o-1", "tries": 1}


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    yield from _exporting("secret-one")


def _exporting(secret: str) -> Iterator[InMemorySpanExporter]:
    kept = InMemorySpanExporter()
    tracing.start(secret, "test", kept)
    yield kept
    tracing.stop()
    clear()  # a test has no task of its own, as turns and requests have


def test_off_nothing_is_made() -> None:
    """Without traces each seam gives the same nothing, whoever asks."""
    tracing.stop()
    assert tracing.segment("x") is tracing.step("commit") is tracing.call("lenco", "GET")
    with tracing.segment("x", serves=True) as segment, tracing.step("commit") as span:
        assert (segment, span) == (None, None)
        about(payout_id="po_1")


def _place(secret: str, row: str) -> tuple[int, int]:
    """Trace and root span of a row, as a process with this secret has them."""
    exporting = _exporting(secret)
    kept = next(exporting)
    with tracing.segment("POST", serves=True):
        about(payout_id=row, born=True)
    next(exporting, None)
    (span,) = kept.get_finished_spans()
    assert span.context is not None
    return span.context.trace_id, span.context.span_id


def test_every_process_puts_a_row_into_the_same_trace() -> None:
    """The place follows from the secret and the row's id: the same after a restart, another for
    another row or for another node."""
    assert _place("secret-one", "po_1") == _place("secret-one", "po_1")
    places = {_place("secret-one", "po_1"), _place("secret-one", "po_2"), _place("two", "po_1")}
    assert len(places) == 3
    assert len({trace for trace, _ in places}) == 3


def test_a_turn_is_below_the_request_that_made_the_row(exporter: InMemorySpanExporter) -> None:
    """Also when the request is another process's, and its span not even ended."""
    with turn("accept", _NAMES, _ROW), tracing.call("aggregator", "POST"):
        pass
    with tracing.segment("POST", serves=True):
        about(order_id="o-1", payout_id="po_1", born=True)
        with tracing.step("commit"):
            pass
    called, accepted, committed, born = exporter.get_finished_spans()
    assert born.parent is None
    assert accepted.parent is not None
    assert born.context is not None
    assert accepted.context is not None
    assert accepted.parent.span_id == born.context.span_id
    assert accepted.context.trace_id == born.context.trace_id
    assert called.parent == accepted.context
    assert committed.parent == born.context
    assert accepted.attributes == {
        "tidegate.payout_id": "po_1",
        "tidegate.order_id": "o-1",
        "tidegate.tries": 1,
    }


def test_a_webhooks_turn_goes_over_to_what_the_webhook_is_about(
    exporter: InMemorySpanExporter,
) -> None:
    """It is in the payment's trace, with a link to where the webhook arrived."""
    with tracing.segment("POST", serves=True):
        about(inbox_id="inb_1", born=True)
    with turn("read:stripe", {"inbox_id": "id"}, {"id": "inb_1", "tries": 1}):
        about(payment_id="pay_1")
    with tracing.segment("POST", serves=True):
        about(payment_id="pay_1", born=True)
    arrived, read, created = exporter.get_finished_spans()
    assert read.parent is not None
    assert created.context is not None
    assert (read.parent.trace_id, read.parent.span_id) == (
        created.context.trace_id,
        created.context.span_id,
    )
    assert arrived.context is not None
    assert [link.context.span_id for link in read.links] == [arrived.context.span_id]


def test_an_error_is_told_by_its_class_alone(exporter: InMemorySpanExporter) -> None:
    """A message may repeat what a row or a body holds."""
    with (
        pytest.raises(ValueError, match="0123456789"),
        turn("accept", _NAMES, _ROW),
        tracing.step("commit"),
    ):
        raise ValueError("account 0123456789 of ADA OBI")
    told = "".join(span.to_json() for span in exporter.get_finished_spans())
    assert "ValueError" in told
    assert "0123456789" not in told
    assert "ADA" not in told


def test_a_caller_may_say_nonsense_of_its_trace(exporter: InMemorySpanExporter) -> None:
    """What is no traceparent leaves no link, and breaks nothing."""
    for header in ("", "00-0-0-00", "x" * 5000, "00-" + "0" * 32 + "-" + "0" * 16 + "-01"):
        with tracing.segment("GET", serves=True) as segment:
            assert segment is not None
            segment.linked(header)
    assert all(not span.links for span in exporter.get_finished_spans())


def test_the_sampler_of_the_environment_decides_for_whole_traces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a ratio, a row's trace is kept by every process or by none."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    exporting = _exporting("secret-one")
    kept = next(exporting)
    for number in range(64):
        row = {**_ROW, "id": f"po_{number}"}
        with turn("accept", _NAMES, row):
            pass
        with tracing.segment("POST", serves=True):
            about(payout_id=f"po_{number}", born=True)
    next(exporting, None)
    spans: dict[int, int] = {}
    for span in kept.get_finished_spans():
        assert span.context is not None
        spans[span.context.trace_id] = spans.get(span.context.trace_id, 0) + 1
    assert 0 < len(spans) < 64
    assert set(spans.values()) == {2}
