"""Send again: the same bytes, the same reference, the same PSP.

For what provably never left (*prepared*), and for what was not found for the whole window of
psp.md 3.4 (*unknown*). Whether the payout still wants it is asked each time: it may be held,
paid by an earlier round, stopped by a switch, or nobody's any more.
"""

from __future__ import annotations

from tidegate.cases.switch import SwitchKind, switch_id
from tidegate.clock import Clock, Randomness
from tidegate.db.committer import Committer
from tidegate.db.engine import Database
from tidegate.db.rows import DONE, Change, Next
from tidegate.errors import DataUnreadable
from tidegate.ledger.book import Record
from tidegate.observability.subjects import about
from tidegate.payouts.conclude import go_on, states_of
from tidegate.payouts.facts import FactsReader
from tidegate.payouts.ownership import Owner, Ownership
from tidegate.payouts.policy import Facts
from tidegate.payouts.postings import rehold
from tidegate.payouts.rules import Rules
from tidegate.payouts.sending import Sender, Turn
from tidegate.payouts.states import AttemptEvent, AttemptState, Event, State
from tidegate.payouts.store import Journal, Row, attempts_of, payout_by_id
from tidegate.payouts.tables import attempts, payouts
from tidegate.ports.bank import Fault
from tidegate.work.backoff import exponential_ms
from tidegate.work.claim import Claimed

__all__ = ["Send"]

_Earlier = tuple[tuple[str, AttemptState], ...]
_LOOK_INSTEAD_MS = 60_000
_REST_MS = 5_000


