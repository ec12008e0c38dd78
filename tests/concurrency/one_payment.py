"""One payment that everybody asks for something: to be made, captured, cancelled, refunded."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

import aiohttp
from sqlalchemy import Connection, bindparam, or_, select, union_all, update

from tests.concurrency.desk import Desk
from tests.concurrency.scene import Actor, Scene
from tidegate.adapters.stripe.adapter import StripeCards
from tidegate.clock import Randomness
from tidegate.errors import Stale, TidegateError
from tidegate.payments import agenda, refund_outcome
from tidegate.payments.answers import Answer
from tidegate.payments.create import NewPayment
from tidegate.payments.keys import Asked
from tidegate.payments.make import MoneyIn, make_money_in
from tidegate.payments.rules import PaymentRules
from tidegate.payments.states import RefundState, State
from tidegate.payments.tables import payments, refunds
from tidegate.work.claim import Claim, Claimed

__all__ = ["AMOUNT", "CURRENCY", "KEY", "USER", "Till", "Told", "open_scene"]

USER = "usr_01crowd"
KEY = "sk_test_crowd"
CURRENCY = "EUR"
AMOUNT = 10_000
_TIMEOUT_S = 20.0
_LEASE_MS = 60_000
_TAKEN_OVER_MOST = 3
_RULES = PaymentRules(
    amount_max={CURRENCY: 1_000_000},
    lookup_schedule_s=(1, 1, 2),
    # What shows no trace is asked for again almost at once: with its key, so it does no harm.
    send_again_after_ms=100,
    abandoned_after_ms=7 * 86_400_000,
)


class Till:
    """The verbs of payments in one process, over a processor at ``base``."""

    def __init__(self, url: str, base: str) -> None:
        self.desk = Desk(url)
        clock, randomness = self.desk.clock, Randomness(self.desk.clock)
        cards = StripeCards(
            api_key=KEY,
            api_base=base,
            webhook_secrets=("whsec_crowd",),
            publishable_key="pk_test_crowd",
            node_id="node_crowd",
            live=False,
            clock=clock,
            connector=aiohttp.TCPConnector,
            randomness=randomness,
            timeout_s=_TIMEOUT_S,
        )
        one = (self.desk.database, self.desk.committer, clock, randomness)
        self.money: MoneyIn = make_money_in(*one, _RULES, cards)

    async def ask(self, step: str, key: str, given: Mapping[str, Any]) -> Answer:
        """Ask for one step with this key: ``create`` (100.00, of the ``method``, to be captured
        by hand if ``manual``), else of the ``payment``, with an ``amount`` where it has one."""
        asked = Asked(USER, step, key, "print")
        match step:
            case "create":
                wish = NewPayment(
                    AMOUNT,
                    CURRENCY,
                    payment_method_id=given["method"],
                    manual_capture=given.get("manual", False),
                )
                return await self.money.create(asked, wish)
            case "capture":
                return await self.money.capture(asked, given["payment"], given.get("amount"))
            case "cancel":
                return await self.money.cancel(USER, given["payment"], asked)
            case _:
                return await self.money.refund(asked, given["payment"], given["amount"], None)

    async def take_over(self) -> int:
        """Go on with what others are at, as if their leases had run out; how many rows."""
        desk, begun = self.desk, 0
        now = {"now": desk.clock.now_ms()}
        if not await desk.database.fetch(lambda c: c.execute(_under_way, now).first()):
            return 0
        await desk.database.write(_run_out)
        for table, kind, verb in (
            (refunds, refund_outcome.KIND, self.money.pursue_refund),
            (payments, agenda.KIND, self.money.pursue),
        ):
            ends_at = desk.clock.monotonic() + _LEASE_MS / 1000
            (rows,) = await desk.commit(Claim(table, kind, 1, _LEASE_MS))
            for row in rows:
                begun += 1
                with suppress(Stale):  # it was taken over in turn
                    await verb(Claimed(table, row, ends_at, desk.clock))
        return begun

    async def is_done(self, step: str) -> bool:
        """Has somebody made the payment, captured it, refunded of it?"""
        done = _refunded if step == "refund" else _succeeded
        return await self.desk.database.fetch(lambda c: c.execute(done).first() is not None)

    async def close(self) -> None:
        await self.desk.committer.stop()
        await self.money.cards.close()
        await self.desk.database.close()


@dataclass(frozen=True)
class Told:
    """What one actor was answered: an HTTP status and the object, or an error's code; of one that
    works, how many turns it has ``begun``."""

    step: str
    status: int | str = ""
    body: Mapping[str, Any] = field(default_factory=dict)
    replayed: bool = False
    begun: int = 0


async def open_scene(url: str, given: Mapping[str, Any]) -> Scene:
    return _OnePayment(Till(url, given["processor"]), given)


class _OnePayment:
    """``steps`` are dealt to the actors in turn; with ``key`` all ask with the same one."""

    def __init__(self, till: Till, given: Mapping[str, Any]) -> None:
        self._till = till
        self._given = given

    async def act(self, actor: Actor) -> Any:
        """A :class:`Told`, by its fields."""
        step = self._given["steps"][actor.number % len(self._given["steps"])]
        if step == "work":
            return asdict(Told(step, begun=await self._work(actor)))
        await actor.pause()
        try:
            key = self._given.get("key") or f"{step}-{actor.number}"
            answer = await self._till.ask(step, key, self._given)
        except TidegateError as refusal:
            return asdict(Told(step, refusal.code))
        return asdict(Told(step, answer.status, dict(answer.body), answer.replayed))

    async def _work(self, actor: Actor) -> int:
        """Take over a few times: were it to go on, no turn might ever be quick enough."""
        begun = 0
        while begun < _TAKEN_OVER_MOST and not await self._till.is_done(self._given["steps"][0]):
            await actor.pause()
            begun += await self._till.take_over()
        return begun

    async def close(self) -> None:
        await self._till.close()


_succeeded = select(payments.c.id).where(payments.c.state == State.SUCCEEDED.value)
_refunded = select(refunds.c.id).where(refunds.c.state != RefundState.ASKING.value)

_under_way = union_all(
    *(
        select(table.c.id).where(
            or_(table.c.leased_until.is_not(None), table.c.due_at <= bindparam("now"))
        )
        for table in (payments, refunds)
    )
)


def _run_out(connection: Connection) -> None:
    for table in (payments, refunds):  # in the committer's order of locks
        leased = update(table).where(table.c.leased_until > 0)
        connection.execute(leased.values(leased_until=0, due_at=0))
