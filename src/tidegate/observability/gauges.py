"""Gauges that are read from the database, where several processes would count twice (D6).

Each process that publishes them publishes the same value, so they are compared with ``max``, never
summed over processes. ``monitoring.readings`` sets them, all of them at each scrape.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from prometheus_client import CollectorRegistry, Gauge, Info

__all__ = ["Gauges", "replace"]


Labels = TypeVar("Labels", bound=tuple[str, ...])


class Gauges:
    """What the rows say now, in a registry of its own."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self.registry = registry
        self._of_orders(registry)
        self._of_payments(registry)
        self._of_money(registry)
        self._of_work(registry)

    def _of_orders(self, registry: CollectorRegistry) -> None:
        self.orders = Gauge(
            "tidegate_orders",
            "Payout orders by state, from the database.",
            ["state"],
            registry=registry,
        )
        self.attempts = Gauge(
            "tidegate_attempts",
            "Transfers at PSPs by state, from the database.",
            ["psp", "state"],
            registry=registry,
        )
        self.oldest_unknown_age = Gauge(
            "tidegate_oldest_unknown_age_seconds",
            "Age of the oldest attempt whose outcome is unknown, from the database; 0 if none.",
            registry=registry,
        )

    def _of_payments(self, registry: CollectorRegistry) -> None:
        self.payments = Gauge(
            "tidegate_payments",
            "Payments by state, from the database.",
            ["state"],
            registry=registry,
        )
        self.refunds = Gauge(
            "tidegate_refunds",
            "Refunds by state, from the database.",
            ["state"],
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
        self.deliveries_waiting = Gauge(
            "tidegate_deliveries_waiting",
            "Messages that wait for their webhook endpoint, from the database.",
            registry=registry,
        )

    def _of_money(self, registry: CollectorRegistry) -> None:
        self.balance = Gauge(
            "tidegate_balance_minor_units",
            "The node's float by PSP, currency and part (available, reserved, total), "
            "from the database.",
            ["psp", "currency", "part"],
            registry=registry,
        )
        self.float_reading = Gauge(
            "tidegate_float_reading_minor_units",
            "The PSP's own balance as last read, from the database.",
            ["psp", "currency"],
            registry=registry,
        )
        self.float_read_at = Gauge(
            "tidegate_float_reading_timestamp_seconds",
            "When the PSP's balance was last read (Unix time), from the database.",
            ["psp", "currency"],
            registry=registry,
        )
        self.account_balance = Gauge(
            "tidegate_account_balance_minor_units",
            "Balances of the ledger, summed over the accounts of one kind, from the database.",
            ["account", "currency"],
            registry=registry,
        )
        self.ledger_drift = Gauge(
            "tidegate_ledger_drift_minor_units",
            "What kept balances differ from their entries, as the last audit found; 0 is right. "
            "From the database.",
            ["currency"],
            registry=registry,
        )
        self.ledger_findings = Gauge(
            "tidegate_ledger_audit_findings",
            "Findings of the last audit, from the database; 0 is right.",
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
        self.ledger_unsealed = Gauge(
            "tidegate_ledger_unsealed_entries",
            "Entries that are in no block yet, from the database.",
            registry=registry,
        )
        self.quarantine = Gauge(
            "tidegate_quarantine",
            "1 while a restored node moves nothing, from the database.",
            registry=registry,
        )

    def _of_work(self, registry: CollectorRegistry) -> None:
        self.oldest_due_age = Gauge(
            "tidegate_oldest_due_row_age_seconds",
            "How long the oldest due and unclaimed row has waited, from the database; 0 if none.",
            ["kind"],
            registry=registry,
        )
        self.chore_done_at = Gauge(
            "tidegate_chore_last_done_timestamp_seconds",
            "When periodic work was last done by any worker (Unix time), from the database.",
            ["chore"],
            registry=registry,
        )
        self.clock_offset = Gauge(
            "tidegate_clock_offset_seconds",
            "How far a worker's clock was from the database's at its last heartbeat.",
            registry=registry,
        )
        self.cases_open = Gauge(
            "tidegate_cases_open",
            "Open cases by kind, from the database.",
            ["kind"],
            registry=registry,
        )


def replace(gauge: Gauge, readings: Mapping[Labels, float]) -> None:
    """Set a labelled gauge to exactly ``readings`` (label values to value).

    Series that are not in the reading vanish, instead of standing at their last value for ever.
    """
    gauge.clear()
    for labels, value in readings.items():
        gauge.labels(*labels).set(value)
