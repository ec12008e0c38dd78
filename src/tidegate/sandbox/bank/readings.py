"""What may be read that concerns no single transfer: accounts, balance, banks, names, lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from tidegate.clock import rfc3339
from tidegate.sandbox.bank.answers import failure, good
from tidegate.sandbox.bank.books import Place, naira
from tidegate.sandbox.bank.desk import TransferDesk
from tidegate.sandbox.bank.institutions import BANKS
from tidegate.sandbox.bank.transactions import Transaction, details

__all__ = ["Readings"]

_PER_PAGE: Final = 50
_PER_PAGE_MAX: Final = 100
# The debited account's own bank details.
_OWN_ACCOUNT: Final = ("9900112233", "090405")


class Readings:
    """Answers made from the desk's books and transactions (psp.md 1.2)."""

    def __init__(self, desk: TransferDesk, *, created_ms: int) -> None:
        self._desk = desk
        self._created_ms = created_ms
        self._bank_list = [{"code": code, "name": name} for code, name in BANKS.items()]

    def accounts(self) -> web.Response:
        """The one account, as a list of one page."""
        return good([self._account_json()], _meta(1, 1, _PER_PAGE))

    def account(self, account_id: str) -> web.Response:
        """The account object; 404 for any other id."""
        if account_id != self._desk.account_id:
            return failure(404, "Account was not found")
        return good(self._account_json())

    def balance(self, account_id: str) -> web.Response:
        """``{availableBalance, currentBalance, currency}``; 404 for any other id."""
        if account_id != self._desk.account_id:
            return failure(404, "Account was not found")
        return good({**self._balances(), "currency": "NGN"})

    def banks(self) -> web.Response:
        """``[{code, name}]``."""
        return good(self._bank_list)

    def resolve(self, query: Mapping[str, str], *, invalid: bool) -> web.Response:
        """Name enquiry; 400 with errorCode 05 for what is no account, or said to be ``invalid``."""
        account_number, bank_code = query.get("accountNumber", ""), query.get("bankCode", "")
        ten_digits = (
            len(account_number) == 10 and account_number.isascii() and account_number.isdigit()
        )
        if invalid or not ten_digits or bank_code not in BANKS:
            return failure(400, "Invalid recipient account", errorCode="05")
        return good(details(account_number, bank_code))

    def transactions(self, query: Mapping[str, str]) -> web.Response:
        """Newest first, ``page`` from 1, ``limit`` up to 100; filters as in psp.md 1.2."""
        try:
            page = max(1, int(query.get("page", "1")))
            per_page = min(_PER_PAGE_MAX, max(1, int(query.get("limit", str(_PER_PAGE)))))
        except ValueError:
            return failure(400, "page must be a number", errorCode="01")
        shown = [
            transaction
            for transaction in reversed(self._desk.transactions.values())
            if not transaction.queued
            and self._desk.visible(transaction)
            and _matches(transaction, query)
        ]
        first = (page - 1) * per_page
        data = [transaction.transaction_json() for transaction in shown[first : first + per_page]]
        return good(data, _meta(len(shown), page, per_page))

    def _account_json(self) -> dict[str, Any]:
        return {
            "id": self._desk.account_id,
            "name": "Payouts",
            "bankAccount": details(*_OWN_ACCOUNT),
            "type": "Current",
            "status": "active",
            **self._balances(),
            "currency": "NGN",
            "createdAt": rfc3339(self._created_ms),
        }

    def _balances(self) -> dict[str, str]:
        # Money under way still counts in the current balance, no longer in the available one.
        available = self._desk.books.balance()
        current = available + self._desk.books.balance(Place.UNDER_WAY)
        return {"availableBalance": naira(available), "currentBalance": naira(current)}


def _meta(total: int, page: int, per_page: int) -> dict[str, int]:
    return {
        "total": total,
        "perPage": per_page,
        "currentPage": page,
        "pageCount": -(-total // per_page),
    }


def _matches(transaction: Transaction, query: Mapping[str, str]) -> bool:
    created = rfc3339(transaction.created_ms)
    wanted = query.get("search", "")
    end = query.get("end")
    return (
        query.get("type") in (None, transaction.kind)
        and query.get("status") in (None, transaction.status.value)
        and query.get("start", "") <= created
        and (end is None or created[: len(end)] <= end)
        and (wanted in transaction.reference or wanted in transaction.narration)
    )
