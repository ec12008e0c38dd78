"""``docs/metrics.md``: every metric there is, with its type, its labels and what it says."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from tidegate.observability.metrics import Metrics

__all__ = ["every_metric", "metrics_page"]

_INTRODUCTION = """\
# Metrics

What `GET /metrics` answers, in Prometheus' text format. How to scrape it, and what to do when an
alert fires: [monitor](how-to/monitor.md). This page is generated from the code
(`python -m tidegate.cli.pages`).

- Times are in seconds, instants in Unix seconds. Money is in minor units (kobo, cents) instead of
  a base unit: an integer is exact in a sample up to 2^53, 0.1 of a major unit never is.
- `outcome` says how a call ended on the wire: `2xx` to `5xx` by the answer's status, `not_reached`
  (no byte left) or `unknown` (some may have arrived). `reason` is an [error code](errors.md).
- No label is an id: what became of one order is in its story (`tidegate orders show`), in the
  logs, and in its trace.
"""

_OWN = """
## What a process counts

Each process counts by itself, from its start; add them up (`sum`). Besides these, the process's own
memory, CPU seconds and open files (`process_...`).

"""

_GAUGES = """
## What the database says

Read at each scrape; every process publishes the same values, so take the largest (`max`), never
the sum. When the database cannot be read they are left out, and `tidegate_database_gauges_read` is
0.

"""

_HEAD = "| metric | type | labels | meaning |\n|---|---|---|---|\n"


def every_metric(registry: CollectorRegistry) -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    """(name as it is asked for, type, labels, meaning) of each metric of ours, in its order."""
    # The client has no public way to list labels of a metric without series.
    for collector in registry._collector_to_names:
        if isinstance(collector, MetricWrapperBase):
            name, type_ = collector._name, str(collector._type)
            suffix = {"counter": "_total", "info": "_info"}.get(type_, "")
            yield (
                f"{name}{suffix}",
                type_,
                tuple(collector._labelnames),
                collector._documentation,
            )


def metrics_page() -> str:
    """The reference."""
    metrics = Metrics(process=False)
    parts = [_INTRODUCTION]
    for heading, registry in ((_OWN, metrics.registry), (_GAUGES, metrics.gauges.registry)):
        parts += [heading, _HEAD]
        for name, type_, labels, meaning in every_metric(registry):
            told = ", ".join(f"`{label}`" for label in labels)
            parts.append(f"| `{name}` | {type_} | {told} | {meaning} |\n")
    return "".join(parts)
