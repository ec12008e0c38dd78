"""What an answer to accept, decline, fulfil or cancel means: one table per verb.

A row is HTTP status, the beginning of the message in lower case, and the meaning; the first
that fits wins. What no row lists is *inconclusive*: the order is fetched before anything is
sent again. A 404 or 200 with an unknown text proves nothing, since a proxy can say that too.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final, TypeVar

from tidegate.wire.answers import Answer
from tidegate.wire.dialect import Dialect

__all__ = [
    "ACCEPT_TABLE",
    "CANCEL_TABLE",
    "DECLINE_TABLE",
    "FULFIL_TABLE",
    "AcceptAnswer",
    "CancelAnswer",
    "DeclineAnswer",
    "FulfilAnswer",
    "classify_accept",
    "classify_cancel",
    "classify_decline",
    "classify_fulfil",
    "existing_fulfilment",
]


class AcceptAnswer(StrEnum):
    """Meanings of an accept answer (contract, 4.1)."""

    ACCEPTED = "accepted"
    GONE = "gone"  # expired, given to another, or progressed: GET if an accept was lost
    ORDER_UNKNOWN = "order_unknown"  # the aggregator has no such order
    ALREADY_TAKEN = "already_taken"  # by another or by our own earlier accept: GET
    RESTAMP = "restamp"  # our timestamp was refused: sign anew, once
    THROTTLED = "throttled"  # nothing changed
    MISCONFIGURED = "misconfigured"  # id, key, path or body: repeating cannot help
    INCONCLUSIVE = "inconclusive"


class DeclineAnswer(StrEnum):
    """Meanings of a decline answer (contract, 4.2)."""

    DECLINED = "declined"
    GONE = "gone"  # no offer of ours any more: done
    RESTAMP = "restamp"
    THROTTLED = "throttled"
    MISCONFIGURED = "misconfigured"
    INCONCLUSIVE = "inconclusive"


class FulfilAnswer(StrEnum):
    """Meanings of a fulfil answer (contract, 4.3)."""

    OK = "ok"
    ALREADY_VALIDATED = "already_validated"
    ALREADY_SETTLED = "already_settled"
    ALREADY_REFUNDED = "already_refunded"  # after a payment: money lost
    ALREADY_FAILED = "already_failed"  # the exact repeat of failed
    FOREIGN_TXID = "foreign_txid"  # another transaction is recorded, see existing_fulfilment
    NOT_OURS = "not_ours"
    RESTAMP = "restamp"
    THROTTLED = "throttled"
    MISCONFIGURED = "misconfigured"
    INCONCLUSIVE = "inconclusive"


class CancelAnswer(StrEnum):
    """Meanings of a cancel answer (contract, 4.4)."""

    CANCELLED = "cancelled"
    NOT_OURS = "not_ours"  # not, or no longer
    RESTAMP = "restamp"
    THROTTLED = "throttled"
    MISCONFIGURED = "misconfigured"
    INCONCLUSIVE = "inconclusive"


# Any provider endpoint (contract, 2.5). The 500 about API keys is left out on purpose: there
# the handler may have run all the same.
_COMMON: Final = (
    (429, "", "throttled"),
    (401, "invalid timestamp", "restamp"),
    (401, "missing authorization header", "misconfigured"),
    (401, "invalid authorization header", "misconfigured"),
    (401, "missing or invalid timestamp", "misconfigured"),
    (401, "invalid api key", "misconfigured"),
    (401, "invalid hmac signature", "misconfigured"),
    (400, "invalid payload format", "misconfigured"),
    (400, "invalid api key id", "misconfigured"),
    (400, "invalid order id", "misconfigured"),
    (400, "failed to validate payload", "misconfigured"),
    (404, "api key not found", "misconfigured"),
    (404, "route not found", "misconfigured"),
)

_Meaning = TypeVar("_Meaning", bound=StrEnum)
_Table = tuple[tuple[int, str, _Meaning], ...]


def _table(kind: type[_Meaning], *rows: tuple[int, str, _Meaning]) -> _Table[_Meaning]:
    return (*rows, *((status, start, kind(word)) for status, start, word in _COMMON))


ACCEPT_TABLE: Final = _table(
    AcceptAnswer,
    (404, "order request not found or is expired", AcceptAnswer.GONE),
    (404, "order not found", AcceptAnswer.ORDER_UNKNOWN),
    (400, "order cannot be accepted: order is already", AcceptAnswer.ALREADY_TAKEN),
    (400, "order is already", AcceptAnswer.ALREADY_TAKEN),
)

DECLINE_TABLE: Final = _table(
    DeclineAnswer,
    (404, "order request not found or is expired", DeclineAnswer.GONE),
    (404, "order not found", DeclineAnswer.GONE),
)

FULFIL_TABLE: Final = _table(
    FulfilAnswer,
    (200, "order already validated", FulfilAnswer.ALREADY_VALIDATED),
    (200, "order already settled", FulfilAnswer.ALREADY_SETTLED),
    (200, "order already refunded", FulfilAnswer.ALREADY_REFUNDED),
    (200, "order already failed", FulfilAnswer.ALREADY_FAILED),
    # Another state that stands already is not the state we reported.
    (200, "order already", FulfilAnswer.INCONCLUSIVE),
    (400, "order already has a fulfillment", FulfilAnswer.FOREIGN_TXID),
    (403, "order does not belong to provider", FulfilAnswer.NOT_OURS),
)

CANCEL_TABLE: Final = _table(
    CancelAnswer,
    (404, "could not find payment order", CancelAnswer.NOT_OURS),
)

_EXISTING = re.compile(r"\(Status: ([^,()]*), TxID: ([^()]*)\)", re.IGNORECASE)


def classify_accept(answer: Answer) -> AcceptAnswer:
    """A success envelope with any 2xx is ours: 201 in the live dialect, unspecified in spec.

    In the live dialect the caller also needs the details in ``data`` before it pays.
    """
    row = _look_up(ACCEPT_TABLE, answer)
    if row is None and answer.is_success:
        return AcceptAnswer.ACCEPTED
    return row or AcceptAnswer.INCONCLUSIVE


def classify_decline(answer: Answer) -> DeclineAnswer:
    """404 with the aggregator's own text means that there is nothing left to decline."""
    row = _look_up(DECLINE_TABLE, answer)
    if row is None and answer.is_success:
        return DeclineAnswer.DECLINED
    return row or DeclineAnswer.INCONCLUSIVE


