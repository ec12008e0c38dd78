"""``tidegate bench payments``: a short run whose counts are known, and its arithmetic."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from typer.testing import CliRunner

from tidegate.cli.app import app
from tidegate.cli.bench_payments import print_payments
from tidegate.cli.bench_payments_run import MeasuredPayments
from tidegate.cli.bench_report import Series
from tidegate.cli.bench_stand import Configuration, Cost, Load

_PAYMENTS = 40
_MEASURED = MeasuredPayments(
    payments=200,
    seconds=4.0,
    latency_ms={"p50": 20.0, "p99": 90.0, "max": 120.0, "count": 200},
    calls={"create": 200, "confirm": 200, "GET payment_intents": 300},
    webhooks={"delivered": 800},
    companies_cpu_s=0.5,
    cost=Cost(
        node_cpu_s=3.0,
        database_cpu_s=None,
        rss_before_kib=102_400,
        rss_kib=104_448,
        rss_max_kib=110_000,
        commits=100.0,
        units=2_000.0,
        commit_s=0.5,
    ),
    wrong=[],
)


def _run(*options: str) -> dict[str, Any]:
    done = CliRunner().invoke(app, ["bench", "payments", "--json", *options])
    assert done.exit_code == 0, done.output
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


def test_every_payment_is_created_and_confirmed_once(database_url: str) -> None:
    """A call that is skipped or repeated shows, and the run is sound: 201, one charge each, the
    books agree. On both databases."""
    count = str(_PAYMENTS)
    printed = _run("--payments", count, "--in-flight", "8", "--database", database_url)
    (measured,) = printed["configurations"]
    (run,) = measured["runs"]
    assert run["payments"] == _PAYMENTS
    assert run["sound"] is True
    assert run["wrong"] == []
    assert run["calls"]["create"] == run["calls"]["confirm"] == _PAYMENTS
    # Created, charged, succeeded, settled.
    assert run["webhooks"] == {"delivered": 4 * _PAYMENTS}
    assert run["latency_ms"]["count"] == _PAYMENTS
    assert run["cost"]["commits"] > 0
    assert run["payments_per_s"] == pytest.approx(_PAYMENTS / run["seconds"])
    assert printed["load"] == {"payments": _PAYMENTS, "in_flight": 8, "rate": 0.0}


def test_an_open_loop_keeps_its_rate() -> None:
    """Requests go out at the rate, not when earlier ones are answered."""
    (measured,) = _run("--payments", "20", "--rate", "10")["configurations"]
    # Twenty payments at ten a second begin over 1.9 s.
    assert 1.9 <= measured["runs"][0]["seconds"] < 60


def test_figures_per_payment_and_their_report(capsys: pytest.CaptureFixture[str]) -> None:
    """CPU, commits, calls and webhooks are divided by the payments."""
    series = Series(Configuration("measured", "sqlite:///bench.db"), [_MEASURED], None)
    assert series.median("payments a second") == 50
    assert series.median("node's CPU ms a payment") == 15
    assert series.median("database's CPU ms a payment") is None
    assert series.median("commits a payment") == 0.5
    assert series.median("calls to the processor a payment") == 3.5
    assert series.median("webhooks received a payment") == 4
    assert series.median("RSS MiB after") == 102
    print_payments(Load(200, 8), [series], json=False)
    printed = capsys.readouterr().out
    assert "payments a second" in printed
    assert "webhook delivered" in printed
    assert "WRONG" not in printed


def test_figures_of_an_unsound_run_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    """A payment that was charged twice spoils the run."""
    unsound = replace(_MEASURED, wrong=["pay_x: charged 2 times"])
    assert _MEASURED.sound
    assert not unsound.sound
    series = Series(Configuration("measured", "sqlite:///bench.db"), [unsound], None)
    print_payments(Load(200, 8, 20.0), [series], json=False)
    printed = capsys.readouterr().out
    assert "WRONG pay_x: charged 2 times" in printed
    assert "open loop, 20 a second" in printed


def test_a_command_that_cannot_be_meant_ends_with_code_2() -> None:
    """Nothing is started for it."""
    assert CliRunner().invoke(app, ["bench", "payments", "--payments", "0"]).exit_code == 2
