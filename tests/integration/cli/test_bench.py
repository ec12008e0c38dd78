"""``tidegate bench payouts``: short runs whose counts are known, and its arithmetic."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner

import tidegate
from tidegate.cli.app import app
from tidegate.cli.bench_postgresql import own_server
from tidegate.cli.bench_report import Series, print_report
from tidegate.cli.bench_run import Measured
from tidegate.cli.bench_stand import Configuration, Load, fsync_ms
from tidegate.cli.processes import usage_of
from tidegate.errors import ConfigurationError

_ORDERS = 40
_MEASURED = Measured(
    orders=200,
    seconds=2.0,
    node_cpu_s=1.0,
    companies_cpu_s=0.4,
    database_cpu_s=None,
    rss_kib=102_400,
    rss_max_kib=204_800,
    rss_kib_at={5_000: 100_000, 20_000: 105_120},
    commits=100.0,
    units=2_000.0,
    commit_s=0.5,
    calls={"aggregator accept 201": 200, "bank GET /transfer/by-reference": 300},
    latencies_ms={"answer_to_accept": {"p50": 3.0, "p99": 9.0, "max": 12.0, "count": 200}},
)


def _run(*options: str) -> dict[str, Any]:
    done = CliRunner().invoke(app, ["bench", "payouts", "--json", *options])
    assert done.exit_code == 0, done.output
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


def test_every_order_takes_the_calls_that_it_must(database_url: str) -> None:
    """One accept, one transfer, one look-up, pending and success told once each: a step that is
    skipped or repeated shows. On both databases."""
    printed = _run("--orders", str(_ORDERS), "--in-flight", "8", "--database", database_url)
    (measured,) = printed["configurations"]
    (run,) = measured["runs"]
    assert run["orders"] == _ORDERS
    assert run["sound"] is True
    for call in (
        "aggregator offer 200",
        "aggregator accept 201",
        "aggregator fulfill pending",
        "aggregator fulfill success",
        "bank POST /transfer",
        "bank webhook delivered",
    ):
        assert run["calls"][call] == _ORDERS, call
    # A machine that stalls for seconds makes the schedule ask as well.
    assert _ORDERS <= run["calls"]["bank GET /transfer/by-reference"] <= _ORDERS * 2
    assert run["commits"] > 0
    assert run["units"] >= 6 * _ORDERS
    assert run["orders_per_s"] == pytest.approx(_ORDERS / run["seconds"])
    assert all(times["count"] >= _ORDERS - 1 for times in run["latencies_ms"].values())
    assert set(run["latencies_ms"]) == {
        "offer_to_answer",
        "answer_to_accept",
        "webhook_to_fulfil",
        "offer_to_fulfil",
    }
    assert "***" in measured["database"] or measured["database"].startswith("sqlite")


@pytest.mark.long  # a closed loop is measured above, the open one of payments elsewhere
def test_an_open_loop_keeps_its_rate() -> None:
    """Orders come at the rate, not when earlier ones are done; a spec order tells no pending."""
    printed = _run("--orders", "20", "--rate", "10", "--dialect", "spec")
    (measured,) = printed["configurations"]
    (run,) = measured["runs"]
    # Twenty orders at ten a second begin over 1.9 s.
    assert 1.9 <= run["seconds"] < 60
    assert run["calls"]["aggregator fulfill success"] == 20
    assert "aggregator fulfill pending" not in run["calls"]
    assert measured["fsync_ms"]["p50"] > 0


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
def test_a_database_that_was_used_before_is_refused(url: str) -> None:
    """Its float is another company's, and every figure would be about declined orders."""
    again = CliRunner().invoke(app, ["bench", "payouts", "--orders", "5", "--database", url])
    assert isinstance(again.exception, ConfigurationError)
    assert "name an empty one" in again.exception.faults[0]


