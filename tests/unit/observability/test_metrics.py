"""Metrics: declared once, named by convention, separate per application."""

from __future__ import annotations

import re

from prometheus_client.parser import text_string_to_metric_families

from tidegate.observability.metrics import CONTENT_TYPE, Metrics, replace


def test_two_applications_do_not_meet() -> None:
    """Each has its own registry, in one process."""
    one, other = Metrics(process=False), Metrics(process=False)
    one.offers_received.labels("live").inc()
    assert b'tidegate_offers_received_total{dialect="live"} 1.0' in one.render()
    assert b'dialect="live"' not in other.render()


def test_names_follow_the_conventions() -> None:
    """One prefix, snake case, a unit at the end where there is one, and help for each."""
    metrics = Metrics("1.2.3", process=False)
    families = list(metrics.registry.collect())
    assert len(families) >= 25
    for family in families:
        assert re.fullmatch(r"tidegate_[a-z0-9]+(_[a-z0-9]+)*", family.name), family.name
        assert family.documentation.endswith("."), family.name
        if family.type == "histogram":
            assert family.name.endswith(("_seconds", "_units")), family.name
        assert not family.name.endswith(("_ms", "_milliseconds")), family.name


def test_what_is_rendered_can_be_read() -> None:
    """The exposition parses, and says what runs."""
    metrics = Metrics("1.2.3")
    metrics.psp_call.labels("lenco", "submit", "pending").observe(0.3)
    metrics.ledger_head.info({"block": "12", "hash": "ab"})
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
    replace(metrics.orders, {("pending",): 3, ("held",): 1})
    replace(metrics.orders, {("pending",): 2})
    text = metrics.render().decode()
    assert 'tidegate_orders{state="pending"} 2.0' in text
    assert "held" not in text
