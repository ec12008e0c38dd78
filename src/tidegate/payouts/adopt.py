"""Adopt: a transfer that the PSP has under a reference of ours, and the books do not.

After a restore the last minutes are missing: orders that were taken and paid in them. What is
found at the PSP (``found_transfers``) is led along the state tables as if the node had just sent
it: the payout is *processing* with one attempt whose end is not known, and *confirm* asks for it.
From then on nothing can pay the order a second time. What failed for certain becomes a closed
attempt, so that its number is never used again. What does not fit is a case.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, select

from tidegate.cases.store import OpenCase
from tidegate.clock import Clock, Randomness
from tidegate.db.cipher import Cipher, cipher_of
from tidegate.db.committer import Committer
from tidegate.db.engine import Database
from tidegate.db.rows import DONE, Change, Done, Held, Insert, Next
from tidegate.errors import DataUnreadable, FloorBroken
from tidegate.ledger.book import Record
from tidegate.payouts.postings import rehold
from tidegate.payouts.references import transaction_id
from tidegate.payouts.rules import Rules
from tidegate.payouts.states import (
    CLOSED_ATTEMPT,
    ENDED_UNPAID,
    AttemptState,
    Event,
    State,
)
from tidegate.payouts.store import Journal, Row, attempts_of, payout_by_id, standing_attempt
from tidegate.payouts.tables import attempts, found_transfers, payouts
from tidegate.work.claim import Claimed

__all__ = ["ADOPT", "Adopt", "unadopted"]

ADOPT = "adopt"
"""The kind of payouts whose order has transfers that are not in the books."""

_AGAIN_MS = 30_000
# In place of the moment something was told: it may have been, by the node whose rows are lost.
_PERHAPS = 0

_unadopted = (
    select(found_transfers)
    .where(
        found_transfers.c.order_reference == bindparam("reference"),
        found_transfers.c.payout_id.is_(None),
    )
    .order_by(found_transfers.c.number)
)


def unadopted(connection: Connection, order_reference: str) -> list[Row]:
    """Transfers under this order's reference that no payout has, by number."""
    found = connection.execute(_unadopted, {"reference": order_reference}).mappings()
    return [dict(row) for row in found]


