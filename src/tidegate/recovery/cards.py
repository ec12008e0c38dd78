"""Card payments that a restored copy does not know: listed at the processor by their creation.

They cannot become rows: whose they are, and which key a client would repeat them with, was in the
rows that are lost. So each is a case that says what to do, before the quarantine may end. Refunds
and disputes of payments that the copy knows come back through the processor's list of events.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from sqlalchemy import Connection, select

from tidegate.bootstrap import Application
from tidegate.cases.store import OpenCase
from tidegate.db.committer import Unit
from tidegate.payments.tables import payments
from tidegate.payouts.store import Row
from tidegate.ports.cards import Found, Intent, IntentStatus

__all__ = ["look_for_payments"]

# Clocks differ, and an object may be a little older than our row would be.
_EARLIER_MS: Final = 3_600_000


async def look_for_payments(
    app: Application, quarantine: Row, unread: list[str], unknown: list[str]
) -> None:
    """Open a case for every object that the copy does not know; keep the events since."""
    money_in = app.money_in
    if money_in is None:
        return
    since_ms = quarantine["backup"].get("taken_ms", quarantine["since_at"]) - _EARLIER_MS
    swept = await money_in.sweep({"until_ms": since_ms})
    while "began" in swept and swept["seen"]:
        swept = await money_in.sweep(swept)
    if "began" in swept or swept.get("until_ms") in (None, since_ms):
        unread.append(f"the events of {money_in.cards.name}")
    after: str | None = None
    while True:
        page = await money_in.cards.intents_since(since_ms, after)
        if not isinstance(page, Found):
            unread.append(f"the payments of {money_in.cards.name}")
            return
        intents, behind = page.value
        for intent in intents:
            if not await app.database.read(partial(_known, payment_id=intent.payment_id)):
                unknown.append(intent.reference)
                await app.committer.commit(Unit([_for_a_person(intent)]))
        if behind is None or behind == after:
            return
        after = behind


def _known(connection: Connection, payment_id: str | None) -> bool:
    wanted = select(payments.c.id).where(payments.c.id == payment_id)
    return connection.execute(wanted).first() is not None


def _for_a_person(intent: Intent) -> OpenCase:
    taken = intent.status in {
        IntentStatus.SUCCEEDED,
        IntentStatus.PROCESSING,
        IntentStatus.REQUIRES_CAPTURE,
    }
    return OpenCase(
        "payment_unknown_here",
        intent.payment_id or intent.reference,
        "The processor has a payment of ours that the restored copy does not know. Its idempotency "
        "key is lost: a client that repeats the request is charged again. "
        + (
            "Refund it at the processor, or settle with the client before it repeats anything."
            if taken
            else "No money was taken: cancel it at the processor."
        ),
        "high" if taken else "medium",
        {
            "reference": intent.reference,
            "status": intent.status.value,
            "amount": intent.amount.minor,
            "currency": intent.amount.currency.code,
        },
    )
