"""``docs/states.md``: the state tables of payouts and attempts, drawn."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Final, TypeVar

from tidegate.payouts.states import (
    ATTEMPT_TRANSITIONS,
    CLOSED_ATTEMPT,
    ENDED,
    ENDED_UNPAID,
    TRANSITIONS,
    AttemptEvent,
    AttemptState,
    Event,
    State,
    public_status,
)

__all__ = ["diagram", "states_page", "table"]

S = TypeVar("S", bound=StrEnum)
E = TypeVar("E", bound=StrEnum)

_INTRODUCTION = """\
# States

A payout is one order of the aggregator; an attempt is one transfer at one PSP, made for it. Both
change only along the tables below, which are those of `src/tidegate/payouts/states.py`
(`TRANSITIONS`, `ATTEMPT_TRANSITIONS`). News that a table does not list is refused (`not_in_table`)
and shown to a person. This page is generated (`python -m tidegate.cli.pages`).

News that leave a state as it is are in the tables and not in the drawings.
"""

_STATES: Final[Mapping[State, str]] = {
    State.PENDING: "Offered; nothing is promised.",
    State.ACCEPTING: "Float is reserved and accept may have been sent. The clock alone never "
    "ends this state.",
    State.ACCEPTED: "Ours to pay; nothing was sent to a PSP.",
    State.PROCESSING: "An attempt may have left the node.",
    State.HELD: "Waits for a person.",
    State.PAID: "A PSP says paid; the aggregator is to be told.",
    State.FULFILLED: "Paid, and the aggregator took the report.",
    State.DECLINED: "Refused before accept.",
    State.EXPIRED: "Its time was over, or it went to another provider.",
    State.CANCELLED: "Accepted and given up; no transfer was ever created.",
    State.FAILED: "Accepted and given up; a transfer failed for certain, or *pending* was "
    "reported already.",
}

_EVENTS: Final[Mapping[Event, str]] = {
    Event.RESERVED: "Policy passed and float was set aside.",
    Event.REFUSED: "Policy says no.",
    Event.LAPSED: "The offer's time was over before accept was sent.",
    Event.ACCEPTED: "The aggregator gave the order to us.",
    Event.NOT_OURS: "Proven: the order is not ours.",
    Event.FOUND_OURS: "An ownership check shows that an accept of ours took effect.",
    Event.DISPATCHED: "An attempt is about to be sent, or another PSP takes over.",
    Event.PAID: "A look-up shows the transfer as paid.",
    Event.WITHDRAWN: "Given up; every attempt was refused before creation or never left.",
    Event.GAVE_UP: "Given up after a transfer failed for certain.",
    Event.HELD: "A person has to decide.",
    Event.RESUMED: "The person said: go on.",
    Event.REPORTED: "The aggregator's answer is conclusive.",
    Event.REPORT_REFUSED: "Conclusive, and the aggregator does not take the report; a case.",
    Event.OFFERED_AGAIN: "The same order was offered again: a new round, or the success is "
    "reported again.",
    Event.PAID_LATE: "A transfer that had failed for certain was paid after all; a case.",
    Event.REVERSED: "The money came back after it was paid; a case.",
}

_ATTEMPT_STATES: Final[Mapping[AttemptState, str]] = {
    AttemptState.PREPARED: "Written down; proven that no byte left.",
    AttemptState.SENDING: "About to be sent, or sent. Whoever finds it looks up and never sends.",
    AttemptState.UNKNOWN: "The call ended without an answer that can be trusted.",
    AttemptState.PENDING: "The PSP has it.",
    AttemptState.COOLING: "Failed for a reason that may still turn into success.",
    AttemptState.HELD: "Waits for a person.",
    AttemptState.PAID: "The PSP says paid.",
    AttemptState.REVERSED: "Was paid; the money came back.",
    AttemptState.REJECTED: "Refused before creation.",
    AttemptState.FAILED: "Failed for certain.",
    AttemptState.WITHDRAWN: "Given up before it was sent.",
}

_ATTEMPT_EVENTS: Final[Mapping[AttemptEvent, str]] = {
    AttemptEvent.SENT: "The intention to send is committed.",
    AttemptEvent.NOT_SENT: "Proven that nothing left.",
    AttemptEvent.UNCLEAR: "The answer proves nothing.",
    AttemptEvent.TAKEN: "The PSP has the transfer; its end is open.",
    AttemptEvent.REFUSED: "Refused before creation.",
    AttemptEvent.FAILED_AMBIGUOUSLY: "Failed, for a reason that may still turn into success.",
    AttemptEvent.FAILED: "Failed for certain.",
    AttemptEvent.PAID: "Paid.",
    AttemptEvent.HELD: "Figures that are not ours, or words that nobody explains.",
    AttemptEvent.REVERSED: "The money came back.",
    AttemptEvent.WITHDRAWN: "Given up before it was sent.",
    AttemptEvent.RULED_UNPAID: "A person ends what was held, on what the PSP said just then.",
}

# What can happen after a round has ended, or to it from outside: drawn apart.
_LATE: Final = frozenset(
    {Event.FOUND_OURS, Event.OFFERED_AGAIN, Event.PAID_LATE, Event.RESUMED, Event.REVERSED}
)


def states_page() -> str:
    """The whole page."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield _INTRODUCTION
    yield "## Payouts\n"
    yield "The ordinary life of one round.\n"
    yield from diagram(TRANSITIONS, State.PENDING, without=_LATE)
    yield "Late and repeated news, and what a person decides.\n"
    yield from diagram(TRANSITIONS, None, without=frozenset(Event) - _LATE)
    yield "| state | meaning | told to the aggregator as | round |\n|---|---|---|---|"
    for state in State:
        end = "ended, nobody paid" if state in ENDED_UNPAID else "ended" if state in ENDED else ""
        yield f"| `{state}` | {_STATES[state]} | {public_status(state)} | {end} |"
    yield "\n*Told as* is the status in the answer to an offer; `/tx_status` has its own three"
    yield "words (`standing_of` in `src/tidegate/payouts/answer.py`).\n"
    yield "| event | meaning |\n|---|---|"
    for event in Event:
        yield f"| `{event}` | {_EVENTS[event]} |"
    yield ""
    yield from table(TRANSITIONS)
    yield "## Attempts\n"
    yield "At most one attempt of a payout may be in any state but"
    yield f"{_listed(CLOSED_ATTEMPT)};"
    yield "a partial unique index (`uq_attempts_standing`) enforces it.\n"
    yield from diagram(ATTEMPT_TRANSITIONS, AttemptState.PREPARED)
    yield "| state | meaning |\n|---|---|"
    for attempt_state in AttemptState:
        yield f"| `{attempt_state}` | {_ATTEMPT_STATES[attempt_state]} |"
    yield "\n| event | meaning |\n|---|---|"
    for attempt_event in AttemptEvent:
        yield f"| `{attempt_event}` | {_ATTEMPT_EVENTS[attempt_event]} |"
    yield ""
    yield from table(ATTEMPT_TRANSITIONS)


def diagram(
    transitions: Mapping[tuple[S, E], S], first: S | None, *, without: Collection[E] = ()
) -> Iterator[str]:
    """A Mermaid drawing; several events between two states share an arrow."""
    arrows: dict[tuple[S, S], list[E]] = {}
    for (before, event), after in transitions.items():
        if before is not after and event not in without:
            arrows.setdefault((before, after), []).append(event)
    yield "```mermaid\nstateDiagram-v2"
    if first is not None:
        yield f"    [*] --> {first}"
    for (before, after), events in arrows.items():
        yield f"    {before} --> {after} : {', '.join(events)}"
    yield "```\n"


def table(transitions: Mapping[tuple[S, E], S]) -> Iterator[str]:
    """The rows of a state table."""
    yield "| from | event | to |\n|---|---|---|"
    for (before, event), after in transitions.items():
        yield f"| `{before}` | `{event}` | {'stays' if before is after else f'`{after}`'} |"
    yield ""


def _listed(states: Iterable[StrEnum]) -> str:
    first, *others = (f"`{state}`" for state in sorted(states))
    return f"{', '.join([first, *others[:-1]])} and {others[-1]}" if others else first
