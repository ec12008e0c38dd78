"""Periodic work: APScheduler only makes a row due; one process claims and runs it (DESIGN 3).

The table below is the list of it. Ordinary work never waits for these: they are the safety nets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from sqlalchemy import select

from tidegate.bootstrap import Application
from tidegate.cases.store import OpenCase
from tidegate.db.committer import Unit
from tidegate.db.rows import DONE, Change, Next
from tidegate.errors import WriteRefused
from tidegate.ledger.audit import audit
from tidegate.ledger.seal import Seal
from tidegate.payouts.answer import CheckOrders
from tidegate.payouts.facts import read_float
from tidegate.payouts.institutions import RefreshBanks
from tidegate.payouts.push import push_id
from tidegate.payouts.sweep import SweepAttempts, SweepPayouts
from tidegate.retention.sweep import Sweep
from tidegate.settings.rules import retention_rules_of
from tidegate.work.claim import Claimed
from tidegate.work.tables import periodic

__all__ = ["Chore", "MakeDue", "Periodic", "ScheduledTriggers", "Triggers"]

log = structlog.get_logger()

# A block holds its entries in memory while it is hashed.
_SEAL_MOST = 1_000
_HEARTBEAT_S = 10.0
_UNSEALED_TOO_LONG_MS = 3_600_000
# The first run after years without one.
_RETENTION_S = 3_600.0


MakeDue = Callable[[], Awaitable[None]]


class Triggers(Protocol):
    """What calls again and again, at intervals."""

    def every(self, seconds: float, make_due: MakeDue) -> None: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...


class ScheduledTriggers:
    """APScheduler on the machine's clock."""

    def __init__(self) -> None:
        self._scheduler = AsyncIOScheduler(timezone="UTC")

    def every(self, seconds: float, make_due: MakeDue) -> None:
        job = partial(_unless_stopped, make_due)
        self._scheduler.add_job(job, "interval", seconds=seconds, max_instances=1)

    def start(self) -> None:
        self._scheduler.start()

    def stop(self) -> None:
        self._scheduler.shutdown(wait=False)


async def _unless_stopped(make_due: MakeDue) -> None:
    """A trigger that a stop cuts short is no error, though APScheduler would log it as one: whoever
    starts next makes everything due."""
    with suppress(asyncio.CancelledError):
        await make_due()


@dataclass(frozen=True, slots=True)
class Chore:
    """One periodic row: its id, how often, what it does. The result is kept in the row.

    ``looks``: it goes on in quarantine. What compares our rows with others' waits, because until
    the lost orders are found the difference is only that they are lost.
    """

    id: str
    every_s: float
    do: Callable[[], Awaitable[dict[str, Any]]]
    longest_s: float = 120.0
    looks: bool = True

    @property
    def kind(self) -> str:
        return self.id


