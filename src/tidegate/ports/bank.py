"""The port to a payment service provider (PSP). Source: ``contracts/psp.md`` section 3.

One vocabulary of outcomes for every PSP; an adapter translates into it and decides nothing
else. ``submit`` is exactly one POST that moves money, with no retry inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from tidegate.db.exchanges import Exchange
from tidegate.money.amount import Money

__all__ = [
    "BalanceReading",
    "Bank",
    "Capabilities",
    "Credit",
    "Fault",
    "ListedBank",
    "NotFound",
    "NotResolvable",
    "Outcome",
    "OutcomeKind",
    "PayoutRequest",
    "Rejected",
    "Resolved",
    "StatementLine",
    "Unavailable",
    "WebhookEvent",
]


class OutcomeKind(StrEnum):
    """What is known about a transfer after a call (psp.md 3.2)."""

    NOT_SENT = "not_sent"  # proven that no request byte left: may be sent again, same reference
    REJECTED = "rejected"  # refused before creation, reason recognised: no money will move
    PENDING = "pending"  # accepted or queued: money may move
    SUCCEEDED = "succeeded"  # the PSP says paid
    FAILED = "failed"  # conclusive failure (but see ``Outcome.ambiguous``)
    UNKNOWN = "unknown"  # anything else: look up, never send
    DUPLICATE = "duplicate"  # the reference is taken at the PSP: look up and adopt (psp.md 3.3)


class Fault(StrEnum):
    """Whose fault a failure is (psp.md 3.5); it decides what happens next."""

    RECIPIENT = "recipient"  # ends the payout with the recipient reason
    RECIPIENT_BANK = "recipient_bank"  # the bank behind the account is down
    PSP = "psp"
    OURS = "ours"  # float, limits, credentials: stop using this PSP and page someone
    UNKNOWN = "unknown"  # unrecognised reason: held for a person


@dataclass(frozen=True, slots=True)
class PayoutRequest:
    """One transfer to make, before it is bytes.

    ``psp_bank_code`` is the PSP's own code of the institution; ``narration`` is already reduced
    to what every PSP prints.
    """

    reference: str
    amount: Money
    psp_bank_code: str
    account_number: str
    account_name: str
    narration: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one call or look-up tells of a transfer.

    ``amount`` and ``fee`` are what the PSP states, where it does. ``ambiguous`` marks a failure
    whose reason (time-out, malfunction) may still turn into success: it needs the cool-off of
    psp.md 3.6. ``hold`` is a sentence when a person must look (Lenco's ``declined``, figures
    that do not match): nothing is decided by machine then, and ``kind`` is ``UNKNOWN``; ``said`` is
    what the PSP's own status means, for that person. ``account_number`` and ``bank_code``
    are the PSP's own record of the recipient, for comparison.
    """

    kind: OutcomeKind
    reference: str
    exchange: Exchange
    psp_id: str | None = None
    amount: Money | None = None
    fee: Money | None = None
    account_number: str | None = None
    bank_code: str | None = None
    session_id: str | None = None
    raw_status: str | None = None
    reason_code: str | None = None
    reason_text: str | None = None
    fault: Fault | None = None
    ambiguous: bool = False
    hold: str | None = None
    said: OutcomeKind | None = None
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class NotFound:
    """The PSP does not know the reference now: weak evidence (psp.md 3.4)."""

    exchange: Exchange


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The question itself failed: proves nothing. ``misconfigured`` is a 401/403."""

    exchange: Exchange
    misconfigured: bool = False
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class BalanceReading:
    """The PSP's own figure: ``available`` can be spent, ``ledger`` includes what is held."""

    available: Money
    ledger: Money | None
    exchange: Exchange


@dataclass(frozen=True, slots=True)
class ListedBank:
    """One row of the PSP's bank list."""

    code: str
    name: str


@dataclass(frozen=True, slots=True)
class Resolved:
    """The account exists; the PSP names its holder."""

    account_name: str
    exchange: Exchange


@dataclass(frozen=True, slots=True)
class NotResolvable:
    """The PSP says there is no such account."""

    exchange: Exchange


@dataclass(frozen=True, slots=True)
class Credit:
    """Money that came into our account at the PSP: one statement line, keyed by the PSP's id."""

    psp_id: str
    amount: Money
    exchange: Exchange
    completed_ms: int | None = None  # when the PSP booked it, where it says so


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One line of the PSP's own list: what left under a reference of its customer, or came in.

    ``at_ms`` is when it began or, failing that, ended; ``None`` if the PSP does not say.
    """

    psp_id: str
    reference: str | None
    at_ms: int | None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a PSP can do; limits in minor units per wire currency code."""

    currencies: frozenset[str]
    name_enquiry: bool
    submit_timeout_s: float
    lookup_timeout_s: float


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """An authentic webhook, read.

    ``reference`` is our own when it is about a transfer of ours; ``credit_id`` the PSP's id when
    it is about incoming money; both ``None`` for an event that does not concern payouts.
    ``hint`` is what it claims: a prompt to look, never a verdict.
    """

    event: str
    dedupe_key: str
    reference: str | None = None
    credit_id: str | None = None
    hint: OutcomeKind | None = None
    ended_ms: int | None = None  # the PSP's own time of what it tells, for the delay metric


@dataclass(frozen=True, slots=True)
class Rejected:
    """The webhook is not authentic or not readable; ``why`` says which, for the log."""

    why: str


class Bank(Protocol):
    """A PSP."""

    @property
    def name(self) -> str:
        """Its name on the wire (``psp`` of the aggregator), in rows and in settings."""
        ...

    def capabilities(self) -> Capabilities: ...

    def prepare(self, request: PayoutRequest) -> bytes:
        """Build the body of the transfer: the bytes that are stored, sent, and sent again."""
        ...

    async def submit(self, reference: str, body: bytes) -> Outcome:
        """Send the prepared body once. Never raises for what the network or the PSP does."""
        ...

    async def lookup(self, reference: str) -> Outcome | NotFound | Unavailable:
        """Ask by our own reference; retried inside as a GET may be."""
        ...

    async def balance(self, currency: str) -> BalanceReading | Unavailable: ...

    async def banks(self, currency: str) -> tuple[ListedBank, ...] | Unavailable: ...

    async def resolve(
        self, psp_bank_code: str, account_number: str
    ) -> Resolved | NotResolvable | Unavailable: ...

    async def credit(self, psp_id: str) -> Credit | NotFound | Unavailable:
        """Confirm incoming money by the PSP's id; ``NotFound`` also when it is no credit."""
        ...

    async def statement(
        self, currency: str, since_ms: int
    ) -> tuple[StatementLine, ...] | Unavailable:
        """Every line from ``since_ms`` on, and perhaps older ones; whole or not at all."""
        ...

    def authenticate_webhook(self, headers: Mapping[str, str], raw: bytes) -> Rejected | None:
        """Check the signature over the raw bytes; ``None`` means authentic."""
        ...

    def read_webhook(self, raw: bytes) -> WebhookEvent | Rejected: ...

    async def close(self) -> None: ...
