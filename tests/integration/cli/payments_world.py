"""Payments as verbs leave them: one with everything, three whose outcome is unknown."""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy import select

from tests.integration.cli.conftest import on_database
from tidegate import migrations
from tidegate.cases.store import OpenCase
from tidegate.cli.schema import inline
from tidegate.clock import SystemClock
from tidegate.db.committer import Committer, Unit
from tidegate.db.engine import Database, open_database
from tidegate.db.exchanges import exchanges
from tidegate.db.idempotency import idempotency_keys
from tidegate.db.inbox import inbox
from tidegate.db.rows import Insert, Next
from tidegate.db.url import parse
from tidegate.db.vault import Vault
from tidegate.ledger.book import Record
from tidegate.payments import postings
from tidegate.payments.tables import (
    deliveries,
    delivery_attempts,
    disputes,
    payment_events,
    payments,
    refunds,
    webhook_endpoints,
)
from tidegate.settings.group import DEVELOPMENT

__all__ = [
    "ANOTHER",
    "FRESH",
    "MISSING",
    "OWNER",
    "PAID",
    "SEALED",
    "SECRET",
    "UNKNOWN",
    "fill_payments",
    "prepare_payments",
    "rows",
]

PAID, UNKNOWN, FRESH, MISSING = "pay_1", "pay_2", "pay_3", "pay_4"
OWNER, ANOTHER = "usr_1", "usr_2"
SECRET = "pi_1_secret_that_is_the_clients_own"
SEALED = Vault(DEVELOPMENT.get_secret_value()).encrypt("whsec_of_the_endpoint")
_DAY_MS = 86_400_000
_HOUR_MS = 3_600_000


def prepare_payments(url: str) -> None:
    """Migrate the database of ``url`` and fill it; for a template."""

    async def prepare() -> None:
        database = open_database(parse(url), SystemClock(), executor=inline)
        await migrations.upgrade(database)
        await fill_payments(database)
        await database.close()

    asyncio.run(prepare())


def rows(url: str, table: Any, **where: Any) -> list[dict[str, Any]]:
    """The rows of a table, by id."""

    async def work(database: Database) -> list[dict[str, Any]]:
        wanted = select(table).filter_by(**where).order_by(table.c.id)
        return await database.read(lambda c: [dict(row) for row in c.execute(wanted).mappings()])

    found: list[dict[str, Any]] = on_database(url, work)
    return found


async def fill_payments(database: Database) -> None:
    """Write them through a committer, as verbs do."""
    now_ms = SystemClock().now_ms()
    committer = Committer(database)
    committer.start()
    amount, refunded = 2_500, 500
    try:
        for unit in (
            Unit([*_paid(now_ms - 5_000)]),
            Unit([Record(postings.captured("stripe", OWNER, PAID, "EUR", amount, amount))]),
            Unit([Record(postings.refund_reserved(OWNER, "re_1", "EUR", refunded))]),
            Unit([Record(postings.refund_succeeded("stripe", "re_1", "EUR", refunded))]),
            Unit(
                [
                    *_unknown(UNKNOWN, now_ms - 2 * _DAY_MS, asked_by="idk_2"),
                    OpenCase("payment_unknown", UNKNOWN, "Not told for a day.", "high"),
                ]
            ),
            Unit([*_unknown(FRESH, now_ms - 1_000)]),
            Unit(
                [
                    *_unknown(MISSING, now_ms - _HOUR_MS),
                    OpenCase("payment_object_missing", MISSING, "Not known there.", "high"),
                ]
            ),
        ):
            await committer.commit(unit)
    finally:
        await committer.stop()


def _payment(payment_id: str, at_ms: int, **more: Any) -> dict[str, Any]:
    return {
        "id": payment_id,
        "user_id": OWNER,
        "state": "confirming",
        "currency": "EUR",
        "amount": 2_500,
        "amount_to_capture": 2_500,
        "manual_capture": False,
        "metadata": {},
        "processor": "stripe",
        "processor_reference": f"pi_{payment_id}",
        "sent_at": at_ms,
        "events": 1,
        "created_at": at_ms,
        "updated_at": at_ms,
        **more,
    }


def _unknown(payment_id: str, at_ms: int, asked_by: str | None = None) -> list[Insert]:
    row = _payment(payment_id, at_ms, asked_by=asked_by, user_id=ANOTHER)
    found = [Insert(payments, row, next=Next("pay", 600_000)), _event(row, 1, "payment.created")]
    if asked_by is not None:
        found.append(_key(asked_by, payment_id, at_ms))
    return found


