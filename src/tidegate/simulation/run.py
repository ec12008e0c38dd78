"""One seed, played from the first order to the last judgement."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import random
import re
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from aiohttp import connector

from tidegate.db.cipher import Cipher
from tidegate.db.engine import InlineExecutor, open_database
from tidegate.db.url import parse
from tidegate.observability.logging import configure
from tidegate.sandbox.faults import AggregatorFault
from tidegate.simulation.evidence import Evidence, read_evidence
from tidegate.simulation.invariants import Companies, judge
from tidegate.simulation.loop import SimulatedLoop, Stuck
from tidegate.simulation.party import Party
from tidegate.simulation.plan import Plan
from tidegate.simulation.service import SimulatedTime, forget
from tidegate.simulation.template import make_template
from tidegate.simulation.unfinished import unfinished
from tidegate.simulation.watch import Watch
from tidegate.simulation.world import DATA_KEY, SECRET_KEY, SECRETS, World
from tidegate.users.rules import UserRules

__all__ = ["Outcome", "Stage"]

# The longest that the node may need to come to rest once nothing goes wrong any more.
_REST_S = 3_600.0
_LOOK_S = (2.0, 30.0)
# The aggregator has asked about everything by then, and late failures have turned.
_QUIET_S = 15.0
_OFFERS = (b"POST /new_order ", b"POST /orders ")
_TRANSFERS = b"POST /access/v1/transfer "
_REFERENCE = re.compile(rb'"reference": ?"([^"]+)"')
_TWICE = {
    AggregatorFault.OFFER_TWICE,
    AggregatorFault.OFFER_TWICE_CONCURRENTLY,
    AggregatorFault.OFFER_OTHER_AMOUNT,  # a second time, with another amount
}
_ROUNDS_MAX = 10
_ENCRYPTED_EVERY = 3
# A logger keeps the stream that it first wrote to, so all runs of a process share one.
_log = io.StringIO()
_MEMORY = Path("/dev/shm")  # noqa: S108 -- where there is one, no disk is waited for


@dataclass(slots=True)
class Outcome:
    """What came of a plan. ``broken`` are the promises that were not kept; none is good."""

    plan: Plan
    digest: str = ""
    broken: list[str] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)
    log: str = ""
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def held(self) -> bool:
        return not self.broken


class Stage:
    """A place for runs, one after the other: a directory, and a database to begin with."""

    def __init__(self) -> None:
        place = str(_MEMORY) if _MEMORY.is_dir() else None
        self._directory = Path(tempfile.mkdtemp(prefix="tidegate-simulate-", dir=place))
        self._template = self._directory / "template.sqlite3"
        # Torn-off coroutines say so when they are thrown away; nobody needs to hear it.
        self._hook, sys.unraisablehook = sys.unraisablehook, lambda unraisable: None
        configure("INFO", json=True, stream=_log)
        loop = SimulatedLoop()
        rules = UserRules((SECRET_KEY,))
        party = Party("setup")
        try:
            self._token: str = loop.run_until_complete(
                loop.create_task(
                    make_template(self._template, SimulatedTime(loop), rules),
                    context=party.context,
                )
            )
        finally:
            loop.close()
        self.run(Plan(0, Decimal(1), (), (), ()))
        gc.collect()
        gc.freeze()  # what every run needs is not looked at again each time

    def close(self) -> None:
        forget()
        gc.unfreeze()
        # What the runs left says its last words here, not in whatever the process does next. What
        # a coroutine's end lets go of is garbage of the next round.
        for _ in range(_ROUNDS_MAX):
            if not gc.collect():
                break
        sys.unraisablehook = self._hook
        shutil.rmtree(self._directory, ignore_errors=True)

    def run(self, plan: Plan, *, encrypted: bool | None = None) -> Outcome:
        """Play ``plan``; never raises for what the node does.

        ``encrypted``: the node keeps recipients' data under a key. Left out, in the run of every
        third seed; nothing that happens depends on it.
        """
        # What earlier runs left is thrown away now, not in the middle of this one.
        gc.collect()
        gc.disable()
        outcome = Outcome(plan)
        random.seed(plan.seed)  # libraries ask it
        _log.seek(0)
        _log.truncate()
        directory = Path(tempfile.mkdtemp(dir=self._directory))
        loop = SimulatedLoop()
        asyncio.set_event_loop(loop)
        # It looks at the machine's clock to see how long a connection was idle.
        connector.monotonic = loop.time  # type: ignore[attr-defined]  # a name that it imports
        keeper = Party("keeper")
        world = World(plan, loop, keeper, self._template, directory, self._token)
        if plan.seed % _ENCRYPTED_EVERY == 0 if encrypted is None else encrypted:
            world.data_key = DATA_KEY
        watch = Watch(world.database)
        try:
            main = loop.create_task(_play(world, watch, outcome), context=keeper.context.copy())
            loop.run_until_complete(main)
        except (Stuck, TimeoutError) as error:
            outcome.broken.append(f"{type(error).__name__}: {error}")
        finally:
            loop.run_until_complete(world.close())
            asyncio.set_event_loop(None)
            watch.close()
            loop.close()
            gc.enable()
            connector.monotonic = time.monotonic  # type: ignore[attr-defined]  # as above
            shutil.rmtree(directory, ignore_errors=True)
        outcome.log = _log.getvalue()
        outcome.broken += watch.seen
        outcome.broken += [f"in a callback: {fault}" for fault in loop.faults]
        outcome.broken += _told_secrets(outcome.log, plan)
        outcome.broken += _unforeseen(outcome.log)
        outcome.digest = world.trace.digest
        outcome.trace = world.trace.lines()
        outcome.figures |= {
            "orders": len(plan.orders),
            "sales": len(plan.sales),
            "simulated_s": loop.time(),
            "turns": loop.turns,
            "commits": watch.commits,
            "lives": world.service.lives if hasattr(world, "service") else 0,
            "struck": sum(world.network.struck.values()),
        }
        return outcome


async def _play(world: World, watch: Watch, outcome: Outcome) -> None:
    await world.open()
    world.service.on_commit = watch.look
    await world.play()
    world.heal()
    evidence = await _rest(world, outcome)
    outcome.broken += judge(evidence, _companies(world))
    world.service.on_commit = lambda: None


async def _rest(world: World, outcome: Outcome) -> Evidence:
    """Wait until nothing is to be done any more, and say what is left after too long.

    What nobody told is found by a sweep of the processor's list of events that began afterwards.
    """
    reader = open_database(
        parse(f"sqlite:///{world.database}"),
        world.time,
        executor=lambda name: InlineExecutor(),
        cipher=Cipher(world.data_key),
    )
    healed_ms, wait_s = world.time.now_ms(), _LOOK_S[0]
    ends = world.loop.time() + _REST_S
    await asyncio.sleep(_QUIET_S)
    try:
        while True:
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 1.5, _LOOK_S[1])
            evidence = await reader.read(lambda c: read_evidence(c, world.time.now_ms()))
            left = list(unfinished(evidence))
            quiet = not world.aggregator.busy and not world.bank.courier.waiting
            swept = evidence.swept_ms >= healed_ms
            if quiet and swept and not left and not world.cards.courier.waiting:
                return evidence
            if world.loop.time() > ends:
                outcome.broken += [f"unfinished: {one}" for one in left] or ["no rest"]
                return evidence
    finally:
        await reader.close()


def _companies(world: World) -> Companies:
    repeated = [*world.network.copies, *world.network.unheard]
    offers = [request for request in repeated if request.startswith(_OFFERS)]
    return Companies(
        orders=list(world.aggregator.orders.values()),
        violations=world.aggregator.judge(),
        bank=world.bank.books,
        transfers=list(world.bank.transfers),
        cards=world.cards.books,
        intents=world.cards.intents,
        receiver=world.shop.receiver,
        sales=world.buyer.sales,
        doubled=world.network.doubled,
        late=world.network.late,
        answered_late=world.network.answered_late,
        ahead_ms=round(1000 * world.set_forward_s),
        behind_ms=round(1000 * world.set_back_s),
        offered_twice={
            order.order_id
            for order in world.plan.orders
            if _TWICE & set(order.aggregator)
            or any(order.order_id.encode() in offer for offer in offers)
        },
        transferred_twice={
            reference[1].decode()
            for copy in world.network.copies
            if copy.startswith(_TRANSFERS) and (reference := _REFERENCE.search(copy))
        },
    )


def _unforeseen(log: str) -> list[str]:
    """No verb and no request ended with an error that nobody thought of."""
    lines = (json.loads(line) for line in log.splitlines())
    return [f"the log has an error: {one['event']}" for one in lines if one["level"] == "error"]


def _told_secrets(log: str, plan: Plan) -> list[str]:
    """No secret, name or account number stands in the log."""
    secret = [*SECRETS, *(order.account for order in plan.orders)]
    return [f"the log holds {word!r}" for word in secret if word in log]
