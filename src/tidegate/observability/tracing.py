"""Traces with OpenTelemetry: one trace follows one order or payment through every process.

A turn (a request, or a claimed row) is a *segment*: one span, with a step below it for each commit
and each call to another company. Which trace it belongs to follows from the row it is about: the
trace id is a keyed hash of the row's public id, and so is the id of the span that the row was born
under. So a worker in another process, after any restart, goes on in the same trace, and no column
is needed for it (decision 0018).

A request is known by its row only while it runs, so its span begins when the first step needs it,
or at its end, with the time at which the segment began.

Off, which is the default, every function here looks at one name and returns. No attribute holds
personal data: ids, routes, methods, statuses, words of outcomes; of exceptions the class alone.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span, SpanContext

__all__ = ["Segment", "about", "call", "leave", "segment", "start", "step", "stop"]

# The rows that a trace can be about, the first one given rules.
_SUBJECTS: Final = ("payout_id", "payment_id", "inbox_id")

Attribute = str | int


class Tracing:
    """What is there while traces are on."""

    def __init__(self, provider: TracerProvider, ids: Any, key: bytes) -> None:
        self.provider = provider
        self.tracer = provider.get_tracer("tidegate")
        self._ids = ids
        self._key = key

    def place_of(self, subject: str) -> SpanContext:
        """Where the span is that the row ``subject`` was born under."""
        from opentelemetry.context import Context
        from opentelemetry.sdk.trace.sampling import Decision
        from opentelemetry.trace import SpanContext, TraceFlags

        digest = hmac.digest(self._key, subject.encode(), "sha256")
        trace_id, span_id = int.from_bytes(digest[:16]), int.from_bytes(digest[16:24])
        # Every process asks the same sampler about the same id: all keep a trace, or none does.
        decision = self.provider.sampler.should_sample(Context(), trace_id, "").decision
        kept = decision is Decision.RECORD_AND_SAMPLE
        flags = TraceFlags(TraceFlags.SAMPLED if kept else TraceFlags.DEFAULT)
        return SpanContext(trace_id, span_id, is_remote=True, trace_flags=flags)

    def begin(self, segment: Segment) -> Span:
        """The span of a segment, in the trace of what it is about."""
        from opentelemetry.context import Context
        from opentelemetry.trace import Link, NonRecordingSpan, set_span_in_context

        parent = Context()
        links = [Link(each) for each in segment.links]
        if segment.subject is not None:
            place = self.place_of(segment.subject)
            if segment.born:
                self._ids.wanted.set((place.trace_id, place.span_id))
            else:
                parent = set_span_in_context(NonRecordingSpan(place), parent)
        try:
            return self.tracer.start_span(
                segment.name,
                context=parent,
                kind=segment.kind,
                attributes=segment.attributes,
                links=links,
                start_time=segment.began_ns,
            )
        finally:
            self._ids.wanted.set(None)


class Segment:
    """One request or one turn. Written to by those who learn what it is about."""

    def __init__(self, tracing: Tracing, name: str, kind: Any) -> None:
        self._tracing = tracing
        self.name = name
        self.kind = kind
        self.attributes: dict[str, Attribute] = {}
        self.links: list[SpanContext] = []
        self.subject: str | None = None
        self.born = False
        self.wanted = True
        self.began_ns = time.time_ns()
        self._span: Span | None = None

    @property
    def span(self) -> Span:
        """Its span; begun by the first who asks."""
        if self._span is None:
            self._span = self._tracing.begin(self)
        return self._span

    def tell(self, **attributes: Attribute) -> None:
        """Add attributes, under ``tidegate.`` unless the name has a dot (``__`` is one)."""
        named = {_named(name): value for name, value in attributes.items()}
        self.attributes |= named
        if self._span is not None:
            self._span.set_attributes(named)

    def linked(self, header: str) -> None:
        """Link what the caller says of its own trace (``traceparent``); it is not believed to be
        ours."""
        from opentelemetry.context import Context
        from opentelemetry.trace import get_current_span
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier = {"traceparent": header}
        found = TraceContextTextMapPropagator().extract(carrier, context=Context())
        caller = get_current_span(found).get_span_context()
        if caller.is_valid:
            self.links.append(caller)

    def ends(self, error: str | None) -> None:
        """End the span. What began no step and is unwanted leaves none."""
        if self._span is None and not self.wanted:
            return
        span = self.span
        span.update_name(self.name)
        _failed(span, error)
        span.end()

    def is_about(self, subject: str, *, born: bool) -> None:
        """Say which row it is about, before its first step. A webhook's turn is linked to the
        webhook and goes on in the trace of what the webhook is about."""
        if self._span is not None or subject == self.subject:
            return
        if self.subject is not None:
            self.links.append(self._tracing.place_of(self.subject))
        self.subject, self.born = subject, born


_tracing: Tracing | None = None
_current: ContextVar[Segment | None] = ContextVar("segment", default=None)
_OFF: Final[AbstractContextManager[None]] = nullcontext()


def segment(name: str, *, serves: bool = False) -> AbstractContextManager[Segment | None]:
    """One request (``serves``) or one turn; ``None`` while traces are off."""
    return _OFF if _tracing is None else _segment(_tracing, name, serves)


def about(ids: Mapping[str, str], *, born: bool = False) -> None:
    """The segment that runs is about the row with these ids; ``born``: it makes the row."""
    if _tracing is None or (running := _current.get()) is None:
        return
    subject = next((ids[name] for name in _SUBJECTS if name in ids), None)
    if subject is not None:
        running.is_about(subject, born=born)
    running.tell(**ids)


def step(name: str) -> AbstractContextManager[Span | None]:
    """A part of the segment that runs; ``None`` while traces are off, or outside of segments."""
    if _tracing is None or (running := _current.get()) is None:
        return _OFF
    return _step(_tracing, running, name, calls=False)


def call(company: str, method: str) -> AbstractContextManager[Span | None]:
    """The same for a call to another company. Neither address nor path: both may tell a person."""
    if _tracing is None or (running := _current.get()) is None:
        return _OFF
    return _step(_tracing, running, f"{method} {company}", calls=True)


def leave() -> None:
    """What runs from here on belongs to no segment: a task that outlives who started it."""
    if _tracing is not None:
        _current.set(None)


@contextmanager
def _segment(tracing: Tracing, name: str, serves: bool) -> Iterator[Segment]:
    from opentelemetry.trace import SpanKind

    running = Segment(tracing, name, SpanKind.SERVER if serves else SpanKind.CONSUMER)
    token, error = _current.set(running), None
    try:
        yield running
    except BaseException as problem:
        error = type(problem).__name__
        raise
    finally:
        _current.reset(token)
        running.ends(error)


@contextmanager
def _step(tracing: Tracing, running: Segment, name: str, *, calls: bool) -> Iterator[Span]:
    from opentelemetry.context import Context
    from opentelemetry.trace import SpanKind, set_span_in_context

    span = tracing.tracer.start_span(
        name,
        context=set_span_in_context(running.span, Context()),
        kind=SpanKind.CLIENT if calls else SpanKind.INTERNAL,
    )
    error = None
    try:
        yield span
    except BaseException as problem:
        error = type(problem).__name__
        raise
    finally:
        _failed(span, error)
        span.end()


def _failed(span: Span, error: str | None) -> None:
    from opentelemetry.trace import StatusCode

    if error is not None:
        # The class alone: a message may repeat what a row or a body holds.
        span.set_attribute("error.type", error)
        span.set_status(StatusCode.ERROR)


def _named(name: str) -> str:
    return name.replace("__", ".") if "__" in name else f"tidegate.{name}"


def start(secret: str, version: str, exporter: SpanExporter | None = None) -> None:
    """Switch traces on for this process. Raises ``ImportError`` without the extra ``otel``.

    Without an ``exporter`` spans go where the standard variables say (``OTEL_EXPORTER_OTLP_...``),
    in batches; sampler, resource and limits are read from ``OTEL_...`` as well.
    """
    global _tracing
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class Ids(RandomIdGenerator):
        """Random, but for the span under which a row is born."""

        def __init__(self) -> None:
            self.wanted: ContextVar[tuple[int, int] | None] = ContextVar("ids", default=None)

        def generate_trace_id(self) -> int:
            wanted = self.wanted.get()
            return super().generate_trace_id() if wanted is None else wanted[0]

        def generate_span_id(self) -> int:
            wanted = self.wanted.get()
            return super().generate_span_id() if wanted is None else wanted[1]

    ids = Ids()
    # The environment's OTEL_SERVICE_NAME rules over ours.
    resource = Resource.create({"service.version": version})
    if str(resource.attributes.get("service.name", "")).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": "tidegate"}))
    provider = TracerProvider(id_generator=ids, resource=resource)
    if exporter is None:
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    else:
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    key = hmac.digest(secret.encode(), b"tidegate: ids of traces", "sha256")
    _tracing = Tracing(provider, ids, key)


def stop() -> None:
    """Send what is waiting, and switch traces off."""
    global _tracing
    tracing, _tracing = _tracing, None
    if tracing is not None:
        tracing.provider.shutdown()
