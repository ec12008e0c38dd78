"""An order that the aggregator has given us: keep what it says, then pay it or give it back.

What was offered may differ from what is accepted: amount, institution and recipient are judged once
more, and the reservation follows them (DESIGN 5.2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from tidegate.cases.store import OpenCase
from tidegate.clock import Clock, Randomness
from tidegate.db.cipher import Cipher
from tidegate.db.committer import Committer
from tidegate.db.exchanges import Exchange
from tidegate.db.rows import DONE, Next
from tidegate.errors import (
    DataUnreadable,
    FloorBroken,
    InvalidAmount,
    PolicyRefusal,
    PspsUnavailable,
    SwitchedOff,
)
from tidegate.ledger.book import Record
from tidegate.money.amount import parse_amount, product_half_even
from tidegate.money.currency import parse_currency
from tidegate.payouts.facts import FactsReader
from tidegate.payouts.policy import Plan, choose
from tidegate.payouts.postings import rehold
from tidegate.payouts.recipients import fault_of_account
from tidegate.payouts.rules import Rules
from tidegate.payouts.states import Event
from tidegate.payouts.store import Journal, Row
from tidegate.payouts.tables import payouts
from tidegate.ports.aggregator import Accepted, OrderView
from tidegate.ports.bank import Fault
from tidegate.wire.dialect import Dialect
from tidegate.work.claim import Claimed

__all__ = ["Ours"]


class Ours:
    """The ends of a turn of *accept* that won the order; each commits one unit."""

    def __init__(
        self,
        cipher: Cipher,
        committer: Committer,
        clock: Clock,
        randomness: Randomness,
        rules: Rules,
        facts: FactsReader,
    ) -> None:
        self._cipher = cipher
        self._committer = committer
        self._clock = clock
        self._randomness = randomness
        self._rules = rules
        self._facts = facts

    async def as_answered(
        self,
        claimed: Claimed,
        row: Row,
        details: Accepted | None,
        said: Sequence[Exchange],
    ) -> None:
        """Keep the whole answer before anything else; pay, or withdraw what cannot be paid.

        ``details`` are what accept told; in the spec dialect, ``None``: the offer had them.
        """
        amount, institution = row["amount"], row["institution"]
        if details is None:
            try:
                recipient = dict(self._cipher.plain(row, payouts.c.recipient) or {})
            except DataUnreadable as broken:
                journal = Journal(row, self._clock, self._randomness)
                journal.exchanged(said)
                self.hold(journal, claimed, broken.detail)
                await self._committer.commit(journal.unit)
                return
        else:
            amount = _minor(details.amount, row["currency"])
            institution = (details.institution or institution)[:64]
            recipient = {
                "institution": institution,
                "account_identifier": details.account_identifier,
                "account_name": details.account_name,
                "memo": details.memo or "",
                "metadata": dict(details.metadata),
            }
        plan = choose(
            currency=row["currency"],
            amount=amount,
            institution=institution,
            excluded=row["exclude_psps"],
            facts=await self._facts.now(),
            rules=self._rules,
            already_held=(row["psp"], row["held"]),
        )
        wrong_account = fault_of_account(row["currency"], recipient)
        values = {
            "recipient": recipient,
            "amount": amount,
            "institution": institution,
            "accepted_at": self._clock.now_ms(),
        }
        if (
            isinstance(plan, PspsUnavailable | SwitchedOff)
            and wrong_account is None
            and (amount, institution) == (row["amount"], row["institution"])
            and row["held"]
        ):
            # The PSP rests since the reservation: the order waits for it, its float set aside.
            plan = Plan(row["psp"], "", row["held"])
        if wrong_account is not None or isinstance(plan, PolicyRefusal):
            code = "INVALID_ACCOUNT" if isinstance(plan, Plan) else plan.code
            await self._withdraw(claimed, row, values, said, code, wrong_account or str(plan))
            return
        journal = Journal(row, self._clock, self._randomness)
        journal.exchanged(said)
        for entry in rehold(row, plan.psp, plan.hold):
            journal.add(Record(entry))
        journal.move(
            Event.ACCEPTED,
            lease=claimed.held,
            next=Next(f"disburse:{plan.psp}"),
            detail={"psp": plan.psp},
            **{**values, "psp": plan.psp, "held": plan.hold, "holds": row["holds"] + 1},
        )
        try:
            await self._committer.commit(journal.unit)
        except FloorBroken:
            await self._withdraw(
                claimed,
                row,
                values,
                said,
                "INSUFFICIENT_BALANCE",
                "The accepted amount is above the offer and the float does not cover it.",
            )

    async def as_shown(
        self, claimed: Claimed, row: Row, view: OrderView, said: Sequence[Exchange]
    ) -> None:
        """Ours, but accept does not tell the recipient any more: take it from the order, if the
        figures prove that it is the order we were offered."""
        if row["dialect"] == Dialect.SPEC and row["recipient"]:
            await self.as_answered(claimed, row, None, said)
            return
        currency = parse_currency(row["currency"])
        shown = (
            product_half_even(view.token_amount, view.rate, 0)
            if view.token_amount is not None and view.rate is not None
            else None
        )
        if shown is not None and _minor(shown, row["currency"]) == row["amount"]:
            details = Accepted(
                amount=shown,
                institution=view.institution,
                account_identifier=view.account_identifier,
                account_name=view.account_name,
                memo=view.memo,
                metadata={},
                raw={"source": "order"},
            )
            await self.as_answered(claimed, row, details, said)
            return
        journal = Journal(row, self._clock, self._randomness)
        journal.exchanged(said)
        self.hold(
            journal,
            claimed,
            f"The order is ours, but what it shows does not prove the amount in {currency.code}.",
        )
        await self._committer.commit(journal.unit)

    async def _withdraw(
        self,
        claimed: Claimed,
        row: Row,
        values: Mapping[str, Any],
        said: Sequence[Exchange],
        code: str,
        why: str,
    ) -> None:
        """It is ours and cannot be paid: nothing was sent, so cancelling is safe (4.4)."""
        journal = Journal(row, self._clock, self._randomness)
        journal.exchanged(said)
        for entry in rehold(row, None, 0):
            journal.add(Record(entry))
        journal.move(Event.ACCEPTED, **values)
        journal.move(
            Event.WITHDRAWN,
            lease=claimed.held,
            next=Next("report"),
            detail={"code": code},
            held=0,
            holds=row["holds"] + 1,
            fault=Fault.RECIPIENT.value if code == "INVALID_ACCOUNT" else None,
            reason_code=code,
            reason_text=why,
        )
        await self._committer.commit(journal.unit)

    def hold(self, journal: Journal, claimed: Claimed, why: str) -> None:
        """For a person: what cannot be proven is not paid."""
        journal.move(
            Event.HELD, lease=claimed.held, next=DONE, reason_code="UNPROVEN", reason_text=why
        )
        journal.add(
            OpenCase(
                "payout_held",
                journal.payout["id"],
                f"{why} Look the order up at the aggregator; nothing was paid.",
                "high",
                {"order_id": journal.payout["order_id"]},
            )
        )


def _minor(amount: Decimal, currency: str) -> int | None:
    """Minor units of an amount the aggregator states, ``None`` if it is no usable amount."""
    try:
        return parse_amount(amount, parse_currency(currency)).minor
    except InvalidAmount:
        return None
