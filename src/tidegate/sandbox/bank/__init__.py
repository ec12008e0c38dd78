"""A bank that speaks Lenco v1 (psp.md 1), with its own books and every fault it may have."""

from tidegate.sandbox.bank.books import Books, Kind, Line, Place
from tidegate.sandbox.bank.institutions import BANKS, MAGIC_ACCOUNTS, account_name
from tidegate.sandbox.bank.server import SandboxBank
from tidegate.sandbox.bank.transactions import Status, Transaction
from tidegate.sandbox.bank.webhooks import sign, webhook_key

__all__ = [
    "BANKS",
    "MAGIC_ACCOUNTS",
    "Books",
    "Kind",
    "Line",
    "Place",
    "SandboxBank",
    "Status",
    "Transaction",
    "account_name",
    "sign",
    "webhook_key",
]
