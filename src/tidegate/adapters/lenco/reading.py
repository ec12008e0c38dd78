"""From Lenco's answers to outcomes. Pure. Source: ``contracts/psp.md`` 1.2, 3.3, 3.4.

Whatever is not understood completely is ``UNKNOWN``: a transfer that might exist is looked up,
never sent again on a guess. What contradicts the transfer we asked for is held for a person too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from tidegate.adapters.exchanges import storable
from tidegate.adapters.http import FailureKind
from tidegate.adapters.lenco import tables
from tidegate.adapters.lenco.client import Envelope, Said
from tidegate.errors import InvalidAmount
from tidegate.money.amount import Money, parse_amount, parse_balance
from tidegate.money.currency import Currency
from tidegate.ports.bank import Fault, NotFound, Outcome, OutcomeKind, Unavailable

__all__ = ["read_lookup", "read_submit", "unavailable"]

_QUEUE_STATUSES: Final = frozenset({"queued", "created"})
_NO_ANSWER: Final = {
    FailureKind.NOT_REACHED: OutcomeKind.NOT_SENT,
    FailureKind.UNKNOWN: OutcomeKind.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class _Transfer:
    """Lenco's record of a transfer, as far as it can be read.

    ``amount`` is ``None`` when it is missing or unreadable; ``against`` holds sentences that make
    it not the transfer we mean.
    """

    kind: OutcomeKind
    reference: str | None
    amount: Money | None
    account_id: str | None
    account_number: str | None
    bank_code: str | None
    raw_status: str | None
    transaction: Mapping[str, Any] | None
    against: tuple[str, ...]


def read_submit(said: Said, reference: str, body: bytes, currency: Currency) -> Outcome:
    """Read the answer to ``POST /transfer`` (the table of 3.3, from the top).

    ``body`` is what was sent; the answer must repeat its figures. A 401 or 403 is ``REJECTED``;
    that is nothing about an attempt that was *unknown* before, which its caller has to know.
    """
    outcome = Outcome(OutcomeKind.UNKNOWN, reference, said.exchange)
    if said.failure is not None:
        kind = _NO_ANSWER[said.failure.kind]
        return replace(outcome, kind=kind, reason_text=said.failure.why)
    assert said.http is not None
    outcome = replace(outcome, retry_after_s=said.retry_after_s)
    if said.http in (401, 403):
        return replace(
            outcome,
            kind=OutcomeKind.REJECTED,
            reason_code="credentials",
            reason_text=said.envelope.message if said.envelope else None,
            fault=Fault.OURS,
        )
    if said.http == 429:
        return replace(outcome, reason_code="rate_limited", fault=Fault.PSP)
    if said.envelope is None:
        return replace(outcome, reason_code="unreadable_answer")
    if 200 <= said.http < 300:
        if not said.envelope.ok:
            # Seen, and not documented for writes: nobody knows what it did.
            return replace(
                outcome, reason_code="refused_with_200", reason_text=said.envelope.message
            )
        return _accepted(outcome, said.envelope, body, currency)
    if 400 <= said.http < 500:
        return _refused(outcome, said.http, said.envelope)
    return replace(outcome, reason_text=said.envelope.message or None)


def read_lookup(said: Said, reference: str, currency: Currency) -> Outcome | NotFound | Unavailable:
    """Read the answer to ``GET /transfer/by-reference/{reference}`` (3.4).

    The figures are Lenco's, for the caller to compare; only the reference is compared here.
    """
    envelope = said.envelope
    if said.http is None or envelope is None:
        return unavailable(said)
    if 200 <= said.http < 300 and envelope.ok:
        transfer = _transfer(envelope.data, currency)
        if transfer is None:
            return unavailable(said)
        outcome = _outcome(Outcome(transfer.kind, reference, said.exchange), transfer, currency)
        against = list(transfer.against)
        if transfer.reference != reference:
            against.append("Lenco answered with another reference than it was asked for.")
        if transfer.amount is None:
            against.append("Lenco's answer has no readable amount.")
        return _held(outcome, against)
    if said.http in (400, 404) and not envelope.ok:
        by_code = envelope.code in tables.NOT_FOUND_CODES
        by_text = envelope.code is None and tables.NOT_FOUND_TEXT.search(envelope.message)
        if by_code or by_text:
            return NotFound(said.exchange)
    return unavailable(said)


def unavailable(said: Said) -> Unavailable:
    """The question failed, whatever the reason; 401 and 403 are ours to repair."""
    return Unavailable(
        said.exchange,
        misconfigured=said.http in (401, 403),
        retry_after_s=said.retry_after_s,
    )


def _refused(outcome: Outcome, http: int, envelope: Envelope) -> Outcome:
    outcome = replace(outcome, reason_text=envelope.message or None)
    if http not in tables.REFUSING_HTTP and http != 404:
        return outcome
    # Whatever else is said with it, a taken reference is never a refusal (1.1: "check errors").
    if any(
        code == "04" or tables.DUPLICATE_TEXT.search(text)
        for code, text in ((envelope.code, envelope.message), *envelope.errors)
    ):
        return replace(outcome, kind=OutcomeKind.DUPLICATE, reason_code="duplicate_reference")
    meaning = tables.ERROR_CODES.get(envelope.code or "")
    if meaning is None or http not in tables.REFUSING_HTTP:
        return outcome
    return replace(outcome, kind=meaning.kind, reason_code=meaning.reason_code, fault=meaning.fault)


def _accepted(outcome: Outcome, envelope: Envelope, body: bytes, currency: Currency) -> Outcome:
    transfer = _transfer(envelope.data, currency)
    if transfer is None:
        return replace(outcome, reason_code="unreadable_answer")
    if transfer.reference is None or transfer.amount is None:
        # Nothing contradicts us, but the two figures that must fit are not there to fit.
        outcome = _outcome(outcome, transfer, currency)
        return replace(outcome, kind=OutcomeKind.UNKNOWN, reason_code="unreadable_answer")
    sent = json.loads(body)
    against = list(transfer.against)
    if transfer.reference != outcome.reference:
        against.append("Lenco answered with another reference than was sent.")
    if transfer.amount != parse_amount(sent["amount"], currency):
        against.append("Lenco answered with another amount than was sent.")
    for name, theirs, what in (
        ("accountNumber", transfer.account_number, "recipient account"),
        ("bankCode", transfer.bank_code, "recipient bank"),
        ("accountId", transfer.account_id, "debit account"),
    ):
        # Not every answer repeats these; one that does must repeat them right.
        if theirs is not None and theirs != sent[name]:
            against.append(f"Lenco answered with another {what} than was sent.")
    return _held(_outcome(outcome, transfer, currency), against)


def _transfer(data: object, currency: Currency) -> _Transfer | None:
    """Read ``{"request": .., "transaction": ..|null}``; ``None`` if it is not that."""
    if not isinstance(data, dict) or "transaction" not in data:
        return None
    request, transaction = data.get("request"), data["transaction"]
    if transaction is None:
        return _queued(request, currency) if isinstance(request, dict) else None
    if not isinstance(transaction, dict):
        return None
    status = _text(transaction.get("status"))
    details = transaction.get("details")
    details = details if isinstance(details, dict) else {}
    bank = details.get("bank")
    asked = _queued(request if isinstance(request, dict) else {}, currency)
    reference = _text(transaction.get("clientReference")) or asked.reference
    against = []
    if asked.reference not in (None, reference):
        against.append("Lenco's transaction carries another reference than its request.")
    if transaction.get("type") not in (None, "debit"):
        against.append("Lenco shows a transaction under our reference that is not a debit.")
    if status is not None and status in tables.HOLD_STATUSES:
        against.append(tables.HOLD_STATUSES[status])
    return _Transfer(
        kind=tables.STATUSES.get(status or "", OutcomeKind.UNKNOWN),
        reference=reference,
        amount=_amount(transaction.get("amount"), currency),
        account_id=_text(transaction.get("accountId")) or asked.account_id,
        account_number=_text(details.get("accountNumber")) or asked.account_number,
        bank_code=(_text(bank.get("code")) if isinstance(bank, dict) else None) or asked.bank_code,
        raw_status=status,
        transaction=transaction,
        against=tuple(against),
    )


def _queued(request: Mapping[str, Any], currency: Currency) -> _Transfer:
    status = _text(request.get("status"))
    # No transaction yet: it may still be attempted, so it is pending and may be nothing else.
    known = status is None or status in _QUEUE_STATUSES
    return _Transfer(
        kind=OutcomeKind.PENDING if known else OutcomeKind.UNKNOWN,
        reference=_text(request.get("reference")),
        amount=_amount(request.get("amount"), currency),
        account_id=_text(request.get("accountId")),
        account_number=_text(request.get("accountNumber")),
        bank_code=_text(request.get("bankCode")),
        raw_status=status,
        transaction=None,
        against=(),
    )


def _outcome(outcome: Outcome, transfer: _Transfer, currency: Currency) -> Outcome:
    outcome = replace(
        outcome,
        kind=transfer.kind,
        amount=transfer.amount,
        account_number=transfer.account_number,
        bank_code=transfer.bank_code,
        raw_status=transfer.raw_status,
    )
    transaction = transfer.transaction
    if transaction is None:
        return outcome
    outcome = replace(
        outcome,
        psp_id=_text(transaction.get("id")),
        fee=_fee(transaction.get("fee"), currency),
        session_id=_text(transaction.get("nipSessionId")),
        reason_text=_text(transaction.get("reasonForFailure")),
    )
    if transfer.kind is not OutcomeKind.FAILED:
        return outcome
    reason = tables.reason_of(outcome.reason_text)
    return replace(outcome, reason_code=reason.code, fault=reason.fault, ambiguous=reason.ambiguous)


def _held(outcome: Outcome, against: list[str]) -> Outcome:
    if not against:
        return outcome
    return replace(outcome, kind=OutcomeKind.UNKNOWN, hold=" ".join(against), said=outcome.kind)


def _text(value: object) -> str | None:
    return storable(value) if isinstance(value, str) and value else None


def _amount(value: object, currency: Currency) -> Money | None:
    if not isinstance(value, str | int | Decimal) or isinstance(value, bool):
        return None
    try:
        return parse_amount(value, currency)
    except InvalidAmount:
        return None


def _fee(value: object, currency: Currency) -> Money | None:
    if not isinstance(value, str | int | Decimal) or isinstance(value, bool):
        return None
    try:
        return parse_balance(value, currency)
    except InvalidAmount:
        return None
