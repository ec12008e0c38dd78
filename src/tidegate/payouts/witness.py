"""What a commit means to those who watch: metrics and log events, from the written units.

One place instead of a line in every verb; it sees only what was really committed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import structlog

from tidegate.cases.store import OpenCase
from tidegate.db.committer import Unit
from tidegate.db.exchanges import exchanges
from tidegate.db.rows import Insert
from tidegate.ledger.book import Record
from tidegate.ledger.chart import currency_of
from tidegate.observability.metrics import Metrics
from tidegate.payouts.states import ENDED, State
from tidegate.payouts.tables import payout_events

__all__ = ["Witness"]

log = structlog.get_logger()

_AGGREGATOR = "aggregator"
_LOOK_UP = "lookup"


class Witness:
    """Called by the committer with every unit that was written.

    ``psps`` names those that pay out; whoever else is called is a card processor. ``on_float`` is
    told the currency of every entry that moves available float.
    """

    def __init__(self, metrics: Metrics, psps: Collection[str]) -> None:
        self._metrics = metrics
        self._psps = frozenset(psps)
        self.on_float: Callable[[str], None] = lambda currency: None

    def __call__(self, unit: Unit) -> None:
        for operation in unit.operations:
            match operation:
                case Insert(table=table) if table is payout_events:
                    self._event(operation)
                case Insert(table=table) if table is exchanges:
                    self._exchange(operation)
                case Record(entry=entry):
                    for leg in entry.legs:
                        if ":available:" in leg.account:
                            self.on_float(currency_of(leg.account))
                case OpenCase():
                    # Every alert is a case, a metric (read from the database) and this line.
                    log.warning(
                        "case.opened",
                        kind=operation.kind,
                        subject=operation.subject,
                        severity=operation.severity,
                    )

    def _event(self, operation: Insert) -> None:
        values = operation.values
        log.info(
            f"payout.{values['event']}",
            payout=values["payout_id"],
            state=values["state"],
            round=values["round"],
        )
        state, detail = State(values["state"]), values["detail"]
        if state in ENDED and "currency" in detail:
            self._metrics.orders_finished.labels(state.value, detail["currency"]).inc()
            if state is State.FULFILLED and "took_ms" in detail:
                self._metrics.fulfilment.labels(detail["currency"]).observe(
                    detail["took_ms"] / 1000
                )

    def _exchange(self, operation: Insert) -> None:
        values = operation.values
        outcome = values["error"] or f"{values['status'] // 100}xx"
        took_s = values["took_ms"] / 1000
        if values["counterparty"] == _AGGREGATOR:
            self._metrics.aggregator_call.labels(values["verb"], outcome).observe(took_s)
            return
        psp, verb = values["counterparty"], values["verb"]
        if psp not in self._psps:
            self._metrics.processor_call.labels(psp, verb, outcome).observe(took_s)
            return
        self._metrics.psp_call.labels(psp, verb, outcome).observe(took_s)
        if verb == _LOOK_UP:
            self._metrics.lookups.labels(psp, outcome).inc()
