"""Notify: deliver what waits at an endpoint (payments.md, "Telling the client").

The row that waits is the committed intention, and the event's id is the ``webhook-id`` of every
try. So a process that dies between the receiver's answer and our commit sends the same message
once more; nothing is ever left out.

A turn sends heads only: the next event of a payment goes after the one before was delivered or
given up, while different payments go side by side. How a failure is read:

- The endpoint fails (``failures`` counts its turns in a row): nothing that was tried in the turn
  was delivered, or the receiver asked to be left alone. Then one head is tried on the contract's
  schedule, and once it is delivered everything goes at once.
- An event fails by itself: others were delivered in the same turn, or it has failed by itself
  before. Then it waits by its own tries (``next_at``), and only its payment waits with it.

An event that failed for five days is given up, and the endpoint is disabled, as after a 410.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from tidegate.clock import Clock, Randomness
from tidegate.db.committer import Committer, Operation, Unit
from tidegate.db.engine import Database
from tidegate.db.rows import DONE, Change, Done, Insert, Next
from tidegate.db.vault import Vault
from tidegate.payments import deliver_store as store
from tidegate.payments.announce import DELIVER, Amend
from tidegate.payments.deliver_disable import Disable
from tidegate.payments.deliver_message import body_of, headers_of
from tidegate.payments.deliver_schedule import GIVE_UP_MS, wait_ms
from tidegate.payments.tables import deliveries, delivery_attempts, webhook_endpoints
from tidegate.ports.notifier import Notifier, Told
from tidegate.work.claim import Claimed

__all__ = ["LONGEST_TURN_S", "Notify"]

_CALL_S = 15.0
_TURN_S = 60.0
_SENDS_MAX = 200
_IN_FLIGHT = 8
# So many failures in a row, and the turn asks no more.
_FAILURES_MAX = 5
_GONE = 410

LONGEST_TURN_S: Final = _TURN_S + _CALL_S
"""What a turn may take; its lease is longer."""


@dataclass(slots=True)
class _Turn:
    claimed: Claimed
    secrets: tuple[str, ...]
    ends_at: float
    probing: bool
    sent: int = 0
    delivered: int = 0
    failed: dict[str, store.Row] = field(default_factory=dict)  # by payment: none of it goes on
    failed_in_row: int = 0
    # Failed for the first time, before anything was delivered: by themselves, or the receiver?
    undecided: list[store.Row] = field(default_factory=list)
    asked_s: float | None = None
    gone: store.Row | None = None
    empty: bool = False  # nothing more can be sent now

    @property
    def receiver_fails(self) -> bool:
        if self.asked_s is not None:
            return True
        return not self.delivered and bool(self.undecided or (self.probing and self.failed))


class Notify:
    """The verb of endpoints for which something waits."""

    def __init__(
        self,
        database: Database,
        committer: Committer,
        clock: Clock,
        randomness: Randomness,
        vault: Vault,
        notifier: Notifier,
    ) -> None:
        self._database = database
        self._committer = committer
        self._clock = clock
        self._randomness = randomness
        self._vault = vault
        self._notifier = notifier
        self._disable = Disable(database, committer, clock, randomness)

    async def __call__(self, claimed: Claimed) -> None:
        row = claimed.row
        if row["state"] != "enabled":
            await self._release(claimed, DONE)
            return
        turn = _Turn(
            claimed,
            self._secrets(row),
            ends_at=self._clock.monotonic() + _TURN_S,
            probing=row["failures"] > 0,
        )
        if not turn.probing or await self._probe(turn):
            await self._drain(turn)
        if turn.gone is not None:
            await self._disable(claimed, turn.gone["payment_id"], "gone", [])
        elif overdue := await self._overdue(turn):
            await self._disable(claimed, overdue[0]["payment_id"], "failing", overdue)
        elif turn.receiver_fails:
            await self._back_off(turn)
        else:
            await self._go_on(turn)

    def _secrets(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        found = [row["secret"]]
        if row["secret_previous"] and (row["previous_until"] or 0) > self._clock.now_ms():
            found.append(row["secret_previous"])
        return tuple(self._vault.decrypt(each) for each in found)

    async def _probe(self, turn: _Turn) -> bool:
        """Try one head; was it delivered?"""
        now_ms = self._clock.now_ms()
        # The backlog may be long by now, so not in the event loop.
        head = await self._database.read(
            lambda connection: store.probe(connection, turn.claimed.id, now_ms)
        )
        if head is None:
            turn.empty = True
        elif self._goes_on(turn):
            await self._send(turn, head)
        return turn.delivered > 0

    async def _drain(self, turn: _Turn) -> None:
        """Send heads until none is left that may go, or the turn is over."""
        slots = asyncio.Semaphore(_IN_FLIGHT)

        async def send(head: store.Row) -> None:
            async with slots:
                if self._goes_on(turn):
                    await self._send(turn, head)

        while self._goes_on(turn):
            limit = _SENDS_MAX - turn.sent + len(turn.failed)
            read = partial(
                store.heads,
                endpoint_id=turn.claimed.id,
                now_ms=self._clock.now_ms(),
                limit=limit,
            )
            heads = await self._database.read(read)
            heads = [head for head in heads if head["payment_id"] not in turn.failed]
            if not heads:
                turn.empty = True
                return
            async with asyncio.TaskGroup() as tasks:
                for head in heads:
                    tasks.create_task(send(head))

    def _goes_on(self, turn: _Turn) -> bool:
        """May another message be sent in this turn?"""
        return (
            turn.sent < _SENDS_MAX
            and turn.failed_in_row < _FAILURES_MAX
            and turn.asked_s is None
            and turn.gone is None
            and self._clock.monotonic() < turn.ends_at
            and turn.claimed.covers(_CALL_S)
        )

    async def _send(self, turn: _Turn, head: store.Row) -> None:
        turn.sent += 1
        body = body_of(head)
        began_ms = self._clock.now_ms()
        headers = headers_of(head["event_id"], body, turn.secrets, began_ms)
        told = await self._notifier.tell(turn.claimed.row["url"], headers, body.encode())
        ended: Mapping[str, Any]
        if told.delivered:
            turn.delivered += 1
            turn.failed_in_row = 0
            ended = self._delivered(head)
        else:
            ended = self._failed(turn, head, told)
        common = {"tries": head["tries"] + 1, "last_status": told.status, "last_error": told.error}
        await self._committer.commit(
            Unit(
                [
                    Change(
                        deliveries,
                        head["id"],
                        values={**common, **ended},
                        expect={"state": "waiting"},
                    ),
                    self._attempt(head, told, began_ms),
                ]
            )
        )

    def _attempt(self, head: store.Row, told: Told, began_ms: int) -> Insert:
        return Insert(
            delivery_attempts,
            {
                "id": self._randomness.new_id("dat"),
                "delivery_id": head["id"],
                "at": began_ms,
                "status": told.status,
                "error": told.error,
                "answer": told.answer,
                "took_ms": told.took_ms,
            },
        )

    def _delivered(self, head: store.Row) -> dict[str, Any]:
        return {
            "state": "delivered",
            "delivered_at": self._clock.now_ms(),
            "next_at": None,
            "first_failed_at": None,
        }

    def _failed(self, turn: _Turn, head: store.Row, told: Told) -> dict[str, Any]:
        turn.failed[head["payment_id"]] = head
        turn.failed_in_row += 1
        if told.status == _GONE:
            turn.gone = head
        elif told.retry_after_s is not None:
            turn.asked_s = max(told.retry_after_s, turn.asked_s or 0.0)
        now_ms = self._clock.now_ms()
        next_at = None
        if not turn.probing or turn.delivered:
            if turn.delivered or head["next_at"] is not None:
                next_at = now_ms + self._own_wait(head)
            else:
                turn.undecided.append(head)
        return {"first_failed_at": head["first_failed_at"] or now_ms, "next_at": next_at}

    def _own_wait(self, head: store.Row) -> int:
        """The wait of an event that fails by itself; its last try ends the five days."""
        now_ms = self._clock.now_ms()
        ends_ms = (head["first_failed_at"] or now_ms) + GIVE_UP_MS
        return max(1, min(wait_ms(head["tries"] + 1, self._randomness), ends_ms - now_ms))

    async def _overdue(self, turn: _Turn) -> list[store.Row]:
        if not turn.failed:
            return []
        until_ms = self._clock.now_ms() - GIVE_UP_MS
        return await self._database.read(
            lambda connection: store.overdue(connection, turn.claimed.id, until_ms)
        )

    async def _go_on(self, turn: _Turn) -> None:
        """End the turn of a receiver that works."""
        now_ms = self._clock.now_ms()
        operations: list[Operation] = []
        nexts = [
            await self._database.read(
                lambda connection: store.next_head_at(connection, turn.claimed.id, now_ms)
            )
        ]
        for head in turn.undecided:  # others were delivered meanwhile: by themselves
            nexts.append(now_ms + self._own_wait(head))
            operations.append(
                Change(
                    deliveries,
                    head["id"],
                    values={"next_at": nexts[-1]},
                    expect={"state": "waiting"},
                )
            )
        known = [each for each in nexts if each is not None]
        next_: Next | Done = DONE
        if not turn.empty:
            next_ = Next(DELIVER)
        elif known:
            next_ = Next(DELIVER, max(0, min(known) - now_ms))
        values = {"failures": 0} if turn.delivered else {}
        await self._release(turn.claimed, next_, values, *operations)

    async def _release(
        self,
        claimed: Claimed,
        next_: Next | Done,
        values: Mapping[str, Any] | None = None,
        *operations: Operation,
    ) -> None:
        change = Change(
            webhook_endpoints, claimed.id, values=values or {}, held=claimed.held, next=next_
        )
        await self._committer.commit(Unit([*operations, Amend(change)]))

    async def _back_off(self, turn: _Turn) -> None:
        """End the turn of a receiver that fails: due by the schedule, whatever came meanwhile.

        An event that was announced under the lease left a wish to be due now; it has to wait with
        the others. The user's own wish (another URL, enabled again, a replay) set ``failures`` to
        0, and stands.
        """
        claimed, was = turn.claimed, turn.claimed.row["failures"]
        wait = wait_ms(was + 1, self._randomness, turn.asked_s)
        oldest = await self._database.read(
            lambda connection: store.oldest_failure(connection, claimed.id)
        )
        if oldest is not None and turn.asked_s is None:
            # The last try is made when the time is over, not up to a day later.
            wait = max(1, min(wait, oldest + GIVE_UP_MS - self._clock.now_ms()))
        # The lease was given by the clock that rules due rows; so much of it is left.
        left_ms = round((claimed.ends_at - self._clock.monotonic()) * 1000)
        due_at = claimed.row["leased_until"] - left_ms + wait

        def unless_changed(column: str, value: Any) -> Callable[[Mapping[str, Any]], Any]:
            def choose(row: Mapping[str, Any]) -> Any:
                same = row["state"] == "enabled" and row["failures"] == was
                return value if same else row[column]

            return choose

        columns = {"failures": was + 1, "kind": DELIVER, "due_at": due_at}
        change = Change(
            webhook_endpoints,
            claimed.id,
            values={name: unless_changed(name, value) for name, value in columns.items()},
            held=claimed.held,
            again=True,
        )
        await self._committer.commit(Unit([Amend(change)]))