class Adopt:
    """The verb of kind ``adopt``; the check of a quarantine calls :meth:`adopt` as well."""

    def __init__(
        self,
        database: Database,
        committer: Committer,
        clock: Clock,
        randomness: Randomness,
        rules: Rules,
    ) -> None:
        self._database = database
        self._committer = committer
        self._clock = clock
        self._randomness = randomness
        self._rules = rules

    async def __call__(self, claimed: Claimed) -> None:
        await self.adopt(claimed.id, claimed.held)

    async def adopt(self, payout_id: str, lease: Held | None = None) -> bool:
        """Make every transfer that was found an attempt of this payout.

        ``False``: not all of them yet, because an older attempt has to end first. Raises
        ``Stale`` when the payout moves meanwhile.
        """
        payout, rows, found = await self._database.read(lambda c: _read(c, payout_id))
        for floor in (True, False):
            journal = Journal(payout, self._clock, self._randomness)
            whole = self._decide(journal, rows, found, lease, hold=floor)
            try:
                await self._committer.commit(journal.unit)
            except FloorBroken:
                continue  # the copy's float does not cover it; that it was paid is a fact
            return whole
        raise FloorBroken()

    def _decide(
        self,
        journal: Journal,
        rows: Sequence[Row],
        found: Sequence[Row],
        lease: Held | None,
        *,
        hold: bool,
    ) -> bool:
        known = {(row["psp"], row["reference"]): row for row in rows}
        for transfer in found:
            row = known.get((transfer["psp"], transfer["reference"]))
            if row is not None:
                # The row is there: it is looked up, whatever it says so far.
                self._take(journal, transfer)
                journal.add(Change(attempts, row["id"], next=Next(f"confirm:{row['psp']}")))
        fresh = [one for one in found if (one["psp"], one["reference"]) not in known]
        failed = [one for one in fresh if one["certain"]]
        open_ = [one for one in fresh if not one["certain"]]
        standing = standing_attempt(rows)
        was = State(journal.payout["state"])
        most = max((one["number"] for one in fresh), default=0)
        numbered = {"attempts": max(journal.payout["attempts"], most)}
        for transfer in failed:
            self._take(journal, transfer)
            journal.add(self._attempt(journal.payout, transfer, AttemptState.FAILED))
        if not open_:
            self._rest(journal, lease, was, numbered if failed else {})
            return True
        if standing is not None and AttemptState(standing["state"]) not in _WAS_PAID:
            self._rest(journal, lease, was, numbered, Next(ADOPT, _AGAIN_MS))
            return False
        if journal.payout["paid_ever"] or standing is not None:
            self._second(journal, open_)
            self._rest(journal, lease, was, numbered)
            return True
        self._second(journal, open_[1:])
        self._dispatched(journal, open_[0], numbered, lease, hold=hold, doubt=len(open_) > 1)
        return True

    def _rest(
        self,
        journal: Journal,
        lease: Held | None,
        was: State,
        values: dict[str, Any],
        next_: Next | None = None,
    ) -> None:
        """The payout stays what it is; claimed for this verb, it goes on with its ordinary work."""
        if lease is not None:
            journal.keep(lease, next_ or _ordinary(journal.payout, was), **values)
        elif values:
            expect = {"state": journal.payout["state"], "round": journal.payout["round"]}
            journal.add(Change(payouts, journal.payout["id"], values=values, expect=expect))

    def _dispatched(
        self,
        journal: Journal,
        transfer: Row,
        values: dict[str, Any],
        lease: Held | None,
        *,
        hold: bool,
        doubt: bool,
    ) -> None:
        """Lead the payout to where it must have been when this transfer was sent."""
        payout, now_ms = journal.payout, self._clock.now_ms()
        before = State(payout["state"])
        detail = {"psp": transfer["psp"], "reference": transfer["reference"], "found": True}
        wrong = self._mismatch(payout, transfer)
        if before in ENDED_UNPAID:
            number = payout["round"] + 1
            journal.move(
                Event.OFFERED_AGAIN,
                round=number,
                tx_id=transaction_id(payout["reference"], number),
                ended_at=None,
                fault=None,
                reason_code=None,
                reason_text=None,
            )
        # Held for a person, or under way: what is set aside stays as it is.
        if State(journal.payout["state"]) is State.PENDING:
            amount = transfer["amount"] or payout["amount"] or 0
            held = amount + self._rules.fee_max.get(payout["currency"], 0) if hold else 0
            holds = journal.payout["holds"] + (1 if held or journal.payout["held"] else 0)
            for entry in rehold(journal.payout, transfer["psp"] if held else None, held):
                journal.add(Record(entry))
            journal.move(Event.RESERVED, psp=transfer["psp"], held=held, holds=holds)
            values["accept_first"] = True
        if State(journal.payout["state"]) is State.ACCEPTING:
            amount = payout["amount"] if payout["amount"] is not None else transfer["amount"]
            journal.move(Event.ACCEPTED, accepted_at=now_ms, amount=amount)
        values |= {"psp": transfer["psp"], "told_pending_at": _PERHAPS, "told_at": _PERHAPS}
        if State(journal.payout["state"]) is not State.HELD:
            journal.move(Event.DISPATCHED, lease=lease, next=DONE, detail=detail, **values)
        elif lease is not None:
            journal.keep(lease, DONE, **values)
        else:
            journal.note("dispatched", detail)
            self._rest(journal, None, before, values)
        if (wrong or doubt) and State(journal.payout["state"]) is not State.HELD:
            why = wrong or "The PSP has several transfers of this order."
            journal.move(Event.HELD, reason_code="HELD", reason_text=why)
        if wrong or doubt:
            journal.add(
                OpenCase(
                    "payout_held",
                    payout["id"],
                    f"{wrong or 'The PSP has several transfers of this order.'} Find the transfer "
                    "at the PSP before anything is decided.",
                    "high",
                    {"reference": transfer["reference"], "psp": transfer["psp"]},
                )
            )
        self._take(journal, transfer)
        journal.add(
            self._attempt(journal.payout, transfer, AttemptState.UNKNOWN),
            OpenCase(
                "transfer_adopted",
                payout["id"],
                "A restored copy did not know this transfer of ours; it was found at the PSP by "
                "its reference and is in the books now. Compare order, recipient and amount once, "
                "then close the case.",
                "medium",
                {"reference": transfer["reference"], "psp": transfer["psp"]},
            ),
        )

    def _mismatch(self, payout: Row, transfer: Row) -> str | None:
        if transfer["unreadable"] is not None:
            return str(transfer["unreadable"])
        if transfer["amount"] is not None and payout["amount"] not in (None, transfer["amount"]):
            return "The PSP shows another amount than this order's."
        if transfer["currency"] not in (None, payout["currency"]):
            return "The PSP shows another currency than this order's."
        return None

    def _attempt(self, payout: Row, transfer: Row, state: AttemptState) -> Insert:
        """Its row: nothing is sent from it ever (no body)."""
        now_ms = self._clock.now_ms()
        closed = state in CLOSED_ATTEMPT
        return Insert(
            attempts,
            {
                "id": self._randomness.new_id("att"),
                "payout_id": payout["id"],
                # What failed was of a round that the copy does not know; it rules no PSP out now.
                "round": 0 if closed else payout["round"],
                "number": transfer["number"],
                "psp": transfer["psp"],
                "reference": transfer["reference"],
                "state": state.value,
                "currency": payout["currency"],
                "amount": transfer["amount"] or payout["amount"] or 0,
                "held": 0 if closed else payout["held"],
                "account_number": transfer["account_number"],
                "bank_code": transfer["bank_code"],
                "psp_id": transfer["psp_id"],
                "sent_at": now_ms,
                "sends": 1,
                "lookups": 0,
                "not_found": 0,
                "maybe_sent": True,
                "final_at": now_ms if closed else None,
                "created_at": now_ms,
            },
            next=None if closed else Next(f"confirm:{transfer['psp']}"),
        )

    def _second(self, journal: Journal, transfers: Sequence[Row]) -> None:
        """A transfer beside the one that pays the order: perhaps a second payment."""
        for transfer in transfers:
            self._take(journal, transfer)
            journal.add(
                OpenCase(
                    "second_transfer_found",
                    journal.payout["id"],
                    "The PSP has another transfer of this order beside the one in the books. Look "
                    "both up there; if both were paid, ask the recipient's bank for one back.",
                    "high",
                    {"reference": transfer["reference"], "psp": transfer["psp"]},
                )
            )

    def _take(self, journal: Journal, transfer: Row) -> None:
        journal.add(
            Change(
                found_transfers,
                transfer["id"],
                values={"payout_id": journal.payout["id"]},
                expect={"payout_id": None},
            )
        )


_WAS_PAID = frozenset({AttemptState.PAID, AttemptState.REVERSED})


def _ordinary(payout: Row, was: State) -> Next | Done:
    """What a payout goes on with that was claimed for this verb and stays what it was."""
    if was is State.PENDING:
        return Next("accept")
    if was in {State.ACCEPTED, State.PROCESSING} and payout["psp"] is not None:
        return Next(f"disburse:{payout['psp']}")
    return DONE


def _read(connection: Connection, payout_id: str) -> tuple[Row, list[Row], list[Row]]:
    payout = payout_by_id(connection, payout_id)
    assert payout is not None  # payouts are never deleted
    rows = attempts_of(connection, payout_id)
    cipher = cipher_of(connection)
    found = unadopted(connection, payout["reference"])
    return payout, rows, [_opened(cipher, row) for row in found]


def _opened(cipher: Cipher, transfer: Row) -> Row:
    """With its account, or with the sentence why there is none."""
    account = found_transfers.c.account_number
    try:
        return {**transfer, "account_number": cipher.plain(transfer, account), "unreadable": None}
    except DataUnreadable as broken:
        return {**transfer, "account_number": None, "unreadable": broken.detail}