class Send:
    """The verb of attempts that are to be sent (again): prepared, or unknown and never found."""

    def __init__(
        self,
        database: Database,
        committer: Committer,
        clock: Clock,
        randomness: Randomness,
        rules: Rules,
        facts: FactsReader,
        ownership: Ownership,
        sender: Sender,
    ) -> None:
        self._database = database
        self._committer = committer
        self._clock = clock
        self._randomness = randomness
        self._rules = rules
        self._facts = facts
        self._ownership = ownership
        self._sender = sender

    async def __call__(self, claimed: Claimed) -> None:
        attempt = claimed.row
        state = AttemptState(attempt["state"])
        payout = await self._database.fetch(lambda c: payout_by_id(c, attempt["payout_id"]))
        assert payout is not None  # by foreign key
        about(order_id=payout["order_id"])
        rows = await self._database.fetch(lambda c: attempts_of(c, attempt["payout_id"]))
        others = [row for row in rows if row["id"] != attempt["id"]]
        earlier = tuple(states_of(attempt["round"], others))
        journal = Journal(payout, self._clock, self._randomness)
        if state not in {AttemptState.PREPARED, AttemptState.UNKNOWN}:
            look = self._sender.look_up_at_last
            journal.add(Change(attempts, attempt["id"], held=claimed.held, next=look))
            await self._committer.commit(journal.unit)
            return
        facts = await self._facts.now()
        stands = (
            State(payout["state"]) is State.PROCESSING
            and payout["round"] == attempt["round"]
            and not payout["paid_ever"]
        )
        stopped = self._switched_off(attempt, facts)
        owner = Owner.OURS
        if stands and not stopped and self._ownership.is_late(payout):
            owner, said = await self._ownership.ask(payout, claimed.tries)
            journal.exchanged(said)
        goes = stands and not stopped and owner is Owner.OURS and not self._too_old(attempt)
        if goes and self._sender.admitted():
            await self._send(journal, claimed, earlier)
            return
        # What never left waits while the PSP rests for a refusal of ours.
        if owner is Owner.NOT_KNOWN or (goes and state is AttemptState.PREPARED):
            wait_ms = _REST_MS if goes else exponential_ms(claimed.tries, self._randomness)
            wait = Next(str(attempt["kind"]), wait_ms)
            keep = Change(attempts, attempt["id"], held=claimed.held, next=wait, again=True)
            journal.add(keep)
        elif state is AttemptState.UNKNOWN:
            # It may have arrived the first time: it is asked after, never sent now.
            look = Next(f"confirm:{attempt['psp']}", _LOOK_INSTEAD_MS)
            journal.add(Change(attempts, attempt["id"], held=claimed.held, next=look))
        else:
            self._withdraw(journal, claimed, earlier, facts, owner)
        await self._committer.commit(journal.unit)

    async def _send(self, journal: Journal, claimed: Claimed, earlier: _Earlier) -> None:
        """Commit the intention, with the payout standing as it was read; then send."""
        attempt, payout = claimed.row, journal.payout
        try:
            body = self._database.cipher.plain(attempt, attempts.c.body)
        except DataUnreadable as broken:
            self._hold(journal, claimed, earlier, broken.detail)
            await self._committer.commit(journal.unit)
            return
        again = attempt["state"] == AttemptState.UNKNOWN
        sending = {
            "state": AttemptState.SENDING.value,
            "sends": attempt["sends"] + 1,
            "sent_at": self._clock.now_ms(),
            # The window of not-founds is counted anew, from this send.
            "not_found": 0,
            "maybe_sent": bool(attempt["maybe_sent"]) or again,
        }
        expect = {"state": attempt["state"], "fence": attempt["fence"]}
        stands = {"state": payout["state"], "round": payout["round"], "paid_ever": False}
        journal.add(
            Change(attempts, attempt["id"], values=sending, expect=expect),
            Change(payouts, payout["id"], expect=stands),
        )
        journal.note("sent_again", {"reference": attempt["reference"]})
        await self._committer.commit(journal.unit)
        await self._sender.send(
            Turn(payout, {**attempt, **sending, "body": body}, claimed, own=True, earlier=earlier)
        )

    def _hold(self, journal: Journal, claimed: Claimed, earlier: _Earlier, why: str) -> None:
        """There is nothing that could be sent: for a person. What may have left is asked after."""
        attempt = claimed.row
        if attempt["state"] == AttemptState.PREPARED:
            now_ms = self._clock.now_ms()
            journal.attempt(
                attempt, AttemptEvent.WITHDRAWN, lease=claimed.held, next=DONE, final_at=now_ms
            )
        else:
            look = Next(f"confirm:{attempt['psp']}", _LOOK_INSTEAD_MS)
            journal.attempt(attempt, AttemptEvent.HELD, lease=claimed.held, next=look)
        turn = Turn(journal.payout, attempt, claimed, own=True, earlier=earlier)
        self._sender.hold(journal, turn, why)

    def _withdraw(
        self,
        journal: Journal,
        claimed: Claimed,
        earlier: _Earlier,
        facts: Facts,
        owner: Owner,
    ) -> None:
        """What provably never left is given up: too old, stopped, or nothing to pay any more."""
        attempt, payout = claimed.row, journal.payout
        now_ms = self._clock.now_ms()
        journal.attempt(
            attempt, AttemptEvent.WITHDRAWN, lease=claimed.held, next=DONE, final_at=now_ms
        )
        if State(payout["state"]) not in {State.PROCESSING, State.HELD}:
            return
        if owner is Owner.NOT_OURS:
            for entry in rehold(payout, None, 0):
                journal.add(Record(entry))
            journal.move(Event.NOT_OURS, next=DONE, held=0, holds=payout["holds"] + 1)
        elif State(payout["state"]) is State.PROCESSING or payout["paid_ever"]:
            go_on(
                journal,
                rounds_attempts=[*earlier, (attempt["psp"], AttemptState.WITHDRAWN)],
                fault=Fault.PSP,
                code="PSP_TIMEOUT",
                why="The PSP could not be reached.",
                facts=facts,
                rules=self._rules,
            )

    def _switched_off(self, attempt: Row, facts: Facts) -> bool:
        """A kill switch stops transfers that were not sent yet, too."""
        stops = {
            switch_id(SwitchKind.PSP, attempt["psp"]),
            switch_id(SwitchKind.CURRENCY, attempt["currency"]),
        }
        return bool(stops & set(facts.switched_off))

    def _too_old(self, attempt: Row) -> bool:
        """Unsent for so long that the order is better given back."""
        unsent_ms = self._clock.now_ms() - attempt["created_at"]
        prepared = attempt["state"] == AttemptState.PREPARED
        return prepared and bool(unsent_ms > self._rules.unsent_limit_ms)
