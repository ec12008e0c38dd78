"""Disburse: commit the attempt with its reference, call the PSP once, commit the outcome.

*Sending* is a committed state. Whoever finds it later looks up by the reference and never sends;
only what provably never left (*prepared*), or was not found for the whole window of psp.md 3.4,
is sent again: the same bytes, the same reference, the same PSP.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidegate.cases.store import OpenCase
from tidegate.clock import Clock, Randomness
from tidegate.db.committer import Committer
from tidegate.db.engine import Database
from tidegate.db.rows import DONE, Insert, Next
from tidegate.errors import (
    BadInput,
    DataUnreadable,
    NotInTable,
    PolicyRefusal,
    PspsUnavailable,
    SwitchedOff,
)
from tidegate.ledger.book import Record
from tidegate.money.amount import Money
from tidegate.money.currency import parse_currency
from tidegate.payouts.adopt import ADOPT, unadopted
from tidegate.payouts.conclude import go_on, states_of
from tidegate.payouts.facts import FactsReader
from tidegate.payouts.ownership import Owner, Ownership
from tidegate.payouts.policy import Facts, Plan, choose
from tidegate.payouts.postings import rehold
from tidegate.payouts.recipients import account_number, narration, same_holder
from tidegate.payouts.references import attempt_reference
from tidegate.payouts.rules import Rules
from tidegate.payouts.sending import Sender, Turn
from tidegate.payouts.states import AttemptState, Event, State
from tidegate.payouts.store import Journal, Row, attempts_of, standing_attempt
from tidegate.payouts.tables import attempts, payouts
from tidegate.ports.bank import Bank, Fault, NotResolvable, PayoutRequest, Resolved, Unavailable
from tidegate.work.backoff import exponential_ms
from tidegate.work.claim import Claimed

__all__ = ["Disburse"]

_NAME_TRIES = 4
_REST_MS = 5_000

_Earlier = tuple[tuple[str, AttemptState], ...]


class Disburse:
    """The verb of payouts that are accepted, or go on with another PSP; one instance a PSP."""

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
        bank: Bank,
    ) -> None:
        self._database = database
        self._committer = committer
        self._clock = clock
        self._randomness = randomness
        self._rules = rules
        self._facts = facts
        self._ownership = ownership
        self._sender = sender
        self._bank = bank

    async def __call__(self, claimed: Claimed) -> None:
        payout = claimed.row
        state = State(payout["state"])
        rows: list[Row] = []
        if state is State.PROCESSING:
            rows = await self._database.fetch(lambda c: attempts_of(c, payout["id"]))
        journal = Journal(payout, self._clock, self._randomness)
        if state not in {State.ACCEPTED, State.PROCESSING} or standing_attempt(rows) is not None:
            # Its attempt has a life of its own: looked up, reported, never sent from here.
            journal.keep(claimed.held, DONE)
            await self._committer.commit(journal.unit)
            return
        if await self._database.fetch(lambda c: unadopted(c, payout["reference"])):
            # A restored copy lost what was sent for this order: that comes first.
            journal.keep(claimed.held, Next(ADOPT))
            await self._committer.commit(journal.unit)
            return
        earlier = tuple(states_of(payout["round"], rows))
        if self._ownership.is_late(payout) and not await self._still_ours(journal, claimed):
            return
        facts = await self._facts.now()
        plan = choose(
            currency=payout["currency"],
            amount=payout["amount"],
            institution=payout["institution"],
            excluded={*payout["exclude_psps"], *(psp for psp, _ in earlier)},
            facts=facts,
            rules=self._rules,
            already_held=(payout["psp"], payout["held"]),
        )
        if isinstance(plan, PspsUnavailable | SwitchedOff) and self._may_wait(payout, earlier):
            journal.keep(claimed.held, Next(str(payout["kind"]), _REST_MS), again=True)
        elif isinstance(plan, PolicyRefusal):
            self._give_up(journal, claimed, earlier, facts, plan.code, plan.detail)
        elif plan.psp != self._bank.name:
            # Since accept our PSP was switched off, rests, or lost the institution.
            for entry in rehold(payout, plan.psp, plan.hold):
                journal.add(Record(entry))
            values = {"psp": plan.psp, "held": plan.hold, "holds": payout["holds"] + 1}
            journal.note("moved", {"psp": plan.psp})
            journal.keep(claimed.held, Next(f"disburse:{plan.psp}"), **values)
        else:
            try:
                recipient = self._database.cipher.plain(payout, payouts.c.recipient) or {}
            except DataUnreadable as broken:
                self._hold(journal, claimed, broken.detail)
                await self._committer.commit(journal.unit)
                return
            if not await self._holder_fits(journal, claimed, plan, earlier, facts, recipient):
                return
            try:
                attempt = self._attempt(payout, plan, recipient)
            except (PolicyRefusal, BadInput, ValueError) as refusal:
                # The PSP's own form cannot say this order: nothing was sent, nothing will be.
                code = getattr(refusal, "code", "INVALID_ACCOUNT")
                self._give_up(journal, claimed, earlier, facts, code, str(refusal), whose=True)
            except NotInTable as refusal:
                self._hold(journal, claimed, refusal.detail)
            else:
                if self._sender.admitted():
                    await self._disburse(journal, claimed, attempt, earlier)
                    return
                # It refused us, and another order's transfer tries it first.
                journal.keep(claimed.held, Next(str(payout["kind"]), _REST_MS), again=True)
        await self._committer.commit(journal.unit)

    def _may_wait(self, payout: Row, earlier: _Earlier) -> bool:
        """Its PSP rests or is switched off: an order whose float is set aside waits a while."""
        ruled_out = {*payout["exclude_psps"], *(psp for psp, _ in earlier)}
        waited_ms = self._clock.now_ms() - (payout["accepted_at"] or payout["offered_at"])
        return payout["psp"] not in ruled_out and bool(waited_ms < self._rules.unsent_limit_ms)

    async def _still_ours(self, journal: Journal, claimed: Claimed) -> bool:
        """Ask before a late first payment; ``False`` when the turn ended here."""
        owner, said = await self._ownership.ask(claimed.row, claimed.tries)
        journal.exchanged(said)
        match owner:
            case Owner.OURS:
                return True
            case Owner.NOT_OURS:
                for entry in rehold(claimed.row, None, 0):
                    journal.add(Record(entry))
                holds = claimed.row["holds"] + 1
                journal.move(Event.NOT_OURS, lease=claimed.held, next=DONE, held=0, holds=holds)
            case Owner.NOT_KNOWN:
                wait = exponential_ms(claimed.tries, self._randomness)
                journal.keep(claimed.held, Next(str(claimed.row["kind"]), wait), again=True)
        await self._committer.commit(journal.unit)
        return False

    async def _disburse(
        self, journal: Journal, claimed: Claimed, attempt: dict[str, Any], earlier: _Earlier
    ) -> None:
        """Commit the intention, then send."""
        # Under a lease of its own: a webhook that overtakes the answer stays a wish to look.
        look = self._sender.look_up_at_last
        journal.add(Insert(attempts, attempt, next=look, leased=True))
        journal.move(
            Event.DISPATCHED,
            fence=claimed.row["fence"],
            detail={"psp": attempt["psp"], "reference": attempt["reference"]},
            attempts=attempt["number"],
        )
        await self._committer.commit(journal.unit)
        await self._sender.send(Turn(journal.payout, attempt, claimed, own=False, earlier=earlier))

    async def _holder_fits(
        self,
        journal: Journal,
        claimed: Claimed,
        plan: Plan,
        earlier: _Earlier,
        facts: Facts,
        recipient: Mapping[str, Any],
    ) -> bool:
        """The name policy, before anything is sent (psp.md 3.10).

        ``False`` when the turn ended here. A bank that cannot be asked is no bad account: the
        question is repeated, and after a few tries the order goes on without an answer.
        """
        if not self._rules.name_check:
            return True
        found = await self._bank.resolve(plan.bank_code, account_number(recipient))
        journal.exchanged([found.exchange])
        if isinstance(found, Unavailable):
            if claimed.tries > _NAME_TRIES:
                return True
            wait = exponential_ms(claimed.tries, self._randomness)
            journal.keep(claimed.held, Next(str(claimed.row["kind"]), wait), again=True)
        elif isinstance(found, Resolved) and same_holder(
            str(recipient.get("account_name") or ""), found.account_name
        ):
            return True
        elif isinstance(found, NotResolvable):
            why = "The bank does not know this account."
            self._give_up(journal, claimed, earlier, facts, "invalid_account", why, whose=True)
        else:
            why = "The bank names another holder of this account."
            self._give_up(journal, claimed, earlier, facts, "name_mismatch", why, whose=True)
        await self._committer.commit(journal.unit)
        return False

    def _give_up(
        self,
        journal: Journal,
        claimed: Claimed,
        earlier: _Earlier,
        facts: Facts,
        code: str,
        why: str,
        *,
        whose: bool = False,
    ) -> None:
        """No attempt was made now: another PSP, or the end. ``whose``: the recipient's fault."""
        go_on(
            journal,
            rounds_attempts=earlier,
            fault=Fault.RECIPIENT if whose else None,
            code=code,
            why=why,
            facts=facts,
            rules=self._rules,
            lease=claimed.held,
        )

    def _hold(self, journal: Journal, claimed: Claimed, why: str) -> None:
        journal.move(Event.HELD, lease=claimed.held, next=DONE, reason_code="HELD", reason_text=why)
        journal.add(
            OpenCase(
                "payout_held",
                claimed.id,
                f"{why} Nothing more is sent for this order by machine.",
                "high",
                {"order_id": claimed.row["order_id"]},
            )
        )

    def _attempt(self, payout: Row, plan: Plan, recipient: Mapping[str, Any]) -> dict[str, Any]:
        """The attempt as it is committed before the call.

        Raises what the PSP's form refuses, and ``NotInTable`` when there were too many.
        """
        number = payout["attempts"] + 1
        reference = attempt_reference(payout["reference"], number)
        request = PayoutRequest(
            reference=reference,
            amount=Money(payout["amount"], parse_currency(payout["currency"])),
            psp_bank_code=plan.bank_code,
            account_number=account_number(recipient),
            account_name=str(recipient.get("account_name") or ""),
            narration=narration(str(recipient.get("memo") or ""), payout["reference"]),
        )
        now_ms = self._clock.now_ms()
        return {
            "id": self._randomness.new_id("att"),
            "payout_id": payout["id"],
            "round": payout["round"],
            "number": number,
            "psp": plan.psp,
            "reference": reference,
            "state": AttemptState.SENDING.value,
            "currency": payout["currency"],
            "amount": payout["amount"],
            "held": payout["held"],
            "body": self._bank.prepare(request),
            "account_number": request.account_number,
            "bank_code": request.psp_bank_code,
            "sent_at": now_ms,
            "sends": 1,
            "lookups": 0,
            "not_found": 0,
            "maybe_sent": False,
            "created_at": now_ms,
        }
