"""A processor's event: kept, then read as a prompt to look; it decides nothing (B9).

Because every event leads to a fetch of what it is about, their order makes no difference, nor
how often they come; a sweep of the processor's own list finds what never came.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import Connection, bindparam, or_, select

from tidegate.cases.store import OpenCase
from tidegate.cases.unreadable import unreadable
from tidegate.clock import Clock, Randomness
from tidegate.db.committer import Committer, Operation, Unit
from tidegate.db.engine import Database
from tidegate.db.inbox import inbox
from tidegate.db.rows import DONE, Change, Insert, Next
from tidegate.errors import AlreadyExists, DataUnreadable, Stale
from tidegate.observability.subjects import about
from tidegate.payments import agenda, refund_outcome
from tidegate.payments import dispute as disputing
from tidegate.payments.adopt import AdoptRefund, Later
from tidegate.payments.states import State
from tidegate.payments.store import Row, payment_by_id, payment_by_reference
from tidegate.payments.tables import disputes, payments, refunds
from tidegate.ports.cards import (
    CardEvent,
    Cards,
    Found,
    IntentStatus,
    Refused,
    RejectedEvent,
    Subject,
)
from tidegate.work.backoff import exponential_ms
from tidegate.work.claim import Claimed

__all__ = ["KeepEvent", "ReadEvent", "SweepEvents"]

log = structlog.get_logger()

# An event may overtake our own commit: it is read again before it is called unknown.
_READS_MAX = 6
# How far back the sweep looks: it overlaps its last time generously, events are kept once anyway.
_SWEEP_MS = 2 * 3_600_000
_PAGES_MAX = 50

_OVERDUE_MS = 3_600_000

_PROMPTED = "look-up prompted"

_known = select(inbox.c.id).where(
    inbox.c.source == bindparam("source"), inbox.c.dedupe_key == bindparam("dedupe_key")
)
# Our refund by our id: unless we know it under another id of the processor's.
_by_refund = select(refunds.c.id, refunds.c.payment_id).where(
    refunds.c.id == bindparam("refund_id"),
    or_(
        refunds.c.processor_reference.is_(None),
        refunds.c.processor_reference == bindparam("reference"),
    ),
)
_by_reference = select(refunds.c.id, refunds.c.payment_id).where(
    refunds.c.processor == bindparam("processor"),
    refunds.c.processor_reference == bindparam("reference"),
)
_dispute = select(disputes.c.id, disputes.c.payment_id).where(disputes.c.id == bindparam("id"))


@dataclass(frozen=True, slots=True)
class _Prompt:
    """What an event has us write, and how that is told in the inbox. ``is_new``: a row is inserted,
    which another event of the same thing may do at the same moment."""

    operations: list[Operation]
    outcome: str = _PROMPTED
    is_new: bool = False
    payment_id: str | None = None


class KeepEvent:
    """Keep an authentic event before it is answered; one that is about a row we know makes the
    row due in the same commit."""

    def __init__(
        self, database: Database, committer: Committer, clock: Clock, randomness: Randomness
    ) -> None:
        self._database = database
        self._committer = committer
        self._clock = clock
        self._randomness = randomness

    async def __call__(self, processor: str, event: CardEvent, raw: bytes) -> bool:
        """``False`` if the same event was kept before: nothing changes then."""
        key = event.id.replace("\0", "")[:200]
        asked = {"source": processor, "dedupe_key": key}
        now_ms = self._clock.now_ms()

        def look(connection: Connection) -> tuple[bool, _Prompt | None]:
            if connection.execute(_known, asked).first() is not None:
                return True, None
            return False, _prompt(connection, processor, event, now_ms)

        known, prompt = await self._database.fetch(look)
        if known:
            return False
        row = {
            "id": self._randomness.new_id("inb"),
            **asked,
            "state": "kept",
            "body": raw,
            "received_at": now_ms,
        }
        of_payment = None if prompt is None else prompt.payment_id
        about(inbox_id=str(row["id"]), payment_id=of_payment, born=of_payment is None)
        if event.subject is Subject.OTHER:
            unit = Unit([Insert(inbox, {**row, "state": "read", "outcome": _ignored(event)})])
        elif prompt is None or prompt.is_new:
            unit = Unit([Insert(inbox, row, next=Next(f"read:{processor}"))])
        else:
            read = {**row, "state": "read", "outcome": prompt.outcome}
            unit = Unit([Insert(inbox, read), *prompt.operations])
        try:
            await self._committer.commit(unit)
        except AlreadyExists:
            return False
        return True


class ReadEvent:
    """The verb of kept events, one instance a processor."""

    def __init__(
        self,
        database: Database,
        committer: Committer,
        clock: Clock,
        randomness: Randomness,
        cards: Cards,
        adopt: AdoptRefund,
    ) -> None:
        self._database = database
        self._committer = committer
        self._clock = clock
        self._randomness = randomness
        self._cards = cards
        self._adopt = adopt

    async def __call__(self, claimed: Claimed) -> None:
        try:
            body = self._database.cipher.plain(claimed.row, inbox.c.body)
        except DataUnreadable as broken:
            await self._end(claimed, "cannot be decrypted", unreadable(claimed.id, broken))
            return
        event = self._cards.parse_event(bytes(body))
        if isinstance(event, RejectedEvent):
            await self._end(claimed, f"unreadable: {event.why}")
            return
        if event.subject is Subject.OTHER:
            await self._end(claimed, _ignored(event))
            return
        now_ms = self._clock.now_ms()
        prompt = await self._database.fetch(lambda c: _prompt(c, self._cards.name, event, now_ms))
        if prompt is None and event.subject is Subject.REFUND:
            adopted = await self._adopt(event)
            if isinstance(adopted, Later):
                await self._again(claimed, *self._overdue(claimed, event))
                return
            if isinstance(adopted, Unit):
                prompt = _Prompt(adopted.operations, "refund adopted")
        if prompt is not None:
            about(payment_id=prompt.payment_id)
            try:
                await self._end(claimed, prompt.outcome, *prompt.operations)
            except (AlreadyExists, Stale):  # another event about the same was quicker
                await self._again(claimed)
        elif claimed.tries < _READS_MAX:
            await self._again(claimed)
        else:
            log.warning("event.unknown_subject", processor=self._cards.name, event_id=event.id)
            await self._end(claimed, "not about anything of ours", *_lost(event))

    def _overdue(self, claimed: Claimed, event: CardEvent) -> list[Operation]:
        """An event that could not be read for an hour is shown to a person, and read on."""
        if self._clock.now_ms() - claimed.row["received_at"] < _OVERDUE_MS:
            return []
        return [
            OpenCase(
                "event_unread",
                claimed.id,
                f"The processor's event {event.id} tells of a refund that cannot be booked: the "
                "processor does not show it, or it does not fit the payment. Look at both.",
                "high",
            )
        ]

    async def _again(self, claimed: Claimed, *more: Operation) -> None:
        wait = exponential_ms(claimed.tries, self._randomness, first_ms=200)
        kind = str(claimed.row["kind"])
        change = Change(inbox, claimed.id, held=claimed.held, next=Next(kind, wait), again=True)
        await self._committer.commit(Unit([change, *more]))

    async def _end(self, claimed: Claimed, outcome: str, *more: Operation) -> None:
        values = {"state": "read", "outcome": outcome}
        done = Change(inbox, claimed.id, values=values, held=claimed.held, next=DONE)
        await self._committer.commit(Unit([done, *more]))


class SweepEvents:
    """Asks the processor for its list of events and keeps those that never came."""

    def __init__(self, clock: Clock, keep: KeepEvent, cards: Cards) -> None:
        self._clock = clock
        self._keep = keep
        self._cards = cards

    async def __call__(self, last: Mapping[str, Any] | None) -> dict[str, Any]:
        """``last`` is what the last sweep answered. One that was not finished is gone on with: the
        list is newest first, so what it has not reached is the oldest.

        Answers ``until_ms`` (everything before it was seen), counts, and, if unfinished, ``began``
        (``since_ms``, ``until_ms``, ``after``).
        """
        now_ms = self._clock.now_ms()
        last = last or {}
        began = last.get("began") or {
            "since_ms": min(last.get("until_ms") or now_ms, now_ms) - _SWEEP_MS,
            "until_ms": now_ms,
            "after": None,
        }
        seen = found = 0
        after: str | None = began["after"]
        for _ in range(_PAGES_MAX):
            page = await self._cards.events_since(began["since_ms"], after)
            if isinstance(page, Refused):  # our place in the list is not known there any more
                return {"until_ms": last.get("until_ms"), "seen": seen, "found": found}
            if not isinstance(page, Found):
                break
            events, more = page.value
            for event_id, raw in events:
                after = event_id
                seen += 1
                event = self._cards.parse_event(raw)
                if isinstance(event, CardEvent):
                    found += await self._keep(self._cards.name, event, raw)
            if not more:
                return {"until_ms": began["until_ms"], "seen": seen, "found": found}
        unfinished = {**began, "after": after}
        told = {"until_ms": last.get("until_ms"), "seen": seen, "found": found}
        return {**told, "began": unfinished}


def _prompt(
    connection: Connection, processor: str, event: CardEvent, now_ms: int
) -> _Prompt | None:
    """What is written because of the event; ``None``: we have no row that it is about (yet)."""
    asked: Mapping[str, Any] = {
        "processor": processor,
        "refund_id": event.refund_id,
        "reference": event.reference,
    }
    match event.subject:
        case Subject.PAYMENT:
            payment = _payment(connection, processor, event)
            return None if payment is None else _about_payment(payment, event)
        case Subject.REFUND:
            refund = _first(connection, asked, _by_refund, _by_reference)
            if refund is None:
                return None
            change = Change(refunds, refund.id, next=Next(refund_outcome.KIND))
            return _Prompt([change], payment_id=refund.payment_id)
        case Subject.DISPUTE if event.reference is not None:
            row_id = disputing.dispute_row(processor, event.reference)
            known = connection.execute(_dispute, {"id": row_id}).first()
            if known is None:
                new = disputing.new_dispute(processor, event.reference, now_ms)
                return _Prompt([new], is_new=True)
            change = Change(disputes, row_id, next=Next(disputing.KIND))
            return _Prompt([change], payment_id=known.payment_id)
    return None


def _payment(connection: Connection, processor: str, event: CardEvent) -> Row | None:
    found = None
    if event.intent is not None:
        found = payment_by_reference(connection, processor, event.intent)
    if found is None and event.payment_id is not None:
        found = payment_by_id(connection, event.payment_id)
    # Without the object's id there is nothing to look at: its own work is under way.
    return found if found is not None and found["processor_reference"] is not None else None


def _about_payment(payment: Row, event: CardEvent) -> _Prompt:
    operations: list[Operation] = []
    told = event.amount
    if told is not None and (told.minor, told.currency.code) != (
        payment["amount"],
        payment["currency"],
    ):
        operations.append(
            OpenCase(
                "payment_event_mismatch",
                payment["id"],
                f"The processor's event {event.id} says {told}, which is not what this payment is "
                "over. Nothing was done about it: the payment's object alone is believed.",
            )
        )
    booked = payment["movement"] is not None or event.status is IntentStatus.SUCCEEDED
    if payment["state"] == State.SUCCEEDED and booked:
        return _Prompt(operations, "nothing new", payment_id=payment["id"])
    operations.append(Change(payments, payment["id"], next=Next(agenda.KIND)))
    return _Prompt(operations, payment_id=payment["id"])


def _first(connection: Connection, asked: Mapping[str, Any], *statements: Any) -> Any:
    for statement in statements:
        row = connection.execute(statement, asked).first()
        if row is not None:
            return row
    return None


def _lost(event: CardEvent) -> list[Operation]:
    """An object that carries an id of ours, of a row that we do not have: a restored database?"""
    ours = event.payment_id or event.refund_id
    if ours is None:
        return []
    return [
        OpenCase(
            "event_of_lost_row",
            ours,
            f"The processor's event {event.id} is about an object that carries this id of ours, "
            "and there is no such row. If the database was restored, its money is not booked.",
            "high",
        )
    ]


def _ignored(event: CardEvent) -> str:
    return f"ignored: {event.type}"[:200]
