"""A node that does one turn at a time, on a clock that stands: every race can be put in order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from sqlalchemy import Table

from tests.support.node import LocalNode
from tests.support.world import World
from tidegate.clock import SimulatedClock
from tidegate.db.committer import Unit
from tidegate.db.inbox import inbox
from tidegate.db.rows import Change, Next
from tidegate.payouts.states import AttemptState, State
from tidegate.payouts.tables import attempts, observations, payouts
from tidegate.ports.bank import Bank, Outcome
from tidegate.work.claim import Claim, Claimed
from tidegate.work.runner import Kind
from tidegate.workers.handlers import kinds_of

__all__ = ["Hands", "Held", "MakeHands"]

# What an answer of the bank is held back by, in real seconds, before the test gives up.
_PATIENCE_S = 60.0
# How often a row is looked for that another transaction may have locked, as the runner does.
_LOOKS = 50


class Held:
    """The bank's ``submit``, stopped between the bank's act and our hearing of it."""

    def __init__(self, bank: Bank) -> None:
        self.acted = asyncio.Event()
        self.heard = asyncio.Event()
        self._submit = bank.submit

    async def __call__(self, reference: str, body: bytes) -> Outcome:
        outcome = await self._submit(reference, body)
        self.acted.set()
        async with asyncio.timeout(_PATIENCE_S):
            await self.heard.wait()
        return outcome


class Hands:
    """The world, its node, and what the worker would do by itself."""

    def __init__(self, world: World, node: LocalNode, clock: SimulatedClock) -> None:
        self.world = world
        self.node = node
        self.clock = clock
        kinds = kinds_of(node.app, node.worker.periodic)
        self._kinds: dict[tuple[str, str], Kind] = {
            (kind.table.name, kind.name): kind for kind in kinds
        }

    @classmethod
    async def open(cls, world: World) -> Hands:
        """Start a node that knows float and banks, and does nothing else by itself."""
        assert world.simulated is not None
        hands = cls(world, await world.idle(), world.simulated)
        for chore in hands.node.worker.periodic.table:
            if chore.id in {"banks", "balances"}:
                await chore.do()
        return hands

    @property
    def bank(self) -> Bank:
        return self.node.app.banks["lenco"]

    @property
    def posts(self) -> int:
        """How many transfers the bank was asked for."""
        return self.world.bank.requests["POST /transfer"]

    # -- turns ------------------------------------------------------------------------------

    async def payout(self, order_id: str, expect: str | None = None) -> dict[str, Any]:
        """Do what the payout's row is due for (``expect``: and it must be that)."""
        row = await self.world.payout(order_id)
        await self._turn(payouts, row, expect)
        return await self.world.payout(order_id)

    async def attempt(self, order_id: str, expect: str | None = None) -> dict[str, Any]:
        """The same for the order's last attempt."""
        await self._turn(attempts, (await self.world.attempts(order_id))[-1], expect)
        return (await self.world.attempts(order_id))[-1]

    async def webhooks(self) -> None:
        """Read every webhook that was kept."""
        await self.delivered()
        for row in await self.world.rows(inbox, inbox.c.due_at.is_not(None)):
            await self._turn(inbox, row, None)

    async def delivered(self) -> None:
        """Wait until the bank has nothing on its way to us."""
        async with asyncio.timeout(_PATIENCE_S):
            while self.world.bank.courier.waiting:  # noqa: ASYNC110 -- the bank tells nobody
                await asyncio.sleep(0.005)

    async def look_up(self, order_id: str, number: int = -1) -> dict[str, Any]:
        """Ask the bank after an attempt now, as a webhook would have us do."""
        row = (await self.world.attempts(order_id))[number]
        change = Change(attempts, row["id"], next=Next("confirm:lenco"))
        await self.node.app.committer.commit(Unit([change]))
        row = (await self.world.attempts(order_id))[number]
        await self._turn(attempts, row, "confirm:lenco")
        return (await self.world.attempts(order_id))[number]

    async def claim(self, table: Table, row: dict[str, Any]) -> Claimed:
        """Claim a row for what it is due for, as the runner does."""
        kind = self._kinds[table.name, row["kind"]]
        operation = Claim(table, row["kind"], 1, round(kind.lease_s * 1000), (row["id"],))
        ends_at = self.clock.monotonic() + kind.lease_s
        for _ in range(_LOOKS):
            (rows,) = await self.node.app.committer.commit(Unit([operation]))
            if rows:
                break
            # A claim skips a row that a webhook prompts at this very moment.
            await asyncio.sleep(0.02)
        assert rows, f"{row['kind']} of {row['id']} is due at {row['due_at']}, not now"
        return Claimed(table, rows[0], ends_at, self.clock)

    async def run(self, claimed: Claimed) -> None:
        """Do a claimed row's turn."""
        await self._kinds[claimed.table.name, claimed.row["kind"]].verb(claimed)

    async def _turn(self, table: Table, row: dict[str, Any], expect: str | None) -> None:
        assert row["kind"] is not None, f"nothing is due of {row['id']} ({row.get('state')})"
        if expect is not None:
            assert row["kind"] == expect
        await self.run(await self.claim(table, row))

    # -- whole stretches --------------------------------------------------------------------

    async def accepted(self, order_id: str) -> dict[str, Any]:
        """Take the order up to where it is ours to pay."""
        row = await self.payout(order_id, "accept")
        assert row["state"] == State.ACCEPTED, row
        return row

    async def sent(self, order_id: str, state: AttemptState) -> dict[str, Any]:
        """Take the order up to where its transfer was asked for; the attempt."""
        await self.accepted(order_id)
        await self.payout(order_id, "disburse:lenco")
        one = (await self.world.attempts(order_id))[-1]
        assert one["state"] == state, one
        return one

    async def to_its_end(self, order_id: str, real_turns: int = 12) -> dict[str, Any]:
        """Do what is due until nothing is; the payout."""
        for _ in range(real_turns):
            row = await self.world.payout(order_id)
            if row["kind"] is not None and row["due_at"] <= self.clock.now_ms():
                await self.payout(order_id)
            await self.webhooks()
            for one in await self.world.attempts(order_id):
                if one["kind"] is not None and one["due_at"] <= self.clock.now_ms():
                    await self._turn(attempts, one, None)
        return await self.world.payout(order_id)

    # -- looking ----------------------------------------------------------------------------

    async def observed(self, attempt_id: str) -> Sequence[tuple[str, str]]:
        """(source, kind) of the evidence kept of an attempt."""
        rows = await self.world.rows(observations, observations.c.attempt_id == attempt_id)
        return [(row["source"], row["kind"]) for row in rows]

    def heard(self, order_id: str) -> list[str]:
        """What the aggregator noted of an order, in its order."""
        return [moment.event for moment in self.world.aggregator.order(order_id).history]


MakeHands = Callable[..., Awaitable[Hands]]
