"""An offer arrives: keep it, and do what it means for the order (A3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from tidegate.cases.store import OpenCase
from tidegate.cases.unreadable import unreadable
from tidegate.clock import Clock, Randomness
from tidegate.db.committer import Committer, Unit
from tidegate.db.engine import Database
from tidegate.db.quarantine import is_quarantined
from tidegate.db.rows import DONE, Change, Held, Insert, Next
from tidegate.errors import (
    AlreadyExists,
    DataUnreadable,
    DuplicateOrder,
    InvalidAccount,
    OrderExpired,
    PolicyRefusal,
    Stale,
    UnsupportedInstitution,
)
from tidegate.observability.subjects import about
from tidegate.payouts.adopt import ADOPT, unadopted
from tidegate.payouts.facts import FactsReader
from tidegate.payouts.meaning import Meaning, meaning_of, offered_meanwhile
from tidegate.payouts.policy import check_figures
from tidegate.payouts.recipients import fault_of_account
from tidegate.payouts.reclaim import is_under_way
from tidegate.payouts.references import order_reference, transaction_id
from tidegate.payouts.rules import Rules
from tidegate.payouts.states import ENDED_UNPAID, Event, State, public_status
from tidegate.payouts.store import Journal, Row, payout_by_order
from tidegate.payouts.tables import offers, payout_events, payouts
from tidegate.wire.canonical import parse_object
from tidegate.wire.dialect import Dialect
from tidegate.wire.inbound import Offer, parse_live_offer, parse_spec_offer
from tidegate.work.claim import Claimed

__all__ = ["Receive", "Received"]

_RACES = 8


@dataclass(frozen=True, slots=True)
class Received:
    """What to answer. ``refusal`` only in the spec dialect: with it the answer is an error."""

    meaning: Meaning
    status: str
    refusal: PolicyRefusal | None = None


class Receive:
    """Keep an authentic offer and say what to answer; nothing is called from here."""

    def __init__(
        self,
        database: Database,
        committer: Committer,
        clock: Clock,
        randomness: Randomness,
        rules: Rules,
        facts: FactsReader,
    ) -> None:
        self._database = database
        self._committer = committer
        self._clock = clock
        self._randomness = randomness
        self._rules = rules
        self._facts = facts

    async def __call__(self, offer: Offer, body: str, received_ms: int) -> Received:
        """``body`` is the text as it arrived; ``received_ms`` starts the offer's life."""
        for _ in range(_RACES):
            row, lost = await self._database.fetch(lambda c: self._stands(c, offer))
            reachable = True
            if offer.dialect is Dialect.SPEC:
                routes = (await self._facts.now()).routes
                reachable = any(reached == offer.institution for _, reached in routes)
            unit, received = self._decide(row, lost, offer, body, received_ms, reachable)
            if received.refusal is not None and await self._database.fetch(is_quarantined):
                # Nothing is declined now: it is kept, and lapses unless the quarantine ends.
                unit, received = self._decide(
                    row, lost, offer, body, received_ms, reachable, refuses=False
                )
            try:
                await self._committer.commit(unit)
            except (AlreadyExists, Stale):
                continue  # the same order arrived, or moved on, between reading and writing
            return received
        raise Stale("The order changes faster than its offers can be read.")

    def _stands(self, connection: Connection, offer: Offer) -> tuple[Row | None, bool]:
        """The payout of this order, and whether a restored copy lost what was paid for it."""
        row = payout_by_order(connection, offer.order_id)
        if row is not None:
            return row, False
        reference = order_reference(self._rules.environment, self._rules.node_id, offer.order_id)
        return None, bool(unadopted(connection, reference))

    def _decide(
        self,
        row: Row | None,
        lost: bool,
        offer: Offer,
        body: str,
        received_ms: int,
        reachable: bool,
        *,
        refuses: bool = True,
    ) -> tuple[Unit, Received]:
        meaning = meaning_of(row, offer, self._clock.now_ms())
        if row is not None:
            about(order_id=offer.order_id, payout_id=row["id"])
        refusal: PolicyRefusal | None = None
        if offer.dialect is Dialect.SPEC and refuses and not lost:
            if meaning is Meaning.CONFLICT:
                refusal = DuplicateOrder()
            elif meaning in {Meaning.NEW, Meaning.NEW_ROUND}:
                refusal = self._refusal(offer, received_ms, reachable)
        kept = self._kept(offer, body, received_ms, Meaning.REFUSED if refusal else meaning)
        match meaning:
            case Meaning.NEW:
                unit = self._first(offer, received_ms, refusal, lost=lost).add(kept)
                status = State.DECLINED if refusal else State.PENDING
            case Meaning.NEW_ROUND:
                assert row is not None  # by meaning_of
                unit = self._again(row, offer, received_ms, refusal).add(kept)
                status = State.DECLINED if refusal else State.PENDING
            case Meaning.PAID_BEFORE:
                assert row is not None
                unit = self._paid_before(row, offer, received_ms).add(kept)
                status = State(row["state"])
            case Meaning.BUSY:
                assert row is not None
                # Taken up when the lease has ended (``take_up``).
                journal = Journal(row, self._clock, self._randomness)
                journal.due(Next("reoffer"))
                unit = journal.unit.add(kept)
                status = State(row["state"])
            case Meaning.REPEAT:
                assert row is not None
                unit = self._repeated(row, offer, received_ms).add(kept)
                status = State(row["state"])
            case Meaning.CONFLICT | Meaning.REFUSED:
                assert row is not None
                unit = Unit([kept])
                status = State(row["state"])
        return unit, Received(meaning, public_status(status), refusal)

    def _refusal(self, offer: Offer, received_ms: int, reachable: bool) -> PolicyRefusal | None:
        """What the spec dialect is told at once: everything that no waiting can change. An offer
        whose time is over is declined by a call (3.1)."""
        amount = offer.money.minor if offer.money else None
        if refusal := check_figures(offer.currency, amount, self._rules):
            return refusal
        if not reachable:
            return UnsupportedInstitution()
        recipient = offer.recipient
        account = {"account_identifier": recipient.account_identifier if recipient else ""}
        if wrong := fault_of_account(offer.currency, account):
            return InvalidAccount(wrong)
        if any(fault.startswith("expiresAt") for fault in offer.faults):
            return OrderExpired("The time in expiresAt cannot be read: write RFC 3339.")
        return None

    def _first(
        self, offer: Offer, received_ms: int, refusal: PolicyRefusal | None, *, lost: bool
    ) -> Unit:
        payout_id = self._randomness.new_id("po")
        about(order_id=offer.order_id, payout_id=payout_id, born=True)
        reference = order_reference(self._rules.environment, self._rules.node_id, offer.order_id)
        state = State.DECLINED if refusal else State.PENDING
        return Unit(
            [
                Insert(
                    payouts,
                    {
                        "id": payout_id,
                        "order_id": offer.order_id,
                        "state": state.value,
                        "round": 1,
                        "reference": reference,
                        "tx_id": transaction_id(reference, 1),
                        "created_at": received_ms,
                        "reason_code": refusal.code if refusal else None,
                        "reason_text": refusal.detail if refusal else None,
                        "ended_at": received_ms if refusal else None,
                        **self._figures(offer, received_ms),
                    },
                    # What the answer refuses is not declined a second time by a call.
                    next=None if refusal else Next(ADOPT if lost else "accept"),
                ),
                Insert(
                    payout_events,
                    {
                        "id": self._randomness.new_id("pev"),
                        "payout_id": payout_id,
                        "at": received_ms,
                        "round": 1,
                        "event": "refused" if refusal else "offered",
                        "state": state.value,
                        "detail": {"code": refusal.code} if refusal else {},
                    },
                ),
            ]
        )

    async def take_up(self, claimed: Claimed) -> None:
        """The verb of payouts that were offered again while their last report was under way.

        The newest offer opens a round if it lives and that report's end is known: one that may
        still arrive could cancel the new round under us, so then the offer lapses.
        """
        row = claimed.row
        newest = await self._database.fetch(lambda c: offered_meanwhile(c, row))
        state = State(row["state"])
        journal = Journal(row, self._clock, self._randomness)
        if state not in ENDED_UNPAID or (state is not State.EXPIRED and row["told_at"] is None):
            journal.keep(claimed.held, Next("report"), again=True)
        elif newest is None:
            journal.keep(claimed.held, DONE)
        else:
            parse = parse_spec_offer if newest["dialect"] == Dialect.SPEC else parse_live_offer
            try:
                body = str(self._database.cipher.plain(newest, offers.c.body))
            except DataUnreadable as broken:
                # The offer lapses, as one that nobody read.
                journal.keep(claimed.held, DONE)
                journal.add(unreadable(row["id"], broken))
            else:
                offer = parse(parse_object(body.encode()))
                self._open_round(journal, offer, newest["received_at"], lease=claimed.held)
        await self._committer.commit(journal.unit)

    def _again(
        self, row: Row, offer: Offer, received_ms: int, refusal: PolicyRefusal | None
    ) -> Unit:
        journal = Journal(row, self._clock, self._randomness)
        if refusal is not None:
            journal.note("refused", {"code": refusal.code})
            return journal.unit
        self._open_round(journal, offer, received_ms, fence=row["fence"])
        return journal.unit

    def _open_round(
        self,
        journal: Journal,
        offer: Offer,
        received_ms: int,
        *,
        fence: int | None = None,
        lease: Held | None = None,
    ) -> None:
        row = journal.payout
        number = row["round"] + 1
        journal.move(
            Event.OFFERED_AGAIN,
            lease=lease,
            next=Next("accept"),
            fence=fence,
            round=number,
            tx_id=transaction_id(row["reference"], number),
            tries=0,
            accept_first=False,
            # ``told_pending_at`` stays: what is set still stands there.
            told_at=None,
            psp=None,
            psp_id=None,
            fault=None,
            reason_code=None,
            reason_text=None,
            accepted_at=None,
            ended_at=None,
            **self._figures(offer, received_ms),
        )

    def _repeated(self, row: Row, offer: Offer, received_ms: int) -> Unit:
        """The round lives. An offer that is still to be accepted lives as long as the newest; an
        order that is being paid is looked after, in case it was taken off us."""
        journal = Journal(row, self._clock, self._randomness)
        life = self._life(offer, received_ms)
        if State(row["state"]) in {State.PENDING, State.ACCEPTING}:
            journal.add(
                Change(
                    payouts,
                    row["id"],
                    values={
                        "expires_at": max(row["expires_at"], life["expires_at"]),
                        "exclude_psps": sorted({*row["exclude_psps"], *offer.exclude_psps}),
                    },
                    expect={"state": row["state"], "round": row["round"]},
                )
            )
        elif is_under_way(row) and (row["due_at"] is None or row["kind"] == "report"):
            journal.due(Next("report"), accept_first=True, expires_at=life["expires_at"])
        return journal.unit

    def _paid_before(self, row: Row, offer: Offer, received_ms: int) -> Unit:
        journal = Journal(row, self._clock, self._randomness)
        if State(row["state"]) in {State.PAID, State.FULFILLED}:
            # Accept first: the aggregator takes a fulfil only from the order's owner.
            journal.move(
                Event.OFFERED_AGAIN,
                next=Next("report"),
                accept_first=True,
                # An order that was found after a restore may have come in the other one.
                dialect=offer.dialect.value,
                **self._life(offer, received_ms),
            )
        else:
            journal.note("offered_again")
        journal.add(
            OpenCase(
                "paid_order_offered_again",
                row["id"],
                "The aggregator offers an order that was paid. Nothing is paid again; the success "
                "is reported again. Ask the aggregator what it did with the first report.",
                "high",
                {"order_id": row["order_id"], "dialect": offer.dialect.value},
            )
        )
        return journal.unit

    def _figures(self, offer: Offer, received_ms: int) -> dict[str, Any]:
        """The columns that an offer fills."""
        recipient = offer.recipient
        return {
            "dialect": offer.dialect.value,
            "currency": offer.currency[:16],
            "amount_text": offer.amount_token,
            "amount": offer.money.minor if offer.money else None,
            "institution": offer.institution[:64],
            "exclude_psps": list(offer.exclude_psps),
            "recipient": None
            if recipient is None
            else {
                "institution": recipient.institution,
                "account_identifier": recipient.account_identifier,
                "account_name": recipient.account_name,
                "memo": recipient.memo,
                "metadata": dict(recipient.metadata),
            },
            **self._life(offer, received_ms),
        }

    def _life(self, offer: Offer, received_ms: int) -> dict[str, Any]:
        by_clock = received_ms + self._rules.offer_ttl_ms
        expires_at = by_clock if offer.expires_at_ms is None else offer.expires_at_ms
        return {"offered_at": received_ms, "expires_at": expires_at}

    def _kept(self, offer: Offer, body: str, received_ms: int, meaning: Meaning) -> Insert:
        return Insert(
            offers,
            {
                "id": self._randomness.new_id("off"),
                "order_id": offer.order_id,
                "dialect": offer.dialect.value,
                "received_at": received_ms,
                "meaning": meaning.value,
                "body": body,
            },
        )
