"""Gauges that are read from the database, where several processes would count twice (D6)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, func, select

from tidegate.bootstrap import Application
from tidegate.cases.tables import cases
from tidegate.db.inbox import inbox
from tidegate.db.quarantine import is_quarantined
from tidegate.ledger.tables import block_entries, blocks, entries
from tidegate.observability.metrics import replace
from tidegate.payments.readings import read_standing
from tidegate.payments.tables import disputes, payments, refunds, webhook_endpoints
from tidegate.payouts.facts import read_float
from tidegate.payouts.states import AttemptState
from tidegate.payouts.tables import attempts, payouts
from tidegate.work.tables import periodic

__all__ = ["read_background", "read_gauges", "refresh_metrics"]

# A worker that has not written its heartbeat for this long is not there.
_HEARTBEAT_MS = 60_000

_WORK = (payouts, attempts, payments, refunds, disputes, webhook_endpoints, inbox, periodic)
_UNKNOWN = (AttemptState.UNKNOWN, AttemptState.SENDING)


def read_gauges(connection: Connection, now_ms: int) -> dict[str, Any]:
    """One consistent reading: orders by state, float, ages, ledger, cases."""
    states = select(payouts.c.state, func.count()).group_by(payouts.c.state)
    oldest_unknown = select(func.min(attempts.c.sent_at)).where(attempts.c.state.in_(_UNKNOWN))
    open_cases = select(cases.c.kind, func.count()).where(cases.c.state == "open")
    due: dict[str, float] = {}
    for table in _WORK:
        oldest = (
            select(table.c.kind, func.min(table.c.due_at))
            .where(
                table.c.due_at.is_not(None),
                table.c.due_at <= now_ms,
                func.coalesce(table.c.leased_until, 0) <= now_ms,
            )
            .group_by(table.c.kind)
        )
        for kind, due_at in connection.execute(oldest):
            due[kind] = (now_ms - due_at) / 1000
    unknown_since = connection.execute(oldest_unknown).scalar_one()
    head = connection.execute(
        select(blocks.c.id, blocks.c.hash).order_by(blocks.c.id.desc()).limit(1)
    ).first()
    entry_count = connection.execute(select(func.count()).select_from(entries)).scalar_one()
    sealed = connection.execute(select(func.count()).select_from(block_entries)).scalar_one()
    return {
        "states": {row[0]: row[1] for row in connection.execute(states)},
        "payments": read_standing(connection, now_ms),
        "float": read_float(connection),
        "unknown_s": 0.0 if unknown_since is None else (now_ms - unknown_since) / 1000,
        "due_s": due,
        "head": None if head is None else (head.id, head.hash),
        "unsealed": entry_count - sealed,
        "quarantined": is_quarantined(connection),
        "cases": {row[0]: row[1] for row in connection.execute(open_cases.group_by(cases.c.kind))},
    }


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


_CLOCK_MS = 60_000
_chores = select(periodic.c.id, periodic.c.last_done_at, periodic.c.result)


async def refresh_metrics(app: Application) -> None:
    """Set the database gauges of ``app`` to what the database says now."""
    now_ms = app.clock.now_ms()
    found = await app.database.read(lambda connection: read_gauges(connection, now_ms))
    metrics = app.metrics
    replace(metrics.orders, {(state,): count for state, count in found["states"].items()})
    replace(metrics.oldest_due_age, {(kind,): age for kind, age in found["due_s"].items()})
    replace(metrics.cases_open, {(kind,): count for kind, count in found["cases"].items()})
    balances: dict[tuple[str, ...], float] = {}
    for (psp, currency), parts in found["float"].items():
        for part in ("available", "reserved"):
            balances[psp, currency, part] = float(parts[part])
        balances[psp, currency, "total"] = float(parts["available"] + parts["reserved"])
    replace(metrics.balance, balances)
    metrics.quarantine.set(1 if found["quarantined"] else 0)
    metrics.oldest_unknown_age.set(found["unknown_s"])
    standing = found["payments"]
    replace(metrics.payments, {(state,): count for state, count in standing.states.items()})
    metrics.payments_without_fee.set(standing.without_fee)
    metrics.oldest_unknown_payment_age.set(standing.unknown_s)
    metrics.deliveries_waiting.set(standing.waiting)
    metrics.ledger_unsealed.set(found["unsealed"])
    if found["head"] is not None:
        number, digest = found["head"]
        metrics.ledger_head_block.set(number)
        metrics.ledger_head.info({"block": str(number), "hash": digest})
    resting = app.circuits.resting()
    for psp in app.banks:
        metrics.psp_available.labels(psp).set(0 if psp in resting else 1)
