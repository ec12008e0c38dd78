"""Why an order waits, for what, and what happens next and when. Pure: rows in, sentences out.

The state says what is known; the queue columns of the payout and of its attempts say what is due.
Both are read here as the verbs would read them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from tidegate.payouts.rules import Rules
from tidegate.payouts.states import CLOSED_ATTEMPT, ENDED, AttemptState, State
from tidegate.payouts.store import Row, standing_attempt
from tidegate.work.waiting import Step, Waiting, steps_of

__all__ = ["waiting"]


_NODE: Final = "the node"
_AGGREGATOR: Final = "the aggregator"
_PERSON: Final = "a person"
_NOTHING: Final = "nothing"
_TIME: Final = "time"

_VERBS: Final = {
    "accept": "ask the aggregator for the order (accept)",
    "report": "tell the aggregator how it stands",
    "ownership": "ask the aggregator whose order it is",
}
_VERBS_AT: Final = {
    "disburse": "send the transfer to {}",
    "send": "send the same bytes to {} again",
    "confirm": "ask {} by our reference how the transfer stands",
}


def _what(kind: str) -> str:
    verb, _, psp = kind.partition(":")
    return _VERBS_AT[verb].format(psp) if verb in _VERBS_AT else _VERBS.get(verb, f"do {kind!r}")


def waiting(
    payout: Row,
    attempts: Sequence[Row],
    open_cases: Sequence[Row],
    rules: Rules,
    now_ms: int,
    *,
    last_answers: Mapping[str, str] | None = None,
) -> Waiting:
    """Say what ``payout`` waits for. ``attempts`` are all of it, ``open_cases`` those about it,
    ``last_answers`` a few words by counterparty (``aggregator``, a PSP's name)."""
    steps = steps_of((payout, *attempts), now_ms, _what)
    state = State(payout["state"])
    reporting = any(step.kind == "report" and step.row == payout["id"] for step in steps)
    standing = standing_attempt(attempts)
    match state:
        case State.PENDING:
            on, why = (
                _NODE,
                "Offered; nothing is promised yet. Policy and float are looked at next.",
            )
        case State.ACCEPTING:
            on = _AGGREGATOR
            why = (
                "The float is set aside and accept was or is being sent; no answer so far proves "
                "whose order it is. Nothing is paid before that."
            )
        case State.ACCEPTED:
            on, why = _NODE, "Ours to pay; nothing was sent to a PSP yet."
        case State.PROCESSING if standing is not None:
            on, why = _attempt(standing, rules, now_ms)
        case State.PROCESSING:
            on, why = _NODE, "The last transfer ended unpaid for certain; another PSP is to pay."
        case State.HELD:
            on, why = _PERSON, _held(payout, standing)
        case State.PAID if reporting:
            on, why = _AGGREGATOR, "Paid. The aggregator is told until its answer is conclusive."
        case State.PAID:
            on = _PERSON
            why = (
                "Paid, and the aggregator does not take the report. It is never paid again; a "
                "person settles it with the aggregator."
            )
        case _:
            on, why = _ended(payout, state, reporting)
    last = (last_answers or {}).get(on.removeprefix("the "))
    if last is not None:
        why += f" Last answer: {last}."
    if open_cases:
        numbers = ", ".join(str(case["id"]) for case in open_cases)
        plural = "s are" if len(open_cases) > 1 else " is"
        why += f" Case{plural} open: {numbers}."
    if not steps and state not in ENDED and on != _PERSON:
        why += (
            " Nothing is due on it, which should not be: look at the log for its id and tell the "
            "developers."
        )
    return Waiting(on, why + _delay(steps), steps)


def _attempt(attempt: Row, rules: Rules, now_ms: int) -> tuple[str, str]:
    """What the one transfer that may still be paid waits for."""
    psp, said = attempt["psp"], attempt["reason_text"] or attempt["raw_status"]
    asked = f"Asked {attempt['lookups']} times so far."
    match AttemptState(attempt["state"]):
        case AttemptState.PREPARED:
            return psp, (
                f"The transfer was written down and provably never reached {psp}; the same bytes "
                "are sent when it can be reached."
            )
        case AttemptState.SENDING:
            return psp, (
                f"The transfer is being sent to {psp}. If its sender died, it is looked up, never "
                "sent again on a guess."
            )
        case AttemptState.UNKNOWN:
            why = f"Whether {psp} has the transfer is unknown. {asked}"
            if attempt["not_found"]:
                closes = (attempt["sent_at"] or attempt["created_at"]) + rules.not_found_window_ms
                left = _minutes(closes - now_ms)
                why += (
                    f" It said {attempt['not_found']} times that it does not know it; after "
                    f"{rules.not_found_count} times over the whole window"
                    + (f" ({left} left)" if closes > now_ms else "")
                    + " the same bytes go again, with the same reference."
                )
            return psp, why
        case AttemptState.PENDING:
            return psp, (
                f"{psp} has the transfer and has not said how it ended"
                + (f" (last word: {said})" if said else "")
                + f". {asked}"
            )
        case AttemptState.COOLING:
            since = attempt["cooling_since"] or now_ms
            cools_ms = int(since) + rules.cool_off_ms - now_ms
            return (_TIME if cools_ms > 0 else psp), (
                f"{psp} says failed for a reason that may still turn into paid ({said}). It is "
                "believed after the cool-off"
                + (f" ({_minutes(cools_ms)} left)" if cools_ms > 0 else "")
                + ", once the debit is back."
            )
        case AttemptState.HELD:
            return _PERSON, f"The transfer at {psp} waits for a person ({said})."
        case AttemptState.PAID:
            return _NODE, f"{psp} paid; the payout is to follow."
        case AttemptState.REVERSED:
            return _PERSON, f"{psp} took a paid transfer back; the recipient is owed the amount."
        case AttemptState.REJECTED | AttemptState.FAILED | AttemptState.WITHDRAWN:
            return _NODE, "The last transfer ended unpaid."


def _held(payout: Row, standing: Row | None) -> str:
    why = payout["reason_text"] or "Held without a reason."
    if standing is None:
        return f"{why} No transfer stands open."
    if AttemptState(standing["state"]) in CLOSED_ATTEMPT:
        return why
    return (
        f"{why} The transfer {standing['reference']} at {standing['psp']} is {standing['state']}: "
        "find it there before anything is decided."
    )


def _ended(payout: Row, state: State, reporting: bool) -> tuple[str, str]:
    reason = payout["reason_text"] or payout["reason_code"]
    because = f" ({reason.rstrip('.')})" if reason else ""
    match state:
        case State.FULFILLED:
            return _NOTHING, (
                "Done: paid, and the aggregator has it on record. The PSP is asked again after an "
                "hour and after a day, should it take the money back."
            )
        case State.EXPIRED:
            return _NOTHING, f"Over: it was never ours{because}. Nothing was paid."
        case _ if reporting:
            return _AGGREGATOR, f"Over, unpaid{because}. The aggregator is being told."
        case State.DECLINED:
            return _NOTHING, f"Over: declined{because}. Nothing was paid."
        case State.CANCELLED:
            return _NOTHING, f"Over: given back unpaid{because}; no transfer was ever made."
        case _:
            return _NOTHING, f"Over: the transfer failed for certain{because}. Nothing was paid."


def _delay(steps: Sequence[Step]) -> str:
    """What a person should know when a step is overdue or was tried in vain."""
    said = ""
    for step in steps:
        if step.late_ms > 10_000:
            said += (
                f" To {step.what} has been due for {_minutes(step.late_ms)} and no worker took it: "
                "is `tidegate serve` running?"
            )
        elif step.tries > 1:
            said += f" To {step.what} was tried {step.tries} times in a row without success."
    return said


def _minutes(ms: int) -> str:
    return f"{max(1, round(ms / 60_000))} min" if ms >= 60_000 else f"{max(1, ms // 1000)} s"
