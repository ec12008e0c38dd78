"""Going on with a refund from what its row says: the verb of its kind of work.

An unknown refund is looked for among the payment's refunds by our id in its metadata; only when
it is not there, twice and for a while, is the same request made again with the same key
(processor.md 1).
"""

from __future__ import annotations

from typing import Any

from tidegate.cases.store import OpenCase
from tidegate.clock import Clock, Randomness
from tidegate.db.committer import Committer, Operation, Unit
from tidegate.db.engine import Database
from tidegate.db.exchanges import Exchange, exchange_row
from tidegate.db.rows import Change, Next
from tidegate.money.amount import Money
from tidegate.money.currency import parse_currency
from tidegate.payments.outcome import key_refused
from tidegate.payments.refund_outcome import KIND, RefundOutcome
from tidegate.payments.rules import PaymentRules
from tidegate.payments.sends import KEY_MS, about_to_send, not_begun
from tidegate.payments.states import RefundState
from tidegate.payments.store import (
    Row,
    payment_by_id,
)
from tidegate.payments.tables import refunds
from tidegate.ports.cards import (
    Cards,
    Found,
    Missing,
    NotSent,
    Refund,
    Refused,
    Unknown,
)
from tidegate.work.backoff import scheduled_ms
from tidegate.work.claim import Claimed

__all__ = ["PursueRefund"]

Ended = Found | Missing | Refused | NotSent | Unknown

_DAY_MS = 86_400_000
# A refund that is not in the list may be on its way still: looked for twice, and over three times
# as long as another step that shows no trace (a minute by default).
_NOT_FOUND_TIMES = 2
_NOT_FOUND_WAITS = 3


