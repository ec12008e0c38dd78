"""The dashboards' panels and the alerts' expressions, as files say them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

__all__ = ["DASHBOARDS", "GRAFANA", "PROMETHEUS", "Panel", "alerts", "panels"]

_DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
GRAFANA = _DEPLOY / "grafana"
PROMETHEUS = _DEPLOY / "prometheus"
DASHBOARDS = sorted(GRAFANA.glob("*.json"))


@dataclass(frozen=True, slots=True)
class Panel:
    """One expression of one panel, with the variables of Grafana filled in."""

    dashboard: str
    title: str
    ref: str
    expr: str

    @property
    def name(self) -> str:
        """``payouts: Offers``, and the letter of every further expression of the panel."""
        return f"{self.dashboard}: {self.title}" + (f" {self.ref}" if self.ref != "A" else "")


def panels(interval: str = "5m") -> Iterator[Panel]:
    """Every target of every panel."""
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                expr = target["expr"].replace("$job", ".*").replace("$__rate_interval", interval)
                yield Panel(path.stem, panel["title"], target["refId"], expr)


def alerts() -> Iterator[dict[str, Any]]:
    """Every rule that alerts."""
    for group in yaml.safe_load((PROMETHEUS / "alerts.yaml").read_text())["groups"]:
        yield from group["rules"]
