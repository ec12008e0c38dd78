"""What ``doctor`` makes of clocks, pushes and addresses."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from tidegate.cli.checks import Verdict, check_address, serving
from tidegate.cli.checks import _clock_check as judge_database_clock
from tidegate.cli.probes import _judge_clock as judge_clock
from tidegate.cli.probes import _judge_push as judge_push
from tidegate.settings import load

NOW = 1_800_000_000_000


@pytest.mark.parametrize(
    ("ahead_s", "verdict"),
    [
        (0, Verdict.OK),
        (1, Verdict.OK),
        (20, Verdict.OK),
        (-20, Verdict.OK),
        (45, Verdict.WARN),
        (-45, Verdict.WARN),
        (280, Verdict.FAIL),
        (-4000, Verdict.FAIL),
    ],
)
def test_the_aggregators_clock(ahead_s: int, verdict: Verdict) -> None:
    """It refuses what is five minutes off: near that is a failure, half a minute a warning."""
    check = judge_clock(formatdate(NOW / 1000 - ahead_s, usegmt=True), NOW)
    assert check.verdict is verdict
    assert bool(check.next) == (verdict is not Verdict.OK)


@pytest.mark.parametrize("date", [None, "", "yesterday"])
def test_a_clock_that_is_not_told(date: str | None) -> None:
    """Unknown is a warning, never taken for right."""
    assert judge_clock(date, NOW).verdict is Verdict.WARN


@pytest.mark.parametrize(
    ("ahead_ms", "verdict"),
    [(0, Verdict.OK), (-900, Verdict.OK), (5_000, Verdict.WARN), (-90_000, Verdict.FAIL)],
)
def test_the_databases_clock(ahead_ms: int, verdict: Verdict) -> None:
    """It rules leases, so a minute off is a failure."""
    assert judge_database_clock(ahead_ms, "postgresql").verdict is verdict
    assert judge_database_clock(ahead_ms, "sqlite").verdict is Verdict.OK


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ("done", Verdict.OK),
        ("unknown", Verdict.WARN),
        ("not_sent", Verdict.WARN),
        ("misconfigured", Verdict.FAIL),
        ("gone", Verdict.FAIL),
    ],
)
def test_what_the_last_push_says_of_the_dialect(said: str, verdict: Verdict) -> None:
    """Only a refusal speaks against the form, and then the other one is named."""
    settings = load({"DEBUG": "true", "AGGREGATOR_DIALECT": "live"}, None)
    check = judge_push(settings, "NGN", said, "1 min ago")
    assert check.verdict is verdict
    assert ("AGGREGATOR_DIALECT=spec" in check.next) == (verdict is Verdict.FAIL)


def test_an_address_that_nobody_was_told() -> None:
    """Without PUBLIC_URL the webhook path is told all the same."""
    check = check_address(load({"DEBUG": "true"}, None))
    assert check.verdict is Verdict.WARN
    assert "/webhooks/psp" in check.next
    told = check_address(load({"DEBUG": "true", "PUBLIC_URL": "https://node.example"}, None))
    assert "https://node.example/webhooks/psp" in told.detail


def test_a_worker_lives_while_its_heartbeat_is_young() -> None:
    """A minute without one, or none ever: nobody serves."""
    assert serving({"heartbeat": {"last_done_at": NOW - 59_000}}, NOW)
    assert not serving({"heartbeat": {"last_done_at": NOW - 61_000}}, NOW)
    assert not serving({"heartbeat": {"last_done_at": None}}, NOW)
    assert not serving({}, NOW)
