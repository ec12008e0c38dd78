"""Lenco v1 as a :class:`~tidegate.ports.bank.Bank`. Source: ``contracts/psp.md`` 1 and 3.

Transfers go through the queued ``POST /transfer`` only: whether it shares one space of
references with ``POST /transactions`` is not documented, so the latter is never used (1.2).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tidegate.adapters.http import HttpClient
from tidegate.adapters.lenco import tables
from tidegate.adapters.lenco.client import (
    LOOKUP_BUDGET_S,
    SUBMIT_TIMEOUT_S,
    LencoClient,
    Said,
)
from tidegate.adapters.lenco.reading import read_lookup, read_submit, unavailable
from tidegate.adapters.lenco.webhooks import LencoWebhooks
from tidegate.clock import Clock
from tidegate.errors import (
    InvalidAccount,
    InvalidAmount,
    UnsupportedCurrency,
    UnsupportedInstitution,
)
from tidegate.money.amount import Money, parse_balance, to_text
from tidegate.money.currency import parse_currency
from tidegate.ports.bank import (
    BalanceReading,
    Capabilities,
    Credit,
    ListedBank,
    NotFound,
    NotResolvable,
    Outcome,
    PayoutRequest,
    Rejected,
    Resolved,
    StatementLine,
    Unavailable,
    WebhookEvent,
)
from tidegate.wire.fields import read_rfc3339

__all__ = ["LencoBank"]

_NAIRA: Final = parse_currency("NGN")
_ACCOUNT_NUMBER: Final = re.compile(r"[0-9]{10}")
_BANK_CODE: Final = re.compile(r"[0-9]{6}")
_REFERENCE: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")
_PAGES_MAX: Final = 50
# The size of a page is Lenco's; a busy account of a month is a thousand of them.
_STATEMENT_PAGES_MAX: Final = 5_000


class LencoBank:
    """One naira account at Lenco.

    ``base_url`` ends in ``/access/v1``. ``api_key`` signs in; ``previous_api_keys`` still
    authenticate webhooks for the time of a rotation (1.4). The owner of ``http`` may share it
    with nobody: :meth:`close` closes it.
    """

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str,
        account_id: str,
        http: HttpClient,
        clock: Clock,
        previous_api_keys: Sequence[str] = (),
        name: str = "lenco",
    ) -> None:
        self._name = name
        self._account_id = account_id
        self._client = LencoClient(base_url, api_key, http, clock)
        self._webhooks = LencoWebhooks([api_key, *previous_api_keys])

    @property
    def name(self) -> str:
        return self._name

    def capabilities(self) -> Capabilities:
        return Capabilities(
            currencies=frozenset({_NAIRA.code}),
            name_enquiry=True,
            submit_timeout_s=SUBMIT_TIMEOUT_S,
            lookup_timeout_s=LOOKUP_BUDGET_S,
        )

    def prepare(self, request: PayoutRequest) -> bytes:
        """Build the body of ``POST /transfer`` (1.2).

        Raises, before anything is stored or sent: ``UnsupportedCurrency`` for other than naira,
        ``InvalidAmount`` unless positive, ``InvalidAccount`` unless a 10-digit NUBAN,
        ``UnsupportedInstitution`` unless a 6-digit NIP code, ``ValueError`` for a reference that
        Lenco would refuse or an empty narration.
        """
        if request.amount.currency != _NAIRA:
            raise UnsupportedCurrency("This account pays naira only.")
        if request.amount.minor <= 0:
            raise InvalidAmount("The amount is not positive.")
        if _ACCOUNT_NUMBER.fullmatch(request.account_number) is None:
            raise InvalidAccount("The account number does not have ten digits.")
        if _BANK_CODE.fullmatch(request.psp_bank_code) is None:
            raise UnsupportedInstitution("The bank code does not have six digits.")
        if _REFERENCE.fullmatch(request.reference) is None:
            raise ValueError("the reference has characters that the PSP refuses")
        if not request.narration.strip():
            raise ValueError("the narration is empty")
        fields = {
            "accountId": self._account_id,
            "accountNumber": request.account_number,
            "amount": to_text(request.amount),
            "bankCode": request.psp_bank_code,
            "narration": request.narration,
            "reference": request.reference,
        }
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()

    async def submit(self, reference: str, body: bytes) -> Outcome:
        said = await self._client.post_transfer(body)
        return read_submit(said, reference, body, _NAIRA)

    async def lookup(self, reference: str) -> Outcome | NotFound | Unavailable:
        said = await self._client.get("lookup", "transfer", "by-reference", reference)
        return read_lookup(said, reference, _NAIRA)

    async def balance(self, currency: str) -> BalanceReading | Unavailable:
        """Read the account. Raises ``UnsupportedCurrency`` for other than naira."""
        if currency != _NAIRA.code:
            raise UnsupportedCurrency("This account holds naira only.")
        said = await self._client.get("balance", "account", self._account_id, "balance")
        data = _data(said)
        if not isinstance(data, dict) or data.get("currency") not in (None, _NAIRA.code):
            return unavailable(said)
        available = _reading(data.get("availableBalance"))
        if available is None:
            return unavailable(said)
        return BalanceReading(available, _reading(data.get("currentBalance")), said.exchange)

    async def banks(self, currency: str) -> tuple[ListedBank, ...] | Unavailable:
        """The whole list, all pages; a page that cannot be read makes all of it unavailable."""
        if currency != _NAIRA.code:
            raise UnsupportedCurrency("This account pays naira only.")
        found: list[ListedBank] = []
        page, pages = 1, 1
        while page <= min(pages, _PAGES_MAX):
            query = {"page": str(page)} if page > 1 else None
            said = await self._client.get("banks", "banks", query=query)
            rows = _data(said)
            if not isinstance(rows, list) or said.envelope is None:
                return unavailable(said)
            for row in rows:
                if not _is_bank(row):
                    return unavailable(said)
                found.append(ListedBank(row["code"], row["name"]))
            page, pages = page + 1, said.envelope.pages
        return tuple(found)

    async def resolve(
        self, psp_bank_code: str, account_number: str
    ) -> Resolved | NotResolvable | Unavailable:
        query = {"accountNumber": account_number, "bankCode": psp_bank_code}
        said = await self._client.get("resolve", "resolve", query=query)
        data = _data(said)
        if isinstance(data, dict):
            name, number = data.get("accountName"), data.get("accountNumber")
            # A name for another account than asked about would be worse than none.
            if isinstance(name, str) and name.strip() and number in (None, account_number):
                return Resolved(name.strip(), said.exchange)
            return unavailable(said)
        envelope = said.envelope
        if said.http in (400, 404, 422) and envelope is not None and not envelope.ok:
            by_code = envelope.code in tables.NOT_RESOLVABLE_CODES
            by_text = envelope.code is None and tables.NOT_RESOLVABLE_TEXT.search(envelope.message)
            if by_code or by_text:
                return NotResolvable(said.exchange)
        return unavailable(said)

    async def credit(self, psp_id: str) -> Credit | NotFound | Unavailable:
        """Read ``GET /transaction/{id}``: a successful credit of this very account, or no credit.

        One that is pending is ``NotFound`` too: it may be asked about again.
        """
        said = await self._client.get("credit", "transaction", psp_id)
        envelope = said.envelope
        if said.http in (400, 404) and envelope is not None and not envelope.ok:
            found = tables.NOT_FOUND_TEXT.search(envelope.message)
            if envelope.code in tables.NOT_FOUND_CODES or (envelope.code is None and found):
                return NotFound(said.exchange)
        data = _data(said)
        if not isinstance(data, dict) or data.get("id") != psp_id:
            return unavailable(said)
        if data.get("type") != "credit" or data.get("status") != "successful":
            return NotFound(said.exchange)
        if data.get("accountId") not in (None, self._account_id):
            return NotFound(said.exchange)
        amount = _reading(data.get("amount"))
        if amount is None or amount.minor <= 0:
            return unavailable(said)
        completed = data.get("completedAt")
        completed_ms = read_rfc3339(completed) if isinstance(completed, str) else None
        return Credit(psp_id, amount, said.exchange, completed_ms)

    async def statement(
        self, currency: str, since_ms: int
    ) -> tuple[StatementLine, ...] | Unavailable:
        """Read ``GET /transactions`` page by page, without its undocumented filters.

        It ends early once a page is older than ``since_ms`` altogether, if every page so far came
        newest first; nothing says that they must. A line that moves down while pages are read is
        read twice, never missed.
        """
        if currency != _NAIRA.code:
            raise UnsupportedCurrency("This account holds naira only.")
        found: dict[str, StatementLine] = {}
        newest_first, oldest_ms = True, None
        page, pages = 1, 1
        while page <= pages:
            query = {"page": str(page)} if page > 1 else None
            said = await self._client.get("statement", "transactions", query=query)
            rows = _data(said)
            if not isinstance(rows, list) or said.envelope is None or page > _STATEMENT_PAGES_MAX:
                return unavailable(said)
            lines = [_line(row) for row in rows]
            for line in lines:
                if line is None:
                    return unavailable(said)
                found[line.psp_id] = line
                if line.at_ms is not None:
                    newest_first &= oldest_ms is None or line.at_ms <= oldest_ms
                    oldest_ms = line.at_ms
            old = [line for line in lines if line and (line.at_ms or since_ms) < since_ms]
            if not lines or (newest_first and len(old) == len(lines)):
                break
            page, pages = page + 1, said.envelope.pages
        return tuple(found.values())

    def authenticate_webhook(self, headers: Mapping[str, str], raw: bytes) -> Rejected | None:
        return self._webhooks.authenticate(headers, raw)

    def read_webhook(self, raw: bytes) -> WebhookEvent | Rejected:
        return self._webhooks.read(raw)

    async def close(self) -> None:
        await self._client.close()


def _data(said: Said) -> Any:
    """``data`` of a good answer, else ``None``."""
    good = said.http is not None and 200 <= said.http < 300
    return said.envelope.data if good and said.envelope is not None and said.envelope.ok else None


def _reading(value: object) -> Money | None:
    if not isinstance(value, str | int) or isinstance(value, bool):
        return None
    try:
        return parse_balance(value, _NAIRA, may_be_negative=True)
    except InvalidAmount:
        return None


def _line(row: object) -> StatementLine | None:
    """A line of the statement; ``None`` for what is none."""
    if not isinstance(row, dict) or not isinstance(row.get("id"), str):
        return None
    reference = row.get("clientReference")
    told = (row.get(name) for name in ("initiatedAt", "completedAt", "failedAt"))
    instants = (read_rfc3339(text) for text in told if isinstance(text, str))
    at_ms = next((instant for instant in instants if instant is not None), None)
    return StatementLine(row["id"], reference if isinstance(reference, str) else None, at_ms)


def _is_bank(row: object) -> bool:
    return (
        isinstance(row, dict)
        and isinstance(row.get("code"), str)
        and isinstance(row.get("name"), str)
    )
