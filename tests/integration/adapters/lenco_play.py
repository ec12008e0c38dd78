"""Lenco v1's way of saying things, for scripted servers (``contracts/psp.md`` 1.1 to 1.4)."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from tests.integration.adapters.bank_conformance import REFERENCE, Play
from tests.integration.adapters.raw import Reply, reply
from tidegate.adapters.http import HttpClient
from tidegate.adapters.lenco import LencoBank
from tidegate.clock import Clock
from tidegate.money import to_text
from tidegate.ports.bank import Bank, ListedBank, OutcomeKind

ACCOUNT_ID = "6a9d0a2e-30a5-4b22-8a09-7d3d0e0f8b11"
TOKEN = "tok-0123456789abcdef0123456789abcdef"
OLD_TOKEN = "tok-fedcba9876543210fedcba9876543210"

WORDS = {
    OutcomeKind.PENDING: "pending",
    OutcomeKind.SUCCEEDED: "successful",
    OutcomeKind.FAILED: "failed",
}


def good(data: object, **more: object) -> Reply:
    return reply({"status": True, "message": "", "data": data, **more})


def bad(message: str, http: int = 400, code: str | None = None, **more: object) -> Reply:
    tree: dict[str, object] = {"status": False, "message": message, "data": [], **more}
    if code is not None:
        tree["errorCode"] = code
    return reply(tree, http)


def request_part(**changes: object) -> dict[str, Any]:
    return {
        "accountId": ACCOUNT_ID,
        "recipientId": None,
        "accountNumber": "0123456789",
        "bankCode": "000014",
        "amount": "75375.00",
        "narration": "Payout tg-k3j5x7",
        "reference": REFERENCE,
        "status": "queued",
        **changes,
    }


def transaction(**changes: object) -> dict[str, Any]:
    return {
        "id": "5c7d1f5e-9a53-4e0e-8b0c-1f2a3b4c5d6e",
        "amount": "75375.00",
        "fee": "43.50",
        "narration": "Payout tg-k3j5x7",
        "type": "debit",
        "initiatedAt": "2026-11-21T10:00:00.000Z",
        "completedAt": None,
        "accountId": ACCOUNT_ID,
        "details": {
            "accountName": "ADA B OBI",
            "accountNumber": "0123456789",
            "bank": {"code": "000014", "name": "ACCESS BANK"},
        },
        "status": "successful",
        "failedAt": None,
        "reasonForFailure": None,
        "clientReference": REFERENCE,
        "transactionReference": "276fc62654",
        "nipSessionId": "000016261121100000123456789012",
        **changes,
    }


def pair(transaction: dict[str, Any] | None, **request: object) -> Reply:
    status = "queued" if transaction is None else "created"
    return good(
        {"request": request_part(**{"status": status, **request}), "transaction": transaction}
    )


class LencoPlay(Play):
    """Lenco v1."""

    ambiguous_reason = "Timeout waiting for response from destination bank"
    recipient_reason = "Account closed"

    def bank(self, origin: str, http: HttpClient, clock: Clock) -> Bank:
        return LencoBank(
            base_url=f"{origin}/access/v1",
            api_key=TOKEN,
            previous_api_keys=[OLD_TOKEN, ""],
            account_id=ACCOUNT_ID,
            http=http,
            clock=clock,
        )

    def accepted(self, *, reference: str = REFERENCE, minor: int = 7_537_500) -> Reply:
        return pair(None, reference=reference, amount=to_text(self.money(minor)))

    def transfer(
        self, status: OutcomeKind, *, reason: str = "", reference: str = REFERENCE
    ) -> Reply:
        return pair(
            transaction(
                status=WORDS[status], reasonForFailure=reason or None, clientReference=reference
            ),
            reference=reference,
        )

    def odd_status(self) -> Reply:
        return pair(transaction(status="hovering"))

    def not_found(self) -> Reply:
        return bad("Transaction was not found")

    def duplicate(self) -> Reply:
        return bad("Duplicate client reference")

    def refused_account(self) -> Reply:
        return bad("Invalid recipient account", code="05")

    def refused_funds(self) -> Reply:
        return bad("Insufficient funds in account", code="02")

    def refused_somehow(self) -> Reply:
        return bad("It is Tuesday")

    def unauthorised(self) -> Reply:
        return bad("Unauthorized", http=401)

    def balance(self, minor: int) -> Reply:
        text = to_text(self.money(minor))
        return good({"availableBalance": text, "currentBalance": text, "currency": "NGN"})

    def banks(self, *banks: ListedBank) -> Reply:
        return good([{"code": bank.code, "name": bank.name} for bank in banks])

    def resolved(self, name: str) -> Reply:
        return good(
            {
                "accountName": name,
                "accountNumber": self.account_number,
                "bank": {"code": self.bank_code, "name": "ACCESS BANK"},
            }
        )

    def unresolvable(self) -> Reply:
        return bad("Account details was not found")

    def credit(self, psp_id: str, minor: int) -> Reply:
        amount = to_text(self.money(minor))
        return good(transaction(id=psp_id, type="credit", amount=amount, clientReference=None))

    def debit(self, psp_id: str) -> Reply:
        return good(transaction(id=psp_id))

    def webhook(self, status: OutcomeKind) -> bytes:
        word = WORDS[status]
        tree = {"event": f"transaction.{word}", "data": transaction(status=word)}
        return json.dumps(tree, indent=1).encode()

    def sign(self, raw: bytes) -> Mapping[str, str]:
        return signed(raw)


def signed(raw: bytes, token: str = TOKEN) -> dict[str, str]:
    key = hashlib.sha256(token.encode()).hexdigest().encode("ascii")
    return {"X-Lenco-Signature": hmac.new(key, raw, hashlib.sha512).hexdigest()}
