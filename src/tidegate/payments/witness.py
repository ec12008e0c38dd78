"""What a commit means to those who watch payments: log events and metrics (B4)."""

from __future__ import annotations

import structlog

from tidegate.db.committer import Unit
from tidegate.db.rows import Insert
from tidegate.observability.metrics import Metrics
from tidegate.payments.announce import Announce
from tidegate.payments.stream import Hub
from tidegate.payments.tables import delivery_attempts

__all__ = ["PaymentWitness"]

log = structlog.get_logger()

_FINISHED = frozenset({"payment.succeeded", "payment.failed", "payment.canceled"})


class PaymentWitness:
    """Called by the committer with every unit that was written; wakes the streams as well."""

    def __init__(self, metrics: Metrics, hub: Hub) -> None:
        self._metrics = metrics
        self._hub = hub

    def __call__(self, unit: Unit) -> None:
        for operation in unit.operations:
            match operation:
                case Announce(event=event):
                    self._event(event["type"], event["payment_id"], event["data"])
                    self._hub.touch(event["payment_id"])
                case Insert(table=table, values=values) if table is delivery_attempts:
                    status = values["status"]
                    result = "not_reached" if status is None else f"{status // 100}xx"
                    self._metrics.deliveries.labels(result).inc()

    def _event(self, type_: str, payment_id: str, data: object) -> None:
        assert isinstance(data, dict)  # what Announce carries
        if type_.startswith("webhook_endpoint."):
            return  # told with its reason by who disabled it
        log.info(type_, payment=payment_id, subject=data.get("id"), status=data.get("status"))
        if type_ in _FINISHED:
            self._metrics.payments_finished.labels(data["status"], data["currency"]).inc()
