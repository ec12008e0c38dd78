"""Metrics: declared once, named by convention, separate per application."""

from __future__ import annotations

import re
from collections.abc import Iterator

from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from tidegate.observability.gauges import replace
from tidegate.observability.metrics import CONTENT_TYPE, Metrics


def test_two_applications_do_not_meet() -> None:
    """Each has its own registry, in one process."""
    one, other = Metrics(process=False), Metrics(process=False)
    one.offers_received.labels("live").inc()
    assert b'tidegate_offers_received_total{dialect="live"} 1.0' in one.render()
    assert b'dialect="live"' not in other.render()


def _families() -> Iterator[Metric]:
    """Every family as the parser of Prometheus's own client reads it, each with a sample."""
    metrics = Metrics("1.2.3", process=False)
    for registry in (metrics.registry, metrics.gauges.registry):
        # The registry names its collectors in no public way but this.
        for collector in set(registry._collector_to_names):
            assert isinstance(collector, MetricWrapperBase)
            if collector._labelnames:
                collector.labels(*collector._labelnames)
    yield from text_string_to_metric_families(metrics.render().decode())


def test_names_follow_the_conventions() -> None:
    """One prefix, snake case, base units and ``_total`` where they belong, and help for each."""
    families = [each for each in _families() if not each.name.endswith("_created")]
    assert len(families) >= 40
    for family in families:
        name = family.name
        assert re.fullmatch(r"tidegate_[a-z0-9]+(_[a-z0-9]+)*", name), name
        assert re.fullmatch(r"[A-Z0-9].*\.", family.documentation, re.DOTALL), name
        assert not re.search(r"_(ms|milliseconds|minutes|hours|kib|percent|count|sum)$", name), name
        # The parser takes ``_total`` off the names of counters, and only of counters.
        assert not name.endswith("_total"), name
        assert family.type in {"counter", "gauge", "histogram"}, name
        if family.type == "counter":
            assert all(sample.name == f"{name}_total" for sample in family.samples), name
        if family.type == "histogram":
            assert name.endswith(("_seconds", "_units")), name
        if re.search(r"(duration|delay|age|timestamp|offset)", name):
            assert name.endswith("_seconds"), name
        if re.search(r"(balance|drift|reading(?!_timestamp))", name):
            assert name.endswith("_minor_units"), name


def test_no_label_is_an_id_or_repeats_the_name() -> None:
    """Labels are few words each: an id of a row would make a series of every row."""
    for family in _families():
        for sample in family.samples:
            for label in sample.labels:
                assert re.fullmatch(r"[a-z]+", label), (family.name, label)
                assert label not in {"id", "order", "payment", "user", "path", "url"}


def test_what_is_rendered_can_be_read() -> None:
    """The exposition parses, and says what runs."""
    metrics = Metrics("1.2.3")
    metrics.psp_call.labels("lenco", "submit", "pending").observe(0.3)
    metrics.gauges.ledger_head.info({"block": "12", "hash": "ab"})
    text = metrics.render().decode()
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["tidegate_build_info", (("version", "1.2.3"),)] == 1
    assert samples["tidegate_ledger_head_info", (("block", "12"), ("hash", "ab"))] == 1
    labels = (("operation", "submit"), ("outcome", "pending"), ("psp", "lenco"))
    assert samples["tidegate_psp_call_duration_seconds_count", labels] == 1
    assert CONTENT_TYPE.startswith("text/plain")


def test_a_reading_replaces_the_one_before() -> None:
    """A state without orders vanishes instead of standing at its last count."""
    metrics = Metrics(process=False)
    replace(metrics.gauges.orders, {("pending",): 3, ("held",): 1})
    replace(metrics.gauges.orders, {("pending",): 2})
    text = metrics.render().decode()
    assert 'tidegate_orders{state="pending"} 2.0' in text
    assert "held" not in text