def _key(row_id: str, subject: str, at_ms: int, **more: Any) -> Insert:
    values = {
        "id": row_id,
        "user_id": ANOTHER,
        "route": "POST /api/payments",
        "key": f"order-of-{subject}",
        "fingerprint": "0" * 64,
        "subject": subject,
        "created_at": at_ms,
        **more,
    }
    return Insert(idempotency_keys, values)


def _event(row: dict[str, Any], seq: int, type_: str, **data: Any) -> Insert:
    values = {
        "id": f"evt_{row['id'].removeprefix('pay_')}{seq}",
        "payment_id": row["id"],
        "user_id": row["user_id"],
        "seq": seq,
        "type": type_,
        "at": row["created_at"] + seq,
        "data": {"id": row["id"], **data},
    }
    return Insert(payment_events, values)


def _paid(at_ms: int) -> list[Insert]:
    row = _payment(
        PAID,
        at_ms,
        state="succeeded",
        amount_captured=2_500,
        amount_refunded=500,
        movement="txn_1",
        events=3,
    )
    part = {
        "payment_id": PAID,
        "currency": "EUR",
        "created_at": at_ms + 100,
        "updated_at": at_ms + 100,
        "processor": "stripe",
    }
    refund = {**part, "id": "re_1", "user_id": OWNER, "state": "succeeded", "amount": 500}
    dispute = {
        **part,
        "id": "dp_stripe_du_1",
        "processor_reference": "du_1",
        "state": "needs_response",
        "amount": 2_500,
        "posted": [],
    }
    action = {"type": "redirect", "client_secret": SECRET}
    return [
        Insert(payments, row),
        _event(row, 1, "payment.created"),
        _event(row, 2, "payment.requires_action", next_action=action),
        _event(row, 3, "payment.succeeded"),
        Insert(refunds, {**refund, "processor_reference": "re_at_stripe"}),
        Insert(disputes, dispute),
        _key("idk_1", PAID, at_ms, status=201, body={"id": PAID}),
        _exchange("exc_p1", PAID, at_ms + 1, "confirm"),
        _exchange("exc_p2", "re_1", at_ms + 101, "refund"),
        _kept("inb_p1", "evt_a", b'{"data":{"object":{"id":"pi_pay_1"}}}', at_ms + 50),
        _kept("inb_p2", "evt_b", b'{"data":{"object":{"id":"pi_of_others"}}}', at_ms + 60),
        *_told(at_ms),
    ]


def _exchange(row_id: str, subject: str, at_ms: int, verb: str) -> Insert:
    values = {
        "id": row_id,
        "subject": subject,
        "at": at_ms,
        "counterparty": "stripe",
        "verb": verb,
        "method": "POST",
        "path": "/v1/somewhere",
        "request": "amount=2500",
        "status": 200,
        "response": "{}",
        "took_ms": 7,
    }
    return Insert(exchanges, values)


def _kept(row_id: str, key: str, body: bytes, at_ms: int) -> Insert:
    values = {
        "id": row_id,
        "source": "stripe",
        "dedupe_key": key,
        "state": "read",
        "body": body,
        "received_at": at_ms,
        "outcome": "look-up prompted",
    }
    return Insert(inbox, values)


def _told(at_ms: int) -> list[Insert]:
    endpoint = {
        "id": "we_1",
        "user_id": OWNER,
        "url": "https://shop.example.com/hook",
        "events": ["*"],
        "state": "enabled",
        "secret": SEALED,
        "created_at": at_ms,
        "updated_at": at_ms,
    }
    delivery = {
        "id": "dlv_1",
        "endpoint_id": "we_1",
        "event_id": "evt_13",
        "payment_id": PAID,
        "seq": 3,
        "state": "given_up",
        "tries": 9,
        "last_status": 500,
        "created_at": at_ms + 3,
    }
    attempt = {
        "id": "dat_1",
        "delivery_id": "dlv_1",
        "at": at_ms + 4,
        "status": 500,
        "answer": "no",
        "took_ms": 8,
    }
    return [
        Insert(webhook_endpoints, endpoint),
        Insert(deliveries, delivery),
        Insert(delivery_attempts, attempt),
    ]
