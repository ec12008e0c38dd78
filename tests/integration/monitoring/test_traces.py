"""One trace follows one order, and one payment, through requests, rows, workers and calls; the
same ids are on the log lines."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping, Sequence
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from tests.integration.monitoring.shop import EMAIL, KEY, opened_shop, shopper
from tests.support.world import OpenWorld, World
from tidegate.observability import tracing
from tidegate.payments.tables import payments
from tidegate.payouts.states import State
from tidegate.sandbox.faults import BankFault

_SECRET = "a-secret-for-tests-that-is-long-enough"


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    """Traces are on, and kept here."""
    kept = InMemorySpanExporter()
    tracing.start(_SECRET, "test", kept)
    yield kept
    tracing.stop()


@pytest.fixture
def lines() -> Iterator[list[MutableMapping[str, Any]]]:
    """Every line of the log, with what is bound to it."""
    with capture_logs(processors=[merge_contextvars]) as found:
        yield found


def _of(exporter: InMemorySpanExporter, **ids: str) -> list[ReadableSpan]:
    """The spans of the one trace in which a span has these ids."""
    wanted = {f"tidegate.{name}": value for name, value in ids.items()}.items()
    spans = exporter.get_finished_spans()
    traces = {
        span.context.trace_id
        for span in spans
        if span.context is not None and wanted <= dict(span.attributes or {}).items()
    }
    assert len(traces) == 1, f"{len(traces)} traces are about {ids}"
    (trace,) = traces
    return [span for span in spans if span.context and span.context.trace_id == trace]


def _root(spans: Sequence[ReadableSpan]) -> ReadableSpan:
    (root,) = [span for span in spans if span.parent is None]
    return root


def _below(spans: Sequence[ReadableSpan], parent: ReadableSpan) -> list[str]:
    """The names of the spans right below one."""
    assert parent.context is not None
    return [
        span.name
        for span in spans
        if span.parent is not None and span.parent.span_id == parent.context.span_id
    ]


def _told(exporter: InMemorySpanExporter) -> str:
    """Everything that leaves the process, as text."""
    return "\n".join(span.to_json() for span in exporter.get_finished_spans())


async def test_an_order_is_one_trace_from_offer_to_fulfil(
    open_world: OpenWorld,
    exporter: InMemorySpanExporter,
    lines: list[MutableMapping[str, Any]],
) -> None:
    """The offer's request is the root; accept, disburse, confirm and report are below it, with the
    calls they made below them; and each line about the order has its id."""
    world = await open_world(terms={"reoffer": "stock"})
    await world.local()
    account = world.account()
    order = await world.offer(account=account, bank_faults=[BankFault.DROP_AFTER])
    other = await world.offer()
    for each in (order, other):
        await world.reaches(each, State.FULFILLED, 60)
    await world.settle()
    payout = await world.payout(order)

    spans = _of(exporter, order_id=order, payout_id=payout["id"])
    root = _root(spans)
    assert (root.name, root.kind) == ("POST /new_order", SpanKind.SERVER)
    assert root.attributes is not None
    assert root.attributes["http.response.status_code"] == 200
    assert root.attributes["http.route"] == "/new_order"
    assert root.attributes["tidegate.request_id"]
    assert "commit" in _below(spans, root)
    turns = {"accept", "disburse:lenco", "confirm:lenco", "report"}
    assert turns <= set(_below(spans, root))

    def calls_of(turn: str) -> set[str]:
        found = [span for span in spans if span.name == turn]
        return {name for span in found for name in _below(spans, span)}

    assert {"POST aggregator", "commit"} <= calls_of("accept")
    assert {"POST lenco", "commit"} <= calls_of("disburse:lenco")
    assert "GET lenco" in calls_of("confirm:lenco")
    assert "POST aggregator" in calls_of("report")
    lost = [span for span in spans if (span.attributes or {}).get("error.type") == "unknown"]
    assert [span.name for span in lost] == ["POST lenco"]
    assert lost[0].kind is SpanKind.CLIENT
    assert all(span.status.status_code is not StatusCode.ERROR for span in spans)

    # The other order is in a trace of its own.
    assert _root(_of(exporter, order_id=other)).context != root.context
    # Who is paid, and with which keys, is nobody's business there.
    told = _told(exporter)
    for secret in (account, "bm90LWEtcmVhbC1zZWNyZXQ", "tok-lenco", "127.0.0.1"):
        assert secret not in told

    own = [line for line in lines if line.get("payout") == payout["id"]]
    assert {"payout.offered", "payout.paid"} <= {line["event"] for line in own}
    for line in own:
        assert line["order_id"] == order, line
        assert line["payout_id"] == payout["id"], line
    (offered,) = [line for line in own if line["event"] == "payout.offered"]
    assert offered["request_id"] == root.attributes["tidegate.request_id"]


async def test_a_payment_is_one_trace_from_create_to_webhook(
    open_world: OpenWorld,
    exporter: InMemorySpanExporter,
    lines: list[MutableMapping[str, Any]],
) -> None:
    """The request that creates it is the root, with its calls to the processor; the webhook and
    the worker's turn that it prompts are below it, and a caller's own trace is linked."""
    world = await open_world()
    async with opened_shop(world) as (node, cards), shopper(node.url) as pay:
        paid = await pay(
            "pm_card_visa",
            {
                "X-Request-ID": "a-request-of-the-test",
                "traceparent": f"00-{_CALLERS}-00f067aa0ba902b7-01",
            },
        )
        payment = paid["id"]

        async def fee_is_booked() -> bool:
            (row,) = await world.rows(payments)
            return row["movement"] is not None and not cards.courier.waiting and not row["due_at"]

        await world.until(fee_is_booked, 20, "the fee, by a webhook")
        await _webhook_is_in(world, exporter, payment)

    spans = _of(exporter, payment_id=payment)
    root = _root(spans)
    assert (root.name, root.kind) == ("POST /api/payments", SpanKind.SERVER)
    assert {"commit", "POST stripe"} <= set(_below(spans, root))
    assert "POST /api/webhooks/stripe" in _below(spans, root)
    assert "pay" in _below(spans, root)
    assert [f"{link.context.trace_id:032x}" for link in root.links] == [_CALLERS]
    told = _told(exporter)
    for secret in (EMAIL, "correct horse", KEY, "4242"):
        assert secret not in told
    created = [line for line in lines if line["event"] == "payment.created"]
    assert [(line["payment_id"], line["request_id"]) for line in created] == [
        (payment, "a-request-of-the-test")
    ]


_CALLERS = "4bf92f3577b34da6a3ce929d0e0e4736"


async def _webhook_is_in(world: World, exporter: InMemorySpanExporter, payment: str) -> None:
    async def there() -> bool:
        names = {span.name for span in _of(exporter, payment_id=payment)}
        return {"POST /api/webhooks/stripe", "pay"} <= names

    await world.until(there, 20, "the webhook in the payment's trace")
