"""Resolve: what an operator may do about a payout that is held.

The truth about money is the PSP's, so a person's word alone ends nothing: the transfer is looked
up by our reference right then, and what the PSP answers decides what may be recorded
(:mod:`tidegate.payouts.proof`). The answer is kept as evidence, also when it refuses the person.
Nothing is sent from here: *resumed* makes the payout due, and its next transfer has a reference of
its own, while the partial unique index still allows one standing attempt a payout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select

from tidegate.cases.store import CloseCase, NoteAction
from tidegate.cases.tables import cases
from tidegate.clock import Clock, Randomness
from tidegate.db.committer import Committer
from tidegate.db.engine import Database
from tidegate.db.rows import DONE, Change, Next
from tidegate.errors import Conflict, NotFound, NotProven, Stale, WrongOrderState
from tidegate.ledger.book import Record
from tidegate.payouts import proof
from tidegate.payouts.balances import Float
from tidegate.payouts.conclude import end_unpaid, paid_before, states_of
from tidegate.payouts.endings import record_paid
from tidegate.payouts.ownership import Owner, Ownership
from tidegate.payouts.postings import rehold
from tidegate.payouts.proof import Ruling
from tidegate.payouts.readings import find_payout
from tidegate.payouts.rules import Rules
from tidegate.payouts.sending import recorded
from tidegate.payouts.states import (
    CLOSED_ATTEMPT,
    AttemptEvent,
    AttemptState,
    Event,
    State,
)
from tidegate.payouts.store import Journal, Row, attempts_of, evidence, standing_attempt
from tidegate.payouts.tables import attempts
from tidegate.ports.aggregator import Aggregator
from tidegate.ports.bank import Bank, Outcome, Unavailable
from tidegate.ports.bank import NotFound as NotFoundThere
from tidegate.wire.dialect import Dialect

__all__ = ["Operator", "Resolve", "Ruling"]

_CASES: Final = ("payout_held", "attempt_open_for_a_day")
_CODE: Final = "closed_by_operator"
_WHY: Final = "The payout could not be made"
_ASKABLE: Final = frozenset(AttemptState) - CLOSED_ATTEMPT - {AttemptState.PREPARED}

_cases = select(cases.c.id).where(
    cases.c.subject.in_(bindparam("subjects", expanding=True)),
    cases.c.state == "open",
    cases.c.kind.in_(_CASES),
)


@dataclass(frozen=True, slots=True)
class Operator:
    """Who acts, from where and why; ``evidence`` is where it was looked up and what was found."""

    by: str
    origin: str
    reason: str
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class _Doubt:
    """What a decision rests on; ``attempt`` is the one that may still be paid, if any."""

    payout: Row
    attempts: Sequence[Row]
    attempt: Row | None
    cases: Sequence[int]


class Resolve:
    """The verb of operators on held payouts, for API and command line alike."""

    def __init__(
        self,
        database: Database,
        committer: Committer,
        clock: Clock,
        randomness: Randomness,
        rules: Rules,
        float_: Float,
        aggregator: Aggregator,
        banks: Mapping[str, Bank],
    ) -> None:
        self._database = database
        self._committer = committer
        self._clock = clock
        self._randomness = randomness
        self._rules = rules
        self._float = float_
        self._ownership = Ownership(clock, aggregator)
        self._banks = banks

    async def look(self, name: str, operator: Operator) -> Row:
        """Make the order's open transfer due for a look-up now; the payout.

        Changes no state by itself. Raises ``NotFound``, ``WrongOrderState`` when no transfer of
        it may be out.
        """
        doubt = await self._database.read(lambda c: _read(c, name))
        attempt = doubt.attempt
        if attempt is None or AttemptState(attempt["state"]) not in _ASKABLE:
            raise WrongOrderState(
                "No transfer of this order may be at a PSP: there is nothing to look up."
            )
        bank = self._bank(attempt)
        journal = Journal(doubt.payout, self._clock, self._randomness)
        journal.add(
            Change(attempts, attempt["id"], next=Next(f"confirm:{bank.name}")),
            self._action(operator, "order.look", doubt, {"due": f"confirm:{bank.name}"}),
        )
        await self._commit(journal)
        return journal.payout

    async def resolve(
        self, name: str, ruling: Ruling, operator: Operator, *, psp_id: str | None = None
    ) -> Row:
        """Look the transfer up, and end or go on as ``ruling`` says if the answer allows it; the
        payout as it then is.

        ``psp_id`` is the PSP's id of the transfer, for *paid*. Raises ``NotFound``,
        ``WrongOrderState`` when the state tables have no such way, ``Conflict`` while somebody is
        at it or when it changed meanwhile, and ``NotProven``.
        """
        doubt = await self._database.read(lambda c: _read(c, name))
        self._refuse(doubt, ruling)
        journal = Journal(doubt.payout, self._clock, self._randomness)
        if doubt.attempt is None:
            found = await self._without_transfer(journal, doubt, ruling)
        else:
            found = await self._with_transfer(journal, doubt, doubt.attempt, ruling, psp_id)
        after = {"as": ruling.value, "found": found, "evidence": operator.evidence}
        journal.add(*(CloseCase(each, operator.by, operator.reason) for each in doubt.cases))
        journal.add(self._action(operator, "order.resolve", doubt, after, journal.payout["state"]))
        await self._commit(journal)
        return journal.payout

    def _refuse(self, doubt: _Doubt, ruling: Ruling) -> None:
        """Whatever can be refused without asking anybody."""
        payout, attempt, now_ms = doubt.payout, doubt.attempt, self._clock.now_ms()
        if State(payout["state"]) is not State.HELD:
            raise WrongOrderState(
                f"The order is {payout['state']}: only one that is held for a person is resolved."
            )
        if any((row["leased_until"] or 0) > now_ms for row in (payout, attempt) if row):
            raise Conflict("The order is being worked on at this moment: try again shortly.")
        if ruling is Ruling.RESUMED and payout["paid_ever"]:
            raise WrongOrderState("An earlier transfer of this order was paid: nothing is sent.")
        if attempt is None:
            if ruling is Ruling.PAID and not payout["paid_ever"]:
                raise WrongOrderState(
                    "No transfer of this order is open at a PSP, so none can have paid it."
                )
            if ruling is Ruling.RESUMED and payout["accepted_at"] is None:
                raise WrongOrderState(
                    "Whether the aggregator gave us this order is not known: it is never paid on "
                    "a guess. Close it as unpaid."
                )
        elif AttemptState(attempt["state"]) is not AttemptState.HELD:
            raise WrongOrderState(
                f"The transfer {attempt['reference']} is {attempt['state']}: the node still asks "
                f"{attempt['psp']} about it. Look again instead."
            )

    # -- a transfer is held -----------------------------------------------------------------

    async def _with_transfer(
        self,
        journal: Journal,
        doubt: _Doubt,
        attempt: Row,
        ruling: Ruling,
        psp_id: str | None,
    ) -> str:
        """What the PSP says now, and what follows of it."""
        bank = self._bank(attempt)
        answer = await bank.lookup(attempt["reference"])
        back = isinstance(answer, Outcome) and await self._float.debit_is_back(bank, attempt)
        refusal = proof.refusal(
            ruling,
            answer,
            # One that does not open is compared with nothing, as one that was erased: the person
            # has seen the transfer at the PSP.
            self._database.cipher.shown_or_none(attempt, attempts.c.account_number),
            back=back,
            psp_id=psp_id,
            now_ms=self._clock.now_ms(),
            rules=self._rules,
        )
        if refusal is not None:
            await self._keep(doubt.payout, attempt, answer)
            raise NotProven(refusal)
        assert not isinstance(answer, Unavailable)  # which proves nothing
        found = self._heard(journal, attempt, answer)
        looked: dict[str, Any] = {"lookups": attempt["lookups"] + 1}
        if isinstance(answer, Outcome):
            looked |= recorded(answer)
        if ruling is Ruling.PAID:
            self._paid(journal, attempt, answer, looked, psp_id)
            return found
        looked["final_at"] = self._clock.now_ms()
        journal.attempt(attempt, AttemptEvent.RULED_UNPAID, next=DONE, **looked)
        if ruling is Ruling.RESUMED:
            self._resume(journal)
            return found
        others = [row for row in doubt.attempts if row["id"] != attempt["id"]]
        ended = [*states_of(attempt["round"], others), (attempt["psp"], AttemptState.FAILED)]
        self._unpaid(journal, ended, answer)
        return found

    def _paid(
        self,
        journal: Journal,
        attempt: Row,
        answer: Outcome | NotFoundThere,
        looked: Mapping[str, Any],
        psp_id: str | None,
    ) -> None:
        """The PSP's success, or a person's word with the PSP's id: entries, state, report."""
        outcome = answer if isinstance(answer, Outcome) else None
        record_paid(
            journal,
            attempt,
            fee=outcome.fee.minor if outcome is not None and outcome.fee else 0,
            psp_id=(outcome.psp_id if outcome is not None else None) or psp_id,
            now_ms=self._clock.now_ms(),
            look_again=Next(f"confirm:{attempt['psp']}", proof.HOUR_MS),
            looked=looked,
        )

    def _resume(self, journal: Journal) -> None:
        payout = journal.payout
        journal.move(
            Event.RESUMED,
            next=Next(f"disburse:{payout['psp']}"),
            reason_code=None,
            reason_text=None,
        )

    def _unpaid(
        self,
        journal: Journal,
        ended: Sequence[tuple[str, AttemptState]],
        answer: Outcome | NotFoundThere | None,
    ) -> None:
        """The round is over unpaid, or the order was paid by an earlier transfer."""
        if journal.payout["paid_ever"]:
            paid_before(journal, code=_CODE)
            return
        outcome = answer if isinstance(answer, Outcome) else None
        end_unpaid(
            journal,
            ended,
            fault=outcome.fault if outcome is not None else None,
            code=_CODE,
            why=(outcome.reason_text if outcome is not None else None) or _WHY,
        )

    # -- no transfer is open ----------------------------------------------------------------

    async def _without_transfer(self, journal: Journal, doubt: _Doubt, ruling: Ruling) -> str:
        """No transfer may be out, by our own rows: the aggregator is asked whose the order is."""
        payout = doubt.payout
        if payout["paid_ever"]:
            paid_before(journal, code=_CODE)
            return "paid before"
        owner, said = await self._ownership.ask(payout, 1)
        journal.exchanged(said)
        if owner is Owner.NOT_KNOWN and payout["dialect"] == Dialect.LIVE:
            raise NotProven("The aggregator does not say now whose the order is: try again later.")
        if owner is Owner.NOT_OURS:
            for entry in rehold(payout, None, 0):
                journal.add(Record(entry))
            holds = payout["holds"] + 1
            journal.move(Event.NOT_OURS, next=DONE, held=0, holds=holds)
        elif ruling is Ruling.RESUMED:
            self._resume(journal)
        else:
            self._unpaid(journal, states_of(payout["round"], doubt.attempts), None)
        return owner.value

    # -- shared -----------------------------------------------------------------------------

    def _bank(self, attempt: Row) -> Bank:
        bank = self._banks.get(attempt["psp"])
        if bank is None:
            raise Conflict(
                f"{attempt['psp']} is not in PAYOUTS_PSPS, so it cannot be asked: put it back."
            )
        return bank

    def _heard(
        self, journal: Journal, attempt: Row, answer: Outcome | NotFoundThere | Unavailable
    ) -> str:
        """Keep what was said; in a word."""
        journal.exchanged([answer.exchange])
        match answer:
            case Outcome():
                journal.observe(attempt, "lookup", answer.kind, evidence(answer))
                return answer.kind.value
            case NotFoundThere():
                journal.observe(attempt, "lookup", "not_found", {})
                return "not_found"
            case Unavailable():
                return "unavailable"

    async def _keep(
        self, payout: Row, attempt: Row, answer: Outcome | NotFoundThere | Unavailable
    ) -> None:
        """The person is refused: the evidence stays, and the node asks again at once."""
        journal = Journal(payout, self._clock, self._randomness)
        self._heard(journal, attempt, answer)
        look = Next(f"confirm:{attempt['psp']}")
        journal.add(Change(attempts, attempt["id"], next=look))
        await self._committer.commit(journal.unit)

    def _action(
        self,
        operator: Operator,
        action: str,
        doubt: _Doubt,
        after: Mapping[str, Any],
        state: str | None = None,
    ) -> NoteAction:
        attempt = doubt.attempt
        before = {
            "state": doubt.payout["state"],
            "attempt": attempt and attempt["id"],
            "attempt_state": attempt and attempt["state"],
        }
        now = {"state": state or doubt.payout["state"], **after}
        return NoteAction(
            operator.by, operator.origin, action, doubt.payout["id"], operator.reason, before, now
        )

    async def _commit(self, journal: Journal) -> None:
        try:
            await self._committer.commit(journal.unit)
        except Stale:
            raise Conflict("The order changed meanwhile: look at it again.") from None


def _read(connection: Connection, name: str) -> _Doubt:
    payout = find_payout(connection, name)
    if payout is None:
        raise NotFound(f"There is no order {name}.")
    rows = attempts_of(connection, payout["id"])
    standing = standing_attempt(rows)
    subjects = [payout["id"], *([standing["id"]] if standing is not None else [])]
    found = connection.execute(_cases, {"subjects": subjects}).scalars()
    return _Doubt(payout, rows, standing, list(found))
