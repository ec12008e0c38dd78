"""The gauges that are read from the database, where several processes would count twice (D6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import Connection, Table, func, select

from tidegate.bootstrap import Application
from tidegate.cases.tables import cases
from tidegate.db.inbox import inbox
from tidegate.db.quarantine import is_quarantined
from tidegate.ledger.chart import account_kind
from tidegate.ledger.tables import accounts, block_entries, blocks, entries
from tidegate.observability.gauges import Gauges, replace
from tidegate.payments.readings import Standing, read_standing
from tidegate.payments.states import RefundState
from tidegate.payments.states import State as PaymentState
from tidegate.payments.tables import disputes, payments, refunds, webhook_endpoints
from tidegate.payouts.facts import read_float
from tidegate.payouts.states import AttemptState, State
from tidegate.payouts.tables import attempts, payouts, psp_balances
from tidegate.work.tables import periodic

__all__ = ["Reading", "exposition", "read"]

log = structlog.get_logger()

_WORK = (payouts, attempts, payments, refunds, disputes, webhook_endpoints, inbox, periodic)
_UNKNOWN = (AttemptState.UNKNOWN, AttemptState.SENDING)

# One account for every user: the database adds them up.
_USERS = "payments:user:"

_by_attempt = select(attempts.c.psp, attempts.c.state, func.count()).group_by(
    attempts.c.psp, attempts.c.state
)
_oldest_unknown = select(func.min(attempts.c.sent_at)).where(attempts.c.state.in_(_UNKNOWN))
_open_cases = (
    select(cases.c.kind, func.count()).where(cases.c.state == "open").group_by(cases.c.kind)
)
_head = select(blocks.c.id, blocks.c.hash).order_by(blocks.c.id.desc()).limit(1)
_chores = select(periodic.c.id, periodic.c.last_done_at, periodic.c.result)
_psp_readings = select(
    psp_balances.c.psp, psp_balances.c.currency, psp_balances.c.reading, psp_balances.c.read_at
).where(psp_balances.c.reading.is_not(None))
_balances = select(accounts.c.path, accounts.c.currency, accounts.c.balance).where(
    accounts.c.path.not_like(f"{_USERS}%")
)
_users_balances = (
    select(func.min(accounts.c.path), accounts.c.currency, func.sum(accounts.c.balance))
    .where(accounts.c.path.like(f"{_USERS}%"))
    .group_by(accounts.c.currency)
)


@dataclass(frozen=True, slots=True)
class Reading:
    """One consistent reading of everything that the gauges show; ages in seconds."""

    orders: Mapping[str, int]
    attempts: Mapping[tuple[str, str], int]
    refunds: Mapping[str, int]
    payments: Standing
    float_: Mapping[tuple[str, str], Mapping[str, int]]
    psps: Mapping[tuple[str, str], tuple[int, int]]
    accounts: Mapping[tuple[str, str], int]
    unknown_s: float
    due_s: Mapping[str, float]
    head: tuple[int, str] | None
    unsealed: int
    quarantined: bool
    cases: Mapping[str, int]
    chores: Mapping[str, tuple[int | None, Mapping[str, Any]]]


def read(connection: Connection, now_ms: int) -> Reading:
    """Read it all in the snapshot of ``connection``."""
    unknown_since = connection.execute(_oldest_unknown).scalar_one()
    head = connection.execute(_head).first()
    entry_count = connection.execute(select(func.count()).select_from(entries)).scalar_one()
    sealed = connection.execute(select(func.count()).select_from(block_entries)).scalar_one()
    return Reading(
        orders=_states(connection, payouts),
        attempts={(row[0], row[1]): row[2] for row in connection.execute(_by_attempt)},
        refunds=_states(connection, refunds),
        payments=read_standing(connection, now_ms),
        float_=read_float(connection),
        psps={
            (row.psp, row.currency): (row.reading, row.read_at)
            for row in connection.execute(_psp_readings)
        },
        accounts=_account_balances(connection),
        unknown_s=0.0 if unknown_since is None else (now_ms - unknown_since) / 1000,
        due_s=_due(connection, now_ms),
        head=None if head is None else (head.id, head.hash),
        unsealed=entry_count - sealed,
        quarantined=is_quarantined(connection),
        cases={row[0]: row[1] for row in connection.execute(_open_cases)},
        chores={
            row.id: (row.last_done_at, dict(row.result or {}))
            for row in connection.execute(_chores)
        },
    )


def _states(connection: Connection, table: Table) -> dict[str, int]:
    counted = select(table.c.state, func.count()).group_by(table.c.state)
    return {row[0]: row[1] for row in connection.execute(counted)}


def _due(connection: Connection, now_ms: int) -> dict[str, float]:
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
            due[kind] = max(due.get(kind, 0.0), (now_ms - due_at) / 1000)
    return due


def _account_balances(connection: Connection) -> dict[tuple[str, str], int]:
    """By the chart's pattern without its blanks (``psp:available``) and currency."""
    found: dict[tuple[str, str], int] = {}
    for question in (_balances, _users_balances):
        for path, currency, balance in connection.execute(question):
            kind = ":".join(part for part in account_kind(path).pattern.split(":") if part != "{}")
            found[kind, currency] = found.get((kind, currency), 0) + int(balance)
    return found


