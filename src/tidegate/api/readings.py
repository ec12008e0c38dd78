"""What the workers last found out, for ``/ready``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, select

from tidegate.work.tables import periodic

__all__ = ["read_background"]

# A worker that has not written its heartbeat for this long is not there.
_HEARTBEAT_MS = 60_000
_CLOCK_MS = 60_000

_chores = select(periodic.c.id, periodic.c.last_done_at, periodic.c.result)


def read_background(connection: Connection, psps: Iterable[str], now_ms: int) -> dict[str, str]:
    """What the workers last found out about the others: ``ok`` or ``degraded``, each by name."""
    rows = {row.id: row for row in connection.execute(_chores)}

    def result(chore: str) -> dict[str, Any]:
        row = rows.get(chore)
        return dict(row.result or {}) if row is not None else {}

    beat = rows.get("heartbeat")
    alive = beat is not None and (beat.last_done_at or 0) > now_ms - _HEARTBEAT_MS
    asked, resting = result("orders"), result("heartbeat").get("resting", [])
    read = {key.partition(":")[0] for key in result("balances")}
    found = {
        "worker": alive,
        "aggregator": bool(asked) and all(value is not None for value in asked.values()),
        "clock": result("heartbeat").get("clock_ahead_ms", 0) < _CLOCK_MS,
    }
    found |= {f"psp:{psp}": psp in read and psp not in resting for psp in psps}
    return {name: "ok" if fine else "degraded" for name, fine in found.items()}