@pytest.mark.long  # four runs of the benchmark
def test_two_checkouts_are_run_in_turns_and_compared() -> None:
    """The same code twice: every figure has a ratio, made of pairs of runs."""
    source = str(Path(tidegate.__file__).resolve().parents[1])
    options = ("--compare-source", source, "--repeat", "2", "--orders", "20", "--in-flight", "4")
    printed = _run(*options)
    assert [len(one["runs"]) for one in printed["configurations"]] == [2, 2]
    ratio = printed["ratios"]["orders a second"]
    assert ratio["least"] <= ratio["ratio"] <= ratio["greatest"]
    assert ratio["first"] > 0


@pytest.mark.parametrize(
    "options",
    [
        ("--dialect", "other"),
        ("--compare-source", ".", "--compare-database", "x.db"),
        ("--orders", "0"),
    ],
)
def test_a_command_that_cannot_be_meant_ends_with_code_2(options: Sequence[str]) -> None:
    """Nothing is started for it."""
    assert CliRunner().invoke(app, ["bench", "payouts", *options]).exit_code == 2


def test_figures_per_order_and_their_report(capsys: pytest.CaptureFixture[str]) -> None:
    """CPU, commits and calls are divided by the orders; growth is between the two marks."""
    series = Series(
        Configuration("measured", "sqlite:///bench.db"), [_MEASURED], {"p50": 0.2, "max": 1.0}
    )
    assert series.median("orders a second") == 100
    assert series.median("node's CPU ms an order") == 5
    assert series.median("database's CPU ms an order") is None
    assert series.median("units of work a commit") == 20
    assert series.median("ms a commit") == 5
    assert series.median("look-ups an order") == 1.5
    print_report(Load(200, 8), "live", [series], json=False)
    printed = capsys.readouterr().out
    assert "+5.0 MiB between them" in printed
    assert "bank POST /transfer" in printed  # expected, never made: a skipped step shows
    assert "0.000" in printed


def test_a_ratio_is_second_over_first(capsys: pytest.CaptureFixture[str]) -> None:
    """Twice the orders in the same time is a ratio of two; the report names both."""
    twice = replace(_MEASURED, orders=400)
    first = Series(Configuration("first", "sqlite:///a.db"), [_MEASURED, _MEASURED], None)
    second = Series(Configuration("second", "sqlite:///b.db"), [twice, _MEASURED], None)
    print_report(Load(200, 8), "live", [first, second], json=True)
    ratio = json.loads(capsys.readouterr().out)["ratios"]["orders a second"]
    assert (ratio["least"], ratio["ratio"], ratio["greatest"]) == (1.0, 1.5, 2.0)
    print_report(Load(200, 8, 20.0), "live", [first, second], json=False)
    printed = capsys.readouterr().out
    assert "open loop, 20 a second" in printed
    assert "The cost of an fsync is not known" in printed


@pytest.mark.parametrize(
    "trouble",
    [
        {"violations": [{"wrong": "paid_twice", "key": "x", "detail": "y"}]},
        {"unfinished": [{"id": "x", "status": "pending"}]},
        {"paid_more_than_once": ["tg-x"]},
    ],
)
def test_figures_of_an_unsound_run_say_so(
    trouble: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """An order that was not fulfilled, paid twice, or held against the node spoils the run."""
    unsound = replace(_MEASURED, **trouble)
    assert not unsound.sound
    assert _MEASURED.sound
    series = Series(Configuration("measured", "sqlite:///bench.db"), [unsound], None)
    print_report(Load(200, 8), "live", [series], json=False)
    assert "x" in capsys.readouterr().out.rsplit("greatest", 1)[1]


def test_a_server_of_its_own_is_durable_and_leaves_nothing_behind() -> None:
    """fsync stays on, because its cost is part of what is measured."""

    async def ask(url: str) -> str:
        connection = await asyncpg.connect(url)
        try:
            return str(await connection.fetchval("SHOW fsync"))
        finally:
            await connection.close()

    with own_server() as server:
        assert asyncio.run(ask(server.url)) == "on"
        assert usage_of(server.pid).cpu_s is not None
        assert fsync_ms(server.data, times=3)["max"] > 0
        data = server.data
    assert not data.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, 0)
