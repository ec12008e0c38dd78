"""The bank: Lenco v1 with books of its own (psp.md 1)."""

from __future__ import annotations

import json
import re
import time
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.acceptance.counterparty.script import Scripts
from tests.acceptance.counterparty.server import Answer, Call, Double, Reply, send
from tests.acceptance.counterparty.signing import lenco_signature

__all__ = ["ACCOUNT_ID", "FEE", "OPENING", "TOKEN", "Lenco", "Transfer"]

TOKEN = "lenco-token-of-the-counterparty-0123456789"
ACCOUNT_ID = "0c7a9f52-6b1e-4f0e-8a55-3f8d2f6f9a01"
OPENING = Decimal("50000000.00")
FEE = Decimal("43.50")

BANKS = {
    "000014": "ACCESS BANK",
    "000013": "GTBANK PLC",
    "000015": "ZENITH BANK PLC",
    "000016": "FIRST BANK OF NIGERIA",
    "000004": "UNITED BANK FOR AFRICA",
    "090267": "KUDA MICROFINANCE BANK",
    "100004": "OPAY",
}

_FIELDS = {"accountId", "accountNumber", "bankCode", "amount", "narration", "reference"}
_REFERENCE = re.compile(r"[a-z0-9][a-z0-9-]{14,26}[a-z0-9]")


@dataclass(slots=True)
class Transfer:
    """One transfer. ``plan`` holds the statuses that later look-ups find, the last for ever.

    Statuses are Lenco's, and ``queued`` for a request that has no transaction yet.
    """

    body: dict[str, Any]
    amount: Decimal
    status: str
    plan: list[str]
    reason: str | None
    told_amount: Decimal
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    short_id: str = field(default_factory=lambda: uuid.uuid4().hex[:10])
    looks: int = 0
    was_paid: bool = False

    @property
    def reference(self) -> str:
        return str(self.body["reference"])

    @property
    def account(self) -> str:
        return str(self.body["accountNumber"])


@dataclass(slots=True)
class _Plan:
    statuses: list[str]
    reason: str | None
    told_amount: Decimal | None


