"""One order that everybody works on: offered, accepted, paid, confirmed and reported at once.

Every actor is a worker that claims whatever is due. Leases can be made to run out under the turns
they were taken for: then the turn goes on, as one does whose process stood still for too long.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update

from tests.concurrency.node import Node
from tests.concurrency.scene import Actor, Scene
from tidegate.db.committer import Unit
from tidegate.errors import Stale
from tidegate.payouts.states import AttemptState, State
from tidegate.payouts.tables import attempts, offers, payouts
from tidegate.ports.bank import WebhookEvent
from tidegate.wire.canonical import parse_object
from tidegate.wire.inbound import parse_live_offer
from tidegate.work.claim import Claim, Claimed
from tidegate.work.runner import Kind

__all__ = ["open_scene"]

_BETWEEN_S = 0.15
# What the tasks of the crowd deliver of the same few events, again and again.
_EVENTS = 6


async def open_scene(url: str, given: Mapping[str, Any]) -> Scene:
    return _OneOrder(await Node.open(given["env"]), given)


class _OneOrder:
    def __init__(self, node: Node, given: Mapping[str, Any]) -> None:
        self._node = node
        self._offer: str = given["offer"]
        self._everybody: int = given["everybody"]
        self._leases_run_out: bool = given["leases_run_out"]
        work = {payouts.name, attempts.name}
        self._kinds = [kind for kind in node.kinds() if kind.table.name in work]

    async def act(self, actor: Actor) -> Any:
        """What the offer meant, and how the turns of this task ended."""
        clock = self._node.app.clock
        offer = parse_live_offer(parse_object(self._offer.encode()))
        received = await self._node.deps.receive(offer, self._offer, clock.now_ms())
        # An offer that is still being read when the order is paid would have it reported again.
        while await self._heard() < self._everybody:  # noqa: ASYNC110 -- a row wakes nobody
            await asyncio.sleep(_BETWEEN_S)
        counts: Counter[str] = Counter()
        # Each lets it happen once: were it to go on, no turn might ever be quick enough.
        runs_out = self._leases_run_out
        while (due := await self._due()) is not None:
            if actor.random.random() < 0.05:
                await self._hear(actor, offer.order_id)
            if runs_out and actor.random.random() < 0.05:
                runs_out = False
                await self._node.app.database.write(_run_out)
            for kind in due:
                await actor.pause()
                await self._turn(kind, counts)
            if not due:
                await asyncio.sleep(_BETWEEN_S)
        return {"meaning": received.meaning, "counts": counts}

    async def _turn(self, kind: Kind, counts: Counter[str]) -> None:
        """Claim the row, if nobody was quicker, and do what it is due for."""
        app = self._node.app
        ends_at = app.clock.monotonic() + kind.lease_s
        claim = Claim(kind.table, kind.name, 1, round(kind.lease_s * 1000))
        (rows,) = await app.committer.commit(Unit([claim]))
        for row in rows:
            counts[kind.name] += 1
            try:
                await kind.verb(Claimed(kind.table, row, ends_at, app.clock))
            except Stale:
                counts["stale"] += 1

    async def _heard(self) -> int:
        return await self._node.app.database.fetch(lambda c: c.execute(_offers).scalar_one())

    async def _hear(self, actor: Actor, order_id: str) -> None:
        """The bank tells of the transfer; it may tell the same thing many times at once."""
        app = self._node.app
        asked = {"order_id": order_id}
        found = await app.database.fetch(lambda c: c.execute(_references, asked).first())
        if found is not None:
            key = f"told:{actor.random.randrange(_EVENTS)}"
            event = WebhookEvent("transfer.successful", key, reference=found.reference)
            await self._node.deps.keep("lenco", event, b"{}", app.clock.now_ms())

    async def _due(self) -> list[Kind] | None:
        """What there is to do now; ``None`` when the aggregator was told and nobody is at it."""
        now_ms = self._node.app.clock.now_ms()

        def read(connection: Connection) -> list[Kind] | None:
            found = [(row, over) for work, over in _work for row in connection.execute(work)]
            if all(row.state == over and row.leased_until is None for row, over in found):
                return None
            due = {row.kind for row, _ in found if row.kind is not None and row.due_at <= now_ms}
            return [kind for kind in self._kinds if kind.name in due]

        return await self._node.app.database.fetch(read)

    async def close(self) -> None:
        await self._node.close()


_offers = select(func.count()).select_from(offers)
_references = (
    select(attempts.c.reference)
    .join(payouts, payouts.c.id == attempts.c.payout_id)
    .where(payouts.c.order_id == bindparam("order_id"))
)
_work = [
    (select(table.c.state, table.c.kind, table.c.due_at, table.c.leased_until), over)
    for table, over in ((payouts, State.FULFILLED), (attempts, AttemptState.PAID))
]


def _run_out(connection: Connection) -> None:
    """As if every lease had ended, those of reports excepted: what a turn tells the aggregator
    after its lease no fence of ours can take back, so a turn that may not tell it in time does
    not begin to (``Claimed.covers``)."""
    for table in (attempts, payouts):  # in the committer's order of locks
        leased = update(table).where(table.c.leased_until > 0, table.c.kind != "report")
        connection.execute(leased.values(leased_until=0, due_at=0))
