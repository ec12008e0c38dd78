"""Going on with a payment from what its row says: the verb of its kind of work.

The request that creates, captures or cancels a payment works through the same steps under the
same lease, so whoever comes after it (a worker, a retry, another process) continues where the
rows say and never begins a second charge (payments.md, "Idempotency"):

- *created*: ask for the processor's object, unconfirmed. Harmless, so it may be asked again with
  its stored key within 23 h; when that fails the same way, or later, the customer's objects are
  listed for ours (processor.md 1), and if it is not there the next key is used.
- *confirming*, *capturing*, *canceling*: who commits the state calls once. Whoever finds it looks
  at the object first. Only if the object shows no trace of the call for a while is the call made
  again, with the same key unless that brought back a 5xx: the object itself can be confirmed,
  captured or canceled but once.
- everything else: look, and apply what is found.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidegate.cases.store import OpenCase
from tidegate.clock import Clock, Randomness
from tidegate.db.committer import Committer
from tidegate.db.engine import Database
from tidegate.db.exchanges import Exchange
from tidegate.db.rows import DONE, Done, Next
from tidegate.money.amount import Money
from tidegate.money.currency import parse_currency
from tidegate.payments.agenda import KIND, Agenda
from tidegate.payments.answers import answer_of
from tidegate.payments.customers import Customers
from tidegate.payments.methods import reference_of
from tidegate.payments.outcome import declined, key_refused, learn, must_close, refused
from tidegate.payments.rules import PaymentRules
from tidegate.payments.sends import (
    KEY_MS,
    about_to_send,
    came_back,
    failed,
    first_send,
    not_begun,
)
from tidegate.payments.states import ENDED, WAITING, Event, State
from tidegate.payments.store import Journal, Row
from tidegate.ports.cards import (
    Cards,
    Declined,
    Found,
    IntentOrder,
    IntentStatus,
    Missing,
    NotSent,
    Refused,
    Unknown,
)
from tidegate.work.backoff import exponential_ms
from tidegate.work.claim import Claimed

__all__ = ["Pursue", "key_of"]

Ended = Found | Missing | Declined | Refused | NotSent | Unknown

# Quick repeats of what was certainly not sent, while somebody waits for the answer.
_QUICK_MS = (150, 600)

# So often a payment at rest is asked for soon again while no answer comes.
_TRIES_AT_REST = 8

_FINAL = frozenset({IntentStatus.SUCCEEDED, IntentStatus.CANCELED})
_STEPS = {State.CONFIRMING: "confirm", State.CAPTURING: "capture", State.CANCELING: "cancel"}
# How the object looks while the step's call has not taken effect.
_TRACELESS = {
    State.CONFIRMING: frozenset({IntentStatus.REQUIRES_CONFIRMATION}),
    State.CAPTURING: frozenset({IntentStatus.REQUIRES_CAPTURE}),
    State.CANCELING: frozenset(IntentStatus) - {IntentStatus.CANCELED, IntentStatus.SUCCEEDED},
}
_KEY_CONFLICT = (
    "The processor has another request under this payment's idempotency key. Nothing more is sent: "
    "compare the payment with its object there, then resolve it."
)


def key_of(row: Row, step: str) -> str:
    """The idempotency key for the processor; its number rises only after a proven failure."""
    return f"tidegate:{row['id']}:{step}:{row['step']}"


class Pursue:
    """The verb of kind ``pay``; one instance a processor."""

    def __init__(
        self,
        database: Database,
        committer: Committer,
        clock: Clock,
        randomness: Randomness,
        rules: PaymentRules,
        cards: Cards,
        customers: Customers,
    ) -> None:
        self._database = database
        self._committer = committer
        self._clock = clock
        self._randomness = randomness
        self._rules = rules
        self._cards = cards
        self._customers = customers
        self._agenda = Agenda(clock, randomness, rules)

    async def __call__(self, claimed: Claimed) -> None:
        await self.go_on(claimed)

    async def go_on(self, claimed: Claimed) -> Row:
        """Do what the row's state asks for; the row as it is then. Ends the lease."""
        row = claimed.row
        if self._agenda.is_too_late(row):
            return await self._give_up(claimed)
        match State(row["state"]):
            case State.CREATED:
                return await self._bind(claimed)
            case State.CONFIRMING | State.CAPTURING | State.CANCELING if row["sent_at"] is None:
                # Proven: nothing left.
                return await self._again(claimed, self._journal(row))
            case State.FAILED if row["processor_reference"] is not None:
                return await self._close(claimed)
            case State.FAILED | State.CANCELED if row["processor_reference"] is None:
                return await self._commit(claimed, self._journal(row), DONE)  # nothing is there
            case _:
                return await self._look(claimed)

    async def send(self, claimed: Claimed, row: Row) -> Row:
        """Make the call whose intention ``row`` has just committed, once."""
        if not claimed.covers(self._cards.timeout_s):
            return await self._wait(claimed, row)
        said: list[Exchange] = []
        ended = await self._call(row)
        for pause_ms in _QUICK_MS:
            if not isinstance(ended, NotSent) or not self._soon(ended, pause_ms):
                break
            said.append(ended.exchange)
            await self._clock.sleep(pause_ms / 1000)
            if not claimed.covers(self._cards.timeout_s):
                break
            ended = await self._call(row)
        # A number that has risen may have had calls before it, whose 5xx was not said to be stored.
        alone = row["sends"] == row["step"] == 1
        if isinstance(ended, Refused) and ended.intent is None and not alone:
            return await self._refused_again(claimed, row, ended, said)
        return await self._ended(claimed, row, ended, said)

    async def _refused_again(
        self, claimed: Claimed, row: Row, ended: Refused, said: list[Exchange]
    ) -> Row:
        """A refusal of the first call is certain; a later one may be because an earlier one acted,
        or may have nothing to do with it. The object tells, and until it does all stays unknown."""
        looked = await self._cards.fetch(row["processor_reference"])
        said = [*said, ended.exchange]
        traceless = _TRACELESS[State(row["state"])]
        if isinstance(looked, Found) and looked.value.status in traceless:
            return await self._ended(claimed, row, ended, [*said, looked.exchange])
        journal = self._journal(row)
        journal.exchanged([*said, looked.exchange])
        journal.add(*key_refused(self._cards.name, ended))
        if isinstance(looked, Found):
            before = journal.state
            learn(journal, looked.value)
            if journal.state is not before:
                return await self._settle(claimed, journal, before)
        return await self._later(claimed, journal)

    # -- the processor's object --------------------------------------------------------------------

    async def _bind(self, claimed: Claimed) -> Row:
        """Get the unconfirmed object, commit its id and the intention to confirm, and confirm."""
        said = list[Exchange]()
        found, row = await self._object(claimed, said)
        if not isinstance(found, Found):
            return await self._unbound(claimed, row, found, said)
        journal = self._journal(row)
        journal.exchanged(said)
        intent = found.value
        bare = row["payment_method_id"] is None
        shown = None
        if bare:
            shown = {
                "type": "provide_payment_method",
                "client_secret": intent.client_secret,
                "publishable_key": self._cards.publishable_key,
            }
        journal.set(processor_reference=intent.reference)
        if bare:
            before = journal.state
            journal.move(Event.BOUND_BARE, next_action=shown)
            self._answer_if_any(journal, before, Event.BOUND_BARE)
            return await self._commit(claimed, journal, self._agenda.at_rest(journal))
        journal.move(Event.BOUND, **first_send(self._clock.now_ms()))
        unit = journal.unit(fence=claimed.held.fence)
        await self._committer.commit(unit)
        return await self.send(claimed, journal.row)

    async def _object(self, claimed: Claimed, said: list[Exchange]) -> tuple[Ended, Row]:
        """Create the object, or find the one that an earlier try created; and the row then."""
        row = claimed.row
        customer = await self._customers.ensure(row["user_id"], said)
        if not isinstance(customer, str):
            return customer, row
        order = IntentOrder(
            payment_id=row["id"],
            amount=_money(row, row["amount"]),
            customer=customer,
            method=await self._database.fetch(lambda c: reference_of(c, row["payment_method_id"])),
            manual_capture=row["manual_capture"],
            description=row["description"],
        )
        ended: Ended
        spent = True
        if self._clock.now_ms() - row["created_at"] < KEY_MS:
            ended = await self._cards.create(order, key_of(row, "create"))
            said.append(ended.exchange)
            if not isinstance(ended, Unknown):
                return ended, row
            row = {**row, "sends": row["sends"] + 1}
            if row["sends"] == 1:
                return ended, row
            spent = came_back(row, ended)
        # The key would create a second object by now, or it failed before: look for ours.
        found = await self._cards.find(customer, row["id"])
        said.append(found.exchange)
        if not isinstance(found, Missing):
            return found, row
        if not spent:  # the request with this key may be running still
            return ended, row
        # Nothing was created, and with this key nothing will be. Should it be after all, that
        # object is never confirmed: no money moves.
        journal = self._journal(row)
        journal.set(step=row["step"] + 1, sends=0)
        await self._committer.commit(journal.unit(fence=claimed.held.fence))
        ended = await self._cards.create(order, key_of(journal.row, "create"))
        said.append(ended.exchange)
        return ended, {**journal.row, "sends": 1 if isinstance(ended, Unknown) else 0}

    async def _unbound(self, claimed: Claimed, row: Row, ended: Ended, said: list[Exchange]) -> Row:
        journal = self._journal(row)
        journal.exchanged(said)
        journal.set(sends=row["sends"])
        if isinstance(ended, Refused):
            # No object is known, and none could be confirmed: whatever the reason, no money moves.
            refused(journal, ended.code, ended.message)
            journal.add(*key_refused(self._cards.name, ended))
            return await self._commit(claimed, journal, DONE)
        return await self._later(claimed, journal, not_sent=isinstance(ended, NotSent))

    # -- one step, and what came of it -------------------------------------------------------------

    async def _call(self, row: Row) -> Ended:
        reference, state = row["processor_reference"], State(row["state"])
        key = key_of(row, _STEPS[state])
        if state is State.CONFIRMING:
            return await self._cards.confirm(reference, key, row["return_url"])
        if state is State.CAPTURING:
            amount = _money(row, row["amount_to_capture"])
            return await self._cards.capture(reference, amount, key)
        return await self._cards.cancel(reference, key)

    async def _again(self, claimed: Claimed, journal: Journal) -> Row:
        """Commit the intention once more, then make the call again: with the same key, unless
        that only brings back a failure."""
        journal.set(**about_to_send(journal.row, self._clock.now_ms()))
        await self._committer.commit(journal.unit(fence=claimed.held.fence))
        return await self.send(claimed, journal.row)

    async def _look(self, claimed: Claimed) -> Row:
        """Ask for the object, by its id, and apply what it says."""
        row = claimed.row
        if self._agenda.is_abandoned(row):
            return await self._give_up(claimed)
        ended = await self._cards.fetch(row["processor_reference"])
        return await self._ended(claimed, row, ended, [], looked=True)

    async def _ended(
        self,
        claimed: Claimed,
        row: Row,
        ended: Ended,
        said: list[Exchange],
        *,
        looked: bool = False,
    ) -> Row:
        journal = self._journal(row)
        journal.exchanged([*said, ended.exchange])
        before = journal.state
        learnt: Event | None = None
        match ended:
            case Found(value=intent):
                learnt = learn(journal, intent)
            case Refused(code="idempotency_error"):
                # An earlier call with this key had other parameters: it says nothing of this one.
                journal.add(_case(row, "processor_key_conflict", _KEY_CONFLICT))
            case Declined(failure=failure) if not looked:
                declined(journal, failure)
            case Refused(intent=intent) if intent is not None:
                learn(journal, intent)  # a wrong state: the object says which
                if journal.state is before and not looked:
                    refused(journal, ended.code, ended.message)
            case Refused() if not looked:
                refused(journal, ended.code, ended.message)
                journal.add(*key_refused(self._cards.name, ended))
            case NotSent() if not looked:
                journal.set(**not_begun(row))
            case Unknown() if not looked and came_back(row, ended):
                journal.set(spent=True)
            case Missing():
                self._vanished(journal)
            case Refused():
                journal.add(*key_refused(self._cards.name, ended))
        state = journal.state
        if looked and learnt is not None and state is before and self._untouched(row, ended):
            return await self._again(claimed, journal)
        answered = looked and learnt is not None
        at_rest = WAITING | ENDED | ({State.PROCESSING} if answered else frozenset())
        silent = looked and state is before and isinstance(ended, NotSent | Unknown)
        if silent and state in at_rest and claimed.tries < _TRIES_AT_REST:
            # What prompted the question (an event, perhaps) is not answered yet.
            wait_ms = exponential_ms(claimed.tries, self._randomness)
            return await self._commit(claimed, journal, Next(KIND, wait_ms), again=True)
        if state is before and state not in at_rest:
            not_sent = isinstance(ended, NotSent) and not looked
            return await self._later(claimed, journal, not_sent=not_sent)
        return await self._settle(claimed, journal, before)

    async def _settle(self, claimed: Claimed, journal: Journal, before: State) -> Row:
        """The step has ended, or nothing of ours is under way: when is it looked at again?"""
        if must_close(before, journal.state):
            return await self._commit(claimed, journal, Next(KIND))
        return await self._commit(claimed, journal, self._agenda.at_rest(journal))

    def _untouched(self, row: Row, ended: Ended) -> bool:
        """The object shows no trace of a call that was made long enough ago."""
        traceless = _TRACELESS.get(State(row["state"]))
        if traceless is None or not isinstance(ended, Found):
            return False
        now_ms = self._clock.now_ms()
        waited = now_ms - row["sent_at"] >= self._rules.send_again_after_ms
        # The state is as old as its first call: after that the key may be forgotten.
        in_time = now_ms - row["updated_at"] < KEY_MS
        return waited and in_time and ended.value.status in traceless

    async def _give_up(self, claimed: Claimed) -> Row:
        """Cancel at the processor what nobody goes on with; without an object there is nothing to
        cancel."""
        journal = self._journal(claimed.row)
        before = journal.state
        if journal.move(Event.CANCEL_ASKED, **first_send(self._clock.now_ms())) is State.CANCELED:
            self._answer_if_any(journal, before, Event.CANCEL_ASKED)
            return await self._commit(claimed, journal, DONE)
        await self._committer.commit(journal.unit(fence=claimed.held.fence))
        return await self.send(claimed, journal.row)

    async def _close(self, claimed: Claimed) -> Row:
        """Cancel the object of a payment that failed, so that nobody can bring it to success.

        It is looked at first: a refusal of the cancel may be a stored one, of an earlier moment.
        """
        row = claimed.row
        looked = await self._cards.fetch(row["processor_reference"])
        journal = self._journal(row)
        journal.exchanged([looked.exchange])
        if isinstance(looked, Missing):
            self._vanished(journal)
            return await self._commit(claimed, journal, DONE)
        if not isinstance(looked, Found):
            return await self._later(claimed, journal)
        learn(journal, looked.value)
        if looked.value.status in _FINAL:
            return await self._commit(claimed, journal, self._agenda.at_rest(journal))
        ended = await self._cards.cancel(row["processor_reference"], key_of(row, "close"))
        journal.exchanged([ended.exchange])
        if isinstance(ended, Found) and ended.value.status in _FINAL:
            learn(journal, ended.value)
            return await self._commit(claimed, journal, self._agenda.at_rest(journal))
        if isinstance(ended, Refused) or (
            isinstance(ended, Unknown) and (ended.replayed or failed(ended))
        ):
            # Its key may only bring back this answer, and giving up twice is giving up once.
            journal.set(step=row["step"] + 1)
        return await self._later(claimed, journal)

    # -- when again --------------------------------------------------------------------------------

    async def _wait(self, claimed: Claimed, row: Row) -> Row:
        """The lease is too short for the call that was intended: it was not made."""
        journal = self._journal(row)
        journal.set(**not_begun(row))
        return await self._commit(claimed, journal, Next(KIND), again=True)

    async def _later(self, claimed: Claimed, journal: Journal, *, not_sent: bool = False) -> Row:
        """Nothing is known yet: ask again."""
        next_ = self._agenda.open(
            journal, claimed.tries, not_sent=not_sent, was_due_in_ms=claimed.was_due_in_ms
        )
        return await self._commit(claimed, journal, next_, again=True)

    # -- helpers -----------------------------------------------------------------------------------

    def _journal(self, row: Row) -> Journal:
        return Journal(row, self._clock, self._randomness)

    async def _commit(
        self, claimed: Claimed, journal: Journal, next: Next | Done, *, again: bool = False
    ) -> Row:
        await self._committer.commit(journal.unit(held=claimed.held, next=next, again=again))
        return journal.row

    def _answer_if_any(self, journal: Journal, before: State, event: Event) -> None:
        answer = answer_of(before, event, journal.row)
        if answer is not None:
            journal.answer(answer)

    def _vanished(self, journal: Journal) -> None:
        journal.add(
            _case(
                journal.row,
                "payment_object_missing",
                "The processor does not know this payment's object. Check that STRIPE_API_KEY "
                "belongs to the account that created it.",
            )
        )

    def _soon(self, ended: NotSent, pause_ms: int) -> bool:
        return ended.retry_after_s is None or ended.retry_after_s * 1000 <= pause_ms


def _money(row: Mapping[str, Any], minor: int) -> Money:
    return Money(minor, parse_currency(row["currency"]))


def _case(row: Row, kind: str, reason: str) -> OpenCase:
    return OpenCase(kind, row["id"], reason, "high")