class PursueRefund:
    """The verb of kind ``refund``; one instance a processor."""

    def __init__(
        self,
        database: Database,
        committer: Committer,
        clock: Clock,
        randomness: Randomness,
        rules: PaymentRules,
        cards: Cards,
    ) -> None:
        self._database = database
        self._committer = committer
        self._clock = clock
        self._randomness = randomness
        self._rules = rules
        self._cards = cards
        self._outcome = RefundOutcome(database, committer, clock, randomness, rules)

    async def __call__(self, claimed: Claimed) -> None:
        row = claimed.row
        if RefundState(row["state"]) is RefundState.ASKING and row["sent_at"] is None:
            await self._ask_again(claimed)
            return
        payment = await self._payment(row)
        ended: Ended = await self._cards.find_refund(
            payment["processor_reference"], row["id"], row["processor_reference"]
        )
        if isinstance(ended, Missing) and self._never_arrived(row):
            await self._ask_again(claimed, ended.exchange)
            return
        await self._ended(claimed, row, ended, looked=True)

    async def send(self, claimed: Claimed, row: Row) -> Row:
        """Ask the processor once; its intention is committed."""
        payment = await self._payment(row)
        if not claimed.covers(self._cards.timeout_s):
            return await self._keep(claimed, not_begun(row), Next(KIND), [])
        ended = await self._cards.refund(
            payment["processor_reference"],
            Money(row["amount"], parse_currency(row["currency"])),
            row["id"],
            row["reason"],
            f"tidegate:{row['payment_id']}:{row['id']}:{row['step']}",
        )
        return await self._ended(claimed, row, ended)

    async def _ask_again(self, claimed: Claimed, *said: Exchange) -> None:
        sent = about_to_send(claimed.row, self._clock.now_ms())
        change = Change(
            refunds,
            claimed.id,
            values=sent,
            expect={"state": claimed.row["state"], "fence": claimed.held.fence},
        )
        kept = [exchange_row(claimed.id, each, self._randomness) for each in said]
        await self._committer.commit(Unit([change, *kept]))
        await self.send(claimed, {**claimed.row, **sent})

    def _never_arrived(self, row: Row) -> bool:
        if RefundState(row["state"]) is not RefundState.ASKING:
            return False
        now_ms = self._clock.now_ms()
        since: int = now_ms - row["sent_at"]
        in_time: bool = now_ms - row["created_at"] < KEY_MS
        wait_ms = _NOT_FOUND_WAITS * self._rules.send_again_after_ms
        times: int = row["not_found"] + 1
        return times >= _NOT_FOUND_TIMES and wait_ms <= since and in_time

    async def _ended(
        self, claimed: Claimed, row: Row, ended: Ended, *, looked: bool = False
    ) -> Row:
        said = [ended.exchange]
        match ended:
            case Found(value=refund):
                return await self._learn(claimed, row, refund, said)
            case Refused(code=code) if not looked and code != "idempotency_error":
                return await self._refused(claimed, row, ended, said)
            case NotSent() if not looked:
                return await self._later(claimed, row, said, **not_begun(row))
            case Missing():
                return await self._later(claimed, row, said, not_found=row["not_found"] + 1)
            case Unknown(replayed=True) if not looked:
                # What the processor keeps under the key is a failure, for ever: if the refund is
                # not in the list then, it never will be.
                return await self._later(claimed, row, said, spent=True, not_found=0)
            case _:
                return await self._later(claimed, row, said)

    async def _refused(
        self, claimed: Claimed, row: Row, ended: Refused, said: list[Exchange]
    ) -> Row:
        """A refusal of the first call is certain; a later one may be because an earlier one acted,
        so that is looked for first."""
        if row["sends"] > 1:
            payment = await self._payment(row)
            there = await self._cards.find_refund(
                payment["processor_reference"], row["id"], row["processor_reference"]
            )
            said.append(there.exchange)
            if isinstance(there, Found):
                return await self._learn(claimed, row, there.value, said)
            if not isinstance(there, Missing):
                return await self._later(claimed, row, said)
        cases = key_refused(self._cards.name, ended)
        return await self._outcome.refused(claimed, row, ended.message, said, cases)

    async def _learn(self, claimed: Claimed, row: Row, refund: Refund, said: list[Exchange]) -> Row:
        told = (refund.amount.minor, refund.amount.currency.code)
        if told != (row["amount"], row["currency"]):
            case = OpenCase(
                "refund_mismatch",
                row["id"],
                f"The processor's refund {refund.reference} is over {refund.amount}, which is not "
                "what was asked. Nothing was changed: compare the two.",
                "high",
            )
            return await self._later(claimed, row, said, case=case)
        return await self._outcome.learnt(claimed, row, refund, said)

    async def _later(
        self,
        claimed: Claimed,
        row: Row,
        said: list[Exchange],
        *,
        case: OpenCase | None = None,
        **values: Any,
    ) -> Row:
        """Nothing is known: ask again on the schedule, after a day with a case."""
        age_ms = self._clock.now_ms() - row["updated_at"]
        operations: list[Operation] = [] if case is None else [case]
        if age_ms >= _DAY_MS:
            operations.append(
                OpenCase(
                    "refund_unknown",
                    row["id"],
                    "The processor has not told for a day what became of this refund. Look for it "
                    "among the payment's refunds there.",
                    "high",
                )
            )
        wait_ms = claimed.was_due_in_ms  # out of turn: it keeps its place in the schedule
        if wait_ms is None:
            schedule = self._rules.lookup_schedule_s
            wait_ms = scheduled_ms(row["lookups"], age_ms, schedule, self._randomness)
            values["lookups"] = row["lookups"] + 1
        return await self._keep(claimed, values, Next(KIND, wait_ms), operations, said)

    async def _keep(
        self,
        claimed: Claimed,
        values: dict[str, Any],
        next: Next,
        operations: list[Operation],
        said: list[Exchange] | None = None,
    ) -> Row:
        change = Change(
            refunds, claimed.id, values=values, held=claimed.held, next=next, again=True
        )
        kept = [exchange_row(claimed.id, each, self._randomness) for each in said or ()]
        await self._committer.commit(Unit([change, *operations, *kept]))
        return {**claimed.row, **values}

    async def _payment(self, row: Row) -> Row:
        payment = await self._database.fetch(lambda c: payment_by_id(c, row["payment_id"]))
        assert payment is not None  # a foreign key
        return payment
