"""``bench payments`` on one configuration: payments from the request to the last posted fee."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import Connection, func, select

from tidegate.cli.bench_stand import Cost, Stand
from tidegate.clock import SystemClock
from tidegate.db.engine import open_database
from tidegate.db.inbox import inbox
from tidegate.db.url import parse
from tidegate.ledger.audit import audit
from tidegate.ledger.statements import trial_balance
from tidegate.payments.states import State
from tidegate.payments.tables import payments

__all__ = ["MeasuredPayments", "PaymentsStand"]

_UNSEALED_AFTER_MS: Final = 3_600_000
_DONE_S: Final = 60.0
_ASK_AGAIN_S: Final = 0.1
_MORE_SETTINGS: Final = {
    # All clients come from one address.
    "AUTH_RATE_LIMIT": "10000",
    "ACCESS_TOKEN_TTL": "86400",
}


@dataclass(frozen=True, slots=True)
class MeasuredPayments:
    """One run. Times in the unit of the name; ``None`` where the system does not tell.

    ``seconds`` are from the first request to the last answer; what follows a payment (webhooks,
    the fee) is in the costs, not in the time. ``wrong`` says what spoils the run.
    """

    payments: int
    seconds: float
    latency_ms: Mapping[str, float]
    calls: Mapping[str, int]
    webhooks: Mapping[str, int]
    companies_cpu_s: float
    cost: Cost
    wrong: list[str]

    @property
    def payments_per_s(self) -> float:
        return self.payments / self.seconds if self.seconds > 0 else 0.0

    @property
    def sound(self) -> bool:
        """Whether every payment succeeded with one charge and the books agree."""
        return not self.wrong

    def figures(self) -> dict[str, float | None]:
        """The figures that are compared, by name; times in milliseconds."""
        count, cost = max(1, self.payments), self.cost

        def each(seconds: float | None) -> float | None:
            return None if seconds is None else seconds * 1000 / count

        return {
            "payments a second": self.payments_per_s,
            "node's CPU ms a payment": each(cost.node_cpu_s),
            "database's CPU ms a payment": each(cost.database_cpu_s),
            "processor's and clients' CPU ms a payment": each(self.companies_cpu_s),
            "commits a payment": cost.commits / count,
            "units of work a commit": cost.units / max(1.0, cost.commits),
            "ms a commit": cost.commit_s * 1000 / max(1.0, cost.commits),
            "calls to the processor a payment": sum(self.calls.values()) / count,
            "webhooks received a payment": self.webhooks.get("delivered", 0) / count,
            "RSS MiB before": _mib(cost.rss_before_kib),
            "RSS MiB after": _mib(cost.rss_kib),
            **{f"p{rank} ms": self.latency_ms[f"p{rank}"] for rank in (50, 99)},
            "pmax ms": self.latency_ms["max"],
        }

    def as_json(self) -> dict[str, Any]:
        """Everything measured, and what follows from it."""
        return asdict(self) | {"payments_per_s": self.payments_per_s, "sound": self.sound}


def _mib(kib: int | None) -> float | None:
    return None if kib is None else kib / 1024


class PaymentsStand(Stand[MeasuredPayments]):
    """Measures from the first request until nothing that follows a payment is left to do."""

    companies = "tidegate.cli.bench_payments_companies"
    _clock = SystemClock()

    def _more_start(self) -> Mapping[str, Any]:
        return {
            "stripe_key": f"sk_test_{secrets.token_hex(24)}",
            "stripe_webhook_secret": f"whsec_{secrets.token_hex(24)}",
        }

    def _more_settings(
        self, start: Mapping[str, Any], there: Mapping[str, str]
    ) -> Mapping[str, str]:
        return {
            **_MORE_SETTINGS,
            "STRIPE_API_KEY": start["stripe_key"],
            "STRIPE_API_BASE": there["cards"],
            "STRIPE_WEBHOOK_SECRET": start["stripe_webhook_secret"],
        }

    async def _ended(self) -> None:
        """Every webhook read, every fee posted; what is open after a minute is found out below."""
        try:
            async with asyncio.timeout(_DONE_S):
                while await self._ask(_waiting):
                    await self._clock.sleep(_ASK_AGAIN_S)
        except TimeoutError:
            return

    async def _measured(self, result: Mapping[str, Any], cost: Cost) -> MeasuredPayments:
        charged = result["charged"]
        known = {name: result[name] for name in result if name not in {"charged", "wrong"}}
        found = await self._ask(lambda connection: list(_against(connection, charged)))
        return MeasuredPayments(**known, cost=cost, wrong=[*result["wrong"], *found])

    async def _ask(self, question: Any) -> Any:
        database = open_database(parse(self.configuration.database_url), self._clock)
        try:
            return await database.read(question)
        finally:
            await database.close()


def _waiting(connection: Connection) -> int:
    """Rows of payments that something is still to be done about."""
    tables = (payments, inbox)
    counts = (
        select(func.count()).select_from(table).where(table.c.due_at.is_not(None))
        for table in tables
    )
    return sum(int(connection.execute(count).scalar_one()) for count in counts)


def _against(connection: Connection, charged: int) -> list[str]:
    """What the node's own database says against the run; ``charged`` by the processor's books."""
    now_ms = SystemClock().now_ms()
    report = audit(connection, expect=None, now_ms=now_ms, unsealed_after_ms=_UNSEALED_AFTER_MS)
    found = [f"audit: {one.code} {one.subject}: {one.detail}" for one in report.findings]
    states = connection.execute(
        select(payments.c.state, func.count()).group_by(payments.c.state)
    ).all()
    found += [f"{count} {state} here" for state, count in states if state != State.SUCCEEDED]
    if waiting := _waiting(connection):
        found.append(f"{waiting} rows are not done")
    balances = (
        line.balance
        for line in trial_balance(connection).lines
        if line.path.startswith("payments:user:")
    )
    if (booked := sum(balances)) != charged:
        found.append(f"{booked} booked for users, {charged} charged by the processor")
    return found