class Periodic:
    """The chores of one process and their triggers."""

    def __init__(self, app: Application, triggers: Triggers) -> None:
        self._app = app
        self._triggers = triggers
        every = app.settings.intervals
        self._check_orders = CheckOrders(
            app.database, app.committer, app.clock, app.randomness, app.aggregator
        )
        self._refresh = RefreshBanks(
            app.database,
            app.committer,
            app.clock,
            app.randomness,
            app.directory,
            app.verify_banks,
        )
        self.table: tuple[Chore, ...] = (
            Chore("balances", every.balance_sync, self._balances, looks=False),
            Chore("orders", every.order_poll, self._orders, looks=False),
            Chore("attempts", every.psp_status_check, self._sweep_attempts),
            Chore("payouts", every.expiry_check, self._sweep_payouts),
            Chore("banks", every.institution_sync, self._banks),
            Chore("heartbeat", _HEARTBEAT_S, self._heartbeat),
            Chore("seal", every.seal, self._seal),
            Chore("audit", every.audit, self._audit, 600.0),
            Chore("retention", app.settings.retention.every, self._retention, _RETENTION_S),
            *self._of_payments(every.processor_events),
        )
        self._critical: set[str] = set()

    def _of_payments(self, every_s: float) -> tuple[Chore, ...]:
        if self._app.money_in is None:
            return ()
        return (Chore("processor_events", every_s, self._processor_events, 600.0),)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all periodic rows, the pushes included."""
        currencies = sorted(self._app.rules.currencies)
        return (*(chore.id for chore in self.table), *(push_id(code) for code in currencies))

    def start(self) -> None:
        """Begin to trigger; everything is due once at the start."""
        for chore in self.table:
            self._every(chore.every_s, chore.id, chore.kind)
        for currency in self._app.rules.currencies:
            self._every(self._app.settings.intervals.balance_sync, push_id(currency), "push")
        self._triggers.start()

    def stop(self) -> None:
        self._triggers.stop()

    def _every(self, seconds: float, row_id: str, kind: str) -> None:
        self._triggers.every(seconds, partial(self.make_due, row_id, kind))

    async def make_due(self, row_id: str, kind: str) -> None:
        """What a trigger does: nothing but this."""
        try:
            await self._app.committer.commit(Unit([Change(periodic, row_id, next=Next(kind))]))
        except WriteRefused as refusal:
            log.warning("periodic.not_due", row=row_id, why=refusal.detail)

    def verb(self, chore: Chore) -> Callable[[Claimed], Awaitable[None]]:
        """The verb of a chore's row."""

        async def run(claimed: Claimed) -> None:
            result = await chore.do()
            done = Change(
                periodic,
                claimed.id,
                values={"last_done_at": self._app.clock.now_ms(), "result": result},
                held=claimed.held,
                next=DONE,
            )
            await self._app.committer.commit(Unit([done]))

        return run

    async def _heartbeat(self) -> dict[str, Any]:
        """A worker lives; what it knows of the PSPs, and how far the database's clock is away."""
        app = self._app
        await self._watch_threshold()
        before = app.clock.now_ms()
        theirs = await app.database.read(app.database.now_ms)
        return {
            "resting": sorted(app.circuits.resting()),
            "clock_ahead_ms": abs(theirs - before),
        }

    async def _watch_threshold(self) -> None:
        """Float below the critical threshold: a case when it falls, not at every look (A9)."""
        app = self._app
        float_ = await app.database.fetch(read_float)
        for (psp, currency), parts in float_.items():
            place = f"{psp}:{currency}"
            if parts["available"] >= app.rules.critical_balance.get(currency, 0):
                self._critical.discard(place)
            elif place not in self._critical:
                self._critical.add(place)
                case = OpenCase(
                    "float_critical",
                    place,
                    "The available float is below CRITICAL_BALANCE_THRESHOLD: no more orders are "
                    "taken through this PSP. Fund the account.",
                    "high",
                    {"available": parts["available"]},
                )
                await app.committer.commit(Unit([case]))

    async def _balances(self) -> dict[str, Any]:
        """Compare every PSP's balance with the books (A9)."""
        app, found = self._app, {}
        for name, bank in app.banks.items():
            for currency in sorted(app.rules.currencies & bank.capabilities().currencies):
                compared = await app.float_.compare(bank, currency)
                if compared is not None:
                    found[f"{name}:{currency}"] = {
                        "reading": compared.reading,
                        "off_by": compared.off_by,
                    }
                    if compared.opened or compared.off_by:
                        await self.make_due(push_id(currency), "push")
        return found

    async def _orders(self) -> dict[str, Any]:
        """Compare the aggregator's list with our rows (A8)."""
        return {
            currency: await self._check_orders(currency)
            for currency in sorted(self._app.rules.currencies)
        }

    async def _sweep_attempts(self) -> dict[str, Any]:
        return {"woken": await SweepAttempts(self._app.database, self._app.committer)()}

    async def _sweep_payouts(self) -> dict[str, Any]:
        return {"woken": await SweepPayouts(self._app.database, self._app.committer)()}

    async def _banks(self) -> dict[str, Any]:
        """Verify each PSP's bank list (A12)."""
        app, verified = self._app, {}
        for name, bank in app.banks.items():
            for currency in sorted(app.rules.currencies & bank.capabilities().currencies):
                verified[f"{name}:{currency}"] = await self._refresh(bank, currency)
        return verified

    async def _processor_events(self) -> dict[str, Any]:
        """Look for events that the card processor has and we were never told (B9)."""
        app = self._app
        assert app.money_in is not None  # the chore exists only then
        last = await app.database.read(
            lambda c: c.execute(
                select(periodic.c.result).where(periodic.c.id == "processor_events")
            ).scalar_one()
        )
        return await app.money_in.sweep(last)

    async def _retention(self) -> dict[str, Any]:
        """Remove what has aged out (D11)."""
        app = self._app
        rules = retention_rules_of(app.settings)
        removed = await Sweep(app.database, app.committer, app.clock, rules)()
        if any(removed.values()):
            log.info("retention.removed", **removed)
        return {**removed}

    async def _seal(self) -> dict[str, Any]:
        """Seal what is in no block; the head goes to the log, outside the database (C4)."""
        sealed = 0
        while True:
            (block,) = await self._app.committer.commit(Unit([Seal(_SEAL_MOST)]))
            if block is None:
                return {"entries": sealed}
            sealed += block.count
            log.info("ledger.sealed", block=block.id, hash=block.hash, entries=block.count)

    async def _audit(self) -> dict[str, Any]:
        """Prove the books; a finding is a case."""
        app = self._app
        now_ms = app.clock.now_ms()
        report = await app.database.read(
            lambda c: audit(c, expect=None, now_ms=now_ms, unsealed_after_ms=_UNSEALED_TOO_LONG_MS)
        )
        if report.findings:
            case = OpenCase(
                "ledger_audit_failed",
                "ledger",
                "The ledger audit found something. Stop taking orders and run `tidegate ledger "
                "audit`.",
                "high",
                {"findings": len(report.findings)},
            )
            await app.committer.commit(Unit([case]))
        # Every process shows these: the row has them, not the process that happened to look.
        return {"findings": len(report.findings), "drift": dict(report.drift)}
