"""Disable an endpoint whose receiver is gone or has failed for days, and say so once.

``webhook_endpoint.disabled`` is an event of the payment that brought it out: it stands in that
payment's timeline and goes to the user's other endpoints. It is announced in the unit that
disables the endpoint, so it is raised exactly once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog

from tidegate.clock import Clock, Randomness, rfc3339
from tidegate.db.committer import Committer, Operation, Unit
from tidegate.db.engine import Database
from tidegate.db.rows import DONE, Change
from tidegate.errors import Stale
from tidegate.payments import deliver_store as store
from tidegate.payments.announce import Amend, Announce
from tidegate.payments.deliver_filters import DISABLED
from tidegate.payments.tables import deliveries, payments, webhook_endpoints
from tidegate.work.claim import Claimed

__all__ = ["Disable"]

log = structlog.get_logger()

_DECISIONS = 5


class Disable:
    """Ends the turn that holds the endpoint."""

    def __init__(
        self, database: Database, committer: Committer, clock: Clock, randomness: Randomness
    ) -> None:
        self._database = database
        self._committer = committer
        self._clock = clock
        self._randomness = randomness

    async def __call__(
        self, claimed: Claimed, payment_id: str, why: str, given_up: Sequence[store.Row]
    ) -> None:
        """``why`` is ``gone`` or ``failing``; ``given_up`` are deliveries that are tried no more.

        Raises ``Stale`` when the endpoint is not enabled any more: the runner then lets go of
        the row, and the next turn finds it as the user left it.
        """
        for left in reversed(range(_DECISIONS)):
            payment = await self._database.fetch(
                lambda connection: store.payment_counter(connection, payment_id)
            )
            unit = self._unit(claimed, payment_id, payment, why, given_up)
            try:
                await self._committer.commit(unit)
            except Stale:
                if not left:
                    raise  # most often only the payment moved on: decided again
            else:
                log.info("webhook_endpoint.disabled", endpoint_id=claimed.id, why=why)
                return

    def _unit(
        self,
        claimed: Claimed,
        payment_id: str,
        payment: store.Row,
        why: str,
        given_up: Sequence[store.Row],
    ) -> Unit:
        now_ms = self._clock.now_ms()
        number = payment["events"]
        counter = Change(
            payments, payment_id, values={"events": number + 1}, expect={"events": number}
        )
        ended: list[Operation] = [
            Change(
                deliveries,
                each["id"],
                values={"state": "given_up", "next_at": None},
                expect={"state": "waiting"},
            )
            for each in given_up
        ]
        endpoint = Change(
            webhook_endpoints,
            claimed.id,
            values={"state": "disabled", "disabled_why": why, "updated_at": now_ms},
            expect={"state": "enabled"},
            held=claimed.held,
            next=DONE,
        )
        data: dict[str, Any] = {
            "id": claimed.id,
            "object": "webhook_endpoint",
            "url": claimed.row["url"],
            "reason": why,
            "disabled_at": rfc3339(now_ms),
        }
        event = {
            "id": self._randomness.new_id("evt"),
            "payment_id": payment_id,
            "user_id": payment["user_id"],
            "seq": number + 1,
            "type": DISABLED,
            "at": now_ms,
            "data": data,
        }
        # The endpoint before the announcement: it is not told of its own end.
        return Unit([counter, *ended, Amend(endpoint), Announce(event)])
