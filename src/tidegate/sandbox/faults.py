"""What may go wrong at the other companies, and for whom: the list of faults is the documentation.

A :class:`FaultPlan` answers two questions. ``for_key`` says which faults apply to an order, a
reference or an account number, and gives the same answer every time; ``strike`` says whether a
passing fault (a dropped connection, a 503) happens *this* time, and counts. Faults are set per
key, for every key (:data:`EVERY`), or drawn by a seeded rate. ``heal`` ends them all: what is
unfinished then has to come right.

Source: psp.md section 5, aggregator.md, processor.md.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, Self, TypeVar

__all__ = [
    "EVERY",
    "AggregatorFault",
    "BankFault",
    "BankFaults",
    "CardFault",
    "CardFaults",
    "Fault",
    "FaultPlan",
]

EVERY = "*"


class Fault(StrEnum):
    """A fault with its ``meaning``; the value is what travels in JSON."""

    meaning: str

    def __new__(cls, value: str, meaning: str = "") -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        member.__doc__ = meaning
        return member


class BankFault(Fault):
    """Faults of the bank (Lenco v1). "The act" is the creation of the transfer.

    *Before* and *after* say whether the transfer exists once the caller has seen the fault. Where
    two outcomes are set for one transfer, the one that is listed first wins.
    """

    # -- the connection -------------------------------------------------------------------------
    REFUSE_CONNECTION = (
        "refuse_connection",
        "The connection is aborted before the act and the bank stops listening for a while.",
    )
    DROP_BEFORE = "drop_before", "The socket is closed without an answer, before the act."
    DROP_AFTER = "drop_after", "The socket is closed without an answer, after the act."
    SLOW = "slow", "The act happens at once, the answer comes after `slow_s`."
    TOO_SLOW = "too_slow", "The act happens at once, the answer after the caller's time limit."
    ACT_LATE = (
        "act_late",
        "The act itself happens only after the caller's time limit; look-ups find nothing so far.",
    )
    # -- the answer to a transfer ---------------------------------------------------------------
    ERROR_500_BEFORE = "error_500_before", "HTTP 500 with the envelope, before the act."
    ERROR_503_BEFORE = "error_503_before", "HTTP 503 with the envelope, before the act."
    ERROR_503_AFTER = "error_503_after", "HTTP 503 with the envelope, after the act."
    HTML_502_BEFORE = "html_502_before", "A proxy's HTML 502, before the act."
    HTML_502_AFTER = "html_502_after", "A proxy's HTML 502, after the act."
    STATUS_FALSE_BEFORE = "status_false_before", "HTTP 200 with `status: false`, before the act."
    STATUS_FALSE_AFTER = "status_false_after", "HTTP 200 with `status: false`, after the act."
    UNAUTHORISED = "unauthorised", "HTTP 401 for a good token, before the act."
    RATE_LIMITED = "rate_limited", "HTTP 429 with Retry-After, before the act; also on look-ups."
    DUPLICATE_WITHOUT_CODE = (
        "duplicate_without_code",
        "A repeated reference is refused in the documented short form, without errorCode.",
    )
    ANSWER_CREATED = (
        "answer_created",
        "POST /transfer answers `created` with the transaction in it instead of `queued`.",
    )
    # -- refusals before creation (HTTP 400) ----------------------------------------------------
    INSUFFICIENT_FUNDS = "insufficient_funds", "errorCode 02, whatever the balance."
    LIMIT_EXCEEDED = "limit_exceeded", "errorCode 03, the account's transfer limit."
    RECIPIENT_INVALID = "recipient_invalid", "errorCode 05, also on name enquiry."
    ACCOUNT_RESTRICTED = "account_restricted", "errorCode 06, restriction on the debit account."
    # -- what becomes of the transfer -----------------------------------------------------------
    QUEUED = "queued", "Stays `queued` with `transaction: null` for `queued_s`, then is attempted."
    FAILED_UNSUCCESSFUL = "failed_unsuccessful", "Failed: Transfer Not Successful."
    FAILED_BANK_UNAVAILABLE = "failed_bank_unavailable", "Failed: Beneficiary Bank not Available."
    FAILED_MALFUNCTION = "failed_malfunction", "Failed: System Malfunction (ambiguous at NIP)."
    FAILED_TIMEOUT = (
        "failed_timeout",
        "Failed: Timeout waiting for response from destination bank (ambiguous at NIP).",
    )
    FAILED_INSUFFICIENT = "failed_insufficient", "Failed: Insufficient Balance in Debit Account."
    DECLINED = "declined", "Declined: not paid, the debit not returned, no webhook."
    FAILED_THEN_PAID = (
        "failed_then_paid",
        "Failed with a NIP timeout, and successful after `failed_then_paid_s` all the same.",
    )
    REVERSED = "reversed", "Successful, and turned into `failed` after `reversed_s`."
    # -- look-ups -------------------------------------------------------------------------------
    NOT_FOUND_AT_FIRST = (
        "not_found_at_first",
        "The act happened, look-ups say not found for `not_found_s`.",
    )
    LOOKUP_500 = "lookup_500", "Look-ups answer HTTP 500."
    LOOKUP_401 = "lookup_401", "Look-ups answer HTTP 401 for a good token."
    LOOKUP_TIMEOUT = "lookup_timeout", "Look-ups answer only after the caller's time limit."
    LOOKUP_OTHER_AMOUNT = "lookup_other_amount", "Look-ups show one naira more than was paid."
    # -- webhooks -------------------------------------------------------------------------------
    WEBHOOK_NONE = "webhook_none", "No webhook is ever sent."
    WEBHOOK_DUPLICATE = "webhook_duplicate", "Each webhook is sent twice."
    WEBHOOK_LATE = "webhook_late", "Webhooks are held back for `webhook_late_s`."
    WEBHOOK_SWAPPED = (
        "webhook_swapped",
        "The webhook waits until one of another transfer has gone (at most `webhook_late_s`).",
    )
    WEBHOOK_STALE = (
        "webhook_stale",
        "After the newest webhook an older snapshot follows: the previous one, or a pending one.",
    )
    WEBHOOK_BAD_SIGNATURE = "webhook_bad_signature", "The webhook's signature does not fit."
    WEBHOOK_FORGED_SUCCESS = (
        "webhook_forged_success",
        "A stranger's webhook with a wrong signature claims success while nothing is paid.",
    )
    WEBHOOK_RESERIALISED = (
        "webhook_reserialised",
        "The signature covers the compact JSON while the body that travels has spaces in it.",
    )
    WEBHOOK_OTHER_AMOUNT = "webhook_other_amount", "Webhooks show one naira more than was paid."


class AggregatorFault(Fault):
    """Faults of the aggregator. *Before* and *after* say whether it acted on the call."""

    # -- offers ---------------------------------------------------------------------------------
    REFUSE_CONNECTION = "refuse_connection", "Calls to the aggregator find nobody listening."
    OFFER_NEVER_SENT = "offer_never_sent", "The order is assigned, its offer is never sent."
    OFFER_TWICE = "offer_twice", "The same offer is sent twice, one after the other."
    OFFER_TWICE_CONCURRENTLY = "offer_twice_concurrently", "The same offer is sent twice at once."
    OFFER_OTHER_AMOUNT = "offer_other_amount", "The offer is repeated with other figures."
    OFFER_STALE_SIGNATURE = "offer_stale_signature", "The offer's signature is bad or too old."
    OFFER_WRONG_TYPES = "offer_wrong_types", "The offer's fields have other JSON types."
    UNKNOWN_INSTITUTION = "unknown_institution", "The offer names an institution nobody knows."
    UNKNOWN_CURRENCY = "unknown_currency", "The offer is in a currency that is not served."
    TOO_LARGE = "too_large", "The offer's amount is above any limit."
    REOFFER_AFTER_END = "reoffer_after_end", "The order is offered again after it has ended."
    REASSIGNED_403 = "reassigned_403", "The order was given to another provider: HTTP 403."
    EARLY_TX_STATUS = "early_tx_status", "tx_status is asked before or while accept is going on."
    # -- accept ---------------------------------------------------------------------------------
    ACCEPT_DROP_BEFORE = "accept_drop_before", "Accept: socket closed, nothing done."
    ACCEPT_DROP_AFTER = "accept_drop_after", "Accept: done, and the answer lost."
    ACCEPT_500 = "accept_500", "Accept: HTTP 500, nothing done."
    ACCEPT_HTML_502 = "accept_html_502", "Accept: a proxy's HTML 502."
    ACCEPT_SLOW = "accept_slow", "Accept: answered late."
    ACCEPT_AMOUNT_DIFFERS = "accept_amount_differs", "Accept: other figures than in the offer."
    ACCEPT_BAD_RECIPIENT = "accept_bad_recipient", "Accept: a recipient that cannot be paid."
    # -- fulfil, cancel, decline ----------------------------------------------------------------
    FULFIL_DROP_BEFORE = "fulfil_drop_before", "Fulfil: socket closed, nothing done."
    FULFIL_DROP_AFTER = "fulfil_drop_after", "Fulfil: done, and the answer lost."
    FULFIL_500 = "fulfil_500", "Fulfil: HTTP 500, nothing done."
    FULFIL_SLOW = "fulfil_slow", "Fulfil: answered late."
    CANCEL_DROP_AFTER = "cancel_drop_after", "Cancel: done, and the answer lost."
    DECLINE_500 = "decline_500", "Decline: HTTP 500, nothing done."
    ALREADY_REFUNDED = "already_refunded", "The order was refunded meanwhile."
    # -- everywhere -----------------------------------------------------------------------------
    RATE_LIMITED_429 = "rate_limited_429", "HTTP 429 with Retry-After, nothing done."
    BALANCES_500 = "balances_500", "The balance update is answered HTTP 500."


class CardFault(Fault):
    """Faults of the card processor (Stripe). "The act" is what the call asks for.

    A passing fault strikes each step of each payment by itself. Its keys are the payment (the
    metadata ``tidegate_payment``, or any other ``tidegate_...``), the payment intent, the payment
    method or its shared token, the customer's e-mail address, a step (``create``, ``confirm``,
    ``capture``, ``cancel``, ``update``, ``refund``, ``customer``, ``method``, ``attach``,
    ``detach``, ``setup``, ``lookup``) or both as ``confirm:pay_1``; a webhook's keys are the same
    with its event type in place of the step.
    """

    # -- the connection -------------------------------------------------------------------------
    REFUSE_CONNECTION = (
        "refuse_connection",
        "The connection is aborted before the act and nobody listens for a while.",
    )
    DROP_BEFORE = "drop_before", "The socket is closed without an answer, before the act."
    DROP_AFTER = "drop_after", "The socket is closed without an answer, after the act."
    SLOW = "slow", "The act happens at once, the answer comes after `slow_s`."
    TOO_SLOW = "too_slow", "The act happens at once, the answer after the caller's time limit."
    ACT_LATE = "act_late", "The act itself happens only after the caller's time limit."
    # -- the answer -----------------------------------------------------------------------------
    ERROR_500_BEFORE = (
        "error_500_before",
        "HTTP 500, nothing done; stored under the key and replayed.",
    )
    ERROR_500_AFTER = (
        "error_500_after",
        "HTTP 500 after the act; stored under the key and replayed.",
    )
    ERROR_503 = "error_503", "HTTP 503, nothing done, nothing stored."
    HTML_502 = "html_502", "A proxy's HTML 502, nothing done, nothing stored."
    HTML_502_AFTER = (
        "html_502_after",
        "A proxy's HTML 502 after the act; the true answer is stored.",
    )
    RATE_LIMITED = "rate_limited", "HTTP 429, nothing done, nothing stored; also on look-ups."
    LOCK_TIMEOUT = "lock_timeout", "HTTP 429 with the code lock_timeout, nothing done or stored."
    # -- what becomes of the money --------------------------------------------------------------
    DECLINED = "declined", "Every card is declined."
    PROCESSING = "processing", "The payment is `processing` for `processing_s` before it ends."
    DISPUTED = "disputed", "The cardholder disputes the charge."
    REFUND_PENDING = "refund_pending", "The refund is pending, and succeeds later."
    REFUND_FAILED = "refund_failed", "The refund fails later; pending until then if that is set."
    # -- look-ups -------------------------------------------------------------------------------
    LOOKUP_500 = "lookup_500", "Look-ups answer HTTP 500."
    LOOKUP_TIMEOUT = "lookup_timeout", "Look-ups answer only after the caller's time limit."
    # -- webhooks -------------------------------------------------------------------------------
    WEBHOOK_NONE = "webhook_none", "No webhook is ever sent; the events can be listed."
    WEBHOOK_LATE = "webhook_late", "Webhooks are held back for `webhook_late_s`."
    WEBHOOK_DUPLICATE = "webhook_duplicate", "Each webhook is sent twice."
    WEBHOOK_SWAPPED = (
        "webhook_swapped",
        "The webhook waits until another one has gone (at most `webhook_late_s`).",
    )
    WEBHOOK_FIRST = "webhook_first", "The webhooks of a call are delivered before its answer."
    WEBHOOK_OTHER_AMOUNT = "webhook_other_amount", "Webhooks show 100 minor units too many."
    WEBHOOK_LIVEMODE = "webhook_livemode", "Webhooks claim to be of live mode."
    WEBHOOK_BAD_SIGNATURE = "webhook_bad_signature", "The webhook's signature does not fit."
    WEBHOOK_UNKNOWN_TYPE = (
        "webhook_unknown_type",
        "After each webhook comes one of a type nobody knows.",
    )


F = TypeVar("F", bound=Fault)


class FaultPlan(Generic[F]):
    """Which faults happen to which key.

    ``kind`` is the enum (``BankFault``), ``seed`` decides what the rates draw. The draw depends
    on seed, fault and key alone, never on the order of the questions.
    """

    def __init__(self, kind: type[F], seed: int = 0) -> None:
        self.kind = kind
        self.seed = seed
        self._set: dict[str, dict[F, int | None]] = defaultdict(dict)
        self._rates: dict[F, tuple[float, int | None]] = {}
        self._struck: Counter[tuple[str, F]] = Counter()
        self._drawn: dict[str, frozenset[F]] = {}
        self._nothing: frozenset[F] = frozenset()

    def set(self, key: str, *faults: F, times: int | None = 1) -> None:
        """Add faults to a key (or :data:`EVERY`); passing ones strike ``times`` (None: always)."""
        for fault in faults:
            self._set[key][fault] = times
            self._struck.pop((key, fault), None)

    def set_rates(self, rates: Mapping[F, float], *, times: int | None = 1) -> None:
        """Draw each fault for a share of all keys (0 to 1); replaces the former rates."""
        self._rates = {fault: (share, times) for fault, share in rates.items()}
        self._drawn.clear()

    def for_key(self, key: str, *also: str) -> frozenset[F]:
        """Every fault of ``key``, always the same ones.

        ``also`` are further names of the same thing (its account number): faults set there count,
        rates are drawn by ``key`` only.
        """
        if not self._set and not self._rates:
            return self._nothing
        faults: set[F] = set(self._draw(key))
        for name in (EVERY, key, *also):
            faults.update(self._set.get(name, ()))
        return frozenset(faults)

    def strike(self, fault: F, key: str, *also: str) -> bool:
        """Whether a passing fault happens this time; each ``True`` is counted.

        A fault that was set on a key strikes ``times`` over all users of that key; one that was
        set for every key, or drawn, strikes ``times`` for each key.
        """
        for name in (key, *also):
            faults = self._set.get(name)
            if faults is not None and fault in faults:
                return self._count(name, fault, faults[fault])
        everywhere = self._set.get(EVERY)
        if everywhere is not None and fault in everywhere:
            return self._count(key, fault, everywhere[fault])
        if fault in self._draw(key):
            return self._count(key, fault, self._rates[fault][1])
        return False

    def heal(self) -> None:
        """Forget every fault: from now on nothing goes wrong."""
        self._set.clear()
        self._rates.clear()
        self._struck.clear()
        self._drawn.clear()

    def load(self, plan: Mapping[str, Any]) -> None:
        """Add ``{"seed": 7, "keys": {key: [fault]}, "rates": {fault: share}, "times": 1}``.

        Every part is optional; ``times: null`` means always. Raises ``ValueError`` for a fault
        that is not in the list, and changes nothing then.
        """
        times: int | None = plan.get("times", 1)
        keys = {key: self.read(names) for key, names in plan.get("keys", {}).items()}
        shares: Mapping[str, float] = plan.get("rates", {})
        rates = dict(zip(self.read(shares), map(float, shares.values()), strict=True))
        self.seed = int(plan.get("seed", self.seed))
        self._drawn.clear()
        for key, faults in keys.items():
            self.set(key, *faults, times=times)
        if rates:
            self.set_rates(rates, times=times)

    def read(self, names: Iterable[str]) -> list[F]:
        """The faults of these names; raises ``ValueError`` for the first unknown one."""
        known = {fault.value: fault for fault in self.kind}
        unknown = [name for name in names if name not in known]
        if unknown:
            raise ValueError(f"no such fault: {unknown[0]}")
        return [known[name] for name in names]

    def as_json(self) -> dict[str, Any]:
        """The plan in the shape that :meth:`load` reads, without ``times``."""
        return {
            "seed": self.seed,
            "keys": {
                key: sorted(fault.value for fault in faults) for key, faults in self._set.items()
            },
            "rates": {fault.value: share for fault, (share, _) in self._rates.items()},
        }

    def _draw(self, key: str) -> frozenset[F]:
        if not self._rates:
            return self._nothing
        drawn = self._drawn.get(key)
        if drawn is None:
            drawn = frozenset(
                fault
                for fault, (share, _) in self._rates.items()
                if self._chance(fault, key) < share
            )
            self._drawn[key] = drawn
        return drawn

    def _chance(self, fault: F, key: str) -> float:
        digest = hashlib.sha256(f"{self.seed}\x00{fault.value}\x00{key}".encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**64

    def _count(self, key: str, fault: F, times: int | None) -> bool:
        if times is not None and self._struck[key, fault] >= times:
            return False
        self._struck[key, fault] += 1
        return True


def _bank_plan() -> FaultPlan[BankFault]:
    return FaultPlan(BankFault)


@dataclass(slots=True)
class BankFaults:
    """The bank's plan and how long its faults last, in seconds."""

    plan: FaultPlan[BankFault] = field(default_factory=_bank_plan)
    refuse_s: float = 2.0
    slow_s: float = 2.0
    too_slow_s: float = 65.0
    queued_s: float = 5.0
    not_found_s: float = 5.0
    failed_then_paid_s: float = 30.0
    reversed_s: float = 5.0
    webhook_late_s: float = 5.0
    retry_after_s: int = 1


def _card_plan() -> FaultPlan[CardFault]:
    return FaultPlan(CardFault)


@dataclass(slots=True)
class CardFaults:
    """The card processor's plan and how long its faults last, in seconds."""

    plan: FaultPlan[CardFault] = field(default_factory=_card_plan)
    refuse_s: float = 2.0
    slow_s: float = 2.0
    too_slow_s: float = 15.0
    processing_s: float = 5.0
    webhook_late_s: float = 5.0
    retry_after_s: int = 1
