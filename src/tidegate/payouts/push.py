"""Push: tell the aggregator the float, always the current figure (A9, aggregator.md 4.5).

One pusher per currency (the row's lease), at most one push a second. Pushes are never repeated:
after a failure the figure is read again and sent.
"""

from __future__ import annotations

from sqlalchemy import Table

from tidegate.cases.store import OpenCase
from tidegate.clock import Clock, Randomness
from tidegate.db.committer import Committer, Unit
from tidegate.db.engine import Database
from tidegate.db.exchanges import exchange_row
from tidegate.db.quarantine import is_quarantined
from tidegate.db.rows import DONE, Change, Next
from tidegate.money.amount import Money, major
from tidegate.money.currency import parse_currency
from tidegate.payouts.facts import read_float
from tidegate.ports.aggregator import Aggregator, Said, SayAnswer
from tidegate.work.backoff import exponential_ms
from tidegate.work.claim import Claimed

__all__ = ["PushBalance", "Totals", "push_id", "totals"]


class Totals:
    """``available``, ``reserved`` and ``total`` of one currency over all PSPs, minor units."""

    __slots__ = ("available", "reserved")

    def __init__(self, available: int, reserved: int) -> None:
        self.available = available
        self.reserved = reserved

    @property
    def total(self) -> int:
        return self.available + self.reserved


def totals(float_: dict[tuple[str, str], dict[str, int]], currency: str) -> Totals:
    """Add up the float accounts of ``currency``. Unexplained money is not ours to promise."""
    of = [parts for (_, code), parts in float_.items() if code == currency]
    return Totals(sum(one["available"] for one in of), sum(one["reserved"] for one in of))


def push_id(currency: str) -> str:
    """The id of the periodic row that pushes ``currency``."""
    return f"push:{currency}"


class PushBalance:
    """The verb of the push rows."""

    def __init__(
        self,
        database: Database,
        committer: Committer,
        clock: Clock,
        randomness: Randomness,
        aggregator: Aggregator,
        table: Table,
        gap_ms: int,
    ) -> None:
        self._database = database
        self._committer = committer
        self._clock = clock
        self._randomness = randomness
        self._aggregator = aggregator
        self._table = table
        self._gap_ms = gap_ms

    async def __call__(self, claimed: Claimed) -> None:
        currency = claimed.id.removeprefix("push:")
        since_ms = self._clock.now_ms() - (claimed.row["last_done_at"] or 0)
        if since_ms < self._gap_ms:
            # Whoever made it due, pushes keep their distance.
            rest = Next("push", self._gap_ms - since_ms)
            wait = Change(self._table, claimed.id, held=claimed.held, next=rest, again=True)
            await self._committer.commit(Unit([wait]))
            return
        sum_ = await self.current(currency)
        # In quarantine nothing is taken, and the copy's figure is an old one.
        resting = await self._database.read(is_quarantined)
        available = 0 if resting else sum_.available
        answer = await self.tell(currency, available, sum_)
        done = Change(
            self._table,
            claimed.id,
            values={
                "last_done_at": self._clock.now_ms(),
                "result": {
                    "said": answer.said.value,
                    "available": available,
                    "reserved": sum_.reserved,
                },
            },
            held=claimed.held,
            next=DONE
            if answer.said is Said.DONE
            else Next("push", max(1_000, exponential_ms(claimed.tries, self._randomness))),
            again=answer.said is not Said.DONE,
        )
        unit = Unit([done])
        if answer.said is not Said.DONE:
            for exchange in answer.exchanges:
                unit.add(exchange_row(claimed.id, exchange, self._randomness))
        if answer.said in {Said.MISCONFIGURED, Said.CONFLICT, Said.GONE}:
            unit.add(
                OpenCase(
                    "balance_refused",
                    claimed.id,
                    f"The aggregator refuses the balance ({answer.message}). If it speaks the "
                    "other dialect, set AGGREGATOR_DIALECT.",
                    "medium",
                    {},
                )
            )
        await self._committer.commit(unit)

    async def current(self, currency: str) -> Totals:
        """The float as it stands now."""
        return totals(await self._database.read(read_float), currency)

    async def tell(self, currency: str, available: int, sum_: Totals) -> SayAnswer:
        """Tell ``available`` (zero when this node takes no orders) beside the true totals."""
        unit = parse_currency(currency)
        return await self._aggregator.push_balance(
            currency,
            available=major(Money(available, unit)),
            total=major(Money(sum_.total, unit)),
            reserved=major(Money(sum_.reserved, unit)),
        )
