"""What is asked for and not installed is said at the start, with what to do."""

from __future__ import annotations

import sys

import pytest

from tests.unit.test_settings import GOOD
from tidegate.cli.serve import watch
from tidegate.errors import ConfigurationError
from tidegate.settings import load


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both at once: which setting, and which extra to install."""
    for name in ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "sentry_sdk"):
        monkeypatch.setitem(sys.modules, name, None)
    asked = {"TRACES": "otlp", "SENTRY_DSN": "https://public@sentry.example/7"}
    with pytest.raises(ConfigurationError) as refusal:
        watch(load(GOOD | asked, env_file=None))
    assert [fault.split()[0] for fault in refusal.value.faults] == ["TRACES", "SENTRY_DSN"]
    assert "tidegate[otel]" in refusal.value.faults[0]
    assert "tidegate[sentry]" in refusal.value.faults[1]


def test_a_dsn_that_is_none_is_refused() -> None:
    """A DSN that cannot be read would silently send nothing."""
    with pytest.raises(ConfigurationError) as refusal:
        watch(load(GOOD | {"SENTRY_DSN": "https://sentry.example"}, env_file=None))
    assert refusal.value.faults == [
        "SENTRY_DSN is no DSN: copy it from the settings of the Sentry project."
    ]


def test_without_settings_nothing_is_started() -> None:
    """The ordinary case asks for neither extra."""
    watch(load(GOOD, env_file=None))
