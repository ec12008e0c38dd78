"""The transfer desk: refuses or creates transfers, and decides later what becomes of them.

No HTTP here. A transfer is debited when it is created (a queued one when it is attempted), paid or
returned when it is decided. A reversal has no word of its own in v1, so a reversed transfer turns
``failed`` after having been ``successful``; the amount comes back, the fee stays charged.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Coroutine, Mapping
from decimal import Decimal
from typing import Any, Final

from tidegate.clock import Clock, Randomness
from tidegate.sandbox.bank.books import Books, Kind, kobo
from tidegate.sandbox.bank.institutions import BANKS, FAILURE_REASONS, MAGIC_ACCOUNTS
from tidegate.sandbox.bank.patience import Patience
from tidegate.sandbox.bank.transactions import Status, Transaction, uuid_of
from tidegate.sandbox.bank.webhooks import Courier
from tidegate.sandbox.faults import BankFault, BankFaults

__all__ = ["Refusal", "TransferDesk"]

_AMOUNT: Final = re.compile(r"[0-9]{1,13}(?:\.[0-9]{1,2})?", re.ASCII)
_REFERENCE: Final = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)
_ACCOUNT_NUMBER: Final = re.compile(r"[0-9]{10}", re.ASCII)
_BANK_CODE: Final = re.compile(r"[0-9]{6}", re.ASCII)
# Whose money a credit is said to come from.
_TREASURY: Final = ("0011223344", "000014")

# In the order of the enum: the first of these that is set decides.
_FAILURES: Final[Mapping[BankFault, str]] = {
    BankFault.FAILED_UNSUCCESSFUL: FAILURE_REASONS["unsuccessful"],
    BankFault.FAILED_BANK_UNAVAILABLE: FAILURE_REASONS["bank_unavailable"],
    BankFault.FAILED_MALFUNCTION: FAILURE_REASONS["malfunction"],
    BankFault.FAILED_TIMEOUT: FAILURE_REASONS["timeout"],
    BankFault.FAILED_INSUFFICIENT: FAILURE_REASONS["insufficient"],
}
_REFUSALS: Final[Mapping[BankFault, tuple[str, str]]] = {
    BankFault.INSUFFICIENT_FUNDS: ("02", "Insufficient funds in account"),
    BankFault.LIMIT_EXCEEDED: ("03", "Account transfer limit exceeded"),
    BankFault.RECIPIENT_INVALID: ("05", "Invalid recipient account"),
    BankFault.ACCOUNT_RESTRICTED: ("06", "Restriction on debit account"),
}


class Refusal(Exception):
    """HTTP 400 before anything was created: ``code`` of psp.md 1.1, or none.

    ``errors`` maps the reference to its error, or is empty.
    """

    def __init__(
        self, message: str, code: str | None = None, errors: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.errors = errors or {}


class TransferDesk:
    """Transfers by reference and the books behind them."""

    def __init__(
        self,
        clock: Clock,
        randomness: Randomness,
        patience: Patience,
        courier: Courier,
        faults: BankFaults,
        *,
        account_id: str,
        opening_balance: Decimal,
        fee: Decimal,
        decision_delay_s: float | tuple[float, float],
    ) -> None:
        self.books = Books()
        self.transfers: dict[str, Transaction] = {}
        self.transactions: dict[str, Transaction] = {}
        self.account_id = account_id
        self.fee = kobo(fee)
        self.decision_delay_s = decision_delay_s
        self._clock = clock
        self._randomness = randomness
        self._patience = patience
        self._courier = courier
        self._faults = faults
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self.books.write(clock.now_ms(), Kind.OPENING, kobo(opening_balance))

    def create(self, order: Mapping[str, Any], *, queue: bool) -> Transaction:
        """Create the transfer that was asked for; raises :class:`Refusal`, and then nothing is.

        ``queue`` is the way of ``POST /transfer``: the answer says ``queued`` and the attempt
        follows. Every check comes before the first change.
        """
        reference, account_number, bank_code = _checked(order, self.account_id)
        faults = self._faults.plan.for_key(reference, account_number)
        if reference in self.transfers:
            if BankFault.DUPLICATE_WITHOUT_CODE in faults:
                raise Refusal("Duplicate client reference")
            raise _refusal("04", "Duplicate client reference", reference)
        for fault, (code, message) in _REFUSALS.items():
            if fault in faults:
                raise Refusal(message, code)
        if bank_code not in BANKS:
            raise Refusal("Invalid recipient account", "05")
        amount = kobo(Decimal(order["amount"]))
        if self.books.balance() < amount + self.fee:
            raise Refusal("Insufficient funds in account", "02")

        now = self._clock.now_ms()
        hidden_ms = (
            round(self._faults.not_found_s * 1000) if BankFault.NOT_FOUND_AT_FIRST in faults else 0
        )
        transfer = self._new(
            reference=reference,
            account_number=account_number,
            bank_code=bank_code,
            amount=amount,
            fee=self.fee,
            narration=order["narration"],
            queued=queue,
            hidden_until_ms=now + hidden_ms if hidden_ms else 0,
        )
        self.transfers[reference] = transfer
        if not (queue and BankFault.QUEUED in faults):
            self._debit(transfer)
        self._courier.forge_success(transfer)
        return transfer

    def proceed(self, transfer: Transaction) -> None:
        """Let a created transfer live on by itself: attempt, delay, decision, what comes after."""
        delay_s = self._delay()
        if delay_s <= 0 and transfer.initiated_ms is not None:
            # No task and no timer: right after the answer has been written.
            asyncio.get_running_loop().call_soon(self._attempt_and_decide, transfer)
        else:
            self._spawn(self._live(transfer, delay_s))

    async def finish(self, transfer: Transaction) -> None:
        """Attempt and decide before returning: the synchronous way of ``POST /transactions``."""
        delay_s = self._delay()
        if delay_s > 0 or transfer.initiated_ms is None:
            await self._live(transfer, delay_s)
        else:
            self._attempt_and_decide(transfer)

    def visible(self, transaction: Transaction | None) -> bool:
        """Whether look-ups show it by now."""
        return transaction is not None and transaction.hidden_until_ms <= self._clock.now_ms()

    def settle(self, transfer: Transaction, status: Status, reason: str | None = None) -> None:
        """Decide a pending or declined transfer (or pay a failed one after all).

        Books, fields and webhook follow. Raises ``ValueError`` for a step that is not possible.
        """
        now = self._clock.now_ms()
        before = transfer.status
        if transfer.queued or before is status or before is Status.SUCCESSFUL:
            raise ValueError(f"{transfer.reference} cannot turn from {before} to {status}")
        if before is Status.FAILED:
            if status is not Status.SUCCESSFUL:
                raise ValueError(f"{transfer.reference} cannot turn from {before} to {status}")
            transfer.fee = self.fee
            self._debit(transfer)
        transfer.status = status
        transfer.reason = reason
        transfer.failed_ms = None
        if status is Status.SUCCESSFUL:
            transfer.completed_ms = now
            self.books.write(now, Kind.PAID, transfer.amount, transfer.reference)
        elif status is Status.FAILED:
            transfer.failed_ms = now
            if transfer.initiated_ms is not None:
                self.books.write(now, Kind.REFUND, transfer.amount, transfer.reference)
                self.books.write(now, Kind.FEE_REFUND, transfer.fee, transfer.reference)
            transfer.fee = 0
        if status in (Status.SUCCESSFUL, Status.FAILED):
            self._courier.announce(transfer)

    def reverse(self, reference: str, *, with_fee: bool = False) -> Transaction:
        """Take a successful transfer back: ``failed``, money returned, ``transaction.failed`` sent.

        Raises ``KeyError`` for an unknown reference, ``ValueError`` if it was not successful.
        """
        transfer = self.transfers[reference]
        if transfer.status is not Status.SUCCESSFUL:
            raise ValueError(f"{reference} is {transfer.status}: only a success can be reversed")
        now = self._clock.now_ms()
        transfer.status = Status.FAILED
        transfer.failed_ms = now
        transfer.reason = "Transaction reversed"
        self.books.write(now, Kind.REVERSAL, transfer.amount, reference)
        if with_fee:
            self.books.write(now, Kind.FEE_REFUND, transfer.fee, reference)
            transfer.fee = 0
        self._courier.announce(transfer)
        return transfer

    def fund(self, amount: Decimal) -> Transaction:
        """Money comes in: a ``credit`` transaction with its own webhook."""
        now = self._clock.now_ms()
        account_number, bank_code = _TREASURY
        credit = self._new(
            reference="",
            account_number=account_number,
            bank_code=bank_code,
            amount=kobo(amount),
            fee=0,
            narration="Deposit",
            kind="credit",
            status=Status.SUCCESSFUL,
            initiated_ms=now,
            completed_ms=now,
        )
        self.books.write(now, Kind.CREDIT, credit.amount)
        self._courier.announce(credit)
        return credit

    def withdraw(self, amount: Decimal) -> None:
        """Money leaves without a word to anybody: no transaction, no webhook."""
        self.books.write(self._clock.now_ms(), Kind.WITHDRAWAL, kobo(amount))

    def reveal(self) -> None:
        """Show every transfer that a fault has been hiding."""
        for transfer in self.transfers.values():
            transfer.hidden_until_ms = 0

    async def stop(self) -> None:
        """End what is going on; undecided transfers stay as they are."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _new(self, **fields: Any) -> Transaction:
        number = next(self._numbers)
        transaction = Transaction(
            id=uuid_of(f"{self.account_id}/{number}"),
            number=number,
            account_id=self.account_id,
            created_ms=self._clock.now_ms(),
            **fields,
        )
        self.transactions[transaction.id] = transaction
        return transaction

    def _delay(self) -> float:
        if isinstance(self.decision_delay_s, tuple):
            return self._randomness.uniform(*self.decision_delay_s)
        return self.decision_delay_s

    def _debit(self, transfer: Transaction) -> None:
        now = transfer.initiated_ms = self._clock.now_ms()
        self.books.write(now, Kind.DEBIT, transfer.amount, transfer.reference)
        self.books.write(now, Kind.FEE, transfer.fee, transfer.reference)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _live(self, transfer: Transaction, delay_s: float) -> None:
        if transfer.initiated_ms is None:
            await self._patience.pause(self._faults.queued_s)
            if self.books.balance() < transfer.amount + transfer.fee:
                transfer.queued = False
                self.settle(transfer, Status.FAILED, FAILURE_REASONS["insufficient"])
                return
            self._debit(transfer)
        transfer.queued = False
        if delay_s > 0:
            await self._clock.sleep(delay_s)
        self._attempt_and_decide(transfer)

    def _attempt_and_decide(self, transfer: Transaction) -> None:
        transfer.queued = False
        if transfer.status is not Status.PENDING:
            # Somebody has decided it by hand meanwhile.
            return
        faults = self._faults.plan.for_key(transfer.reference, transfer.account_number)
        reason = MAGIC_ACCOUNTS.get((transfer.account_number, transfer.bank_code))
        for fault, its_reason in _FAILURES.items():
            if fault in faults:
                reason = reason or its_reason
        if reason is not None:
            self.settle(transfer, Status.FAILED, reason)
        elif BankFault.DECLINED in faults:
            self.settle(transfer, Status.DECLINED)
        elif BankFault.FAILED_THEN_PAID in faults:
            self.settle(transfer, Status.FAILED, FAILURE_REASONS["timeout"])
            self._spawn(self._pay_after_all(transfer))
        else:
            self.settle(transfer, Status.SUCCESSFUL)
            if BankFault.REVERSED in faults:
                self._spawn(self._reverse_later(transfer))

    # Healing cuts the pause short, and then nothing more goes wrong: no turn of either kind.

    async def _pay_after_all(self, transfer: Transaction) -> None:
        passed = await self._patience.pause(self._faults.failed_then_paid_s)
        if passed and transfer.status is Status.FAILED:
            self.settle(transfer, Status.SUCCESSFUL)

    async def _reverse_later(self, transfer: Transaction) -> None:
        passed = await self._patience.pause(self._faults.reversed_s)
        if passed and transfer.status is Status.SUCCESSFUL:
            self.reverse(transfer.reference)


