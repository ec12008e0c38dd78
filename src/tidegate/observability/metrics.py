"""What one process counts and measures itself (D6). What the rows say is in ``gauges``.

Each application object has its own :class:`Metrics` with its own registries, so that several in
one process (tests, the demonstration) do not meet. Counters and histograms are this process's own
and add up over processes; so each process is asked by itself (``monitoring.listener``).

Names follow the conventions of Prometheus: one prefix, base units at the end (``_seconds``,
``_bytes``), ``_total`` for counts that only grow. Money is the exception to base units:
``_minor_units``, because it is exact as an integer and a double holds every integer up to 2^53,
while 0.1 of a major unit is no double at all.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from tidegate.observability.gauges import Gauges

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = CONTENT_TYPE_LATEST

_CALL_BUCKETS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
_COMMIT_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2)
_FULFILMENT_BUCKETS = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 900, 3600, 21600, 86400)
_DELAY_BUCKETS = (0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600, 21600, 86400)
_TURN_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_GROUP_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """All metrics; callers write ``metrics.commits.labels("committed").inc()``.

    ``outcome`` labels say how a call ended on the wire: ``2xx`` to ``5xx`` by the answer's status,
    or a word of ``adapters.http`` (``not_reached``, ``unknown``); ``reason`` labels are error codes
    (``errors.py``); ``route`` is the route's template, never the path as received. None holds an
    id of a row.
    """

    def __init__(self, version: str = "", *, process: bool = True) -> None:
        self.gauges = Gauges()
        registry = CollectorRegistry()
        self.registry = registry
        if process:
            ProcessCollector(registry=registry)
        self._of_orders(registry)
        self._of_calls(registry)
        self._of_requests(registry)
        self._of_work(registry)
        self.build = Info("tidegate_build", "What is running.", registry=registry)
        self.build.info({"version": version})

    def _of_orders(self, registry: CollectorRegistry) -> None:
        self.orders_finished = Counter(
            "tidegate_orders_finished_total",
            "Payout orders that reached their end, by outcome.",
            ["outcome", "currency"],
            registry=registry,
        )
        self.offers_received = Counter(
            "tidegate_offers_received_total",
            "Authentic offers that arrived, by dialect.",
            ["dialect"],
            registry=registry,
        )
        self.offers_refused = Counter(
            "tidegate_offers_refused_total",
            "Offers not taken, by dialect and error code.",
            ["dialect", "reason"],
            registry=registry,
        )
        self.fulfilment = Histogram(
            "tidegate_fulfilment_duration_seconds",
            "From the arrival of the offer to the aggregator's knowledge that it is paid.",
            ["currency"],
            buckets=_FULFILMENT_BUCKETS,
            registry=registry,
        )
        self.payments_finished = Counter(
            "tidegate_payments_finished_total",
            "Payments that succeeded, failed or were canceled, by status.",
            ["status", "currency"],
            registry=registry,
        )
        self.deliveries = Counter(
            "tidegate_deliveries_total",
            "Messages to webhook endpoints by result (2xx, 3xx, 4xx, 5xx, not_reached).",
            ["result"],
            registry=registry,
        )

    def _of_calls(self, registry: CollectorRegistry) -> None:
        self.psp_call = Histogram(
            "tidegate_psp_call_duration_seconds",
            "Calls to PSPs about payouts by operation and outcome.",
            ["psp", "operation", "outcome"],
            buckets=_CALL_BUCKETS,
            registry=registry,
        )
        self.psp_available = Gauge(
            "tidegate_psp_available",
            "1 while the circuit of the PSP is closed in this process and it may be used, else 0.",
            ["psp"],
            registry=registry,
        )
        self.lookups = Counter(
            "tidegate_lookups_total",
            "Look-ups of payouts at PSPs by outcome.",
            ["psp", "outcome"],
            registry=registry,
        )
        self.processor_call = Histogram(
            "tidegate_processor_call_duration_seconds",
            "Calls to card processors by operation and outcome.",
            ["processor", "operation", "outcome"],
            buckets=_CALL_BUCKETS,
            registry=registry,
        )
        self.aggregator_call = Histogram(
            "tidegate_aggregator_call_duration_seconds",
            "Calls to the aggregator about orders by verb and outcome.",
            ["verb", "outcome"],
            buckets=_CALL_BUCKETS,
            registry=registry,
        )

    def _of_requests(self, registry: CollectorRegistry) -> None:
        self.webhooks = Counter(
            "tidegate_webhooks_received_total",
            "Webhooks by source and what became of them (kept, duplicate, rejected).",
            ["source", "result"],
            registry=registry,
        )
        self.webhook_delay = Histogram(
            "tidegate_webhook_delay_seconds",
            "From the sender's own time of the event to its first arrival here.",
            ["source"],
            buckets=_DELAY_BUCKETS,
            registry=registry,
        )
        self.authentication_failures = Counter(
            "tidegate_authentication_failures_total",
            "Requests whose signature or token did not prove who sent them.",
            ["source", "reason"],
            registry=registry,
        )
        self.requests = Counter(
            "tidegate_http_requests_total",
            "HTTP requests answered.",
            ["method", "route", "status"],
            registry=registry,
        )
        self.request_duration = Histogram(
            "tidegate_http_request_duration_seconds",
            "Time to answer an HTTP request.",
            ["method", "route"],
            buckets=_REQUEST_BUCKETS,
            registry=registry,
        )

    def _of_work(self, registry: CollectorRegistry) -> None:
        self.turns = Histogram(
            "tidegate_turn_duration_seconds",
            "Turns of claimed rows by kind of work and result (done, stale, failed, cancelled).",
            ["kind", "result"],
            buckets=_TURN_BUCKETS,
            registry=registry,
        )
        self.commits = Counter(
            "tidegate_commits_total",
            "Transactions of the committer by result (committed, failed).",
            ["result"],
            registry=registry,
        )
        self.commit_duration = Histogram(
            "tidegate_commit_duration_seconds",
            "Time of one transaction of the committer.",
            buckets=_COMMIT_BUCKETS,
            registry=registry,
        )
        self.commit_group_size = Histogram(
            "tidegate_commit_group_size_units",
            "Units of work written in one transaction.",
            buckets=_GROUP_BUCKETS,
            registry=registry,
        )
        self.gauges_read = Gauge(
            "tidegate_database_gauges_read",
            "1 if the gauges from the database are in this answer; 0: they could not be read.",
            registry=registry,
        )

    def render(self, *, own: bool = True, gauges: bool = True) -> bytes:
        """The text exposition; answer it with :data:`CONTENT_TYPE`.

        ``own``: what this process counts; ``gauges``: what was read from the database.
        """
        parts = []
        if own:
            parts.append(generate_latest(self.registry))
        if gauges:
            parts.append(generate_latest(self.gauges.registry))
        return b"".join(parts)
