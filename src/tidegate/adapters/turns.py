"""How often the aggregator is told something, and what is known afterwards. Source: A5.

:data:`VERBS` is the one table of retrying. What an answer means is read by ``wire.verdicts`` (and
here for questions and balances, which have no words of their own); here stands which meanings
allow another try, and which word of the port is left at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from tidegate.adapters.http import Answer, Failure, FailureKind
from tidegate.db.exchanges import Exchange
from tidegate.ports.aggregator import Said
from tidegate.wire import verdicts
from tidegate.wire.answers import Answer as Reply
from tidegate.wire.answers import parse_answer

__all__ = [
    "ACCEPT",
    "CANCEL",
    "DECLINE",
    "FULFIL",
    "FULFIL_FAILED",
    "QUESTION",
    "VERBS",
    "Turn",
    "Verb",
    "answer_to_question",
]

_ORDINARY_S: Final = 30.0
_FULFIL_S: Final = 60.0  # the aggregator posts the sender's webhook before it answers (4)

# As long as the offer lives: the time given ends it, never the count.
_WHILE_IT_LIVES: Final = 1000


@dataclass(frozen=True, slots=True)
class Verb:
    """How often a call is made in one turn, tries and pauses together within ``time_s``.

    ``unknown`` sends may end without proof of what happened; ``proven`` counts those that
    provably changed nothing (not reached, 429). A refused timestamp is stamped anew once, for
    every verb: the aggregator looks at it before anything else (aggregator.md 2.5).
    """

    time_s: float
    unknown: int
    proven: int


VERBS: Final[Mapping[str, Verb]] = {
    # verb               time       unknown          proven to have changed nothing
    "accept": Verb(_ORDINARY_S, _WHILE_IT_LIVES, _WHILE_IT_LIVES),
    # It ends whatever offer is open when it arrives, also one that came meanwhile: the next turn
    # looks for that first.
    "decline": Verb(_ORDINARY_S, 1, 1),
    # Repeating either blindly does harm (4.3, 4.4). Also after a try that changed nothing: while we
    # wait to be let through, our answer to ``/tx_status`` may say it, and the repeat comes late.
    # The order is fetched first, in another turn.
    "fulfil": Verb(_FULFIL_S, 1, 1),
    "cancel": Verb(_ORDINARY_S, 1, 1),
    # An old figure must not overtake a new one: the current one is read and sent instead.
    "balances": Verb(_ORDINARY_S, 1, 1),
    "order": Verb(_ORDINARY_S, 3, 3),
    "orders": Verb(_ORDINARY_S, 3, 3),
    "node_info": Verb(_ORDINARY_S, 3, 3),
    "rates": Verb(_ORDINARY_S, 3, 3),
    "stats": Verb(_ORDINARY_S, 3, 3),
}

ACCEPT: Final[Mapping[str, Said]] = {
    verdicts.AcceptAnswer.ACCEPTED: Said.DONE,
    verdicts.AcceptAnswer.GONE: Said.GONE,
    verdicts.AcceptAnswer.ORDER_UNKNOWN: Said.GONE,
    verdicts.AcceptAnswer.ALREADY_TAKEN: Said.CONFLICT,
}
DECLINE: Final[Mapping[str, Said]] = {
    verdicts.DeclineAnswer.DECLINED: Said.DONE,
    verdicts.DeclineAnswer.GONE: Said.DONE,  # 404: there is nothing left to decline
}
FULFIL: Final[Mapping[str, Said]] = {
    verdicts.FulfilAnswer.OK: Said.DONE,
    verdicts.FulfilAnswer.ALREADY_VALIDATED: Said.DONE,
    verdicts.FulfilAnswer.ALREADY_SETTLED: Said.DONE,
    verdicts.FulfilAnswer.ALREADY_REFUNDED: Said.REFUNDED,
    verdicts.FulfilAnswer.ALREADY_FAILED: Said.UNKNOWN,
    verdicts.FulfilAnswer.FOREIGN_TXID: Said.CONFLICT,
    verdicts.FulfilAnswer.NOT_OURS: Said.NOT_OURS,
}
# A failure that is reported again is done; one that meets a payment is not: ask first.
FULFIL_FAILED: Final[Mapping[str, Said]] = {
    **FULFIL,
    verdicts.FulfilAnswer.ALREADY_VALIDATED: Said.UNKNOWN,
    verdicts.FulfilAnswer.ALREADY_SETTLED: Said.UNKNOWN,
    verdicts.FulfilAnswer.ALREADY_FAILED: Said.DONE,
}
CANCEL: Final[Mapping[str, Said]] = {
    verdicts.CancelAnswer.CANCELLED: Said.DONE,
    verdicts.CancelAnswer.NOT_OURS: Said.GONE,
}

# The words that every verdict shares. Not reached counts as throttled: proof that nothing changed.
_RESTAMP: Final = "restamp"
_THROTTLED: Final = "throttled"
_INCONCLUSIVE: Final = "inconclusive"
_SHARED: Final[Mapping[str, Said]] = {
    _RESTAMP: Said.MISCONFIGURED,  # refused again although stamped anew: our clock is wrong
    _THROTTLED: Said.NOT_SENT,
    "misconfigured": Said.MISCONFIGURED,
    _INCONCLUSIVE: Said.UNKNOWN,
}

# What an earlier lost try takes the proof from: the refusal may be the answer to our own success.
_SHAKEN: Final = frozenset({Said.GONE, Said.NOT_SENT, Said.MISCONFIGURED})


class Question(StrEnum):
    """Meanings of the answer to a question, or to balances."""

    ANSWERED = "answered"
    REFUSED = "refused"  # a 4xx that will be the same again
    RESTAMP = "restamp"
    THROTTLED = "throttled"
    MISCONFIGURED = "misconfigured"
    INCONCLUSIVE = "inconclusive"


QUESTION: Final[Mapping[str, Said]] = {
    Question.ANSWERED: Said.DONE,
    Question.REFUSED: Said.MISCONFIGURED,
}


def answer_to_question(reply: Reply) -> Question:
    """Read the errors any endpoint may give (2.5), else by HTTP status."""
    # Decline's table has the shared rows and two about offers, which no question is answered with.
    shared = verdicts.classify_decline(reply).value
    if shared in _SHARED and shared != _INCONCLUSIVE:
        return Question(shared)
    if reply.is_success:
        return Question.ANSWERED
    if reply.readable and 400 <= reply.http_status < 500:
        return Question.REFUSED
    return Question.INCONCLUSIVE


@dataclass(slots=True)
class Turn:
    """One verb said until it is conclusive or may not be repeated.

    ``classify`` is the verb's reading of an answer; ``meanings`` turns its own words into those of
    the port. ``reply`` is the last answer, ``None`` when there was none; ``again`` says whether
    the table allows another try.
    """

    name: str
    classify: Callable[[Reply], StrEnum]
    meanings: Mapping[str, Said]
    exchanges: list[Exchange] = field(default_factory=list)
    reply: Reply | None = None
    message: str = ""
    retry_after_s: float | None = None
    again: bool = True
    _word: str = _INCONCLUSIVE
    _unknown: int = 0
    _proven: int = 0
    _restamped: int = 0

    @property
    def verb(self) -> Verb:
        return VERBS[self.name]

    def take(self, ended: Answer | Failure, asked_s: float | None) -> None:
        """Take in how a try ended; ``asked_s`` is how long we are asked to wait."""
        self.retry_after_s = asked_s
        if isinstance(ended, Answer):
            self.reply = parse_answer(ended.status, ended.body)
            self.message = self.reply.message
            self._word = self.classify(self.reply).value
        else:
            self.reply = None
            self.message = ended.why
            not_reached = ended.kind is FailureKind.NOT_REACHED
            self._word = _THROTTLED if not_reached else _INCONCLUSIVE
        self.again = self._allows_another()

    def said(self) -> Said:
        """What is known after the last try, in the light of those before it."""
        said = self.meanings[self._word] if self._word in self.meanings else _SHARED[self._word]
        return Said.UNKNOWN if self._unknown and said in _SHAKEN else said

    def _allows_another(self) -> bool:
        match self._word:
            case "restamp":
                self._restamped += 1
                return self._restamped <= 1
            case "throttled":
                self._proven += 1
                return self._proven < self.verb.proven
            case "inconclusive":
                self._unknown += 1
                return self._unknown < self.verb.unknown
            case _:
                return False
