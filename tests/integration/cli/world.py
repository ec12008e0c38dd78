"""Three orders as verbs leave them: one fulfilled, one held with a case, one declined."""

from __future__ import annotations

from typing import Any

from tidegate.cases.store import OpenCase
from tidegate.clock import Randomness, SystemClock
from tidegate.db.committer import Committer, Unit
from tidegate.db.engine import Database
from tidegate.db.exchanges import exchanges
from tidegate.db.inbox import inbox
from tidegate.db.rows import Insert, Next
from tidegate.ledger.book import Record
from tidegate.ledger.seal import Seal
from tidegate.payouts.postings import FloatAccounts, opened, paid, reserved
from tidegate.payouts.tables import (
    attempts,
    observations,
    offers,
    payout_events,
    payouts,
    psp_balances,
)
from tidegate.work.tables import periodic

__all__ = [
    "ACCOUNT",
    "BORN_MS",
    "DECLINED",
    "ENVIRONMENT",
    "FULFILLED",
    "HELD",
    "NAME",
    "fill",
]

FULFILLED, HELD, DECLINED = "order-fulfilled", "order-held", "order-declined"
ACCOUNT, NAME = "0123456789", "ADA OBI"
BORN_MS = SystemClock().now_ms() - 120_000
ENVIRONMENT = {
    "DEBUG": "true",
    "AGGREGATOR_CLIENT_ID": "9e107d9d-372b-4b62-8b1a-0d2c3e4f5a6b",
    "AGGREGATOR_SECRET_KEY": "a-secret-that-must-never-be-printed",
    "CRITICAL_BALANCE_THRESHOLD": "NGN:1000",
}
# What a bank may write, and what must not reach a terminal as it is.
_HOSTILE = "Refused\x1b[2J [bold]for now[/bold]"


async def fill(database: Database) -> None:
    """Write the world through a committer, as verbs do."""
    committer = Committer(database)
    committer.start()
    randomness = Randomness(SystemClock())
    at = FloatAccounts("lenco", "NGN")
    try:
        for unit in (
            Unit([Record(opened(at, "rdg_1", 50_000_00)), *_float()]),
            Unit([*_payout(1, FULFILLED, "fulfilled", "paid"), *_story(1, randomness)]),
            Unit([Record(reserved(at, "po_1", 1, 1_100_00))]),
            Unit([Record(paid(at, "po_1", "att_1", amount=1_000_00, fee=43_50, held=1_100_00))]),
            Unit([Seal()]),
            Unit([*_payout(2, HELD, "held", "held"), *_story(2, randomness)]),
            Unit([Record(reserved(at, "po_2", 1, 1_100_00))]),
            Unit(
                [OpenCase("payout_held", "po_2", "Find it at the PSP.", "high", {"psp": "lenco"})]
            ),
            Unit([*_payout(3, DECLINED, "declined", None)]),
        ):
            await committer.commit(unit)
    finally:
        await committer.stop()


def _float() -> list[Insert]:
    reading = {
        "id": "lenco:NGN",
        "psp": "lenco",
        "currency": "NGN",
        "reading": 48_956_50,
        "read_at": BORN_MS,
        "version": 1,
    }
    push = {
        "id": "push:NGN",
        "last_done_at": BORN_MS + 1_000,
        "result": {"said": "done", "available": 47_856_50, "reserved": 1_100_00},
    }
    return [Insert(psp_balances, reading), Insert(periodic, push)]


def _payout(number: int, order_id: str, state: str, attempt: str | None) -> list[Insert]:
    born = BORN_MS + number * 1_000
    held = state == "held"
    row: dict[str, Any] = {
        "id": f"po_{number}",
        "order_id": order_id,
        "dialect": "live",
        "state": state,
        "round": 1,
        "currency": "NGN",
        "amount_text": "1000",
        "amount": 1_000_00,
        "institution": "GTBINGLA",
        "exclude_psps": [],
        "recipient": {
            "institution": "GTBINGLA",
            "account_identifier": ACCOUNT,
            "account_name": NAME,
        },
        "offered_at": born,
        "expires_at": born + 20_000,
        "psp": "lenco" if attempt else None,
        "held": 1_100_00 if held else 0,
        "holds": 1,
        "attempts": 1 if attempt else 0,
        "reference": f"tg-order-{number}",
        "tx_id": f"tg-order-{number}",
        "reason_code": "SWITCHED_OFF" if state == "declined" else ("HELD" if held else None),
        "reason_text": _HOSTILE if held else None,
        "created_at": born,
    }
    rows = [Insert(payouts, row)]
    if attempt is not None:
        rows.append(
            Insert(
                attempts,
                {
                    "id": f"att_{number}",
                    "payout_id": f"po_{number}",
                    "round": 1,
                    "number": 1,
                    "psp": "lenco",
                    "reference": f"tg-order-{number}-01",
                    "state": attempt,
                    "currency": "NGN",
                    "amount": 1_000_00,
                    "held": 1_100_00,
                    "body": b"{}",
                    "account_number": ACCOUNT,
                    "psp_id": f"psp-{number}",
                    "sent_at": born + 30,
                    "sends": 1,
                    "lookups": 2,
                    "created_at": born + 20,
                },
                next=Next("confirm:lenco", 600_000),
            )
        )
    return rows


def _story(number: int, randomness: Randomness) -> list[Insert]:
    born = BORN_MS + number * 1_000
    payout_id = f"po_{number}"
    order_id = (FULFILLED, HELD)[number - 1]
    said = f'{{"clientReference":"tg-order-{number}-01","accountNumber":"{ACCOUNT}"}}'
    event = {"id": f"pev_{number}", "payout_id": payout_id, "round": 1, "detail": {}}
    exchange = {
        "id": f"exc_{number}",
        "subject": payout_id,
        "at": born + 40,
        "counterparty": "lenco",
        "verb": "lookup",
        "method": "GET",
        "path": "/access/v1/transfer",
        "request": "",
        "status": 200,
        "response": '{"status":true}',
        "took_ms": 7,
    }
    return [
        Insert(
            offers,
            {
                "id": randomness.new_id("off"),
                "order_id": order_id,
                "dialect": "live",
                "received_at": born,
                "meaning": "new",
                "body": f'{{"orderId":"{order_id}","accountName":"{NAME}"}}',
            },
        ),
        Insert(payout_events, {**event, "at": born, "event": "offered", "state": "pending"}),
        Insert(exchanges, exchange),
        Insert(
            observations,
            {
                "id": f"obs_{number}",
                "attempt_id": f"att_{number}",
                "at": born + 50,
                "source": "lookup",
                "kind": "unknown",
                "detail": {"raw_status": "declined"},
            },
        ),
        Insert(
            inbox,
            {
                "id": f"inb_{number}",
                "source": "lenco",
                "dedupe_key": f"transaction.successful:psp-{number}:successful",
                "state": "read",
                "body": said.encode(),
                "received_at": born + 45,
                "outcome": "look-up prompted",
            },
        ),
    ]
