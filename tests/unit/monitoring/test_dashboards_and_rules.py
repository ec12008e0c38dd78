"""Dashboards and alerts ask for metrics that there are, by labels that these have."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from tests.support.queries import DASHBOARDS, PROMETHEUS, alerts, panels
from tests.unit.docs.documents import ROOT
from tidegate.cli.pages.metrics import every_metric
from tidegate.observability.metrics import Metrics

# What Prometheus itself adds, and what its client tells of every process.
_EVERYWHERE = frozenset({"job", "instance"})
_OTHERS: dict[str, frozenset[str]] = {
    "up": frozenset(),
    "process_cpu_seconds_total": frozenset(),
    "process_resident_memory_bytes": frozenset(),
}
_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count")}

EXPRESSIONS = {panel.name: panel.expr for panel in panels()} | {
    rule["alert"]: rule["expr"] for rule in alerts()
}


@cache
def _known() -> dict[str, frozenset[str]]:
    """Name of a series -> its labels."""
    metrics = Metrics(process=False)
    found = dict(_OTHERS)
    for registry in (metrics.registry, metrics.gauges.registry):
        for name, type_, labels, _ in every_metric(registry):
            more = {"info": frozenset({"version", "block", "hash"})}.get(type_, frozenset())
            for suffix in _SUFFIXES.get(type_, ("",)):
                le = {"le"} if suffix == "_bucket" else set()
                found[f"{name}{suffix}"] = frozenset(labels) | more | le
    return found


def _selectors(node: Any) -> Iterator[Any]:
    """Every selector below a node of the parser's tree."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
        return
    for child in ("lhs", "rhs", "expr", "vector_selector", "args"):
        below = getattr(node, child, None)
        for each in below if isinstance(below, list) else [below]:
            if each is not None:
                yield from _selectors(each)


def _faults(expression: str) -> list[str]:
    """What is wrong with an expression."""
    known, faults = _known(), []
    labels: set[str] = set()
    for selector in _selectors(promql_parser.parse(expression)):
        if selector.name not in known:
            faults.append(f"there is no metric {selector.name}")
            continue
        its = known[selector.name] | _EVERYWHERE
        labels |= its
        faults += [
            f"{selector.name} has no label {matcher.name}"
            for matcher in selector.matchers.matchers
            if matcher.name not in its
        ]
    for grouped in re.findall(r"\b(?:by|on|without|ignoring) \(([^)]*)\)", expression):
        faults += [
            f"nothing in it has a label {label}"
            for label in re.split(r", *", grouped)
            if label not in labels
        ]
    return faults


@pytest.mark.parametrize("name", sorted(EXPRESSIONS))
def test_every_expression_asks_for_what_there_is(name: str) -> None:
    """It parses; each metric is one of ours; each label is one that the metric has."""
    assert _faults(EXPRESSIONS[name]) == []


@pytest.mark.parametrize(
    "expression",
    [
        "tidegate_ordres",
        'tidegate_orders{stat="held"}',
        "sum by (kind) (tidegate_orders)",
        "rate(tidegate_commits[5m])",
        "tidegate_fulfilment_duration_seconds",
    ],
)
def test_the_check_above_finds_what_it_is_for(expression: str) -> None:
    """A misspelt metric, a label that is not there, a histogram asked for by its bare name."""
    assert _faults(expression) != []


def test_every_metric_is_shown_somewhere() -> None:
    """A metric that no panel and no alert asks for is one that nobody looks at; these are read by
    people."""
    asked = " ".join(EXPRESSIONS.values())
    metrics = Metrics(process=False)
    unseen = {
        name
        for registry in (metrics.registry, metrics.gauges.registry)
        for name, *_ in every_metric(registry)
        if not re.search(rf"\b{name}(_bucket|_count|_sum)?\b", asked)
    }
    assert unseen == {"tidegate_ledger_head_info"}


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_one_that_grafana_takes(path: Path) -> None:
    """Unique ids, panels inside the grid that do not overlap, a data source that is chosen, and
    the node as a variable in every selector."""
    board = json.loads(path.read_text())
    assert board["uid"] == f"tidegate-{path.stem}"
    assert board["schemaVersion"] >= 36
    assert {each["name"] for each in board["templating"]["list"]} == {"datasource", "job"}
    taken: set[tuple[int, int]] = set()
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids)) > 8
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert all(x < 24 for x, _ in cells), panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["type"] in {"timeseries", "stat", "table"}
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        refs = [target["refId"] for target in panel["targets"]]
        assert len(refs) == len(set(refs)) >= 1
        for target in panel["targets"]:
            assert target["datasource"] == panel["datasource"]
            names = len(re.findall(r"\b(?:tidegate|process)_\w+", target["expr"]))
            assert target["expr"].count('job=~"$job"') == names, panel["title"]


def _slugs(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("rule", list(alerts()), ids=lambda rule: rule["alert"])
def test_every_alert_names_its_runbook_and_is_explained(rule: dict[str, Any]) -> None:
    """It says what is wrong and how bad it is; its runbook is there, heading included, and the
    page about monitoring has it in its table."""
    assert rule["labels"]["severity"] in {"page", "ticket"}
    notes = rule["annotations"]
    assert notes["summary"].endswith(".")
    assert notes["description"].endswith(".")
    file, _, anchor = notes["runbook"].partition("#")
    assert file.startswith("docs/runbooks/")
    runbook = (ROOT / file).read_text()
    assert not anchor or anchor in _slugs(runbook)
    page = (ROOT / "docs" / "how-to" / "monitor.md").read_text()
    link = notes["runbook"].removeprefix("docs/")
    assert re.search(rf"^\| `{rule['alert']}` \|.*\]\(\.\./{re.escape(link)}\) \|$", page, re.M)


def test_the_page_about_monitoring_knows_no_other_alert() -> None:
    """Its table has the rules that there are, and no more."""
    page = (ROOT / "docs" / "how-to" / "monitor.md").read_text()
    assert set(re.findall(r"^\| `(Tidegate\w+)` \|", page, re.M)) == {
        rule["alert"] for rule in alerts()
    }


def test_every_alert_has_figures_that_fire_it_and_figures_that_do_not() -> None:
    """For promtool: each rule is tested both ways."""
    tests = yaml.safe_load((PROMETHEUS / "alerts.test.yaml").read_text())["tests"]
    cases = [each for test in tests for each in test["alert_rule_test"]]
    fires = {each["alertname"] for each in cases if each["exp_alerts"]}
    quiet = {each["alertname"] for each in cases if not each["exp_alerts"]}
    assert fires == quiet == {rule["alert"] for rule in alerts()}


@pytest.mark.long
@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not on the path (Debian: prometheus)"
)
def test_promtool_agrees() -> None:
    """Prometheus' own tool takes rules and configuration, and each rule fires when it must."""
    for words in (
        ("check", "rules", "alerts.yaml"),
        ("check", "config", "prometheus.yaml"),
        ("test", "rules", "alerts.test.yaml"),
    ):
        done = subprocess.run(
            ["promtool", *words], cwd=PROMETHEUS, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
