"""What a PSP's answer, asked just now, lets a person record of a held transfer. Pure.

The stronger the deed, the stronger the proof: sending again needs the PSP's own word that the
transfer failed; ending the order unpaid may rest, after a day, on a PSP that does not know it or
explains nothing; recording it as paid is refused where the PSP says that it was not.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from tidegate.payouts.confirm import event_of, mismatch
from tidegate.payouts.rules import Rules
from tidegate.payouts.states import AttemptEvent
from tidegate.payouts.store import Row
from tidegate.ports.bank import Fault, NotFound, Outcome, OutcomeKind, Unavailable

__all__ = ["DAY_MS", "HOUR_MS", "Ruling", "refusal"]

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
_OVER: Final = frozenset({OutcomeKind.FAILED, OutcomeKind.REJECTED})
_MAY_BE_PAID: Final = frozenset({OutcomeKind.SUCCEEDED, OutcomeKind.PENDING})


class Ruling(StrEnum):
    """What a person wants to be done with a held payout."""

    RESUMED = "resumed"  # pay it with another transfer
    PAID = "paid"
    UNPAID = "unpaid"  # end it: it will never be paid


def refusal(
    ruling: Ruling,
    answer: Outcome | NotFound | Unavailable,
    attempt: Row,
    *,
    back: bool,
    psp_id: str | None,
    now_ms: int,
    rules: Rules,
) -> str | None:
    """Why ``answer`` does not allow ``ruling``; ``None``: it does.

    ``back``: the PSP's balance shows that the transfer's debit was returned.
    """
    if isinstance(answer, Unavailable):
        return f"{attempt['psp']} cannot be asked now, and nothing is recorded without it."
    if ruling is Ruling.PAID:
        return _not_paid(answer, attempt, psp_id, now_ms)
    since_ms = now_ms - (attempt["sent_at"] or attempt["created_at"])
    if isinstance(answer, NotFound):
        return _unknown_there(ruling, attempt, since_ms, rules)
    said = answer.said or answer.kind
    if said in _MAY_BE_PAID:
        return f"{attempt['psp']} says {said.value}: it may be, or become, paid."
    if answer.hold is not None or mismatch(answer, attempt) is not None:
        return _contradicted(ruling, since_ms, back, rules)
    if said not in _OVER:
        return "The PSP has not said how the transfer ended: nothing is recorded."
    return _failed(ruling, answer, since_ms, back, rules)


def _not_paid(
    answer: Outcome | NotFound, attempt: Row, psp_id: str | None, now_ms: int
) -> str | None:
    if isinstance(answer, Outcome) and event_of(answer, attempt)[0] is AttemptEvent.PAID:
        return None if psp_id in {None, answer.psp_id} else _other_id(answer)
    if psp_id is None:
        return "Name the PSP's own id of the transfer."
    if isinstance(answer, NotFound):
        old = now_ms - (attempt["sent_at"] or attempt["created_at"]) >= DAY_MS
        return None if old else f"{attempt['psp']} does not know the transfer: wait for a day."
    if (answer.said or answer.kind) is not OutcomeKind.SUCCEEDED:
        said = answer.raw_status or answer.kind.value
        return f"{attempt['psp']} does not say that it paid: its word is {said}."
    return None if answer.psp_id in {None, psp_id} else _other_id(answer)


def _other_id(answer: Outcome) -> str:
    return f"The PSP's id of the transfer is {answer.psp_id}, not the one that was given."


def _unknown_there(ruling: Ruling, attempt: Row, since_ms: int, rules: Rules) -> str | None:
    """*Not found* is weak evidence (psp.md 3.4): never enough to send again."""
    if ruling is Ruling.RESUMED:
        return (
            f"{attempt['psp']} does not know the transfer, which does not prove that it failed: "
            "nothing is sent again."
        )
    if attempt["not_found"] < rules.not_found_count or since_ms < DAY_MS:
        return f"{attempt['psp']} does not know the transfer: wait until it is a day old."
    return None


def _contradicted(ruling: Ruling, since_ms: int, back: bool, rules: Rules) -> str | None:
    """A word that is never explained, or figures that are not ours (psp.md 3.6: a person too)."""
    if ruling is Ruling.RESUMED:
        return "The PSP's answer does not prove that the transfer failed: nothing is sent again."
    if since_ms < rules.cool_off_ms:
        return "The PSP's answer is not plain, and may change: wait for COOL_OFF."
    return None if back else "The PSP's balance does not show that the money came back."


def _failed(ruling: Ruling, answer: Outcome, since_ms: int, back: bool, rules: Rules) -> str | None:
    """The PSP says failed. A reason that may turn, or that nobody knows, cools off first."""
    if not answer.ambiguous and answer.fault not in {None, Fault.UNKNOWN}:
        return None
    if since_ms < rules.cool_off_ms:
        return "It failed for a reason that may still turn into success: wait for COOL_OFF."
    if back or (ruling is Ruling.UNPAID and since_ms >= DAY_MS):
        return None
    return "It failed, but the PSP's balance does not show that the money came back."
