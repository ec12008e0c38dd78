"""A transaction of the bank and its spelling in JSON (psp.md 1.2)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tidegate.clock import rfc3339
from tidegate.sandbox.bank.books import naira
from tidegate.sandbox.bank.institutions import BANKS, account_name

__all__ = ["Status", "Transaction", "details", "uuid_of"]


class Status(StrEnum):
    """The four words of v1; ``declined`` is listed there and never explained."""

    PENDING = "pending"
    SUCCESSFUL = "successful"
    FAILED = "failed"
    DECLINED = "declined"


@dataclass(slots=True)
class Transaction:
    """A debit (a transfer, with the caller's ``reference``) or a credit (empty ``reference``).

    Amounts are kobo, moments Unix milliseconds. While ``queued`` the bank has not attempted it and
    shows no transaction; ``hidden_until_ms`` keeps it out of every look-up.
    """

    id: str
    number: int
    reference: str
    account_id: str
    account_number: str
    bank_code: str
    amount: int
    fee: int
    narration: str
    created_ms: int
    kind: str = "debit"
    queued: bool = False
    status: Status = Status.PENDING
    initiated_ms: int | None = None
    completed_ms: int | None = None
    failed_ms: int | None = None
    reason: str | None = None
    hidden_until_ms: int = 0

    @property
    def session_id(self) -> str | None:
        """NIP session id, 30 digits: bank, moment, running number; only once something was sent."""
        if self.queued or self.kind != "debit":
            return None
        return f"{self.bank_code}{self.created_ms // 1000:012d}{self.number:012d}"

    def transaction_json(self, *, surplus: int = 0) -> dict[str, Any]:
        """The transaction object; a fault that shows other figures adds ``surplus`` kobo."""
        return {
            "id": self.id,
            "amount": naira(self.amount + surplus),
            "fee": naira(self.fee),
            "narration": self.narration,
            "type": self.kind,
            "initiatedAt": _moment(self.initiated_ms),
            "completedAt": _moment(self.completed_ms),
            "accountId": self.account_id,
            "details": details(self.account_number, self.bank_code),
            "status": self.status.value,
            "failedAt": _moment(self.failed_ms),
            "reasonForFailure": self.reason,
            "clientReference": self.reference or None,
            "transactionReference": self.id.replace("-", "")[:10],
            "nipSessionId": self.session_id,
        }

    def pair_json(self, *, surplus: int = 0) -> dict[str, Any]:
        """``{request, transaction}``, the answer of the queued way; no transaction while queued."""
        return {
            "request": {
                "accountId": self.account_id,
                "recipientId": None,
                "accountNumber": self.account_number,
                "bankCode": self.bank_code,
                "amount": naira(self.amount + surplus),
                "narration": self.narration,
                "reference": self.reference,
                "status": "queued" if self.queued else "created",
            },
            "transaction": None if self.queued else self.transaction_json(surplus=surplus),
        }


def details(account_number: str, bank_code: str) -> dict[str, Any]:
    """``{accountName, accountNumber, bank {code, name}}``, as in transactions and name enquiry."""
    return {
        "accountName": account_name(account_number),
        "accountNumber": account_number,
        "bank": {"code": bank_code, "name": BANKS.get(bank_code, "")},
    }


def uuid_of(text: str) -> str:
    """36 characters in the shape of a UUID, the same for the same text."""
    digits = hashlib.sha256(text.encode()).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:32]}"


def _moment(instant_ms: int | None) -> str | None:
    return None if instant_ms is None else rfc3339(instant_ms)