def classify_fulfil(answer: Answer, dialect: Dialect) -> FulfilAnswer:
    """In the spec dialect a 2xx that does not say ``error`` is done, its text being unspecified.

    In the live dialect a 2xx without a success envelope (an empty 200 happens) is inconclusive.
    """
    row = _look_up(FULFIL_TABLE, answer)
    if row is not None:
        return row
    spec_done = dialect is Dialect.SPEC and answer.envelope_status != "error"
    if answer.is_success or (spec_done and 200 <= answer.http_status < 300):
        return FulfilAnswer.OK
    return FulfilAnswer.INCONCLUSIVE


def classify_cancel(answer: Answer) -> CancelAnswer:
    """A 500 may have taken effect and a repeat counts twice: inconclusive (contract, 4.4)."""
    row = _look_up(CANCEL_TABLE, answer)
    if row is None and answer.is_success:
        return CancelAnswer.CANCELLED
    return row or CancelAnswer.INCONCLUSIVE


def existing_fulfilment(message: str) -> tuple[str, str] | None:
    """``(status, txId)`` out of "Order already has a fulfillment (Status: S, TxID: T)"."""
    match = _EXISTING.search(message)
    return (match[1].strip(), match[2].strip()) if match else None


def _look_up(table: _Table[_Meaning], answer: Answer) -> _Meaning | None:
    said = answer.message.strip().lower()
    for status, start, meaning in table:
        if status == answer.http_status and said.startswith(start):
            return meaning
    return None
