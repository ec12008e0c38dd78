"""A PSP's webhook, read: it prompts a look-up, it decides nothing (A7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from sqlalchemy import Connection, bindparam, select

from tidegate.cases.unreadable import unreadable
from tidegate.clock import Clock, Randomness
from tidegate.db.committer import Committer, Operation, Unit
from tidegate.db.engine import Database
from tidegate.db.inbox import inbox
from tidegate.db.rows import DONE, Change, Insert, Next
from tidegate.errors import AlreadyExists, DataUnreadable
from tidegate.observability.subjects import about
from tidegate.payouts.balances import Float
from tidegate.payouts.tables import attempts
from tidegate.ports.bank import Bank, Credit, Rejected, Unavailable, WebhookEvent
from tidegate.work.backoff import exponential_ms
from tidegate.work.claim import Claimed

__all__ = ["Keep", "ReadWebhook"]

log = structlog.get_logger()

# An event may overtake our own commit: it is read again before it is called unknown.
_READS_MAX = 6

_PROMPTED = "look-up prompted"

_by_reference = select(attempts.c.id, attempts.c.payout_id).where(
    attempts.c.psp == bindparam("psp"), attempts.c.reference == bindparam("reference")
)
_known = select(inbox.c.id).where(
    inbox.c.source == bindparam("source"), inbox.c.dedupe_key == bindparam("dedupe_key")
)


class Keep:
    """Keep an authentic webhook before it is answered.

    One that names a transfer we know prompts its look-up in the same commit; everything else
    (incoming money, a reference that our own commit has not caught up with) is read by the
    worker.
    """

    def __init__(self, database: Database, committer: Committer, randomness: Randomness) -> None:
        self._database = database
        self._committer = committer
        self._randomness = randomness

    async def __call__(self, psp: str, event: WebhookEvent, raw: bytes, received_ms: int) -> bool:
        """``False`` if the same event was kept before: nothing changes then."""
        key = event.dedupe_key.replace("\0", "")[:200]
        asked = {"psp": psp, "reference": event.reference, "source": psp, "dedupe_key": key}
        known, attempt = await self._database.fetch(lambda c: _look(c, asked))
        if known:
            return False
        row = {
            "id": self._randomness.new_id("inb"),
            "source": psp,
            "dedupe_key": key,
            "state": "kept",
            "body": raw,
            "received_at": received_ms,
        }
        about(
            inbox_id=str(row["id"]),
            payout_id=None if attempt is None else attempt.payout_id,
            born=attempt is None,
        )
        if attempt is None:
            unit = Unit([Insert(inbox, row, next=Next(f"read:{psp}"))])
        else:
            read = {**row, "state": "read", "outcome": _PROMPTED}
            prompt = Change(attempts, attempt.id, next=Next(f"confirm:{psp}"))
            unit = Unit([Insert(inbox, read), prompt])
        try:
            await self._committer.commit(unit)
        except AlreadyExists:
            return False
        return True


def _look(connection: Connection, asked: Mapping[str, Any]) -> tuple[bool, Any]:
    """Was this very event kept before, and which attempt is it about?"""
    if connection.execute(_known, asked).first() is not None:
        return True, None
    if asked["reference"] is None:
        return False, None
    return False, connection.execute(_by_reference, asked).one_or_none()


class ReadWebhook:
    """The verb of kept webhooks, one instance a PSP."""

    def __init__(
        self,
        database: Database,
        committer: Committer,
        clock: Clock,
        randomness: Randomness,
        float_: Float,
        bank: Bank,
    ) -> None:
        self._database = database
        self._committer = committer
        self._clock = clock
        self._randomness = randomness
        self._float = float_
        self._bank = bank

    async def __call__(self, claimed: Claimed) -> None:
        try:
            body = self._database.cipher.plain(claimed.row, inbox.c.body)
        except DataUnreadable as broken:
            await self._end(claimed, "cannot be decrypted", unreadable(claimed.id, broken))
            return
        event = self._bank.read_webhook(bytes(body))
        if isinstance(event, Rejected):
            await self._end(claimed, f"unreadable: {event.why}")
        elif event.reference is not None:
            await self._prompt(claimed, event.reference)
        elif event.credit_id is not None:
            await self._credit(claimed, event.credit_id)
        else:
            await self._end(claimed, f"ignored: {event.event}")

    async def _prompt(self, claimed: Claimed, reference: str) -> None:
        parameters = {"psp": self._bank.name, "reference": reference}
        attempt = await self._database.fetch(
            lambda c: c.execute(_by_reference, parameters).one_or_none()
        )
        if attempt is None:
            if claimed.tries < _READS_MAX:
                await self._again(claimed)
            else:
                log.warning("webhook.unknown_reference", psp=self._bank.name, reference=reference)
                await self._end(claimed, "unknown reference")
            return
        about(payout_id=attempt.payout_id, attempt_id=attempt.id)
        await self._end(
            claimed,
            _PROMPTED,
            Change(attempts, attempt.id, next=Next(f"confirm:{self._bank.name}")),
        )

    async def _credit(self, claimed: Claimed, credit_id: str) -> None:
        """Incoming money: believed only when the PSP confirms its own line."""
        answer = await self._bank.credit(credit_id)
        if isinstance(answer, Credit):
            booked = await self._float.fund(self._bank.name, answer)
            await self._end(claimed, "funding booked" if booked else "funding known")
        elif isinstance(answer, Unavailable) or claimed.tries < _READS_MAX:
            await self._again(claimed)
        else:
            await self._end(claimed, "no such credit")

    async def _again(self, claimed: Claimed) -> None:
        wait = exponential_ms(claimed.tries, self._randomness, first_ms=200)
        change = Change(
            inbox,
            claimed.id,
            held=claimed.held,
            next=Next(str(claimed.row["kind"]), wait),
            again=True,
        )
        await self._committer.commit(Unit([change]))

    async def _end(self, claimed: Claimed, outcome: str, *more: Operation) -> None:
        done = Change(
            inbox,
            claimed.id,
            values={"state": "read", "outcome": outcome},
            held=claimed.held,
            next=DONE,
        )
        await self._committer.commit(Unit([done, *more]))
