"""The bodies we send, built once as canonical bytes: sign these, send these (contract, 2.3, 4).

They hold strings and one integer ``timestamp``, so raw and map verification both accept them;
the spec dialect's balances hold numbers too, spelled as Go spells them. ``timestamp_s`` is Unix
seconds, fresh for every try.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tidegate.money import Money, major, to_text
from tidegate.wire.canonical import Writable, go_json

__all__ = [
    "BalanceReport",
    "ValidationStatus",
    "accept_body",
    "balance_body",
    "balances_spec_body",
    "cancel_body",
    "decline_body",
    "fulfil_body",
    "fulfil_spec_body",
]

# 2001 to 2286 in seconds. The aggregator takes milliseconds too, as a far future, and such a
# signature could be replayed for ever (contract, 2.2).
_SECONDS_MIN: Final = 10**9
_SECONDS_END: Final = 10**10

# Go versions differ in how they spell some controls, and a lone surrogate would be sent in
# another form than the canonical one. No reader needs either.
_UNWANTED = re.compile("[\x00-\x1f\x7f\ud800-\udfff]+")


class ValidationStatus(StrEnum):
    """What a live fulfil says; any other spelling would act as *pending* (contract, 4.3)."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class BalanceReport:
    """One currency's figures: ``total`` is the money at the PSPs, ``available`` what is free."""

    available: Money
    reserved: Money
    total: Money

    def __post_init__(self) -> None:
        if not self.available.currency == self.reserved.currency == self.total.currency:
            raise ValueError("a balance report is about one currency")


def accept_body(timestamp_s: int) -> bytes:
    """Body of ``orders/{id}/accept`` in both dialects (contract, 4.1)."""
    return _body({}, timestamp_s)


def decline_body(reason: str, timestamp_s: int) -> bytes:
    """Body of ``orders/{id}/decline``; the live aggregator ignores the reason (contract, 4.2)."""
    return _body({"reason": _line(reason)}, timestamp_s)


def fulfil_body(
    psp: str, tx_id: str, status: ValidationStatus, error: str, timestamp_s: int
) -> bytes:
    """Body of a live ``orders/{id}/fulfill`` (contract, 4.3).

    ``tx_id`` is our payout reference, the same in every report of one round. ``error`` is for
    *failed* and empty otherwise. Raises ``ValueError`` if ``psp`` or ``tx_id`` is empty.
    """
    if not psp or not tx_id:
        raise ValueError("a fulfilment names its PSP and transaction")
    return _body(
        {
            "psp": psp,
            "txId": tx_id,
            "validationStatus": ValidationStatus(status).value,
            "validationError": _line(error),
        },
        timestamp_s,
    )


def fulfil_spec_body(transaction_hash: str, timestamp_s: int) -> bytes:
    """Body of a spec ``orders/{id}/fulfill``: the PSP's own id. ``ValueError`` if empty."""
    if not transaction_hash:
        raise ValueError("a fulfilment names its transaction")
    return _body({"transactionHash": transaction_hash}, timestamp_s)


def cancel_body(reason: str, timestamp_s: int) -> bytes:
    """Body of ``orders/{id}/cancel``; reasons with a meaning are matched exactly (contract, 4.4).

    Raises ``ValueError`` for an empty reason, which the aggregator would refuse.
    """
    line = _line(reason)
    if not line:
        raise ValueError("a cancel gives its reason")
    return _body({"reason": line}, timestamp_s)


def balance_body(report: BalanceReport, timestamp_s: int) -> bytes:
    """Body of a live ``balances``: one currency, decimal strings (contract, 4.5)."""
    return _body(
        {
            "currency": report.total.currency.code,
            "availableBalance": to_text(report.available),
            "totalBalance": to_text(report.total),
            "reservedBalance": to_text(report.reserved),
        },
        timestamp_s,
    )


def balances_spec_body(reports: Iterable[BalanceReport], timestamp_s: int) -> bytes:
    """Body of a spec ``balances``: every currency, JSON numbers (contract, 4.5).

    Raises :class:`InvalidAmount` for a figure that a float64 would change.
    """
    balances: list[Writable] = [
        {
            "currency": report.total.currency.code,
            "available": major(report.available),
            "total": major(report.total),
            "reserved": major(report.reserved),
        }
        for report in reports
    ]
    return _body({"balances": balances}, timestamp_s)


def _body(fields: dict[str, Writable], timestamp_s: int) -> bytes:
    if not _SECONDS_MIN <= timestamp_s < _SECONDS_END:
        raise ValueError("timestamps are Unix seconds")
    return go_json({**fields, "timestamp": timestamp_s})


def _line(text: str) -> str:
    return _UNWANTED.sub(" ", text).strip()
