"""What Lenco's words mean, as tables. Source: ``contracts/psp.md`` 1.1, 1.2, 3.3, 3.5, 3.6.

Texts are no stable API, so a text only ever decides where the contract says that no code comes
with it, and a reason that is in no row is ``unknown``: it is held for a person, and never counts
as the recipient's fault.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tidegate.ports.bank import Fault, OutcomeKind

__all__ = [
    "AMBIGUOUS",
    "DUPLICATE_TEXT",
    "ERROR_CODES",
    "HOLD_STATUSES",
    "NOT_FOUND_CODES",
    "NOT_FOUND_TEXT",
    "NOT_RESOLVABLE_CODES",
    "NOT_RESOLVABLE_TEXT",
    "REASONS",
    "REFUSING_HTTP",
    "STATUSES",
    "Meaning",
    "Reason",
    "reason_of",
]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an ``errorCode`` on a refused submit says."""

    kind: OutcomeKind
    reason_code: str
    fault: Fault | None


# 1.1. A code that is not here, or has no meaning for a single transfer (07, 08, 11, 21 to 24),
# leaves the outcome unknown.
ERROR_CODES: Final[Mapping[str, Meaning]] = {
    "01": Meaning(OutcomeKind.REJECTED, "validation", Fault.OURS),
    "02": Meaning(OutcomeKind.REJECTED, "insufficient_funds", Fault.OURS),
    "03": Meaning(OutcomeKind.REJECTED, "limit_exceeded", Fault.OURS),
    "04": Meaning(OutcomeKind.DUPLICATE, "duplicate_reference", None),
    "05": Meaning(OutcomeKind.REJECTED, "invalid_account", Fault.RECIPIENT),
    "06": Meaning(OutcomeKind.REJECTED, "account_restricted", Fault.OURS),
    "09": Meaning(OutcomeKind.REJECTED, "credentials", Fault.OURS),
    "10": Meaning(OutcomeKind.UNKNOWN, "general_error", Fault.PSP),
    "12": Meaning(OutcomeKind.REJECTED, "invalid_phone_number", Fault.RECIPIENT),
    "13": Meaning(OutcomeKind.REJECTED, "credentials", Fault.OURS),
}

# 3.3: only behind these may a code refuse; on 404 it is a duplicate or nothing.
REFUSING_HTTP: Final = frozenset({400, 409, 422})

# Both documented forms of 1.2 and 1.3 come without a code ("Duplicate client reference",
# "Duplicate reference", "Transaction was not found").
DUPLICATE_TEXT: Final = re.compile(r"duplicate\b.*\breference|reference\b.*\balready", re.I)
NOT_FOUND_TEXT: Final = re.compile(r"(transaction|transfer)\b.*\bnot found", re.I)
NOT_FOUND_CODES: Final = frozenset({"11"})

# Name enquiry: "Account details was not found" is documented for v2; v1 documents none.
NOT_RESOLVABLE_TEXT: Final = re.compile(
    r"account\b.*\bnot found|invalid\b.*\baccount|unable to resolve|could not (be )?resolve", re.I
)
NOT_RESOLVABLE_CODES: Final = frozenset({"05", "11"})

# 1.2: the status of a transaction.
STATUSES: Final[Mapping[str, OutcomeKind]] = {
    "pending": OutcomeKind.PENDING,
    "successful": OutcomeKind.SUCCEEDED,
    "failed": OutcomeKind.FAILED,
}
# Listed by Lenco and never explained: not final, a person decides.
HOLD_STATUSES: Final[Mapping[str, str]] = {
    "declined": "Lenco calls the transfer declined, a status it does not explain.",
}


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason of failure: its stable code, whose fault it is, and whether money may still move."""

    code: str
    fault: Fault
    ambiguous: bool = False


# 3.6: these words mark a failure that may still turn into a success, whatever else is said.
AMBIGUOUS: Final = re.compile(
    r"time[d\s-]*out|malfunction|no response|dormant session|try again|processor", re.I
)

# Read from the top, the first match decides. Lenco documents five sandbox reasons (1.2); the
# other rows are the kinds that 3.5 names.
REASONS: Final[tuple[tuple[re.Pattern[str], Reason], ...]] = tuple(
    (re.compile(pattern, re.I), reason)
    for pattern, reason in (
        (
            r"insufficient (balance|funds?)\b.*\bdebit account|^insufficient (balance|funds?)$",
            Reason("insufficient_funds", Fault.OURS),
        ),
        (r"\b(debit|source) account\b", Reason("debit_account", Fault.OURS)),
        (
            r"time[d\s-]*out\b.*\bdestination bank",
            Reason("destination_timeout", Fault.RECIPIENT_BANK, ambiguous=True),
        ),
        (
            r"beneficiary bank not available",
            Reason("destination_unavailable", Fault.RECIPIENT_BANK, ambiguous=True),
        ),
        (r"system malfunction", Reason("system_malfunction", Fault.PSP, ambiguous=True)),
        (r"^transfer not successful\.?$", Reason("transfer_not_successful", Fault.PSP)),
        (r"dormant session", Reason("dormant_session", Fault.PSP, ambiguous=True)),
        (r"name mismatch|mismatch\w* name", Reason("name_mismatch", Fault.RECIPIENT)),
        (r"closed account|account\b.*\bclosed", Reason("account_closed", Fault.RECIPIENT)),
        (r"dormant account|account\b.*\bdormant", Reason("account_dormant", Fault.RECIPIENT)),
        (
            r"(beneficiary|recipient|wallet)\b.*\blimit|maximum balance",
            Reason("recipient_limit", Fault.RECIPIENT),
        ),
        (r"watch[\s-]?list|black[\s-]?list", Reason("account_blocked", Fault.RECIPIENT)),
        (
            r"^(invalid|no such|unknown) (beneficiary |recipient |destination )?account"
            r"( number)?\.?$"
            r"|^account (number )?(does not exist|not found)\.?$",
            Reason("invalid_account", Fault.RECIPIENT),
        ),
        (r"transfer limit exceeded", Reason("limit_exceeded", Fault.OURS)),
        (r"\bno response", Reason("no_response", Fault.PSP, ambiguous=True)),
    )
)


def reason_of(text: str | None) -> Reason:
    """Attribute ``reasonForFailure``; what no row knows is ``Fault.UNKNOWN``."""
    if not text or not text.strip():
        return Reason("unstated", Fault.UNKNOWN)
    text = text.strip()
    uncertain = AMBIGUOUS.search(text) is not None
    for pattern, reason in REASONS:
        if pattern.search(text):
            ambiguous = reason.ambiguous or uncertain
            return Reason(reason.code, reason.fault, ambiguous)
    return Reason("unrecognised", Fault.UNKNOWN, uncertain)