def _checked(order: Mapping[str, Any], account_id: str) -> tuple[str, str, str]:
    """Reference, account number and bank code of a well-formed order (psp.md 1.2)."""
    reference = order.get("reference")
    if not isinstance(reference, str) or not reference:
        raise Refusal("reference is required", "01")
    if not _REFERENCE.fullmatch(reference):
        raise _refusal("04", "Invalid client reference", reference)
    if order.get("accountId") != account_id:
        raise _refusal("01", "accountId is not an account of yours", reference)
    amount = order.get("amount")
    if not isinstance(amount, str) or not _AMOUNT.fullmatch(amount) or Decimal(amount) <= 0:
        raise _refusal("01", "amount must be a positive decimal string", reference)
    narration = order.get("narration")
    if not isinstance(narration, str) or not narration.strip():
        raise _refusal("01", "narration is required", reference)
    account_number, bank_code = order.get("accountNumber"), order.get("bankCode")
    if account_number is None and bank_code is None and order.get("recipientId"):
        # This bank keeps no saved recipients, so no id can be one.
        raise Refusal("Invalid recipient account", "05")
    if not isinstance(account_number, str) or not _ACCOUNT_NUMBER.fullmatch(account_number):
        raise _refusal("01", "accountNumber must have 10 digits", reference)
    if not isinstance(bank_code, str) or not _BANK_CODE.fullmatch(bank_code):
        raise _refusal("01", "bankCode must be a 6-digit NIP code", reference)
    return reference, account_number, bank_code


def _refusal(code: str, message: str, reference: str) -> Refusal:
    """A refusal that names its reference in ``errors``."""
    return Refusal(message, code, {reference: {"errorCode": code, "errorMessage": message}})
