"""What is held against the node: one word per mistake, each with the rule that it breaks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from tidegate.clock import Clock, rfc3339

__all__ = ["Judge", "Violation", "Wrong"]

_KEPT_MAX = 10_000


class Wrong(StrEnum):
    """A mistake; ``rule`` says what the contract asks for instead, and where."""

    rule: str

    def __new__(cls, value: str, rule: str = "") -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.rule = rule
        return member

    # -- every call -----------------------------------------------------------------------------
    AUTHORIZATION = "authorization", "HMAC <client uuid>:<signature>, our id (2.1)"
    CLIENT_TYPE_WEB = "client_type_web", "never send Client-Type: web (1)"
    PAYLOAD = "payload", "a POST carries a JSON object (2.5)"
    SIGNATURE = "signature", "lower-case hex over the raw or the canonical body (2.1)"
    NOT_CANONICAL = "not_canonical", "the bytes on the wire are the canonical ones (2.3)"
    TIMESTAMP_MISSING = "timestamp_missing", "every call carries a timestamp (2.2)"
    TIMESTAMP_NOT_SECONDS = "timestamp_not_seconds", "seconds, not milliseconds (2.2)"
    TIMESTAMP_FUTURE = "timestamp_future", "the clock is right to a minute (2.2)"
    TIMESTAMP_STALE = "timestamp_stale", "each try is stamped and signed anew (2.2)"
    TIMESTAMP_TEXT = "timestamp_text", "in a body the timestamp is an integer (2.3)"
    JSON_TYPE = "json_type", "a field has the JSON type of its table (4.3, 4.5)"
    FIELD_MISSING = "field_missing", "required fields are there and not empty (4.x)"
    ROUTE = "route", "the path exists (0, 4)"
    # -- the node's answers ---------------------------------------------------------------------
    OFFER_REFUSED = "offer_refused", "an authentic offer is answered 2xx, then declined (3.1)"
    OFFER_NOT_JSON = "offer_not_json", "always answer JSON (3)"
    OFFER_REDIRECTED = "offer_redirected", "never redirect (3)"
    OFFER_SLOW = "offer_slow", "an offer is answered in under a second (3.1)"
    FORGED_OFFER_TAKEN = "forged_offer_taken", "a body whose signature is wrong is refused (2.4)"
    TX_STATUS_400 = "tx_status_400", "tx_status is never answered 400 (3.2)"
    TX_STATUS_FIELDS = "tx_status_fields", "data, status, psp and txId are strings (3.2)"
    TX_STATUS_NOT_JSON = "tx_status_not_json", "always answer JSON (3)"
    TX_STATUS_UNKNOWN_WORD = "tx_status_unknown_word", "pending, success or failed (3.2)"
    TX_STATUS_FAILED_BARE = "tx_status_failed_bare", "failed comes with psp, txId and error (3.2)"
    TX_STATUS_OTHER_TX = "tx_status_other_tx", "the same txId in fulfil and tx_status (4.3)"
    TX_STATUS_TAKEN_BACK = "tx_status_taken_back", "what was called paid stays paid (3.2)"
    # -- accept and decline ---------------------------------------------------------------------
    ACCEPT_WITHOUT_OFFER = "accept_without_offer", "only what was offered is accepted (4.1)"
    ACCEPT_AFTER_EXPIRY = "accept_after_expiry", "accept only while the offer lives (3.1)"
    ACCEPT_AFTER_DECLINE = "accept_after_decline", "a declined offer is over (4.2)"
    DECLINE_AFTER_ACCEPT = "decline_after_accept", "after accept use cancel (4.2)"
    # -- fulfil ---------------------------------------------------------------------------------
    FULFIL_WITHOUT_ACCEPT = "fulfil_without_accept", "pay only after a 201 from accept (7.1)"
    FULFIL_AFTER_CANCEL = "fulfil_after_cancel", "what was cancelled is not paid (4.4)"
    FULFIL_AFTER_FAILED = "fulfil_after_failed", "after failed nothing is tried again (4.3)"
    FULFIL_OTHER_TX = "fulfil_other_tx", "one txId for the whole round (4.3)"
    TX_OF_ANOTHER_ORDER = "tx_of_another_order", "a txId is unique over all orders (4.3)"
    PAID_TWICE = "paid_twice", "an order is paid once (7.2)"
    VALIDATION_STATUS = "validation_status", "exactly pending, success or failed (4.3)"
    FULFIL_DIALECT = "fulfil_dialect", "fulfil speaks the dialect of its order (0)"
    SUCCESS_REPEATED = "success_repeated", "stop at validated, settling, settled (4.3)"
    SUCCESS_WHILE_SETTLING = "success_while_settling", "this settles an order twice (4.3)"
    PENDING_AFTER_SUCCESS = "pending_after_success", "pending goes before success (7.15)"
    FAILED_AFTER_SUCCESS = "failed_after_success", "what was paid is not called failed"
    # -- cancel ---------------------------------------------------------------------------------
    CANCEL_AFTER_FULFIL = "cancel_after_fulfil", "never cancel what may have been sent (4.4)"
    CANCEL_REPEATED = "cancel_repeated", "cancel is sent once (4.4)"
    CANCEL_WITHOUT_ACCEPT = "cancel_without_accept", "before accept use decline (4.2)"
    # -- balances -------------------------------------------------------------------------------
    BALANCE_FORM = "balance_form", "decimal strings, one known currency (4.5)"
    BALANCE_OVER_TOTAL = "balance_over_total", "available is part of total (4.5)"
    BALANCE_OVERLAP = "balance_overlap", "one push at a time for a currency (4.5)"


@dataclass(frozen=True, slots=True)
class Violation:
    """One mistake. ``key`` is the order id, the currency, or the path."""

    wrong: Wrong
    key: str
    detail: str
    at_ms: int

    def __str__(self) -> str:
        return f"{self.wrong} [{self.key}] {self.detail} -- {self.wrong.rule}"

    def as_json(self) -> dict[str, Any]:
        """The violation as ``/_sandbox/judge`` shows it."""
        return {
            "wrong": str(self.wrong),
            "key": self.key,
            "detail": self.detail,
            "rule": self.wrong.rule,
            "at": rfc3339(self.at_ms),
        }


class Judge:
    """Keeps the violations; the first ten thousand of each kind with their details."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.counts: Counter[Wrong] = Counter()
        self.violations: list[Violation] = []

    def record(self, wrong: Wrong, key: str, detail: str = "") -> None:
        """Hold one mistake against the node."""
        self.counts[wrong] += 1
        if self.counts[wrong] <= _KEPT_MAX:
            self.violations.append(Violation(wrong, key, detail, self._clock.now_ms()))
