"""The wire between node and processor, which loses answers on demand."""

from __future__ import annotations

import re
import threading
from typing import Final
from urllib.parse import urlencode

from tests.acceptance.counterparty.server import Call, Double, Reply, send

__all__ = ["Line"]

_STEPS: Final = {
    "create": r"/v1/payment_intents",
    "confirm": r"/v1/payment_intents/\w+/confirm",
    "capture": r"/v1/payment_intents/\w+/capture",
    "cancel": r"/v1/payment_intents/\w+/cancel",
    "refund": r"/v1/refunds",
}
_PASSED_ON: Final = ("authorization", "content-type", "idempotency-key", "stripe-version")


class Line(Double):
    """Passes every call on to ``base``, but hangs up on those that are to be lost."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._lost: dict[str, bool] = {}
        self._changing = threading.Lock()
        super().__init__()

    def lose(self, step: str, *, arrives: bool) -> None:
        """Lose the next call of ``step``: its answer, or the call as well."""
        assert step in _STEPS
        with self._changing:
            self._lost[step] = arrives

    @property
    def lost_all(self) -> bool:
        """Whether everything that was to be lost has been."""
        return not self._lost

    def handle(self, call: Call) -> Reply | None:
        arrives = self._struck(call)
        if arrives is False:
            return None
        query = f"?{urlencode(call.query)}" if call.query else ""
        headers = {name: call.headers[name] for name in _PASSED_ON if name in call.headers}
        answer = send(call.method, f"{self._base}{call.path}{query}", call.body, headers)
        return Reply(answer.status, answer.json) if arrives is None else None

    def _struck(self, call: Call) -> bool | None:
        """``None``: not to be lost; else whether the call arrives before its answer is lost."""
        if call.method != "POST":
            return None
        with self._changing:
            for step in self._lost:
                if re.fullmatch(_STEPS[step], call.path):
                    return self._lost.pop(step)
        return None