async def exposition(app: Application, *, own: bool = True) -> bytes:
    """What a scrape is answered with; ``own`` as in :meth:`Metrics.render`.

    Without the database the process's own counters are told all the same: they are what says
    that something is wrong with it.
    """
    metrics = app.metrics
    resting = app.circuits.resting()
    for psp in app.banks:
        metrics.psp_available.labels(psp).set(0 if psp in resting else 1)
    now_ms = app.clock.now_ms()
    try:
        found = await app.database.read(lambda connection: read(connection, now_ms))
    except Exception as error:  # whatever it is, the scrape is answered
        log.warning("metrics.unread", error=repr(error))
        metrics.gauges_read.set(0)
        return metrics.render(own=own, gauges=False)
    _show(metrics.gauges, found, app)
    metrics.gauges_read.set(1)
    return metrics.render(own=own)


def _show(gauges: Gauges, found: Reading, app: Application) -> None:
    replace(gauges.orders, _with_zeros(State, found.orders))
    replace(
        gauges.attempts,
        {(psp, state.value): 0 for psp in app.banks for state in AttemptState}
        | dict(found.attempts),
    )
    replace(gauges.refunds, _with_zeros(RefundState, found.refunds))
    replace(gauges.payments, _with_zeros(PaymentState, found.payments.states))
    gauges.oldest_unknown_age.set(found.unknown_s)
    gauges.payments_without_fee.set(found.payments.without_fee)
    gauges.oldest_unknown_payment_age.set(found.payments.unknown_s)
    gauges.deliveries_waiting.set(found.payments.waiting)
    _show_money(gauges, found, app.rules.currencies)
    waited = dict.fromkeys(app.kinds, 0.0) | dict(found.due_s)
    replace(gauges.oldest_due_age, {(kind,): age for kind, age in waited.items()})
    replace(gauges.cases_open, {(kind,): count for kind, count in found.cases.items()})
    replace(
        gauges.chore_done_at,
        {(id_,): done / 1000 for id_, (done, _) in found.chores.items() if done is not None},
    )
    _, beat = found.chores.get("heartbeat", (None, {}))
    gauges.clock_offset.set(beat.get("clock_ahead_ms", 0) / 1000)


def _with_zeros(states: Iterable[Any], found: Mapping[str, int]) -> dict[tuple[str, ...], float]:
    """A state that nobody is in counts zero: an alert on a rise needs where it rose from."""
    counts = {str(state.value): 0 for state in states} | dict(found)
    return {(state,): float(count) for state, count in counts.items()}


def _show_money(gauges: Gauges, found: Reading, currencies: Iterable[str]) -> None:
    balances: dict[tuple[str, ...], float] = {}
    for (psp, currency), parts in found.float_.items():
        for part in ("available", "reserved"):
            balances[psp, currency, part] = float(parts[part])
        balances[psp, currency, "total"] = float(parts["available"] + parts["reserved"])
    replace(gauges.balance, balances)
    replace(gauges.float_reading, {key: reading for key, (reading, _) in found.psps.items()})
    replace(gauges.float_read_at, {key: at / 1000 for key, (_, at) in found.psps.items()})
    replace(gauges.account_balance, found.accounts)
    done, audited = found.chores.get("audit", (None, {}))
    if done is not None:
        drift = dict.fromkeys(currencies, 0) | audited.get("drift", {})
        replace(gauges.ledger_drift, {(code,): sum_ for code, sum_ in drift.items()})
        gauges.ledger_findings.set(audited.get("findings", 0))
    gauges.ledger_unsealed.set(found.unsealed)
    gauges.quarantine.set(1 if found.quarantined else 0)
    if found.head is not None:
        number, digest = found.head
        gauges.ledger_head_block.set(number)
        gauges.ledger_head.info({"block": str(number), "hash": digest})
