"""Every metric of the service, declared in one place (D6).

Each application object has its own :class:`Metrics` with its own registry, so that several in one
process (tests, the demonstration) do not meet. Counters and histograms are this process's own and
add up over processes. Gauges marked "from the database" are readings of shared rows: each process
that publishes them publishes the same value, so they are compared with ``max``, never summed.

Units are in the names: ``_seconds``; ``_minor_units`` for money (integers, exact in a float up to
2^53); ``_total`` for counts that only grow.
"""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

__all__ = ["CONTENT_TYPE", "Metrics", "replace"]

CONTENT_TYPE = CONTENT_TYPE_LATEST

_CALL_BUCKETS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
_COMMIT_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2)
_FULFILMENT_BUCKETS = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 900, 3600, 21600, 86400)
_DELAY_BUCKETS = (0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600, 21600, 86400)
_GROUP_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """All metrics; callers write ``metrics.commits.labels("committed").inc()``.

    ``outcome`` labels are the words of the ports and of ``adapters.http``; ``reason`` labels are
    error codes (``errors.py``); ``route`` is the route's template, never the path as received.
    """

    def __init__(self, version: str = "", *, process: bool = True) -> None:
        registry = CollectorRegistry()
        self.registry = registry
        if process:
            ProcessCollector(registry=registry)

        # Orders
        self.orders = Gauge(
            "tidegate_orders",
            "Payout orders by state, from the database.",
            ["state"],
            registry=registry,
        )
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
        self.oldest_unknown_age = Gauge(
            "tidegate_oldest_unknown_age_seconds",
            "Age of the oldest attempt whose outcome is unknown, from the database; 0 if none.",
            registry=registry,
        )

        # Payments
        self.payments = Gauge(
            "tidegate_payments",
            "Payments by state, from the database.",
            ["state"],
            registry=registry,
        )
        self.payments_finished = Counter(
            "tidegate_payments_finished_total",
            "Payments that succeeded, failed or were canceled, by status.",
            ["status", "currency"],
            registry=registry,
        )
        self.payments_without_fee = Gauge(
            "tidegate_payments_without_fee",
            "Captured payments whose fee the processor has not told yet, from the database.",
            registry=registry,
        )
        self.oldest_unknown_payment_age = Gauge(
            "tidegate_oldest_unknown_payment_age_seconds",
            "Age of the oldest payment whose last step's outcome is unknown, from the database; "
            "0 if none.",
            registry=registry,
        )
        self.deliveries = Counter(
            "tidegate_deliveries_total",
            "Messages to webhook endpoints by result (2xx, 3xx, 4xx, 5xx, not_reached).",
            ["result"],
            registry=registry,
        )
        self.deliveries_waiting = Gauge(
            "tidegate_deliveries_waiting",
            "Messages that wait for their webhook endpoint, from the database.",
            registry=registry,
        )

        # Money
        self.balance = Gauge(
            "tidegate_balance_minor_units",
            "The node's float by PSP, currency and part (available, reserved, total), "
            "from the database.",
            ["psp", "currency", "part"],
            registry=registry,
        )
        self.ledger_drift = Gauge(
            "tidegate_ledger_drift_minor_units",
            "Kept balances minus the sum of their entries at the last audit; 0 is right.",
            ["currency"],
            registry=registry,
        )
        self.ledger_head_block = Gauge(
            "tidegate_ledger_head_block",
            "Number of the newest sealed block, from the database.",
            registry=registry,
        )
        self.ledger_head = Info(
            "tidegate_ledger_head",
            "The newest sealed block and its hash, to compare with what was noted elsewhere.",
            registry=registry,
        )
        self.quarantine = Gauge(
            "tidegate_quarantine",
            "1 while a restored node moves nothing, from the database.",
            registry=registry,
        )
        self.ledger_unsealed = Gauge(
            "tidegate_ledger_unsealed_entries",
            "Entries that are in no block yet, from the database.",
            registry=registry,
        )

        # Calls to other companies
        self.psp_call = Histogram(
            "tidegate_psp_call_duration_seconds",
            "Calls to PSPs by operation and outcome.",
            ["psp", "operation", "outcome"],
            buckets=_CALL_BUCKETS,
            registry=registry,
        )
        self.psp_available = Gauge(
            "tidegate_psp_available",
            "1 while the circuit of the PSP is closed and it may be used, else 0.",
            ["psp"],
            registry=registry,
        )
        self.lookups = Counter(
            "tidegate_lookups_total",
            "Look-ups of payouts at PSPs by outcome.",
            ["psp", "outcome"],
            registry=registry,
        )
        self.aggregator_call = Histogram(
            "tidegate_aggregator_call_duration_seconds",
            "Calls to the aggregator by verb and outcome.",
            ["verb", "outcome"],
            buckets=_CALL_BUCKETS,
            registry=registry,
        )

        # What arrives
        self.webhooks = Counter(
            "tidegate_webhooks_received_total",
            "Webhooks by source and what became of them (kept, duplicate, rejected).",
            ["source", "result"],
            registry=registry,
        )
        self.webhook_delay = Histogram(
            "tidegate_webhook_delay_seconds",
            "From the sender's own time of the event to its arrival here.",
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

        # Work and storage
        self.oldest_due_age = Gauge(
            "tidegate_oldest_due_row_age_seconds",
            "How long the oldest due and unclaimed row has waited, from the database.",
            ["kind"],
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
        self.cases_open = Gauge(
            "tidegate_cases_open",
            "Open cases by kind, from the database.",
            ["kind"],
            registry=registry,
        )
        self.build = Info("tidegate_build", "What is running.", registry=registry)
        self.build.info({"version": version})

    def render(self) -> bytes:
        """The text exposition; answer it with :data:`CONTENT_TYPE`."""
        return generate_latest(self.registry)


def replace(gauge: Gauge, readings: Mapping[tuple[str, ...], float]) -> None:
    """Set a labelled gauge to exactly ``readings`` (label values to value).

    Series that are not in the reading vanish, instead of standing at their last value for ever.
    """
    gauge.clear()
    for labels, value in readings.items():
        gauge.labels(*labels).set(value)