class Lenco(Double):
    """Scripts: ``transfer`` and ``lookup`` by the recipient's account number, ``balance``,
    ``banks`` and ``resolve`` by ``""``. A transfer that nobody planned succeeds at once.
    """

    def __init__(self) -> None:
        self.scripts = Scripts()
        self.balance = OPENING
        self.transfers: dict[str, Transfer] = {}
        # Every POST that arrived, acted upon or not: (account number, body bytes).
        self.posts: list[tuple[str, bytes]] = []
        self.lookups: list[tuple[str, float]] = []
        self.asked: dict[str, int] = {"balance": 0, "banks": 0, "resolve": 0}
        self.node_url = ""
        self._plans: dict[str, _Plan] = {}
        self._accounts: dict[str, str] = {}
        super().__init__()

    def plan(
        self,
        account: str,
        *statuses: str,
        reason: str | None = None,
        told_amount: str | None = None,
    ) -> None:
        """Decide what the answer to the POST and the later look-ups say of this recipient."""
        told = Decimal(told_amount) if told_amount else None
        self._plans[account] = _Plan(list(statuses), reason, told)

    # -- the bank's own truth

    def to(self, account: str) -> list[Transfer]:
        """The transfers to a recipient, oldest first."""
        with self.lock:
            return [each for each in self.transfers.values() if each.account == account]

    def posts_to(self, account: str) -> list[bytes]:
        with self.lock:
            return [body for number, body in self.posts if number == account]

    def lookups_of(self, account: str) -> int:
        with self.lock:
            return sum(number == account for number, _ in self.lookups)

    def truth(self, account: str) -> str:
        """``nothing`` created, ``open``, ``paid`` or ``failed``."""
        statuses = {each.status for each in self.to(account)}
        if "successful" in statuses:
            return "paid"
        if statuses - {"failed"}:
            return "open"
        return "failed" if statuses else "nothing"

    def settle(self, account: str, status: str, reason: str | None = None) -> Transfer:
        """Move a recipient's newest transfer on by hand."""
        with self.lock:
            transfer = self.to(account)[-1]
            transfer.plan = []
            transfer.reason = reason
            self._become(transfer, status)
            return transfer

    def _become(self, transfer: Transfer, status: str) -> None:
        cost = transfer.amount + FEE
        if status == "failed" and transfer.status != "failed":
            self.balance += cost
        elif transfer.status == "failed" and status != "failed":
            self.balance -= cost
        if status == "successful":
            transfer.was_paid = True
        transfer.status = status

    # -- webhooks

    def event(self, transfer: Transfer, status: str | None = None) -> bytes:
        """The body of a webhook about a transfer."""
        data = self._transaction(transfer) | ({"status": status} if status else {})
        return json.dumps({"event": f"transaction.{data['status']}", "data": data}).encode()

    def tell(self, body: bytes, signature: str | None = None, path: str = "") -> Answer:
        """Deliver a webhook, signed over the raw bytes."""
        headers = {
            "Content-Type": "application/json",
            "X-Lenco-Signature": lenco_signature(TOKEN, body) if signature is None else signature,
        }
        return send("POST", f"{self.node_url}/webhooks/psp{path}", body, headers)

    # -- calls from the node

    def handle(self, call: Call) -> Reply | None:
        if call.headers.get("authorization") != f"Bearer {TOKEN}":
            self.fault("asked without the bearer token")
            return _no(401, "Unauthorized")
        path = call.path.removeprefix("/access/v1")
        if call.method == "POST":
            if path == "/transfer":
                return self._transfer(call)
            self.fault(f"POST {path}: only /transfer moves money here (psp.md 1.2)")
            return _no(404, "Not found")
        for prefix in ("/transfer/by-reference/", "/transaction-by-reference/"):
            if path.startswith(prefix):
                return self._lookup(path.removeprefix(prefix), bare=prefix.startswith("/transac"))
        if path.startswith("/transaction/"):
            return self._by_id(path.removeprefix("/transaction/"))
        if path == f"/account/{ACCOUNT_ID}/balance":
            return self._asked("balance", self._balance)
        if path == f"/account/{ACCOUNT_ID}":
            return _yes({"id": ACCOUNT_ID, "name": "Float", "status": "active", **self._figures()})
        if path == "/banks":
            return self._asked("banks", lambda: _yes(_named(BANKS)))
        if path == "/resolve":
            return self._asked("resolve", lambda: self._resolve(call.query))
        if path == "/transactions":
            with self.lock:
                found = [self._transaction(each) for each in self.transfers.values()]
            return _yes(found, {"total": len(found), "perPage": 50, "currentPage": 1})
        self.fault(f"GET {path} does not exist")
        return _no(404, "Not found")

    def _asked(self, name: str, do: Any) -> Reply | None:
        with self.lock:
            self.asked[name] += 1
        return self.follow(self.scripts.next(name, ""), do)

    def _figures(self) -> dict[str, str]:
        with self.lock:
            text = f"{self.balance:.2f}"
        return {"availableBalance": text, "currentBalance": text, "currency": "NGN"}

    def _balance(self) -> Reply:
        return _yes(self._figures())

    def _resolve(self, query: dict[str, str]) -> Reply:
        code = query.get("bankCode", "")
        bank = {"code": code, "name": BANKS.get(code, "")}
        number = query.get("accountNumber", "")
        if code not in BANKS or not re.fullmatch(r"\d{10}", number):
            return _no(400, "Account details was not found")
        return _yes({"accountName": "ADA OBI", "accountNumber": number, "bank": bank})

    def _transfer(self, call: Call) -> Reply | None:
        body = call.json if isinstance(call.json, dict) else {}
        account, reference = str(body.get("accountNumber")), str(body.get("reference"))
        with self.lock:
            self._judge(call, body, account, reference)
            self.posts.append((account, call.body))
            self._accounts.setdefault(reference, account)
        return self.follow(self.scripts.next("transfer", account), lambda: self._create(body))

    def _judge(self, call: Call, body: dict[str, Any], account: str, reference: str) -> None:
        if set(body) != _FIELDS or not all(isinstance(each, str) for each in body.values()):
            self.fault(f"transfer with other fields than the contract's: {body}")
            return
        if body["accountId"] != ACCOUNT_ID:
            self.fault("transfer from another account")
        if not re.fullmatch(r"\d+\.\d{2}", body["amount"]) or not body["narration"].strip():
            self.fault(f"transfer with amount {body['amount']!r}, narration {body['narration']!r}")
        if not re.fullmatch(r"\d{10}", account) or body["bankCode"] not in BANKS:
            self.fault(f"transfer to {account!r} at {body['bankCode']!r}")
        if not _REFERENCE.fullmatch(reference):
            self.fault(f"reference {reference!r} does not fit everywhere (psp.md 3.8)")
        for number, bytes_ in self.posts:
            if number == account and json.loads(bytes_)["reference"] == reference:
                if bytes_ != call.body:
                    self.fault("one reference with two bodies (psp.md 3.4)")
            elif number == account and self.truth(account) in ("open", "paid"):
                self.fault("a second attempt while the first was not over (psp.md 3.2)")

    def _create(self, body: dict[str, Any]) -> Reply:
        with self.lock:
            if body["reference"] in self.transfers:
                return _no(400, "Duplicate client reference")
            amount = Decimal(body["amount"])
            if amount + FEE > self.balance:
                return _no(400, "Insufficient funds", errorCode="02")
            plan = self._plans.get(body["accountNumber"], _Plan(["successful"], None, None))
            statuses = list(plan.statuses)
            told = amount if plan.told_amount is None else plan.told_amount
            transfer = Transfer(body, amount, "pending", statuses[1:], plan.reason, told)
            self.transfers[transfer.reference] = transfer
            self.balance -= amount + FEE
            self._become(transfer, statuses[0])
            return _yes(self._pair(transfer))

    def _lookup(self, reference: str, *, bare: bool) -> Reply | None:
        with self.lock:
            account = self._accounts.get(reference, "")
            self.lookups.append((account, time.monotonic()))

        def find() -> Reply:
            with self.lock:
                transfer = self.transfers.get(reference)
                if transfer is None:
                    return _no(400, "Transaction was not found")
                transfer.looks += 1
                if transfer.plan:
                    self._become(transfer, transfer.plan.pop(0))
                pair = self._pair(transfer)
                return _yes(pair["transaction"] if bare else pair)

        return self.follow(self.scripts.next("lookup", account), find)

    def _by_id(self, id_: str) -> Reply:
        with self.lock:
            for transfer in self.transfers.values():
                if transfer.id == id_:
                    return _yes(self._transaction(transfer))
        return _no(400, "Transaction was not found")

    def _pair(self, transfer: Transfer) -> dict[str, Any]:
        queued = transfer.status == "queued"
        told = {**transfer.body, "recipientId": None, "amount": f"{transfer.told_amount:.2f}"}
        told["status"] = "queued" if queued else "created"
        return {"request": told, "transaction": None if queued else self._transaction(transfer)}

    def _transaction(self, transfer: Transfer) -> dict[str, Any]:
        code = transfer.body["bankCode"]
        done = transfer.status == "successful"
        return {
            "id": transfer.id,
            "amount": f"{transfer.told_amount:.2f}",
            "fee": f"{FEE:.2f}",
            "narration": transfer.body["narration"],
            "type": "debit",
            "initiatedAt": "2026-11-21T10:00:00.000Z",
            "completedAt": "2026-11-21T10:00:01.000Z" if done else None,
            "accountId": ACCOUNT_ID,
            "details": {
                "accountName": "ADA OBI",
                "accountNumber": transfer.account,
                "bank": {"code": code, "name": BANKS[code]},
            },
            "status": "pending" if transfer.status == "queued" else transfer.status,
            "failedAt": "2026-11-21T10:00:01.000Z" if transfer.status == "failed" else None,
            "reasonForFailure": transfer.reason if transfer.status == "failed" else None,
            "clientReference": transfer.reference,
            "transactionReference": transfer.short_id,
            "nipSessionId": "0000142611211000000123456789" + "01" if done else None,
        }


def _named(banks: dict[str, str]) -> list[dict[str, str]]:
    return [{"code": code, "name": name} for code, name in banks.items()]


def _yes(data: Any, meta: dict[str, int] | None = None) -> Reply:
    return Reply(
        200, {"status": True, "message": "", "data": data} | ({"meta": meta} if meta else {})
    )


def _no(status: int, message: str, **more: Any) -> Reply:
    return Reply(status, {"status": False, "message": message, "data": [], **more})
